"""The kept head: a request that repeats goes out the same, and each change is seen."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fasthio.requesting import Requester
from requesters import Hict, fresh, state


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
