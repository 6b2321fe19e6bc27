"""Filters of the worklist that a person keeps under a name."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from teleread.storage.models.base import Base


class SavedView(Base):
    """One filter of one person, as the address holds it."""

    __tablename__ = "saved_view"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"), index=True)
    name: Mapped[str]
    query: Mapped[str]
    created_at: Mapped[datetime]
