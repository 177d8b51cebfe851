"""Small things that programs see of hio's client, and of ours alike: each is played with both."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hio.core.http import clienting as hio_clienting
from hio.help import Hict

from fasthio import clienting
from fasthio.responding import Respondent
from servers import CLOSE, OK, Loop, Request, Server, answer

BOTH = pytest.mark.parametrize("module", [hio_clienting, clienting], ids=["hio", "fasthio"])
SAYS_CLOSE = answer(b"ok", Connection="close")


# connections that are over


@BOTH
@pytest.mark.parametrize("said", [SAYS_CLOSE, OK], ids=["announced", "not announced"])
@pytest.mark.parametrize(
    ("about", "closing", "opened"),
    [
        ({"reconnectable": True, "tymeout": 0.1}, False, True),
        ({"reconnectable": True, "tymeout": 0.1}, True, True),
        ({"reconnectable": True}, False, False),
        ({}, False, False),
        ({}, True, True),
    ],
)
def test_d57_connections_are_opened_while_there_is_no_request(
    module: Any, said: bytes, about: dict[str, Any], closing: bool, opened: bool
) -> None:
    """After a close, by the timer; after the client's own `close`, by the next `service`."""
    with Server([Request(), said, CLOSE], [Request(), OK]) as server, Loop(server) as loop:
        client = loop.client(module.Client, server, **about)
        client.reopen()
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=60)
        if closing:
            client.close()
        loop.rounds(60, client)
        assert (len(server.links) == 2) is opened
        if opened:
            assert client.connector.connected
            assert not client.connector.cutoff
            client.request()
            loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
            assert len(server.links) == 2


# arguments


@BOTH
def test_none_for_path_and_bufsize(module: Any) -> None:
    client = module.Client(hostname="127.0.0.1", path=None, bufsize=None)
    assert client.requester.path == "/"
    assert client.connector.bs == 8096


# copies


@BOTH
@pytest.mark.usefixtures("respondents")
@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickle.dumps])
def test_no_pickles_of_what_has_a_connection(module: Any, duplicate: Any) -> None:
    for each in (module.Client(hostname="127.0.0.1"), module.Respondent()):
        with pytest.raises(TypeError, match="cannot pickle"):
            duplicate(each)


@BOTH
def test_shallow_copies(module: Any) -> None:
    client = module.Client(hostname="127.0.0.1")
    client.mine = 1
    other = copy.copy(client)
    assert type(other) is module.Client
    assert (other.connector, other.mine) == (client.connector, 1)
    respondent = module.Respondent(msg=bytearray(OK))
    other = copy.copy(respondent)
    assert other.msg is respondent.msg
    requester = pickle.loads(pickle.dumps(copy.deepcopy(module.Requester(path="/a"))))
    assert requester.build().startswith(b"GET /a ")


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))]
)
def test_copies_of_a_subclass_that_knows_how(duplicate: Any) -> None:
    assert type(duplicate(Known())) is Known
    for kind in (Hios, Ours):
        other = duplicate(kind(hostname="127.0.0.1"))
        assert type(other) is kind
        assert vars(other) == {"place": "127.0.0.1"}


class Known(Respondent):
    """Begins anew in each copy."""

    def __reduce__(self) -> Any:
        return (Known, ())


class Knowing:
    """Leaves the connection out."""

    connector: Any

    def __getstate__(self) -> Any:
        return {"place": self.connector.hostname}


class Hios(Knowing, hio_clienting.Client):  # type: ignore[misc]  # hio has no types
    """Of hio's."""


class Ours(Knowing, clienting.Client):
    """Of ours."""


# responses


@BOTH
@pytest.mark.usefixtures("respondents")
def test_body_by_hand_has_parms(module: Any) -> None:
    respondent = module.Respondent(msg=bytearray(b"2\r\nhi\r\n0\r\n\r\n"))
    respondent.chunked = True
    assert list(respondent.parseBody()) == [True]
    assert (respondent.parms, respondent.body) == ({}, b"hi")
    respondent = module.Respondent(msg=bytearray(b"hi"))
    respondent.length = 2
    assert list(respondent.parseBody()) == [True]
    assert respondent.parms is None


@pytest.mark.usefixtures("respondents")
@pytest.mark.parametrize("kind", [dict, Hict])
@pytest.mark.parametrize("version", [(1, 1), (1, 0), None])
@pytest.mark.parametrize("length", [3, None])
@pytest.mark.parametrize(
    "headers",
    [
        {}, {"connection": "close"}, {"connection": "Keep-Alive"}, {"connection": None},
        {"keep-alive": "timeout=5"}, {"proxy-connection": "Keep-Alive"},
    ],
)  # fmt: skip
def test_persistence_of_headers_that_a_program_assigned(
    kind: Any, version: Any, length: int | None, headers: dict[str, Any]
) -> None:
    told = []
    for module in (hio_clienting, clienting):
        respondent = module.Respondent()
        respondent.headers = kind({k: v for k, v in headers.items() if v or kind is dict})
        respondent.version, respondent.length = version, length
        respondent.checkPersisted()
        told.append(respondent.persisted)
    assert told[0] is told[1]


@pytest.mark.usefixtures("respondents")
def test_d37_a_head_counts_once_it_is_whole() -> None:
    """D25: white space round a value is no part of it."""
    octets = b"HTTP/1.1 302 X\r\nA:   b \t\r\nContent-Length: 0\r\n"
    respondents = [
        module.Respondent(msg=bytearray(octets)) for module in (hio_clienting, clienting)
    ]
    for each in respondents:
        each.parse()
        each.parse()
    assert [each.status for each in respondents] == [302, None]
    assert [each.headers for each in respondents] == [Hict(), None]
    for each in respondents:
        each.msg.extend(b"\r\n" + OK)
        for _ in range(3):
            each.parse()
    assert [each.headers["A"] for each in respondents] == ["  b \t", "b"]
    for each in respondents:
        each.makeParser()
        for _ in range(3):
            each.parse()
        assert (each.status, each.ended) == (200, True)
    assert [each.redirectant for each in respondents] == [True, False]


# requests


@BOTH
def test_names_of_headers_keep_their_case(module: Any) -> None:
    """Of a request that is the same as the last one, too."""
    names = ["Accept", "Accept", "ACCEPT", "accept", "aCCept"]
    with Server([Request(), OK] * 5) as server, Loop(server) as loop:
        client = loop.client(module.Client, server)
        for name in names:
            client.request(path="/a", headers={name: "b"})
            assert list(client.requests[0]["headers"]) == [name]
            loop.run(client, until=lambda: client.responses, rounds=60)
            response = client.responses.popleft()
            assert list(response["request"]["headers"]) == [name]
            assert list(client.requester.headers) == [name]
        client.requester.headers = Hict({"acCEPT": "b"})
        client.request()
        assert list(client.requests[0]["headers"]) == ["acCEPT"]


def test_each_that_tells_of_a_request_has_headers_of_its_own() -> None:
    """The redirect and the error after it, where the request is the same as the one before."""

    class Own(clienting.Client):
        def redirect(self) -> None:
            raise KeyboardInterrupt

    moved = answer(b"", 302, Location="/b")
    with Server([Request(), OK, Request(), OK, Request(), moved]) as server, Loop(server) as loop:
        client = loop.client(Own, server)
        for _ in range(2):
            client.request(path="/a", headers={"A": "b"})
            loop.run(client, until=lambda: client.responses, rounds=60)
            client.responses.clear()
        client.request(path="/a", headers={"A": "b"})
        with pytest.raises(KeyboardInterrupt):
            loop.run(client, until=lambda: client.responses, rounds=60)
        loop.run(client, until=lambda: client.responses, rounds=60)
        (response,) = client.responses
        (redirect,) = response["redirects"]
        redirect["request"]["headers"]["A"] = "c"
        assert response["request"]["headers"]["A"] == "b"


def test_d36_method_of_a_request_that_names_none() -> None:
    told = []
    for module in (hio_clienting, clienting):
        client = module.Client(hostname="127.0.0.1", method="HEAD")
        client.transmit()
        told.append(client.respondent.method)
    assert told == ["GET", "HEAD"]
