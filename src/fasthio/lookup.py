"""Host names looked up beside the loop: a resolver that hangs holds up nobody.

`socket.getaddrinfo` blocks for as long as the system likes. It is called in a
few threads here; what they find is collected by the loop.
"""

from __future__ import annotations

import ipaddress
import logging
import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .errors import ResolutionError
from .resolving import Address, resolve, unresolved

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Answer", "Lookup"]

#: Names looked up at a time.
THREADS: Final = 8
#: Seconds for which what was found is used without asking again.
LIFE: Final = 60.0
#: Seconds for which it is believed that a name has no address.
DOUBT: Final = 1.0
#: Names beyond which old ones are forgotten: redirects may lead to ever new ones.
MOST: Final = 50_000

Name = tuple[str, int]

logger = logging.getLogger("fasthio.polling")


class Answer(NamedTuple):
    """What came of a lookup: addresses, or the error."""

    name: Name
    addresses: tuple[Address, ...]
    error: ResolutionError | None


class _Known:
    __slots__ = ("addresses", "asked", "error", "until")

    def __init__(self) -> None:
        self.addresses: tuple[Address, ...] = ()
        self.asked = False
        self.error: ResolutionError | None = None
        self.until = 0.0


class Lookup:
    """Find the addresses of hosts without blocking.

    Addresses are used for `life` seconds; after that they are still used while
    they are looked up again. That there are none is believed for `doubt` seconds.

    Attributes:
        pending: lookups under way.
    """

    def __init__(
        self,
        wake: Callable[[], Any],
        *,
        life: float = LIFE,
        doubt: float = DOUBT,
        threads: int = THREADS,
        resolver: Callable[[str, int], list[Address]] = resolve,
    ) -> None:
        """Start without threads; each is started when there is work for it.

        Args:
            wake: called from a thread once an answer can be collected.
            life: seconds for which what was found is used without asking again.
            doubt: seconds for which it is not asked again where nothing was found.
            threads: lookups at a time.
            resolver: what finds the addresses of a host and port, may block; whatever it
                raises is the lookup's error.
        """
        self._wake = wake
        self._life = life
        self._doubt = doubt
        self._most = threads
        self._resolver = resolver
        self._known: dict[Name, _Known] = {}
        self._asked: SimpleQueue[Name | None] = SimpleQueue()
        self._answers: deque[Answer] = deque()
        self._threads: list[threading.Thread] = []
        self.pending = 0

    def find(self, host: str, port: int, tyme: float) -> tuple[Address, ...] | None:
        """Give the addresses of a host.

        Args:
            host: name or address.
            port: port to connect to.
            tyme: now, in seconds.
        Returns:
            Addresses; None where they are not known yet: `collect` gives them later.
        Raises:
            ResolutionError: a moment ago there were none.
        """
        name = (host, port)
        known = self._known.get(name)
        if known is not None and (known.until > tyme or (known.asked and known.addresses)):
            if known.error is not None:
                raise known.error.with_traceback(None)
            return known.addresses
        if known is None:
            if len(self._known) >= MOST:
                self._forget(tyme)
            known = self._known[name] = _Known()
            if _is_address(host):
                known.addresses = tuple(resolve(host, port))  # needs no resolver
                known.until = float("inf")
                return known.addresses
        if not known.asked:
            known.asked = True
            self._ask(name)
        return known.addresses or None

    def _forget(self, tyme: float) -> None:
        """Forget what is not believed any more, and addresses, which need no looking up."""
        self._known = {
            name: known
            for name, known in self._known.items()
            if known.asked or tyme < known.until < float("inf")
        }

    def _ask(self, name: Name) -> None:
        self.pending += 1
        if self.pending > len(self._threads) and len(self._threads) < self._most:
            # daemons, as nobody can end a call of getaddrinfo, not even at exit
            thread = threading.Thread(
                target=_work,
                args=(self._resolver, self._asked, self._answers, self._wake),
                name="fasthio-lookup",
                daemon=True,
            )
            thread.start()
            self._threads.append(thread)
        self._asked.put(name)

    def collect(self, tyme: float) -> list[Answer]:
        """Take the answers that have come.

        Args:
            tyme: now, in seconds.
        """
        collected = []
        while self._answers:
            answer = self._answers.popleft()
            self.pending -= 1
            known = self._known.get(answer.name)
            if known is not None:
                known.asked = False
                known.until = tyme + self._life
                if answer.error is None:
                    known.addresses = answer.addresses
                    known.error = None
                elif not known.addresses:  # else what was found before may still do
                    known.error = answer.error
                    known.until = tyme + self._doubt
            collected.append(answer)
        return collected

    def close(self) -> None:
        """Let the threads end; answers that are under way are dropped."""
        for _ in self._threads:
            self._asked.put(None)
        self._threads.clear()
        self._asked = SimpleQueue()
        self._answers = deque()
        self._known.clear()
        self.pending = 0


def _work(
    resolver: Callable[[str, int], list[Address]],
    asked: SimpleQueue[Name | None],
    answers: deque[Answer],
    wake: Callable[[], Any],
) -> None:
    """Look names up, in a thread, until None comes.

    The thread must outlive whatever it calls: lookups that it would have made wait for ever.
    """
    while (name := asked.get()) is not None:
        try:
            answer = Answer(name, tuple(resolver(*name)), None)
        except ResolutionError as error:
            answer = Answer(name, (), error)
        except Exception as error:  # of a program's own resolver
            answer = Answer(name, (), unresolved(name[0], error))
        answers.append(answer)
        try:
            wake()
        except Exception:
            logger.exception("lookup: an answer is there, but nobody could be told")


def _is_address(host: str) -> bool:
    """Tell whether a host is an address, which no resolver is needed for."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
