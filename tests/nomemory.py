"""Deny memory to an engine at each of its allocations in turn, one or all from there on.

    nomemory.py ENGINE

What may come out is MemoryError, or what comes out with memory. The call that failed, made again,
goes on as if it had not been, or is told that it cannot; and after `start` or `reset` all is well.
Prints how many calls were denied.
"""

from __future__ import annotations

import _testcapi
import faulthandler
import importlib
import sys
from typing import TYPE_CHECKING, Any

from fasthio.errors import ParseError
from fasthio.grammar import Limits

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
PLAIN = OK + b"Server: caf\xe9\r\nX-Own: a\r\nX-Own: b\r\nContent-Length: 5\r\n\r\nabcde"
#: Messages; the pieces of each are what its calls are given.
MESSAGES = {
    "plain": [PLAIN],
    "other values": [PLAIN.replace(b"caf\xe9", b"tea \xe9"), PLAIN, PLAIN],
    "pieces": [PLAIN[:9], PLAIN[9:30], PLAIN[30:70], PLAIN[70:-2], PLAIN[-2:]],
    "by line": [PLAIN.replace(b"\r\n", b"\n").replace(b"a\n", b"a\n  folded\n\tagain\n")],
    "interim": [b"\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + PLAIN],
    "chunks": [CHUNKED + b"5\r\nabcde\r\n5\r\nfghij\r\n" + b"1\r\nx\r\n" * 20 + b"0\r\n\r\n"],
    "extended": [
        CHUNKED + b'5;a=b;c="d\\e"\r\nab', b"cde\r", b"\n00",
        b"00;f\r\nOne: a\r\n b\r\nTwo: c", b"\r\n\r\n",
    ],
    "large": [OK + b"Content-Length: 400000\r\n\r\n" + b"x" * 1000, b"y" * 199_000, b"z" * 200_000],
    "close": [OK.replace(b"1.1", b"1.0") + b"\r\n", b"a" * 3000, b"b" * 9000],
    "codings": [OK + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    "no colon": [OK + b"Server: x\r\nwrong\r\n\r\n"],
    "lengths": [OK + b"Content-Length: 5\r\nContent-Length: x\r\n\r\n"],
    "bad chunk": [CHUNKED + b"5\r\nabcdeXX"],
    "long line": [OK + b"A: " + b"b" * 3000],
    "cut off": [PLAIN[:-1]],
}  # fmt: skip
#: Event streams, in the same way.
STREAMS = {
    "events": [b"\xef\xbb\xbfid: 1\nevent: tick\nretry: 5\ndata: a\n\ndata: b\ndata: c\n\n"],
    "pieces": [
        b"\xef\xbb",
        b"\xbfdata: caf\xc3",
        b"\xa9\r",
        b"\ndata: x\r\n\r",
        b"\nid\n\n: none\n",
    ],
    "much": [b"data: " + b"a" * 70_000 + b"\ndata: b\n\n", b"event: x\ndata\n\n" * 9],
    "too much": [b"data: a\n\ndata: " + b"a" * 200_000 + b"\n\n"],
    "retry": [b"retry: " + b"9" * 40 + b"\n\n"],
}
LIMITS = Limits(line=2000, event_line=100_000)
#: Whether one allocation alone is denied. Python code without any memory never comes out of some
#: loops (CPython 3.11), so that the Python engine is denied one at a time.
ALONE = (True,) if sys.argv[1:] == ["fasthio._pyparser"] else (True, False)


def told(parser: Any) -> tuple[Any, ...]:
    """Give what a parser of responses knows, so that it can be compared."""
    fields = [
        None if each is None else list(each.items()) for each in (parser.headers, parser.trailers)
    ]
    error = parser.error and (parser.error.code, parser.error.offset, str(parser.error))
    return (
        *fields, error, parser.state, parser.version, parser.status, parser.reason, parser.framing,
        parser.length, bytes(parser.body), dict(parser.extensions), parser.codings, parser.consumed,
        parser.interims, parser.conflicted,
    )  # fmt: skip


def told_of_events(parser: Any, events: list[Any]) -> tuple[Any, ...]:
    """Give what a parser of events knows."""
    error = parser.error and (parser.error.code, parser.error.offset, str(parser.error))
    return (
        [tuple(event.values()) for event in events], error, parser.leid, parser.retry, parser.bom,
        parser.consumed, parser.count, parser.ended,
    )  # fmt: skip


#: What comes before a call, and it.
Call = tuple[Any, Any]


def nothing() -> None:
    """Do nothing before a call."""


class Denied(Exception):
    """Say that a call was denied its memory."""


def call(attempt: Callable[[], Any], first: int, last: int) -> None:
    """Make a call without the allocations from `first` up to `last` (0: all that follow)."""
    _testcapi.set_nomemory(first, last)
    try:
        attempt()
    except ParseError:
        pass
    except MemoryError:
        _testcapi.remove_mem_hooks()
        raise Denied from None
    except SystemError as error:
        _testcapi.remove_mem_hooks()
        # CPython 3.11 itself loses the exception where it has no memory for the frame's object of a
        # Python function; of what the C engine loses it says which method returned NULL
        text = str(error)
        if text != "error return without exception set" and not text.startswith("<function "):
            raise
        raise Denied from None
    finally:
        _testcapi.remove_mem_hooks()


def fed(parser: Any, way: str, pieces: list[bytes], eof: bool) -> list[Call]:
    """Give the calls that hand the pieces to a parser of responses."""
    rx = bytearray()

    def again(index: int) -> Call:
        last = eof and index == len(pieces) - 1
        if way == "feed":
            return nothing, lambda: parser.feed(pieces[index], last)
        return lambda: rx.extend(pieces[index]), lambda: parser.take(rx, last)

    return [again(index) for index in range(len(pieces))]


def check(
    calls: Callable[[], list[Call]],
    renew: Callable[[], Any],
    tell: Callable[[], Any],
    where: str,
) -> int:
    """Deny each allocation of each call in turn; give how many calls were denied.

    Args:
        calls: makes the calls for one message from its beginning.
        renew: makes the parser ready for the next message.
        tell: gives what the parser knows.
        where: what this is, for who reads that it failed.
    """

    def whole() -> Any:
        for ready, each in calls():
            ready()
            try:
                each()
            except ParseError:
                pass
        return tell()

    renew()
    whole()
    renew()
    want = whole()
    denied = 0
    for index in range(len(calls())):
        for alone in ALONE:
            first = calm = 0
            while calm < 12:
                renew()
                made = calls()
                for ready, each in made[:index]:
                    ready()
                    each()
                made[index][0]()
                calm += 1
                try:
                    call(made[index][1], first, first + 1 if alone else 0)
                except Denied:
                    calm = 0
                    denied += 1
                    rest = [(nothing, made[index][1]), *made[index + 1 :]]
                else:
                    rest = made[index + 1 :]
                place = f"{where}: call {index}, allocation {first}, alone {alone}"
                refused = False
                for ready, each in rest:
                    ready()
                    try:
                        each()
                    except ParseError:
                        pass
                    except RuntimeError as error:
                        refused = "begin anew" in str(error)
                assert refused or tell() == want, f"{place}: {tell()} is not {want}"
                renew()
                assert whole() == want, f"{place}: {tell()} after that is not {want}"
                first += 1
    return denied


def responses(engine: ModuleType) -> int:
    """Check all messages, fed and taken from a buffer."""
    denied = 0
    for name, pieces in MESSAGES.items():
        for way in ("feed", "take"):
            parser = engine.ResponseParser(limits=LIMITS)
            denied += check(
                lambda parser=parser, way=way, pieces=pieces, eof=name in ("close", "cut off"): (  # type: ignore[misc]
                    fed(parser, way, pieces, eof)
                ),
                parser.start,
                lambda parser=parser: told(parser),  # type: ignore[misc]
                f"{name}, {way}",
            )
    return denied


def streams(engine: ModuleType) -> int:
    """Check all event streams."""
    denied = 0
    for name, pieces in STREAMS.items():
        parser = engine.EventParser(limits=LIMITS)
        events: list[Any] = []
        raw = bytearray()

        def renew(parser: Any = parser, events: list[Any] = events, raw: bytearray = raw) -> None:
            parser.reset()
            parser.leid = parser.retry = None
            events.clear()
            raw.clear()

        def calls(
            parser: Any = parser,
            events: list[Any] = events,
            raw: bytearray = raw,
            pieces: list[bytes] = pieces,
        ) -> list[Call]:
            def again(index: int) -> Call:
                return lambda: raw.extend(pieces[index]), lambda: parser.feed(raw, events)

            return [again(index) for index in range(len(pieces))]

        denied += check(
            calls,
            renew,
            lambda parser=parser, events=events: told_of_events(parser, events),  # type: ignore[misc]
            f"events, {name}",
        )
    return denied


if __name__ == "__main__":
    faulthandler.enable()
    module = importlib.import_module(sys.argv[1])
    print(responses(module) + streams(module), "calls were denied memory")
