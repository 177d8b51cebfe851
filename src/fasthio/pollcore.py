"""Poll URLs through Client and ClientDoer under one Doist: what `fasthio poll` does.

The command hands over a `PollPlan` and is called back with each `PollResult`;
nothing here prints, so that another core may take this one's place.
"""

from __future__ import annotations

import math
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlsplit

from hio.base import doing
from hio.help import Hict

from .clienting import Client, ClientDoer
from .exchanging import IDEMPOTENT
from .requesting import Requester

__all__ = ["PlanError", "PollPlan", "PollResult", "check_url", "poll"]

#: Longest sleep between two cycles in seconds: bounds how late a result is shown.
NAP: Final = 0.05

#: What stays as it is in path and query; all else is percent-encoded (RFC 3986 3.3, 3.4).
SAFE: Final = "/?%:@!$&'()*+,;=-._~[]"

#: Made anew for each sleep; poll(2) makes that cheap, epoll would not.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


class PlanError(ValueError):
    """Tell that a URL, or what is to be sent to it, cannot be sent."""


@dataclass(frozen=True)
class PollPlan:
    """Say what to poll, how often and for how long.

    Args:
        urls: absolute http or https URLs, as `check_url` takes them.
        every: seconds from the start of one poll of a URL to the start of its next;
            a poll that takes longer delays the next, none is skipped over or doubled.
        count: polls of each URL; None for no bound.
        duration: seconds after which no poll is started any more; None for no bound.
        method: request method.
        headers: field names and values sent with each request, in order.
        timeout: seconds after which a poll without its whole response has failed.
    """

    urls: tuple[str, ...]
    every: float = 1.0
    count: int | None = 1
    duration: float | None = None
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float = 10.0


@dataclass(frozen=True)
class PollResult:
    """Tell how one poll went.

    Attributes:
        url: as given in the plan.
        time: when the poll started, in seconds since the epoch.
        latency: seconds from handing over the request to having the whole response,
            a new connection and redirects included; None without a response.
        status: of the final response; None without one.
        reason: the reason phrase that came with it.
        octets: length of the body.
        events: server-sent events that came.
        redirects: redirects followed.
        failure: kind of failure, None for none: "status-503", "refused", "timeout",
            or the code of any other error.
        error: what failed, in words.
    """

    url: str
    time: float
    latency: float | None = None
    status: int | None = None
    reason: str = ""
    octets: int = 0
    events: int = 0
    redirects: int = 0
    failure: str | None = None
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Give the result as a JSON object has it."""
        return asdict(self)


def check_url(url: str) -> SplitResult:
    """Check that a URL is one that can be polled.

    Args:
        url: absolute URL.
    Returns:
        Its parts.
    Raises:
        ValueError: scheme, host or port is missing or wrong, or the URL holds user
            information, white space or control characters.
    """
    if any(char <= " " or char == "\x7f" for char in url):
        raise ValueError(f"URL holds white space or a control character: {url!r}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"bad URL {url!r}: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"URL must begin with http:// or https://: {url!r}")
    if not parts.hostname:
        raise ValueError(f"URL names no host: {url!r}")
    if port == 0:
        raise ValueError(f"URL has port 0: {url!r}")
    if "@" in parts.netloc:
        raise ValueError(f"URL holds user information, send a header instead: {url!r}")
    return parts


def request_target(parts: SplitResult) -> str:
    """Give the request target of a URL, its escapes and its query as they stand.

    What no target may hold is percent-encoded as UTF-8 (RFC 3986 2.1, 3.3, 3.4).
    """
    path = quote(parts.path, safe=SAFE) or "/"
    return f"{path}?{quote(parts.query, safe=SAFE)}" if parts.query else path


class TargetRequester(Requester):
    """Send one request target, whatever path and query arguments say.

    A Requester takes the path apart and puts it together again as hio does: that
    would encode `%20` once more and keep only the last of equal names in a query.
    """

    def __init__(self, exact: str) -> None:
        super().__init__(portOptional=True)
        self.exact = exact

    def rebuild(self, *pa: Any, **kwa: Any) -> bytes:
        """Build a request for the target, or for the one that a redirect gives."""
        if kwa.get("target") is None:
            kwa["target"] = self.exact
        return super().rebuild(*pa, **kwa)


def poll(
    plan: PollPlan,
    report: Callable[[PollResult], None],
    refresh: Callable[[], None] | None = None,
) -> None:
    """Poll until the plan is done.

    Args:
        plan: what to poll.
        report: called with each result, in the order the polls end.
        refresh: called at least every 0.05 s, to redraw what is shown.
    Raises:
        PlanError: a URL, the method or a header cannot be sent.
        KeyboardInterrupt: passed on; polls under way are then dropped and not reported.
    """
    start = time.monotonic()
    # time moves by the clock and not by tocks, as the cycles wait for sockets
    doist = doing.Doist(tock=0.0)
    pollers = [PollDoer(url, plan, report, doist) for url in plan.urls]
    doist.doers = list(pollers)
    try:
        doist.enter()
        while doist.deeds and not all(poller.finished for poller in pollers):
            doist.tyme = time.monotonic() - start
            doist.recur()
            if refresh is not None:
                refresh()
            _wait(pollers)
    finally:
        doist.exit()


class PollDoer(doing.Doer):  # type: ignore[misc]  # hio has no types
    """Poll one URL on one connection, over and over.

    Attributes:
        url: what is polled.
        client: the client while there is one.
        started: clock time at which the poll under way began; None between polls.
        due: clock time at which the next poll is to begin.
        finished: whether all polls of the plan are done.
    """

    def __init__(
        self,
        url: str,
        plan: PollPlan,
        report: Callable[[PollResult], None],
        doist: doing.Doist,
        **kwa: Any,
    ) -> None:
        super().__init__(**kwa)
        self.url = url
        self.plan = plan
        self.report = report
        self.doist = doist
        self.parts = check_url(url)
        self.target = request_target(self.parts)
        self.client: Client | None = None
        self.doer: ClientDoer | None = None
        self.fresh = True  # the connection carries its first poll
        self.begun = 0
        self.stamp = 0.0
        self.started: float | None = None
        self.due = time.monotonic()
        self.until = math.inf if plan.duration is None else self.due + plan.duration
        self.finished = False

    def recur(self, tyme: float) -> bool:
        """Begin a poll that is due, or see whether the one under way has ended.

        Returns:
            True when no poll is left to do.
        """
        if self.started is not None:
            self._check()
        if self.started is None:
            now = time.monotonic()
            self.finished = self.begun == self.plan.count or max(now, self.due) >= self.until
            if not self.finished and now >= self.due:
                self._begin(now)
        return self.finished

    def exit(self) -> None:
        """Close the connection."""
        self._drop()

    def _begin(self, now: float) -> None:
        self.begun += 1
        self.due = max(self.due + self.plan.every, now)
        self.stamp = time.time()
        self.started = time.monotonic()
        self._send()

    def _send(self) -> None:
        try:
            self.fresh = self.client is None
            if self.client is None:
                self._connect()
            client = self.client
            assert client is not None
            client.events.clear()
            client.request(
                method=self.plan.method,
                path="/",  # what goes out is the requester's target
                qargs={},
                headers=Hict(self.plan.headers),
            )
            client.service()  # send at once, not in the next cycle
        except socket.gaierror as error:
            self._fail("unresolved", str(error))
        except OSError as error:  # no sockets left, or no such certificates
            self._fail("system", str(error))
        except ValueError as error:
            raise PlanError(f"{self.url} cannot be polled: {error}") from error

    def _connect(self) -> None:
        # not reconnectable: an event stream that ends is a response, not to be resumed
        self.client = Client(
            requester=TargetRequester(self.target),
            hostname=self.parts.hostname,
            port=self.parts.port,
            scheme=self.parts.scheme,
            reconnectable=False,
        )
        self.doer = ClientDoer(client=self.client)
        self.doist.extend([self.doer])

    def _drop(self) -> None:
        if self.doer is not None:
            self.doist.remove([self.doer])
            self.doer = None
        if self.client is not None:
            self.client.close()
            self.client = None

    def _check(self) -> None:
        assert self.client is not None
        assert self.started is not None
        now = time.monotonic()
        connector = self.client.connector
        if self.client.responses:
            response = self.client.responses.popleft()
            if not self.fresh and self._stale(response):
                self._drop()
                self._send()
            else:
                self._finish(response, now - self.started)
        elif not connector.connected and connector.refusals:
            refused = isinstance(connector.fault, ConnectionRefusedError)
            self._fail("refused" if refused else "unreachable", str(connector.fault))
        elif now - self.started >= self.plan.timeout:
            missing = "whole response" if connector.connected else "connection"
            self._fail("timeout", f"no {missing} within {self.plan.timeout:g} s")

    def _stale(self, response: dict[str, Any]) -> bool:
        """Tell whether a kept connection had ended before it could carry the request.

        A server may close a connection at any time between requests; what can be
        sent again then is (RFC 9112 9.3.1, RFC 9110 9.2.2), once, on a new one.
        """
        code = getattr(response["error"], "code", None)
        if code in ("closed-before-start", "reset"):
            return response["status"] is None and self.plan.method in IDEMPOTENT
        return code == "closed"

    def _finish(self, response: dict[str, Any], latency: float) -> None:
        assert self.client is not None
        failure, error = judge(response)
        result = PollResult(
            url=self.url,
            time=self.stamp,
            latency=None if response["errored"] else latency,
            status=response["status"],
            reason=response["reason"] or "",
            octets=len(response["body"]),
            events=len(self.client.events),
            redirects=len(response.get("redirects", ())),
            failure=failure,
            error=error,
        )
        self.started = None
        if response["errored"]:
            self._drop()
        self.report(result)

    def _fail(self, failure: str, error: str) -> None:
        self.started = None
        self._drop()
        self.report(PollResult(url=self.url, time=self.stamp, failure=failure, error=error))

    def interest(self) -> tuple[int, int] | None:
        """Tell which readiness the poll under way waits for.

        Returns:
            The socket's descriptor and the events of `selectors`; None when there
            is nothing to wait for.
        """
        if self.started is None or self.client is None:
            return None
        connector = self.client.connector
        if connector.cs is None or connector.cutoff:
            return None
        events = selectors.EVENT_READ
        if not connector.accepted or (connector.connected and connector.txbs):
            events |= selectors.EVENT_WRITE
        return connector.cs.fileno(), events

    def wake(self) -> float:
        """Give the clock time at which something is to be done, whatever the socket."""
        if self.started is None:
            return self.due
        if self.client is not None and self.client.responses:
            return self.started
        return self.started + self.plan.timeout


def judge(response: dict[str, Any]) -> tuple[str | None, str | None]:
    """Tell whether a response means that the poll failed.

    Args:
        response: as in `Client.responses`.
    Returns:
        Kind of failure and what failed, in words; None and None for success.
    """
    if response["errored"]:
        error = response["error"]
        return getattr(error, "code", "") or "malformed", str(error)
    status = response["status"]
    if status >= 400:
        return f"status-{status}", f"{status} {response['reason']}".rstrip()
    return None, None


def _wait(pollers: Sequence[PollDoer]) -> None:
    """Sleep until a socket is ready, a poll is due, or `NAP` is over."""
    selector = _Selector()
    nap = NAP
    now = time.monotonic()
    for poller in pollers:
        if poller.finished:
            continue
        nap = min(nap, poller.wake() - now)
        interest = poller.interest()
        if interest is not None:
            selector.register(*interest)
    if nap > 0.0:
        selector.select(nap)
