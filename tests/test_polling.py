"""The poller over real sockets on loopback, in virtual tyme: what came back, what is left."""

from __future__ import annotations

import gc
import itertools
import threading
import types
from typing import Any

import pytest

import fasthio
from fasthio.connecting import ConnectorTls
from fasthio.demo import serving
from fasthio.grammar import Limits
from fasthio.polling import Poller, TargetSpec, poll
from scripted import check_account
from servers import CLOSE, OK, RESET, SILENT, Drip, Request, Wait, answer
from stages import ALWAYS, Stage, contexts, url


class TestExchanges:
    def test_result_tells_all(self, stage: Stage) -> None:
        body = b'{"a": [1, 2]}'
        server = stage.server([Request(), Wait(3), answer(body, Content_Type="application/json")])
        result = stage.one(server, label="it")
        assert (result.outcome, result.status, result.reason, result.error) == ("ok", 200, "", "")
        assert (result.label, result.url, result.ok, result.failed) == (
            "it",
            url(server),
            True,
            False,
        )
        assert (result.body, result.data, result.octets) == (body, {"a": [1, 2]}, len(body))
        assert result.headers is not None
        assert result.headers["content-type"] == "application/json"
        assert (result.number, result.count, result.attempts, result.due) == (0, 1, 1, 0.0)
        connect, first, total = result.latency or (None, None, None)
        assert connect is not None
        assert first is not None
        assert total is not None
        assert 0.0 <= connect < first <= total == pytest.approx(0.03, abs=0.021)
        assert "it #0 ok 200" in repr(result)

    def test_one_connection_carries_all_polls_of_a_target(self, stage: Stage) -> None:
        server = stage.server(ALWAYS)
        poller = stage.poller()
        target = poller.add(url(server, "/a%20b?c=d%2Fe&f=+"), every=0.1)
        results = stage.results(poller, 20)
        assert {result.outcome for result in results} == {"ok"}
        assert len(server.links) == 1
        assert poller.connections == 1
        assert server.requests[0].startswith(b"GET /a%20b?c=d%2Fe&f=+ HTTP/1.1\r\n")
        assert len(set(server.requests)) == 1
        assert [r.latency.connect is None for r in results if r.latency] == [False] + 19 * [True]
        assert check_account(results, target) == 20

    @pytest.mark.parametrize(
        ("given", "target"),
        [
            ("", "/"),
            ("?a=1", "/?a=1"),
            ("?", "/?"),
            ("/?", "/?"),
            ("/#top", "/"),
            ("/a?b#c?d", "/a?b"),
            ("/a%20b/%2F%2f%41", "/a%20b/%2F%2f%41"),
            ("/?a=1&a=2&b=&c&=d&&", "/?a=1&a=2&b=&c&=d&&"),
            ("/a;p=1?x;y=%26+z", "/a;p=1?x;y=%26+z"),
            ("//a//b/./../c/", "//a//b/./../c/"),
            ("/a:b@c!$&'()*+,;=~-._?/?:@", "/a:b@c!$&'()*+,;=~-._?/?:@"),
            ("/?x=[1]&y={z}|^`", "/?x=[1]&y={z}|^`"),
            ("/100%?%zz", "/100%?%zz"),
            ("/\xe4?\u20ac", "/%C3%A4?%E2%82%AC"),
            ("/http://other/?u=https://h:1/", "/http://other/?u=https://h:1/"),
        ],
    )
    def test_a_url_is_polled_as_given(self, stage: Stage, given: str, target: str) -> None:
        server = stage.server(ALWAYS)
        poller = stage.poller()
        poller.add(url(server, given), every=0.1, count=3)
        results = stage.results(poller, 3)
        assert [result.outcome for result in results] == ["ok"] * 3
        # the first one goes by a client, the others without
        for request in server.requests:
            assert request.split(b"\r\n")[0] == f"GET {target} HTTP/1.1".encode()
        assert {result.url for result in results} == {url(server, given)}

    def test_request_is_as_asked_for(self, stage: Stage) -> None:
        server = stage.server(ALWAYS)
        stage.one(
            server, method="post", headers={"X-Thing": "1", "X-Other": "2"}, body="h\xe4", timeout=5
        )
        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert head.startswith(b"POST / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % server.port)
        assert b"\r\nX-Thing: 1\r\nX-Other: 2" in head
        assert body == b"h\xc3\xa4"

    def test_head_has_no_body(self, stage: Stage) -> None:
        server = stage.server([Request(), b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"])
        result = stage.one(server, method="HEAD")
        assert (result.outcome, result.body) == ("ok", b"")

    @pytest.mark.parametrize("close", [False, True])
    @pytest.mark.parametrize("size", [9, 100_000])
    def test_an_idle_connection_keeps_no_response(
        self, stage: Stage, size: int, close: bool
    ) -> None:
        said = answer(b"x" * size, **({"Connection": "close"} if close else {}))
        server = stage.server([Request(), said] * 9)
        poller = stage.poller()
        poller.add(url(server), every=0.1)
        for _ in range(3):
            (result,) = stage.results(poller, 1)
            assert len(result.body) == size
            # the one that all connections share keeps what came last
            parsers: list[Any] = [each.parser for each in poller._shortcuts.values()]
            parsers += [vars(each) for each in parsers if hasattr(each, "__dict__")]
            for name in ("body", "headers"):
                part = getattr(result, name)
                keepers = [
                    each for each in gc.get_referrers(part) if each not in (result, *parsers)
                ]
                assert all(isinstance(each, types.FrameType) for each in keepers)

    def test_each_result_owns_its_body(self, stage: Stage) -> None:
        server = stage.server([Request(), answer(b"one"), Request(), answer(b"two")])
        poller = stage.poller()
        poller.add(url(server), every=0.1, count=2)
        one, two = stage.results(poller, 2)
        assert (one.body, two.body) == (b"one", b"two")

    def test_data_of_what_is_no_json(self, stage: Stage) -> None:
        result = stage.one(stage.server([Request(), answer(b"{no")]))
        assert result.data is None

    def test_events(self, stage: Stage) -> None:
        stream = b"retry: 5\n\nid: 1\ndata: a\n\nid: 2\ndata: b\n\n"
        server = stage.server([Request(), answer(stream, Content_Type="text/event-stream")] * 2)
        poller = stage.poller()
        poller.add(url(server), every=0.1, count=2)
        for result in stage.results(poller, 2):
            assert result.outcome == "ok"
            assert [event["data"] for event in result.events] == ["a", "b"]

    def test_tls(self, stage: Stage, tmp_path: Any) -> None:
        ours, theirs = contexts()
        server = stage.server([Request(), answer(b"x" * 100_000)] * 4, context=ours)
        poller = stage.poller(context=theirs)
        poller.add(url(server), every=0.2, count=4)
        results = stage.results(poller, 4)
        assert [(r.outcome, r.octets) for r in results] == [("ok", 100_000)] * 4
        assert len(server.links) == 1
        result = stage.one(server, timeout=1.0)  # by the default context
        assert (result.outcome, result.reason) == ("error", "certificate")

    def test_tls_that_a_redirect_leads_to(self, stage: Stage) -> None:
        """The context is that of all connections."""
        ours, theirs = contexts()
        secure = stage.server([Request(), answer(b"there")], context=ours)
        server = stage.server([Request(), answer(b"", 301, Location=url(secure))] * 2)
        poller = stage.poller(context=theirs)
        poller.add(url(server), every=0.2, count=2)
        results = stage.results(poller, 2)
        assert [(r.outcome, r.body, r.redirects) for r in results] == [("ok", b"there", 1)] * 2
        result = stage.one(server, timeout=1.0)  # by the default context
        assert (result.outcome, result.reason) == ("error", "certificate")

    def test_tls_that_is_decrypted_already(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is left of a record shows on no socket: it is gone on with all the same."""
        ours, theirs = contexts()
        monkeypatch.setattr(ConnectorTls, "Stride", 10_000)  # less than a record in each service
        server = stage.server([Request(), answer(b"x" * 400_000)], context=ours)
        poller = stage.poller(context=theirs)
        poller.add(url(server), count=1)
        lines = poller._lines
        again = 0
        while not poller.results:
            stage.loop.round(poller)
            again += bool(lines.again)
            if lines.again:
                poller.wait(60.0)  # there is something to do at once
        assert (poller.results[0].outcome, poller.results[0].octets) == ("ok", 400_000)
        assert again

    def test_a_large_body_in_small_pieces(self, stage: Stage) -> None:
        body = bytes(range(256)) * 40
        server = stage.server([Request(), Drip(answer(body), 97)])
        assert stage.one(server).body == body


class TestConnections:
    def test_connection_close_is_honoured(self, stage: Stage) -> None:
        server = stage.server([Request(), answer(Connection="close"), CLOSE])
        poller = stage.poller()
        poller.add(url(server), every=0.1, count=5)
        assert [r.outcome for r in stage.results(poller, 5)] == ["ok"] * 5
        assert len(server.links) == 5

    def test_a_connection_closed_while_idle_is_no_failure(self, stage: Stage) -> None:
        server = stage.server([Request(), OK, CLOSE])
        poller = stage.poller()
        poller.add(url(server), every=0.1, count=5)
        results = stage.results(poller, 5)
        assert [(r.outcome, r.attempts) for r in results] == [("ok", 1)] * 5
        assert len(server.links) == 5

    @pytest.mark.parametrize("end", [CLOSE, RESET])
    def test_a_connection_closed_on_the_next_request_is_no_failure(
        self, stage: Stage, end: str
    ) -> None:
        server = stage.server([Request(), OK, Request(), end])
        poller = stage.poller()
        poller.add(url(server), every=0.1, count=4)
        results = stage.results(poller, 4)
        assert [(r.outcome, r.attempts) for r in results] == [("ok", 1)] * 4
        assert len(server.links) == 4

    def test_a_request_that_is_not_idempotent_is_not_sent_twice(self, stage: Stage) -> None:
        server = stage.server([Request(), OK, Request(), CLOSE])
        poller = stage.poller()
        poller.add(url(server), every=0.1, count=2, method="POST", body=b"x", retries=3)
        results = stage.results(poller, 2)
        assert [(r.outcome, r.reason) for r in results] == [
            ("ok", ""),
            ("error", "closed-before-start"),
        ]
        assert len(server.requests) == 2

    def test_octets_nobody_asked_for_close_the_connection(self, stage: Stage) -> None:
        server = stage.server([Request(), OK, Wait(2), b"HTTP/1.1 200 OK\r\n", SILENT], ALWAYS)
        poller = stage.poller()
        poller.add(url(server), every=0.1, count=3)
        assert [r.body for r in stage.results(poller, 3)] == [b"ok"] * 3
        assert len(server.links) == 2

    def test_targets_of_an_origin_share_connections(self, stage: Stage) -> None:
        server = stage.server(ALWAYS)
        poller = stage.poller(connections_per_origin=2)
        for path in "abcdefgh":
            poller.add(url(server, f"/{path}"), every=0.5, count=3)
        results = stage.results(poller, 24)
        assert [r.outcome for r in results] == ["ok"] * 24
        assert len(server.links) == 2
        paths = [request[5:6].decode() for request in server.requests]
        assert sorted(paths) == sorted("abcdefgh" * 3)

    def test_the_longest_idle_make_room_for_others(self, stage: Stage) -> None:
        server = stage.server(ALWAYS)
        poller = stage.poller(connections=3)
        for path in "abcdefgh":
            poller.add(url(server, f"/{path}"), every=1.0, count=4)
        most = 0
        while len(poller.results) < 32:
            stage.loop.round(poller)
            most = max(most, poller.connections)
        assert most == 3
        assert {r.outcome for r in poller.results} == {"ok"}

    def test_redirects_are_followed_and_the_way_back_is_found(self, stage: Stage) -> None:
        there = stage.server([Request(), answer(b"there")] * 4)
        here = stage.server([Request(), answer(b"", 302, Location=url(there, "/x"))] * 4)
        poller = stage.poller()
        poller.add(url(here), every=0.1, count=3)
        results = stage.results(poller, 3)
        assert [(r.outcome, r.body, r.redirects) for r in results] == [("ok", b"there", 1)] * 3
        assert len(here.requests) == len(there.requests) == 3

    def test_redirects_within_the_origin_keep_the_connection(self, stage: Stage) -> None:
        server = stage.server([Request(), answer(b"", 301, Location="/b"), Request(), OK] * 4)
        poller = stage.poller()
        poller.add(url(server, "/a"), every=0.1, count=3)
        assert [(r.outcome, r.redirects) for r in stage.results(poller, 3)] == [("ok", 1)] * 3
        assert len(server.links) == 1
        assert [request.split()[1] for request in server.requests] == [b"/a", b"/b"] * 3

    def test_redirects_may_be_left_alone(self, stage: Stage) -> None:
        server = stage.server([Request(), answer(b"", 302, Location="/b")])
        result = stage.one(server, redirects=False)
        assert (result.outcome, result.status, result.redirects) == ("ok", 302, 0)


class TestRetries:
    @pytest.mark.parametrize(
        "trouble", [[answer(b"", 503)], [RESET], [CLOSE], [b"HTTP/1.1 2", CLOSE]]
    )
    def test_transient_trouble_is_tried_again(self, stage: Stage, trouble: list[Any]) -> None:
        server = stage.server([Request(), *trouble, Request(), OK], [Request(), OK])
        result = stage.one(server, retries=1)
        assert (result.outcome, result.attempts) == ("ok", 2)

    def test_retries_are_counted_and_end(self, stage: Stage) -> None:
        server = stage.server([Request(), RESET])
        result = stage.one(server, retries=2)
        assert (result.outcome, result.attempts) == ("error", 3)
        assert len(server.requests) == 3

    def test_no_retry_beyond_the_time(self, stage: Stage) -> None:
        server = stage.server([Request(), answer(b"", 503)] * 9)
        result = stage.one(server, retries=100, timeout=0.5)
        assert (result.outcome, result.status) == ("unexpected", 503)
        assert 2 <= result.attempts <= 4

    def test_retry_after_is_not_overruled(self, stage: Stage) -> None:
        server = stage.server([Request(), answer(b"", 503, Retry_After=9)])
        assert stage.one(server, retries=5).attempts == 1

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            (answer(b"x" * 99), "body-too-large"),
            (answer(b"", 302), "redirect-missing"),
            (answer(b"", 302, Location="ftp://x/"), "redirect-scheme"),
        ],
    )
    def test_what_would_come_again_is_not_asked_for_again(
        self, stage: Stage, said: bytes, reason: str
    ) -> None:
        server = stage.server([Request(), said, CLOSE])
        result = stage.one(server, retries=5, max_body=50)
        assert (result.outcome, result.reason, result.attempts) == ("error", reason, 1)
        assert len(server.requests) == 1

    def test_post_is_not_retried_but_where_it_was_not_sent(self, stage: Stage) -> None:
        server = stage.server([Request(), answer(b"", 503)])
        assert stage.one(server, method="POST", retries=5).attempts == 1
        deaf = stage.server(listening=False)
        assert stage.one(deaf, method="POST", retries=2).attempts == 3

    @pytest.mark.parametrize("kept", [False, True])
    def test_post_is_not_retried_where_its_redirect_leads_to_nobody(
        self, stage: Stage, kept: bool
    ) -> None:
        """303 says that it has been carried out: what is refused then is another request."""
        deaf = stage.server(listening=False)
        moved = answer(b"", 303, Location=url(deaf))
        server = stage.server([*([Request(), OK] * kept), *([Request(), moved] * 3)])
        poller = stage.poller()
        poller.add(url(server), every=0.1, count=1 + kept, method="POST", body=b"x", retries=2)
        result = stage.results(poller, 1 + kept)[-1]
        assert (result.outcome, result.reason, result.attempts) == ("error", "refused", 1)
        assert len(server.requests) == 1 + kept

    def test_after_a_kept_connection_that_was_closed_comes_a_new_one(self, stage: Stage) -> None:
        """Not another kept one, which may be closed as well; and only once (RFC 9112 9.3.1)."""
        kept = [Request(), OK, Request(), CLOSE]
        server = stage.server(kept, kept, [Request(), OK])
        poller = stage.poller(connections_per_origin=2)
        for label in "ab":
            poller.add(url(server), every=1.0, count=1, label=label)
        assert [result.outcome for result in stage.results(poller, 2)] == ["ok"] * 2
        assert poller.connections == 2
        poller.add(url(server), count=1)
        (result,) = stage.results(poller, 1)
        assert (result.outcome, result.attempts) == ("ok", 1)
        assert len(server.requests) == 4
        assert len(server.links) == 3

    def test_what_comes_after_that_one_is_kept_as_ever(self, stage: Stage) -> None:
        server = stage.server(
            [Request(), OK, Request(), CLOSE], [Request(), answer(b"", 503), Request(), OK]
        )
        poller = stage.poller()
        poller.add(url(server), every=1.0, count=2, retries=1)
        first, second = stage.results(poller, 2)
        assert (first.outcome, second.outcome, second.attempts) == ("ok", "ok", 2)
        assert len(server.links) == 2

    def test_a_new_connection_that_is_closed_is_not_taken_for_a_kept_one(
        self, stage: Stage
    ) -> None:
        server = stage.server([Request(), OK, Request(), CLOSE], [Request(), CLOSE])
        poller = stage.poller()
        poller.add(url(server), every=1.0, count=2)
        first, second = stage.results(poller, 2)
        assert (first.outcome, second.outcome) == ("ok", "error")
        assert second.reason == "closed-before-start"
        assert len(server.requests) == 3


class TestPoll:
    def test_each_url_once(self) -> None:
        with serving() as root:
            results = list(fasthio.poll([f"{root}/json", f"{root}/chunked", f"{root}/missing"]))
        outcomes = {result.url.rpartition("/")[2]: result.outcome for result in results}
        assert outcomes == {"json": "ok", "chunked": "ok", "missing": "unexpected"}

    def test_over_and_over_until_the_loop_is_left(self) -> None:
        with serving() as root:
            seen = 0
            for result in poll([f"{root}/json"], every=0.01):
                assert result.outcome in ("ok", "skipped")
                seen += 1
                if seen == 5:
                    break
        assert seen == 5

    def test_for_a_while(self) -> None:
        """All that is due until then, and nothing after; how busy the machine is is no matter."""
        looks = itertools.count()
        poller = Poller(tymth=lambda: next(looks) * 0.001)
        with serving() as root:
            results = list(poll([f"{root}/json"], every=0.05, duration=0.255, poller=poller))
        assert sum(result.count for result in results) == 6

    def test_a_poller_of_ones_own_is_closed(self) -> None:
        poller = Poller()
        with serving() as root:
            (result,) = poll([TargetSpec(f"{root}/json", count=1)], poller=poller)
        assert result.outcome == "ok"
        assert (poller.done, poller.connections, poller.fileno()) == (True, 0, -1)

    def test_nothing_to_poll(self) -> None:
        assert list(poll([])) == []

    def test_wrong_options_are_told_at_the_call(self) -> None:
        with pytest.raises(ValueError, match="URL"):
            poll(["ftp://x/"])
        with pytest.raises(ValueError, match="timeout"):
            poll(["http://x/"], timeout=-1)

    @pytest.mark.parametrize("start", [-1e6, -0.7, 1e6])
    def test_tyme_may_begin_anywhere(self, stage: Stage, start: float) -> None:
        stage.loop.tymist.tyme = start
        server = stage.server(ALWAYS)
        poller = stage.poller(openings=100.0)
        targets = [poller.add(url(server), every=0.2, count=3) for _ in range(3)]
        results = stage.results(poller, 9)
        assert {result.outcome for result in results} == {"ok"}
        for target in targets:
            assert check_account(results, target) == 3
        assert min(result.due for result in results) == start
        assert max(result.due for result in results) == pytest.approx(start + 0.4, abs=0.03)

    def test_tyme_that_goes_back_holds_up_no_connection(self, stage: Stage) -> None:
        server = stage.server(ALWAYS)
        stage.loop.tymist.tyme = 1e6
        poller = stage.poller(openings=100.0)
        poller.add(url(server), count=1)
        stage.results(poller, 1)
        stage.loop.tymist.tyme = 0.0
        poller.add(url(server), count=1)
        assert stage.results(poller, 1)[0].outcome == "ok"

    def test_open_twice(self) -> None:
        poller = Poller()
        poller.open()
        fd = poller.fileno()
        poller.open()
        assert poller.fileno() == fd
        poller.close()

    def test_a_wait_is_ended_from_another_thread(self) -> None:
        poller = Poller()
        poller.open()
        timer = threading.Timer(0.05, poller.wake)
        timer.start()
        poller.wait(60.0)  # the test's own time limit would end it
        timer.join()
        assert poller.service() == 0
        poller.close()
        poller.wake()

    def test_limits_reach_the_parser(self, stage: Stage) -> None:
        server = stage.server([Request(), answer(b"", A="x" * 200)])
        poller = stage.poller(limits=Limits(line=100))
        poller.add(url(server), count=1)
        (result,) = stage.results(poller, 1)
        assert (result.outcome, result.reason) == ("error", "line-too-long")
