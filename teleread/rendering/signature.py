"""The reader's signature on a report: PAdES, certifying, with form filling as the only change allowed afterwards."""

import io

from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner
from pyhanko.sign.timestamps import HTTPTimeStamper

from teleread.rendering.report_pdf import READER_SIGNATURE_FIELD
from teleread.signatures import (
    KeyAndCertificate,
    SignatureVerdict,
    check_signatures,
    issue_signing_certificate,
    make_ca,
    signer_from_pem,
)

__all__ = [
    "KeyAndCertificate",
    "SignatureVerdict",
    "check_signatures",
    "issue_reader_certificate",
    "make_ca",
    "sign_report",
]

issue_reader_certificate = issue_signing_certificate


def sign_report(
    pdf: bytes,
    *,
    key_pem: bytes,
    passphrase: bytes | None,
    certificate_pem: bytes,
    ca_pem: bytes,
    reason: str,
    name: str,
    tsa_url: str | None = None,
) -> bytes:
    """Certify a rendered report for its reader.

    Parameters
    ----------
    pdf : bytes
        As `render_report` made it. The answer starts with exactly these bytes.
    key_pem, passphrase : bytes
        The reader's key and what opens it.
    certificate_pem, ca_pem : bytes
        The reader's certificate and its chain.
    reason, name : str
        Why, and who, as the signature panel shows them.
    tsa_url : str, optional
        An RFC 3161 time-stamp authority; without one the level is PAdES B-B, with one B-T.

    Raises
    ------
    InvalidInput
        The key cannot be opened or belongs to another certificate.
    """
    signer = PdfSigner(
        PdfSignatureMetadata(
            field_name=READER_SIGNATURE_FIELD,
            md_algorithm="sha256",
            subfilter=SigSeedSubFilter.PADES,
            certify=True,
            docmdp_permissions=MDPPerm.FILL_FORMS,
            reason=reason,
            name=name,
        ),
        signer=signer_from_pem(key_pem, certificate_pem, ca_pem, passphrase=passphrase),
        timestamper=HTTPTimeStamper(tsa_url) if tsa_url else None,
    )
    target = io.BytesIO()
    signer.sign_pdf(IncrementalPdfFileWriter(io.BytesIO(pdf)), existing_fields_only=True, output=target)
    return target.getvalue()
