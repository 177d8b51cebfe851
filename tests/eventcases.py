"""Read the cases of event streams in tests/events/; its README.md tells the format."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fasthio.grammar import Limits

__all__ = ["CASES", "Case", "unescape"]

FOLDER = Path(__file__).parent / "events"

_HEADING = re.compile(r"^### (.+)$")
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|\{(.*?)\*(\d+)\}|(.))", re.DOTALL)
_SIMPLE = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0", b"s": b" ", b"\\": b"\\"}
_EVENT = re.compile(r'^event (null|"(?:[^"\\]|\\.)*") ("(?:[^"\\]|\\.)*") (".*")(?:\*(\d+))?$')


@dataclass(frozen=True)
class Case:
    """One case: a stream and what comes of it."""

    name: str
    octets: bytes
    limits: dict[str, int] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    leid: str | None = None
    retry: int | None = None
    bom: str | None = None
    error: tuple[str, int] | None = None

    @property
    def bounds(self) -> Limits:
        """The limits as an engine takes them."""
        return Limits(**self.limits)


def unescape(text: str) -> bytes:
    """Turn the text of a stream block into octets."""

    def replace(match: re.Match[bytes]) -> bytes:
        octet, repeated, count, simple = match.groups()
        if octet is not None:
            return bytes([int(octet, 16)])
        if repeated is not None:
            return _ESCAPE.sub(replace, repeated) * int(count)
        return _SIMPLE[simple]

    return _ESCAPE.sub(replace, text.encode())


def _read_log(lines: list[str]) -> dict[str, Any]:
    """Turn the lines of a log block into what a Case says."""
    said: dict[str, Any] = {"events": []}
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "event":
            match = _EVENT.match(line)
            if match is None:
                raise ValueError(f"no event: {line}")
            ident, name, data, count = match.groups()
            said["events"].append(
                {
                    "id": json.loads(ident),
                    "name": json.loads(name),
                    "data": json.loads(data) * int(count or 1),
                }
            )
        elif word == "leid":
            said["leid"] = json.loads(rest)
        elif word == "retry":
            digits, _, count = rest.partition("*")
            said["retry"] = int(digits * int(count or 1))
        elif word == "bom":
            said["bom"] = "\ufeff"
        elif word == "error":
            code, _, offset = rest.partition(" ")
            said["error"] = (code, int(offset))
        else:
            raise ValueError(f"no line of a log: {line}")
    return said


def _read(path: Path) -> list[Case]:
    """Read the cases of one file."""
    cases: list[Case] = []
    name = ""
    block: list[str] | None = None
    kind = ""
    octets: bytes | None = None
    limits: dict[str, int] = {}
    for line in path.read_text("utf-8").split("\n"):
        heading = _HEADING.match(line)
        if block is None and heading:
            if octets is not None:
                raise ValueError(f"{path.name}: {name} has no log")
            name = f"{path.stem}: {heading[1]}"
        elif block is None and line.startswith("```"):
            kind, *words = line[3:].split()
            block = []
            if kind == "stream":
                limits = {key: int(value) for key, value in (w.split("=") for w in words)}
        elif block is not None and line == "```":
            if kind == "stream":
                octets = unescape("".join(block))
            else:
                if octets is None:
                    raise ValueError(f"{path.name}: {name} has no stream")
                cases.append(Case(name=name, octets=octets, limits=limits, **_read_log(block)))
                octets = None
            block = None
        elif block is not None:
            block.append(line)
    return cases


CASES = [
    case for path in sorted(FOLDER.glob("*.md")) if path.name != "README.md" for case in _read(path)
]
