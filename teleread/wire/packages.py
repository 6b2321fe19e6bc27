"""A signed report on its way home."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from teleread.wire.message import PROTOCOL, SHA256, Message, UIDText, is_one_of, is_text

REPORT_KINDS = ("report", "addendum", "correction")
REPORT_STATUSES = ("final", "preliminary")


@dataclass(frozen=True, kw_only=True)
class ReportPackage(Message):
    """One report version for one facility; the signed PDF itself is fetched by `package_id`.

    `pdf_sha256` is of the signed PDF, `content_sha256` of the canonical content that was signed and that
    the PDF carries as an attachment. Pseudonym, UID, accession, sex and age are what the gateway compares
    with its vault before a name goes on the report; the age is as the study has it, also where that is no
    value of VR AS.
    """

    package_id: Annotated[str, is_text(64)]
    case_number: Annotated[str, is_text(16)]
    study_instance_uid: UIDText
    pseudonym: Annotated[str, is_text(16)]
    accession: str
    sex: str
    age: str
    version: int
    kind: Annotated[str, is_one_of(*REPORT_KINDS)]
    status: Annotated[str, is_one_of(*REPORT_STATUSES)]
    content_sha256: SHA256
    pdf_sha256: SHA256
    signed_at: datetime
    signer_name: str
    title: str
    language: Annotated[str, is_one_of("ja", "en")]
    protocol: int = PROTOCOL


@dataclass(frozen=True, kw_only=True)
class PackageList(Message):
    """The packages that wait for the facility."""

    packages: tuple[ReportPackage, ...]
