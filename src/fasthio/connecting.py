"""Connectors: hio's tcp.Client and tcp.ClientTls with the hot paths redone.

A connector owns one socket and two buffers. It never raises for what a peer or
the network does: it sets `cutoff` once the connection has ended, and `fault` to
the reason where that was not an orderly close. hio raises in many such cases.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from hio.base import tyming
from hio.core import tcp

from .engine import peek as _peek
from .engine import receive as _receive
from .engine import send as _send
from .resolving import Address, resolve
from .tlsing import Sessions, load_files, make_context, shared_context, shared_sessions
from .urls import normalize_host_port

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Connector", "ConnectorTls"]

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
        "_accepted",
        "_connected",
    )
)
_EAGAIN: Final = -errno.EAGAIN
_NOT_NOW: Final = frozenset((errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR))
_CONNECTED: Final = frozenset((0, errno.EISCONN))
_CONNECTING: Final = frozenset((errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK, errno.EINTR))
_WAITS: Final = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
#: On Windows a socket is no file descriptor: go through the socket object there.
_DIRECT: Final = os.name == "posix"
#: Options whose size the kernel doubles when it is set.
_DOUBLED: Final = 2 if sys.platform.startswith("linux") else 1


class Connector(tcp.Client):  # type: ignore[misc]  # hio has no types
    """Connect, send and receive without blocking and without raising.

    Attributes beyond hio's:
        addresses: what the host resolved to; the next is tried on refusal.
        fault: the exception that ended the connection or the last attempt at
            one; None after an orderly close.
        refusals: how often all addresses were tried in vain since the last success.
    """

    _tymer: Any
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
        object.__setattr__(self, name, value)
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
        bufsize: int = 8096,
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
        """
        # hio's own constructor looks each name up twice; what it sets is set here,
        # past __setattr__, which has nothing to see yet
        if addresses is None or ha is not None:
            host, port = normalize_host_port(*(ha[:2] if ha else (host, port)))
            addresses = resolve(host, port)
        size = bufsize if bs is None else bs
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise ValueError(f"bufsize must be a positive number of octets: {size!r}")
        own = self.__dict__
        own["_tymth"] = tymth
        own["_tymer"] = None
        own["tymeout"] = self.Tymeout if tymeout is None else tymeout
        own["hostname"] = host
        own["addresses"] = addresses
        own["_index"] = 0
        own["ha"] = own["_known_ha"] = (addresses[0].sockaddr[0], port)
        own["cs"] = None  # connection socket
        own["ca"] = (None, None)
        own["_accepted"] = False
        own["cutoff"] = False
        own["reconnectable"] = self.Reconnectable if reconnectable is None else reconnectable
        own["opened"] = False
        own["bs"] = size
        own["txbs"] = bytearray() if txbs is None else txbs
        own["rxbs"] = bytearray() if rxbs is None else rxbs
        own["wl"] = wl
        own["name"] = name
        own["uid"] = uid
        own["fault"] = None
        own["refusals"] = 0
        own["_unsendable"] = False  # sending failed: the peer takes no more

    # tyme

    @property
    def tymer(self) -> Any:
        """Timer of attempts to reopen; by the clock where no tymth was injected (hio: D43)."""
        if self._tymer is None:
            self._tymer = tyming.Tymer(tymth=self.tymth or time.monotonic, duration=self.tymeout)
        return self._tymer

    @tymer.setter
    def tymer(self, tymer: Any) -> None:
        self._tymer = tymer

    def wind(self, tymth: Callable[[], float]) -> None:
        """Inject the tyme of another tymist; the timer starts again."""
        tyming.Tymee.wind(self, tymth)
        self.tymer.wind(tymth)

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
            self._untouched("serviceReceives") and self._untouched("serviceSends")
        ):
            self._idle_fd = fd

    def _untouched(self, name: str) -> bool:
        """Tell whether a method is neither replaced on this connector nor in its class."""
        return name not in self.__dict__ and getattr(type(self), name).__module__ == __name__

    def _refused(self, error: OSError) -> bool:
        """Go on to the next address after a refusal; True when all were tried."""
        self._index += 1
        last = self._index >= len(self.addresses)
        if last:
            self._index = 0
            self.refusals += 1
        # hio: D44, the failed socket is done with whatever the reason was
        self.reopen()
        self.fault = error
        return last

    def _lose(self, error: Exception | None) -> None:
        """Note that nothing more will be received; `error` None for an orderly close."""
        self.cutoff = True
        if error is not None:
            self.fault = error

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
        fd = self._fd
        if fd < 0:
            self._service_receives()
            return
        size = self.bs
        rxbs = self.rxbs
        count = _receive(fd, rxbs, size)
        if count == _EAGAIN:
            return
        left = self.Bound
        while count > 0:
            if self.wl:
                self.wl.writeRx(bytes(rxbs[-count:]), self.ha)
            left -= count
            if count < size or left <= 0:
                return  # a short read has emptied the socket
            count = _receive(fd, rxbs, size)
        self._ended(count)

    def _service_receives(self) -> None:
        """Receive through `receive`, which a program has replaced or the system needs."""
        left = self.Bound
        while left > 0 and self.connected and not self.cutoff:
            data = self.receive()
            if not data:
                return
            self.rxbs.extend(data)
            left -= len(data)

    def receive_into(self, body: bytearray, size: int) -> int:
        """Receive straight to the end of a body.

        Args:
            body: where the octets are appended.
            size: most octets to take.
        Returns:
            Octets appended; 0 where there are none now or the connection has
            ended, which `cutoff` tells.
        """
        count: int = _receive(self._fd, body, min(size, self.Stride))
        if count > 0:
            if self.wl:
                self.wl.writeRx(bytes(body[-count:]), self.ha)
            return count
        self._ended(count)
        return 0

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
                self.fault = error
            return 0
        if count and self.wl:
            self.wl.writeTx(bytes(data[:count]), self.ha)
        return count

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
            if -count not in _NOT_NOW:
                self._unsendable = True
                self.fault = OSError(-count, os.strerror(-count))
            return
        if self.wl:
            self.wl.writeTx(bytes(txbs[:count]), self.ha)
        if count == len(txbs):
            txbs.clear()
        else:
            del txbs[:count]


class ConnectorTls(Connector, tcp.ClientTls):  # type: ignore[misc]
    """The same over TLS.

    Attributes beyond hio's:
        resumed: True when the last handshake took up an earlier session.
    """

    def __init__(
        self,
        context: ssl.SSLContext | None = None,
        version: Any = None,
        certify: int | bool | None = None,
        hostify: bool | None = None,
        certedhost: str = "",
        keypath: str | None = None,
        certpath: str | None = None,
        cafilepath: str | None = None,
        **kwa: Any,
    ) -> None:
        """Set up as hio's ClientTls; without TLS arguments the shared context is used.

        Args:
            context: context to use; what the further arguments name is loaded
                into it, and the system's authorities where it has none.
            version: ssl protocol constant, None for the default context.
            certify: verify mode, None for the default: CERT_REQUIRED.
            hostify: check the host name of the certificate, None for the default.
            certedhost: name the certificate must bear; "" for the host name.
            keypath: path of the client's private key.
            certpath: path of the client's certificate.
            cafilepath: path of further certificate authorities.
            kwa: as for `Connector`.
        Raises:
            ValueError: the arguments contradict each other.
            OSError: a file cannot be read.
        """
        Connector.__init__(self, **kwa)
        self._connected = False
        self.certedhost = certedhost or self.hostname
        self.resumed = False
        self._context: ssl.SSLContext | None = None
        self._sessions = shared_sessions
        self._wrapped: ssl.SSLContext | None = None  # the context of the present socket
        self._session_key: tuple[Any, ...] = ()
        if context is not None:
            if hostify and certify == ssl.CERT_NONE:
                raise ValueError("hostify needs certify to be CERT_OPTIONAL or CERT_REQUIRED")
            load_files(context, keypath, certpath, cafilepath)
            if context.verify_mode != ssl.CERT_NONE and not context.cert_store_stats()["x509_ca"]:
                # as hio does, but not into one that has authorities
                context.load_default_certs(purpose=ssl.Purpose.SERVER_AUTH)
            self.context = context
        elif (
            version
            or certify is not None
            or hostify is not None
            or keypath
            or certpath
            or cafilepath
        ):
            self.context = make_context(version, certify, hostify, keypath, certpath, cafilepath)

    @property
    def connected(self) -> bool:
        """True once the handshake is complete."""
        return self._connected

    @connected.setter
    def connected(self, value: bool) -> None:
        self._connected = value

    @property
    def context(self) -> ssl.SSLContext:
        """Context of this connector alone, made when it is first asked for."""
        if self._context is None:
            self.context = make_context()
        assert self._context is not None
        return self._context

    @context.setter
    def context(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._sessions = Sessions()

    @property
    def own_context(self) -> ssl.SSLContext | None:
        """Context the program gave or asked for; None while the shared one does."""
        return self._context

    def close(self) -> None:
        """Shut down and close the socket; its TLS session is kept for the next one."""
        if self.cs is not None and self._connected:
            self._keep_session()
        Connector.close(self)

    def _keep_session(self) -> None:
        context = self._wrapped
        if context is None or context is not (self._context or shared_context()):
            return  # the program has set another context since
        if self.fault is None and isinstance(self.cs, ssl.SSLSocket):
            self._sessions.keep(self._session_key, self.cs.session)

    def wrap(self) -> None:
        """Put TLS on the socket.

        Raises:
            ValueError: `certedhost` is no name that a certificate could bear.
            OSError: the system refuses.
        """
        context = self._wrapped = self._context or shared_context()
        key = self._session_key = self._sessions.key(context, self.certedhost, self.ha[1])
        self.cs = context.wrap_socket(
            self.cs,
            server_side=False,
            do_handshake_on_connect=False,
            server_hostname=self.certedhost,
            session=self._sessions.get(key),
        )

    def handshake(self) -> bool:
        """Go on with the handshake.

        Returns:
            True once complete; else False: call again later, unless `cs` is
            None and `fault` tells why it failed (hio: D48, it raises).
        """
        try:
            self.cs.do_handshake()
        except _WAITS:
            return False
        except (OSError, ValueError) as error:
            # ssl.CertificateError is a ValueError too
            self._fail(error)
            return False
        self.connected = True
        self.resumed = bool(self.cs.session_reused)
        self._attach()
        return True

    def _fail(self, error: Exception) -> None:
        self.close()
        self.fault = error

    def connect(self) -> bool:
        """Connect and go on with the handshake.

        Returns:
            True once both are complete; else False: call again later.
        """
        if not self.accepted and self.accept():
            self.certedhost = self.certedhost or self.ha[0]
            try:
                self.wrap()
            except (OSError, ValueError) as error:
                self._fail(error)
        if self.accepted and not self.connected:
            self.handshake()
        return self.connected

    def receive(self) -> bytes | None:
        """Receive at most `bs` octets; see `Connector.receive`."""
        try:
            data: bytes = self.cs.recv(self.bs)
        except _WAITS:
            return None
        except OSError as error:
            # a close without close_notify is taken for one, as in hio: most servers do it
            self._lose(None if isinstance(error, ssl.SSLEOFError) else error)
            return b""
        if not data:
            self._lose(None)
        elif self.wl:
            self.wl.writeRx(data, self.ha)
        return data

    def serviceReceives(self) -> None:
        """Receive what there is into `rxbs`; see `Connector.serviceReceives`."""
        fd = self._fd
        if fd < 0 or _peek is None:
            self._service_receives()
            return
        cs = self.cs
        left = self.Bound
        # a look at the socket is cheaper than the exception of an empty read
        while left > 0 and (cs.pending() or _peek(fd) != _EAGAIN):
            data = self.receive()
            if not data:
                return
            self.rxbs += data
            left -= len(data)

    def receive_into(self, body: bytearray, size: int) -> int:
        """Receive straight to the end of a body; see `Connector.receive_into`."""
        left = min(size, self.Stride)
        total = 0
        bs = self.bs
        try:
            # one receive gives one TLS record: 16 KiB
            while left > 0:
                if _peek is not None and not self.cs.pending() and _peek(self._fd) == _EAGAIN:
                    break
                self.bs = left
                data = self.receive()
                if not data:
                    break
                body += data
                total += len(data)
                left -= len(data)
        finally:
            self.bs = bs
        return total

    def send(self, data: bytes | bytearray) -> int:
        """Send from the front of `data`; see `Connector.send`."""
        try:
            count: int = self.cs.send(data)
        except _WAITS:
            return 0
        except OSError as error:
            self._unsendable = True
            self.fault = error
            return 0
        if count and self.wl:
            self.wl.writeTx(bytes(data[:count]), self.ha)
        return count

    def serviceSends(self) -> None:
        """Send what `txbs` holds as far as it goes now; what is sent is deleted."""
        txbs = self.txbs
        left = self.Bound
        while txbs and left > 0 and self.connected and not self._unsendable:
            # one call sends one TLS record: 16 KiB
            count = self.send(txbs)
            if not count:
                return
            del txbs[:count]
            left -= count
