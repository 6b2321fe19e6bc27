"""A way out for a report: what each kind of destination has to do."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from teleread.errors import TelereadError


class Rejected(TelereadError):  # noqa: N818 - the name says what happened, as in teleread.errors
    """The destination understood and said no; the same report again will not help."""

    code = "rejected"


@dataclass(frozen=True)
class NamedReport:
    """A report with the patient's name, built once and durable in the spool.

    `pdf` is the named and sealed document, `dicom` the same inside an Encapsulated PDF object (PS3.3 A.45.1).
    The digests are of those files' bytes.
    """

    case_number: str
    version: int
    pdf: Path
    pdf_sha256: str
    dicom: Path
    dicom_sha256: str
    sop_instance_uid: str


class Route(Protocol):
    """One destination. The same report may be delivered twice after a crash; the effect is that of once."""

    @property
    def kind(self) -> str:
        """The kind of route, a term of `teleread.wire.receipts.DELIVERY_ROUTES`."""

    @property
    def target(self) -> str:
        """Which of its kind: an AE, a folder."""

    def deliver(self, report: NamedReport) -> str:
        """Deliver, and return the destination's word without identity.

        Raises
        ------
        Unavailable
            Another try may help.
        Rejected
            Another try will not.
        """
