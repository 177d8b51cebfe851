"""Fair admission: caps, turns, suspects."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from fasthio.admitting import Admission


def admit_all(admission: Admission[str]) -> list[str]:
    admitted = []
    while (item := admission.admit()) is not None:
        admitted.append(item)
    return admitted


def test_no_more_than_its_places() -> None:
    admission: Admission[str] = Admission(2)
    for item in "abc":
        admission.join(item, item)
    assert admit_all(admission) == ["a", "b"]
    assert len(admission) == 1
    admission.leave("a")
    assert admit_all(admission) == ["c"]


def test_origins_take_turns() -> None:
    admission: Admission[str] = Admission(100)
    for number in range(4):
        admission.join(f"big{number}", "big")
    admission.join("small0", "small")
    admission.join("other0", "other")
    assert admit_all(admission) == ["big0", "small0", "other0", "big1", "big2", "big3"]


def test_an_origin_with_no_connection_left_holds_up_no_other() -> None:
    admission: Admission[str] = Admission(100, each=1)
    for item in ("a0", "a1", "a2", "b0", "b1"):
        admission.join(item, item[0])
    assert admit_all(admission) == ["a0", "b0"]
    assert admission.why("a") == "connections"
    admission.leave("b")
    assert admit_all(admission) == ["b1"]
    admission.leave("a")
    assert admit_all(admission) == ["a1"]
    admission.leave("a")
    assert admit_all(admission) == ["a2"]


def test_suspects_hold_only_their_share() -> None:
    admission: Admission[str] = Admission(4, share=0.5)
    for number in range(6):
        admission.join(f"bad{number}", number, suspect=True)
    assert admit_all(admission) == ["bad0", "bad1"]
    admission.join("good", "good")
    assert admit_all(admission) == ["good"]
    admission.leave(0, suspect=True)
    assert admit_all(admission) == ["bad2"]
    assert admission.why("x") == "concurrency"


def test_even_a_single_place_is_open_to_suspects() -> None:
    admission: Admission[str] = Admission(1)
    admission.join("bad", "bad", suspect=True)
    assert admission.admit() == "bad"


def test_who_enters_without_waiting() -> None:
    """Nobody overtakes who waits, and none of the three bounds is passed."""
    admission: Admission[str] = Admission(4, each=2, share=0.25)
    assert admission.enter("a", suspect=True)
    assert not admission.enter("b", suspect=True)  # one place is the suspects'
    assert admission.enter("a")
    assert not admission.enter("a")  # two places are an origin's
    assert admission.enter("b")
    assert admission.inside == 3
    admission.join("waits", "c")
    assert not admission.enter("d")  # one waits already
    assert admission.admit() == "waits"
    assert not admission.enter("d")  # no place is left
    admission.leave("a", suspect=True)
    assert admission.enter("a", suspect=True)


def test_what_is_dropped_does_not_come() -> None:
    admission: Admission[str] = Admission(10)
    for item in ("a", "b", "c"):
        admission.join(item, "origin")
    assert admission.drop("b", "origin")
    assert not admission.drop("b", "origin")
    assert not admission.drop("x", "elsewhere")
    assert list(admission.waiting()) == ["a", "c"]
    assert admit_all(admission) == ["a", "c"]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [((0,), "concurrency"), ((1, 0), "connections"), ((1, None, 0.0), "share")],
)
def test_refuses_bounds_that_are_none(arguments: tuple[int, ...], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Admission(*arguments)


class Model(RuleBasedStateMachine):
    """Whatever comes in what order: the bounds hold, and nobody is lost or forgotten."""

    inside = Bundle("inside")

    def __init__(self) -> None:
        super().__init__()
        self.admission: Admission[int] = Admission(5, each=2, share=0.4)
        self.serial = 0
        self.kinds: dict[int, tuple[str, bool]] = {}
        self.waiting: set[int] = set()
        self.held: Counter[str] = Counter()
        self.doubtful = 0

    @rule(origin=st.sampled_from("abc"), suspect=st.booleans())
    def join(self, origin: str, suspect: bool) -> None:
        self.serial += 1
        self.kinds[self.serial] = (origin, suspect)
        self.waiting.add(self.serial)
        self.admission.join(self.serial, origin, suspect)

    @rule(target=inside)
    def admit(self) -> int | None:
        item = self.admission.admit()
        if item is None:
            for waiting in self.waiting:
                origin, suspect = self.kinds[waiting]
                assert (
                    sum(self.held.values()) == 5
                    or self.held[origin] == 2
                    or (suspect and self.doubtful == 2)
                ), "an item that might go in was left outside"
            return None
        self.waiting.remove(item)
        origin, suspect = self.kinds[item]
        self.held[origin] += 1
        self.doubtful += suspect
        return item

    @rule(item=consumes(inside))
    def leave(self, item: int | None) -> None:
        if item is not None:
            origin, suspect = self.kinds[item]
            self.admission.leave(origin, suspect)
            self.held[origin] -= 1
            self.doubtful -= suspect

    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        if self.waiting:
            item = data.draw(st.sampled_from(sorted(self.waiting)))
            assert self.admission.drop(item, self.kinds[item][0])
            self.waiting.remove(item)

    @invariant()
    def bounds_hold(self) -> None:
        assert self.admission.inside == sum(self.held.values()) <= 5
        assert max(self.held.values(), default=0) <= 2
        assert self.doubtful <= 2
        assert len(self.admission) == len(self.waiting)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
