"""The cold half of the parser: what a refused line has wrong, and lists in framing fields."""

from __future__ import annotations

import pytest

from fasthio.grammar import FIELD_CONTENT, MAX_LENGTH, TOKEN
from fasthio.syntax import codings_of, extensions_of, field_fault, length_of, status_line_fault


@pytest.mark.parametrize(
    ("line", "fault"),
    [(b"HTTP/1.1 200 OK", None), (b"HTTP/1.0 999", None), (b"HTTP/0.9 100 ", None),
     (b"HTTP/1.9 200 \t\xff", None),
     (b"HTTP/", ("bad-version", 5)), (b"HTTP/1", ("bad-version", 6)),
     (b"HTTP/1.", ("bad-version", 7)), (b"HTTP/1.1", ("bad-version", 8)),
     (b"HTTP/1.1x", ("bad-version", 8)), (b"HTTP/x.1 ", ("bad-version", 5)),
     (b"HTTP/2.0 200", ("unknown-version", 5)), (b"HTTP/0.1 200", ("unknown-version", 5)),
     (b"HTTP/1.1 ", ("bad-status", 9)), (b"HTTP/1.1 099 ", ("bad-status", 9)),
     (b"HTTP/1.1 20", ("bad-status", 11)), (b"HTTP/1.1 2000", ("bad-status", 12)),
     (b"HTTP/1.1 200\t", ("bad-status", 12)), (b"HTTP/1.1 200 a\0", ("control-octet", 14)),
     (b"HTTP/1.1 200 a\rb", ("bare-cr", 14)), (b"HTTP/1.1 200 \x7f", ("control-octet", 13))],
)  # fmt: skip
def test_status_line_fault(line: bytes, fault: tuple[str, int] | None) -> None:
    """The first fault of a status line, by its place (RFC 9112 4)."""
    assert status_line_fault(line) == fault


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize(
    ("line", "fault"),
    [(b"a:", None), (b"a: b", None), (b"a:\t\xff~", None), (b"!#$%&'*+-.^_`|~:", None),
     (b"a", ("no-colon", 0)), (b"a b", ("no-colon", 0)), (b"a(b", ("no-colon", 0)),
     (b":", ("empty-name", 0)), (b": b", ("empty-name", 0)),
     (b"a : b", ("space-before-colon", 1)), (b"a \t : b", ("space-before-colon", 1)),
     (b"a b: c", ("bad-name", 1)), (b"a(: b", ("bad-name", 1)), (b"\xe9: b", ("bad-name", 0)),
     (b"a\0: b", ("control-octet", 1)), (b"a\r: b", ("bare-cr", 1)),
     (b"a: b\0", ("control-octet", 4)), (b"a: b\rc", ("bare-cr", 4)),
     (b"a:\x7f", ("control-octet", 2))],
)  # fmt: skip
def test_field_fault(line: bytes, first: bool, fault: tuple[str, int] | None) -> None:
    """The first fault of a field line, by its place (RFC 9112 5)."""
    assert field_fault(line, first) == fault


@pytest.mark.parametrize(
    ("line", "first", "fault"),
    [(b" a", True, ("leading-space", 0)), (b"\t", True, ("leading-space", 0)), (b" a", False, None),
     (b" \0", False, ("control-octet", 1)), (b"\ta\rb", False, ("bare-cr", 2))],
)  # fmt: skip
def test_fold_fault(line: bytes, first: bool, fault: tuple[str, int] | None) -> None:
    """A folded line needs one before it (RFC 9112 2.2, 5.2)."""
    assert field_fault(line, first) == fault


@pytest.mark.parametrize("octet", range(256))
def test_every_octet_of_a_field_line(octet: int) -> None:
    """Names are of tchar, values of field content, and nothing else is wrong or right."""
    one = bytes([octet])
    assert (field_fault(b"a" + one + b"b: c", True) is None) is (octet in TOKEN or one == b":")
    assert (field_fault(b"a: b" + one + b"c", True) is None) is (octet in FIELD_CONTENT)


@pytest.mark.parametrize(
    ("value", "result"),
    [("0", (0, "")), ("5", (5, "")), ("005", (5, "")), ("5, 5", (5, "")), ("5,05 ,\t5", (5, "")),
     (str(MAX_LENGTH), (MAX_LENGTH, "")), (f"000{MAX_LENGTH}", (MAX_LENGTH, "")),
     (str(MAX_LENGTH + 1), (0, "length-overflow")), ("9" * 5000, (0, "length-overflow")),
     ("5, 6", (0, "differing-lengths")),
     *((wrong, (0, "bad-length")) for wrong in ("", ",", "5,", ",5", "+5", "-5", "0x5", "5_0",
                                                "5 0", "5.", "\u0665", "\u00b2", "5\u00a0",
                                                "5\x85"))],
)  # fmt: skip
def test_length_of(value: str, result: tuple[int, str]) -> None:
    """Content-Length is 1*DIGIT, or a list of equal ones (RFC 9110 8.6)."""
    assert length_of(value) == result


@pytest.mark.parametrize(
    ("value", "result"),
    [("", ((), False, "")), (" , ,", ((), False, "")), ("chunked", ((), True, "")),
     ("CHUNKED", ((), True, "")), ("gzip", (("gzip",), False, "")),
     ("GZip , chunked,", (("gzip",), True, "")), ('a;b="c,\\"",chunked', (("a",), True, "")),
     ("a;b=c;d = e , chunked", (("a",), True, "")),
     ("chunked, chunked", ((), False, "chunked-repeated")),
     ("chunked, gzip", ((), False, "chunked-not-last")),
     ("gzip, chunked;a=b", ((), False, "chunked-parameters")),
     *((wrong, ((), False, "bad-coding")) for wrong in
       ("a b", "a;", "a;b", "a;b=", 'a;b="c', "=a", '"a"', "a/b", "\u00e9", "a;b=c d", "a,;b=c"))],
)  # fmt: skip
def test_codings_of(value: str, result: tuple[tuple[str, ...], bool, str]) -> None:
    """Transfer-Encoding is a list, chunked only its last element (RFC 9112 6.1, 7)."""
    assert codings_of(value) == result


@pytest.mark.parametrize(
    ("line", "result"),
    [(b"5", (5, [])), (b"0", (0, [])), (b"0005", (5, [])), (b"fF", (255, [])),
     (b"f" * 16, (2**64 - 1, [])), (b"0" * 99 + b"1", (1, [])), (b"5 \t", (5, [])),
     (b"5;a", (5, [("a", None)])), (b"5 ; a = b ;c", (5, [("a", "b"), ("c", None)])),
     (b'5;a="b;\\"c\\d"', (5, [("a", 'b;"cd')])), (b"5;", (5, [])), (b"5;;a;", (5, [("a", None)])),
     (b"5;a=1;a=2", (5, [("a", "1"), ("a", "2")]))],
)  # fmt: skip
def test_extensions_of(line: bytes, result: tuple[int, list[tuple[str, str | None]]]) -> None:
    """Size and extensions of a chunk-size line (RFC 9112 7.1, 7.1.1)."""
    assert extensions_of(line) == (*result, "", 0)


@pytest.mark.parametrize(
    ("line", "code", "index"),
    [(b"", "bad-chunk-size", 0), (b"x", "bad-chunk-size", 0), (b" 5", "bad-chunk-size", 0),
     (b"+5", "bad-chunk-size", 0), (b"0x5", "bad-chunk-size", 1), (b"5 5", "bad-chunk-size", 2),
     (b"5\r", "bad-chunk-size", 1), (b"1" + b"0" * 16, "chunk-size-overflow", 0),
     (b"5;a=", "bad-extension", 3), (b"5;=a", "bad-extension", 2), (b"5;a b", "bad-extension", 4),
     (b'5;a="b', "bad-extension", 3), (b"5;a=\xe9", "bad-extension", 3),
     (b"5;\0", "bad-extension", 2),
     (b'5;a="\0"', "bad-extension", 3), (b'5;a="b"c', "bad-extension", 7)],
)  # fmt: skip
def test_wrong_chunk_lines(line: bytes, code: str, index: int) -> None:
    """The first fault of a chunk-size line, by its place."""
    assert extensions_of(line) == (0, [], code, index)
