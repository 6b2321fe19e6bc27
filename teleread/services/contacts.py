"""Whom to tell at a facility about a critical finding, as its coordinators and administrators keep it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from teleread.domain.access import Action, Actor, require, require_tenant, same_tenant
from teleread.domain.contacts import ladder_of
from teleread.domain.critical import Contact
from teleread.errors import NotFound, StateChangedMeanwhile
from teleread.services import audit
from teleread.storage.locks import lock
from teleread.storage.models.critical import FacilityContact
from teleread.storage.models.facilities import Facility


@dataclass(frozen=True)
class FacilityRow:
    """A facility, how many people can be told there, and how many of them by mail."""

    code: str
    name: str
    people: int
    by_mail: int


@dataclass(frozen=True)
class Ladder:
    """The people of a facility in the order in which they are told; `version` changes when anything in it does."""

    code: str
    name: str
    contacts: tuple[Contact, ...]
    version: str


def facilities(session: Session, *, actor: Actor) -> list[FacilityRow]:
    """Return the facilities within the actor's reach, those without anybody to tell first."""
    require(actor, Action.MANAGE_CONTACTS)
    rows = session.execute(
        select(
            Facility,
            func.count(FacilityContact.id),
            func.count(FacilityContact.id).filter(FacilityContact.mail != ""),
        )
        .join(FacilityContact, FacilityContact.facility_id == Facility.id, isouter=True)
        .group_by(Facility.id)
        .order_by(Facility.name)
    ).all()
    found = [
        FacilityRow(facility.code, facility.name, people, by_mail)
        for facility, people, by_mail in rows
        if same_tenant(actor, facility.id)
    ]
    return sorted(found, key=lambda one: one.people > 0)


def ladder(session: Session, facility_code: str, *, actor: Actor) -> Ladder:
    """Return the ladder of a facility, or raise NotFound."""
    require(actor, Action.MANAGE_CONTACTS)
    facility = _facility(session, facility_code, actor)
    found = of_facility(session, facility.id)
    return Ladder(facility.code, facility.name, found, _version(found))


def replace(
    session: Session,
    facility_code: str,
    rows: Sequence[tuple[str, Contact]],
    was: str,
    *,
    actor: Actor,
    at: datetime,
) -> tuple[Contact, ...]:
    """Replace the ladder of a facility by what a form says, and return it.

    Parameters
    ----------
    rows : sequence of (str, Contact)
        As `domain.contacts.ladder_of` takes them.
    was : str
        Version of the ladder that the form showed.

    Raises
    ------
    InvalidInput
        Something in a row is wrong; nothing is changed.
    StateChangedMeanwhile
        Somebody else has changed the ladder since.
    """
    require(actor, Action.MANAGE_CONTACTS)
    facility = _facility(session, facility_code, actor)
    lock(session, f"contacts {facility.id}")
    before = of_facility(session, facility.id)
    if was != _version(before):
        raise StateChangedMeanwhile("somebody else has changed these contacts")
    found = ladder_of(rows)
    session.execute(delete(FacilityContact).where(FacilityContact.facility_id == facility.id))
    for position, one in enumerate(found, 1):
        session.add(FacilityContact(facility_id=facility.id, position=position, **asdict(one)))
    session.flush()
    audit.record(
        session,
        actor=actor,
        at=at,
        act="facility.contacts",
        facility_id=facility.id,
        # Staff of the facility, named so that a wrong entry can be traced; no address and no number.
        detail={
            "facility": facility.code,
            "before": [one.name for one in before],
            "after": [one.name for one in found],
        },
    )
    return found


def of_facility(session: Session, facility_id: int) -> tuple[Contact, ...]:
    """Return the ladder of a facility, for services that have checked who asks."""
    rows = session.scalars(
        select(FacilityContact)
        .where(FacilityContact.facility_id == facility_id)
        .order_by(FacilityContact.position)
    )
    return tuple(Contact(one.name, one.phone, one.department, one.mail, one.is_second) for one in rows)


def _facility(session: Session, code: str, actor: Actor) -> Facility:
    facility = session.scalar(select(Facility).where(Facility.code == code))
    if facility is None:
        raise NotFound("there is no such facility")
    require_tenant(actor, facility.id, "facility")
    return facility


def _version(contacts: Sequence[Contact]) -> str:
    plain = json.dumps([asdict(one) for one in contacts], ensure_ascii=False)
    return hashlib.sha256(plain.encode()).hexdigest()[:16]
