"""pollview: counting, percentiles and what is shown."""

from __future__ import annotations

import io
import json
import re
import sys
from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from fasthio import pollview
from fasthio.engine import ENGINE
from fasthio.pollview import (
    JsonLines,
    Lines,
    Table,
    Tally,
    Timeline,
    Totals,
    make_view,
    short_ms,
    shorten,
    sparkline,
)
from fasthio.results import Latency, PollResult
from fasthio.targets import Target, TargetSpec

URL = "http://127.0.0.1:1/"
TARGET = Target(TargetSpec(URL))


def make(
    outcome: str, latency: float | None = None, target: Target = TARGET, **kwa: Any
) -> PollResult:
    parts = None if latency is None else Latency(None, None, latency)
    return PollResult(target, outcome, due=0.0, number=0, started=0.0, latency=parts, **kwa)


GOOD = make("ok", 0.002, status=200, phrase="OK", octets=10, attempts=1)
REFUSED = make("error", 0.5, reason="refused", error="connection refused")
BUSY = make("unexpected", 0.001, status=503, phrase="Busy", reason="status-503", error="503 Busy")
SKIPPED = make("skipped", reason="overlap", count=3)


class Terminal(io.StringIO):
    """Stand for a terminal."""

    def isatty(self) -> bool:
        return True


def test_tally() -> None:
    tally = Tally()
    for result in (GOOD, REFUSED, BUSY, SKIPPED, GOOD):
        tally.add(result)
    assert tally.requests == 4
    assert tally.failed == 2
    assert tally.failures == {"refused": 1, "status-503": 1}
    assert tally.skipped == {"overlap": 3}
    assert tally.octets == 20
    assert (tally.latencies.count, tally.latencies.most) == (3, 0.002)
    assert list(tally.recent) == [0.002, None, None, 0.002]
    assert (tally.last, tally.failing, tally.recent_latency) == (GOOD, False, 0.002)


def test_sparkline() -> None:
    assert sparkline(deque([1.0, 8.0, None, 4.5])) == "▁█!▄"
    assert sparkline(deque([0.0])) == "▁"
    assert sparkline(deque()) == ""


def test_timeline_keeps_a_bounded_number_of_intervals() -> None:
    timeline = Timeline()
    for second in range(2000):
        timeline.add(float(second), 0.001)
    assert len(timeline.intervals) <= Timeline.MOST
    assert timeline.width == 16.0
    assert sum(each.count for each in timeline.intervals) == 2000


def test_summary() -> None:
    totals = Totals()
    for result in (GOOD, REFUSED, BUSY, SKIPPED, REFUSED):
        totals.add(result)
    lines = totals.summary()
    assert re.fullmatch(r"requests  4 in \d+\.\d s", lines[0])
    assert lines[1:] == [
        "failures  3 (refused 2, status-503 1)",
        "skipped   3 (overlap 3)",
        "octets    10 of bodies",
        "latency   p50 1.00 ms  p95 2.00 ms  p99 2.00 ms  (of 2 whole responses)",
        f"engine    {ENGINE}",
    ]


def test_summary_with_the_distribution() -> None:
    totals = Totals()
    totals.add(GOOD)
    with_it, without = totals.summary(histogram=True), totals.summary()
    assert len(with_it) > len(without) + 3
    assert any(line.startswith("#[Mean") or "Total count" in line for line in with_it)


def test_rate_is_that_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("fasthio.pollview.time.monotonic", lambda: now[0])
    totals = Totals()
    for _ in range(20):  # one a second, then none
        totals.add(GOOD)
        now[0] += 1.0
        rate = totals.rate()
    assert rate == pytest.approx(1.0)
    for _ in range(7):
        now[0] += 1.0
        rate = totals.rate()
    assert rate == 0.0


def test_headline_tells_who_waits() -> None:
    poller = SimpleNamespace(flying=2, waiting=3, connections=4, stalled=True)
    totals = Totals()
    totals.add(SKIPPED)
    lines = Table(Terminal(), totals, poller).headlines(40)  # type: ignore[arg-type]
    text = ", ".join(lines)
    assert "3 skipped, 2 under way, 3 waiting, 4 connections" in text
    assert "STALLED: results are not taken" in text


def test_summary_of_nothing() -> None:
    lines = Totals().summary()
    assert lines[0].startswith("requests  0 in ")
    assert lines[1:4] == ["failures  0", "octets    0 of bodies", "latency   no whole response"]


def test_lines() -> None:
    stream = io.StringIO()
    view = Lines(stream)
    for result in (GOOD, REFUSED, BUSY, SKIPPED):
        view.show(result)
    view.say("more\x1b")
    view.refresh()
    view.close()
    *shown, said = stream.getvalue().splitlines()
    assert said == "more\N{REPLACEMENT CHARACTER}"
    assert [line.split(" ", 1)[1] for line in shown] == [
        f"{URL} 200 OK, 10 octets, 2.00 ms",
        f"{URL} FAILED refused: connection refused",
        f"{URL} FAILED 503 Busy, 0 octets, 1.00 ms",
        f"{URL} SKIPPED overlap, 3 polls",
    ]


def test_what_was_cancelled_is_no_failure() -> None:
    result = make("cancelled", 0.1, reason="removed")
    assert pollview.describe(result) == pollview.brief(result) == "CANCELLED removed"


def test_what_a_server_sends_cannot_play_with_the_terminal() -> None:
    result = make("ok", 0.1, status=200, phrase="\x1b[2J\x9b1m\r\n", octets=1)
    assert "\x1b" not in pollview.describe(result)
    assert pollview.describe(result).isprintable()
    result = make("error", 0.1, reason="malformed", error="\x1b]0;title\x07")
    assert pollview.describe(result).isprintable()


def test_events_and_redirects_are_told() -> None:
    result = make("ok", 0.1, status=200, phrase="OK", events=({},) * 5, redirects=2, attempts=3)
    assert (
        pollview.describe(result)
        == "200 OK, 0 octets, 5 events, 2 redirected, 3 attempts, 100.00 ms"
    )


def test_json_lines() -> None:
    stream = io.StringIO()
    lines = JsonLines(stream)
    lines.write(GOOD)
    lines.write(REFUSED)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first == {
        "time": "1970-01-01T00:00:00.000000+00:00",
        "label": URL,
        "url": URL,
        "outcome": "ok",
        "reason": "",
        "status": 200,
        "latency": 0.002,
        "connect": None,
        "first": None,
        "attempts": 1,
        "octets": 10,
        "events": 0,
        "redirects": 0,
        "number": 0,
        "count": 1,
        "due": 0.0,
        "error": "",
    }
    assert (second["status"], second["outcome"]) == (None, "error")
    assert (second["reason"], second["error"]) == ("refused", "connection refused")


def plain(stream: Terminal) -> str:
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", stream.getvalue())


def test_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    totals = Totals()
    view = make_view(stream, totals)
    assert isinstance(view, Table)
    totals.add(GOOD)
    view.show(GOOD)
    view.refresh()
    totals.add(REFUSED)
    view.say("targets.toml, line 3")
    view.close()
    text = plain(stream)
    assert URL in text
    assert " 2 ms" in text
    assert "█!" in text
    assert "FAILED" in text
    assert "targets.toml, line 3" in text


def test_table_shows_the_failing_and_the_slow_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINES", "15")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    totals = Totals()
    for number in range(20):
        target = Target(TargetSpec(URL, label=f"target-{number:02}"))
        totals.add(make("ok", 0.001 * number, target, status=200))
    bad = Target(TargetSpec(URL, label="target-bad"))
    totals.add(make("timeout", 9.0, bad, reason="timeout-first"))
    view = Table(stream, totals, count=42)
    view.close()
    text = plain(stream)
    shown = re.findall(r"target-\w+", text[text.rindex("target ") :])
    assert shown == ["target-bad", "target-19", "target-18"]
    assert "18 more that are faster" in text


def test_progress() -> None:
    totals = Totals()
    for result in (GOOD, SKIPPED):
        totals.add(result)
    table = Table(Terminal(), totals, count=10)
    assert table.progress() == (0.4, "4/10")
    bar = str(table.bar(60))
    assert len(bar) == 60
    assert bar.endswith("  40%  4/10")
    assert bar.count("\N{BOX DRAWINGS HEAVY HORIZONTAL}") == 19
    share, words = Table(Terminal(), totals, duration=60.0).progress() or (9.0, "")
    assert 0.0 <= share < 0.5
    assert words.endswith("/60 s")
    assert Table(Terminal(), totals).bar(80) is None


@pytest.mark.parametrize(
    ("columns", "titles"),
    [
        (200, ["target", "polls", "failed", "p50", "p95", "latest", "last"]),
        (80, ["target", "failed", "p50", "p95", "latest", "last"]),
        (60, ["target", "failed", "p95", "last"]),
        (40, ["target", "last"]),
    ],
)
def test_as_much_as_fits_is_shown(
    monkeypatch: pytest.MonkeyPatch, columns: int, titles: list[str]
) -> None:
    """Lines are never longer than the terminal, and targets can be told apart."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", "24")
    stream = Terminal()
    totals = Totals()
    long = "a" * 150
    for path in ("one", "two", "three", f"{long}/four", f"{long}/five"):
        target = Target(TargetSpec(f"http://127.0.0.1:12345/{path}"))
        for number in range(20):
            totals.add(make("ok", 0.001 * number, target, status=200))
    view = Table(stream, totals, count=200)
    view.close()
    lines = [line.rstrip() for line in plain(stream).splitlines()]
    assert max(map(len, lines)) <= columns
    head = next(line for line in lines if "target " in line)
    assert head.split() == titles
    rows = lines[len(lines) - lines[::-1].index(head) :]  # of the last frame
    for path in ("/one", "/two", "/three", "/four", "/five"):
        assert sum(f"{path} " in row for row in rows) == 1
    assert any("100/200" in line for line in lines)
    assert columns < 80 or any("targets of http://127.0.0.1:12345" in line for line in lines)


def test_shorten() -> None:
    assert shorten("abcdefghij", 10) == "abcdefghij"
    assert shorten("abcdefghijk", 10) == "abc\N{HORIZONTAL ELLIPSIS}fghijk"
    assert len(shorten("x" * 99, 8)) == 8


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.0, "0 us"),
        (0.0000123, "12 us"),
        (0.000123, "0.12 ms"),
        (0.00123, "1.23 ms"),
        (0.0456, "45.6 ms"),
        (0.09951, "100 ms"),
        (0.25196, "252 ms"),
        (0.9996, "1.0 s"),
        (59.96, "60.0 s"),
        (3600.0, "3,600 s"),
    ],
)
def test_short_ms(seconds: float | None, text: str) -> None:
    assert short_ms(seconds) == text


def test_plain_lines_where_there_is_no_terminal() -> None:
    assert isinstance(make_view(io.StringIO(), Totals()), Lines)


def test_plain_lines_where_rich_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    assert isinstance(make_view(Terminal(), Totals()), Lines)
