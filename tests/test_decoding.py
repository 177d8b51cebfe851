"""Content codings: each at every split, broken ones, bombs, and through Client."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import zlib
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pytest

from fasthio import decoding, errors
from fasthio.clienting import Client
from fasthio.decoding import STEP, accepted, decoder_for
from fasthio.draining import Drain, sink_of
from fasthio.errors import ParseError
from servers import CLOSE, RESET, Loop, Request, Server, Wait, answer, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEXT = json.dumps({"values": list(range(300)), "text": "ab" * 500}).encode()


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def brotli_encode(data: bytes) -> bytes:
    brotli = pytest.importorskip("brotli", reason="brotli is not installed: br is not tested")
    encoded: bytes = brotli.compress(data, quality=2)
    return encoded


def zstd_encode(data: bytes) -> bytes:
    zstandard = pytest.importorskip(
        "zstandard", reason="zstandard is not installed: zstd is not tested"
    )
    encoded: bytes = zstandard.ZstdCompressor().compress(data)
    return encoded


CODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip", gzip.compress),
    "gzip members": ("gzip", lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:])),
    "gzip padded": ("gzip", lambda data: gzip.compress(data) + b"\0" * 9),
    "deflate": ("deflate", zlib.compress),
    "deflate raw": ("deflate", raw_deflate),
    "br": ("br", brotli_encode),
    "zstd": ("zstd", zstd_encode),
    "two": ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
}


def decode(coding: str, octets: bytes, size: int) -> bytes:
    decoder = decoder_for(coding)
    assert decoder is not None
    result = b"".join(
        piece
        for at in range(0, len(octets), size)
        for piece in decoder.feed(octets[at : at + size])
    )
    decoder.finish()
    return result


@pytest.mark.parametrize("name", list(CODERS))
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 65, 1 << 20])
@pytest.mark.parametrize("data", [b"", b"x", TEXT])
def test_split(name: str, size: int, data: bytes) -> None:
    coding, encode = CODERS[name]
    assert decode(coding, encode(data), size) == data


@pytest.mark.parametrize("name", [name for name in CODERS if name != "gzip padded"])
def test_cut_off(name: str) -> None:
    coding, encode = CODERS[name]
    octets = encode(TEXT)
    with pytest.raises(errors.DecodeError):
        decode(coding, octets[:-3], 1 << 20)


@pytest.mark.parametrize("name", list(CODERS))
def test_broken(name: str) -> None:
    coding, encode = CODERS[name]
    octets = bytearray(encode(TEXT))
    for at in range(10, len(octets) - 10, 7):
        octets[at] ^= 0x55
    with pytest.raises(errors.DecodeError) as caught:
        decode(coding, bytes(octets), 50)
    assert caught.value.code == "undecodable"
    assert isinstance(caught.value, ValueError)


def test_octets_after_the_end() -> None:
    with pytest.raises(errors.DecodeError):
        decode("deflate", zlib.compress(b"x") + b"y", 100)
    with pytest.raises(errors.DecodeError):
        decode("gzip", gzip.compress(b"x") + b"y", 100)


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_bomb_comes_in_steps(name: str) -> None:
    """No step gives much more than STEP, whatever the octets stand for."""
    coding, encode = CODERS[name]
    octets = encode(bytes(20_000_000))
    decoder = decoder_for(coding)
    assert decoder is not None
    total = largest = 0
    for piece in decoder.feed(octets):
        total += len(piece)
        largest = max(largest, len(piece))
        if total > 10_000_000:
            break
    assert largest <= 16 * STEP


@pytest.mark.parametrize(
    "value", ["", "identity", "compress", "gzip, unknown", "gzip, gzip, gzip, gzip"]
)
def test_left_as_it_is(value: str) -> None:
    assert decoder_for(value) is None


def test_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert accepted().startswith("gzip, deflate")
    monkeypatch.setattr(decoding, "_makers", {})
    monkeypatch.setattr(
        decoding.importlib, "import_module", lambda name: exec("raise ImportError(name)")
    )
    assert accepted() == "gzip, deflate"
    monkeypatch.setattr(decoding, "_makers", {})

    class Old:
        """A brotli package that cannot bound what it gives."""

        class Decompressor:
            """Of that package."""

    monkeypatch.setattr(
        decoding.importlib,
        "import_module",
        lambda name: Old if name == "brotli" else exec("raise ImportError(name)"),
    )
    assert accepted() == "gzip, deflate"


# drains


def test_sink_of() -> None:
    taken: list[bytes] = []
    sink_of(taken.append)(b"x")
    file = io.BytesIO()
    sink_of(file)(b"y")
    assert (taken, file.getvalue()) == ([b"x"], b"y")
    for wrong in (5, "path", None):
        with pytest.raises(ValueError, match="sink"):
            sink_of(wrong)


def test_drain_takes_all_away() -> None:
    drain = Drain(None, None, None)
    body = bytearray(b"abc")
    drain.take(body)
    assert not body
    drain.take(body)
    drain.finish()
    assert drain.body == b"abc"
    assert drain.received == drain.given == 3
    assert not drain.sunk


# through Client


def coded(coding: str, octets: bytes, framing: str = "fixed", status: int = 200) -> bytes:
    head = b"HTTP/1.1 %d Reason\r\nContent-Type: application/json\r\nContent-Encoding: %b\r\n" % (
        status,
        coding.encode(),
    )
    if framing == "fixed":
        return head + b"Content-Length: %d\r\n\r\n%b" % (len(octets), octets)
    if framing == "chunked":
        chunks = b"".join(
            b"%x\r\n%b\r\n" % (len(octets[at : at + 50]), octets[at : at + 50])
            for at in range(0, len(octets), 50)
        )
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    return head + b"\r\n" + octets


@pytest.mark.parametrize("name", list(CODERS))
@pytest.mark.parametrize("framing", ["fixed", "chunked", "close"])
def test_client_decodes(name: str, framing: str) -> None:
    coding, encode = CODERS[name]
    octets = coded(coding, encode(TEXT), framing)
    with Server([Request(), octets, Wait(2), CLOSE]) as server, Loop(server) as loop:
        client = loop.client(Client, server, decode=True)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=60)
        response = client.responses[0]
        assert not response["errored"], response["error"]
        assert response["body"] == TEXT
        assert isinstance(response["body"], bytearray)
        assert response["data"] == json.loads(TEXT)
        assert fields_of(server.requests[0])["accept-encoding"] == accepted()


def test_client_does_not_decode_unasked() -> None:
    octets = gzip.compress(TEXT)
    with Server([Request(), coded("gzip", octets)]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert client.responses[0]["body"] == octets
        assert fields_of(server.requests[0])["accept-encoding"] == "identity"


def test_client_leaves_what_is_not_coded() -> None:
    script = [Request(), answer(b"plain"), Request(), coded("unknown", b"abc")]
    with Server(script) as server, Loop(server) as loop:
        client = loop.client(Client, server, decode=True)
        client.request(headers={"Accept-Encoding": "unknown"})
        client.request(method="HEAD")
        client.requests[1]["method"] = "GET"
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        assert [r["body"] for r in client.responses] == [b"plain", b"abc"]
        assert fields_of(server.requests[0])["accept-encoding"] == "unknown"


@pytest.mark.parametrize("octets", [b"not gzip at all", gzip.compress(TEXT)[:-4]])
def test_client_broken_coding(octets: bytes) -> None:
    script = [[Request(), coded("gzip", octets)], [Request(), answer(b"next")]]
    with Server(*script) as server, Loop(server) as loop:
        client = loop.client(Client, server, decode=True)
        client.request(reply=1)
        client.request(reply=2)
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        first, second = client.responses
        assert first["error"].code == "undecodable"
        assert first["status"] == 200
        assert second["body"] == b"next"


@pytest.mark.parametrize("name", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("kwa", [{}, {"maxBody": 1_000_000}])
def test_client_bomb(name: str, kwa: dict[str, Any]) -> None:
    coding, encode = CODERS[name]
    octets = encode(bytes(40_000_000))
    with Server([Request(), coded(coding, octets)]) as server, Loop(server) as loop:
        client = loop.client(Client, server, decode=True, **kwa)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=200)
        response = client.responses[0]
        assert response["error"].code == "body-too-large"
        assert len(response["body"]) <= 17_000_000


@pytest.mark.parametrize(
    ("framing", "state"),
    [("fixed", "fixed"), ("chunked", "chunk-data"), ("close", "until-close")],
)
def test_too_large_a_body_is_told_with_its_framing(framing: str, state: str) -> None:
    octets = coded("gzip", gzip.compress(bytes(100_000)), framing)
    with Server([Request(), octets]) as server, Loop(server) as loop:
        client = loop.client(Client, server, decode=True, maxBody=50_000)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=200)
        assert client.responses[0]["error"].code == "body-too-large"
        fault = client.respondent.fault
        assert isinstance(fault, ParseError)
        assert fault.state == state


@pytest.mark.parametrize("where", ["client", "request"])
@pytest.mark.parametrize("framing", ["fixed", "chunked", "close"])
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_client_sink(where: str, framing: str, coding: str, tmp_path: Path) -> None:
    """A body goes to a file as it comes and is not held."""
    data = bytes(range(256)) * 20_000
    octets = coded(coding, gzip.compress(data) if coding == "gzip" else data, framing)
    with (
        Server([Request(), octets, Wait(2), CLOSE]) as server,
        Loop(server) as loop,
        open(tmp_path / "body", "wb") as file,
    ):
        kwa: dict[str, Any] = {"sink": file}
        client = loop.client(
            Client, server, decode=coding == "gzip", **(kwa if where == "client" else {})
        )
        client.request(**(kwa if where == "request" else {}))
        most = 0
        for _ in range(2000):
            loop.round(client)
            most = max(most, len(client.respondent.engine.body))
            if client.responses:
                break
        response = client.responses[0]
        assert not response["errored"], response["error"]
        assert response["body"] == b""
        file.flush()
        assert (tmp_path / "body").read_bytes() == data
        assert most < 2_000_000


def test_client_sink_is_for_success() -> None:
    """What a redirect or an error says is no part of the body that was wanted."""
    taken: list[bytes] = []
    script = [
        Request(), answer(b"moved", 302, Location="/x"), Request(), answer(b"wanted"),
        Request(), answer(b"oops", 500),
    ]  # fmt: skip
    with Server(script) as server, Loop(server) as loop:
        client = loop.client(Client, server, sink=taken.append)
        client.request()
        client.request()
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        assert b"".join(taken) == b"wanted"
        assert client.responses[0]["body"] == b""
        assert client.responses[0]["redirects"][0]["body"] == b"moved"
        assert client.responses[1]["body"] == b"oops"


def test_client_sink_fails() -> None:
    def full(octets: bytes) -> None:
        raise OSError(28, "No space left on device")

    with (
        Server([Request(), answer(b"x" * 100)], [Request(), answer(b"next", 404)]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server, sink=full)
        client.request()
        client.request()
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        assert client.responses[0]["error"].code == "sink"
        assert isinstance(client.responses[0]["error"].exception.__cause__, OSError)
        assert client.responses[1]["body"] == b"next"


def test_client_sink_is_not_filled_twice() -> None:
    """D55: once a sink got octets the request is not sent again."""
    taken: list[bytes] = []
    octets = answer(b"x" * 100)
    script = [[Request(), octets[:-50], Wait(2), RESET], [Request(), octets]]
    with Server(*script) as server, Loop(server) as loop:
        client = loop.client(Client, server, sink=taken.append, reconnectable=True)
        client.request()
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert client.responses[0]["errored"]
        assert b"".join(taken) == b"x" * 50
        client.request()
        loop.run(client, until=lambda: len(client.responses) == 2, rounds=60)
        assert b"".join(taken) == b"x" * 150


@pytest.mark.parametrize(
    "act", ["reopen", "close", "connector.reopen", "service", "waited", "transmit"]
)
@pytest.mark.parametrize("size", [2, 400_000])
@pytest.mark.parametrize("until_close", [False, True])
def test_client_sink_that_takes_the_client_along(act: str, size: int, until_close: bool) -> None:
    """Whatever a sink does to its client, each request has one response, given up ones none."""
    body = b"x" * size
    first = [b"HTTP/1.1 200 OK\r\n\r\n" + body, CLOSE] if until_close else [answer(body)]
    script = [Request(), *first, Request(), answer(b"ok")]
    with Server(script, [Request(), answer(b"ok")] * 2) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        given: list[bytes] = []

        def sink(octets: bytes) -> None:
            given.append(octets)
            if len(given) > 1:
                return
            if act in ("waited", "transmit"):
                client.waited = False
            if act == "transmit":
                client.transmit(path="/b")
            elif act != "waited":
                attrgetter(act)(client)()

        client.request(path="/a", sink=sink)
        if act != "transmit":
            client.request(path="/b")
        loop.rounds(60, client)
        paths = [response["request"]["path"] for response in client.responses]
        assert paths == (["/b"] if act in ("waited", "transmit") else ["/a", "/b"])
        assert client.responses[-1]["body"] == b"ok"
        assert not client.waited
        if len(paths) == 2 and client.responses[0]["errored"]:
            assert client.responses[0]["error"].code == "reopened"


class Raw(io.RawIOBase):
    """A file without a buffer that takes a few octets at a time, and no more at all in the end."""

    def __init__(self, most: int) -> None:
        self.held = bytearray()
        self.most = most

    def writable(self) -> bool:
        return True

    def write(self, octets: Any) -> int | None:
        some = bytes(octets[: min(7, self.most - len(self.held))])
        self.held += some
        return len(some) or None


@pytest.mark.parametrize("most", [1000, 50])
def test_client_sink_takes_a_part(most: int) -> None:
    """What a file without a buffer does not take at once is written to it again."""
    body = bytes(range(200))
    with Server([Request(), answer(body)]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        raw = Raw(most)
        client.request(sink=raw)
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert raw.held == body[:most]
        error = client.responses[0]["error"]
        if most == 1000:
            assert error is None
        else:
            assert error.code == "sink"
            assert isinstance(error.exception.__cause__, BlockingIOError)


def test_client_sink_of_a_request_sent_again() -> None:
    """What an answer that was cut off made of the body does not hold for the next one."""
    broken = b"HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\noo"
    coded = answer(gzip.compress(b"hello"), Content_Encoding="gzip")
    got: list[bytes] = []
    with (
        Server([Request(), broken, Wait(2), CLOSE], [Request(), coded]) as server,
        Loop(server) as loop,
    ):
        client = loop.client(Client, server, reconnectable=True, decode=True)
        client.request(sink=got.append)
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert not client.responses[0]["errored"]
        assert not client.responses[0]["body"]
        assert b"".join(got) == b"hello"


def test_client_sink_that_is_false() -> None:
    """A callable that counts as false, an empty list of a kind, is a sink like any other."""

    class Held(list[bytes]):
        def __call__(self, octets: bytes) -> None:
            self.append(octets)

    held = Held()
    with Server([Request(), answer(b"hello")]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.request(sink=held)
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert held == [b"hello"]
        assert not client.responses[0]["body"]


def test_client_sink_none_appended_by_hand() -> None:
    with Server([Request(), answer(b"hello")]) as server, Loop(server) as loop:
        client = loop.client(Client, server)
        client.requests.append({"path": "/", "sink": None})
        loop.run(client, until=lambda: client.responses, rounds=60)
        assert client.responses[0]["body"] == b"hello"


def test_client_sink_cut_before_the_body() -> None:
    """... but before it got any it is."""
    taken: list[bytes] = []
    octets = answer(b"x" * 100)
    with Server([Request(), octets[:-100], CLOSE], [Request(), octets]) as server:
        with Loop(server) as loop:
            client = loop.client(Client, server, sink=taken.append, reconnectable=True)
            client.request()
            loop.run(client, until=lambda: client.responses, rounds=60)
            assert not client.responses[0]["errored"]
            assert b"".join(taken) == b"x" * 100


def test_client_sink_max_body() -> None:
    with Server([Request(), b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 9000]) as server:
        with Loop(server) as loop:
            client = loop.client(Client, server, sink=lambda octets: None, maxBody=5000)
            client.request()
            loop.run(client, until=lambda: client.responses, rounds=60)
            assert client.responses[0]["error"].code == "body-too-large"


def test_client_wrong_sink() -> None:
    with pytest.raises(ValueError, match="sink"):
        Client(hostname="127.0.0.1", sink="path")
    client = Client(hostname="127.0.0.1")
    with pytest.raises(ValueError, match="sink"):
        client.request(sink=5)
    assert not client.requests


def test_coded_event_stream_is_an_error() -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\n\r\n"
    with Server([Request(), head + gzip.compress(b"data: 1\n\n")]) as server:
        with Loop(server) as loop:
            client = loop.client(Client, server, decode=True)
            client.request()
            loop.run(client, until=lambda: client.responses, rounds=60)
            assert client.responses[0]["error"].code == "undecodable"


def test_empty_members_are_taken_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """What zlib leaves at the end of a member it copies: never the whole of a body."""
    given: list[int] = []
    real = zlib.decompressobj

    class Counted:
        def __init__(self, *pa: Any) -> None:
            self.it = real(*pa)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.it, name)

        def decompress(self, octets: bytes, most: int) -> bytes:
            given.append(len(octets))
            return self.it.decompress(octets, most)

    monkeypatch.setattr(zlib, "decompressobj", Counted)
    decoder = decoder_for("gzip")
    assert decoder is not None
    body = gzip.compress(b"") * 10_000 + gzip.compress(b"end")
    assert b"".join(decoder.feed(body)) == b"end"
    decoder.finish()
    assert len(given) < 11_000
    assert max(given) <= 16_384


@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_octets_after_the_end_of_deflate(step: int) -> None:
    """However they are cut: an error, as it is no body of many members."""
    body = zlib.compress(b"whole") + zlib.compress(b"more")
    decoder = decoder_for("deflate")
    assert decoder is not None
    pieces = (decoder.feed(body[at : at + step]) for at in range(0, len(body), step))
    with pytest.raises(errors.DecodeError, match="after the end"):
        list(itertools.chain.from_iterable(pieces))
