"""Public names are documented: what they do, their arguments with units, their errors."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import fasthio

SOURCE = Path(fasthio.__file__).parent

#: Words of which one has to be in the text of an argument of that name.
UNITS = {
    "timeout": ("second",),
    "tymeout": ("second",),
    "idle": ("second",),
    "every": ("second",),
    "size": ("octet",),
    "length": ("octet",),
    "count": ("octet", "poll", "event", "number", "how many", "how often", "times"),
    "bufsize": ("octet", "`bs`"),
    "bs": ("octet",),
    "retry": ("millisecond",),
    "offset": ("octet",),
    "maxBody": ("octet",),
    "max_body": ("octet",),
}

#: What every method is called with, or that names itself.
BARE = frozenset(("self", "cls", "_", "args", "pa"))


class Callable(NamedTuple):
    """A public function or method, and the text that documents it."""

    name: str
    node: ast.FunctionDef
    text: str

    @property
    def arguments(self) -> list[str]:
        """Names of its arguments."""
        spec = self.node.args
        found = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]
        found += [each for each in (spec.vararg, spec.kwarg) if each is not None]
        return [each.arg for each in found if each.arg not in BARE]


def public(name: str) -> bool:
    """Tell whether a name is one that programs may use."""
    return not name.startswith("_")


def names_of(tree: ast.Module) -> set[str]:
    """Read `__all__`."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            value = ast.literal_eval(node.value)
            return set(value)
    return set()


def modules() -> list[Path]:
    """Find the modules that have public names; the stub is the engines'."""
    return sorted(
        path
        for path in [*SOURCE.glob("*.py"), *SOURCE.glob("*.pyi")]
        if public(path.stem) or path.suffix == ".pyi"
    )


def definitions() -> Iterator[tuple[Path, ast.ClassDef | ast.FunctionDef]]:
    """Give each public class and function."""
    for path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        offered = names_of(tree)
        for node in tree.body:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name in offered:
                yield path, node


def callables() -> Iterator[Callable]:
    """Give each public function and method, properties excepted."""
    for path, node in definitions():
        where = f"{path.stem}.{node.name}"
        if isinstance(node, ast.FunctionDef):
            yield Callable(where, node, ast.get_docstring(node) or "")
            continue
        whole = ast.get_docstring(node) or ""
        for each in node.body:
            if not isinstance(each, ast.FunctionDef) or each.decorator_list:
                continue
            if each.name == "__init__":
                # the arguments of a class are told in its own text or its constructor's
                text = f"{whole}\n{ast.get_docstring(each) or ''}"
                yield Callable(where, each, text)
            elif public(each.name):
                text = ast.get_docstring(each) or ""
                yield Callable(f"{where}.{each.name}", each, text)


DEFINITIONS = list(definitions())
CALLABLES = list(callables())


def test_there_is_something_to_look_at() -> None:
    assert len(DEFINITIONS) > 50
    assert len(CALLABLES) > 100


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.name)
def test_module_is_documented(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert text, path.name
    assert text.splitlines()[0].rstrip().endswith((".", ",", ":")) or "\n" in text


@pytest.mark.parametrize(
    ("path", "node"), DEFINITIONS, ids=[f"{p.stem}.{n.name}" for p, n in DEFINITIONS]
)
def test_name_is_documented(path: Path, node: ast.ClassDef | ast.FunctionDef) -> None:
    """One line that ends as a sentence does, for the name and each public member."""
    texts = {node.name: ast.get_docstring(node)}
    if isinstance(node, ast.ClassDef):
        for each in node.body:
            setter = isinstance(each, ast.FunctionDef) and any(
                ast.unparse(one).endswith(".setter") for one in each.decorator_list
            )
            if isinstance(each, ast.FunctionDef) and public(each.name) and not setter:
                texts[f"{node.name}.{each.name}"] = ast.get_docstring(each)
    for name, text in texts.items():
        assert text, f"{path.stem}: {name} has no docstring"
        first = text.split("\n\n")[0].split("\nArgs:")[0].rstrip()
        assert first.endswith((".", ")", ":")), f"{path.stem}: {name}: {first}"


@pytest.mark.parametrize("one", CALLABLES, ids=[one.name for one in CALLABLES])
def test_arguments_are_documented(one: Callable) -> None:
    """An Args section names them all; without one there is one argument, or it is told where."""
    named = set(re.findall(r"`{0,2}\*{0,2}(\w+)`{0,2}(?=[,:`])", one.text))
    prose = set(re.findall(r"\w+", one.text))
    if "Args:\n" in one.text:
        missing = [name for name in one.arguments if name not in named]
    else:
        missing = [name for name in one.arguments if name not in prose]
        if len(one.arguments) == 1 or re.search(r"\b(as|see) `\w", one.text):
            missing = []  # the one line tells, or names the docstring that does
    assert not missing, f"{one.name} does not tell of {', '.join(missing)}"


def raised(node: ast.FunctionDef) -> set[str]:
    """Find the exceptions that a function itself raises by name, and does not catch."""
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Raise) and isinstance(each.exc, ast.Call):
            name = ast.unparse(each.exc.func).rpartition(".")[2]
            # what argparse is given raises one kind, for argparse alone
            if name[:1].isupper() and name not in ("AssertionError", "ArgumentTypeError"):
                found.add(name)
    return found


@pytest.mark.parametrize("one", CALLABLES, ids=[one.name for one in CALLABLES])
def test_errors_are_documented(one: Callable) -> None:
    for name in raised(one.node):
        assert name in one.text, f"{one.name} raises {name} and does not say so"


@pytest.mark.parametrize("one", CALLABLES, ids=[one.name for one in CALLABLES])
def test_units_are_documented(one: Callable) -> None:
    """An argument that is an amount says of what."""
    for name in one.arguments:
        match = re.search(rf"^ *{name}: (.*(?:\n {{5,}}.*)*)", one.text, flags=re.MULTILINE)
        if name in UNITS and match:
            said = match[1].lower()
            assert any(word in said for word in UNITS[name]), f"{one.name}: {name}: {match[1]}"
