"""A certificate for servers of a moment, to measure them over TLS."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import Final, NamedTuple

HOST: Final = "127.0.0.1"
VALID_DAYS: Final = 2
"""From a day ago, for clocks that differ."""


class Certificate(NamedTuple):
    """PEM files. The certificate is its own authority."""

    certificate: Path
    key: Path

    @property
    def arguments(self) -> list[str]:
        """Of a server's command line, Oarlock's and etcd's alike."""
        return ["--cert-file", str(self.certificate), "--key-file", str(self.key)]


def make_certificate(directory: Path) -> Certificate:
    """Makes one of P-256 for 127.0.0.1 in ``directory``.

    Raises:
        RuntimeError: the package that makes certificates is not installed.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ModuleNotFoundError:
        raise RuntimeError("to measure over TLS, install the package cryptography") from None
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS - 1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(directory / "certificate.pem", directory / "key.pem")
    made.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key.touch(mode=0o600)
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made
