"""Parsers side by side, each made to do the same work.

Each gives for every message: the status as int, the headers as str in a mapping
that can be asked in any case (or whose keys are all lower case), and the body in
one bytes or bytearray. Each keeps its parser over the messages of a connection
where it can, which is its fastest fair use. What it needs besides (a callback
object, a cycle, a request sent before) is part of its cost.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from .messages import Case, Pieces

__all__ = ["MAKERS", "OURS", "Peers", "check", "find_peers", "version_of"]

#: Status, headers and body of a message.
Result = tuple[int, Mapping[str, str], "bytes | bytearray"]
#: Parses messages one after the other and returns what the last one was.
Peer = Callable[[Sequence[Pieces]], Result]

#: Names of our own.
OURS = ("fasthio C", "fasthio C rx", "fasthio Respondent", "fasthio Python")


class Peers(NamedTuple):
    """Peers that are here, and why others are not."""

    runs: dict[str, Peer]
    missing: dict[str, str]


def version_of(distribution: str) -> str:
    """Give the version of an installed distribution."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "?"


def _engine(module: str) -> Peer:
    """Hand octets over as bytes, as the peers are handed them."""
    from hio.help import Hict

    parser = importlib.import_module(module).ResponseParser(mapping=Hict)
    start, feed = parser.start, parser.feed

    def run(messages: Sequence[Pieces]) -> Result:
        for pieces in messages:
            start("GET")
            for piece in pieces:
                feed(piece)
            result = parser.status, parser.headers, parser.body
        return result

    return run


def _engine_rx(module: str) -> Peer:
    """Parse from a receive buffer, as our client does: one copy of each octet more."""
    from hio.help import Hict

    parser = importlib.import_module(module).ResponseParser(mapping=Hict)
    rx = bytearray()
    start, take, extend = parser.start, parser.take, rx.extend

    def run(messages: Sequence[Pieces]) -> Result:
        for pieces in messages:
            start("GET")
            for piece in pieces:
                extend(piece)
                take(rx)
            result = parser.status, parser.headers, parser.body
        return result

    return run


def _respondent(cls: Any) -> Peer:
    """Drive a Respondent, hio's or ours."""

    buffer = bytearray()
    extend = buffer.extend
    respondent = cls(msg=buffer, method="GET")

    def run(messages: Sequence[Pieces]) -> Result:
        for pieces in messages:
            respondent.makeParser()
            for piece in pieces:
                extend(piece)
                respondent.parse()
            result = respondent.status, respondent.headers, respondent.body
        return result

    return run


def _ours() -> Peer:
    return _respondent(importlib.import_module("fasthio.responding").Respondent)


def _hio() -> Peer:
    return _respondent(importlib.import_module("hio.core.http.clienting").Respondent)


def _httptools(multi: bool) -> Peer:
    httptools = importlib.import_module("httptools")
    mapping = importlib.import_module("multidict").CIMultiDict

    class Plain:
        """Collect into a dict with keys in lower case; a repeated field is lost."""

        def on_message_begin(self) -> None:
            self.headers: Any = {}
            self.parts: list[bytes] = []

        def on_header(self, name: bytes, value: bytes) -> None:
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

        def on_body(self, body: bytes) -> None:
            self.parts.append(body)

    class Multi(Plain):
        """Collect into a CIMultiDict, which is what hio's and our Hict are."""

        def on_message_begin(self) -> None:
            self.pairs: list[tuple[str, str]] = []
            self.parts = []

        def on_header(self, name: bytes, value: bytes) -> None:
            self.pairs.append((name.decode("latin-1"), value.decode("latin-1")))

        def on_headers_complete(self) -> None:
            self.headers = mapping(self.pairs)

    collector = Multi() if multi else Plain()
    parser = httptools.HttpResponseParser(collector)
    feed, status_of = parser.feed_data, parser.get_status_code

    def run(messages: Sequence[Pieces]) -> Result:
        for pieces in messages:
            for piece in pieces:
                feed(piece)
            result = status_of(), collector.headers, b"".join(collector.parts)
        return result

    return run


def _aiohttp() -> Peer:
    parser_of = importlib.import_module("aiohttp._http_parser").HttpResponseParser

    class Protocol:
        """What the parser's stream asks of a connection: no flow control."""

        _reading_paused = False

        def pause_reading(self, *_: Any, **__: Any) -> None:
            """Take no notice."""

        def resume_reading(self, *_: Any, **__: Any) -> None:
            """Take no notice."""

    loop = object()  # only for who waits, and nobody does
    parser = parser_of(Protocol(), loop, 1 << 30)
    feed = parser.feed_data

    def run(messages: Sequence[Pieces]) -> Result:
        for pieces in messages:
            for piece in pieces:
                found, _, _ = feed(piece)
                if found:
                    head, payload = found[0]
            result = head.code, head.headers, payload.read_nowait()
        return result

    return run


def _zttp() -> Peer:
    zttp = importlib.import_module("zttp")
    need, end = zttp.NEED_DATA, zttp.EndOfMessage
    connection = zttp.Connection(zttp.CLIENT)
    receive, follow = connection.receive_event, connection.next_event

    def run(messages: Sequence[Pieces]) -> Result:
        for pieces in messages:
            parts: list[bytes] = []
            for piece in pieces:
                event = receive(piece)
                while event is not need:
                    kind = type(event)
                    if kind is zttp.Data:
                        parts.append(event.data)
                    elif kind is zttp.Response:
                        head = event
                    elif kind is end:
                        break
                    event = follow()
            headers = {
                name.decode("latin-1"): value.decode("latin-1")
                for name, value in head.headers.to_list(lowercase_names=True)
            }
            result = head.status_code, headers, b"".join(parts)
            connection.start_next_cycle()
        return result

    return run


def _h11r() -> Peer:
    h11r = importlib.import_module("h11r")
    need = h11r.ReceiveStatus.NEED_DATA
    connection = h11r.Connection(h11r.Role.CLIENT)
    receive, follow = connection.receive_data, connection.next_event
    host = [("Host", "x")]

    def run(messages: Sequence[Pieces]) -> Result:
        for pieces in messages:
            # it reads no response before it has sent a request
            connection.send_request("GET", "/", host)
            connection.end_of_message()
            parts: list[bytes] = []
            for piece in pieces:
                receive(piece)
                while (event := follow()) is not need:
                    kind = type(event)
                    if kind is h11r.Data:
                        parts.append(event.data)
                    elif kind is h11r.Response:
                        head = event
                    elif kind is h11r.EndOfMessage:
                        break
            headers = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in head.headers
            }
            result = head.status_code, headers, b"".join(parts)
            connection.start_next_cycle()
        return result

    return run


def _h11() -> Peer:
    h11 = importlib.import_module("h11")
    need = h11.NEED_DATA

    def run(messages: Sequence[Pieces]) -> Result:
        for pieces in messages:
            # a new one for each: a cycle needs a request sent, which costs more
            connection = h11.Connection(h11.CLIENT)
            parts: list[bytes] = []
            for piece in pieces:
                connection.receive_data(piece)
                while (event := connection.next_event()) is not need:
                    kind = type(event)
                    if kind is h11.Data:
                        parts.append(event.data)
                    elif kind is h11.Response:
                        head = event
                    else:
                        break
            headers = {
                name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers
            }
            result = head.status_code, headers, b"".join(parts)
        return result

    return run


class _Reader(io.RawIOBase):
    """A socket's file that gives one piece at a time."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._next = iter(pieces).__next__
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        rest = self._rest
        if not rest:
            try:
                rest = memoryview(self._next())
            except StopIteration:
                return 0
        count = min(len(rest), len(buffer))
        buffer[:count] = rest[:count]
        self._rest = rest[count:]
        return count


class _Socket:
    """What http.client needs of a socket."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._pieces))


def _http_client() -> Peer:
    from http.client import HTTPResponse

    def run(messages: Sequence[Pieces]) -> Result:
        for pieces in messages:
            response = HTTPResponse(_Socket(pieces), method="GET")  # type: ignore[arg-type]
            response.begin()
            result = response.status, response.headers, response.read()
        return result  # type: ignore[return-value]

    return run


def _copy() -> Peer:
    def run(messages: Sequence[Pieces]) -> Result:
        for pieces in messages:
            body = bytearray()
            for piece in pieces:
                body += piece
            result = 200, {}, body  # lives until the next is there, as it does with all peers
        return result

    return run


#: How to make each peer, and its distribution on PyPI.
MAKERS: dict[str, tuple[Callable[[], Peer], str | None]] = {
    "fasthio C": (lambda: _engine("fasthio._parser"), "fasthio"),
    "fasthio C rx": (lambda: _engine_rx("fasthio._parser"), "fasthio"),
    "fasthio Respondent": (_ours, "fasthio"),
    "fasthio Python": (lambda: _engine("fasthio._pyparser"), "fasthio"),
    "hio": (_hio, "hio"),
    "httptools": (lambda: _httptools(multi=False), "httptools"),
    "httptools CIMultiDict": (lambda: _httptools(multi=True), "httptools"),
    "aiohttp C": (_aiohttp, "aiohttp"),
    "zttp": (_zttp, "zttp"),
    "h11r": (_h11r, "h11r"),
    "h11": (_h11, "h11"),
    "http.client": (_http_client, None),
}


def find_peers(names: Iterable[str] = MAKERS) -> Peers:
    """Make the peers that are installed; say why the others are missing."""
    runs: dict[str, Peer] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            runs[name] = MAKERS[name][0]()
        except ImportError as error:
            missing[name] = str(error)
    return Peers(runs, missing)


def plain_copy() -> Peer:
    """Give what does no more than put the octets together."""
    return _copy()


def check(name: str, run: Peer, case: Case) -> str | None:
    """Run a case once and tell what is wrong with the last message; None if nothing is."""
    try:
        status, headers, body = run(case.messages)
    except Exception as error:  # of any peer's making: shown in the table, not hidden
        return f"{type(error).__name__}: {error}"[:100]
    if status != 200:
        return f"status {status}"
    if body != case.body:
        return f"body of {len(body)} octets, not {len(case.body)}"
    if len(headers) != case.fields:
        return f"{len(headers)} fields, not {case.fields}"
    if not headers["server"].startswith("nginx/1.22.1") or type(headers["server"]) is not str:
        return "the headers are not as sent"
    return None
