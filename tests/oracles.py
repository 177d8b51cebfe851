"""Other parsers as oracles: what each makes of a case, and where it differs from fasthio."""

from __future__ import annotations

import http.client
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import h11
import httptools

from cases import CASES, FOLDER, Case, parser_of, run
from fasthio import _pyparser

__all__ = [
    "ORACLES",
    "PAGE",
    "Verdict",
    "askable",
    "difference",
    "noted",
    "ours",
    "page",
    "reasons",
]

PAGE = Path(__file__).parent.parent / "docs" / "oracles.md"


@dataclass
class Verdict:
    """What a parser makes of a response: "accepts", "refuses", or "waits" for more.

    What is accepted has its status, fields (names in lower case) and body.
    """

    verdict: str
    status: int | None = None
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""


def ours(case: Case) -> Verdict:
    """Tell what fasthio makes of a case."""
    parser = parser_of(_pyparser, case)
    run(parser, [case.octets], case.method, case.eof)
    if parser.error is not None:
        return Verdict("refuses")
    if not parser.done:
        return Verdict("waits")
    fields = [(name.lower(), value) for name, value in parser.headers.items()]
    return Verdict("accepts", parser.status, fields, bytes(parser.body))


def by_h11(case: Case) -> Verdict:
    """Tell what h11 makes of a case."""
    # a client that asks for an upgrade, so that a 101 is one to h11 too
    fields = [("Host", "x"), ("Connection", "Upgrade"), ("Upgrade", "websocket")]
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    connection.send(h11.Request(method=case.method, target="/", headers=fields))
    connection.send(h11.EndOfMessage())
    found = Verdict("waits")
    try:
        if case.octets:
            connection.receive_data(case.octets)
        for closed in (False, True):
            if closed:
                if not case.eof:
                    return found
                connection.receive_data(b"")
            for _ in range(len(case.octets) + 8):
                event = connection.next_event()
                if isinstance(event, h11.InformationalResponse | h11.Response):
                    if event.status_code == 101 or isinstance(event, h11.Response):
                        found.status = event.status_code
                        found.fields = [
                            (name.decode(), value.decode("iso-8859-1"))
                            for name, value in event.headers
                        ]
                elif isinstance(event, h11.Data):
                    found.body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage) or event is h11.PAUSED:
                    found.verdict = "accepts"
                    return found
                elif isinstance(event, h11.ConnectionClosed):
                    return Verdict("refuses")
                elif event is h11.NEED_DATA:
                    break
    except h11.RemoteProtocolError:
        return Verdict("refuses")
    return found


class _Collector:
    """Takes what httptools tells, up to the end of the final response."""

    def __init__(self) -> None:
        self.parser: Any = None
        self.found = Verdict("waits")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.found.verdict == "waits" and self.found.status is None:
            self.found.fields.append(
                (name.decode("iso-8859-1").lower(), value.decode("iso-8859-1"))
            )

    def on_headers_complete(self) -> None:
        status = self.parser.get_status_code()
        if self.found.verdict == "accepts":
            return
        if 100 <= status < 200 and status != 101:
            self.found.fields = []
        else:
            self.found.status = status

    def on_body(self, body: bytes) -> None:
        if self.found.verdict == "waits":
            self.found.body += body

    def on_message_complete(self) -> None:
        if self.found.status is not None:
            self.found.verdict = "accepts"


def by_httptools(case: Case) -> Verdict:
    """Tell what httptools (llhttp) makes of a case."""
    collector = _Collector()
    collector.parser = parser = httptools.HttpResponseParser(collector)
    try:
        parser.feed_data(case.octets)
    except httptools.HttpParserUpgrade:
        collector.found.verdict = "accepts"
    except httptools.HttpParserError:
        if collector.found.verdict != "accepts":
            return Verdict("refuses")
    return collector.found


class _Socket:
    """Gives http.client its octets."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets

    def makefile(self, *_: Any) -> io.BytesIO:
        return io.BytesIO(self.octets)


def by_http_client(case: Case) -> Verdict:
    """Tell what http.client makes of a case."""
    response = http.client.HTTPResponse(_Socket(case.octets), method=case.method.upper())  # type: ignore[arg-type]
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, ValueError, OverflowError, OSError):
        return Verdict("refuses")
    fields = [(name.lower(), value) for name, value in response.headers.items()]
    return Verdict("accepts", response.status, fields, body)


ORACLES: dict[str, Callable[[Case], Verdict]] = {
    "h11": by_h11,
    "httptools": by_httptools,
    "http.client": by_http_client,
}


def askable(case: Case, name: str) -> bool:
    """Tell whether a case can be put to an oracle, and is not about a limit of ours alone."""
    if case.limits:
        return False
    if name == "httptools":  # knows no method and no end of stream
        return case.method.upper() not in ("HEAD", "CONNECT") and not case.eof
    if name == "http.client":  # reads from a file and cannot wait
        return case.eof or case.log[0] in ("state done", "state failed")
    return True


def difference(case: Case, name: str) -> str | None:
    """Tell in what an oracle differs from fasthio.

    Args:
        case: one of the corpus.
        name: of the oracle.
    Returns:
        "" where they agree; "accepts", "refuses" or "waits" where the oracle does and
        fasthio does not; "other status", "other fields" or "other body" where both
        accept; None where the case cannot be put to the oracle, or is about a limit
        that only fasthio has.
    """
    if not askable(case, name):
        return None
    want, got = ours(case), ORACLES[name](case)
    if got.verdict != want.verdict:
        return got.verdict
    if want.verdict == "accepts":
        for what in ("status", "body", "fields"):
            if getattr(want, what) != getattr(got, what):
                return f"other {what}"
    return ""


# the page ------------------------------------------------------------------


class Reason(NamedTuple):
    """Why an oracle differs: the clause in question and what the oracle does."""

    clause: str
    why: str


def reasons() -> dict[tuple[str, str], Reason]:
    """Read the table of reasons: what it says by oracle and label."""
    rows = {}
    for line in (FOLDER / "ORACLES.md").read_text("utf-8").split("\n"):
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("|") and cells[0] in ORACLES:
            name, label, clause, why = cells
            rows[name, label] = Reason(clause, why)
    return rows


def noted(case: Case, name: str) -> tuple[str, str]:
    """Give what the corpus says of an oracle at a case: the difference and the label of why."""
    difference, _, label = case.notes.get(name, "").partition(" (")
    return difference, label.rstrip(")")


def page() -> str:
    """Make docs/oracles.md of the corpus."""
    differing = [case for case in CASES if case.notes]
    lines = [
        "# Other parsers on the same cases",
        "",
        "Made by `python tools/corpus.py oracles` from the notes in `tests/corpus/`; a test",
        "holds every note against the parser it speaks of. What is not in the table is agreed:",
        "the same verdict and, where it is accepted, the same status, fields and body.",
        "",
        "| parser | cases | agrees | differs |",
        "| --- | --- | --- | --- |",
    ]
    for name in ORACLES:
        asked = sum(askable(case, name) for case in CASES)
        differs = sum(name in case.notes for case in CASES)
        lines.append(f"| {name} | {asked} | {asked - differs} | {differs} |")
    lines += ["", "## Why", ""]
    for (name, label), reason in reasons().items():
        lines.append(f"- **{name}: {label}** ({clause_of(reason)}) {reason.why}.")
    lines += ["", "## Cases", "", f"| case | fasthio | {' | '.join(ORACLES)} |"]
    lines.append("| --- | --- | " + " | ".join("---" for _ in ORACLES) + " |")
    for case in differing:
        cells = []
        for name in ORACLES:
            said, label = noted(case, name)
            same = "" if askable(case, name) else "not asked"
            cells.append(f"{said}: {label}" if said else same)
        verdict = next((line for line in case.log if line.startswith("error ")), case.log[0])
        title = case.name.replace("|", "\\|")
        lines.append(f"| {title} | {' '.join(verdict.split()[:2])} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def clause_of(reason: Reason) -> str:
    """Write a clause with its RFC."""
    return reason.clause if reason.clause.startswith("RFC") else f"RFC 9112 {reason.clause}"
