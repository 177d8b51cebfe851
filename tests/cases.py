"""Read the cases in tests/corpus/ and tell how an engine does on them.

The README.md there tells the format.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from eventcases import unescape
from fasthio.errors import ParseError
from fasthio.grammar import Limits

__all__ = ["CASES", "FOLDER", "Case", "Run", "fault_of", "log_of", "parser_of", "run", "snapshot"]

FOLDER = Path(__file__).parent / "corpus"

_HEADING = re.compile(r"^### (.+)$")
_NOTE = re.compile(r"^- (h11|httptools|http\.client): (.+)$")
#: A character so often in a row is written once with its count.
_RUN = re.compile(r"(.)\1{39,}", re.DOTALL)


@dataclass
class Case:
    """One case: octets, and the log of what a parser makes of them."""

    file: str
    title: str
    why: str
    octets: bytes
    method: str = "GET"
    eof: bool = False
    limits: dict[str, int] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)  # where an oracle differs, and why

    @property
    def name(self) -> str:
        """Name of the case in the whole corpus."""
        return f"{self.file}: {self.title}"

    @property
    def bounds(self) -> Limits:
        """The limits as an engine takes them."""
        return Limits(**self.limits)


def _read(path: Path) -> list[Case]:
    """Read the cases of one file."""
    cases: list[Case] = []
    title, why = "", []
    block: list[str] | None = None
    for line in path.read_text("utf-8").split("\n"):
        heading = _HEADING.match(line)
        note = _NOTE.match(line)
        if block is not None and line != "```":
            block.append(line)
        elif heading:
            title, why = heading[1], []
        elif line.startswith("```") and block is None:
            kind, *words = line[3:].split()
            block = []
        elif line == "```" and block is not None:
            if kind == "response":
                case = Case(path.stem, title, " ".join(why), unescape("".join(block)))
                for word in words:
                    key, is_limit, value = word.partition("=")
                    if is_limit:
                        case.limits[key] = int(value)
                    elif key == "eof":
                        case.eof = True
                    else:
                        case.method = key
                cases.append(case)
            elif kind == "log" and cases and cases[-1].title == title and not cases[-1].log:
                cases[-1].log = block
            else:
                raise ValueError(f"{path.name}: {title}: {kind} block out of place")
            block = None
        elif note:
            cases[-1].notes[note[1]] = note[2]
        elif title and line:
            why.append(line)
    return cases


#: All cases, in the order of their files; README.md and ORACLES.md hold none.
CASES = [
    case for path in sorted(FOLDER.glob("*.md")) if path.stem.islower() for case in _read(path)
]


# what an engine does ---------------------------------------------------------


def _quoted(text: str) -> str:
    """Write text as JSON strings; what is long and all the same with its count."""
    parts: list[str] = []
    end = 0
    for match in _RUN.finditer(text):
        if match.start() > end:
            parts.append(json.dumps(text[end : match.start()]))
        parts.append(f"{json.dumps(match[1])}*{len(match[0])}")
        end = match.end()
    if end < len(text) or not parts:
        parts.append(json.dumps(text[end:]))
    return " ".join(parts).replace("\x7f", r"\u007f")


def log_of(parser: Any, rest: bytes) -> list[str]:
    """Write down all that a parser says, one line for each thing; what is empty is left out."""
    lines = [f"state {parser.state}"]
    if parser.version is not None:
        lines.append("version {}.{}".format(*parser.version))
    if parser.status is not None:
        lines += [f"status {parser.status}", f"reason {_quoted(parser.reason)}"]
    if parser.headers is not None:
        lines += _counted(f"field {_quoted(n)} {_quoted(v)}" for n, v in parser.headers.items())
    if parser.framing is not None:
        lines.append(f"framing {parser.framing}")
    if parser.length is not None:
        lines.append(f"length {parser.length}")
    if parser.body:
        lines.append(f"body {_quoted(parser.body.decode('iso-8859-1'))}")
    for name, value in parser.extensions.items():
        lines.append(f"extension {_quoted(name)} {'null' if value is None else _quoted(value)}")
    if parser.trailers is not None:
        lines += _counted(f"trailer {_quoted(n)} {_quoted(v)}" for n, v in parser.trailers.items())
    if parser.codings:
        lines += _counted(f"coding {coding}" for coding in parser.codings)
    if parser.conflicted:
        lines.append("conflicted")
    if parser.interims:
        lines.append(f"interims {parser.interims}")
    if parser.wanted:
        lines.append(f"wanted {parser.wanted}")
    lines.append(f"consumed {parser.consumed}")
    error = parser.error
    if error is not None:
        near = f" near {_quoted(error.near.decode('iso-8859-1'))}" if error.near else ""
        lines.append(f"error {error.code} at {error.offset} in {error.state}{near}")
    if rest:
        lines.append(f"rest {_quoted(rest.decode('iso-8859-1'))}")
    return lines


def _counted(lines: Iterable[str]) -> list[str]:
    """Write equal lines in a row once, with their count."""
    counted: list[list[Any]] = []
    for line in lines:
        if counted and counted[-1][0] == line:
            counted[-1][1] += 1
        else:
            counted.append([line, 1])
    return [line if count == 1 else f"{line} times {count}" for line, count in counted]


def fault_of(error: ParseError | None) -> tuple[Any, ...] | None:
    """Give all that an error tells, to be compared."""
    if error is None:
        return None
    return (
        type(error).__name__,
        error.code,
        error.offset,
        error.state,
        error.rfc,
        error.near,
        str(error),
    )


#: What `ResponseParser.snapshot` gives, in its order.
SNAPSHOT = (
    "headed", "done", "wanted", "version", "status", "reason", "headers", "framing", "length",
    "body", "trailers", "conflicted",
)  # fmt: skip


def snapshot(parser: Any) -> tuple[Any, ...]:
    """Give all that a parser tells, to be compared."""
    headers, trailers = parser.headers, parser.trailers
    assert parser.snapshot() == tuple(getattr(parser, name) for name in SNAPSHOT), (
        "at once and one by one"
    )
    return (
        parser.state,
        parser.method,
        parser.version,
        parser.status,
        parser.reason,
        None if headers is None else list(headers.items()),
        parser.framing,
        parser.length,
        bytes(parser.body),
        list(parser.extensions.items()),
        None if trailers is None else list(trailers.items()),
        parser.codings,
        parser.conflicted,
        parser.interims,
        parser.consumed,
        parser.headed,
        parser.done,
        parser.wanted,
        fault_of(parser.error),
    )


@dataclass
class Run:
    """What came of one message: the parser's words and the octets it left."""

    snapshot: tuple[Any, ...]
    rest: bytes


def parser_of(engine: ModuleType, case: Case) -> Any:
    """Make a parser with the limits of a case."""
    return engine.ResponseParser(limits=case.bounds)


def run(
    parser: Any,
    pieces: Sequence[bytes],
    method: str = "GET",
    eof: bool = False,
    way: str = "parse",
) -> Run:
    """Start a parser and give it a message piece by piece.

    Args:
        parser: parser, whatever it did before.
        pieces: octets, cut.
        method: method of the request.
        eof: True to say at the end that no more will come.
        way: "parse" and "take" from a buffer, as its owner would; or "feed".
    Raises:
        AssertionError: the parser broke its promises about the buffer, or raised
            another error than the one it keeps.
    """
    parser.start(method)
    rx = bytearray()
    at = 0
    step = _STEPS[way]
    try:
        while at < len(pieces) and not parser.done:
            rx += pieces[at]
            at += 1
            step(parser, rx, False)
        if eof:
            step(parser, rx, True)
    except ParseError as error:
        if error is not parser.error or parser.state != "failed":
            raise AssertionError("raised another error than it keeps") from error
    # what comes behind the end stays with the owner
    return Run(snapshot(parser), bytes(rx) + b"".join(pieces[at:]))


def _parse(parser: Any, rx: bytearray, eof: bool) -> None:
    size, before = len(rx), parser.consumed
    try:
        count = parser.parse(rx, eof)
    except ParseError:
        del rx[: parser.consumed - before]
        raise
    assert len(rx) == size, "resized the buffer"
    assert count == parser.consumed - before, "returned another count than it consumed"
    del rx[:count]


def _take(parser: Any, rx: bytearray, eof: bool) -> None:
    size, before = len(rx), parser.consumed
    try:
        count = parser.take(rx, eof)
    finally:
        taken = parser.consumed - before
        assert len(rx) == size - taken, "deleted another count than it consumed"
    assert count == taken, "returned another count than it consumed"


def _feed(parser: Any, rx: bytearray, eof: bool) -> None:
    data = bytes(rx)
    done = parser.done
    del rx[:]  # kept by the parser, or lost with the error
    count = parser.feed(data, eof)
    assert count == len(data) or parser.done, "left octets of the message"
    assert not (done and count), "took octets behind the end"
    rx += data[count:]


_STEPS = {"parse": _parse, "take": _take, "feed": _feed}
