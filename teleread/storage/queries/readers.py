"""Questions about readers."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from teleread.domain.access import Role
from teleread.storage.models.accounts import User


def active_readers(session: Session) -> list[User]:
    """Return everybody a case can be given to, by the name shown."""
    # Roles are a JSON list, and the two databases search such a list differently; people are few.
    people = session.scalars(select(User).where(User.is_active).order_by(User.display_name, User.username))
    return [user for user in people if Role.READER in user.roles]
