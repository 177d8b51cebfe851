"""pollview: counting, percentiles and what is shown."""

from __future__ import annotations

import io
import json
import re
import sys

import pytest

from fasthio import pollview
from fasthio.engine import ENGINE
from fasthio.pollcore import PollResult
from fasthio.pollview import JsonLines, Lines, Table, Tally, Totals, make_view, percentile

URL = "http://127.0.0.1:1/"
GOOD = PollResult(URL, 0.0, latency=0.002, status=200, reason="OK", octets=10)
REFUSED = PollResult(URL, 0.0, failure="refused", error="connection refused")
BUSY = PollResult(
    URL, 0.0, latency=0.001, status=503, reason="Busy", failure="status-503", error="503 Busy"
)


class Terminal(io.StringIO):
    """Stand for a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([3.0], 0.01, 3.0),
        ([3.0], 1.0, 3.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([1.0, 2.0], 0.51, 2.0),
        ([5.0, 1.0, 4.0, 2.0, 3.0], 0.5, 3.0),
        ([float(n) for n in range(1, 101)], 0.95, 95.0),
        ([float(n) for n in range(1, 101)], 0.99, 99.0),
        ([float(n) for n in range(1, 1001)], 0.999, 999.0),
    ],
)
def test_percentile(values: list[float], share: float, expected: float | None) -> None:
    assert percentile(values, share) == expected


def test_tally() -> None:
    tally = Tally()
    for result in (GOOD, REFUSED, BUSY, GOOD):
        tally.add(result)
    assert tally.requests == 4
    assert tally.failed == 2
    assert tally.failures == {"refused": 1, "status-503": 1}
    assert tally.octets == 20
    assert list(tally.latencies) == [0.002, 0.001, 0.002]
    assert tally.last is GOOD


def test_tally_keeps_a_bounded_number_of_latencies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pollview, "KEPT", 3)
    totals = Totals([URL])
    for _ in range(5):
        totals.add(GOOD)
    assert len(totals.all.latencies) == 3
    assert totals.all.answered == 5
    assert "(of the last 3 whole responses)" in "\n".join(totals.summary())


def test_summary() -> None:
    totals = Totals([URL])
    for result in (GOOD, REFUSED, BUSY, REFUSED):
        totals.add(result)
    lines = totals.summary()
    assert re.fullmatch(r"requests  4 in \d+\.\d s", lines[0])
    assert lines[1:] == [
        "failures  3 (refused 2, status-503 1)",
        "octets    10 of bodies",
        "latency   p50 1.00 ms  p95 2.00 ms  p99 2.00 ms  (of 2 whole responses)",
        f"engine    {ENGINE}",
    ]


def test_summary_of_nothing() -> None:
    lines = Totals([URL]).summary()
    assert lines[0].startswith("requests  0 in ")
    assert lines[1:4] == ["failures  0", "octets    0 of bodies", "latency   no whole response"]


def test_lines() -> None:
    stream = io.StringIO()
    view = Lines(stream)
    for result in (GOOD, REFUSED, BUSY):
        view.show(result)
    view.refresh()
    view.close()
    shown = [line.split(" ", 1)[1] for line in stream.getvalue().splitlines()]
    assert shown == [
        f"{URL} 200 OK, 10 octets, 2.00 ms",
        f"{URL} FAILED refused: connection refused",
        f"{URL} FAILED 503 Busy, 0 octets, 1.00 ms",
    ]


def test_what_a_server_sends_cannot_play_with_the_terminal() -> None:
    result = PollResult(URL, 0.0, latency=0.1, status=200, reason="\x1b[2J\x9b1m\r\n", octets=1)
    assert "\x1b" not in pollview.describe(result)
    assert pollview.describe(result).isprintable()
    result = PollResult(URL, 0.0, failure="malformed", error="\x1b]0;title\x07")
    assert pollview.describe(result).isprintable()


def test_events_and_redirects_are_told() -> None:
    result = PollResult(URL, 0.0, latency=0.1, status=200, reason="OK", events=5, redirects=2)
    assert pollview.describe(result) == "200 OK, 0 octets, 5 events, 2 redirected, 100.00 ms"


def test_json_lines() -> None:
    stream = io.StringIO()
    lines = JsonLines(stream)
    lines.write(GOOD)
    lines.write(REFUSED)
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first == {
        "url": URL,
        "time": 0.0,
        "latency": 0.002,
        "status": 200,
        "reason": "OK",
        "octets": 10,
        "events": 0,
        "redirects": 0,
        "failure": None,
        "error": None,
    }
    assert (second["status"], second["latency"]) == (None, None)
    assert (second["failure"], second["error"]) == ("refused", "connection refused")


def test_table() -> None:
    stream = Terminal()
    totals = Totals([URL])
    view = make_view(stream, totals)
    assert isinstance(view, Table)
    totals.add(GOOD)
    view.show(GOOD)
    view.refresh()
    totals.add(REFUSED)
    view.close()
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", stream.getvalue())
    assert URL in text
    assert "2.00 ms" in text
    assert "FAILED" in text


def test_plain_lines_where_there_is_no_terminal() -> None:
    assert isinstance(make_view(io.StringIO(), Totals([URL])), Lines)


def test_plain_lines_where_rich_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    assert isinstance(make_view(Terminal(), Totals([URL])), Lines)
