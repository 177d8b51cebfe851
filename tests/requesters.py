"""Requesters run by script, ours and hio's, and what a program can read from them."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
from hio import help
from hio.core.http import clienting as hio_clienting
from hio.core.http import httping

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


BUILD = ("build", {})


def fresh(requester: Requester) -> bytes:
    """Build the same with nothing kept."""
    twin = copy.copy(requester)
    twin._built = requesting.UNBUILT
    twin._queried = None
    twin._path = twin._plain = None
    twin.headers = requester.headers.copy()
    return twin.build()
