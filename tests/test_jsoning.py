"""JSON: the same value with orjson and without it."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fasthio import jsoning
from fasthio.jsoning import LARGEST, MOST, decode

DOCUMENTS = [
    b"{}", b"[]", b"0", b"-0", b"-0.0", b'""', b"null", b"true", b" \t\r\n1\n", b"1 2", b"", b" ",
    b"999999999999999999", b"1000000000000000000", b"9223372036854775807", b"9223372036854775808",
    b"-9223372036854775808", b"-9223372036854775809", b"18446744073709551615",
    b"18446744073709551616", b"123456789012345678901234567890", b"0.1234567890123456789012",
    b"1e400", b"-1e400", b"1e-400", b"1E5", b"1.5e300", b"5e-324", b"NaN", b"Infinity",
    b"-Infinity",
    b"01", b"1.", b".5", b"+1", b"nul", b"[1,]", b'{"a":1,}', b"{'a':1}", b'{"a" 1}', b"[1 2]",
    b'{"a":1,"b":2,"a":3}', b'"\\u00e9\\ud83d\\ude00"', b'"\\ud800"', b'"\\udc00\\ud800"',
    b'"\xc3\xa9\xf0\x9f\x98\x80"', b'"\xff"', b'"\xed\xa0\x80"', b'"\x00"', b'"a\nb"', b'"\x7f"',
    b"\xef\xbb\xbf1", b"\xff\xfe1\x00", b'"\\x"', b'"\\u12"', b'"abc', b"1\x00", b"\x0c1",
    b'{"since":"0000000000000000000"}', b"[" * 150 + b"]" * 150, b'{"a":' * 150 + b"1" + b"}" * 150,
    b"[" * 100_000, b'"' + b"x" * LARGEST + b'"', b"[0" + b",0" * 5000 + b"]",
    b"[" + b"{}," * MOST + b"{}]",
]  # fmt: skip


def outcome(read: Any, body: bytearray) -> tuple[str, Any]:
    """Give the value, exact to the type, or the kind of error."""
    try:
        return "value", read(body)
    except ValueError:
        return "no JSON", None
    except RecursionError:
        return "too deep", None


def standard(body: bytearray) -> Any:
    return json.loads(body.decode())


def same(one: Any, other: Any) -> bool:
    """Compare with types, order of names and the signs of zeros; NaN equals itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other) if isinstance(one, float) else bool(one == other)


@pytest.fixture(params=["orjson", "json"])
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Read with orjson and without."""
    if request.param == "json":
        monkeypatch.setattr(jsoning, "_quick", None)
    else:
        pytest.importorskip("orjson")
    return str(request.param)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: repr(document[:24]))
def test_as_json_reads(reader: str, document: bytes) -> None:
    for body in (bytearray(document), bytearray(document + b" " * 200)):
        kind, value = outcome(decode, body)
        expected, its = outcome(standard, body)
        assert kind == expected, reader
        assert same(value, its), reader


def test_deep_documents(reader: str) -> None:
    for depth in (400, MOST, MOST + 1, 700, 1023, 1024, 1025, 100_000):
        body = bytearray(b"[" * depth + b"]" * depth)
        assert outcome(decode, body)[0] == outcome(standard, body)[0], (reader, depth)


def test_body_is_left_alone(reader: str) -> None:
    body = bytearray(b' {"a": [1, 2.5, null]} ')
    assert decode(body) == {"a": [1, 2.5, None]}
    assert body == b' {"a": [1, 2.5, null]} '
    body += b"x"  # no view of it is left


def test_orjson_reads_what_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain documents only: no long numbers, no deep or large ones."""
    seen: list[bytes] = []

    def quick(body: bytearray) -> Any:
        seen.append(bytes(body))
        return json.loads(body)

    monkeypatch.setattr(jsoning, "_quick", quick)
    for document in (
        b"12345678901234567890",
        b"[" * (MOST + 1) + b"]" * (MOST + 1),
        b'"' + b"x" * LARGEST + b'"',
    ):
        outcome(decode, bytearray(document))
    assert not seen
    plain = b'{"n": 123456789012345678}'
    assert decode(bytearray(plain)) == {"n": 123456789012345678}
    assert seen == [plain]


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(st.characters(), max_size=8),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(
    value=VALUES,
    escaped=st.booleans(),
    cut=st.integers(0, 400),
    put=st.sampled_from([b"", b" ", b"\xff", b"9", b"-", b"e", b'"', b"\0", b",", b"]", b"\\"]),
)
def test_random_documents(value: Any, escaped: bool, cut: int, put: bytes) -> None:
    """Documents of all kinds, whole and with octets put in between."""
    whole = json.dumps(value, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    for document in (whole, whole[:cut] + put + whole[cut:], whole[:cut]):
        kind, got = outcome(decode, bytearray(document))
        expected, its = outcome(standard, bytearray(document))
        assert kind == expected
        assert same(got, its)


@pytest.mark.parametrize(
    ("body", "plain"),
    [
        (b"", True),
        (b"[[{", True),
        (b"[[{{", False),
        (b"[{}][{}]", False),
        (b'{"a":1234}', True),
        (b'{"a":12345}', False),
        (b"12345", False),
        (b"1234.1234e+1234", True),
        (b"123\x00456\xff789", True),
        (bytes(range(0x30)), True),
        (bytes(range(0x2F, 0x3B)), False),
    ],
)
def test_plain(engine: ModuleType, body: bytes, plain: bool) -> None:
    assert engine.plain_json(bytearray(body), 3, 5) is plain
    assert engine.plain_json(bytearray(body), 3, 0) is False


@pytest.mark.parametrize("body", [b"1", "1", None])
def test_plain_takes_buffers(engine: ModuleType, body: Any) -> None:
    with pytest.raises(TypeError, match=f"^body must be a bytearray, not {type(body).__name__}$"):
        engine.plain_json(body, 1, 1)


def test_plain_takes_buffers_of_a_subclass(engine: ModuleType) -> None:
    class Octets(bytearray):
        pass

    assert engine.plain_json(Octets(b"[1234]"), 1, 5) is True
    assert engine.plain_json(Octets(b"[12345]"), 1, 5) is False


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from([b"0", b"123", b"9" * 18, b"[", b"{", b",", b"\xc3\xa4", b"-."])))
def test_plain_as_counted(engine: ModuleType, parts: list[bytes]) -> None:
    body = bytearray(b"".join(parts))
    longest = max(map(len, re.findall(rb"[0-9]+", body)), default=0)
    expected = longest < 19 and body.count(b"[") + body.count(b"{") <= 5
    assert engine.plain_json(body, 5, 19) is expected


@pytest.mark.parametrize("body", [b'{"a": 1}', b"[" + b"1.5, " * 99 + b"2]", b'{"a": ', b"[1e999]"])
def test_without_orjson_it_is_the_same(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    monkeypatch.setitem(sys.modules, "orjson", None)
    spec = importlib.util.find_spec("fasthio.jsoning")
    assert spec is not None
    assert spec.loader is not None
    plain = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plain)
    assert plain._quick is None

    def said(module: Any) -> Any:
        try:
            return module.decode(bytearray(body))
        except ValueError as error:
            return type(error), str(error)

    assert said(plain) == said(jsoning)
