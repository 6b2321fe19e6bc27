"""Readings: the task of interpreting one order; one row of the worklist."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from teleread.domain.workflow import Machine
from teleread.storage.models.accounts import User
from teleread.storage.models.base import Base, one_of, state_of
from teleread.storage.models.facilities import Facility
from teleread.storage.models.orders import Order
from teleread.storage.models.studies import Study

_OPEN = text("state NOT IN ('completed', 'cancelled')")


class Reading(Base):
    """A case, by its number."""

    __tablename__ = "reading"
    __table_args__ = (
        state_of(Machine.READING),
        one_of("kind", ("primary", "second", "addendum")),
        CheckConstraint(
            "(state IN ('assigned', 'in_progress', 'on_hold') AND assignee_id IS NOT NULL)"
            " OR (state IN ('waiting', 'unassigned') AND assignee_id IS NULL)"
            " OR state IN ('completed', 'cancelled')",
            name="assignee_if_assigned",
        ),
        Index(
            "uq_reading_open_of_a_kind",
            "order_id",
            "kind",
            unique=True,
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
        Index("ix_reading_state", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    case_number: Mapped[str] = mapped_column(unique=True)
    facility_id: Mapped[int] = mapped_column(ForeignKey("facility.id"), index=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), index=True)
    kind: Mapped[str] = mapped_column(default="primary")
    state: Mapped[str]
    assignee_id: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    due_at: Mapped[datetime | None]
    # Study revision whose images the reader has seen; a lower one than the study's own means "images added".
    seen_revision: Mapped[int] = mapped_column(default=1)
    images_added: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]

    facility: Mapped[Facility] = relationship()
    order: Mapped[Order] = relationship()
    study: Mapped[Study] = relationship()
    assignee: Mapped[User | None] = relationship()
