"""TLS of a worker's port, where no proxy does it."""

from __future__ import annotations

import ssl
from pathlib import Path


class BadCertificate(Exception):
    """The certificate and key cannot be used; the text says why and what to do."""


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """What a port needs to speak TLS 1.2 or later with that certificate (PEM, with its chain) and that key (PEM).

    Raises BadCertificate.
    """
    for path in (certificate, key):
        if not Path(path).is_file():
            raise BadCertificate(f"{path} is not there, or no file. It is to hold a certificate or key in PEM.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # a password would be asked for on a terminal that a worker has not
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ValueError) as error:
        raise BadCertificate(
            f"{certificate} and {key} are no certificate and its key: {error}. Both are PEM, the key has no password."
        ) from error
    return context
