"""The benchmarks run, and what they measure is equal work."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import goals, messages, parsers, parsing, report, timing

from conftest import ENGINES

OURS = [
    "fasthio Respondent",
    *(["fasthio C"] if "c" in ENGINES else []),
    "fasthio Python",
    "hio",
    "httptools",
    "h11",
    "http.client",
]


@pytest.mark.parametrize("name", list(messages.CASES))
def test_each_parser_does_the_whole_work(name: str) -> None:
    """Status, fields and body come out right of every parser that a test run has."""
    case = messages.make_case(name)
    found = parsers.find_peers(OURS)
    assert not found.missing
    wrong = {peer: parsers.check(peer, run, case) for peer, run in found.runs.items()}
    assert wrong == dict.fromkeys(OURS)


def test_check_finds_what_is_wrong() -> None:
    """A peer that does less than all is not measured."""
    case = messages.make_case("same")
    whole = {"server": "nginx/1.22.1", **{str(number): "" for number in range(10)}}
    assert parsers.check("x", lambda _: (200, whole, case.body), case) is None
    assert parsers.check("x", lambda _: (404, whole, case.body), case) == "status 404"
    assert "body" in str(parsers.check("x", lambda _: (200, whole, b""), case))
    assert "fields" in str(parsers.check("x", lambda _: (200, {}, case.body), case))


def test_small_responses_are_alike() -> None:
    """All small responses have 731 octets, and no two are the same."""
    for name in ("small", "first-seen"):
        found = [b"".join(pieces) for pieces in messages.make_case(name).messages]
        assert {len(message) for message in found} == {messages.SMALL_SIZE}
        assert len(set(found)) == messages.VARIETY


def test_interleave_counts_every_round() -> None:
    """Each block is measured in each round."""
    done = {"a": 0, "b": 0}

    def block(name: str):
        def run(count: int) -> None:
            done[name] += count

        return run

    found = timing.interleave({name: block(name) for name in done}, rounds=3, seconds=1e-5)
    assert {name: figures["rounds"] for name, figures in found.items()} == {"a": 3, "b": 3}
    assert all(done.values())


def test_report_of_one_round() -> None:
    """A round of one case becomes a report; goals that were not measured are said to be."""
    case = messages.make_case("same")
    found = parsing.measure_case(case, rounds=1, seconds=1e-4)
    keys = ("date", "commit", "load", "rounds", "processor", "system", "python", "engine")
    machine = {**dict.fromkeys(keys, "x"), "packages": {}}
    results = {"measured": {"parsers": machine}, "parsers": {"same": found}}
    verdicts = {verdict.goal.row: verdict for verdict in goals.judge(results)}
    assert verdicts["idle `service()`"].met is None
    if "fasthio C" in found["us"]:
        assert isinstance(verdicts["the same head again"].figure, float)
        assert "### The same small response" in report.write_report(results)
