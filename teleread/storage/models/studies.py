"""Studies, series and instances, all of them de-identified."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from teleread.domain.workflow import Machine
from teleread.storage.models.base import Base, state_of
from teleread.storage.models.facilities import Facility


class Study(Base):
    """An examination as the facility's gateway sent it, under the replaced UID and the pseudonym."""

    __tablename__ = "study"
    __table_args__ = (
        UniqueConstraint("facility_id", "study_instance_uid"),
        Index("ix_study_uid", "study_instance_uid"),
        Index("ix_study_pseudonym", "facility_id", "pseudonym"),
        state_of(Machine.STUDY),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    facility_id: Mapped[int] = mapped_column(ForeignKey("facility.id"))
    study_instance_uid: Mapped[str]
    state: Mapped[str]
    revision: Mapped[int] = mapped_column(default=1)
    pseudonym: Mapped[str]
    sex: Mapped[str] = mapped_column(default="")
    age: Mapped[str] = mapped_column(default="")
    study_date: Mapped[str] = mapped_column(default="")
    study_time: Mapped[str] = mapped_column(default="")
    study_description: Mapped[str] = mapped_column(default="")
    accession: Mapped[str] = mapped_column(default="")
    modalities: Mapped[list[str]]
    # The newest manifest as it came; None until the first one.
    manifest: Mapped[dict[str, Any] | None]
    manifest_revision: Mapped[int] = mapped_column(default=0)
    incomplete_note: Mapped[str] = mapped_column(default="")
    first_received_at: Mapped[datetime]
    last_received_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]
    attributes: Mapped[dict[str, Any]]

    facility: Mapped[Facility] = relationship()


class Series(Base):
    """A part of a study."""

    __tablename__ = "series"
    __table_args__ = (UniqueConstraint("study_id", "series_instance_uid"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    series_instance_uid: Mapped[str]
    modality: Mapped[str] = mapped_column(default="")
    series_number: Mapped[int | None]
    series_description: Mapped[str] = mapped_column(default="")
    attributes: Mapped[dict[str, Any]]

    study: Mapped[Study] = relationship()


class Instance(Base):
    """One object. The same UID with other bytes is a second row; exactly one of them is current."""

    __tablename__ = "instance"
    __table_args__ = (
        UniqueConstraint("facility_id", "sop_instance_uid", "sha256"),
        Index(
            "uq_instance_current",
            "facility_id",
            "sop_instance_uid",
            unique=True,
            sqlite_where=text("is_current"),
            postgresql_where=text("is_current"),
        ),
        Index("ix_instance_study", "study_id"),
        Index("ix_instance_series", "series_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    facility_id: Mapped[int] = mapped_column(ForeignKey("facility.id"))
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"))
    sop_instance_uid: Mapped[str]
    sop_class_uid: Mapped[str]
    transfer_syntax_uid: Mapped[str]
    sha256: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    has_pixels: Mapped[bool] = mapped_column(default=True)
    instance_number: Mapped[int | None]
    rows: Mapped[int | None]
    columns: Mapped[int | None]
    number_of_frames: Mapped[int] = mapped_column(default=1)
    is_current: Mapped[bool] = mapped_column(default=True)
    conflict: Mapped[bool] = mapped_column(default=False)
    attributes: Mapped[dict[str, Any]]
    received_at: Mapped[datetime]

    series: Mapped[Series] = relationship()
    study: Mapped[Study] = relationship()
