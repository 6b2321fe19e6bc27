"""What is only ever added to: workflow events, audit records; and the outbox."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from teleread.domain.workflow import Machine
from teleread.jobs import JobName
from teleread.storage.models.base import Base, one_of


class WorkflowEvent(Base):
    """One change of one state."""

    __tablename__ = "workflow_event"
    __table_args__ = (
        one_of("machine", tuple(Machine)),
        Index("ix_workflow_event_object", "machine", "object_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    machine: Mapped[str]
    object_id: Mapped[int]
    event: Mapped[str]
    from_state: Mapped[str]
    to_state: Mapped[str]
    actor_kind: Mapped[str]
    actor_name: Mapped[str]
    from_where: Mapped[str]
    reason: Mapped[str] = mapped_column(default="")
    at: Mapped[datetime]


class AuditRecord(Base):
    """Who did what to which case, when and from where; each record carries the digest of the one before."""

    __tablename__ = "audit_record"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor_kind: Mapped[str]
    actor_name: Mapped[str]
    actor_role: Mapped[str]
    from_where: Mapped[str]
    act: Mapped[str]
    case_number: Mapped[str | None]
    facility_id: Mapped[int | None]
    detail: Mapped[dict[str, Any]]
    previous_sha256: Mapped[str]
    sha256: Mapped[str]


class AuditHead(Base):
    """Number and digest of the newest record, under a key that is not in the database."""

    __tablename__ = "audit_head"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sequence: Mapped[int]
    sha256: Mapped[str]
    mac: Mapped[str]


class OutboxRow(Base):
    """A request for background work, written in the transaction that made it necessary."""

    __tablename__ = "outbox"
    __table_args__ = (
        one_of("job", tuple(JobName)),
        Index(
            "ix_outbox_undone",
            "id",
            sqlite_where=text("done_at IS NULL"),
            postgresql_where=text("done_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[str]
    subject_id: Mapped[int]
    requested_at: Mapped[datetime]
    enqueued_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(default="")
    done_at: Mapped[datetime | None]
