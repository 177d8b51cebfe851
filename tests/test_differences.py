"""The table of differences is whole: each number has a row and a test, and the page is current."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

import fasthio

TESTS = Path(__file__).parent
ROOT = TESTS.parent
ASSEMBLE = runpy.run_path(str(ROOT / "docs" / "assemble.py"))
NUMBER = re.compile(r"(?<![A-Za-z0-9])[Dd](\d\d\d?)(?![A-Za-z0-9])")
NUMBERS = [re.match(r"\| (D\d+) ", row)[1] for row in ASSEMBLE["rows"]()]


def _mentioned(folder: Path, pattern: str, skip: str = "") -> set[str]:
    return {
        f"D{number}"
        for path in folder.rglob(pattern)
        if path.name != skip and path.suffix != ".pyc"
        for number in NUMBER.findall(path.read_text())
    }


def test_page_is_current() -> None:
    assert (ROOT / "docs" / "differences.md").read_text() == ASSEMBLE["page"]()


@pytest.mark.parametrize("number", NUMBERS)
def test_difference_has_a_test(number: str) -> None:
    tests = _mentioned(TESTS, "*.py", skip=Path(__file__).name) | _mentioned(TESTS, "*.md")
    assert number in tests


def test_numbers_in_the_sources_have_a_row() -> None:
    package = Path(fasthio.__file__).parent  # src/fasthio, or where a wheel was installed
    named = _mentioned(package, "*.p*") | _mentioned(ROOT / "src", "*.p*")
    assert named
    assert named <= set(NUMBERS)
