"""cli: arguments, exit statuses and output of the command."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import fasthio
from fasthio import cli, demo, engine, pollcli


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    """Give the root of a server that answers."""
    with demo.serving() as root:
        yield root


@pytest.fixture
def nobody() -> str:
    """Give a URL that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def command(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fasthio", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Take the targets that the command makes instead of polling them."""
    taken: list[Any] = []

    def carry_out(options: Any, specs: Any, file: Any, respec: Any) -> int:
        taken.append(specs)
        return 0

    monkeypatch.setattr(pollcli, "_carry_out", carry_out)
    return taken


# poll ---------------------------------------------------------------------------


def test_poll(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["poll", root + "/json", "--count", "2", "--every", "0"]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert captured.err == ""
    assert all(f"{root}/json 200 OK, " in line for line in lines[:2])
    assert lines[2].startswith("requests  2 in ")
    assert lines[3] == "failures  0"
    assert lines[4].startswith("octets    ")
    assert lines[5].startswith("latency   p50 ")
    assert lines[6] == f"engine    {fasthio.ENGINE}"
    assert len(lines) == 7


def test_poll_that_fails(root: str, nobody: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["poll", root + "/json", nobody, root + "/x", "--timeout", "5"]) == 1
    captured = capsys.readouterr()
    assert captured.err == ""
    assert f"{nobody} FAILED refused: " in captured.out
    assert f"{root}/x FAILED 404 Not Found, " in captured.out
    assert "failures  2 (refused 1, status-404 1)" in captured.out or (
        "failures  2 (status-404 1, refused 1)" in captured.out
    )


def test_poll_as_a_process(root: str, nobody: str) -> None:
    done = command("poll", root + "/json", "-h")
    assert done.returncode == 0
    done = command("poll", root + "/json")
    assert (done.returncode, done.stderr) == (0, "")
    done = command("poll", nobody, "--timeout", "5")
    assert (done.returncode, done.stderr) == (1, "")


def test_json_lines(root: str, nobody: str, tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    arguments = ["poll", root + "/json", nobody, "--timeout", "5", "--json", str(path)]
    assert cli.main([*arguments, "--count", "2", "--every", "0.1"]) == 1
    results = [json.loads(line) for line in path.read_text().splitlines()]
    good = [result for result in results if result["url"] == root + "/json"]
    bad = [result for result in results if result["url"] == nobody]
    assert (len(good), len(bad)) == (2, 2)
    assert all(result["status"] == 200 and result["outcome"] == "ok" for result in good)
    assert all(result["status"] is None and result["reason"] == "refused" for result in bad)


@pytest.mark.parametrize("wrong", ["--out r.txt", "--metrics PORT", "--workers 1 --plot p.svg"])
def test_a_command_given_wrongly_empties_no_file(root: str, tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text("of yesterday\n")
    arguments = wrong.replace("PORT", root.rpartition(":")[2]).split()
    assert cli.main(["poll", f"{root}/json", "--json", str(path), *arguments]) == 2
    assert path.read_text() == "of yesterday\n"


def test_json_on_standard_output(root: str) -> None:
    done = command("poll", root + "/json", "--json", "-")
    assert json.loads(done.stdout)["status"] == 200
    assert "failures  0" in done.stderr


def test_arguments_make_the_targets(plans: list[Any]) -> None:
    url = "http://127.0.0.1:1/"
    arguments = "--every 500ms --count 3 --method post --timeout 2 --retries 1 --jitter 0.1".split()
    arguments += "--conditional --expect 200,404 --header".split()
    assert cli.main(["poll", url, url, *arguments, "A: b", "--header", "C:d:e "]) == 0
    ((spec,),) = plans  # the same URL twice is one target
    assert (spec.url, spec.every, spec.count, spec.method) == (url, 0.5, 3, "POST")
    assert spec.headers == (("A", "b"), ("C", "d:e"))
    assert (spec.timeout, spec.retries, spec.jitter) == (2.0, 1, 0.1)
    assert (spec.conditional, spec.expect) == (True, frozenset((200, 404)))


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        ([], 1),
        (["--every", "2"], None),
        (["--every", "2", "--count", "4"], 4),
        (["--duration", "2"], None),
        (["--rate", "2"], None),
    ],
)
def test_default_count(plans: list[Any], arguments: list[str], count: int | None) -> None:
    cli.main(["poll", "http://127.0.0.1:1/", *arguments])
    assert plans[0][0].count == count


def test_rate_is_shared_by_all(plans: list[Any]) -> None:
    urls = [f"http://127.0.0.1:1/{number}" for number in range(20)]
    cli.main(["poll", *urls, "--rate", "5"])
    assert {spec.every for spec in plans[0]} == {4.0}


@pytest.mark.parametrize(
    ("rate", "jitter", "every", "used"),
    [("0.5", "1.5", 2.0, 1.0), ("0.1", "3", 10.0, 3.0), ("1e-9", "0", 366 * 86400.0, 0.0)],
)
def test_rate_and_jitter(
    plans: list[Any], tmp_path: Path, rate: str, jitter: str, every: float, used: float
) -> None:
    """Jitter is below what the rate comes to, which may be more than the second of other polls."""
    path = tmp_path / "targets.txt"
    path.write_text("http://a.test/\n")
    for targets in (["http://a.test/"], ["--targets", str(path)]):
        assert cli.main(["poll", *targets, "--rate", rate, "--jitter", jitter]) == 0
    assert [(spec.every, spec.jitter) for specs in plans for spec in specs] == [(every, used)] * 2


def test_targets_from_a_file(plans: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "targets.toml"
    path.write_text('[[target]]\nurl = "http://a.test/"\nevery = "9s"\n')
    arguments = ["--targets", str(path), "--timeout", "3", "--every", "2"]
    assert cli.main(["poll", "http://b.test/", *arguments]) == 0
    ((one, two),) = plans
    assert [(spec.url, spec.every, spec.timeout) for spec in (one, two)] == [
        ("http://b.test/", 2.0, 3.0),
        ("http://a.test/", 9.0, 3.0),
    ]


def test_a_wrong_targets_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "targets.toml"
    path.write_text('[[target]]\nurl = "http://a.test/"\nevry = "9s"\n')
    assert cli.main(["poll", "--targets", str(path)]) == 2
    assert f"{path}, line 3, evry: unknown key" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaints"),
    [
        (["poll"], ["URL"]),
        (["poll", "example.org"], ["URL", "'example.org'"]),
        (["poll", "http://x:y/"], ["URL", "'http://x:y/'"]),
        (["poll", r"http://a\b/"], [r"http://a\\b/"]),
        (["poll", "http://x/", "--every", "-1"], ["--every", "-1"]),
        (["poll", "http://x/", "--every", "soon"], ["--every", "'soon'"]),
        (["poll", "http://x/", "--every", "nan"], ["--every", "'nan'"]),
        (["poll", "http://x/", "--count", "0"], ["--count", "'0'"]),
        (["poll", "http://x/", "--count", "1.5"], ["--count", "'1.5'"]),
        (["poll", "http://x/", "--timeout", "0"], ["--timeout", "0"]),
        (["poll", "http://x/", "--timeout", "inf"], ["--timeout", "'inf'"]),
        (["poll", "http://x/", "--method", "GE T"], ["--method", "'GE T'"]),
        (["poll", "http://x/", "--method", ""], ["--method", "''"]),
        (["poll", "http://x/", "--header", "no colon"], ["--header", "'no colon'"]),
        (["poll", "http://x/", "--header", "a b: c"], ["--header", "'a b: c'"]),
        (["poll", "http://x/", "--header", "a: b\r\nc: d"], ["--header", "value of a"]),
        (["poll", "http://x/", "--header", "a: \u20ac"], ["--header", "value of a"]),
        (["poll", "http://x/", "--json", "/nowhere/at/all"], ["--json", "/nowhere/at/all"]),
        (["poll", "http://x/", "--colour"], ["--colour"]),
        (["poll", "http://x/", "--retries", "-1"], ["--retries", "-1"]),
        (["poll", "http://x/", "--expect", "OK"], ["--expect", "'OK'"]),
        (["poll", "http://x/", "--rate", "0"], ["--rate", "'0'"]),
        (["poll", "http://x/", "--rate", "1", "--every", "1"], ["--rate", "--every"]),
        (["poll", "http://x/", "--metrics", "70000"], ["--metrics", "'70000'"]),
        (["poll", "http://x/", "--concurrency", "0"], ["--concurrency", "'0'"]),
        (["poll", "http://x/", "--jitter", "2", "--every", "1"], ["jitter", "every"]),
        (["poll", "http://x/", "--out", "results.txt"], ["--out", "results.txt"]),
        (["poll", "http://x/", "--out", "/nowhere/r.csv"], ["--out", "/nowhere/r.csv"]),
        (["poll", "http://x/", "--targets", "/nowhere/t"], ["--targets", "/nowhere/t"]),
        (["demo", "--duration", "0"], ["--duration", "0"]),
        (["demo", "--duration", "soon"], ["--duration", "'soon'"]),
        (["poll", "http://x/", "--rate", "often"], ["--rate", "'often'"]),
        (["look"], ["look"]),
        ([], ["COMMAND"]),
    ],
)
def test_usage_errors(
    arguments: list[str], complaints: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = cli.main(arguments)
    except SystemExit as error:  # how argparse refuses
        status = int(error.code or 0)
    assert status == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "error: " in last
    for complaint in complaints:
        assert complaint in last


def test_metrics_and_plot(root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("prometheus_client")
    plot = tmp_path / "latency.svg"
    arguments = ["poll", f"{root}/json", "--metrics", "0", "--plot", str(plot)]
    assert cli.main(arguments) == 0
    assert re.search(r"^metrics   http://127\.0\.0\.1:\d+/metrics$", capsys.readouterr().out, re.M)
    assert plot.read_text().rstrip().endswith("</svg>")


def test_plot_that_cannot_be_written(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The results are shown all the same; what is missing is told last."""
    assert cli.main(["poll", f"{root}/json", "--plot", "/nowhere/at/all.svg"]) == 1
    said = capsys.readouterr()
    assert "requests  1 in " in said.out
    assert said.err == "error: /nowhere/at/all.svg: No such file or directory\n"


def test_metrics_on_a_port_that_is_taken(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("prometheus_client")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert cli.main(["poll", f"{root}/json", "--metrics", str(port)]) == 2
    assert f"argument --metrics: port {port}: " in capsys.readouterr().err


def test_metrics_without_the_package(
    root: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("prometheus_client")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert cli.main(["poll", f"{root}/json", "--metrics", "0"]) == 2
    assert "--metrics: needs prometheus-client (pip install" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_as_many_connections_as_the_system_allows() -> None:
    """`fasthio poll` raises the soft limit of descriptors for itself."""
    code = (
        "import resource\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))\n"
        "from fasthio import pollcli\n"
        "pollcli._raise_descriptors()\n"
        "assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_in_order(root: str, tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "results.jsonl"
    process = subprocess.Popen(
        [
            *[sys.executable, "-m", "fasthio", "poll", root + "/json", root + "/slow"],
            *["--every", "0.05", "--out", str(path)],
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert "200 OK" in first
    assert "failures  0" in out
    assert (process.returncode, err) == (0, "")
    results = [json.loads(line) for line in path.read_text().splitlines()]
    for url in (root + "/json", root + "/slow"):
        spans = sorted((r["number"], r["count"]) for r in results if r["url"] == url)
        assert spans[0][0] == 0
        for (start, count), (after, _) in pairwise(spans):
            assert start + count == after
    # what was under way when the signal came has ended well
    assert "ok" in {r["outcome"] for r in results if r["url"] == root + "/slow"}


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
@pytest.mark.parametrize("command", ["poll http://a.test/", "demo", "watch http://a.test/", "info"])
def test_an_interrupt_while_it_begins(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says so, not a traceback."""

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    for name in ("pollcli._carry_out", "watching.make_printer", "cli._version"):
        monkeypatch.setattr(f"fasthio.{name}", interrupt)
    assert cli.main(command.split()) == 1
    assert capsys.readouterr().err == "interrupted\n"


def test_a_second_signal_ends_polls_under_way(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        process = subprocess.Popen(
            [
                *[sys.executable, "-m", "fasthio", "poll", url, "--every", "1"],
                *["--timeout", "1h", "--out", str(path)],
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        peer, _ = deaf.accept()
        process.send_signal(signal.SIGINT)
        assert "once more" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        peer.close()
    assert "requests  1 in " in out
    assert (process.returncode, err) == (0, "")
    results = [json.loads(line) for line in path.read_text().splitlines()]
    assert ("cancelled", "stopped") in {(r["outcome"], r["reason"]) for r in results}


@pytest.mark.skipif(sys.platform == "win32", reason="no such terminals there")
def test_live_table_on_a_terminal(root: str) -> None:
    import pty

    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "fasthio", "poll", root + "/json", "--count", "3", "--every", "0"],
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "30"},
    )
    os.close(slave)
    shown = b""
    try:
        while octets := os.read(master, 65536):
            shown += octets
    except OSError:  # how Linux tells that the other end is closed
        pass
    os.close(master)
    assert process.wait(60) == 0
    assert b"polls" in shown
    assert b"requests  3 in " in shown


@pytest.mark.skipif(sys.platform == "win32", reason="no such terminals there")
@pytest.mark.parametrize("columns", [60, 80, 200])
def test_demo_on_a_terminal_ends_by_a_signal(columns: int) -> None:
    """Ctrl-C leaves the last view standing, with a summary under it, and the cursor visible."""
    import fcntl
    import pty
    import struct
    import termios

    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    for name in ("COLUMNS", "LINES"):
        env.pop(name, None)
    process = subprocess.Popen(
        [sys.executable, "-m", "fasthio", "demo", "--duration", "60"],
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
        env=env,
    )
    os.close(slave)
    shown = b""
    try:
        while octets := os.read(master, 65536):
            if b"/slow" not in shown and b"/slow" in shown + octets:
                process.send_signal(signal.SIGINT)
            shown += octets
    except OSError:  # how Linux tells that the other end is closed
        pass
    os.close(master)
    assert process.wait(60) == 0
    text = shown.decode()
    for path in demo.PATHS:
        assert f"{path} " in text
    assert "\x1b[3" not in text  # no colours
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert "engine" in text[text.rindex("latency") :]
    view = text[: text.rindex("\x1b[?25h")]
    assert max(map(len, re.split(r"[\r\n]+|\x1b\[[\d;?]*[A-Za-z]", view))) <= columns


def test_what_a_terminal_cannot_show(root: str) -> None:
    """A label that the encoding of standard output has no way to write is no error."""
    done = subprocess.run(
        [sys.executable, "-m", "fasthio", "poll", f"{root}/json?\xe4"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"/json?? 200 OK" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="pipes differ there")
def test_a_reader_that_has_enough_is_no_traceback(root: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "fasthio", "poll", root + "/json", "--every", "0"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(60), err) == (1, b"")


# demo, info, version --------------------------------------------------------------


def test_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["demo", "--duration", "0.2", "--every", "0.1"]) == 0
    out = capsys.readouterr().out
    for path in demo.PATHS:
        assert f"{path} 200 OK" in out
    assert "failures  0" in out


def test_info() -> None:
    done = command("info")
    assert (done.returncode, done.stderr) == (0, "")
    words = {line.split()[0]: line for line in done.stdout.splitlines() if line[:1] != " "}
    assert words["fasthio"].split()[1] == fasthio.__version__
    assert words["engine"].split()[1] == fasthio.ENGINE
    assert words["hio"].split()[1] == metadata.version("hio")
    assert words["Python"].split()[2] == platform.python_version()
    assert platform.platform() in words["platform"]


def test_info_tells_why_not_c() -> None:
    done = command("info", env={**os.environ, "FASTHIO_ENGINE": "py"})
    assert "engine     py" in done.stdout
    assert "asked for by FASTHIO_ENGINE=py" in done.stdout


@pytest.mark.parametrize("missing", [False, True])
def test_info_where_the_c_engine_is_not_in_use(
    missing: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A program may have chosen the Python engine itself; or the C engine cannot be imported."""
    monkeypatch.delenv("FASTHIO_ENGINE", raising=False)
    monkeypatch.setattr(engine, "ENGINE", "py")
    monkeypatch.setitem(sys.modules, "fasthio._parser", None if missing else engine.load("py"))
    assert cli.main(["info"]) == 0
    said = capsys.readouterr().out
    assert "engine     py" in said
    assert ("import of fasthio._parser halted" if missing else "asked for") in said


def test_info_tells_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "OPTIONAL", ("no-such-package",))
    assert cli.main(["info"]) == 0
    assert "optional   no-such-package missing" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"fasthio {fasthio.__version__}\n"


def test_console_script_is_the_same_command() -> None:
    (script,) = metadata.distribution("fasthio").entry_points.select(
        group="console_scripts", name="fasthio"
    )
    assert script.load() is cli.main


def test_help_names_every_command() -> None:
    done = command("--help")
    assert done.returncode == 0
    for name in ("poll", "watch", "demo", "run", "info"):
        assert f"\n    {name} " in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize(
    "command",
    ["poll ROOT/json", "poll ROOT/json --json -", "watch ROOT/events --count 1", "info", "demo"],
)
def test_output_that_cannot_be_written(command: str, root: str) -> None:
    """One line says so, not a traceback."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "fasthio", *command.replace("ROOT", root).split()],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert "No space left on device" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_json_that_cannot_be_written(root: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["poll", f"{root}/json", "--json", "/dev/full"]) == 1
    out, err = capfd.readouterr()
    assert "requests  1" in out
    assert err == "error: /dev/full: No space left on device\n"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("OSError(24, 'Too many open files')",
         "fasthio info: error: [Errno 24] Too many open files\n"),
        ("FileNotFoundError(2, 'No such file', 'a')", "Traceback (most recent call last):\n"),
    ],
)  # fmt: skip
def test_errors_of_something_else_than_the_output(error: str, told: str) -> None:
    """What was printed before is there; where a file is named nobody has foreseen it."""
    code = (
        "import sys\n"
        "from fasthio import cli\n"
        "def info(options):\n"
        "    print('before')\n"
        f"    raise {error}\n"
        "cli._info = info\n"
        "sys.exit(cli.main(['info']))\n"
    )
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, timeout=60, check=False, env=environ,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "before\n")
    assert done.stderr.startswith(told)


@pytest.mark.parametrize("command", ["poll ROOT/json", "watch ROOT/events --count 1", "info"])
def test_no_output_at_all(
    command: str, root: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Python starts where standard output is closed."""
    monkeypatch.setattr(sys, "stdout", None)
    assert cli.main(command.replace("ROOT", root).split()) == 0
    assert "Traceback" not in capfd.readouterr().err


def test_files_are_closed_where_another_cannot_be_opened(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []
    real = pollcli._open_sink

    def open_sink(path: str) -> Any:
        opened.append(real(path))
        return opened[-1]

    monkeypatch.setattr(pollcli, "_open_sink", open_sink)
    paths = [str(tmp_path / "r.sqlite"), str(tmp_path / "r.txt")]
    assert cli.main(["poll", f"{root}/json", "--out", paths[0], "--out", paths[1]]) == 2
    (sink,) = opened
    assert sink._database is None
