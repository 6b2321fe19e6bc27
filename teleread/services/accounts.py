"""People, their sessions and second factors, and tokens of DICOMweb clients."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.orm import Session, joinedload

from teleread.domain.access import PERSONS_ROLES, SCOPES, Action, Actor, Role, require
from teleread.domain.identifiers import check_code
from teleread.errors import InvalidInput, NotFound, NotSignedIn, ReauthenticationFailed
from teleread.services import audit
from teleread.storage.models.accounts import APIToken, SignInFailure, User, UserSession
from teleread.storage.models.facilities import Facility
from teleread.storage.session import sealer, transaction

IDLE = timedelta(minutes=15)
ABSOLUTE = timedelta(hours=12)
_TOUCH = timedelta(seconds=20)
_SESSIONS_AT_ONCE = 500

#: So many refusals within the window close an account until the first of them has left it.
FAILURES_ALLOWED = 10
FAILURE_WINDOW = timedelta(minutes=15)

#: One-time codes of the step before and after count too: clocks of telephones differ.
TOTP_INTERVAL_SECONDS = 30
_TOTP_SLACK = 1

_hasher = PasswordHasher()

# Verified for unknown users, so that they take as long as known ones. The password behind it is thrown away.
_NOBODYS_HASH = _hasher.hash(secrets.token_hex(16))

# The order in which a person's principal role is chosen.
_PRINCIPAL = (
    Role.READER,
    Role.COORDINATOR,
    Role.MEDICAL_DIRECTOR,
    Role.PRIVACY_OFFICER,
    Role.ADMINISTRATOR,
    Role.FACILITY,
)


@dataclass(frozen=True)
class NewUser:
    """A user as made; password and secret are shown once and kept nowhere in clear."""

    user: User
    password: str
    totp_secret: str
    totp_uri: str


@dataclass(frozen=True)
class SignedIn:
    """A person with a living session."""

    user_id: int
    username: str
    display_name: str
    language: str
    roles: frozenset[str]
    facility_id: int | None
    actor: Actor
    expires_at: datetime


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def actor_of(user: User, from_where: str = "local") -> Actor:
    """Return the actor that a user is."""
    principal = next(role for role in _PRINCIPAL if role in user.roles)
    return Actor(
        kind="user",
        name=user.username,
        role=principal,
        roles=frozenset(user.roles),
        facility_id=user.facility_id,
        user_id=user.id,
        from_where=from_where,
    )


def create_user(
    session: Session,
    *,
    username: str,
    display_name: str,
    roles: Sequence[str],
    actor: Actor,
    at: datetime,
    facility_code: str | None = None,
    language: str = "ja",
    licence_number: str = "",
    title: str = "",
    password: str | None = None,
) -> NewUser:
    """Make a user with a password and a secret for one-time codes.

    Parameters
    ----------
    roles : sequence of str
        Of `PERSONS_ROLES`. The role ``facility`` needs a facility and stands alone; the others have none.
    password : str, optional
        At least 12 characters; a random one is made when none is given.

    Raises
    ------
    InvalidInput
        The name is taken, or a value is not allowed.
    NotFound
        There is no such facility.
    """
    require(actor, Action.MANAGE_USERS)
    check_code(username, field="username")
    if not display_name.strip():
        raise InvalidInput("display_name", "is empty")
    if language not in {"ja", "en"}:
        raise InvalidInput("language", "has to be ja or en")
    chosen = sorted(set(roles))
    if not chosen or not PERSONS_ROLES.issuperset(chosen):
        raise InvalidInput("roles", f"have to be of {', '.join(sorted(PERSONS_ROLES))}")
    if (Role.FACILITY in chosen) != (facility_code is not None) or (
        Role.FACILITY in chosen and len(chosen) > 1
    ):
        raise InvalidInput("roles", "a user of a facility has that role alone, and needs the facility's code")
    facility_id = None
    if facility_code is not None:
        facility_id = session.scalar(select(Facility.id).where(Facility.code == facility_code))
        if facility_id is None:
            raise NotFound("there is no such facility")
    if session.scalar(select(User.id).where(User.username == username)) is not None:
        raise InvalidInput("username", "is taken")
    password = password if password is not None else secrets.token_urlsafe(15)
    if len(password) < 12:
        raise InvalidInput("password", "has to have at least 12 characters")
    totp_secret = pyotp.random_base32()
    user = User(
        username=username,
        display_name=display_name.strip(),
        roles=chosen,
        facility_id=facility_id,
        language=language,
        licence_number=licence_number,
        title=title,
        password_hash=_hasher.hash(password),
        totp_secret=sealer(session).seal(totp_secret, owner=username),
        totp_step=0,
        is_active=True,
        created_at=at,
    )
    session.add(user)
    session.flush()
    audit.record(session, actor=actor, at=at, act="user.create", detail={"user": username, "roles": chosen})
    uri = pyotp.TOTP(totp_secret).provisioning_uri(name=username, issuer_name="teleread")
    return NewUser(user, password, totp_secret, uri)


def deactivate_user(session: Session, username: str, *, actor: Actor, at: datetime) -> None:
    """Close an account and end its sessions at once."""
    require(actor, Action.MANAGE_USERS)
    user = session.scalar(select(User).where(User.username == username))
    if user is None:
        raise NotFound("there is no such user")
    user.is_active = False
    session.execute(
        update(UserSession)
        .where(UserSession.user_id == user.id, UserSession.ended_at.is_(None))
        .values(ended_at=at)
    )
    audit.record(session, actor=actor, at=at, act="user.deactivate", detail={"user": username})


def list_users(session: Session, *, actor: Actor) -> list[User]:
    """Return all users for those who manage them."""
    require(actor, Action.MANAGE_USERS)
    return list(session.scalars(select(User).order_by(User.username)))


def authenticate(
    engine: Engine, username: str, password: str, totp: str, *, at: datetime, from_where: str
) -> str:
    """Sign a person in and return the token of the new session.

    Takes the engine, not a session: the password is checked outside of any transaction, and a refusal is committed.

    Raises
    ------
    NotSignedIn
        Whatever was wrong: name, password, code, a code that was used before, too many refusals, a closed account.
    """
    user = _verify(engine, username, password, totp, at=at, from_where=from_where, act="sign_in")
    if user is None:
        raise NotSignedIn("user name, password or one-time code is not right", code="sign_in_refused")
    token = secrets.token_urlsafe(32)
    with transaction(engine) as session:
        session.add(
            UserSession(
                token_sha256=_sha256(token),
                user_id=user.id,
                from_where=from_where,
                created_at=at,
                last_seen_at=at,
            )
        )
        audit.record(session, actor=actor_of(user, from_where), at=at, act="sign_in")
    return token


def reauthenticate(
    engine: Engine, user_id: int, password: str, totp: str, *, at: datetime, from_where: str
) -> None:
    """Check password and one-time code again, for an act that needs it.

    Raises
    ------
    ReauthenticationFailed
        As `authenticate` refuses; refusals count towards the same limit.
    """
    with transaction(engine, writes=False) as session:
        username = session.scalar(select(User.username).where(User.id == user_id)) or ""
    if _verify(engine, username, password, totp, at=at, from_where=from_where, act="reauthenticate") is None:
        raise ReauthenticationFailed("password or one-time code is not right")


def _verify(
    engine: Engine, username: str, password: str, totp: str, *, at: datetime, from_where: str, act: str
) -> User | None:
    account = _sha256(username)
    with transaction(engine, writes=False) as session:
        user = session.scalar(select(User).where(User.username == username))
    # Everything is computed in every case: neither time nor answer tells what was wrong.
    is_password = _password_fits(user.password_hash if user else _NOBODYS_HASH, password)
    secret = sealer(engine).open(user.totp_secret, owner=user.username) if user else "A" * 32
    step = _totp_step(secret, totp, at)
    with transaction(engine) as session:
        session.execute(delete(SignInFailure).where(SignInFailure.at <= at - FAILURE_WINDOW))
        failures = session.scalar(
            select(func.count()).select_from(SignInFailure).where(SignInFailure.account_sha256 == account)
        )
        # A refusal while the account is closed does not count, or an attacker could keep it closed for ever.
        is_closed = (failures or 0) >= FAILURES_ALLOWED
        is_right = (
            user is not None
            and user.is_active
            and is_password
            and step is not None
            and not is_closed
            and _use_step(session, user.id, step)
        )
        if is_right:
            session.execute(delete(SignInFailure).where(SignInFailure.account_sha256 == account))
            return user
        if not is_closed:
            session.add(SignInFailure(account_sha256=account, at=at))
        audit.record(
            session,
            # A name that nobody has may be a password typed into the wrong field; it is not written down.
            actor=Actor(
                kind="user", name=user.username if user else "unknown", role="unknown", from_where=from_where
            ),
            at=at,
            act=f"{act}.refused",
            detail={"closed": is_closed},
        )
    return None


def _password_fits(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password.encode("utf-8", "surrogatepass"))
    except (VerifyMismatchError, InvalidHashError):
        return False


def _totp_step(secret: str, code: str, at: datetime) -> int | None:
    code = "".join(code.split())
    totp = pyotp.TOTP(secret, interval=TOTP_INTERVAL_SECONDS)
    now = int(at.timestamp()) // TOTP_INTERVAL_SECONDS
    found = None
    for step in range(now - _TOTP_SLACK, now + _TOTP_SLACK + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode("utf-8", "replace")):
            found = step
    return found


def _use_step(session: Session, user_id: int, step: int) -> bool:
    # Compare-and-set: of two requests with the same code one wins, and a code older than the last one is refused.
    taken = session.execute(
        update(User)
        .where(User.id == user_id, User.totp_step < step)
        .values(totp_step=step)
        .returning(User.id)
        .execution_options(synchronize_session=False)
    )
    return taken.first() is not None


def session_user(
    session: Session,
    token: str,
    *,
    at: datetime,
    from_where: str,
    idle: timedelta = IDLE,
    absolute: timedelta = ABSOLUTE,
    note: bool = True,
) -> SignedIn | None:
    """Return who the token belongs to, and note that the person is there; None if nobody or no longer.

    Parameters
    ----------
    note : bool
        False for what a page asks by itself: a list that looks for news is not a person who works.
    """
    if not token:
        return None
    found = session.scalar(select(UserSession).where(UserSession.token_sha256 == _sha256(token)))
    if found is None or not _lives(found, at=at, idle=idle, absolute=absolute):
        return None
    # Noted only now and then: a viewer asks for a hundred frames a second, and each note is a write.
    if note and at - found.last_seen_at >= min(_TOUCH, idle / 10):
        found.last_seen_at = at
    return _signed_in(found, at=at, from_where=from_where, idle=idle, absolute=absolute)


def token_digest(token: str) -> str:
    """Return what the database keeps of a session's token."""
    return _sha256(token)


def living_sessions(
    session: Session,
    digests: Iterable[str],
    *,
    at: datetime,
    idle: timedelta = IDLE,
    absolute: timedelta = ABSOLUTE,
) -> dict[str, SignedIn]:
    """Return those of many sessions, by the digests of their tokens, that live; being looked at keeps none alive."""
    wanted = sorted(set(digests))
    living: dict[str, SignedIn] = {}
    for start in range(0, len(wanted), _SESSIONS_AT_ONCE):
        asked = (
            select(UserSession)
            .where(UserSession.token_sha256.in_(wanted[start : start + _SESSIONS_AT_ONCE]))
            .options(joinedload(UserSession.user))
        )
        for found in session.scalars(asked):
            if _lives(found, at=at, idle=idle, absolute=absolute):
                living[found.token_sha256] = _signed_in(
                    found, at=at, from_where=found.from_where, idle=idle, absolute=absolute
                )
    return living


def _lives(found: UserSession, *, at: datetime, idle: timedelta, absolute: timedelta) -> bool:
    if found.ended_at is not None or not found.user.is_active:
        return False
    return at < found.last_seen_at + idle and at < found.created_at + absolute


def _signed_in(
    found: UserSession, *, at: datetime, from_where: str, idle: timedelta, absolute: timedelta
) -> SignedIn:
    user = found.user
    return SignedIn(
        user_id=user.id,
        username=user.username,
        display_name=user.display_name,
        language=user.language,
        roles=frozenset(user.roles),
        facility_id=user.facility_id,
        actor=actor_of(user, from_where),
        expires_at=min(at + idle, found.created_at + absolute),
    )


def is_left_over(session: Session, token: str) -> bool:
    """Say whether the token was a session's that nobody signed out of; asked when it no longer lets anybody in."""
    of_token = select(UserSession.id).where(UserSession.token_sha256 == _sha256(token))
    return session.scalar(of_token.where(UserSession.ended_at.is_(None))) is not None


def end_session(session: Session, token: str, *, at: datetime) -> None:
    """Sign out; a token that is no session is nothing to complain about."""
    found = session.scalar(select(UserSession).where(UserSession.token_sha256 == _sha256(token)))
    if found is not None and found.ended_at is None:
        found.ended_at = at
        audit.record(session, actor=actor_of(found.user, found.from_where), at=at, act="sign_out")


def purge_sessions(session: Session, *, at: datetime) -> None:
    """Remove sessions that ended or expired a day ago; the audit log keeps that they were."""
    session.execute(delete(UserSession).where(UserSession.created_at <= at - ABSOLUTE - timedelta(days=1)))


def create_token(
    session: Session,
    *,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime,
    actor: Actor,
    at: datetime,
    facility_code: str | None = None,
) -> str:
    """Make a bearer token for a DICOMweb client and return its text, which is shown once.

    Raises
    ------
    InvalidInput
        An unknown scope, none at all, an end in the past, or the right to write without a facility.
    """
    require(actor, Action.MANAGE_TOKENS)
    chosen = sorted(set(scopes))
    if not chosen or not SCOPES.issuperset(chosen):
        raise InvalidInput("scopes", f"have to be of {', '.join(sorted(SCOPES))}")
    if expires_at <= at:
        raise InvalidInput("expires_at", "lies in the past")
    facility_id = None
    if facility_code is not None:
        facility_id = session.scalar(select(Facility.id).where(Facility.code == facility_code))
        if facility_id is None:
            raise NotFound("there is no such facility")
    elif "dicomweb.write" in chosen:
        raise InvalidInput("facility_code", "is needed for a token that may store")
    text = f"tr_{secrets.token_urlsafe(32)}"
    session.add(
        APIToken(
            name=name,
            token_sha256=_sha256(text),
            scopes=chosen,
            facility_id=facility_id,
            expires_at=expires_at,
            created_at=at,
        )
    )
    audit.record(session, actor=actor, at=at, act="token.create", detail={"token": name, "scopes": chosen})
    return text


def revoke_token(session: Session, name: str, *, actor: Actor, at: datetime) -> None:
    """Make every token of this name worthless."""
    require(actor, Action.MANAGE_TOKENS)
    session.execute(
        update(APIToken).where(APIToken.name == name, APIToken.revoked_at.is_(None)).values(revoked_at=at)
    )
    audit.record(session, actor=actor, at=at, act="token.revoke", detail={"token": name})


def token_actor(session: Session, text: str, *, at: datetime, from_where: str) -> Actor | None:
    """Return the client that the token stands for; None if unknown, expired or revoked."""
    token = session.scalar(select(APIToken).where(APIToken.token_sha256 == _sha256(text)))
    if token is None or token.revoked_at is not None or at >= token.expires_at:
        return None
    return Actor(
        kind="token",
        name=token.name,
        role=Role.CLIENT,
        facility_id=token.facility_id,
        from_where=from_where,
        scopes=frozenset(token.scopes),
    )
