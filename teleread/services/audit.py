"""The audit log: who, when, from where, which case, what."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from teleread.domain.access import Action, Actor, require
from teleread.storage import audit_chain
from teleread.storage.audit_chain import AuditEntry, AuditFault
from teleread.storage.models.records import AuditRecord


def record(
    session: Session,
    *,
    actor: Actor,
    at: datetime,
    act: str,
    case_number: str | None = None,
    facility_id: int | None = None,
    detail: dict[str, Any] | None = None,
) -> None:
    """Have an act recorded in the transaction that does it: both are committed, or neither.

    Parameters
    ----------
    act : str
        Verb and object, such as ``reading.claim``.
    detail : dict, optional
        Ids, codes and digests. No identity, no report text.
    """
    audit_chain.add_pending(
        session,
        AuditEntry(
            at=at,
            actor_kind=actor.kind,
            actor_name=actor.name,
            actor_role=actor.role,
            from_where=actor.from_where,
            act=act,
            case_number=case_number,
            facility_id=facility_id if facility_id is not None else actor.facility_id,
            detail=dict(detail or {}),
        ),
    )


def verify_chain(session: Session, key: bytes) -> list[AuditFault]:
    """Return every fault of the chain: changed, removed or added records, a forged or missing head."""
    return list(audit_chain.verify(session, key))


@dataclass(frozen=True)
class AuditFilter:
    """What to look for; an empty value looks for everything."""

    since: datetime | None = None
    until: datetime | None = None
    who: str = ""
    act: str = ""
    case_number: str = ""


def search(
    session: Session, wanted: AuditFilter, *, actor: Actor, limit: int
) -> tuple[list[AuditRecord], int]:
    """Return the newest records that fit, and how many fit in all, for those who may see them."""
    require(actor, Action.SEE_AUDIT)
    conditions = []
    if wanted.since is not None:
        conditions.append(AuditRecord.at >= wanted.since)
    if wanted.until is not None:
        conditions.append(AuditRecord.at < wanted.until)
    if wanted.who:
        conditions.append(AuditRecord.actor_name == wanted.who)
    if wanted.act:
        conditions.append(AuditRecord.act.startswith(wanted.act, autoescape=True))
    if wanted.case_number:
        conditions.append(AuditRecord.case_number == wanted.case_number)
    count = session.scalar(select(func.count()).select_from(AuditRecord).where(*conditions)) or 0
    found = select(AuditRecord).where(*conditions).order_by(AuditRecord.sequence.desc()).limit(limit)
    return list(session.scalars(found)), count


def newest(session: Session, *, actor: Actor, limit: int = 200) -> list[AuditRecord]:
    """Return the newest records, the last one first, for those who may see them."""
    require(actor, Action.SEE_AUDIT)
    return list(session.scalars(select(AuditRecord).order_by(AuditRecord.sequence.desc()).limit(limit)))
