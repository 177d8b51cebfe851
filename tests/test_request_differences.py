"""D01 to D18: what hio's Requester does, and what ours does in its place."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hio.core.http import httping

from fasthio import requesting
from fasthio.requesting import Requester
from requesters import MULTIPART, Hict, Hio, built, refused, start, state

FORM = "application/x-www-form-urlencoded; charset=utf-8"


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
