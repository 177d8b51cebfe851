"""Requester: hio's octets and attributes, for scripts given and for any generated."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hio import help
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fasthio.requesting import Requester
from requesters import BUILD, MULTIPART, Hict, Hio, built, fresh, refused, run, same, state

# The same as hio -----------------------------------------------------------------------


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
        try:
            unquote_to_bytes(query.replace("+", " ")).decode()
        except UnicodeDecodeError:  # D05
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


def test_explained_tells_octets_that_are_no_utf_8() -> None:
    """D05: of the query alone, and of none that are."""
    assert explained([("make", {"path": "/?=%80"})])
    assert explained([("make", {"path": "/a?b=%e2%82"})])
    assert not explained([("make", {"path": "/a?b=%e2%82%ac"})])
    assert not explained([("make", {"path": "/%80"})])


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
