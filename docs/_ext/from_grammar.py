"""Pages made of the grammar module: errors, limits, the state diagram; and what is included.

Run as `python docs/_ext/from_grammar.py` it writes them into docs/_generated, as a build
of the documentation does by itself.
"""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fasthio import errors, grammar

DOCS = Path(__file__).parent.parent
GENERATED = DOCS / "_generated"
RESULTS = DOCS.parent / "bench" / "RESULTS.md"

# the state diagram ------------------------------------------------------------

#: Column and row of each state in the diagram.
PLACES = {
    "start-line": (0.0, 1.5),
    "field-line": (1.0, 1.5),
    "fixed": (2.0, 0.0),
    "until-close": (2.0, 1.0),
    "chunk-size": (2.0, 2.4),
    "chunk-data": (3.0, 3.4),
    "chunk-end": (2.0, 3.4),
    "trailer": (3.0, 2.4),
    "done": (4.0, 1.0),
    "failed": (4.0, 3.4),
}
STEP_X, STEP_Y, WIDTH, HEIGHT, MARGIN = 190, 110, 116, 40, 46

STYLE = """\
text { font: 13px ui-monospace, monospace; text-anchor: middle; dominant-baseline: central; }
.state { fill: #e8f0fe; stroke: #1a4f9c; } .state + text { fill: #0d2b57; }
.done { fill: #e3f5e6; stroke: #1d7a33; } .failed { fill: #fdeaea; stroke: #b3261e; }
.edge { fill: none; stroke: #5f6b7a; stroke-width: 1.3; }
.tag { fill: #ffffff; stroke: #5f6b7a; } .tag + text { font-size: 10px; fill: #222; }
"""


def _centre(state: str) -> tuple[float, float]:
    column, row = PLACES[state]
    return MARGIN + WIDTH / 2 + column * STEP_X, MARGIN + HEIGHT / 2 + row * STEP_Y


def _border(state: str, toward: tuple[float, float]) -> tuple[float, float]:
    """Find where a line from the centre of a state toward a point leaves its box."""
    x, y = _centre(state)
    dx, dy = toward[0] - x, toward[1] - y
    scale = min(
        (WIDTH / 2) / abs(dx) if dx else float("inf"),
        (HEIGHT / 2) / abs(dy) if dy else float("inf"),
    )
    return x + dx * scale, y + dy * scale


def _edge(source: str, target: str, both: bool) -> tuple[str, float, float]:
    """Give the path of an edge and where its number goes."""
    x, y = _centre(source)
    if source == target:
        path = f"M{x - 22},{y - 20} C{x - 34},{y - 58} {x + 34},{y - 58} {x + 22},{y - 20}"
        return path, x, y - 48
    to_x, to_y = _centre(target)
    away = ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5
    # one of a pair, or one that would run through another state, is bent
    bend = 26.0 if both else 0.0
    middle_x = (x + to_x) / 2 - (to_y - y) / away * -bend
    middle_y = (y + to_y) / 2 + (to_x - x) / away * -bend
    begin = _border(source, (middle_x, middle_y))
    end = _border(target, (middle_x, middle_y))
    curve = f"Q{middle_x:.1f},{middle_y:.1f}" if bend else "L"
    return (
        f"M{begin[0]:.1f},{begin[1]:.1f} {curve} {end[0]:.1f},{end[1]:.1f}",
        (begin[0] + 2 * middle_x + end[0]) / 4,
        (begin[1] + 2 * middle_y + end[1]) / 4,
    )


def diagram() -> str:
    """Draw `grammar.TRANSITIONS` as SVG; edges to "failed" are in the table alone.

    Raises:
        KeyError: a state has no place in the drawing yet.
    """
    edges = {(source, target) for source, target, _ in grammar.TRANSITIONS}
    width = MARGIN * 2 + WIDTH + 4 * STEP_X
    height = MARGIN * 2 + HEIGHT + 3.4 * STEP_Y
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        'role="img" aria-label="States of the response parser">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#5f6b7a"/></marker></defs>',
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
    ]
    tags = []
    for number, (source, target, _) in enumerate(grammar.TRANSITIONS, 1):
        if target == "failed":
            continue
        path, x, y = _edge(source, target, (target, source) in edges and source != target)
        lines.append(f'<path class="edge" d="{path}" marker-end="url(#tip)"/>')
        tags.append(
            f'<circle class="tag" cx="{x:.1f}" cy="{y:.1f}" r="9"/>'
            f'<text x="{x:.1f}" y="{y:.1f}">{number}</text>'
        )
    for state in grammar.STATES:
        x, y = _centre(state)
        kind = f" {state}" if state in ("done", "failed") else ""
        lines.append(
            f'<rect class="state{kind}" x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" '
            f'width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
            f'<text x="{x:g}" y="{y:g}">{html.escape(state)}</text>'
        )
    x, y = _centre("failed")
    note = f'<text x="{x:g}" y="{y - 34:g}" fill="#5f6b7a">from any other</text>'
    return "\n".join([*lines, *tags, note, "</svg>", ""])


def transitions() -> str:
    """List every edge of the state machine, numbered as in the drawing."""
    rows = [
        f"| {number} | `{source}` | `{target}` | {what} |"
        for number, (source, target, what) in enumerate(grammar.TRANSITIONS, 1)
    ]
    return "\n".join(["| | from | to | taken by |", "| --- | --- | --- | --- |", *rows, ""])


# errors and limits ------------------------------------------------------------


def parse_errors() -> str:
    """List every code a parser may fail with."""
    rows = []
    for code, spec in grammar.ERRORS.items():
        error = errors.parse_error(code, offset=0, state="start-line")
        rows.append(f"| `{code}` | `{type(error).__name__}` | {spec.text} | {spec.rfc} |")
    return "\n".join(["| code | class | text | source |", "| --- | --- | --- | --- |", *rows, ""])


def exchange_errors() -> str:
    """List every code an exchange may fail with where no response is at fault."""
    rows = []
    for code, spec in grammar.EXCHANGE_ERRORS.items():
        error = errors.exchange_error(code)
        rows.append(f"| `{code}` | `{type(error).__name__}` | {spec.text} | {spec.rfc} |")
    return "\n".join(["| code | class | text | source |", "| --- | --- | --- | --- |", *rows, ""])


def _is_ours(kind: type) -> bool:
    return kind.__module__ == errors.__name__


def hierarchy() -> str:
    """List the exception classes and what else an `except` clause may call them."""
    rows = []
    for name in errors.__all__:
        kind = getattr(errors, name)
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            continue
        ours = [base.__name__ for base in kind.__mro__[1:] if _is_ours(base)]
        theirs = [
            base.__name__
            for base in kind.__mro__
            if base.__module__.startswith("hio.") and base is not Exception
        ]
        builtin = [
            base.__name__
            for base in kind.__mro__
            if base.__module__ in ("builtins", "socket")
            and base not in (Exception, BaseException, object)
        ]
        cells = [", ".join(f"`{name}`" for name in names) for names in (ours, theirs, builtin)]
        rows.append(f"| `{name}` | {cells[0]} | {cells[1]} | {cells[2]} |")
    head = ["| class | is also | of hio | of Python |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows, ""])


def _documented(doc: str) -> dict[str, str]:
    """Read the Args section of a docstring."""
    section = inspect.cleandoc(doc).partition("Args:\n")[2].partition("\nRaises:")[0]
    found: dict[str, str] = {}
    name = ""
    for line in section.splitlines():
        match = re.match(r"    (\w+): (.*)", line)
        if match:
            name = match[1]
            found[name] = match[2]
        elif name:
            found[name] += " " + line.strip()
    return found


def limits() -> str:
    """List the limits with their defaults and what they may be set to."""
    texts = _documented(grammar.Limits.__doc__ or "")
    rows = []
    for name in grammar.Limits.__dataclass_fields__:
        value = getattr(grammar.LIMITS, name)
        shown = "none" if value is None else f"{value:,}"
        least, most = grammar._RANGES.get(name, (1, grammar.MAX_LENGTH))
        end = "2^63 - 1" if most == 2**63 - 1 else f"{most:,}"
        rows.append(f"| `{name}` | {shown} | {least:,} to {end} | {texts[name]} |")
    head = ["| limit | default | may be | bounds |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows, ""])


# included from elsewhere ------------------------------------------------------


def results() -> str:
    """Take the measurements over, with links that fit their new place."""
    if not RESULTS.exists():
        return "No measurements are recorded in `bench/RESULTS.md` yet.\n"
    text = RESULTS.read_text(encoding="utf-8")
    text = re.sub(r"^# .*\n", "", text, count=1)  # the page has its own
    return re.sub(r"\]\((?![a-z]+:|#|/)([^)]+)\)", r"](../bench/\1)", text)


def pages() -> Iterator[tuple[str, str]]:
    """Give the name and text of each generated file."""
    yield "states.svg", diagram()
    yield "transitions.md", transitions()
    yield "parse-errors.md", parse_errors()
    yield "exchange-errors.md", exchange_errors()
    yield "hierarchy.md", hierarchy()
    yield "limits.md", limits()
    yield "results.md", results()


def write(*_: Any) -> None:
    """Write all, but leave what is right already."""
    GENERATED.mkdir(exist_ok=True)
    for name, text in pages():
        path = GENERATED / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def form_docstring(
    app: Any, what: str, name: str, documented: Any, options: Any, lines: list[str]
) -> None:
    """Turn a docstring into reStructuredText, in place."""
    from sphinx.ext.napoleon import GoogleDocstring

    formed: list[str] = []
    for line in lines:
        if formed and formed[-1].startswith(" ") and line[:1].strip():
            formed.append("")  # a paragraph of its own, not a part of the section before
        formed.append("Attributes:" if line == "Attributes beyond hio's:" else line)
    if what not in ("property", "attribute", "data"):  # whose text is text, colons and all
        google = GoogleDocstring(formed, app.config, app, what, name, documented, options)
        formed = google.lines()
    lines[:] = formed


def setup(app: Any) -> dict[str, Any]:
    """Write before Sphinx looks for its sources."""
    app.connect("config-inited", write)
    app.connect("autodoc-process-docstring", form_docstring)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    write()
