"""Values of the command's options: read and checked, with the error that argparse shows."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = [
    "UsageError",
    "add_headers",
    "duration",
    "header",
    "method",
    "positive",
    "scheduler",
    "seconds",
    "status_list",
    "url",
]


class UsageError(Exception):
    """Tell that the command was given wrongly."""


def url(text: str) -> str:
    """Take an absolute http or https URL.

    Args:
        text: as it was given.
    Raises:
        argparse.ArgumentTypeError: it is none, or holds what no URL may.
    """
    from .targets import check_url

    try:
        check_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def seconds(text: str) -> float:
    """Take a duration of 0 or more: seconds, or with a unit as in 250ms or 2m.

    Args:
        text: as it was given.
    Raises:
        argparse.ArgumentTypeError: it is no such duration.
    """
    from .targets import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def duration(text: str) -> float:
    """Take a duration above 0.

    Args:
        text: as it was given.
    Raises:
        argparse.ArgumentTypeError: it is none, or 0.
    """
    value = seconds(text)
    if value <= 0.0:
        raise argparse.ArgumentTypeError(f"must be above 0: {text}")
    return value


def positive(text: str) -> int:
    """Take a whole number of at least 1.

    Args:
        text: as it was given.
    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1: {text!r}")
    return value


def whole(text: str) -> int:
    """Take a whole number of at least 0.

    Args:
        text: as it was given.
    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0: {text!r}")
    return value


def port(text: str) -> int:
    """Take a port; 0 for one that is free.

    Args:
        text: as it was given.
    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    value = whole(text)
    if value > 65_535:
        raise argparse.ArgumentTypeError(f"must be a port, 0 to 65535: {text!r}")
    return value


def scheduler(text: str) -> str:
    """Take the address of a Dask scheduler.

    Args:
        text: as it was given.
    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    scheme, mark, rest = text.partition("://")
    host, colon, number = rest.rpartition(":")
    if scheme not in ("tcp", "tls") or not (mark and host and colon) or not port(number):
        raise argparse.ArgumentTypeError(f"must be tcp://HOST:PORT or tls://HOST:PORT: {text!r}")
    return text


def rate(text: str) -> float:
    """Take a number of polls a second.

    Args:
        text: as it was given.
    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 1e6:
        raise argparse.ArgumentTypeError(f"must be a number above 0, at most a million: {text!r}")
    return value


def status_list(text: str) -> tuple[int, ...]:
    """Take statuses, separated by commas.

    Args:
        text: as it was given.
    Raises:
        argparse.ArgumentTypeError: one of them is none.
    """
    statuses = []
    for part in text.split(","):
        part = part.strip()
        if not (part.isascii() and part.isdigit() and 100 <= int(part) <= 999):
            raise argparse.ArgumentTypeError(f"must be statuses, as 200,204: {text!r}")
        statuses.append(int(part))
    return tuple(statuses)


def _is_token(text: str) -> bool:
    from .grammar import TOKEN

    return bool(text) and all(ord(char) in TOKEN for char in text)


def method(text: str) -> str:
    """Take a request method.

    Args:
        text: as it was given.
    Raises:
        argparse.ArgumentTypeError: it is no token (RFC 9110 9.1).
    """
    if not _is_token(text):  # RFC 9110 9.1
        raise argparse.ArgumentTypeError(f"not a method: {text!r}")
    return text.upper()


def header(text: str) -> tuple[str, str]:
    """Take a field, as 'Name: value'.

    Args:
        text: as it was given.
    Raises:
        argparse.ArgumentTypeError: it is no such field (RFC 9110 5.1, 5.5).
    """
    from .grammar import FIELD_CONTENT

    name, colon, value = text.partition(":")
    if not colon or not _is_token(name):  # RFC 9110 5.1
        raise argparse.ArgumentTypeError(f"not of the form 'Name: value': {text!r}")
    if any(ord(char) not in FIELD_CONTENT for char in value):  # RFC 9110 5.5
        raise argparse.ArgumentTypeError(f"value of {name} holds what no field may: {value!r}")
    return name, value.strip(" \t")


def add_headers(parser: Any) -> None:
    """Add the option for fields to send."""
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        type=header,
        metavar="'K: V'",
        dest="headers",
        help="field to send; may be repeated",
    )
