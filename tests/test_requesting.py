"""Requester: hio's octets and attributes, and every numbered difference from them."""

from __future__ import annotations

import copy
import inspect
import pickle
import random
import re
from typing import Any

import pytest
from hio import help
from hio.core.http import clienting as hio_clienting
from hio.core.http import httping
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fasthio import requesting
from fasthio.requesting import Requester

Hict = help.Hict
Hio = hio_clienting.Requester
ATTRIBUTES = [
    "hostname",
    "port",
    "scheme",
    "method",
    "path",
    "qargs",
    "fragment",
    "body",
    "data",
    "fargs",
    "portOptional",
    "lines",
    "head",
    "msg",
]
FORM = "application/x-www-form-urlencoded; charset=utf-8"
MULTIPART = {"Content-Type": "multipart/form-data"}


def state(requester: Any) -> list[tuple[str, type, Any]]:
    """Return all that a program can read from a requester, types included."""
    seen: list[tuple[str, type, Any]] = []
    for name in ATTRIBUTES:
        value = getattr(requester, name)
        seen.append((name, type(value), copy.copy(value)))
    seen.append(("qargs", tuple, typed(requester.qargs)))
    seen.append(("headers", type(requester.headers), typed(requester.headers)))
    return seen


def typed(mapping: Any) -> Any:
    """Return items in order with the types of names and values."""
    return None if mapping is None else [(k, type(k), v, type(v)) for k, v in mapping.items()]


def run(cls: type, steps: list[tuple[str, dict[str, Any]]], validating: bool = False) -> list[Any]:
    """Run construction, rebuilds, builds and changes in place; note each outcome.

    Ends at the first ValueError, whose text is not compared.
    """
    requester: Any = None
    seen: list[Any] = []
    for number, (what, kwargs) in enumerate(copy.deepcopy(steps)):
        random.seed(number)  # the same multipart boundary for both
        try:
            if what == "make":
                requester = cls(**kwargs)
            elif what == "headers":
                requester.headers.update(kwargs)
            elif what == "qargs":
                requester.qargs.update(kwargs)
            elif what == "set":
                for name, value in kwargs.items():
                    setattr(requester, name, value)
            else:
                if validating and what == "rebuild":
                    requester.validate(**kwargs)
                assert getattr(requester, what)(**kwargs) in (None, requester.msg)
        except (ValueError, httping.InvalidURL):
            seen.append("refused")
            break
        seen.append(state(requester))
    return seen


def same(*steps: tuple[str, dict[str, Any]], **made: Any) -> list[Any]:
    """Assert that ours does as hio; return what was seen."""
    script = [("make", made), *steps]
    ours = run(Requester, script)
    assert ours == run(Hio, script)
    return ours


def built(**kwargs: Any) -> bytes:
    """Build one request with ours."""
    return Requester(**kwargs).build()


def start(**kwargs: Any) -> bytes:
    """Return the request line of ours."""
    return built(**kwargs).partition(b"\r\n")[0]


def refused(match: str, **kwargs: Any) -> None:
    """Assert that rebuild and validate refuse, changing nothing a program sees."""
    requester = Requester(path="/before", headers={"A": "b"}, qargs={"q": "1"})
    requester.build()
    before = state(requester)
    with pytest.raises(ValueError, match=match):
        requester.validate(**copy.deepcopy(kwargs))
    assert state(requester) == before
    with pytest.raises(ValueError, match=match):
        requester.rebuild(**copy.deepcopy(kwargs))
    assert state(requester) == before


# The same as hio -----------------------------------------------------------------------

BUILD = ("build", {})


@pytest.mark.parametrize(
    "made",
    [
        {},
        {"method": "get", "path": None, "body": None, "headers": None},
        {"method": None, "path": ""},
        {"hostname": "localhost:8080", "port": 1},
        {"hostname": "[::1]", "port": 8080},
        {"hostname": "[::1]:80", "portOptional": True},
        {"hostname": "b\u00fccher.example", "port": 81},
        {"hostname": "b\u00fccher.example", "portOptional": True},
        {"hostname": "h", "port": 443, "scheme": "https", "portOptional": True},
        {"hostname": "h", "scheme": "https", "portOptional": True},
        {"hostname": "h", "port": "8080"},
        {"hostname": ""},
        {"path": "/?"},
        {"path": "/a?"},
        {"path": "/a b/%20\u00e9?x=1&y&z=%41+b#f"},
        {"path": "/a?x=1;y=2", "qargs": {"x": 0, "w": None}},
        {"path": "http://127.0.0.1:80/a?b=c"},
        {"path": "//127.0.0.1/a"},
        {"path": "/a", "fragment": "frag"},
        {"path": b"/a b"},
        {"qargs": {"a": "b c&d=e\r\n\0\u00e9", "b": 1, 3: True, "c[]": [1], "d%20": "", "e+": 1.5}},
        {
            "headers": Hict(
                [("x-a", "1"), ("X-A", b"2"), ("n", 3), ("e", bytearray(b"4")), ("t", True)]
            )
        },
        {"headers": [("a", "\u00e9\x80\t")]},
        {"headers": {"host": "x", "ACCEPT-encoding": "gzip", "x-api2key_a": ""}},
        {"method": "POST", "body": "\u00e9"},
        {"method": "POST", "body": b""},
        {"method": "POST", "body": bytearray(b"abc"), "headers": {"content-length": 3}},
        {"method": "post", "headers": {"Content-Length": "0"}},
        {"method": "PUT", "body": b"abc", "headers": {"Content-Length": b" 003 "}},
        {"method": "HEAD", "body": b"abc"},
        {"method": "GET", "body": b"abc", "data": {}, "fargs": {"a": 1}},
        {
            "method": "POST",
            "body": b"abc",
            "data": {"a": [1, None, 1.5, "\u00e9"]},
            "fargs": {"a": 1},
        },
        {"method": "POST", "data": [], "headers": {"Content-Type": "x", "A": "b"}},
        {"method": "POST", "data": 0},
        {"method": "POST", "fargs": {}},
        {"method": "POST", "fargs": {"a b+%/\u00e9~": "c\r\n\0", "n": None, 3: 4}},
        {"method": "POST", "fargs": {"a": "\r\nb&=", "\u00e9\\": 1}, "headers": MULTIPART},
        {"method": "POST", "fargs": {}, "headers": {"content-type": "multipart/form-data; x"}},
        {"method": "M-SEARCH"},
    ],
)
def test_build_is_hios(made: dict[str, Any]) -> None:
    seen = same(BUILD, BUILD, **made)
    assert seen[-1] != "refused"
    assert "refused" not in seen


@pytest.mark.parametrize(
    "path", ["https://127.0.0.1/a", "http://127.0.0.1:81/", "http://other/", "//other/x", "a:b"]
)
def test_full_url_of_another_place_is_refused_as_in_hio(path: str) -> None:
    assert same(BUILD, path=path)[-1] == "refused"
    refused(r"^path names", path=path)


def test_views_are_taken_as_octets() -> None:
    kwargs = {"method": "POST", "body": memoryview(b"abc"), "headers": {"a": memoryview(b"xyz")}}
    assert built(**kwargs) == Hio(**kwargs).build()


def test_rebuild_clears_body_data_and_form_and_keeps_the_rest() -> None:
    seen = same(
        ("rebuild", {}),
        ("rebuild", {"body": b"x"}),
        ("rebuild", {"method": "GET", "path": "/b?y=2#g"}),
        ("rebuild", {"method": "post", "data": {"a": 1}}),
        ("rebuild", {"fargs": {"b": 1}, "portOptional": 1}),
        ("rebuild", {"qargs": {}, "headers": {}, "path": "/c", "body": "x"}),
        ("reinit", {"hostname": "other", "port": "8080", "scheme": "https"}),
        BUILD,
        method="POST",
        path="/a?x=1#f",
        headers={"H": "1"},
        body=b"abc",
        data={"z": 1},
        fargs={"y": 1},
    )
    assert "refused" not in seen


def test_given_objects_are_held_or_copied_as_in_hio() -> None:
    for cls in (Hio, Requester):
        qargs: dict[str, str] = {}
        headers = Hict(A="b")
        body = bytearray(b"abc")
        requester = cls(method="POST", path="/?x=1", qargs=qargs, headers=headers, body=body)
        requester.build()
        assert requester.qargs is qargs
        assert qargs == {"x": "1"}
        assert requester.headers is not headers
        assert requester.body is body
        requester.rebuild(headers=headers, data={}, body=body)
        assert "content-type" not in headers
        assert requester.body is body


def test_class_attributes_and_subclass_version() -> None:
    assert Requester.HttpVersionString == Hio.HttpVersionString == "HTTP/1.1"
    assert Requester.Port == Hio.Port == 80

    class Old(Requester):
        HttpVersionString = "HTTP/1.0"

    old = Old()
    old.validate(path="/x")
    assert old.build().startswith(b"GET / HTTP/1.0\r\n")
    Old.HttpVersionString = "HTTP/1.1"
    assert old.build().startswith(b"GET / HTTP/1.1\r\n")


def test_subclass_with_hios_signatures_is_called() -> None:
    calls = []

    class Own(Requester):
        def reinit(self, **kwargs: Any) -> None:
            calls.append(sorted(kwargs))
            super().reinit(**kwargs)

        def build(self) -> bytes:
            calls.append("build")
            return super().build()

    Own().rebuild(path="/x")
    assert calls[1] == "build"
    assert "target" not in calls[0]


def test_lines_can_be_read_assigned_and_changed() -> None:
    requester = Requester()
    assert requester.lines == []
    requester.build()
    assert requester.lines == [
        b"GET / HTTP/1.1",
        b"Host: 127.0.0.1:80",
        b"Accept-Encoding: identity",
        b"",
        b"",
    ]
    assert requester.lines is requester.lines
    requester.lines.append(b"x")
    requester.lines = mine = [*requester.lines]
    assert requester.lines is mine
    requester.head = b"gone"
    requester.build()
    assert len(requester.lines) == 5


def test_copies_and_pickles() -> None:
    requester = Requester(method="POST", path="/a?b=c", headers={"A": "b"}, body=b"x")
    requester.build()
    twins = [copy.copy(requester), copy.deepcopy(requester)]
    twins.append(pickle.loads(pickle.dumps(requester)))
    for twin in twins:
        assert state(twin) == state(requester)
        assert twin.build() == requester.msg


# The kept head -------------------------------------------------------------------------


def fresh(requester: Requester) -> bytes:
    """Build the same with nothing kept."""
    twin = copy.copy(requester)
    twin._built = requesting.UNBUILT
    twin._queried = None
    twin._path = twin._plain = None
    twin.headers = requester.headers.copy()
    return twin.build()


@pytest.mark.parametrize(
    ("headers", "change"),
    [
        ({"A": "1"}, lambda r: r.headers.add("A", "2")),
        ({"A": "1"}, lambda r: r.headers.clear()),
        ({"A": "1", "B": "2"}, lambda r: setattr(r, "headers", Hict([("B", "2"), ("A", "1")]))),
        ({"A": 1}, lambda r: r.headers.update(A=True)),
        ({"A": True}, lambda r: r.headers.update(A=1)),
        ({"A": b"1"}, lambda r: r.headers.update(A="2")),
        ({"A": bytearray(b"1")}, lambda r: r.headers["A"].extend(b"2")),
        ({"A": memoryview(bytearray(b"1"))}, lambda r: r.headers["A"].__setitem__(0, 50)),
        ({}, lambda r: setattr(r, "headers", {"A": "1"})),
        ({}, lambda r: r.qargs.update(a=1)),
        ({}, lambda r: r.qargs.update(q=True)),
        ({}, lambda r: setattr(r, "method", "PUT")),
        ({}, lambda r: setattr(r, "path", "/b")),
        ({}, lambda r: setattr(r, "hostname", "b")),
        ({}, lambda r: setattr(r, "port", 81)),
        ({}, lambda r: setattr(r, "portOptional", True)),
        ({}, lambda r: setattr(r, "body", b"abcd")),
        ({}, lambda r: r.body.extend(b"d")),
        ({}, lambda r: setattr(r, "target", "/b")),
        ({}, lambda r: setattr(r, "data", {"a": 1})),
    ],
)
def test_change_between_builds_is_seen(headers: dict[str, Any], change: Any) -> None:
    requester = Requester(method="POST", headers=headers, qargs={"q": 1}, body=bytearray(b"abc"))
    requester.build()
    first = requester.build()
    change(requester)
    expected = fresh(requester)
    assert requester.build() == expected != first
    assert requester.build() == expected


def again(requester: Requester, **change: Any) -> dict[str, Any]:
    """Give the arguments of one and the same request, some changed."""
    return {
        "method": "POST",
        "path": "/a",
        "qargs": {},
        "fragment": "",
        "headers": Hict([("A", "1"), ("B", 2)]),
        "body": b"abc",
        "data": None,
        "fargs": None,
        **change,
    }


def test_same_request_goes_out_as_the_same_octets() -> None:
    requester = Requester(path="/x")
    first = requester.rebuild(**again(requester))
    requester.validate(**again(requester))
    kwargs = again(requester)
    assert requester.rebuild(**kwargs) is first
    assert requester.msg is first
    assert requester.qargs is kwargs["qargs"]
    assert requester.headers == kwargs["headers"]
    assert requester.headers is not kwargs["headers"]
    assert state(requester) == state(copy.deepcopy(requester))
    assert requester.lines[0] == b"POST /a HTTP/1.1"
    requester.rebuild(path="/b?c=d")
    assert requester.rebuild(**again(requester)) == first
    assert requester.path == "/a"


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"method": "GET"},
        {"method": "post"},
        {"path": "/b"},
        {"path": "/a?b=c"},
        {"path": b"/a"},
        {"qargs": {"a": "b"}},
        {"qargs": None},
        {"fragment": "f"},
        {"fragment": None},
        {"headers": Hict([("A", "1"), ("B", True)])},
        {"headers": Hict([("B", 2), ("A", "1")])},
        {"headers": {"A": "1", "B": 2}},
        {"headers": None},
        {"body": b"abd"},
        {"body": bytearray(b"abc")},
        {"body": None},
        {"data": {"a": 1}},
        {"fargs": {"a": 1}},
        {"portOptional": True},
        {"target": "/b"},
        {"hostname": "b"},
        {"port": 81},
        {"scheme": "https"},
    ],
)
def test_change_between_same_requests_is_seen(change: dict[str, Any]) -> None:
    requester, other = Requester(path="/x"), Requester(path="/x")
    for _ in range(2):
        requester.rebuild(**again(requester))
    other.rebuild(**again(other))
    other._whole = None
    attributes = {key: change[key] for key in ("hostname", "port", "scheme") if key in change}
    for each in (requester, other):
        for name, value in attributes.items():
            setattr(each, name, value)
    for kwargs in (again(requester, **change), again(requester)):
        kwargs = {name: value for name, value in kwargs.items() if name not in attributes}
        other._whole = None
        requester.validate(**copy.deepcopy(kwargs))
        assert requester.rebuild(**copy.deepcopy(kwargs)) == other.rebuild(**copy.deepcopy(kwargs))
        assert state(requester) == state(other)


def test_same_request_with_a_bad_field_is_refused_each_time() -> None:
    requester = Requester()
    requester.rebuild(**again(requester))
    for _ in range(2):
        with pytest.raises(ValueError, match="headers"):
            requester.rebuild(**again(requester, headers=Hict([("A", "1\n")])))
        with pytest.raises(ValueError, match="headers"):
            requester.validate(**again(requester, headers=Hict([("A", "1\n")])))


def test_build_of_a_subclass_is_called_for_the_same_request() -> None:
    calls: list[str] = []

    class Own(Requester):
        def build(self) -> bytes:
            calls.append("build")
            return super().build()

    requester = Own()
    for _ in range(3):
        requester.rebuild(**again(requester))
    assert calls == ["build"] * 3


def test_kept_query_tells_equal_values_of_other_types_apart() -> None:
    class Text(str):
        def __str__(self) -> str:
            return "other"

    for first, second in ((1, True), (True, 1), ("a", Text("a")), (0, False), (0.0, -0.0)):
        requester = Requester(qargs={"q": first})
        requester.build()
        requester.qargs["q"] = second
        assert requester.build() == fresh(requester)


def test_equal_inputs_take_the_kept_head(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    make = Requester._make_head

    def counted(self: Requester, *args: Any) -> bytes:
        calls.append(args)
        return make(self, *args)

    monkeypatch.setattr(Requester, "_make_head", counted)
    requester = Requester()
    for number in range(10):
        kwargs: dict[str, Any] = {
            "method": "POST",
            "path": "/a?b=c",
            "qargs": {"x": 1},
            "headers": {"A": "b", "Content-Length": 1},
            "body": b"%d" % number,
        }
        requester.validate(**kwargs)
        assert requester.rebuild(**kwargs).endswith(b"\r\n\r\n%d" % number)
        assert requester.build() == requester.msg
        assert requester.path == "/a"
        assert requester.qargs == {"x": 1, "b": "c"}
    assert len(calls) == 1


# Differences ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method", ["GET /x", "G\r\nET", "G\0T", "G:T", "G\u00c9T", "po\u017ft", " "]
)
def test_d01_method_is_a_token(method: str) -> None:
    refused(r"^method is no token", method=method)


@pytest.mark.parametrize("method", [b"GET", 7, ["GET"], ""])
def test_d01_method_of_another_type(method: Any) -> None:
    refused(r"^method", method=method)


def test_d01_method_assigned_is_checked_when_built() -> None:
    requester = Requester()
    requester.method = "GET\r\nX: y"
    with pytest.raises(ValueError, match=r"^method"):
        requester.build()


@pytest.mark.parametrize("octet", ["\r", "\n", "\r\n", "\0", "\t", "\x1b", "\x7f"])
def test_d02_control_characters(octet: str) -> None:
    refused(r"^path", path=f"/a{octet}b")
    refused(r"^path", path=f"/a?b{octet}=c")
    refused(r"^path", path=f"/a?b=c{octet}")
    refused(r"^path", path=f"http://127.0.0.1{octet}/")
    refused(r"^fragment", fragment=f"a{octet}")
    refused(r"^qargs", qargs={f"a{octet}": "b"})
    refused(r"^target", target=f"/{octet}")
    # hio drops or sends them
    with pytest.raises(ValueError, match=r"^hostname"):
        Requester(hostname=f"a{octet}b")


@pytest.mark.parametrize(
    ("method", "path", "line"),
    [
        ("GET", "http://127.0.0.1:80", b"GET / HTTP/1.1"),
        ("GET", "", b"GET / HTTP/1.1"),
        ("GET", "?a=b", b"GET /?a=b HTTP/1.1"),
        ("GET", "a/b", b"GET /a/b HTTP/1.1"),
        ("OPTIONS", "*", b"OPTIONS * HTTP/1.1"),
        ("GET", "*", b"GET /%2A HTTP/1.1"),
        ("GET", "http://127.0.0.1//a", b"GET //a HTTP/1.1"),
        ("GET", "http://127.0.0.1///a", b"GET ///a HTTP/1.1"),
    ],
)
def test_d03_request_target(method: str, path: str, line: bytes) -> None:
    requester = Requester(method=method)
    for _ in range(2):
        assert requester.rebuild(path=path).partition(b"\r\n")[0] == line
        # hio takes "//a" for a host the second time
        assert requester.build().partition(b"\r\n")[0] == line


def test_d03_path_attribute_stays_hios() -> None:
    for cls in (Hio, Requester):
        requester = cls()
        requester.rebuild(path="a/b?c=d")
        assert requester.path == "a/b"


def test_d04_query_names() -> None:
    line = start(qargs={"a b": 1, "c&d=e#f": 2, "\u00e9": 3})
    assert line == b"GET /?a%20b=1&c%26d%3De%23f=2&%C3%A9=3 HTTP/1.1"
    assert start(path="/?a b=1&\u00e9=2") == b"GET /?a%20b=1&%C3%A9=2 HTTP/1.1"
    refused(r"^qargs holds a lone surrogate", qargs={"\ud800": 1})


def test_d05_octets_in_query_and_form() -> None:
    assert start(qargs={"h": b"\xff\0", b"k ": 1}) == b"GET /?h=%FF%00&k%20=1 HTTP/1.1"
    assert start(path="/?h=%ff%00") == b"GET /?h=%FF%00 HTTP/1.1"
    assert built(method="POST", fargs={b"k": b"\xff "}).endswith(b"\r\n\r\nk=%FF+")
    form = built(method="POST", fargs={b"k": b"\xff"}, headers=MULTIPART)
    assert b'name="k"\r\n' in form
    assert b"\r\n\r\n\xff\r\n--" in form


@pytest.mark.parametrize(
    "name", ["", "a b", "a:b", "a\r\nb", "a\0", "\u00e9", "a\x7f", "(a)", "\ud800"]
)
def test_d06_field_name_is_a_token(name: str) -> None:
    refused(r"^headers: field name", headers={name: "x"})


@pytest.mark.parametrize("headers", [{b"a": "b"}, {1: "b"}, "abc", 7, [1]])
def test_d06_headers_that_are_no_mapping(headers: Any) -> None:
    refused(r"^headers", headers=headers)
    with pytest.raises(ValueError, match=r"^headers"):
        Requester(headers=headers)


@pytest.mark.parametrize("octet", ["\r", "\n", "\0", "\x01", "\x0b", "\x1f", "\x7f"])
def test_d07_control_octet_in_field_value(octet: str) -> None:
    for value in (f"a{octet}", f"{octet}a".encode(), bytearray(f"a{octet}b".encode())):
        refused(r"^headers: X-Name holds control octet", headers={"x-name": value})


@pytest.mark.parametrize("value", ["\u0100", "\ud800", None, 1.5, ["a"], object()])
def test_d07_field_value_that_has_no_octets(value: Any) -> None:
    refused(r"^headers: X-Name", headers={"x-name": value})


def test_d08_one_content_length_and_one_host() -> None:
    headers = {"Content-Length": 3, "content-length": "3", "Host": "x", "host": b"x"}
    msg = built(method="POST", body=b"abc", headers=headers)
    assert msg.count(b"Content-Length") == 1
    assert msg.count(b"Host") == 1
    refused(r"^headers: Host comes with two", headers=Hict([("Host", "a"), ("host", "b")]))
    refused(
        "^headers: Content-Length",
        body=b"a",
        method="PUT",
        headers=[("Content-Length", 1)] * 2 + [("content-length", 2)],
    )
    requester = Requester()
    requester.headers = {"Host": "a"}  # no Hict: hio looks for "host" and adds its own
    assert requester.build().count(b"Host") == 1


@pytest.mark.parametrize(
    "value", [2, "4", b"30", "x", "", "-3", "+3", "3, 3", "0x3", "\u00b3", True]
)
def test_d09_content_length_is_the_length_of_the_body(value: Any) -> None:
    refused(
        "^headers: Content-Length", method="POST", body=b"abc", headers={"Content-Length": value}
    )


def test_d09_content_length_without_a_body() -> None:
    refused(r"^headers: Content-Length", method="GET", body=b"abc", headers={"Content-Length": 3})
    refused(r"^headers: Content-Length", method="POST", headers={"Content-Length": 3})
    refused(
        r"^headers: Content-Length", method="POST", data={"a": 1}, headers={"Content-Length": 3}
    )
    assert b"Content-Length: 0\r\n" in built(headers={"Content-Length": 0})
    # one inherited from the request before counts as given
    requester = Requester(method="POST", body=b"abc", headers={"Content-Length": 3})
    requester.build()
    with pytest.raises(ValueError, match=r"^headers: Content-Length"):
        requester.rebuild(method="GET")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("value", ["chunked", "identity", "gzip, chunked", ""])
def test_d10_transfer_encoding_refused(method: str, value: str) -> None:
    refused(
        "^headers: Transfer-Encoding",
        method=method,
        body=b"0\r\n\r\n",
        headers={"transfer-encoding": value},
    )


def test_d11_form_names_and_values_are_encoded() -> None:
    requester = Requester(method="POST", fargs={"a&b=c+%": "d&e=f+%", "\u00e9 ": "\u00e9 \r\n"})
    assert requester.build().endswith(
        b"\r\n\r\na%26b%3Dc%2B%25=d%26e%3Df%2B%25&%C3%A9+=%C3%A9+%0D%0A"
    )
    assert requester.headers["content-type"] == FORM


@pytest.mark.parametrize("octet", ["\r", "\n", "\0", "\x1f", "\x7f"])
@pytest.mark.parametrize("headers", [{}, MULTIPART])
def test_d12_control_character_in_form_name(octet: str, headers: dict[str, str]) -> None:
    refused(r"^fargs", method="POST", fargs={f"a{octet}": "b"}, headers=headers)


def test_d12_quote_in_multipart_name() -> None:
    form = built(method="POST", fargs={'a"; filename="x': "b"}, headers=MULTIPART)
    assert b'form-data; name="a%22; filename=%22x"\r\n' in form


def test_d13_boundary_is_drawn_until_the_data_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([0x111111111, 0x222222222, 0x333333333])
    monkeypatch.setattr(requesting.random, "randint", lambda low, high: next(draws))
    fargs = {"a": "x____________000111111111", "____________000222222222": "b"}
    requester = Requester(method="POST", fargs=fargs, headers=MULTIPART)
    msg = requester.build()
    assert requester.headers["Content-Type"] == (
        "multipart/form-data; boundary=____________000333333333"
    )
    assert msg.count(b"\r\n--____________000333333333") == 3


def test_d13_gives_up_when_every_draw_is_in_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requesting.random, "randint", lambda low, high: 0x111111111)
    requester = Requester(method="POST", fargs={"a": "____________000111111111"}, headers=MULTIPART)
    with pytest.raises(ValueError, match=r"^fargs hold each of"):
        requester.build()


def test_validate_draws_nothing_from_the_programs_random(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(low: int, high: int) -> int:
        raise AssertionError("drawn")

    monkeypatch.setattr(requesting.random, "randint", never)
    Requester(method="POST").validate(fargs={"a": "b"}, headers=MULTIPART)


def test_d14_ipv6_literals() -> None:
    for hostname in ("::1", "[::1]", "[::1]:80", "::1%lo", "[::1%lo]:80"):
        assert b"\r\nHost: [::1]:80\r\n" in built(hostname=hostname)
    requester = Requester()
    requester.reinit(hostname="[::1]", port="8080")
    assert b"\r\nHost: [::1]:8080\r\n" in requester.build()


@pytest.mark.parametrize(
    "kwargs",
    [{"hostname": None}, {"hostname": 7}, {"hostname": "a b"}, {"port": "x"}, {"port": 65536}],
)
def test_d14_bad_address(kwargs: dict[str, Any]) -> None:
    (name,) = kwargs
    with pytest.raises(httping.InvalidURL, match=rf"^{name}"):
        Requester(**kwargs)
    with pytest.raises(ValueError, match=rf"^{name}"):
        Requester(**kwargs)
    requester = Requester()
    setattr(requester, name, kwargs[name])
    with pytest.raises(ValueError, match=rf"^{name}"):
        requester.build()
    if kwargs[name] is not None:
        with pytest.raises(ValueError, match=rf"^{name}"):
            Requester().reinit(**kwargs)


def test_d15_idna_host_of_one_label() -> None:
    assert b"\r\nHost: xn--bcher-kva:81\r\n" in built(hostname="b\u00fccher", port=81)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"body": 7},
        {"body": {"a": 1}},
        {"body": "\u0100"},
        {"body": "\ud800"},
        {"data": {"a": object()}},
        {"data": b"abc"},
        {"fargs": [("a", "b")]},
        {"fargs": "a=b"},
        {"fargs": {"a": "\ud800"}},
        {"fargs": {"\ud800": "a"}},
        {"qargs": [("a", "b")]},
        {"qargs": "a=b"},
        {"qargs": {"a": "\ud800"}},
        {"path": "/\ud800"},
        {"path": 7},
    ],
)
def test_d16_arguments_that_have_no_octets(kwargs: dict[str, Any]) -> None:
    (name,) = kwargs
    refused(rf"^{name} ", method="POST", **kwargs)


def test_d16_circular_and_deep_data() -> None:
    circular: list[Any] = []
    circular.append(circular)
    requester = Requester(method="POST")
    with pytest.raises(ValueError, match=r"^data has no JSON form"):
        requester.rebuild(data=circular)


def test_d17_a_refused_rebuild_changes_nothing() -> None:
    requester = Requester(method="POST", path="/a", qargs={"a": "1"}, headers={"A": "b"}, body=b"x")
    requester.build()
    before = state(requester)
    with pytest.raises(ValueError, match=r"^headers"):
        requester.rebuild(method="put", path="/c", qargs={}, headers={"A": "\n"}, fargs={"a": 1})
    assert state(requester) == before
    assert requester.build() == requester.msg


def test_d18_content_type_given_as_octets() -> None:
    for kind in (b"multipart/form-data", bytearray(b"multipart/form-data")):
        msg = built(method="POST", fargs={"a": "b"}, headers={"Content-Type": kind})
        assert re.search(rb"\r\nContent-Type: multipart/form-data; boundary=_{12}\w{12}\r\n", msg)
    assert built(method="POST", fargs={"a": "b"}, headers={"Content-Type": 7}).endswith(
        b"\r\n\r\na=b"
    )


# Beyond hio ----------------------------------------------------------------------------


def test_target_is_sent_as_it_is_until_the_next_reinit() -> None:
    requester = Requester()
    target = "/a%2Fb?x=1&x=2&h=%ff"
    for _ in range(2):
        msg = requester.rebuild(path="//a/b", qargs={"x": "2"}, target=target)
        assert msg.startswith(b"GET /a%2Fb?x=1&x=2&h=%ff HTTP/1.1\r\n")
        assert requester.build() == msg
    assert requester.path == "//a/b"
    assert requester.qargs == {"x": "2"}
    assert requester.rebuild(path="/c").startswith(b"GET /c?x=2 HTTP/1.1\r\n")


def test_validate_changes_nothing() -> None:
    requester = Requester(method="POST", path="/a?b=c", headers={"A": "b"}, body=bytearray(b"x"))
    requester.build()
    before = state(requester)
    qargs = {"a": "1"}
    requester.validate(path="/x?y=z", qargs=qargs, data={"a": 1}, target=None)
    requester.validate(path="/x?y=z", fargs={"a": 1})
    requester.validate("get", "/x?y=z#f", None, "g", {"B": "c"}, "d", portOptional=True)
    requester.validate(target="/a")
    assert qargs == {"a": "1"}
    assert state(requester) == before
    assert requester.build() == fresh(requester) == requester.msg


# Differential --------------------------------------------------------------------------

text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
latin = st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=8)
token = st.text("!#$%&'*+-.^_`|~09AZaz", min_size=1, max_size=6)
plain = st.text("abz09-_.~%+'\"[](){}<>!$,/:?@\\^`|", max_size=5)
scalar = st.one_of(anything, st.integers(), st.booleans(), st.none(), st.floats())
names = st.one_of(plain, plain, st.text("a&=# \u00e9;", max_size=3))
queries = st.lists(
    st.one_of(
        names, st.tuples(names, st.one_of(text, st.text("a%41+;/=", max_size=6))).map("=".join)
    ),
    max_size=3,
).map("&".join)
origins = st.sampled_from(
    [
        "",
        "",
        "",
        "http://127.0.0.1",
        "HTTP://127.0.0.1:80",
        "//localhost",
        "http://localhost:8080",
        "https://127.0.0.1",
        "http://127.0.0.1:81",
        "//[::1]:8080",
        "http://u:p@localhost",
    ]
)


@st.composite
def paths(draw: Any) -> str:
    path = draw(origins) + draw(st.sampled_from(["/", "/", "/", "/a/", ""])) + draw(text)
    if draw(st.booleans()):
        path += "?" + draw(queries)
    if draw(st.booleans()):
        path += "#" + draw(text)
    return str(path)


field_names = st.one_of(
    token,
    st.sampled_from(
        [
            "Host",
            "accept-encoding",
            "Content-Type",
            "content-length",
            "X-a",
            "x-A",
            "Transfer-Encoding",
        ]
    ),
)
octets = st.one_of(latin.map(lambda value: value.encode("latin-1")))
field_values = st.one_of(
    latin,
    octets,
    octets.map(bytearray),
    st.integers(0, 30),
    st.booleans(),
    st.just("multipart/form-data"),
)
fields = st.lists(st.tuples(field_names, field_values), max_size=4)
headers = st.one_of(
    st.none(),
    st.just({}),
    fields.map(dict),
    fields.map(Hict),
    st.just(MULTIPART),
    st.just({"a": "b"}),
)
json_values = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(anything, inner, max_size=2)
)
options: dict[str, st.SearchStrategy[Any]] = {
    "method": st.sampled_from([None, "GET", "get", "POST", "post", "PUT", "HEAD", "OPTIONS"])
    | token,
    "path": st.none() | paths() | st.sampled_from(["/", "/?", "/a", "/a?b=c"]),
    "qargs": st.none() | st.just({}) | st.dictionaries(names | st.integers(), scalar, max_size=3),
    "fragment": text,
    "headers": headers,
    "body": st.none() | latin | st.binary(max_size=9) | st.binary(max_size=9).map(bytearray),
    "data": st.none() | json_values,
    "fargs": st.none() | st.dictionaries(text | st.integers(), scalar, max_size=3),
    "portOptional": st.sampled_from([None, True, False, 1, 0]),
}
places: dict[str, st.SearchStrategy[Any]] = {
    "hostname": st.sampled_from(
        [
            "127.0.0.1",
            "localhost",
            "localhost:8080",
            "[::1]",
            "[::1]:8080",
            "b\u00fccher.example",
            "",
        ]
    ),
    "port": st.sampled_from([None, 80, 443, 8080, "80", "8080"]),
    "scheme": st.sampled_from(["http", "https"]),
}
moves = {**places, "hostname": st.sampled_from(["127.0.0.1", "localhost", "::1", "a.b\u00fc.c"])}
steps = st.lists(
    st.one_of(
        st.tuples(st.just("rebuild"), st.fixed_dictionaries({}, optional=options)),
        st.tuples(st.just("build"), st.just({})),
        st.tuples(st.just("reinit"), st.fixed_dictionaries({}, optional={**options, **moves})),
        st.tuples(st.just("headers"), st.dictionaries(field_names, field_values, max_size=2)),
        st.tuples(st.just("qargs"), st.dictionaries(names, scalar, max_size=2)),
        st.tuples(
            st.just("set"), st.fixed_dictionaries({}, optional={"body": st.binary(max_size=9)})
        ),
    ),
    max_size=5,
)


def explained(script: list[tuple[str, dict[str, Any]]]) -> bool:
    """Tell whether a numbered difference may show in this script."""
    for what, kwargs in script:
        path = kwargs.get("path")
        if path is None or (what == "make" and not path):
            path = "/"
        path_part = re.sub(r"^([A-Za-z]+:)?(//[^/?#]*)?", "", path).partition("#")[0]
        path_part, _, query = path_part.partition("?")
        if not path_part.startswith("/") or path_part.startswith("//"):  # D03
            return True
        asked = [*(kwargs.get("qargs") or {}), *(kwargs if what == "qargs" else ())]
        asked += [part.partition("=")[0] for part in query.split(";" if ";" in query else "&")]
        if any(set("&=# ") & set(str(n)) or not str(n).isascii() for n in asked):  # D04
            return True
        given = kwargs.get("headers") or (kwargs if what == "headers" else {})
        for name, value in given.items():
            lower = name.lower()
            if lower in ("content-length", "transfer-encoding"):  # D08, D09, D10
                return True
            if lower == "host" and [n.lower() for n, _ in given.items()].count(lower) > 1:  # D08
                return True
            if lower == "content-type" and not isinstance(value, str):  # D18
                return True
        for name, value in (kwargs.get("fargs") or {}).items():
            if set('&="') & set(f"{name}{value}"):  # D11, D12
                return True
    return False


def check_script(made: dict[str, Any], rest: list[tuple[str, dict[str, Any]]]) -> None:
    """Compare a script on both, and ours with and without validate before each rebuild."""
    script = [("make", made), *rest]
    if explained(script):
        return
    ours = run(Requester, script)
    assert ours == run(Hio, script)
    assert ours == run(Requester, script, validating=True)


@settings(max_examples=1500, deadline=None, suppress_health_check=list(HealthCheck))
@given(made=st.fixed_dictionaries({}, optional={**places, **options}), rest=steps)
def test_differential(made: dict[str, Any], rest: list[tuple[str, dict[str, Any]]]) -> None:
    made = {name: value for name, value in made.items() if value is not None or name != "fragment"}
    check_script(made, [*rest, BUILD, BUILD])


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kwargs=st.fixed_dictionaries(
        {},
        optional={
            "method": st.text(max_size=4),
            "path": st.text(max_size=8) | st.integers() | st.binary(max_size=4),
            "qargs": st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
            "fragment": st.text(max_size=3),
            "headers": st.dictionaries(st.text(max_size=3), st.text(max_size=5), max_size=2),
            "body": st.text(max_size=3) | st.binary(max_size=3) | st.integers(),
            "fargs": st.dictionaries(st.text(max_size=3), st.text(max_size=5), max_size=2),
            "target": st.text(max_size=4),
        },
    ),
    posted=st.booleans(),
)
def test_any_input_gives_one_well_formed_request_or_a_value_error(
    kwargs: dict[str, Any], posted: bool
) -> None:
    requester = Requester(method="POST" if posted else "GET")
    requester.build()
    before = state(requester)
    fault = None
    try:
        requester.validate(**copy.deepcopy(kwargs))
    except ValueError as ex:
        fault = str(ex)
    assert state(requester) == before
    if fault is not None:
        assert fault.split()[0].rstrip(":") in ("method", "headers", *kwargs)
        with pytest.raises(ValueError, match=re.escape(fault)):
            requester.rebuild(**kwargs)
        assert state(requester) == before
        return
    msg = requester.rebuild(**kwargs)
    head, _, body = msg.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    token_octets = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
    assert re.fullmatch(token_octets + rb" (/[!\"$-~]*|\*) HTTP/1\.1", lines[0])
    for line in lines[1:]:
        assert re.fullmatch(token_octets + rb": [\t\x20-\x7e\x80-\xff]*", line)
    lengths = [line.partition(b": ")[2] for line in lines if line.startswith(b"Content-Length:")]
    assert lengths in ([b"%d" % len(body)], [] if not body else None)
    assert sum(line.startswith(b"Host: ") for line in lines) == 1


@pytest.mark.parametrize("name", ["__init__", "reinit", "rebuild", "build"])
def test_signatures_are_hios_and_additions_keyword_only(name: str) -> None:
    theirs = inspect.signature(getattr(Hio, name)).parameters
    ours = inspect.signature(getattr(Requester, name)).parameters
    assert [(p.name, p.default, p.kind) for p in theirs.values()] == [
        (p.name, p.default, p.kind) for p in ours.values() if p.kind is not p.KEYWORD_ONLY
    ]


def test_attributes_assigned_by_a_program() -> None:
    def mapping() -> Any:
        return help.Mict([("a", "1"), ("a", "2")])

    for change in (
        {"qargs": None},
        {"qargs": None, "path": "/?a=b"},
        {"qargs": mapping()},
        {"qargs": mapping(), "path": "/?a=b"},
        {"qargs": help.Mict()},
        {"headers": {"a": "b", b"c": "d"}},
        {"fragment": None},
    ):
        assert same(("set", change), BUILD, BUILD, qargs=help.Mict(x="y"))[-1] != "refused"
    requester = Requester()
    requester.qargs = [("a", "b")]
    with pytest.raises(ValueError, match=r"^qargs"):
        requester.build()
    with pytest.raises(ValueError, match=r"^qargs"):
        Requester(qargs=[("a", "b")])
    requester = Requester()
    requester.headers = {7: "x"}
    with pytest.raises(ValueError, match=r"^headers: field name"):
        requester.build()


@pytest.mark.parametrize("build_before", [None, "/", "a", "///a"])
def test_d03_path_set_to_none_is_no_path(build_before: str | None) -> None:
    requester = Requester()
    if build_before is not None:
        requester.path = build_before
        requester.build()
    requester.path = None
    with pytest.raises(ValueError, match=r"^path"):
        requester.build()


@pytest.mark.parametrize("headers", ["X: y", 5, None, b"", ["X"]])
def test_d06_headers_set_to_no_mapping(headers: Any) -> None:
    requester = Requester()
    requester.headers = headers
    with pytest.raises(ValueError, match=r"^headers"):
        requester.build()


def test_d17_a_refused_build_changes_nothing() -> None:
    requester = Requester(method="POST", path="/a?b=c#d", fargs={"a": 1}, qargs={"x": "y"})
    requester.headers["A"] = "\n"
    before = state(requester)
    with pytest.raises(ValueError, match=r"^headers"):
        requester.build()
    assert state(requester) == before
