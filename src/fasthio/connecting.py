"""Connectors, plain and over TLS, as `Client` uses them."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
from typing import Any, Final

from hio.core import tcp

from .engine import peek as _peek
from .errors import untraced
from .socketing import Connector
from .tlsing import Sessions, load_files, make_context, shared_context, shared_sessions

__all__ = ["Connector", "ConnectorTls"]

_EAGAIN: Final = -errno.EAGAIN
_WAITS: Final = (ssl.SSLWantReadError, ssl.SSLWantWriteError)
#: Octets of a full record (RFC 8446 5.1).
_RECORD: Final = 16_384


def _look(cs: ssl.SSLSocket) -> int:
    """Tell what `engine.peek` does, where there is none."""
    try:
        return len(socket.socket.recv(cs, 1, socket.MSG_PEEK))  # beneath TLS
    except BlockingIOError:
        return _EAGAIN
    except OSError as error:
        return -(error.errno or 1)


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
        self._worthy = False  # the session of the present socket is worth a look
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

    def shutdown(self, how: int = socket.SHUT_RDWR) -> None:
        """Shut down one side of the socket, or both, and leave TLS on it.

        An SSLSocket asked to do so drops TLS: what is received from then on would
        be taken as it comes, and what is sent would go out in clear (hio: D97).

        Args:
            how: socket.SHUT_RD, SHUT_WR or SHUT_RDWR.
        """
        if isinstance(self.cs, ssl.SSLSocket):
            with contextlib.suppress(OSError):  # it is not connected
                socket.socket.shutdown(self.cs, how)
        else:
            Connector.shutdown(self, how)

    def _keep_session(self) -> None:
        context = self._wrapped
        if context is None or context is not (self._context or shared_context()):
            return  # the program has set another context since
        if self._worthy and self.fault is None and isinstance(self.cs, ssl.SSLSocket):
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
        self._worthy = self._sessions.note(self._session_key, self.resumed)
        self._attach()
        return True

    def _fail(self, error: Exception) -> None:
        self.close()
        self.fault = untraced(error)

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

    def receive_direct(self) -> int:
        """Receive what there is into `rxbs`; see `Connector.receive_direct`."""
        rxbs = self.rxbs
        before = len(rxbs)
        cs = self.cs
        left = self.Bound
        # a look at the socket is cheaper than the exception of an empty read; it does not show
        # what the SSL object holds, so that nothing is left there (RFC 9112 6.3)
        while cs.pending() or (left > 0 and not self._quiet()):
            data = self.receive()
            if not data:
                break
            rxbs += data
            left -= len(data)
        return len(rxbs) - before

    def _quiet(self) -> bool:
        """Look whether the socket has nothing to receive; a reset is told by the look alone."""
        count: int = _look(self.cs) if _peek is None else _peek(self._fd)
        if count >= 0 or count == _EAGAIN:
            return count < 0
        self._ended(count)  # whoever receives after the look finds an orderly end
        return True

    def receive_into(self, body: bytearray, size: int, ahead: int = 0) -> int:
        """Receive straight to the end of a body; see `Connector.receive_into`."""
        left = min(size, self.Stride)
        total = 0
        bs = self.bs
        cs = self.cs
        try:
            # one receive gives one TLS record
            if not cs.pending() and self._quiet():
                return 0
            # one exception at the end of what is there costs less than a look before each full one
            while left > 0:
                self.bs = left
                data = self.receive()
                if not data:
                    break
                body += data
                total += len(data)
                left -= len(data)
                if len(data) < _RECORD and not cs.pending() and self._quiet():
                    break  # most ends come behind a short record, and a look tells a reset
        finally:
            self.bs = bs
        return total

    def receive_behind(self) -> None:
        """Receive what the last record of a body holds behind it; see `Connector`."""
        if self.cs.pending():
            self.receive_direct()

    def send(self, data: bytes | bytearray) -> int:
        """Send from the front of `data`; see `Connector.send`."""
        try:
            count: int = self.cs.send(data)
        except _WAITS:
            return 0
        except OSError as error:
            self._unsendable = True
            self.fault = untraced(error)
            return 0
        if count and self.wl:
            self.wl.writeTx(bytes(data[:count]), self.ha)
        return count

    def send_direct(self, octets: bytes) -> None:
        """Put octets into `txbs`: they go out record by record; see `Connector.send_direct`."""
        self.txbs.extend(octets)

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
