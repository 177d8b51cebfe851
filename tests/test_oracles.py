"""Other parsers on the corpus: every difference is noted, and explained by its clause."""

from __future__ import annotations

import re

import pytest

from cases import CASES
from oracles import ORACLES, PAGE, askable, difference, noted, page, reasons

#: A field whose value begins behind a fold: Python's email package, and with it
#: http.client, reads it as we do since 3.14, and may do so in a later 3.10 to 3.13.
FOLDED_AT_ONCE = re.compile(rb":[ \t]*\r?\n[ \t]")


@pytest.mark.parametrize("name", ORACLES)
def test_differences_are_noted(name: str) -> None:
    """What an oracle makes of each case is what the corpus says it does."""
    wrong = {}
    for case in CASES:
        told, found = noted(case, name)[0], difference(case, name) or ""
        if not found and name == "http.client" and FOLDED_AT_ONCE.search(case.octets):
            continue
        if told != found:
            wrong[case.name] = f"noted {told!r}, found {found!r}"
    assert wrong == {}


def test_differences_are_explained() -> None:
    """Each note names a reason of the table, and each reason is needed."""
    named = {(name, noted(case, name)[1]) for case in CASES for name in case.notes}
    assert named == set(reasons())
    for reason in reasons().values():
        assert any(letter.isdigit() for letter in reason.clause)
        assert len(reason.why) > 10


def test_oracles_are_asked() -> None:
    """No oracle is left out of much."""
    for name in ORACLES:
        assert sum(askable(case, name) for case in CASES) > 0.8 * len(CASES)


def test_page_is_up_to_date() -> None:
    """docs/oracles.md is what the corpus makes it: else run tools/corpus.py oracles."""
    assert PAGE.read_text("utf-8") == page()
