"""Certificates for signing reports, and the judgement of signatures in a PDF.

Both ends need them: the centre signs for the reader and checks its own work, the gateway seals for the facility and
believes nothing that it has not checked. Keys are ECDSA P-256; a signing certificate carries the key usage "content
commitment" (nonRepudiation), which pyHanko and PAdES demand.
"""

import asyncio
import io
import struct
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from asn1crypto import keys, pem
from asn1crypto import x509 as asn1_x509
from asn1crypto.cms import ContentInfo
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.signers import SimpleSigner
from pyhanko.sign.validation import EmbeddedPdfSignature, async_validate_pdf_signature
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.errors import ValidationError
from pyhanko_certvalidator.registry import SimpleCertificateStore

from teleread.errors import InvalidInput

# RFC 9336: the key signs documents.
_DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")

# pyHanko's coverage and modification levels in plain words.
_COVERAGE: dict[SignatureCoverageLevel | None, str] = {
    None: "unclear",
    SignatureCoverageLevel.ENTIRE_FILE: "whole_file",
    SignatureCoverageLevel.ENTIRE_REVISION: "revision",
    SignatureCoverageLevel.CONTIGUOUS_BLOCK_FROM_START: "part",
    SignatureCoverageLevel.UNCLEAR: "unclear",
}
_LATER_CHANGES = {
    ModificationLevel.NONE: "none",
    ModificationLevel.LTA_UPDATES: "evidence",
    ModificationLevel.FORM_FILLING: "form_filling",
    ModificationLevel.ANNOTATIONS: "annotations",
    ModificationLevel.OTHER: "other",
}

# What pyHanko and the libraries below it raise on a file or a signature that somebody has changed.
_UNREADABLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    PdfError,
    RecursionError,
    SignatureValidationError,
    TypeError,
    UnsupportedAlgorithm,
    ValidationError,
    ValueError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class KeyAndCertificate:
    """A private key (PKCS#8 PEM, encrypted when a passphrase was given) and its certificate (PEM)."""

    key_pem: bytes
    certificate_pem: bytes


@dataclass(frozen=True)
class SignatureVerdict:
    """What is to be thought of one signature.

    Attributes
    ----------
    field : str
        Name of the signature field.
    signer : str
        Common name in the signer's certificate.
    signed_at : datetime or None
        As the signer claims it.
    valid : bool
        Bytes intact, signature correct, certificate trusted, later changes of a permitted kind only.
    intact, trusted : bool
        Two of the parts of `valid`.
    coverage : str
        "whole_file", "revision" (something was added later), "part" or "unclear".
    later_changes : str
        "none", "evidence", "form_filling", "annotations" or "other".
    """

    field: str
    signer: str
    signed_at: datetime | None
    valid: bool
    intact: bool
    trusted: bool
    coverage: str
    later_changes: str


def _key_pem(key: ec.EllipticCurvePrivateKey, passphrase: bytes | None) -> bytes:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _subject(common_name: str, organisation: str) -> x509.Name:
    # X.520 limits a common name to 64 characters.
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])]
    if organisation:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation[:64]))
    return x509.Name(parts)


def _usage(*, signs_content: bool, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs_content,
        content_commitment=signs_content,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def make_ca(
    common_name: str,
    *,
    at: datetime,
    organisation: str = "",
    days: int = 3650,
    passphrase: bytes | None = None,
) -> KeyAndCertificate:
    """A self-signed authority that may only issue end certificates.

    Parameters
    ----------
    common_name, organisation : str
        Its name; cut at 64 characters.
    at : datetime
        Start of validity, aware.
    days : int
        Validity.
    passphrase : bytes, optional
        Encrypts the key.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = _subject(common_name, organisation)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(minutes=5))
        .not_valid_after(at + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_content=False, signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyAndCertificate(_key_pem(key, passphrase), certificate.public_bytes(serialization.Encoding.PEM))


def issue_signing_certificate(
    common_name: str,
    ca: KeyAndCertificate,
    *,
    at: datetime,
    organisation: str = "",
    serial_text: str = "",
    days: int = 1825,
    passphrase: bytes | None = None,
    ca_passphrase: bytes | None = None,
) -> KeyAndCertificate:
    """A new key with a certificate for signing documents.

    Parameters
    ----------
    common_name, organisation : str
        Who signs; cut at 64 characters.
    ca : KeyAndCertificate
        The issuing authority.
    at : datetime
        Start of validity, aware.
    serial_text : str
        What tells apart two persons of one name: a licence number, a facility code.
    passphrase, ca_passphrase : bytes, optional
        Encrypts the new key; opens the authority's.
    """
    issuer = x509.load_pem_x509_certificate(ca.certificate_pem)
    issuer_key = serialization.load_pem_private_key(ca.key_pem, ca_passphrase)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise InvalidInput("ca", "must hold an elliptic curve key")
    key = ec.generate_private_key(ec.SECP256R1())
    subject = list(_subject(common_name, organisation))
    if serial_text:
        subject.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, serial_text[:64]))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(minutes=5))
        .not_valid_after(min(at + timedelta(days=days), issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_content=True, signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([_DOCUMENT_SIGNING]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )
    return KeyAndCertificate(_key_pem(key, passphrase), certificate.public_bytes(serialization.Encoding.PEM))


def read_certificates(pem_text: bytes) -> list[asn1_x509.Certificate]:
    """All certificates of a PEM text, as pyHanko wants them.

    Raises
    ------
    InvalidInput
        There is none, or it is not PEM.
    """
    try:
        blocks = list(pem.unarmor(pem_text, multiple=True))
        certificates = [asn1_x509.Certificate.load(der) for kind, _, der in blocks if kind == "CERTIFICATE"]
    except ValueError:
        certificates = []
    if not certificates:
        raise InvalidInput("certificate", "is not a PEM certificate")
    return certificates


def signer_from_pem(
    key_pem: bytes, certificate_pem: bytes, chain_pem: bytes, *, passphrase: bytes | None = None
) -> SimpleSigner:
    """A pyHanko signer of a key and certificates in PEM.

    Raises
    ------
    InvalidInput
        The key cannot be opened, or does not belong to the certificate.
    """
    try:
        key = serialization.load_pem_private_key(key_pem, passphrase)
    except (ValueError, TypeError):
        raise InvalidInput("key", "cannot be opened") from None
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    encoding = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*encoding) != certificate.public_key().public_bytes(*encoding):
        raise InvalidInput("certificate", "belongs to another key")
    pkcs8 = key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SimpleSigner(
        signing_cert=read_certificates(certificate_pem)[0],
        signing_key=keys.PrivateKeyInfo.load(pkcs8),
        cert_registry=SimpleCertificateStore.from_certs(read_certificates(chain_pem)),  # type: ignore[no-untyped-call]
    )


def check_signatures(pdf: bytes, trust_pem: bytes) -> list[SignatureVerdict]:
    """Judge every signature of a PDF, in the order in which they were made. Nothing is fetched from a network.

    Parameters
    ----------
    pdf : bytes
        The file.
    trust_pem : bytes
        Authorities to trust, one or more certificates in PEM.

    Raises
    ------
    InvalidInput
        Not a PDF that can be read.
    """
    try:
        return asyncio.run(_verdicts(pdf, trust_pem))
    except _UNREADABLE as error:
        raise InvalidInput("pdf", f"signatures cannot be read ({type(error).__name__})") from error


def _gap_is_canonical(pdf: bytes, signature: EmbeddedPdfSignature) -> bool:
    """The bytes that no signature covers hold the signature itself, and nothing besides it.

    Inside `/Contents` a reader accepts other ways to write the same value: upper case, other padding. A byte that was
    changed there would go unseen, so only the one form that pyHanko writes is accepted.
    """
    start, length, resume, _ = (int(number) for number in signature.byte_range)
    content = signature.pkcs7_content
    used = len(ContentInfo.load(content).dump())
    return pdf[start + length : resume] == b"<" + content.hex().upper().encode("ascii") + b">" and not any(
        content[used:]
    )


async def _verdicts(pdf: bytes, trust_pem: bytes) -> list[SignatureVerdict]:
    reader = PdfFileReader(io.BytesIO(pdf))
    verdicts = []
    for signature in reader.embedded_signatures:
        context = ValidationContext(trust_roots=read_certificates(trust_pem), allow_fetching=False)
        status = await async_validate_pdf_signature(signature, context)
        later = status.modification_level
        verdicts.append(
            SignatureVerdict(
                field=signature.field_name,
                signer=str(status.signing_cert.subject.native.get("common_name", "")),
                signed_at=signature.self_reported_timestamp,
                valid=bool(status.bottom_line) and _gap_is_canonical(pdf, signature),
                intact=bool(status.intact and status.valid),
                trusted=bool(status.trusted),
                coverage=_COVERAGE[status.coverage],
                later_changes=_LATER_CHANGES[later] if later is not None else "other",
            )
        )
    return verdicts
