"""sharing: which worker an origin goes to."""

from __future__ import annotations

from collections import Counter

from fasthio.sharing import share_out, weigh

ORIGINS = [("http", f"host{number}.example", 80) for number in range(4_000)]


def owners(workers: list[str]) -> dict[tuple[str, str, int], str | None]:
    return {origin: share_out(workers, origin) for origin in ORIGINS}


def test_shares_are_even() -> None:
    counts = Counter(owners([f"w{number}" for number in range(8)]).values())
    assert len(counts) == 8
    assert all(abs(count - 500) < 100 for count in counts.values())  # 4.8 standard deviations


def test_a_worker_moves_only_its_share() -> None:
    before, after = owners(["a", "b", "c"]), owners(["c", "d", "b", "a"])
    moved = [origin for origin in ORIGINS if before[origin] != after[origin]]
    assert {after[origin] for origin in moved} == {"d"}
    assert abs(len(moved) - 1000) < 150
    back = owners(["a", "d", "c"])
    assert all(back[origin] == after[origin] for origin in ORIGINS if after[origin] != "b")


def test_it_is_the_same_everywhere() -> None:
    assert weigh("w0", ("http", "a.example", 80)) == 12216669545508269334
    assert share_out([], ORIGINS[0]) is None
    assert weigh("\udcff", ORIGINS[0]) != weigh("w", ORIGINS[0])
