"""Deliveries: one report version on its way to one destination."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from teleread.domain.workflow import Machine
from teleread.storage.models.base import Base, state_of
from teleread.storage.models.reports import ReportVersion


class Delivery(Base):
    """One report version for one facility's gateway."""

    __tablename__ = "delivery"
    __table_args__ = (
        state_of(Machine.DELIVERY),
        UniqueConstraint("report_version_id", "destination"),
        Index("ix_delivery_waiting", "facility_id", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    facility_id: Mapped[int] = mapped_column(ForeignKey("facility.id"))
    report_version_id: Mapped[int] = mapped_column(ForeignKey("report_version.id"))
    destination: Mapped[str] = mapped_column(default="gateway")
    state: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    last_reason: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]
    delivered_at: Mapped[datetime | None]

    version: Mapped[ReportVersion] = relationship()


class DeliveryReceiptRow(Base):
    """Proof from the facility, as it came."""

    __tablename__ = "delivery_receipt"
    __table_args__ = (UniqueConstraint("delivery_id", "receipt_sha256"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("delivery.id"))
    receipt_sha256: Mapped[str]
    receipt: Mapped[dict[str, Any]]
    received_at: Mapped[datetime]
