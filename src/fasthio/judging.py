"""What a whole response means for a poll: success or not, changed or not, and when to come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .exchanging import IDEMPOTENT
from .grammar import ERRORS, EXCHANGE_ERRORS
from .pacing import retry_after

if TYPE_CHECKING:
    from .results import PollResult
    from .targets import Target, TargetSpec

__all__ = ["asked_wait", "judge", "may_retry"]

#: Statuses that a retry within the poll may cure (RFC 9110 15.6).
TRANSIENT: Final = frozenset((500, 502, 503, 504))
#: Codes of errors with which nothing of a request had reached the server it was meant for.
UNSENT: Final = frozenset(("refused", "closed", "tls", "socket"))
#: Codes of errors that trying again does not cure: the server would say the same again.
LASTING: Final = frozenset(
    code
    for code, spec in (ERRORS | EXCHANGE_ERRORS).items()
    if code == "certificate"
    or spec.kind
    in {"line-limit", "limit", "event-line", "event", "redirect", "stream", "decoding", "request"}
)


def judge(target: Target, result: PollResult) -> None:
    """Compare a whole response with what is expected.

    Args:
        target: what was polled; what a conditional poll needs is kept on it.
        result: with outcome "ok" so far, and status, phrase, headers, body and octets of
            the response; outcome, reason, error, and the body of a 304, are set.
    """
    spec = target.spec
    status = result.status
    assert status is not None
    if status < 300 and spec.expect is None and not spec.conditional:
        return  # the usual case
    kept = target.kept
    effective = status
    # RFC 9110 15.4.5: what we have still holds; where a redirect led, nobody was asked about it
    if status == 304 and kept is not None and not result.redirects:
        result.outcome = "unchanged"
        result.body = kept.body
        assert kept.status is not None
        effective = kept.status
    _compare(spec, result, effective)
    if spec.conditional:
        _remember(target, result)


def _compare(spec: TargetSpec, result: PollResult, status: int) -> None:
    """Compare a response with what is expected."""
    expect = spec.expect
    if callable(expect):
        try:
            good = bool(expect(result))
        except Exception as error:  # of the program's own function: the result tells
            result.outcome, result.reason = "unexpected", "expect"
            result.error = f"expect raised {error!r}"
            return
        if not good:
            result.outcome, result.reason = "unexpected", "expect"
            result.error = "not as expected"
        return
    good = status < 400 if expect is None else status in expect  # type: ignore[operator]
    if not good:
        result.outcome, result.reason = "unexpected", f"status-{result.status}"
        result.error = f"{result.status} {result.phrase}".rstrip()


def _remember(target: Target, result: PollResult) -> None:
    """Keep what the next request needs for its conditions (RFC 9110 13.1)."""
    headers = result.headers
    assert headers is not None
    before = target.etag, target.modified, target.kept is None
    if result.outcome == "unchanged":
        # RFC 9111 4.3.4: fields of the 304 take the place of those kept
        target.etag = headers.get("etag") or target.etag
        target.modified = headers.get("last-modified") or target.modified
    elif result.outcome == "ok" and result.status == 200 and not result.redirects:
        # an empty one is none (RFC 9110 8.8.3)
        target.etag = headers.get("etag") or None
        target.modified = headers.get("last-modified") or None
        some = target.etag is not None or target.modified is not None
        target.kept = result if some else None
    if before != (target.etag, target.modified, target.kept is None):
        target._octets = None  # the next request says otherwise


def may_retry(spec: TargetSpec, attempts: int, code: str, unsent: bool) -> bool:
    """Tell whether a poll may try again after an attempt that got no whole response.

    Args:
        spec: options of the target.
        attempts: made so far.
        code: of the error.
        unsent: True where nothing of the request had reached the server, nor another one
            that has sent it on.
    Returns:
        False too for a request that is not idempotent and may have reached the
        server (RFC 9110 9.2.2).
    """
    if attempts > spec.retries or code in LASTING:
        return False
    return spec.method in IDEMPOTENT or unsent


def may_retry_status(spec: TargetSpec, attempts: int, status: int, headers: Any) -> bool:
    """Tell whether a poll may try again after a whole response."""
    return (
        status in TRANSIENT
        and attempts <= spec.retries
        and spec.method in IDEMPOTENT
        and "retry-after" not in headers  # it says when
    )


def asked_wait(result: PollResult, now: float, longest: float) -> float:
    """Give the seconds that a failed response asks to be left alone for.

    Args:
        result: of the poll.
        now: seconds since the epoch.
        longest: seconds that are granted at most.
    Returns:
        0.0 where it asks for nothing (RFC 9110 10.2.3).
    """
    headers = result.headers
    value = headers.get("retry-after") if headers is not None else None
    if headers is None or value is None:
        return 0.0
    wait = retry_after(value, now, headers.get("date"))
    return min(wait, longest) if wait is not None else 0.0
