"""The connector: hio's tcp.Client with the hot paths redone; over TLS see `connecting`.

A connector owns one socket and two buffers. It never raises for what a peer or
the network does: it sets `cutoff` once the connection has ended, and `fault` to
the reason where that was not an orderly close. hio raises in many such cases.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from hio.base import tyming
from hio.core import tcp

from .engine import receive as _receive
from .engine import send as _send
from .errors import untraced
from .resolving import Address, resolve
from .urls import normalize_host_port

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Connector"]

#: Attributes that say what the socket is and how it is used.
_WAYS_IN: Final = frozenset(
    (
        "accepted",
        "connected",
        "cs",
        "cutoff",
        "receive",
        "send",
        "serviceReceives",
        "serviceSends",
        "tx",
        "_accepted",
        "_connected",
    )
)
#: Modules whose methods are no program's.
_OURS: Final = frozenset((__name__, f"{__package__}.connecting"))
_EAGAIN: Final = -errno.EAGAIN
_NOT_NOW: Final = frozenset((errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR))
_CONNECTED: Final = frozenset((0, errno.EISCONN))
_CONNECTING: Final = frozenset((errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK, errno.EINTR))
#: On Windows a socket is no file descriptor: go through the socket object there.
_DIRECT: Final = os.name == "posix"
#: Most octets that a socket's buffer can be asked for: a C int.
_MOST: Final = 2**31 - 1
#: Octets of one receive where a program says nothing.
_SIZE: Final = 8096
#: Options whose size the kernel doubles when it is set.
_DOUBLED: Final = 2 if sys.platform.startswith("linux") else 1


#: What every connector begins with, in a dict of its own: CPython 3.11 and 3.12 find attributes
#: in such a one by their place, which they do not where `__dict__` has laid one open.
_BLANK: Final[dict[str, Any]] = {
    "_tymth": None,
    "_tymer": None,
    "_born": 0.0,
    "tymeout": 0.0,
    "hostname": "",
    "addresses": [],
    "_index": 0,
    "_attempted": 0.0,
    "ha": (),
    "_known_ha": (),
    "cs": None,  # connection socket
    "ca": (None, None),
    "_accepted": False,
    "cutoff": False,
    "reconnectable": False,
    "opened": False,
    "bs": 0,
    "txbs": None,
    "rxbs": None,
    "wl": None,
    "name": "",
    "uid": 0,
    "fault": None,
    "refusals": 0,
    "_unsendable": False,  # sending failed: the peer takes no more
    "_fd": -1,
    "_send_fd": -1,
    "_idle_fd": -1,
}
_set: Final = object.__setattr__


class Connector(tcp.Client):  # type: ignore[misc]  # hio has no types
    """Connect, send and receive without blocking and without raising.

    Attributes beyond hio's:
        addresses: what the host resolved to; the next is tried on refusal.
        fault: the exception that ended the connection or the last attempt at
            one; None after an orderly close.
        refusals: how often all addresses were tried in vain since the last success.
    """

    _tymer: Any
    _born: float
    _attempted: float  # tyme of the present socket, where attempts are timed
    tymeout: float
    hostname: str
    addresses: list[Address]
    _index: int
    ha: tuple[Any, ...]
    _known_ha: tuple[Any, ...]
    cs: Any
    ca: tuple[Any, ...]
    cutoff: bool
    reconnectable: bool
    opened: bool
    bs: int
    txbs: bytearray
    rxbs: bytearray
    wl: Any
    name: str
    uid: Any
    fault: Exception | None
    refusals: int
    _unsendable: bool

    #: Most octets one `serviceReceives` takes; the parser's limits get their say between.
    Bound: int = 262_144
    #: Most octets that are received at once straight into a large body.
    Stride: int = 1_048_576

    # Descriptors for the direct way to the socket, while nothing is in between;
    # at least 0 means: connected, not cut off, `receive` or `send` not replaced.
    # `_idle_fd` also means that a client with nothing to do may look for itself.
    _fd = -1
    _send_fd = -1
    _idle_fd = -1

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; one that is a program's way in ends the direct way."""
        _set(self, name, value)
        if name in _WAYS_IN:
            own = self.__dict__
            own["_fd"] = own["_send_fd"] = own["_idle_fd"] = -1

    def __init__(
        self,
        tymeout: float | None = None,
        ha: tuple[Any, ...] | None = None,
        host: str = "127.0.0.1",
        port: int = 56000,
        reconnectable: bool | None = None,
        bs: int | None = None,
        txbs: bytearray | None = None,
        rxbs: bytearray | None = None,
        wl: Any = None,
        *,
        tymth: Callable[[], float] | None = None,
        addresses: list[Address] | None = None,
        bufsize: int | None = 8096,
        name: str = "",
        uid: Any = 0,
        **kwa: Any,
    ) -> None:
        """Resolve the host; nothing is opened yet.

        Args:
            tymeout: seconds of tyme between attempts to reopen; 0.0 for at once.
            ha: (host, port) to connect to, before `host` and `port`.
            host: name or address to connect to.
            port: port to connect to.
            reconnectable: True to let the connection be reopened.
            bs: octets of one receive.
            txbs: octets to send.
            rxbs: where received octets are put.
            wl: WireLog, open, or None.
            tymth: hio's tyme of the tymist.
            addresses: what `host` and `port`, in order already, resolve to.
            bufsize: `bs` under the name that hio's Client uses (hio: D42, ignored there).
            name: name for the program's use.
            uid: identifier for the program's use.
            kwa: ignored, as in hio.
        Raises:
            ResolutionError: the host does not resolve.
            AddressError: no such host or port can be.
            ValueError: `bufsize` is no number from 1 to 2**31 - 1, which is what a socket takes.
        """
        # hio's own constructor looks each name up twice; what it sets is set here,
        # past __setattr__, which has nothing to see yet
        if addresses is None or ha is not None:
            host, port = normalize_host_port(*(ha[:2] if ha else (host, port)))
            addresses = resolve(host, port)
        size = bufsize if bs is None else bs
        if size is None:
            size = _SIZE
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= _MOST:
            raise ValueError(f"bufsize must be from 1 to {_MOST} octets: {size!r}")
        own = _BLANK.copy()
        own["_tymth"] = tymth
        own["_born"] = (tymth or time.monotonic)()
        own["tymeout"] = self.Tymeout if tymeout is None else tymeout
        own["hostname"] = host
        own["addresses"] = addresses
        own["ha"] = own["_known_ha"] = (addresses[0].sockaddr[0], port)
        own["reconnectable"] = self.Reconnectable if reconnectable is None else reconnectable
        own["bs"] = size
        own["txbs"] = bytearray() if txbs is None else txbs
        own["rxbs"] = bytearray() if rxbs is None else rxbs
        own["wl"] = wl
        own["name"] = name
        own["uid"] = uid
        if self.__dict__:  # a subclass has begun before
            own = {**self.__dict__, **own}
        _set(self, "__dict__", own)

    # tyme

    @property
    def tymer(self) -> Any:
        """Timer of attempts to reopen; by the clock where no tymth was injected (hio: D43)."""
        if self._tymer is None:
            # made at its first use, as if it had run from the beginning
            self._tymer = tyming.Tymer(
                tymth=self.tymth or time.monotonic, duration=self.tymeout, start=self._born
            )
        return self._tymer

    @tymer.setter
    def tymer(self, tymer: Any) -> None:
        self._tymer = tymer

    def wind(self, tymth: Callable[[], float]) -> None:
        """Inject the tyme of another tymist; the timer starts again."""
        tyming.Tymee.wind(self, tymth)
        self._attempted = tymth()
        if self._tymer is None:
            self._born = tymth()
        else:
            self._tymer.wind(tymth)

    # life of the socket

    def fileno(self) -> int:
        """Give the descriptor of the socket for a selector; -1 without one."""
        return self.cs.fileno() if self.cs is not None else -1

    def _address(self) -> Address:
        """Give the address to connect to now."""
        if self.ha != self._known_ha:
            # the program has set ha, host or port since
            host, port = normalize_host_port(self.ha[0], self.ha[1])
            self.addresses = resolve(host, port)
            self._index = 0
            self._known_ha = self.ha
        return self.addresses[self._index]

    def open(self) -> bool:
        """Make a nonblocking socket; `accept` connects it.

        Returns:
            True.
        Raises:
            OSError: the system gives no socket.
        """
        self.accepted = False
        self.connected = False
        self.cutoff = False
        self.fault = None
        self._unsendable = False
        if self.tymeout > 0.0:
            self._attempted = (self.tymth or time.monotonic)()

        family, _ = self._address()
        cs = self.cs = socket.socket(family, socket.SOCK_STREAM)
        cs.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            if cs.getsockopt(socket.SOL_SOCKET, option) < _DOUBLED * self.bs:
                cs.setsockopt(socket.SOL_SOCKET, option, self.bs)
        # a request goes out in one piece: nothing is gained by waiting for more
        cs.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        cs.setblocking(False)
        self.opened = True
        return True

    def close(self) -> None:
        """Shut down and close the socket; harmless where there is none."""
        if self.cs is not None:
            self.shutdown()
            self.cs.close()
            self.cs = None
            self.accepted = False
            self.connected = False
            self.opened = False

    def serviceConnect(self) -> bool:
        """Go on connecting; with `reconnectable` an attempt is given up after `tymeout`.

        Each attempt has all of that time (hio: D98, it counts on from the last
        expiry: after a rest an attempt has no time at all).

        Returns:
            True once connected.
        """
        if not self.connected:
            self.connect()
            if (
                not self.connected
                and self.reconnectable
                and self.tymeout > 0.0
                and self.tymer.expired
                and (self.tymth or time.monotonic)() - self._attempted >= self.tymeout
            ):
                self.pass_on()
                self.reopen()
                self.tymer.start()
        return bool(self.connected)

    def pass_on(self) -> None:
        """Turn to the next address, this one having been silent too long; `open` takes it."""
        self._index = (self._index + 1) % len(self.addresses)

    def accept(self) -> bool:
        """Try to connect; on refusal the next address is tried at once.

        Returns:
            True once connected; else False: call again later.
        """
        if self.cs is None:
            self.reopen()
        for _ in range(len(self.addresses)):
            address = self._address()
            try:
                code = self.cs.connect_ex(address.sockaddr)
                if code in _CONNECTED:
                    return self._accept()
            except OSError as error:
                code = error.errno or errno.EINVAL
            if code in _CONNECTING:
                return False
            if self._refused(OSError(code, os.strerror(code))):
                break
        return False

    def _accept(self) -> bool:
        """Take note of the connection that came about."""
        here, there = self.cs.getsockname(), self.cs.getpeername()
        if here == there:
            # the system chose the very port it was to connect to: nobody else is there
            raise ConnectionRefusedError(errno.ECONNREFUSED, "connected to itself")
        self.ca = here
        self.ha = self._known_ha = there
        self.accepted = True
        self.cutoff = False
        self.fault = None
        self.refusals = 0
        self._attach()
        return True

    def _attach(self) -> None:
        """Take up the direct way once octets can flow, where nothing is in between."""
        if not (_DIRECT and self.connected and not self.cutoff):
            return
        fd = self.cs.fileno()
        if self._untouched("receive"):
            self._fd = fd
        if self._untouched("send"):
            self._send_fd = fd
        if self._fd >= 0 <= self._send_fd and (
            self._untouched("serviceReceives")
            and self._untouched("serviceSends")
            and "tx" not in self.__dict__
            and type(self).tx is tcp.Client.tx
        ):
            self._idle_fd = fd

    def _untouched(self, name: str) -> bool:
        """Tell whether a method is neither replaced on this connector nor in its class."""
        return name not in self.__dict__ and getattr(type(self), name).__module__ in _OURS

    def _refused(self, error: OSError) -> bool:
        """Go on to the next address after a refusal; True when all were tried."""
        self._index += 1
        last = self._index >= len(self.addresses)
        if last:
            self._index = 0
            self.refusals += 1
        # hio: D44, the failed socket is done with whatever the reason was
        self.reopen()
        self.fault = untraced(error)
        return last

    def _lose(self, error: Exception | None) -> None:
        """Note that nothing more will be received; `error` None for an orderly close."""
        self.cutoff = True
        if error is not None:
            self.fault = untraced(error)

    # receiving

    def receive(self) -> bytes | None:
        """Receive at most `bs` octets.

        Returns:
            The octets; None where there are none now; b"" once the connection
            has ended, with `cutoff` set (hio: D45, it raises for most errors).
        """
        try:
            data: bytes = self.cs.recv(self.bs)
        except OSError as error:
            if error.errno in _NOT_NOW:
                return None
            self._lose(error)
            return b""
        if not data:
            self._lose(None)
        elif self.wl:
            self.wl.writeRx(data, self.ha)
        return data

    def serviceReceives(self) -> None:
        """Receive what there is into `rxbs`, `Bound` octets at most (hio: D46, no bound)."""
        if self._fd < 0:
            self._service_receives()
        else:
            self.receive_direct()

    def receive_direct(self) -> int:
        """Do as `serviceReceives`, past `receive`; only while `direct`.

        Returns:
            Octets appended to `rxbs`.
        """
        rxbs = self.rxbs
        size = self.bs
        count: int = _receive(self._fd, rxbs, size)
        if 0 < count < size and not self.wl:
            return count  # a short read has emptied the socket
        if count == _EAGAIN:
            return 0
        taken = 0
        while count > 0:
            if self.wl:
                self.wl.writeRx(bytes(rxbs[-count:]), self.ha)
            taken += count
            if count < size or taken >= self.Bound:
                return taken
            count = _receive(self._fd, rxbs, size)
        self._ended(count)
        return taken

    def _service_receives(self) -> None:
        """Receive through `receive`, which a program has replaced or the system needs."""
        left = self.Bound
        while left > 0 and self.connected and not self.cutoff:
            data = self.receive()
            if not data:
                return
            self.rxbs.extend(data)
            left -= len(data)

    def receive_into(self, body: bytearray, size: int, ahead: int = 0) -> int:
        """Receive straight to the end of a body.

        Args:
            body: where the octets are appended.
            size: most octets to take.
            ahead: octets of the body that are still to come; 0 where nobody knows.
        Returns:
            Octets appended; 0 where there are none now or the connection has
            ended, which `cutoff` tells.
        """
        count: int = _receive(self._fd, body, min(size, self.Stride), ahead)
        if count > 0:
            if self.wl:
                self.wl.writeRx(bytes(body[-count:]), self.ha)
            return count
        self._ended(count)
        return 0

    def receive_behind(self) -> None:
        """Receive what no look at the socket shows, once a body has been received into: nothing."""

    def _ended(self, count: int) -> None:
        """See what a receive that gave nothing means."""
        if count == 0:
            self._lose(None)
        elif -count not in _NOT_NOW:
            self._lose(OSError(-count, os.strerror(-count)))

    @property
    def direct(self) -> bool:
        """True where `receive_into` may be used: nothing between it and the socket is replaced."""
        return self._idle_fd >= 0

    # sending

    def send(self, data: bytes | bytearray) -> int:
        """Send from the front of `data`.

        Returns:
            Octets sent; 0 where none go now, or no more ever: then receiving
            goes on until its own end, so that an answer sent meanwhile is not
            lost (hio: D47, it raises or stops receiving).
        """
        try:
            count: int = self.cs.send(data)
        except OSError as error:
            if error.errno not in _NOT_NOW:
                self._unsendable = True
                self.fault = untraced(error)
            return 0
        if count and self.wl:
            self.wl.writeTx(bytes(data[:count]), self.ha)
        return count

    def send_direct(self, octets: bytes) -> None:
        """Send at once, past `tx` and `send`; only while `direct`, and `txbs` is empty.

        Args:
            octets: what does not go now is put into `txbs`.
        """
        if self.wl or self._unsendable:
            self.txbs.extend(octets)
            return
        count = _send(self._send_fd, octets)
        if count == len(octets):
            return
        if count < 0:
            self._unsent(count)
            count = 0
        self.txbs.extend(octets[count:])

    def _unsent(self, count: int) -> None:
        """See what a send that failed means."""
        if -count not in _NOT_NOW:
            self._unsendable = True
            self.fault = OSError(-count, os.strerror(-count))

    def serviceSends(self) -> None:
        """Send what `txbs` holds as far as it goes now; what is sent is deleted.

        A peer that has closed its own side can still be sent to (hio: D47).
        """
        txbs = self.txbs
        if not txbs:
            return
        fd = self._send_fd
        if fd < 0:
            if self.connected and not self._unsendable:
                del txbs[: self.send(txbs)]
            return
        if self._unsendable:
            return
        count = _send(fd, txbs)
        if count < 0:
            self._unsent(count)
            return
        if self.wl:
            self.wl.writeTx(bytes(txbs[:count]), self.ha)
        if count == len(txbs):
            txbs.clear()
        else:
            del txbs[:count]
