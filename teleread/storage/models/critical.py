"""Critical findings: what was raised, who was called about it, and the messages that went out."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from teleread.domain.critical import CHANNELS, Category, Method
from teleread.domain.workflow import Machine
from teleread.storage.models.base import Base, one_of, state_of
from teleread.storage.models.facilities import Facility
from teleread.storage.models.readings import Reading


class FacilityContact(Base):
    """Whom to tell at a facility when the doctor of the order does not answer; `position` is the rung of the ladder."""

    __tablename__ = "facility_contact"
    __table_args__ = (UniqueConstraint("facility_id", "position"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    facility_id: Mapped[int] = mapped_column(ForeignKey("facility.id"))
    position: Mapped[int]
    name: Mapped[str]
    phone: Mapped[str]
    department: Mapped[str] = mapped_column(default="")
    mail: Mapped[str] = mapped_column(default="")
    is_second: Mapped[bool] = mapped_column(default=False)


class CriticalFinding(Base):
    """A result that must reach a named person now."""

    __tablename__ = "critical_finding"
    __table_args__ = (
        state_of(Machine.CRITICAL_FINDING),
        one_of("category", tuple(Category)),
        CheckConstraint(
            "state IN ('raised', 'withdrawn') OR notified_at IS NOT NULL", name="notified_if_past_raised"
        ),
        CheckConstraint(
            "state NOT IN ('acknowledged', 'closed') OR (acknowledged_at IS NOT NULL AND acknowledged_by <> '')",
            name="acknowledged_by_somebody",
        ),
        Index("ix_critical_finding_state", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    facility_id: Mapped[int] = mapped_column(ForeignKey("facility.id"), index=True)
    reading_id: Mapped[int] = mapped_column(ForeignKey("reading.id"), index=True)
    state: Mapped[str]
    category: Mapped[str]
    text: Mapped[str]
    raised_by: Mapped[str]
    raised_at: Mapped[datetime]
    notified_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str] = mapped_column(default="")
    outcome: Mapped[str] = mapped_column(default="")
    escalations: Mapped[int] = mapped_column(default=0)
    escalated_at: Mapped[datetime | None]

    reading: Mapped[Reading] = relationship()
    facility: Mapped[Facility] = relationship()


class CriticalAttempt(Base):
    """One call to somebody at the facility: an answer with everything read back, or no answer."""

    __tablename__ = "critical_attempt"
    __table_args__ = (
        one_of("outcome", ("told", "no_answer")),
        one_of("method", tuple(Method)),
        CheckConstraint(
            "outcome = 'no_answer' OR (heard_case_number AND heard_sex AND heard_examination_time AND person <> '')",
            name="read_back_if_told",
        ),
        Index("ix_critical_attempt_finding", "finding_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    finding_id: Mapped[int] = mapped_column(ForeignKey("critical_finding.id"))
    person: Mapped[str]
    method: Mapped[str]
    outcome: Mapped[str]
    heard_case_number: Mapped[bool] = mapped_column(default=False)
    heard_sex: Mapped[bool] = mapped_column(default=False)
    heard_examination_time: Mapped[bool] = mapped_column(default=False)
    at: Mapped[datetime]
    by: Mapped[str]
    recorded_at: Mapped[datetime]


class CriticalAlert(Base):
    """One message to the centre's own people; the next step of its round exists only when this one failed."""

    __tablename__ = "critical_alert"
    __table_args__ = (
        one_of("channel", CHANNELS),
        one_of("outcome", ("", "answered", "failed", "not_needed")),
        UniqueConstraint("finding_id", "round", "step"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    finding_id: Mapped[int] = mapped_column(ForeignKey("critical_finding.id"))
    round: Mapped[int]
    step: Mapped[int]
    channel: Mapped[str]
    outcome: Mapped[str] = mapped_column(default="")
    detail: Mapped[str] = mapped_column(default="")
    asked_at: Mapped[datetime]
    tried_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    finding: Mapped[CriticalFinding] = relationship()
