"""Facilities and their gateways."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from teleread.storage.models.base import Base, one_of


class Facility(Base):
    """A referring hospital or clinic: the tenant."""

    __tablename__ = "facility"
    __table_args__ = (one_of("language", ("ja", "en")),)

    id: Mapped[int] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    language: Mapped[str]
    quiet_seconds: Mapped[int]
    priority: Mapped[str] = mapped_column(default="routine")
    created_at: Mapped[datetime]


class Gateway(Base):
    """The centre's record of a box at a facility. The certificate is the facility."""

    __tablename__ = "gateway"
    __table_args__ = (UniqueConstraint("facility_id", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    facility_id: Mapped[int] = mapped_column(ForeignKey("facility.id"))
    name: Mapped[str]
    # The one-time code is kept as a digest; it is worth nothing to whoever reads the database.
    code_sha256: Mapped[str | None] = mapped_column(unique=True)
    code_expires_at: Mapped[datetime | None]
    code_used_at: Mapped[datetime | None]
    certificate_sha256: Mapped[str | None] = mapped_column(unique=True)
    certificate_not_after: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    version: Mapped[str] = mapped_column(default="")
    last_seen_at: Mapped[datetime | None]
    queue: Mapped[int | None]
    held: Mapped[int | None]
    disk_free_bytes: Mapped[int | None] = mapped_column(BigInteger)
    alarm: Mapped[str] = mapped_column(default="", server_default="")
    clock_skew_seconds: Mapped[float | None]
    created_at: Mapped[datetime]

    facility: Mapped[Facility] = relationship()
