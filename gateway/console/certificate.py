"""The console's TLS certificate, made on the box; its fingerprint is what a person compares at the first visit."""

import ipaddress
import socket
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.durable import write_file
from gateway.layout import Layout

# Browsers refuse server certificates of more than 825 days, and one that is renewed by a restart needs no more.
VALID_DAYS = 397
_RENEW_DAYS = 30


def certificate_path(layout: Layout) -> Path:
    """Return where the certificate is."""
    return layout.keys / "console.pem"


def key_path(layout: Layout) -> Path:
    """Return where its key is."""
    return layout.keys / "console-tls.key"


def certificate(layout: Layout) -> x509.Certificate:
    """Return the certificate in use."""
    return x509.load_pem_x509_certificate(certificate_path(layout).read_bytes())


def fingerprint(layout: Layout) -> str:
    """Return the SHA-256 of the certificate in groups, as browsers show it."""
    return ":".join(f"{byte:02X}" for byte in certificate(layout).fingerprint(hashes.SHA256()))


def ensure_certificate(layout: Layout, address: str, facility_name: str, *, at: datetime) -> None:
    """Make the certificate when there is none or it ends within a month; a facility's own one stays as it is."""
    if certificate_path(layout).exists() and key_path(layout).exists():
        if certificate(layout).not_valid_after_utc - at > timedelta(days=_RENEW_DAYS):
            return
        if certificate(layout).issuer != certificate(layout).subject:
            # Somebody of the facility put it there; replacing it would break the trust that they set up.
            return
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, facility_name[:64]),
            x509.NameAttribute(NameOID.COMMON_NAME, "teleread gateway console"),
        ]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(minutes=5))
        .not_valid_after(at + timedelta(days=VALID_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName(_names(address)), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    # The key first: a certificate without its key would stop the next start.
    write_file(
        key_path(layout),
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
    write_file(certificate_path(layout), made.public_bytes(serialization.Encoding.PEM))


def _names(address: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.DNSName(socket.gethostname())]
    addresses = dict.fromkeys(("127.0.0.1", address))
    return [*names, *(x509.IPAddress(ipaddress.ip_address(text)) for text in addresses)]
