"""A certificate authority of a test run."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path

#: Of TLS, that both ends are held to in turn.
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Authority:
    """A certificate authority for a test run, in files as programs name them."""

    def __init__(self, directory: Path) -> None:
        self.ca = trustme.CA()
        self.cafilepath = str(directory / "ca.pem")
        self.ca.cert_pem.write_to_path(self.cafilepath)
        own = self.ca.issue_cert("client@example.org")
        self.keypath = str(directory / "client.key")
        self.certpath = str(directory / "client.pem")
        own.private_key_pem.write_to_path(self.keypath)
        for blob in own.cert_chain_pems:
            blob.write_to_path(self.certpath, append=True)
        issued = self.ca.issue_cert("localhost", "127.0.0.1")
        self.server_key = str(directory / "server.key")
        self.server_cert = str(directory / "server.pem")
        issued.private_key_pem.write_to_path(self.server_key)
        for blob in issued.cert_chain_pems:
            blob.write_to_path(self.server_cert, append=True)
        self.issued = issued

    def server(self, version: ssl.TLSVersion | None = None, mutual: bool = False) -> ssl.SSLContext:
        """Make a server's context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.issued.configure_cert(context)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if mutual:
            context.verify_mode = ssl.CERT_REQUIRED
            self.ca.configure_trust(context)
        return context
