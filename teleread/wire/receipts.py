"""Proofs: an instance stored at the centre, a report delivered at the facility."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from teleread.wire.message import PROTOCOL, SHA256, Message, UIDText, is_one_of, is_text

INSTANCE_OUTCOMES = ("stored", "already_stored", "conflict", "refused")
"""`conflict`: the UID is known with other bytes; both are kept. Only `refused` stores nothing."""

DELIVERY_ROUTES = ("dicom_store", "folder")
DELIVERY_STATUSES = ("delivered", "failed")

PACKAGE_EVENTS = (
    "handed_over",
    "delivered",
    "attempt_failed",
    "identity_doubt",
    "gave_up",
    "released",
    "retry",
)
"""Events of the machine `delivery` that happen at the facility; people there bring the last two about."""


@dataclass(frozen=True, kw_only=True)
class InstanceReceipt(Message):
    """The centre's word on one instance; `sha256` is of the file bytes that are durable there."""

    sop_instance_uid: UIDText
    sha256: SHA256
    outcome: Annotated[str, is_one_of(*INSTANCE_OUTCOMES)]
    reason: str = ""

    @property
    def is_stored(self) -> bool:
        """Whether the bytes that the digest names are durable at the centre."""
        return self.outcome != "refused"


@dataclass(frozen=True, kw_only=True)
class DeliveryReceipt(Message):
    """Proof that one report version reached one destination at the facility.

    `pdf_sha256` is of the PDF that the centre signed, `delivered_pdf_sha256` of the named and sealed PDF
    made from it at the facility. `detail` has no identity: a status code or a route's word.
    """

    package_id: Annotated[str, is_text(64)]
    pdf_sha256: SHA256
    delivered_pdf_sha256: SHA256
    route: Annotated[str, is_one_of(*DELIVERY_ROUTES)]
    status: Annotated[str, is_one_of(*DELIVERY_STATUSES)]
    detail: str = ""
    at: datetime
    protocol: int = PROTOCOL


@dataclass(frozen=True, kw_only=True)
class PackageEvent(Message):
    """What happened to a package at the facility. Repeating an event changes nothing."""

    event: Annotated[str, is_one_of(*PACKAGE_EVENTS)]
    at: datetime
    reason: str = ""
    receipts: tuple[DeliveryReceipt, ...] = ()
    protocol: int = PROTOCOL
