"""What polls of a target ask for: conditional requests, and what is expected of the answer."""

from __future__ import annotations

from typing import Any

import pytest

from fasthio.connecting import Connector
from servers import Request, answer
from stages import ALWAYS, Stage, url


class TestConditional:
    def test_unchanged_comes_with_the_body_that_was_kept(self, stage: Stage) -> None:
        modified = "Sun, 06 Nov 1994 08:49:37 GMT"
        server = stage.server(
            [
                Request(),
                answer(b"first", ETag='"1"', Last_Modified=modified),
                Request(),
                b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n',
                Request(),
                answer(b"second", ETag='W/"2"'),
                Request(),
                b"HTTP/1.1 304 Not Modified\r\n\r\n",
                Request(),
                answer(b"third"),
                Request(),
                answer(b"fourth"),
            ]
        )
        poller = stage.poller()
        poller.add(url(server), every=0.1, count=6, conditional=True)
        results = stage.results(poller, 6)
        assert [(r.outcome, r.status, r.body, r.octets) for r in results] == [
            ("ok", 200, b"first", 5),
            ("unchanged", 304, b"first", 0),
            ("ok", 200, b"second", 6),
            ("unchanged", 304, b"second", 0),
            ("ok", 200, b"third", 5),
            ("ok", 200, b"fourth", 6),
        ]
        asked = [
            [line for line in request.split(b"\r\n") if line.startswith(b"If-")]
            for request in server.requests
        ]
        first = [b'If-None-Match: "1"', b"If-Modified-Since: " + modified.encode()]
        second = [b'If-None-Match: W/"2"']
        assert asked == [[], first, first, second, second, []]

    def test_validators_go_back_as_they_came(self, stage: Stage) -> None:
        script = [
            Request(),
            b'HTTP/1.1 200 OK\r\nETag: W/"\xe9\ta"\r\nLast-Modified: \r\n'
            b"Content-Length: 1\r\n\r\nx",
            Request(),
            b"HTTP/1.1 304 Not Modified\r\nETag: \r\nLast-Modified: then\r\n\r\n",
            *([Request(), b"HTTP/1.1 304 Not Modified\r\n\r\n"] * 2),
        ]
        server = stage.server(script)
        poller = stage.poller()
        poller.add(url(server), every=0.1, count=4, conditional=True)
        results = stage.results(poller, 4)
        assert [result.outcome for result in results] == ["ok"] + ["unchanged"] * 3
        asked = [request.partition(b"identity\r\n")[2] for request in server.requests]
        etag = b'If-None-Match: W/"\xe9\ta"\r\n'
        assert asked == [
            b"\r\n",
            etag + b"\r\n",
            *([etag + b"If-Modified-Since: then\r\n\r\n"] * 2),
        ]

    def test_304_that_nobody_asked_for_is_not_unchanged(self, stage: Stage) -> None:
        server = stage.server([Request(), b"HTTP/1.1 304 Not Modified\r\n\r\n"])
        result = stage.one(server, conditional=True)
        assert (result.outcome, result.status, result.body) == ("ok", 304, b"")

    def test_failures_leave_what_is_kept_alone(self, stage: Stage) -> None:
        server = stage.server(
            [
                Request(),
                answer(b"kept", ETag='"1"'),
                Request(),
                answer(b"oh", 500),
                Request(),
                b"HTTP/1.1 304 Not Modified\r\n\r\n",
            ]
        )
        poller = stage.poller()
        poller.add(url(server), every=0.1, count=3, conditional=True)
        results = stage.results(poller, 3)
        assert [(r.outcome, r.body) for r in results] == [
            ("ok", b"kept"),
            ("unexpected", b"oh"),
            ("unchanged", b"kept"),
        ]

    def test_conditions_do_not_go_where_a_redirect_leads(self, stage: Stage) -> None:
        """RFC 9110 15.4: they are of what was polled; another thing may have the same tag."""
        first = answer(b"first", ETag='"1"')
        further = answer(b"", 302, Location="/c")
        other = stage.server([Request(), further, Request(), answer(b"other", ETag='"1"')])
        away = answer(b"", 302, Location=f"http://127.0.0.1:{other.port}/b")
        here = stage.server([Request(), first, Request(), away])
        poller = stage.poller()
        poller.add(
            url(here), every=0.1, count=2, conditional=True, headers={"Authorization": "secret"}
        )
        results = stage.results(poller, 2)
        assert [(r.outcome, r.body, r.redirects) for r in results] == [
            ("ok", b"first", 0),
            ("ok", b"other", 2),
        ]
        assert b"If-None-Match" in here.requests[1]
        for request in other.requests:
            assert b"If-None-Match" not in request
            assert b"secret" not in request

    def test_304_at_the_end_of_a_redirect_is_not_unchanged(self, stage: Stage) -> None:
        server = stage.server(
            [
                Request(),
                answer(b"first", ETag='"1"'),
                Request(),
                answer(b"", 302, Location="/b"),
                Request(),
                b"HTTP/1.1 304 Not Modified\r\n\r\n",
            ]
        )
        poller = stage.poller()
        poller.add(url(server), every=0.1, count=2, conditional=True)
        _, second = stage.results(poller, 2)
        assert (second.outcome, second.status, second.body) == ("ok", 304, b"")


class TestExpectations:
    @pytest.mark.parametrize(
        ("expect", "status", "good"),
        [
            (None, 204, True),
            (None, 404, False),
            (404, 404, True),
            (404, 200, False),
            ([200, 404], 404, True),
            (lambda result: b"oo" in result.body, 200, True),
            (lambda result: result.data["no"], 200, False),
            (lambda result: result.status == 404, 404, True),
        ],
    )
    def test_what_is_a_success(self, stage: Stage, expect: Any, status: int, good: bool) -> None:
        body = b"" if status == 204 else b"foo"
        result = stage.one(stage.server([Request(), answer(body, status)]), expect=expect)
        assert result.outcome == ("ok" if good else "unexpected")
        assert bool(result.reason) != good
        assert bool(result.error) != good
        assert result.status == status

    @pytest.mark.parametrize("short", [False, True], ids=["first", "kept connection"])
    @pytest.mark.parametrize("how", ["remove", "replace", "close"])
    def test_one_that_ends_the_poll_ends_it_once(self, stage: Stage, how: str, short: bool) -> None:
        """A function may do what a program may: the poll has one result, and no next one."""
        server = stage.server(ALWAYS)
        poller = stage.poller()

        def expect(result: Any) -> bool:
            if result.number == short:
                if how == "remove":
                    poller.remove(target)
                elif how == "replace":
                    poller.replace([])
                else:
                    poller.close()
            return True

        target = poller.add(url(server), every=0.0, expect=expect)
        results = stage.results(poller, 1 + short)
        if how != "close":
            stage.loop.rounds(20, poller)
        results += poller.results
        assert [(r.number, r.outcome) for r in results] == [
            *([(0, "ok")] * short),
            (short, "cancelled"),
        ]
        assert len(server.requests) == 1 + short
        assert (poller.flying, poller.connections) == (0, 0)

    def test_one_that_closes_the_poller_among_many(self, stage: Stage) -> None:
        servers = [stage.server(ALWAYS) for _ in range(2)]
        poller = stage.poller()

        def expect(result: Any) -> bool:
            poller.close()
            return True

        for number in range(100):
            poller.add(url(servers[number % 2]), every=0.1, expect=expect)
        results = stage.results(poller, 100)
        assert {result.outcome for result in results} == {"cancelled"}
        assert len({result.target for result in results}) == len(results) == 100

    @pytest.mark.parametrize("how", ["remove", "pause", "restart", "stop", "close"])
    def test_one_that_ends_others_that_are_due_with_it(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        """An answer that is there at once is judged before the others of its tyme begin."""
        server = stage.server(ALWAYS)
        poller = stage.poller()

        def expect(result: Any) -> bool:
            if result.number == 1:
                for other in others:
                    if how == "remove":
                        poller.remove(other)
                    elif how in ("pause", "restart"):
                        poller.pause(other)
                    if how == "restart":
                        poller.resume(other)
                if how in ("stop", "close"):
                    getattr(poller, how)()
            return True

        first = poller.add(url(server), every=0.995, expect=expect)
        others = [poller.add(url(server), every=0.995) for _ in range(2)]
        for target in poller:
            target._short = False  # through the client, which looks for an answer once it has sent
        stage.results(poller, 3)
        sends = Connector.serviceSends

        def send(connector: Connector) -> None:
            sends(connector)
            server.step()

        monkeypatch.setattr(Connector, "serviceSends", send)
        results = stage.results(poller, 3)
        why = {"restart": "paused", "stop": "stopped", "close": "stopped"}.get(how, how + "d")
        assert [(r.number, r.outcome, r.reason) for r in results if r.target is not first] == [
            (1, "skipped", why)
        ] * 2
        if how == "restart":
            results = stage.results(poller, 3)
            assert [(r.number, r.outcome) for r in results] == [(2, "ok")] * 3
        assert poller.flying == 0
        assert poller.begun == sum(poller.counts.values()) - poller.counts["skipped"]
        assert poller.begun == len(server.requests)
