"""Certificates that the centre issues, and the readers' signing keys: files, never rows."""

import hashlib
import hmac
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from teleread.errors import InvalidInput
from teleread.signatures import KeyAndCertificate, issue_signing_certificate
from teleread.storage.durable import make_folder, write_file

#: Life of a gateway's certificate; the heartbeat tells how much of it is left.
GATEWAY_DAYS = 825


def issue_gateway_certificate(csr_pem: str, common_name: str, pki: Path, *, at: datetime) -> x509.Certificate:
    """Return a client certificate for the key of a certificate request.

    Only the key is taken from the request: subject and extensions are ours.

    Parameters
    ----------
    csr_pem : str
        PKCS#10 request, signed with its own key, on the curve P-256.
    common_name : str
        Facility and gateway code.
    pki : Path
        Folder with ``ca.pem`` and ``ca.key``.

    Raises
    ------
    InvalidInput
        Not a request, a signature that does not fit, or another kind of key.
    """
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
        is_signed = request.is_signature_valid
    except (ValueError, InvalidSignature):
        raise InvalidInput("csr_pem", "is not a certificate request") from None
    key = request.public_key()
    if not is_signed or not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise InvalidInput("csr_pem", "has to be signed by its own key on the curve P-256")
    authority = x509.load_pem_x509_certificate((pki / "ca.pem").read_bytes())
    authority_key = serialization.load_pem_private_key((pki / "ca.key").read_bytes(), None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise InvalidInput("pki/ca.key", "is not a key on an elliptic curve")
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])]))
        .issuer_name(authority.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(minutes=5))
        .not_valid_after(at + timedelta(days=GATEWAY_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )


def certificate_pem(certificate: x509.Certificate) -> str:
    """Return the certificate as PEM text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def certificate_sha256(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate's DER, in hexadecimal."""
    return hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def ca_der(pki: Path) -> bytes:
    """Return the DER of the centre's CA certificate."""
    certificate = x509.load_pem_x509_certificate((pki / "ca.pem").read_bytes())
    return certificate.public_bytes(serialization.Encoding.DER)


class SigningKeys:
    """The readers' keys: one file a reader with the encrypted key and its certificate.

    Parameters
    ----------
    folder : Path
        Where the files lie.
    pki : Path
        Folder with ``signing-ca.pem`` and ``signing-ca.key``.
    master_key : bytes
        The passphrase of each file is derived from it. A copy of the folder alone opens nothing.
    """

    def __init__(self, folder: Path, pki: Path, master_key: bytes) -> None:
        self._folder = folder
        self._pki = pki
        self._master_key = master_key

    def ca_pem(self) -> bytes:
        """Return the certificate of the authority of all readers' certificates."""
        return (self._pki / "signing-ca.pem").read_bytes()

    def passphrase(self, user_id: int) -> bytes:
        """Return what opens the key of a reader."""
        return (
            hmac.new(self._master_key, f"reader-key {user_id}".encode(), hashlib.sha256).hexdigest().encode()
        )

    def of(self, user_id: int, name: str, licence_number: str, *, at: datetime) -> KeyAndCertificate:
        """Return the encrypted key of a reader and the certificate for it; both are made when first asked for."""
        path = self._folder / f"reader-{user_id}.pem"
        if not path.exists():
            authority = KeyAndCertificate((self._pki / "signing-ca.key").read_bytes(), self.ca_pem())
            made = issue_signing_certificate(
                name, authority, at=at, serial_text=licence_number, passphrase=self.passphrase(user_id)
            )
            make_folder(self._folder)
            # Key and certificate in one file: there is never one without the other.
            write_file(path, made.key_pem + made.certificate_pem, replace=False)
        key_pem, mark, certificate = path.read_bytes().partition(b"-----BEGIN CERTIFICATE-----")
        return KeyAndCertificate(key_pem, mark + certificate)
