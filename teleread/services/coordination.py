"""The coordinator's view of gateways and people, and giving a case to another reader."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from teleread.domain import board as rules
from teleread.domain.access import PERSONS_ROLES, Action, Actor, Role, require
from teleread.errors import InvalidInput
from teleread.services import reading
from teleread.storage.models.accounts import User, UserSession
from teleread.storage.models.facilities import Facility, Gateway
from teleread.storage.models.readings import Reading

#: Everybody of the centre; people of facilities have their own rooms and telephones.
_ON_THE_BOARD = PERSONS_ROLES - {Role.FACILITY}


@dataclass(frozen=True)
class GatewaySign:
    """A box and its last sign of life: ``fine``, ``silent``, ``lost`` or ``never``."""

    facility_name: str
    name: str
    sign: str
    last_seen_at: datetime | None
    queue: int
    held: int
    little_space: bool
    alarm: str


@dataclass(frozen=True)
class PersonSign:
    """A person, the last sign of life, and the cases held."""

    username: str
    display_name: str
    is_reader: bool
    is_signed_in: bool
    last_seen_at: datetime | None
    assigned: int
    reading: int


def gateways(session: Session, *, actor: Actor, at: datetime) -> list[GatewaySign]:
    """Return every enrolled box that was not revoked, those with an alarm first, then the longest silent."""
    require(actor, Action.COORDINATE)
    rows = session.execute(
        select(Gateway, Facility)
        .join(Facility, Facility.id == Gateway.facility_id)
        .where(Gateway.revoked_at.is_(None), Gateway.certificate_sha256.is_not(None))
    ).all()
    found = [
        GatewaySign(
            facility_name=facility.name,
            name=gateway.name,
            sign=rules.sign_of_life(gateway.last_seen_at, at),
            last_seen_at=gateway.last_seen_at,
            queue=gateway.queue or 0,
            held=gateway.held or 0,
            little_space=gateway.disk_free_bytes is not None
            and gateway.disk_free_bytes < rules.LITTLE_SPACE_BYTES,
            alarm=gateway.alarm,
        )
        for gateway, facility in rows
    ]
    return sorted(
        found, key=lambda one: (not one.alarm, one.last_seen_at is not None, one.last_seen_at or at)
    )


def people(session: Session, *, actor: Actor) -> list[PersonSign]:
    """Return everybody of the centre with an account that is open, the latest sign of life first."""
    require(actor, Action.COORDINATE)
    seen = {
        user_id: (last, is_open > 0)
        for user_id, last, is_open in session.execute(
            select(
                UserSession.user_id,
                func.max(UserSession.last_seen_at),
                func.count(UserSession.id).filter(UserSession.ended_at.is_(None)),
            ).group_by(UserSession.user_id)
        )
    }
    held: dict[tuple[int | None, str], int] = {
        (user_id, state): count
        for user_id, state, count in session.execute(
            select(Reading.assignee_id, Reading.state, func.count(Reading.id))
            .where(Reading.state.in_(("assigned", "in_progress", "on_hold")))
            .group_by(Reading.assignee_id, Reading.state)
        )
    }
    found = []
    for user in session.scalars(select(User).where(User.is_active).order_by(User.display_name)):
        if _ON_THE_BOARD.isdisjoint(user.roles):
            continue
        last, is_signed_in = seen.get(user.id, (None, False))
        found.append(
            PersonSign(
                username=user.username,
                display_name=user.display_name,
                is_reader=Role.READER in user.roles,
                is_signed_in=is_signed_in,
                last_seen_at=last,
                assigned=held.get((user.id, "assigned"), 0),
                reading=held.get((user.id, "in_progress"), 0) + held.get((user.id, "on_hold"), 0),
            )
        )
    return sorted(found, key=lambda one: -one.last_seen_at.timestamp() if one.last_seen_at else 0.0)


def give(
    session: Session, case_number: str, username: str, reason: str, *, actor: Actor, at: datetime
) -> None:
    """Give a case to a reader. Taking it from another one needs a reason; a draft goes along.

    Raises
    ------
    InvalidInput
        Somebody holds the case and no reason is given, or the reader is not one.
    """
    case = reading.reading_of(session, case_number, actor=actor)
    reason = reason.strip()
    if case.assignee_id is not None and not reason:
        raise InvalidInput("reason", "is needed to take a case from its reader")
    if case.state in {"in_progress", "on_hold"}:
        reading.release(session, case_number, reason, actor=actor, at=at)
    reading.assign(session, case_number, username, actor=actor, at=at, reason=reason)
