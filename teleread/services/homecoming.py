"""What a facility says of a report on its way home, and what has to follow at the centre."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from teleread.domain.access import Actor
from teleread.services import critical, delivery
from teleread.storage.locks import lock
from teleread.storage.models.deliveries import Delivery
from teleread.wire.receipts import PackageEvent

#: States of a delivery that no machine brings home any more.
_STOPPED = frozenset({"held", "failed"})


def note_event(
    session: Session, package_id: str, message: PackageEvent, *, actor: Actor, at: datetime
) -> str:
    """Note what became of a package at the facility, and return the delivery's state.

    A report that has just been stopped, and has a critical finding that the facility's doctor does not know of yet, starts
    the ladder of telephone calls at once. Raises as `delivery.record_event` does.
    """
    lock(session, f"delivery {package_id}")
    before = session.scalar(select(Delivery.state).where(Delivery.public_id == package_id))
    state = delivery.record_event(session, package_id, message, actor=actor, at=at)
    if state in _STOPPED and before not in _STOPPED:
        found = session.scalars(select(Delivery).where(Delivery.public_id == package_id)).one()
        critical.hurry(session, found.version.reading_id, at=at)
    return state
