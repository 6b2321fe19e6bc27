"""People, their sessions, and tokens of DICOMweb clients."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from teleread.storage.models.base import Base, one_of
from teleread.storage.models.facilities import Facility


class User(Base):
    """A person who signs in."""

    __tablename__ = "user_account"
    __table_args__ = (one_of("language", ("ja", "en")),)

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    display_name: Mapped[str]
    roles: Mapped[list[str]]
    facility_id: Mapped[int | None] = mapped_column(ForeignKey("facility.id"))
    language: Mapped[str]
    licence_number: Mapped[str] = mapped_column(default="")
    title: Mapped[str] = mapped_column(default="")
    password_hash: Mapped[str]
    # Sealed with the accounts' key (`teleread.storage.sealing`), for this user name.
    totp_secret: Mapped[str]
    # The last time step whose one-time code was accepted; that code and older ones are worth nothing any more.
    totp_step: Mapped[int] = mapped_column(default=0)
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    # Empty: what suits the role.
    theme: Mapped[str] = mapped_column(default="", server_default="")
    # Per cent of the usual size of text.
    size: Mapped[int] = mapped_column(default=100, server_default="100")
    password_changed_at: Mapped[datetime | None]
    # Somebody else has seen the password: the person has to choose one first.
    password_is_initial: Mapped[bool] = mapped_column(default=False, server_default=false())

    facility: Mapped[Facility | None] = relationship()


class SignInFailure(Base):
    """A refused sign-in or re-authentication, kept for the time of the lockout."""

    __tablename__ = "sign_in_failure"
    __table_args__ = (
        Index("ix_sign_in_failure_account", "account_sha256", "at"),
        Index("ix_sign_in_failure_address", "address", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    # A digest, because people type passwords into the field of the user name.
    account_sha256: Mapped[str]
    at: Mapped[datetime]
    address: Mapped[str] = mapped_column(default="", server_default="")
    # Only of a browser that the person signed in with before: it has a budget of its own.
    device_sha256: Mapped[str | None]


class UserSession(Base):
    """A signed-in browser. The token itself is only in its cookie."""

    __tablename__ = "user_session"

    id: Mapped[int] = mapped_column(primary_key=True)
    token_sha256: Mapped[str] = mapped_column(unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"), index=True)
    from_where: Mapped[str]
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    # `teleread.domain.sessions.Ending`; empty while it lives.
    ended_why: Mapped[str | None]
    locked_at: Mapped[datetime | None]

    user: Mapped[User] = relationship()


class APIToken(Base):
    """A bearer token of a DICOMweb client."""

    __tablename__ = "api_token"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    token_sha256: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    facility_id: Mapped[int | None] = mapped_column(ForeignKey("facility.id"))
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    facility: Mapped[Facility | None] = relationship()
