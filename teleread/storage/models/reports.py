"""Reports: all versions of the answer to an order, their drafts, renderings and signatures."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from teleread.domain.reporting import KINDS
from teleread.domain.workflow import Machine
from teleread.storage.models.accounts import User
from teleread.storage.models.base import Base, one_of, state_of
from teleread.storage.models.orders import Order
from teleread.storage.models.readings import Reading

_DRAFT = text("status = 'draft'")


class Report(Base):
    """The answer to an order."""

    __tablename__ = "report"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), unique=True)
    created_at: Mapped[datetime]

    order: Mapped[Order] = relationship()


class ReportVersion(Base):
    """One text; frozen when signed."""

    __tablename__ = "report_version"
    __table_args__ = (
        state_of(Machine.REPORT_VERSION, "status"),
        one_of("kind", KINDS),
        UniqueConstraint("report_id", "version"),
        # Nothing that is not signed bears a signature's data, and nothing final lacks it.
        CheckConstraint(
            "status NOT IN ('final', 'superseded', 'entered_in_error') OR "
            "(signed_at IS NOT NULL AND signed_by IS NOT NULL AND content_sha256 IS NOT NULL)",
            name="signed_if_final",
        ),
        CheckConstraint(
            "status NOT IN ('draft', 'discarded') OR (signed_at IS NULL AND signed_by IS NULL AND content_sha256 IS NULL)",
            name="not_signed_if_draft",
        ),
        Index(
            "uq_report_version_draft", "reading_id", unique=True, sqlite_where=_DRAFT, postgresql_where=_DRAFT
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("report.id"))
    reading_id: Mapped[int] = mapped_column(ForeignKey("reading.id"))
    version: Mapped[int]
    kind: Mapped[str] = mapped_column(default="report")
    status: Mapped[str]
    # Counts autosaves; a save names the revision it was made on.
    revision: Mapped[int] = mapped_column(default=0)
    sections: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    # What was signed; null in a draft.
    content: Mapped[dict[str, Any] | None]
    content_sha256: Mapped[str | None]
    signed_at: Mapped[datetime | None]
    signed_by: Mapped[int | None] = mapped_column(ForeignKey("user_account.id"))
    pdf_sha256: Mapped[str | None]

    report: Mapped[Report] = relationship()
    reading: Mapped[Reading] = relationship()
    signer: Mapped[User | None] = relationship()


class DraftRevision(Base):
    """One autosave of a draft, kept."""

    __tablename__ = "draft_revision"
    __table_args__ = (UniqueConstraint("report_version_id", "revision"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    report_version_id: Mapped[int] = mapped_column(ForeignKey("report_version.id"))
    revision: Mapped[int]
    sections: Mapped[dict[str, Any]]
    author_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    saved_at: Mapped[datetime]

    author: Mapped[User] = relationship()


class Rendering(Base):
    """The exact page that a reader looks at before signing. Pending until a digest or a failure is there."""

    __tablename__ = "rendering"
    __table_args__ = (CheckConstraint("pdf_sha256 IS NULL OR failure = ''", name="one_outcome"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    report_version_id: Mapped[int] = mapped_column(ForeignKey("report_version.id"), index=True)
    revision: Mapped[int]
    study_revision: Mapped[int]
    incomplete_reason: Mapped[str] = mapped_column(default="")
    content: Mapped[dict[str, Any]]
    content_sha256: Mapped[str]
    requested_by: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    requested_at: Mapped[datetime]
    pdf_sha256: Mapped[str | None]
    pages: Mapped[int | None]
    missing_glyphs: Mapped[str] = mapped_column(default="")
    failure: Mapped[str] = mapped_column(default="")
    done_at: Mapped[datetime | None]

    version: Mapped[ReportVersion] = relationship()


class SignAuthorisation(Base):
    """A reader's leave to sign one digest, once."""

    __tablename__ = "sign_authorisation"

    id: Mapped[int] = mapped_column(primary_key=True)
    # Unique: a version is authorised once, and so is a rendering.
    report_version_id: Mapped[int] = mapped_column(ForeignKey("report_version.id"), unique=True)
    rendering_id: Mapped[int] = mapped_column(ForeignKey("rendering.id"), unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"))
    pdf_sha256: Mapped[str]
    given_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    version: Mapped[ReportVersion] = relationship()
    rendering: Mapped[Rendering] = relationship()
    user: Mapped[User] = relationship()
