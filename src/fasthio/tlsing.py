"""TLS contexts and sessions of clients: made once, shared until somebody asks.

hio loads the bundle of certificate authorities twice for each client, which
takes most of the time it needs to make one. Here all clients that pass no TLS
argument share one context, made at the first need. A program that asks for
`connector.context` gets one that is that connector's alone.
"""

from __future__ import annotations

import ssl
from collections import OrderedDict
from typing import Any, Final

from hio.core import tcp

__all__ = ["Sessions", "make_context", "shared_context", "shared_sessions"]

#: hio since 0.6.19 takes certificates that are not strictly RFC 5280; as the hio found does.
_LENIENT: Final = "VERIFY_X509_STRICT" in tcp.ClientTls.__init__.__code__.co_names

#: Most servers whose sessions are kept at once.
_MOST: Final = 1024
#: Most servers of which it is known how their handshakes went.
_MOST_KNOWN: Final = 16_384
#: Times that a session is taken up before sessions of its server count as of use: some
#: servers take each once.
_PROVEN: Final = 2


def make_context(
    version: Any = None,
    certify: int | bool | None = None,
    hostify: bool | None = None,
    keypath: str | None = None,
    certpath: str | None = None,
    cafilepath: str | None = None,
) -> ssl.SSLContext:
    """Make a context as hio's ClientTls does, but load each bundle once.

    Args:
        version: ssl protocol constant, None for the default context.
        certify: verify mode, None for the default: CERT_REQUIRED.
        hostify: check the host name of the certificate, None for the default.
        keypath: path of the client's private key.
        certpath: path of the client's certificate.
        cafilepath: path of further certificate authorities.
    Returns:
        The context.
    Raises:
        ValueError: the host name is to be checked and no certificate asked for.
        OSError: a file cannot be read; ssl.SSLError where it is no PEM.
    """
    if version is None or not version:
        context = ssl.create_default_context(purpose=ssl.Purpose.SERVER_AUTH)
        if _LENIENT:
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if hostify is not None:
            if hostify and certify == ssl.CERT_NONE:
                raise ValueError("hostify needs certify to be CERT_OPTIONAL or CERT_REQUIRED")
            context.check_hostname = hostify
        if certify is not None:
            context.verify_mode = ssl.VerifyMode(certify)
    else:
        if hostify and certify == ssl.CERT_NONE:
            raise ValueError("hostify needs certify to be CERT_OPTIONAL or CERT_REQUIRED")
        context = ssl.SSLContext(version)
        context.options |= ssl.OP_NO_SSLv2 | ssl.OP_NO_SSLv3 | ssl.OP_NO_COMPRESSION
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED if certify is None else ssl.VerifyMode(certify)
        context.check_hostname = bool(hostify)
        if not cafilepath and context.verify_mode != ssl.CERT_NONE:
            context.load_default_certs(purpose=ssl.Purpose.SERVER_AUTH)
    load_files(context, keypath, certpath, cafilepath)
    return context


def load_files(
    context: ssl.SSLContext,
    keypath: str | None = None,
    certpath: str | None = None,
    cafilepath: str | None = None,
) -> None:
    """Load what a program names into a context; see `make_context`."""
    if cafilepath:
        context.load_verify_locations(cafile=cafilepath)
    if keypath or certpath:
        # hio hands None on and lets ssl say that the certificate is missing
        context.load_cert_chain(certfile=certpath, keyfile=keypath)  # type: ignore[arg-type]


class Sessions:
    """Keep TLS sessions, so that the next handshake with a server is a short one.

    A session stands for a certificate that was verified, so it is taken up
    only by the context that made it, for the same host name, and while that
    context verifies as it did then (RFC 8446 4.2.11, RFC 5077 5.5).

    Each look at an SSLSocket's `session` loses some 6.5 kB for good: CPython makes
    a copy that it never frees (3.10 to 3.13). So a session is taken up as often as
    its server lets it, and one is asked for only after a handshake in full; where
    they are of no use, after ever fewer of those.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], ssl.SSLSession] = OrderedDict()
        # handshakes in full, and in a row not, by key
        self._known: OrderedDict[tuple[Any, ...], tuple[int, int]] = OrderedDict()

    @staticmethod
    def key(context: ssl.SSLContext, certedhost: str, port: int) -> tuple[Any, ...]:
        """Give the key of a handshake that begins now, as the context verifies now.

        Args:
            context: of the handshake.
            certedhost: name the certificate must bear.
            port: of the server.
        """
        return (
            id(context),
            certedhost,
            port,
            context.verify_mode,
            context.check_hostname,
            int(context.verify_flags),
        )

    def get(self, key: tuple[Any, ...]) -> ssl.SSLSession | None:
        """Give the last session under a key, or None."""
        return self._kept.get(key)

    def note(self, key: tuple[Any, ...], resumed: bool) -> bool:
        """Take note of a handshake that is complete.

        Args:
            key: of the handshake.
            resumed: True where it took up a session.
        Returns:
            True where its session is worth a look: told now, as other handshakes may have
            been counted when its connection ends.
        """
        full, taken = self._known.pop(key, (0, 0))
        if resumed:
            taken += 1
            self._known[key] = (0 if taken >= _PROVEN else full, taken)
            return False  # the one at hand serves again
        full += 1
        self._known[key] = (full, 0)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return full & (full - 1) == 0  # 1, 2, 4, 8, ...

    def keep(self, key: tuple[Any, ...], session: ssl.SSLSession | None) -> None:
        """Keep a session under the key its handshake began with, if it can be resumed."""
        if session is None or not session.has_ticket:
            return
        self._kept.pop(key, None)  # the newest is last; another thread may be at it, too
        self._kept[key] = session
        while len(self._kept) > _MOST:
            self._kept.popitem(last=False)


_shared: list[ssl.SSLContext] = []

#: The sessions of the shared context.
shared_sessions: Final = Sessions()


def shared_context() -> ssl.SSLContext:
    """Give the context of all clients that ask for nothing of their own."""
    if not _shared:
        # two threads at once make two and keep the first: nothing is lost by it
        _shared.append(make_context())
    return _shared[0]
