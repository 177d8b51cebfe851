"""The tables both engines read: consistent in themselves, and with the RFCs."""

from __future__ import annotations

import dataclasses
import re

import pytest

from fasthio import errors
from fasthio.grammar import (
    COMMON_FIELDS,
    ERRORS,
    EXCHANGE_ERRORS,
    FIELD_CONTENT,
    FRAMINGS,
    LIMITS,
    MAX_LENGTH,
    STATES,
    TOKEN,
    TRANSITIONS,
    Limits,
)


def test_octet_classes() -> None:
    """tchar and field content, octet by octet (RFC 9110 5.6.2, 5.5)."""
    letters = {*range(0x41, 0x5B), *range(0x61, 0x7B)}
    assert {*b"!#$%&'*+-.^_`|~", *range(0x30, 0x3A), *letters} == TOKEN
    assert {9, *range(0x20, 0x7F), *range(0x80, 0x100)} == FIELD_CONTENT
    assert TOKEN < FIELD_CONTENT
    assert MAX_LENGTH == 2**63 - 1


def test_transitions() -> None:
    """Edges join declared states; all are reached, ends have no way out, each edge stands once."""
    edges = [(before, after) for before, after, _ in TRANSITIONS]
    assert len(set(edges)) == len(edges)
    assert {state for edge in edges for state in edge} == set(STATES)
    reached = {"start-line"}
    for _ in STATES:
        reached |= {after for before, after in edges if before in reached}
    assert reached == set(STATES)
    assert not [before for before, _ in edges if before in ("done", "failed")]
    for state in STATES[:-2]:
        assert (state, "failed") in edges, "the peer may close, or a limit be met, anywhere"
    assert all(text for _, _, text in TRANSITIONS)
    assert len(FRAMINGS) == 4


@pytest.mark.parametrize("table", [ERRORS, EXCHANGE_ERRORS])
def test_error_texts(table: dict[str, errors.ParseError]) -> None:
    """Each code has a kind, a source with its section, and a text of its own."""
    texts = [spec.text for spec in table.values()]
    assert len(set(texts)) == len(texts)
    for code, spec in table.items():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", code)
        assert re.fullmatch(r"RFC \d{4} \d+(\.\d+)*|WHATWG HTML \d+(\.\d+)*", spec.rfc)
        assert re.fullmatch(r"[^.\n]{10,80}", spec.text.replace("1.x", "").replace("0.9", ""))


def test_every_code_makes_an_exception() -> None:
    """No code lacks its kind of exception."""
    for code in ERRORS:
        assert errors.parse_error(code, offset=0, state="done").code == code
    for code in EXCHANGE_ERRORS:
        assert errors.exchange_error(code).code == code


def test_limits() -> None:
    """The default limits are those of the design, frozen, and each can be set."""
    designed = {"line": 65_536, "fields": 100, "head": 262_144, "interims": 32, "body": None}
    assert designed.items() <= dataclasses.asdict(LIMITS).items()
    with pytest.raises(dataclasses.FrozenInstanceError):
        LIMITS.line = 3  # type: ignore[misc]
    assert Limits(line=100) != LIMITS
    assert Limits() == LIMITS
    assert hash(Limits()) == hash(LIMITS)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Limits)])
def test_wrong_limits(name: str) -> None:
    """A limit that is no int, or out of its range, is refused with its name."""
    wrong = [-1, True, "5", 5.0, 1 << 70]
    if name not in ("body", "events"):
        wrong.append(None)
    for value in wrong:
        with pytest.raises(ValueError, match=name):
            Limits(**{name: value})
    with pytest.raises(TypeError):
        Limits(no_such_limit=5)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("name", "least"),
    [("line", 32), ("fields", 1), ("head", 1024), ("interims", 0), ("empty_lines", 0),
     ("extensions", 0), ("trailers", 2), ("body", 0)],
)  # fmt: skip
def test_least_limits(name: str, least: int) -> None:
    """The least value of each limit is taken, one below is not."""
    assert getattr(Limits(**{name: least}), name) == least
    with pytest.raises(ValueError, match=f"limit {name} must be an int from {least} to"):
        Limits(**{name: least - 1})


def test_common_fields() -> None:
    """Field names known beforehand are tokens, each once."""
    assert all(set(name.encode()) <= TOKEN for name in COMMON_FIELDS)
    assert len({name.lower() for name in COMMON_FIELDS}) == len(COMMON_FIELDS)
    assert {"Content-Length", "Transfer-Encoding"} <= set(COMMON_FIELDS)
