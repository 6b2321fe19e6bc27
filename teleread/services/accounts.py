"""People, their sessions and second factors, and tokens of DICOMweb clients."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyotp
from sqlalchemy import ColumnElement, Engine, delete, func, select, update
from sqlalchemy.orm import Session, joinedload

from teleread.domain.access import PERSONS_ROLES, SCOPES, Action, Actor, Role, require
from teleread.domain.factors import Proof, are_two_kinds
from teleread.domain.identifiers import check_code
from teleread.domain.sessions import Ending
from teleread.errors import InvalidInput, NotFound, NotSignedIn, ReauthenticationFailed
from teleread.services import audit, factors, passwords
from teleread.services.factors import Found, KeyAnswer
from teleread.storage.locks import lock
from teleread.storage.models.accounts import APIToken, SignInFailure, User, UserSession
from teleread.storage.models.facilities import Facility
from teleread.storage.session import sealer, transaction

IDLE = timedelta(minutes=15)
ABSOLUTE = timedelta(hours=12)
_TOUCH = timedelta(seconds=20)
_SESSIONS_AT_ONCE = 500

#: So many refusals within the window close an account until the first of them has left it.
FAILURES_ALLOWED = 10
#: And so many from one address close every account to that address.
FAILURES_OF_ADDRESS = 50
FAILURE_WINDOW = timedelta(minutes=15)

# The budget of those who are signed in and are asked again: a stranger's guesses do not keep a reader from signing.
_SIGNED_IN = "signed in"

LANGUAGES = ("ja", "en")
THEMES = ("dark", "light")
SIZES = (100, 112, 125)

#: One-time codes of the step before and after count too: clocks of telephones differ.
TOTP_INTERVAL_SECONDS = 30
_TOTP_SLACK = 1

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
    session_id: int
    # The same for the whole session, though its token changes: what forms are tied to.
    session_name: str
    began_at: datetime
    theme: str
    size: int
    password_is_initial: bool


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
    password_is_initial: bool = False,
) -> NewUser:
    """Make a user with a password and a secret for one-time codes.

    Parameters
    ----------
    roles : sequence of str
        Of `PERSONS_ROLES`. The role ``facility`` needs a facility and stands alone; the others have none.
    password : str, optional
        As `passwords.check_password` wants it; a random one is made when none is given.
    password_is_initial : bool
        Somebody else will see the password, so the person has to choose another before anything else.

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
    chosen, facility_id = _checked_roles(session, roles, facility_code)
    if session.scalar(select(User.id).where(User.username == username)) is not None:
        raise InvalidInput("username", "is taken")
    if password is None:
        password = secrets.token_urlsafe(15)
    else:
        passwords.check_password(password, names=(username, display_name))
    totp_secret = pyotp.random_base32()
    user = User(
        username=username,
        display_name=display_name.strip(),
        roles=chosen,
        facility_id=facility_id,
        language=language,
        licence_number=licence_number,
        title=title,
        password_hash=passwords.hash_of(password),
        password_is_initial=password_is_initial,
        password_changed_at=at,
        totp_secret=sealer(session).seal(totp_secret, owner=username),
        totp_step=0,
        is_active=True,
        created_at=at,
    )
    session.add(user)
    session.flush()
    audit.record(session, actor=actor, at=at, act="user.create", detail={"user": username, "roles": chosen})
    return NewUser(user, password, totp_secret, _totp_uri(user, totp_secret))


def _checked_roles(
    session: Session, roles: Sequence[str], facility_code: str | None
) -> tuple[list[str], int | None]:
    chosen = sorted(set(roles))
    if not chosen or not PERSONS_ROLES.issuperset(chosen):
        raise InvalidInput("roles", f"have to be of {', '.join(sorted(PERSONS_ROLES))}")
    if (Role.FACILITY in chosen) != (facility_code is not None) or (
        Role.FACILITY in chosen and len(chosen) > 1
    ):
        raise InvalidInput("roles", "a user of a facility has that role alone, and needs the facility's code")
    if facility_code is None:
        return chosen, None
    facility_id = session.scalar(select(Facility.id).where(Facility.code == facility_code))
    if facility_id is None:
        raise NotFound("there is no such facility")
    return chosen, facility_id


def _named(session: Session, username: str) -> User:
    user = session.scalar(select(User).where(User.username == username))
    if user is None:
        raise NotFound("there is no such user")
    return user


def _end_all(session: Session, user_id: int, *, at: datetime, why: Ending) -> None:
    session.execute(
        update(UserSession)
        .where(UserSession.user_id == user_id, UserSession.ended_at.is_(None))
        .values(ended_at=at, ended_why=why)
        .execution_options(synchronize_session=False)
    )


def _refuse_oneself(actor: Actor, user: User) -> None:
    # An administrator who closes the own account, or takes the own role away, may leave nobody who can undo it.
    if actor.user_id == user.id:
        raise InvalidInput("username", "is your own; another administrator has to do this", code="oneself")


def deactivate_user(session: Session, username: str, *, actor: Actor, at: datetime) -> None:
    """Close an account and end its sessions at once."""
    require(actor, Action.MANAGE_USERS)
    user = _named(session, username)
    _refuse_oneself(actor, user)
    user.is_active = False
    _end_all(session, user.id, at=at, why=Ending.ACCOUNT)
    audit.record(session, actor=actor, at=at, act="user.deactivate", detail={"user": username})


def activate_user(session: Session, username: str, *, actor: Actor, at: datetime) -> None:
    """Open a closed account again; its factors are as they were."""
    require(actor, Action.MANAGE_USERS)
    _named(session, username).is_active = True
    audit.record(session, actor=actor, at=at, act="user.activate", detail={"user": username})


def change_roles(
    session: Session,
    username: str,
    roles: Sequence[str],
    *,
    actor: Actor,
    at: datetime,
    facility_code: str | None = None,
) -> None:
    """Give a person other roles and end their sessions at once; see `create_user` for what is allowed."""
    require(actor, Action.MANAGE_USERS)
    user = _named(session, username)
    _refuse_oneself(actor, user)
    user.roles, user.facility_id = _checked_roles(session, roles, facility_code)
    _end_all(session, user.id, at=at, why=Ending.ACCOUNT)
    audit.record(
        session, actor=actor, at=at, act="user.roles", detail={"user": username, "roles": user.roles}
    )


def reset_factors(session: Session, username: str, *, actor: Actor, at: datetime) -> NewUser:
    """Replace password and one-time code secret of a person who lost them; keys and recovery codes are void.

    Returns
    -------
    NewUser
        What the person signs in with next, shown once. The password has to be changed then.
    """
    require(actor, Action.MANAGE_USERS)
    user = _named(session, username)
    _refuse_oneself(actor, user)
    password = secrets.token_urlsafe(15)
    user.password_hash = passwords.hash_of(password)
    user.password_is_initial = True
    user.password_changed_at = at
    factors.forget_all(session, user.id)
    secret = _new_totp(session, user)
    _end_all(session, user.id, at=at, why=Ending.ACCOUNT)
    audit.record(session, actor=actor, at=at, act="user.reset_factors", detail={"user": username})
    return NewUser(user, password, secret, _totp_uri(user, secret))


def _new_totp(session: Session, user: User) -> str:
    secret = pyotp.random_base32()
    user.totp_secret = sealer(session).seal(secret, owner=user.username)
    user.totp_step = 0
    return secret


def _totp_uri(user: User, secret: str) -> str:
    return pyotp.TOTP(secret).provisioning_uri(name=user.username, issuer_name="teleread")


def list_users(session: Session, *, actor: Actor) -> list[User]:
    """Return all users for those who manage them."""
    require(actor, Action.MANAGE_USERS)
    return list(session.scalars(select(User).order_by(User.username)))


def authenticate(
    engine: Engine,
    username: str,
    password: str,
    code: str,
    *,
    at: datetime,
    from_where: str,
    device: str = "",
    key: KeyAnswer | None = None,
    browser: str = "",
    alone: bool = True,
) -> str:
    """Sign a person in and return the token of the new session.

    Takes the engine, not a session: the password is checked outside of any transaction, and a refusal is committed.

    Parameters
    ----------
    code : str
        Of the authenticator app, or a recovery code. Not looked at when there is an answer of a security key.
    device : str
        Name of a browser that this person signed in with before, if the caller has proof of that; it has a budget of
        refusals of its own, so strangers cannot close the account to it.
    key : KeyAnswer, optional
        What a security key answered.
    browser : str
        The token that this browser had: a session of the person in the same browser is no other one.
    alone : bool
        The person's sessions in other browsers end; see `sessions_ended_by`.

    Raises
    ------
    NotSignedIn
        Whatever was wrong: name, password, code, a code that was used before, too many refusals, a closed account.
    """
    user = _verify(
        engine, username, password, code, at=at, from_where=from_where, act="sign_in", device=device, key=key
    )
    if user is None:
        raise NotSignedIn("user name, password or one-time code is not right", code="sign_in_refused")
    with transaction(engine) as session:
        # Two sign-ins at once: the second finds the first one's session.
        lock(session, f"sessions {user.id}")
        of_user = update(UserSession).where(UserSession.user_id == user.id, UserSession.ended_at.is_(None))
        of_user = of_user.execution_options(synchronize_session=False)
        here = UserSession.token_sha256 == _sha256(browser)
        session.execute(of_user.where(here).values(ended_at=at, ended_why=Ending.BY_PERSON))
        if alone:
            session.execute(of_user.where(~here).values(ended_at=at, ended_why=Ending.ELSEWHERE))
        token = _begin_session(session, user, at=at, from_where=from_where)
        audit.record(session, actor=actor_of(user, from_where), at=at, act="sign_in")
    return token


def _begin_session(session: Session, user: User, *, at: datetime, from_where: str) -> str:
    token = secrets.token_urlsafe(32)
    session.add(
        UserSession(
            token_sha256=_sha256(token),
            user_id=user.id,
            from_where=from_where,
            created_at=at,
            last_seen_at=at,
        )
    )
    return token


def reauthenticate(
    engine: Engine,
    user_id: int,
    password: str,
    code: str,
    *,
    at: datetime,
    from_where: str,
    key: KeyAnswer | None = None,
) -> None:
    """Check password and second factor again, for an act that needs it.

    Raises
    ------
    ReauthenticationFailed
        As `authenticate` refuses; refusals count towards the same limit.
    """
    with transaction(engine, writes=False) as session:
        username = session.scalar(select(User.username).where(User.id == user_id)) or ""
    user = _verify(
        engine,
        username,
        password,
        code,
        at=at,
        from_where=from_where,
        act="reauthenticate",
        device=_SIGNED_IN,
        key=key,
    )
    if user is None:
        raise ReauthenticationFailed("password or one-time code is not right")


def _is_closed(session: Session, account: str, address: str, device: str, *, at: datetime) -> bool:
    """Say whether an account is closed to this browser; it is the same for accounts that do not exist."""
    recent = select(func.count()).select_from(SignInFailure).where(SignInFailure.at > at - FAILURE_WINDOW)

    def refusals(*which: ColumnElement[bool]) -> int:
        return session.scalar(recent.where(*which)) or 0

    of_account = SignInFailure.account_sha256 == account
    if device:
        return refusals(of_account, SignInFailure.device_sha256 == _sha256(device)) >= FAILURES_ALLOWED
    of_address = (SignInFailure.address == address, SignInFailure.device_sha256.is_(None))
    return refusals(of_account) >= FAILURES_ALLOWED or refusals(*of_address) >= FAILURES_OF_ADDRESS


def _second_proof(
    engine: Engine, user: User | None, code: str, key: KeyAnswer | None, *, at: datetime
) -> tuple[Proof, Found] | None:
    if key is not None:
        found = factors.find_key(engine, user, key, at=at)
        return (Proof.SECURITY_KEY, found) if found else None
    recovery = factors.as_recovery_code(code)
    if recovery is not None:
        found = factors.find_recovery_code(engine, user, recovery)
        return (Proof.RECOVERY_CODE, found) if found else None
    secret = sealer(engine).open(user.totp_secret, owner=user.username) if user else "A" * 32
    step = _totp_step(secret, code, at)
    return (Proof.ONE_TIME_CODE, Found(user.id, count_after=step)) if user and step is not None else None


def _use(session: Session, proof: Proof, found: Found, *, at: datetime) -> bool:
    if proof is Proof.SECURITY_KEY:
        return factors.use_key(session, found, at=at)
    if proof is Proof.RECOVERY_CODE:
        return factors.use_recovery_code(session, found, at=at)
    return _use_step(session, found.row_id, found.count_after)


def _verify(
    engine: Engine,
    username: str,
    password: str,
    code: str,
    *,
    at: datetime,
    from_where: str,
    act: str,
    device: str,
    key: KeyAnswer | None,
) -> User | None:
    account = _sha256(username)
    with transaction(engine, writes=False) as session:
        user = session.scalar(select(User).where(User.username == username))
        is_closed = _is_closed(session, account, from_where, device, at=at)
    proofs: dict[Proof, Found | None] = {}
    if not is_closed:
        # Everything is computed in every case: neither time nor answer tells what was wrong. While an account is
        # closed nothing is, whoever's it is: guesses then cost the centre no hashes.
        if _password_fits(user.password_hash if user else passwords.NOBODYS_HASH, password):
            proofs[Proof.PASSWORD] = None
        second = _second_proof(engine, user, code, key, at=at)
        if second is not None:
            proofs[second[0]] = second[1]
    with transaction(engine) as session:
        session.execute(delete(SignInFailure).where(SignInFailure.at <= at - FAILURE_WINDOW))
        # A refusal while the account is closed does not count, or an attacker could keep it closed for ever.
        is_closed = _is_closed(session, account, from_where, device, at=at)
        is_right = (
            user is not None
            and user.is_active
            and not is_closed
            and Proof.PASSWORD in proofs
            and are_two_kinds(proofs)
            and all(_use(session, proof, found, at=at) for proof, found in proofs.items() if found)
        )
        mine = SignInFailure.device_sha256 == _sha256(device) if device else None
        if is_right:
            forgiven = delete(SignInFailure).where(SignInFailure.account_sha256 == account)
            session.execute(forgiven if mine is None else forgiven.where(mine))
            return user
        if not is_closed:
            session.add(
                SignInFailure(
                    account_sha256=account,
                    at=at,
                    address=from_where,
                    device_sha256=_sha256(device) if device else None,
                )
            )
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
    return passwords.fits(password_hash, password)


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
    if found.ended_at is not None or found.locked_at or not found.user.is_active:
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
        session_id=found.id,
        session_name=f"{found.id} {found.created_at.isoformat()}",
        began_at=found.created_at,
        theme=user.theme,
        size=user.size,
        password_is_initial=user.password_is_initial,
    )


def how_it_ended(session: Session, token: str) -> tuple[Ending, datetime] | None:
    """Return why and when the session of a token ended; asked when it no longer lets anybody in.

    Returns
    -------
    tuple or None
        None if the token never was a session's. Of one that expired the time is that of its last act.
    """
    found = session.scalar(select(UserSession).where(UserSession.token_sha256 == _sha256(token)))
    if found is None:
        return None
    if found.ended_at is not None:
        return Ending(found.ended_why or Ending.SIGNED_OUT), found.ended_at
    if found.locked_at is not None:
        return Ending.LOCKED, found.locked_at
    return Ending.EXPIRED, found.last_seen_at


def sessions_ended_by(session: Session, person: SignedIn, *, idle: timedelta = IDLE) -> list[UserSession]:
    """Return the sessions in other browsers that were in use and ended because this one began."""
    ended = select(UserSession).where(
        UserSession.user_id == person.user_id,
        UserSession.ended_why == Ending.ELSEWHERE,
        UserSession.ended_at == person.began_at,
        UserSession.locked_at.is_(None),
        UserSession.last_seen_at > person.began_at - idle,
    )
    return list(session.scalars(ended.order_by(UserSession.id)))


def end_session(session: Session, token: str, *, at: datetime) -> None:
    """Sign out, everywhere: all of the person's sessions end. A token that is no session is nothing to complain about."""
    found = session.scalar(select(UserSession).where(UserSession.token_sha256 == _sha256(token)))
    if found is not None and found.ended_at is None:
        _end_all(session, found.user_id, at=at, why=Ending.SIGNED_OUT)
        audit.record(session, actor=actor_of(found.user, found.from_where), at=at, act="sign_out")


def lock_session(session: Session, token: str, *, at: datetime) -> None:
    """Let a session in no more until the person signs in again: nobody was at the keyboard."""
    session.execute(
        update(UserSession)
        .where(UserSession.token_sha256 == _sha256(token), UserSession.ended_at.is_(None))
        .values(locked_at=at)
    )


def renew_session(session: Session, session_id: int) -> str:
    """Give a session another token, after a step that needed both factors again; the old one is worth nothing."""
    token = secrets.token_urlsafe(32)
    session.execute(
        update(UserSession).where(UserSession.id == session_id).values(token_sha256=_sha256(token))
    )
    return token


def sessions_of(
    session: Session, user_id: int, *, at: datetime, idle: timedelta = IDLE, absolute: timedelta = ABSOLUTE
) -> list[UserSession]:
    """Return a person's living sessions, the newest first."""
    living = select(UserSession).where(
        UserSession.user_id == user_id,
        UserSession.ended_at.is_(None),
        UserSession.locked_at.is_(None),
        UserSession.last_seen_at > at - idle,
        UserSession.created_at > at - absolute,
    )
    return list(session.scalars(living.order_by(UserSession.id.desc())))


def end_one_session(session: Session, session_id: int, *, actor: Actor, at: datetime) -> None:
    """End one of the own sessions; another person's is not found."""
    found = session.get(UserSession, session_id)
    if found is None or found.user_id != actor.user_id or found.ended_at is not None:
        raise NotFound("there is no such session")
    found.ended_at, found.ended_why = at, Ending.BY_PERSON
    audit.record(session, actor=actor, at=at, act="session.end")


def person_of(session: Session, actor: Actor) -> User:
    """Return the account of the one who asks."""
    user = session.get(User, actor.user_id) if actor.user_id is not None else None
    if user is None:
        raise NotFound("only a person has an account")
    return user


def check_new_password(session: Session, new: str, *, actor: Actor) -> None:
    """Refuse what `change_password` would; asked before a one-time code is used up."""
    user = person_of(session, actor)
    passwords.check_password(new, names=(user.username, user.display_name))
    if passwords.fits(user.password_hash, new):
        raise InvalidInput("password", "is the present one", code="password_same")


def change_password(session: Session, new: str, *, actor: Actor, at: datetime) -> str:
    """Set another password and end all sessions; the caller has asked for both factors (`reauthenticate`).

    Returns
    -------
    str
        The token of a new session, for the browser in which it was done.

    Raises
    ------
    InvalidInput
        As `passwords.check_password`; code ``password_same`` if it is the present one.
    """
    check_new_password(session, new, actor=actor)
    user = person_of(session, actor)
    user.password_hash = passwords.hash_of(new)
    user.password_changed_at = at
    user.password_is_initial = False
    _end_all(session, user.id, at=at, why=Ending.PASSWORD)
    audit.record(session, actor=actor, at=at, act="user.password")
    return _begin_session(session, user, at=at, from_where=actor.from_where)


def replace_totp(session: Session, *, actor: Actor, at: datetime) -> tuple[str, str]:
    """Return secret and URI for another authenticator app, shown once; the caller has asked for both factors."""
    user = person_of(session, actor)
    secret = _new_totp(session, user)
    audit.record(session, actor=actor, at=at, act="factor.add", detail={"kind": "one_time_code"})
    return secret, _totp_uri(user, secret)


def keep_preferences(
    session: Session, *, actor: Actor, language: str = "", theme: str = "", size: int = 0
) -> None:
    """Keep how a person likes the pages; values that are not known change nothing."""
    user = person_of(session, actor)
    if language in LANGUAGES:
        user.language = language
    if theme in THEMES:
        user.theme = theme
    if size in SIZES:
        user.size = size


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
