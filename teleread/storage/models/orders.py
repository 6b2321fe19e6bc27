"""Orders: the facility's request to read a study."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from teleread.domain.turnaround import Priority
from teleread.domain.workflow import Machine
from teleread.storage.models.base import Base, one_of, state_of
from teleread.storage.models.facilities import Facility
from teleread.storage.models.studies import Study


class Order(Base):
    """A request to read. Where the facility sent none, it is made from the study."""

    __tablename__ = "orders"
    __table_args__ = (
        Index("ix_orders_notice", "facility_id", "notice_id", unique=True),
        state_of(Machine.ORDER),
        one_of("priority", tuple(Priority)),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    facility_id: Mapped[int] = mapped_column(ForeignKey("facility.id"), index=True)
    study_id: Mapped[int | None] = mapped_column(ForeignKey("study.id"), unique=True)
    state: Mapped[str]
    accession: Mapped[str] = mapped_column(default="")
    priority: Mapped[str]
    department: Mapped[str] = mapped_column(default="")
    doctor: Mapped[str] = mapped_column(default="")
    clinical_question: Mapped[str] = mapped_column(default="")
    # The rest is what a facility's own request says; empty for an order that was made from a study.
    notice_id: Mapped[str | None]
    requested_at: Mapped[datetime | None]
    pseudonym: Mapped[str] = mapped_column(default="")
    study_instance_uid: Mapped[str] = mapped_column(default="")
    study_date: Mapped[str] = mapped_column(default="")
    modality: Mapped[str] = mapped_column(default="")
    body_part: Mapped[str] = mapped_column(default="")
    examination: Mapped[str] = mapped_column(default="")
    contrast: Mapped[str] = mapped_column(default="")
    history: Mapped[str] = mapped_column(default="")
    callback_phone: Mapped[str] = mapped_column(default="")
    made_from_study: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]

    facility: Mapped[Facility] = relationship()
    study: Mapped[Study | None] = relationship()
