"""URL helpers: ports, hosts, paths, queries."""

from __future__ import annotations

import pytest
from hio.core.http import httping

from fasthio import urls


@pytest.mark.parametrize(
    ("hostname", "port", "default", "expected"),
    [
        ("localhost", None, 80, ("localhost", 80)),
        ("localhost", 8080, 80, ("localhost", 8080)),
        ("localhost", "8080", 80, ("localhost", 8080)),
        ("localhost:81", 8080, 80, ("localhost", 81)),
        ("localhost:", 8080, 80, ("localhost", 8080)),
        ("localhost:", None, 443, ("localhost", 443)),
        ("[::1]", None, 80, ("::1", 80)),
        ("[::1]:8080", None, 80, ("::1", 8080)),
        ("127.0.0.1:0", None, 80, ("127.0.0.1", 0)),
        ("", None, 80, ("", 80)),
    ],
)
def test_normalize_host_port_is_hios(
    hostname: str, port: int | str | None, default: int, expected: tuple[str, int]
) -> None:
    assert urls.normalize_host_port(hostname, port, default) == expected
    assert httping.normalizeHostPort(hostname, port, default) == expected


@pytest.mark.parametrize("literal", ["::1", "fe80::1%eth0", "2001:db8::8080"])
def test_d14_bare_ipv6_literal_keeps_its_colons(literal: str) -> None:
    assert urls.normalize_host_port(literal, 8080) == (literal, 8080)


def test_d14_hio_takes_the_end_of_a_bare_literal_for_the_port() -> None:
    assert httping.normalizeHostPort("::1", 8080) == (":", 1)


@pytest.mark.parametrize(
    "port", ["x", "", "80a", [], object(), 65536, -1, 80.5, True, float("inf")]
)
def test_d14_bad_port(port: object) -> None:
    with pytest.raises(ValueError, match=r"^port") as caught:
        urls.normalize_host_port("localhost", port)
    assert isinstance(caught.value, httping.InvalidURL)


def test_d14_bad_port_in_hostname() -> None:
    with pytest.raises(urls.AddressError, match=r"^port"):
        urls.normalize_host_port("localhost:http")


@pytest.mark.parametrize("hostname", [None, b"localhost", 7, ["localhost"]])
def test_d14_hostname_of_another_type(hostname: object) -> None:
    with pytest.raises(urls.AddressError, match=r"^hostname must be str"):
        urls.normalize_host_port(hostname)
    with pytest.raises(urls.AddressError, match=r"^hostname must be str"):
        urls.field_host(hostname)


@pytest.mark.parametrize(
    "hostname",
    [
        "a b",
        "a\r\nX: y",
        "a\x00",
        "a/b",
        "a?b",
        "a#b",
        "a@b",
        "a:b",
        "[a]",
        "a\uff0fb",
        "ä\r\n.de",
        "ä..de",
        "\ud800",
        "é" * 80,
    ],
)
def test_d14_hostname_that_no_host_may_have(hostname: str) -> None:
    with pytest.raises(urls.AddressError, match=r"^hostname"):
        urls.field_host(hostname)


@pytest.mark.parametrize(
    ("hostname", "octets"),
    [
        ("localhost", b"localhost"),
        ("under_score.example", b"under_score.example"),
        ("127.0.0.1", b"127.0.0.1"),
        ("::1", b"[::1]"),
        ("[::1]", b"[::1]"),
        ("fe80::1%eth0", b"[fe80::1]"),
        ("b\u00fccher.example", b"xn--bcher-kva.example"),
        ("b\u00fccher", b"xn--bcher-kva"),
    ],
)
def test_field_host(hostname: str, octets: bytes) -> None:
    assert urls.field_host(hostname) == octets


def test_split_path_of_a_full_url() -> None:
    parts = urls.split_path("HTTP://Host.Example:81/a b?x=1&y&x=%41+b#frag")
    assert parts == (
        "/a b",
        "/a%20b",
        "http",
        "host.example",
        81,
        (("x", "A b"), ("y", "true")),
        "frag",
    )


@pytest.mark.parametrize(
    "query", ["a=1&b=2", "a=1;b=2", "a=1;b=2&3", "&&a", "a==b", "=", "%61=%2B"]
)
def test_split_path_reads_a_query_as_hio(query: str) -> None:
    ours = dict(urls.split_path("/?" + query).pairs)
    assert ours == httping.updateQargsQuery({}, query)[0]


def test_d05_query_octets_that_are_no_utf8_stay_octets() -> None:
    assert urls.split_path("/?h=%ff%00+x").pairs == (("h", b"\xff\x00 x"),)


@pytest.mark.parametrize("character", [*map(chr, range(0x20)), "\x7f"])
def test_d02_control_character_in_path(character: str) -> None:
    for path in (f"/a{character}b", f"/?a{character}b=1", f"/?a=b{character}", f"/#{character}"):
        with pytest.raises(ValueError, match=r"^path holds control character"):
            urls.split_path(path)


@pytest.mark.parametrize(
    "path", ["/\ud800", "/?a=\udfff", "http://[::1", "http://h:x/", "http://h:99999/"]
)
def test_d16_path_that_is_no_url(path: str) -> None:
    with pytest.raises(ValueError, match=r"^path"):
        urls.split_path(path)


@pytest.mark.parametrize("path", [None, 7, ["/"], b"/\xff"])
def test_d16_path_of_another_type(path: object) -> None:
    with pytest.raises(ValueError, match=r"^path"):
        urls.split_path(path)


def test_path_given_as_octets_stays_octets() -> None:
    assert urls.split_path(b"/a b").path == b"/a b"
    assert urls.split_path(bytearray(b"/a b")).target == "/a%20b"


@pytest.mark.parametrize("target", ["/", "/a%20b?x=1&x=2", "*", "//a", "/~!$&'()*+,;=:@"])
def test_check_target_takes(target: str) -> None:
    urls.check_target(target)


@pytest.mark.parametrize(
    "target", ["", "a", "/a b", "/\r\n", "/#a", "/\u00e9", "/\x7f", "**", None, b"/", "http://h/"]
)
def test_check_target_refuses(target: object) -> None:
    with pytest.raises(ValueError, match=r"^target"):
        urls.check_target(target)


@pytest.mark.parametrize(
    ("items", "query"),
    [
        ([("a", "b c&d=e+f%/")], "a=b+c%26d%3De%2Bf%25%2F"),
        ([("a", 1), ("b", None), (3, True), ("c", [1])], "a=1&b=None&3=True&c=%5B1%5D"),
        ([("a%20b", "x"), ("a+b[]", "y"), ("", "z")], "a%20b=x&a+b[]=y&=z"),
        ([("a", "\r\n\0")], "a=%0D%0A%00"),
    ],
)
def test_query_string_is_hios(items: list[tuple[object, object]], query: str) -> None:
    assert urls.query_string(items) == query
    assert httping.updateQargsQuery(dict(items))[1] == query


def test_d04_query_names_are_encoded_where_they_would_break_the_request() -> None:
    assert (
        urls.query_string([("a b", 1), ("c#&=", 2), ("\u00e9", 3)])
        == "a%20b=1&c%23%26%3D=2&%C3%A9=3"
    )


@pytest.mark.parametrize("name", ["a\r\nb", "\0", "\x7f", "\t", "\ud800"])
def test_d04_query_name_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"^qargs holds"):
        urls.query_string([(name, "x")])


def test_d05_octets_in_a_query() -> None:
    assert urls.query_string([(b"a b\xff", b"\xff\0 x")]) == "a%20b%FF=%FF%00+x"


def test_d16_lone_surrogate_in_a_query_value() -> None:
    with pytest.raises(ValueError, match=r"^qargs holds a lone surrogate"):
        urls.query_string([("a", "\udcff")])
