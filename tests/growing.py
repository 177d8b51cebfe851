"""What can grow in a response, each in a response that has it so many times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fasthio.grammar import Limits

__all__ = ["GROWS", "WIDE"]

#: Limits that nothing here meets.
WIDE: Final = Limits(
    line=1 << 20, fields=1 << 16, head=1 << 24, interims=1 << 16, extensions=1 << 24,
    trailers=1 << 24, empty_lines=100,
)  # fmt: skip
HEAD = b"HTTP/1.1 200 OK\r\n"
CODING = HEAD + b"Transfer-Encoding: "
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

#: What grows, and a response in which it is so many times.
GROWS: Final[dict[str, Callable[[int], bytes]]] = {
    "status line": lambda n: b"HTTP/1.1 200 " + b"x" * n + b"\r\n\r\n",
    "field line": lambda n: HEAD + b"A: " + b"x" * n + b"\r\n\r\n",
    "field line of spaces": lambda n: HEAD + b"A:" + b" " * n + b"x\r\n\r\n",
    "field name": lambda n: HEAD + b"A" * n + b": x\r\n\r\n",
    "line without colon": lambda n: HEAD + b"A" * n + b"\r\n\r\n",
    "line with a NUL": lambda n: HEAD + b"A: " + b"x" * n + b"\0\r\n\r\n",
    "fields": lambda n: HEAD + b"A: b\r\n" * (n // 4) + b"\r\n",
    "fields, LF alone": lambda n: HEAD + b"A: b\n" * (n // 4) + b"\n",
    "fields of names not seen": lambda n: HEAD + b"".join(b"A%d: b\r\n" % i for i in range(n // 4)),
    "folds": lambda n: HEAD + b"A: b\r\n" + b" c\r\n" * (n // 4) + b"\r\n",
    "empty folds": lambda n: HEAD + b"A: b\r\n" + b" \r\n" * (n // 4) + b"\r\n",
    "Content-Length digits": lambda n: HEAD + b"Content-Length: " + b"0" * n + b"5\r\n\r\n",
    "Content-Length list": lambda n: HEAD + b"Content-Length: " + b"5," * (n // 2) + b"5\r\n\r\n",
    "Content-Length fields": lambda n: HEAD + b"Content-Length: 5\r\n" * (n // 4) + b"\r\n",
    "codings": lambda n: CODING + b"a," * (n // 2) + b"chunked\r\n\r\n",
    "coding fields": lambda n: HEAD + b"Transfer-Encoding: a\r\n" * (n // 4) + b"\r\n",
    "coding parameters": lambda n: CODING + b"a" + b";b=c" * (n // 4) + b"\r\n\r\n",
    "coding of semicolons": lambda n: CODING + b"a" + b" ;" * (n // 2) + b"\r\n\r\n",
    "coding not quoted to its end": lambda n: CODING + b'a;b="' + b"\\a" * (n // 2) + b"\r\n\r\n",
    "interims": lambda n: b"HTTP/1.1 100 C\r\n\r\n" * (n // 4),
    "fields of interims": lambda n: b"HTTP/1.1 103 C\r\n" + b"A: b\r\n" * (n // 4) + b"\r\n",
    "body": lambda n: HEAD + b"Content-Length: %d\r\n\r\n" % n + b"x" * n,
    "body until close": lambda n: HEAD + b"\r\n" + b"x" * n,
    "chunks": lambda n: CHUNKED + b"1\r\nx\r\n" * (n // 4) + b"0\r\n\r\n",
    "chunks of many sizes": lambda n: CHUNKED + b"1\r\nx\r\n2\r\nxy\r\n" * (n // 8) + b"0\r\n\r\n",
    "one chunk": lambda n: CHUNKED + b"%x\r\n" % n + b"x" * n + b"\r\n0\r\n\r\n",
    "zeros of a size": lambda n: CHUNKED + b"0" * n + b"1\r\nx\r\n0\r\n\r\n",
    "spaces behind a size": lambda n: CHUNKED + b"1" + b" " * n + b"\r\nx\r\n0\r\n\r\n",
    "chunk extensions": lambda n: CHUNKED + b"1;a=b\r\nx\r\n" * (n // 4) + b"0\r\n\r\n",
    "extensions of a chunk": lambda n: CHUNKED + b"1" + b";a=b" * (n // 4) + b"\r\nx\r\n0\r\n\r\n",
    "names of extensions": lambda n: CHUNKED
    + b"".join(b"1;a%d\r\nx\r\n" % i for i in range(n // 4)),
    "empty extensions": lambda n: CHUNKED + b"1" + b";" * n + b"\r\nx\r\n0\r\n\r\n",
    "quoted extension": lambda n: CHUNKED + b'1;a="' + b"\\x" * (n // 2) + b'"\r\nx\r\n0\r\n\r\n',
    "extension not quoted to its end": lambda n: CHUNKED + b'1;a="' + b"x" * n + b"\r\n",
    "trailers": lambda n: CHUNKED + b"0\r\n" + b"A: b\r\n" * (n // 4) + b"\r\n",
    "trailer line": lambda n: CHUNKED + b"0\r\nA: " + b"x" * n + b"\r\n\r\n",
    "folds of a trailer": lambda n: CHUNKED + b"0\r\nA: b\r\n" + b" c\r\n" * (n // 4) + b"\r\n",
}  # fmt: skip
