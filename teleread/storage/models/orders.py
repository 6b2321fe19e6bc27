"""Orders: the facility's request to read a study."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from teleread.domain.turnaround import Priority
from teleread.domain.workflow import Machine
from teleread.storage.models.base import Base, one_of, state_of
from teleread.storage.models.facilities import Facility
from teleread.storage.models.studies import Study


class Order(Base):
    """A request to read. Where the facility sent none, it is made from the study."""

    __tablename__ = "orders"
    __table_args__ = (state_of(Machine.ORDER), one_of("priority", tuple(Priority)))

    id: Mapped[int] = mapped_column(primary_key=True)
    facility_id: Mapped[int] = mapped_column(ForeignKey("facility.id"), index=True)
    study_id: Mapped[int | None] = mapped_column(ForeignKey("study.id"), unique=True)
    state: Mapped[str]
    accession: Mapped[str] = mapped_column(default="")
    priority: Mapped[str]
    department: Mapped[str] = mapped_column(default="")
    doctor: Mapped[str] = mapped_column(default="")
    clinical_question: Mapped[str] = mapped_column(default="")
    made_from_study: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]

    facility: Mapped[Facility] = relationship()
    study: Mapped[Study | None] = relationship()
