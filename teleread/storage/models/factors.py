"""What a person has beside the password: security keys and recovery codes; and challenges that are out."""

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from teleread.storage.models.base import Base


class SecurityKey(Base):
    """A WebAuthn authenticator of a person. The private key never leaves it."""

    __tablename__ = "security_key"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"), index=True)
    name: Mapped[str]
    # Base64url without padding, as browsers send it.
    credential_id: Mapped[str] = mapped_column(unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sign_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]


class RecoveryCode(Base):
    """One of the codes that stand in once for a lost telephone; kept as an argon2 hash."""

    __tablename__ = "recovery_code"

    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user_account.id"), index=True)
    number: Mapped[int]
    code_hash: Mapped[str]
    created_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class KeyChallenge(Base):
    """A challenge that a browser was given for its security key; it is taken once, by that browser."""

    __tablename__ = "key_challenge"

    id: Mapped[int] = mapped_column(primary_key=True)
    browser_sha256: Mapped[str] = mapped_column(index=True)
    purpose: Mapped[str]
    challenge: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime]
