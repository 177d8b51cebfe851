"""The same parsers under pytest-benchmark, a group for each case.

    python -m pytest bench --benchmark-only --benchmark-group-by=group

It measures one peer after the other: `bench.run`, which interleaves them, is the
one whose figures count. These are for a look at a single case while working.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest

from bench.messages import CASES, Case, make_case
from bench.parsers import MAKERS, check, find_peers, plain_copy


@lru_cache(maxsize=1)
def _case(name: str) -> Case:
    return make_case(name)


@pytest.mark.parametrize("peer", [*MAKERS, "plain copy"])
@pytest.mark.parametrize("name", list(CASES))
def test_parser(benchmark: Any, name: str, peer: str) -> None:
    """Parse the messages of a case."""
    if (peer == "plain copy") != (name == "length-1m") and peer == "plain copy":
        pytest.skip("the copy stands beside the long body only")
    case = _case(name)
    if peer == "plain copy":
        run = plain_copy()
    else:
        peers = find_peers([peer])
        if peer in peers.missing:
            pytest.skip(peers.missing[peer])
        run = peers.runs[peer]
        reason = check(peer, run, case)
        assert reason is None
    benchmark.group = case.title
    benchmark.name = peer
    benchmark.extra_info["messages"] = len(case.messages)
    benchmark(run, case.messages)
