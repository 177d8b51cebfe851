"""The documentation holds: its code runs, what it names exists, what it lists is complete."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import venv
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

import fasthio
from fasthio import _pyparser, connecting, grammar
from fasthio.targetfile import load_targets

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import ratios

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
#: What is tested: the sources, or what a wheel has installed.
PACKAGE = Path(fasthio.__file__).parent
#: Seconds that the code of one page, or an example, may take.
TIME = 60
#: Pages that are made by a command out of what other tests hold.
MADE = {"oracles.md", "differences.md"}

PAGES = sorted(path for path in DOCS.glob("*.md") if path.name not in MADE)
PROSE = [*PAGES, *sorted(ROOT.glob("*.md"))]
SHOWN = [*PROSE, *sorted((ROOT / "examples").rglob("*.md"))]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
TESTS = ROOT / "tests"


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    line: int  # of its first line of code
    code: str


def blocks_of(text: str) -> list[Block]:
    """Read the fenced blocks of a page."""
    found = []
    lines = text.splitlines()
    index = 0
    while index < len(lines):
        match = re.match(r"(```+)(.*)$", lines[index])
        if match is None:
            index += 1
            continue
        begin = index + 1
        end = begin
        while end < len(lines) and lines[end].rstrip() != match[1]:
            end += 1
        assert end < len(lines), f"the block of line {index + 1} has no end"
        found.append(Block(match[2].strip(), begin + 1, "\n".join(lines[begin:end])))
        index = end + 1
    return found


def program_of(page: Path) -> str:
    """Put the python blocks of a page into one program, each on the lines it has there."""
    lines: list[str] = []
    for block in blocks_of(page.read_text(encoding="utf-8")):
        if block.language == "python":
            lines += [""] * (block.line - 1 - len(lines))
            lines += block.code.splitlines()
    return "\n".join(lines) + "\n" if lines else ""


class Command(NamedTuple):
    """What a page has its reader type, and what it says will be seen."""

    line: int
    text: str
    seen: str


def commands_of(page: Path) -> list[Command]:
    """Give what a page has its reader type: of console blocks and of indented ones."""
    text = page.read_text(encoding="utf-8")
    found = []
    inside = set()
    for block in blocks_of(text):
        lines = block.code.splitlines()
        inside |= set(range(block.line - 1, block.line + len(lines) + 1))
        if block.language == "console":
            for number, line in enumerate(lines, block.line):
                if line.startswith("$ "):
                    found.append(Command(number, line[2:], ""))
                else:
                    found[-1] = found[-1]._replace(seen=f"{found[-1].seen}{line}\n")
    for number, line in enumerate(text.splitlines(), 1):
        if number not in inside and line.startswith("    "):
            found.append(Command(number, line.strip(), ""))
    return sorted(found)


RUNNABLE = [page for page in PROSE if program_of(page)]


def run(program: Path, folder: Path, *arguments: str) -> str:
    """Run a program in a process of its own; what it writes, once it has ended well."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PYTHONIOENCODING": "utf-8",
    }
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore:Due to '_pack_'", str(program), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIME,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert not done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("page", RUNNABLE, ids=[page.name for page in RUNNABLE])
def test_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    program = tmp_path / f"{page.stem}_page.py"
    program.write_text(program_of(page), encoding="utf-8")
    run(program, tmp_path)


#: What a fenced block may be: run, read by a test of its own, or shown.
LANGUAGES = {"python", "console", "toml", ""}


@pytest.mark.parametrize("page", SHOWN, ids=[page.name for page in SHOWN])
def test_blocks_are_of_a_kind_that_is_run(page: Path) -> None:
    for block in blocks_of(page.read_text(encoding="utf-8")):
        if not block.language.startswith("{"):  # directives
            assert block.language in LANGUAGES, f"{page.name}:{block.line}"
        if block.language == "":
            assert page.name == "CONTRIBUTING.md", f"{page.name}:{block.line} is not run"


# what a page has its reader type ------------------------------------------------

#: Commands that change what the tests run in, or need other hosts: known, and not run here.
KNOWN = re.compile(
    r"pip install (--?[\w-]+ )*('?\.(\[[\w,]+\]')?|'?fasthio(\[[\w,]+\])?'?( \S+)?|\S+\.whl)$"
    r"|FASTHIO_BUILD=\w+ pip install \.$|pipx run [\w .-]+$|nox( \S+)*$|\.ci/run$"
    r"|python -m build( \S+)*$|python -m pip (install|wheel) [\w .=<>\[\]'-]+$"
    r"|python -m bench\.\w+( \S+)*$|git clone \S+( \S+)?$|cd \w+$"
)
#: Seconds after its first line at which what has no end of its own is interrupted.
WHILE = 1.0


class Terminal:
    """Run the commands of a page as its reader would, in an environment of their own.

    The reader's port 8080 is a free one here. `fasthio watch` and `fasthio poll` without an
    end are interrupted as by Ctrl-C.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "env", with_pip=False, symlinks=True)
        programs = folder / "env" / "bin"
        command = programs / "fasthio"
        command.write_text(f'#!/bin/sh\nexec {programs}/python -m fasthio "$@"\n')
        command.chmod(0o755)
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.port: int = server.getsockname()[1]
        self.environment = {
            **os.environ,
            "PATH": os.pathsep.join([str(programs), os.environ.get("PATH", "")]),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        self.jobs: list[subprocess.Popen[str]] = []

    def type(self, line: str) -> str:
        """Run one line; what it writes."""
        line = re.sub(r"\s+#.*$", "", line).replace("8080", str(self.port))
        if re.match(r"make( [A-Z_]+=\S+)* [a-z]", line):
            self.make(line)
            return ""
        if line.startswith(("import ", "from ")):  # the line of a .pth file
            line = f"python -c {shlex.quote(line)}"
        if line == "kill %1":
            self.close()
            return ""
        if KNOWN.match(line):
            return ""
        assert re.match(r"(fasthio|python|echo|cat) ", line), f"not known how to run: {line}"
        if line.endswith(" &"):
            self.start(line[:-2])
            return ""
        endless = line.startswith("fasthio watch") or (
            line.startswith("fasthio poll") and not re.search(r"--(count|duration) ", line)
        )
        return self.wait(line, endless and "--count" not in line)

    def make(self, line: str) -> None:
        """See that make knows its goal."""
        if shutil.which("make") is None:
            return
        done = subprocess.run(
            [*shlex.split(line.replace("make ", "make --dry-run ", 1)), f"PYTHON={sys.executable}"],
            cwd=ROOT, capture_output=True, text=True, timeout=TIME,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def open(self, line: str) -> subprocess.Popen[str]:
        """Begin to run one line."""
        return subprocess.Popen(
            ["sh", "-c", f"exec {line}"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def start(self, line: str) -> None:
        """Run one line beside those that follow, once it has said that it is there."""
        job = self.open(line)
        self.jobs.append(job)
        assert job.stdout is not None
        assert job.stdout.readline(), job.communicate(timeout=TIME)[1]

    def wait(self, line: str, endless: bool) -> str:
        """Run one line to its end, or interrupt it once it is seen to work."""
        process = self.open(line)
        alarm = threading.Timer(TIME, process.kill)
        alarm.start()
        try:
            first = ""
            if endless:
                assert process.stdout is not None
                first = process.stdout.readline()
                time.sleep(WHILE)
                process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=TIME)
        finally:
            alarm.cancel()
            process.kill()
        assert process.returncode == 0, f"{line}: {process.returncode}\n{err}{first}{out}"
        return first + out + err

    def close(self) -> None:
        """End what still runs."""
        for job in self.jobs:
            job.terminate()
            job.communicate(timeout=TIME)
        self.jobs.clear()


TYPED = [page for page in SHOWN if commands_of(page)]


@pytest.mark.parametrize("page", TYPED, ids=[str(page.relative_to(ROOT)) for page in TYPED])
def test_commands_of_a_page_run(page: Path, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    try:
        commands = commands_of(page)
        if not any(each.text.startswith("python -m fasthio.demo") for each in commands):
            terminal.start(f"python -m fasthio.demo {terminal.port}")  # what 8080 stands for
        for each in commands:
            if not each.text.startswith(("python examples/", "python tools/")):  # by themselves
                assert each.seen in terminal.type(each.text)
    finally:
        terminal.close()


def test_commands_are_found() -> None:
    typed = [each.text for each in commands_of(ROOT / "README.md")]
    assert typed[:2] == ["make demo", "make test"]
    assert "fasthio watch http://127.0.0.1:8080/events" in typed
    (_, *_, printed) = commands_of(DOCS / "install.md")
    assert printed.seen == "<class 'fasthio.clienting.Client'>\n"


def test_a_wrong_command_is_noticed(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    with pytest.raises(AssertionError, match="no-such-option"):
        terminal.type("fasthio info --no-such-option")
    with pytest.raises(AssertionError, match="not known how to run"):
        terminal.type("rm -rf x")
    with pytest.raises(AssertionError, match="no-such-goal"):
        terminal.type("make no-such-goal")


def test_there_is_code_to_run() -> None:
    names = {page.name for page in RUNNABLE}
    assert names >= {
        "README.md",
        "errors.md",
        "events.md",
        "guide.md",
        "moving.md",
        "parser.md",
        "quickstart.md",
    }


def test_code_keeps_its_lines(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n```python\na = 1\n```\n\n```sh\nno\n```\n\n```python\nb = a\n```\n")
    assert program_of(page) == "\n\na = 1\n\n\n\n\n\n\n\nb = a\n"


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.stem for example in EXAMPLES])
def test_example_runs(example: Path, tmp_path: Path) -> None:
    assert run(example, tmp_path).strip(), "an example shows what it does"


def test_every_example_is_told_of() -> None:
    text = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    there = {example.name for example in (ROOT / "examples").rglob("*.py")}
    assert there == set(re.findall(r"`(\w+\.py)`", text))


# names and links ---------------------------------------------------------------


def named_tests() -> list[tuple[str, str, str]]:
    """Find each `test_module.py::test_name` that a page names."""
    found = []
    for page in PROSE:
        for module, name in re.findall(
            r"\b(test_\w+\.py)::(\w+)", page.read_text(encoding="utf-8")
        ):
            found.append((page.name, module, name))
    return found


def test_named_tests_exist() -> None:
    named = named_tests()
    assert named
    for page, module, name in named:
        tree = ast.parse((TESTS / module).read_text(encoding="utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in names, f"{page} names {module}::{name}"


@pytest.mark.parametrize("page", PROSE, ids=[page.name for page in PROSE])
def test_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:src|tests|docs|bench|fuzz|examples|tools)/[\w./-]*\w/?)`", text):
        if name.startswith("bench/RESULTS"):
            continue  # made by a run of the benchmarks
        inside = name.removeprefix("src/fasthio/")
        path = ROOT / name if inside == name else PACKAGE / inside
        assert path.exists(), f"{page.name} names {name}"
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:|#", link) or link.startswith("_generated/"):
            continue
        assert (page.parent / link.partition("#")[0]).exists(), f"{page.name} links to {link}"


def test_every_module_is_on_the_map() -> None:
    """The design names the job of each module."""
    text = (DOCS / "design.md").read_text(encoding="utf-8").partition("## Buffers")[0]
    named = set(re.findall(r"`(\w+)`", text))
    for path in PACKAGE.glob("*.py"):
        if not path.stem.startswith("__"):
            assert path.stem in named, f"docs/design.md says nothing of {path.name}"


def test_modules_import_from_rows_above_their_own() -> None:
    """The map of the modules is in the order of their imports; types alone may come from below."""
    lines = (DOCS / "design.md").read_text().splitlines()
    rows = [re.findall(r"`([a-z_]+)`", line.split("|")[1]) for line in lines if line[:3] == "| `"]
    place = {name: number for number, row in enumerate(rows) for name in row}
    for path in PACKAGE.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = list(ast.walk(tree))
        for each in nodes:
            if isinstance(each, ast.If) and ast.unparse(each.test) == "TYPE_CHECKING":
                nodes = [node for node in nodes if node not in each.body]
        for node in nodes:
            if not isinstance(node, ast.ImportFrom) or not node.level:
                continue
            names = [node.module] if node.module else [each.name for each in node.names]
            for name in names:
                if path.stem in place and name in place:
                    assert place[name] <= place[path.stem], f"{path.stem} imports {name}"


def test_public_modules_are_told_of_and_attributes() -> None:
    promise = (DOCS / "compatibility.md").read_text(encoding="utf-8").split("all modules but ")[1]
    assert set(re.findall(r"`(\w+)`", promise.split("are inner")[0])) == fasthio._MODULES
    code = "import fasthio\nfor name in fasthio._MODULES: print(getattr(fasthio, name).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=TIME
    )
    assert set(done.stdout.split()) == {f"fasthio.{name}" for name in fasthio._MODULES}, done.stderr


def test_every_page_is_in_the_contents() -> None:
    contents = (DOCS / "index.md").read_text(encoding="utf-8")
    for page in DOCS.glob("*.md"):
        if page.name != "index.md":
            assert f"\n{page.stem}\n" in contents, page.name


def test_the_stub_can_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference is made of it: it is imported there in the engine's place."""
    extensions = ModuleType("typing_extensions")
    extensions.Self, extensions.disjoint_base = object, lambda kind: kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "typing_extensions", extensions)
    loader = SourceFileLoader("fasthio._stub", str(PACKAGE / "_parser.pyi"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    stub = ModuleType("fasthio._stub")
    stub.__package__ = "fasthio"
    exec(loader.get_code(stub.__name__), vars(stub))  # type: ignore[arg-type]
    assert stub.__all__ == _pyparser.__all__


def test_public_names_are_in_the_reference() -> None:
    """`fasthio.__all__` is told of at the head of the API reference."""
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    for name in fasthio.__all__:
        if not name.startswith("__"):
            assert f"`{name}`" in text, name


@pytest.mark.parametrize("command", ["poll", "watch"])
def test_options_of_a_command_are_listed(command: str) -> None:
    """Each option of a command is told of, and none that there is not."""
    done = subprocess.run(
        [sys.executable, "-m", "fasthio", command, "--help"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=TIME,
        check=True,
    )
    there = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", done.stdout)) - {"--help"}
    text = (DOCS / "poller.md").read_text(encoding="utf-8")
    heading = {"poll": "## The command\n", "watch": "## Following an event stream\n"}[command]
    section = text.partition(heading)[2].partition("\n## ")[0]
    listed = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", section))
    assert listed == there


def test_targets_file_is_read(tmp_path: Path) -> None:
    """The targets file of the page is one."""
    page = (DOCS / "poller.md").read_text(encoding="utf-8")
    (block,) = [block for block in blocks_of(page) if block.language == "toml"]
    path = tmp_path / "targets.toml"
    path.write_text(block.code, encoding="utf-8")
    specs = load_targets(path)
    assert [spec.every for spec in specs] == [10.0, 60.0]


def test_advisories_of_the_corpus_are_told_of() -> None:
    page = (DOCS / "security.md").read_text(encoding="utf-8")
    for path in (TESTS / "corpus").glob("*.md"):
        for number in re.findall(r"CVE-\d{4}-\d+", path.read_text(encoding="utf-8")):
            assert number in page, f"{path.name} names {number}"


def test_named_codes_exist() -> None:
    """A page that says `code == "..."` or `error.code` in a table means one that there is."""
    known = set(grammar.ERRORS) | set(grammar.EXCHANGE_ERRORS)
    prefixes = {code.partition("-")[0] for code in known if "-" in code}
    for page in PAGES:
        for code in re.findall(r"`([a-z]+(?:-[a-z]+)+)`", page.read_text(encoding="utf-8")):
            if code.partition("-")[0] in prefixes and code not in grammar.STATES:
                assert code in known, f"{page.name} names {code}"


def test_plot_of_the_readme_is_that_of_the_results() -> None:
    """What `python -m bench.ratios` draws, and `make bench` by itself."""
    results = json.loads((ROOT / "bench" / "results.json").read_text(encoding="utf-8"))
    drawn = (ROOT / "bench" / "plots" / "ratios.svg").read_text(encoding="utf-8")
    assert drawn == ratios.picture(results), "draw it again: python -m bench.ratios"


def test_pictures_hold_nothing_from_elsewhere() -> None:
    for picture in (DOCS / "pictures").glob("*.svg"):
        text = picture.read_text(encoding="utf-8")
        assert set(re.findall(r"https?://[^\s\"')<]+", text)) <= {
            "http://www.w3.org/2000/svg",
            *re.findall(r"http://127\.0\.0\.1:\d+[^\s\"')<]*", text),
            "https://www.textualize.io",
        }


#: Units of the numbers that pages give, in octets, seconds or times.
UNITS = {"MiB": 1 << 20, "KiB": 1 << 10, "s": 1, "": 1}


def test_numbers_are_those_of_the_code() -> None:
    """`Client.Bound` (8 MiB) and its like."""
    found = set()
    for page in [*PAGES, DOCS / "differences.md"]:
        for kind, name, number, unit in re.findall(
            r"`(Client|Connector)\.([A-Z]\w+)`(?: octets)? \((\d+)(?: (\w+))?[,)]",
            page.read_text(encoding="utf-8"),
        ):
            owner = {"Client": fasthio.Client, "Connector": connecting.Connector}[kind]
            assert getattr(owner, name) == int(number) * UNITS[unit], f"{page.name}: {name}"
            found.add(name)
    assert found >= {"Bound", "Stride", "Resends", "RetryCap"}


# made of the grammar -----------------------------------------------------------


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """Give the pages that are made of the grammar, made in a process of its own."""
    code = (
        f"import json, sys; sys.path.insert(0, {str(DOCS / '_ext')!r})\n"
        "import from_grammar; print(json.dumps(dict(from_grammar.pages())))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=TIME,
        check=True,
    )
    pages = json.loads(done.stdout)
    assert isinstance(pages, dict)
    return pages


def test_every_code_is_listed(made: dict[str, str]) -> None:
    for table, page in (
        (grammar.ERRORS, "parse-errors.md"),
        (grammar.EXCHANGE_ERRORS, "exchange-errors.md"),
    ):
        for code, spec in table.items():
            assert f"| `{code}` |" in made[page]
            assert spec.text in made[page]


def test_every_limit_is_listed(made: dict[str, str]) -> None:
    for name in grammar.Limits.__dataclass_fields__:
        assert f"| `{name}` |" in made["limits.md"]


def test_every_edge_is_drawn(made: dict[str, str]) -> None:
    drawing, table = made["states.svg"], made["transitions.md"]
    for state in grammar.STATES:
        assert f">{state}</text>" in drawing
    for number, (source, target, what) in enumerate(grammar.TRANSITIONS, 1):
        assert f"| {number} | `{source}` | `{target}` | {what} |" in table
        assert (f">{number}</text>" in drawing) is (target != "failed")
