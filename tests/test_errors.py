"""Exceptions: what they carry, hio's classes behind them, and how they travel."""

from __future__ import annotations

import copy
import json
import pickle
import socket

import pytest
from hio.core.http import httping

from fasthio import errors
from fasthio.errors import ParseError, Reason, exchange_error, parse_error
from fasthio.grammar import ERRORS, EXCHANGE_ERRORS

#: Kind of error, and the classes that an `except` clause may name.
KINDS = {
    "closure": (errors.ClosureError, httping.PrematureClosure),
    "status-line": (errors.StatusLineError, httping.BadStatusLine),
    "version": (errors.VersionError, httping.UnknownProtocol),
    "field": (errors.FieldError, ValueError),
    "framing": (errors.FramingError, ValueError),
    "chunk": (errors.ChunkError, ValueError),
    "limit": (errors.LimitError,),
    "line-limit": (errors.LineLimitError, errors.LimitError, httping.LineTooLong),
    "event": (errors.EventError,),
    "event-line": (errors.EventLineError, errors.EventError, httping.LineTooLong),
}

EXCHANGE_KINDS = {
    "resolution": (errors.ResolutionError, socket.gaierror, OSError),
    "connection": (errors.ConnectionEndedError, ConnectionError),
    "tls": (errors.TlsError, ConnectionError),
    "timeout": (errors.ExchangeTimeoutError, TimeoutError),
    "stream": (errors.StreamEndedError,),
    "redirect": (errors.RedirectError,),
    "decoding": (errors.DecodeError, ValueError),
    "sink": (errors.SinkError,),
    "request": (errors.RequestError, ValueError),
}


@pytest.mark.parametrize("code", ERRORS)
def test_parse_error(code: str) -> None:
    """Each code gives an exception with all it tells, of the classes it should have."""
    spec = ERRORS[code]
    error = parse_error(code, offset=17, state="field-line", near=b"a\0\xff" + b"x" * 40)
    assert type(error) is KINDS[spec.kind][0]
    for kind in (*KINDS[spec.kind], ParseError, httping.HTTPException):
        assert isinstance(error, kind)
    near = b"a\0\xff" + b"x" * 29
    assert (error.code, error.offset, error.state, error.rfc, error.near) == (
        code, 17, "field-line", spec.rfc, near,
    )  # fmt: skip
    text = f"{spec.text}, at octet 17 near {near!r} [{code}, {spec.rfc}]"
    assert (str(error), error.args) == (text, (text,))
    assert "near" not in str(parse_error(code, offset=17, state="done"))


def test_near_may_be_a_bytearray() -> None:
    """What is kept is octets of its own."""
    octets = bytearray(b"abc")
    error = parse_error("no-colon", offset=0, state="field-line", near=octets)
    octets.clear()
    assert error.near == b"abc"
    assert type(error.near) is bytes


def test_attributes_of_hios_classes() -> None:
    """Where hio's class has an attribute, ours has it too."""
    assert parse_error("bad-start", offset=0, state="start-line", near=b"ICY\xe9").line == "ICY\xe9"  # type: ignore[attr-defined]
    assert (
        parse_error("unknown-version", offset=5, state="start-line", near=b"2.0").version == "2.0"
    )  # type: ignore[attr-defined]
    closure = parse_error("closed-in-head", offset=5, state="field-line")
    assert closure.msg == str(closure)  # type: ignore[attr-defined]


@pytest.mark.parametrize("code", EXCHANGE_ERRORS)
def test_exchange_error(code: str) -> None:
    """Each code gives an exception with its text, of the classes it should have."""
    spec = EXCHANGE_ERRORS[code]
    cause = OSError(111, "refused")
    error = exchange_error(code, "detail", cause)
    for kind in (*EXCHANGE_KINDS[spec.kind], errors.ExchangeError, httping.HTTPException):
        assert isinstance(error, kind)
    assert (error.code, error.rfc) == (code, spec.rfc)
    assert str(error) == f"{spec.text}: detail [{code}, {spec.rfc}]"
    assert error.__cause__ is cause
    if isinstance(error, OSError):
        assert error.errno == 111
    assert str(exchange_error(code)) == f"{spec.text} [{code}, {spec.rfc}]"


def test_no_such_code() -> None:
    """A code that is none is a KeyError, in tests and not in programs."""
    with pytest.raises(KeyError):
        parse_error("no-such", offset=0, state="done")
    with pytest.raises(KeyError):
        exchange_error("no-such")


def test_reason() -> None:
    """The text of an error is a str with its code and exception, and travels as a str."""
    error = parse_error("no-colon", offset=3, state="field-line", near=b"x")
    reason = Reason.of(error)
    assert reason == str(error)
    assert (reason.code, reason.exception) == ("no-colon", error)
    assert hash(reason) == hash(str(error))
    assert json.loads(json.dumps({"error": reason})) == {"error": str(error)}
    assert Reason.of(ValueError("plain")).code == ""
    assert (Reason("text").code, Reason("text").exception) == ("", None)
    for copied in (pickle.loads(pickle.dumps(reason)), copy.deepcopy(reason), copy.copy(reason)):
        assert (copied, copied.code, type(copied)) == (reason, "no-colon", Reason)
        assert copied.exception is None


def test_untraced_ends() -> None:
    """Also where an exception is behind itself."""
    try:
        raise ValueError("a")
    except ValueError as caught:
        error = caught
    behind = OSError("b")
    error.__cause__ = behind
    behind.__cause__ = error
    assert error.__traceback__ is not None
    assert errors.untraced(error) is error
    assert error.__traceback__ is None
