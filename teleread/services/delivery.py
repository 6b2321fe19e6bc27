"""Signed reports on their way home: what waits for a gateway, and what the gateway says became of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from teleread.domain.access import Action, Actor, require, require_tenant
from teleread.domain.critical import OPEN
from teleread.domain.reporting import canonical_digest
from teleread.domain.workflow import Who
from teleread.errors import Incomplete, InvalidInput, NotFound
from teleread.services import audit, workflow
from teleread.storage.blobs import Blobs
from teleread.storage.locks import lock
from teleread.storage.models.critical import CriticalFinding
from teleread.storage.models.deliveries import Delivery, DeliveryReceiptRow
from teleread.storage.models.orders import Order
from teleread.storage.models.readings import Reading
from teleread.storage.models.records import WorkflowEvent
from teleread.storage.models.reports import Report, ReportVersion
from teleread.wire.packages import ReportPackage
from teleread.wire.receipts import PackageEvent

_SYSTEM = frozenset({Who.SYSTEM})

#: States in which an event of the gateway has had its effect already: saying it again changes nothing.
_ALREADY: dict[str, frozenset[str]] = {
    "handed_over": frozenset({"in_transit", "retrying", "held", "failed", "delivered", "acknowledged"}),
    "delivered": frozenset({"delivered", "acknowledged"}),
    "identity_doubt": frozenset({"held"}),
    "gave_up": frozenset({"failed"}),
    "released": frozenset({"in_transit", "retrying", "failed", "delivered", "acknowledged"}),
    "retry": frozenset({"ready", "in_transit", "retrying", "held", "delivered", "acknowledged"}),
}

#: Events that people of the facility bring about; their gateway vouches for who they were.
_OF_PEOPLE: dict[str, frozenset[Who]] = {
    "released": frozenset({Who.TWO_FACILITY_PERSONS}),
    "retry": frozenset({Who.FACILITY}),
}

#: States in which the facility still needs the package; a centre restored from its backup offers them again.
_WAITING = ("ready", "in_transit", "retrying")

_TITLES = {
    "ja": {
        "report": "画像診断報告書",
        "addendum": "画像診断報告書（追記）",
        "correction": "画像診断報告書（訂正）",
    },
    "en": {
        "report": "Radiology report",
        "addendum": "Radiology report – addendum",
        "correction": "Radiology report – correction",
    },
}


def packages_for(session: Session, *, actor: Actor) -> list[ReportPackage]:
    """Return the packages that the gateway's facility has still to collect or to deliver, the oldest first."""
    require(actor, Action.COLLECT_PACKAGES)
    found = session.scalars(
        select(Delivery)
        .where(Delivery.facility_id == actor.facility_id, Delivery.state.in_(_WAITING))
        .order_by(Delivery.id)
    )
    return [_package(delivery) for delivery in found]


def _package(delivery: Delivery) -> ReportPackage:
    version = delivery.version
    reading = version.reading
    if version.pdf_sha256 is None or version.content_sha256 is None or version.signed_at is None:
        raise Incomplete("this package is not built yet")
    content: dict[str, Any] = version.content or {}
    language = reading.facility.language
    return ReportPackage(
        package_id=delivery.public_id,
        case_number=reading.case_number,
        # What was signed counts, not what the study's row says today.
        study_instance_uid=content["study_instance_uid"],
        pseudonym=content["pseudonym"],
        accession=content["accession"],
        sex=content["sex"],
        age=content["age"],
        version=version.version,
        kind=version.kind,
        status="preliminary" if version.status == "preliminary" else "final",
        content_sha256=version.content_sha256,
        pdf_sha256=version.pdf_sha256,
        signed_at=version.signed_at,
        signer_name=version.signer.display_name if version.signer else "",
        title=_TITLES[language][version.kind],
        language=language,
    )


def _delivery(session: Session, package_id: str, actor: Actor) -> Delivery:
    found = session.scalar(select(Delivery).where(Delivery.public_id == package_id))
    if found is None:
        raise NotFound("there is no such package")
    require_tenant(actor, found.facility_id, "package")
    return found


def package_pdf(session: Session, blobs: Blobs, package_id: str, *, actor: Actor) -> bytes:
    """Return the signed PDF of a package, under the pseudonym."""
    require(actor, Action.COLLECT_PACKAGES)
    version = _delivery(session, package_id, actor).version
    if version.pdf_sha256 is None:
        raise NotFound("this package is not built yet")
    return blobs.read(version.pdf_sha256)


def record_event(
    session: Session, package_id: str, message: PackageEvent, *, actor: Actor, at: datetime
) -> str:
    """Note what became of a package at the facility, and return the delivery's state.

    An event whose effect is there already changes nothing, but its receipts are kept.

    Raises
    ------
    InvalidInput
        ``delivered`` without a receipt, or a receipt for another package or another PDF.
    TransitionNotAllowed
        The delivery is in a state that does not know the event.
    """
    require(actor, Action.COLLECT_PACKAGES)
    lock(session, f"delivery {package_id}")
    delivery = _delivery(session, package_id, actor)
    _check_receipts(delivery, message)
    _keep_receipts(session, delivery, message, at=at)
    if delivery.state in _ALREADY.get(message.event, frozenset()):
        return delivery.state
    values: dict[str, Any] = {"last_reason": message.reason}
    if message.event == "attempt_failed":
        values["attempts"] = Delivery.attempts + 1
    if message.event == "delivered":
        values["delivered_at"] = at
    workflow.apply(
        session,
        delivery,
        message.event,
        actor=actor,
        at=at,
        as_who=_OF_PEOPLE.get(message.event, frozenset()),
        reason=message.reason,
        **values,
    )
    reading = delivery.version.reading
    audit.record(
        session,
        actor=actor,
        at=at,
        act=f"delivery.{message.event}",
        case_number=reading.case_number,
        detail={
            "package": package_id,
            "reason": message.reason,
            "receipts": [receipt.delivered_pdf_sha256 for receipt in message.receipts],
        },
    )
    if message.event == "delivered":
        close_order(session, reading.order, actor=actor, at=at)
    return delivery.state


def _check_receipts(delivery: Delivery, message: PackageEvent) -> None:
    if message.event == "delivered" and not any(one.status == "delivered" for one in message.receipts):
        raise InvalidInput("receipts", "are needed: a delivery is proved by its receipt", code="no_receipt")
    for receipt in message.receipts:
        if receipt.package_id != delivery.public_id or receipt.pdf_sha256 != delivery.version.pdf_sha256:
            raise InvalidInput("receipts", "one is for another package or another PDF", code="other_package")


def _keep_receipts(session: Session, delivery: Delivery, message: PackageEvent, *, at: datetime) -> None:
    for receipt in message.receipts:
        document = receipt.to_json()
        digest = canonical_digest(document)
        known = session.scalar(
            select(DeliveryReceiptRow.id).where(
                DeliveryReceiptRow.delivery_id == delivery.id, DeliveryReceiptRow.receipt_sha256 == digest
            )
        )
        if known is None:
            session.add(
                DeliveryReceiptRow(
                    delivery_id=delivery.id, receipt_sha256=digest, receipt=document, received_at=at
                )
            )
            session.flush()


def close_order(session: Session, order: Order, *, actor: Actor, at: datetime) -> None:
    """Close an order whose report is home, unless a critical finding of it is still open."""
    # The newest version has to be home, and where it is an addendum, also what it adds to. An older one than these
    # that arrives late closes nothing.
    rows = session.execute(
        select(ReportVersion.kind, Delivery.state)
        .join(Delivery, Delivery.report_version_id == ReportVersion.id)
        .join(Report, Report.id == ReportVersion.report_id)
        .where(Report.order_id == order.id, ReportVersion.status.in_(("final", "superseded")))
        .order_by(ReportVersion.version.desc())
    )
    waiting = False
    for kind, state in rows:
        waiting = waiting or state not in {"delivered", "acknowledged"}
        if kind != "addendum":
            break
    if not waiting and order.state == "reported" and not _critical_finding_is_open(session, order):
        workflow.apply(session, order, "report_delivered", actor=actor, at=at, as_who=_SYSTEM)


def _critical_finding_is_open(session: Session, order: Order) -> bool:
    found = session.scalar(
        select(CriticalFinding.id)
        .join(Reading, Reading.id == CriticalFinding.reading_id)
        .where(Reading.order_id == order.id, CriticalFinding.state.in_(OPEN))
        .limit(1)
    )
    return found is not None


@dataclass(frozen=True)
class TroubledDelivery:
    """A signed report that is not home and needs, or may need, somebody."""

    case_number: str
    facility_name: str
    version: int
    state: str
    since: datetime
    reason: str
    attempts: int


def troubled(session: Session, *, actor: Actor) -> list[TroubledDelivery]:
    """Return the deliveries that were held, failed, or are tried again; the longest in trouble first."""
    require(actor, Action.COORDINATE)
    since = (
        select(func.max(WorkflowEvent.at))
        .where(
            WorkflowEvent.machine == "delivery",
            WorkflowEvent.object_id == Delivery.id,
            WorkflowEvent.to_state == Delivery.state,
            WorkflowEvent.from_state != Delivery.state,
        )
        .correlate(Delivery)
        .scalar_subquery()
    )
    rows = session.execute(
        select(Delivery, ReportVersion, Reading, since)
        .join(ReportVersion, ReportVersion.id == Delivery.report_version_id)
        .join(Reading, Reading.id == ReportVersion.reading_id)
        .where(Delivery.state.in_(("held", "failed", "retrying")))
        .order_by(Delivery.id)
    ).all()
    found = [
        TroubledDelivery(
            case_number=reading.case_number,
            facility_name=reading.facility.name,
            version=version.version,
            state=delivery.state,
            since=began or delivery.created_at,
            reason=delivery.last_reason,
            attempts=delivery.attempts,
        )
        for delivery, version, reading, began in rows
        if actor.facility_id in {None, delivery.facility_id}
    ]
    return sorted(found, key=lambda one: one.since)


def retry(session: Session, case_number: str, reason: str, *, actor: Actor, at: datetime) -> int:
    """Offer a case's failed deliveries to the gateway again; return how many."""
    require(actor, Action.COORDINATE)
    if not reason.strip():
        raise InvalidInput("reason", "is needed")
    found = session.scalars(
        select(Delivery)
        .join(ReportVersion, ReportVersion.id == Delivery.report_version_id)
        .join(Reading, Reading.id == ReportVersion.reading_id)
        .where(Reading.case_number == case_number, Delivery.state == "failed")
    ).all()
    for delivery in found:
        require_tenant(actor, delivery.facility_id, "package")
        workflow.apply(session, delivery, "retry", actor=actor, at=at, reason=reason.strip())
        audit.record(session, actor=actor, at=at, act="delivery.retry", case_number=case_number)
    return len(found)
