"""Filters of the worklist that a person keeps under a name."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from teleread.domain.access import Action, Actor, require
from teleread.errors import InvalidInput, NotFound
from teleread.storage.models.views import SavedView

#: The keys that are left beside the views everybody has.
KEPT = 4
NAME_LIMIT = 30
_QUERY_LIMIT = 2000


def list_views(session: Session, *, actor: Actor) -> list[SavedView]:
    """Return the actor's own views, the oldest first."""
    require(actor, Action.SEE_WORKLIST)
    return list(
        session.scalars(select(SavedView).where(SavedView.user_id == actor.user_id).order_by(SavedView.id))
    )


def keep_view(session: Session, name: str, query: str, *, actor: Actor, at: datetime) -> SavedView:
    """Keep a filter.

    Raises
    ------
    InvalidInput
        The name is empty or too long, or there is no key left.
    """
    require(actor, Action.SEE_WORKLIST)
    name = " ".join(name.split())
    if not 0 < len(name) <= NAME_LIMIT:
        raise InvalidInput("name", f"has to have 1 to {NAME_LIMIT} characters")
    if len(query) > _QUERY_LIMIT:
        raise InvalidInput("query", "is too long")
    kept = session.scalar(select(func.count(SavedView.id)).where(SavedView.user_id == actor.user_id)) or 0
    if kept >= KEPT:
        raise InvalidInput("name", f"only {KEPT} views can be kept")
    if actor.user_id is None:
        raise InvalidInput("name", "only people keep views")
    view = SavedView(user_id=actor.user_id, name=name, query=query, created_at=at)
    session.add(view)
    session.flush()
    return view


def drop_view(session: Session, view_id: int, *, actor: Actor) -> None:
    """Forget one of the actor's own views.

    Raises
    ------
    NotFound
        There is none with this id, or it is another person's.
    """
    require(actor, Action.SEE_WORKLIST)
    view = session.get(SavedView, view_id)
    if view is None or view.user_id != actor.user_id:
        raise NotFound("there is no such view")
    session.delete(view)
