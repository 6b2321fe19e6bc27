"""Second factors beside the one-time code: security keys (WebAuthn) and recovery codes."""

import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, func, select, update
from sqlalchemy.orm import Session
from webauthn import (
    base64url_to_bytes,
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from teleread.domain.access import Actor
from teleread.domain.identifiers import CROCKFORD
from teleread.errors import InvalidInput, NotFound
from teleread.services import audit, passwords
from teleread.storage.models.accounts import User
from teleread.storage.models.factors import KeyChallenge, RecoveryCode, SecurityKey
from teleread.storage.session import transaction

CHALLENGE_LIFE = timedelta(minutes=5)
RECOVERY_CODES = 10
KEYS_ALLOWED = 10
_CODE_LENGTH = 11
_NAME_LENGTH = 60


@dataclass(frozen=True)
class Site:
    """What security keys bind themselves to.

    Parameters
    ----------
    host : str
        Name of the host that people type: the relying party. An address will not do.
    origin : str
        Scheme, host and port, as the browser names the page.
    key : bytes
        From it come the ids of the keys that people without one seem to have.
    """

    host: str
    origin: str
    key: bytes


@dataclass(frozen=True)
class KeyAnswer:
    """What a browser sent for a challenge: the JSON of the credential, and the token of its cookie."""

    response: str
    browser: str
    site: Site


@dataclass(frozen=True)
class Found:
    """A proof that fits, not used yet: its row, and for keys the counter before and after."""

    row_id: int
    count_before: int = 0
    count_after: int = 0


def _browser(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _note_challenge(session: Session, browser: str, purpose: str, *, at: datetime) -> bytes:
    session.execute(
        delete(KeyChallenge).where(
            (KeyChallenge.expires_at <= at)
            | ((KeyChallenge.browser_sha256 == _browser(browser)) & (KeyChallenge.purpose == purpose))
        )
    )
    challenge = secrets.token_bytes(32)
    session.add(
        KeyChallenge(
            browser_sha256=_browser(browser),
            purpose=purpose,
            challenge=challenge,
            expires_at=at + CHALLENGE_LIFE,
        )
    )
    return challenge


def _take_challenge(session: Session, browser: str, purpose: str, *, at: datetime) -> bytes | None:
    """Return the browser's challenge and forget it: an answer counts once."""
    return session.execute(
        delete(KeyChallenge)
        .where(
            KeyChallenge.browser_sha256 == _browser(browser),
            KeyChallenge.purpose == purpose,
            KeyChallenge.expires_at > at,
        )
        .returning(KeyChallenge.challenge)
    ).scalar_one_or_none()


def ask_for_key(session: Session, username: str, browser: str, *, site: Site, at: datetime) -> str:
    """Return the options for `navigator.credentials.get` as JSON.

    A name that nobody has, and a person without keys, get the id of a key that does not exist: always the same one for
    the same name, so the answer does not tell who has an account.
    """
    ids = list(
        session.scalars(
            select(SecurityKey.credential_id)
            .join(User, User.id == SecurityKey.user_id)
            .where(User.username == username)
            .order_by(SecurityKey.id)
        )
    )
    if not ids:
        made_up = hmac.new(site.key, b"no key\0" + username.encode("utf-8", "surrogatepass"), hashlib.sha256)
        ids = [bytes_to_base64url(made_up.digest())]
    return options_to_json(
        generate_authentication_options(
            rp_id=site.host,
            challenge=_note_challenge(session, browser, "get", at=at),
            allow_credentials=[PublicKeyCredentialDescriptor(id=base64url_to_bytes(one)) for one in ids],
            # The password is the other kind; a second step on the key itself would add none to it.
            user_verification=UserVerificationRequirement.DISCOURAGED,
        )
    )


def find_key(engine: Engine, user: User | None, answer: KeyAnswer, *, at: datetime) -> Found | None:
    """Check a browser's answer; None if it is not a signature of one of the person's keys over its challenge."""
    with transaction(engine) as session:
        challenge = _take_challenge(session, answer.browser, "get", at=at)
    try:
        credential_id = str(json.loads(answer.response)["id"])
    except (ValueError, TypeError, KeyError):
        return None
    with transaction(engine, writes=False) as session:
        key = session.scalar(select(SecurityKey).where(SecurityKey.credential_id == credential_id))
    if challenge is None or key is None or user is None or key.user_id != user.id:
        return None
    try:
        verified = verify_authentication_response(
            credential=answer.response,
            expected_challenge=challenge,
            expected_rp_id=answer.site.host,
            expected_origin=answer.site.origin,
            credential_public_key=key.public_key,
            credential_current_sign_count=key.sign_count,
        )
    except WebAuthnException:
        return None
    return Found(key.id, key.sign_count, verified.new_sign_count)


def use_key(session: Session, found: Found, *, at: datetime) -> bool:
    """Note the use; of two uses with one count one wins."""
    used = session.execute(
        update(SecurityKey)
        .where(SecurityKey.id == found.row_id, SecurityKey.sign_count == found.count_before)
        .values(sign_count=found.count_after, last_used_at=at)
        .returning(SecurityKey.id)
        .execution_options(synchronize_session=False)
    )
    return used.first() is not None


def begin_key(session: Session, user: User, browser: str, *, site: Site, at: datetime) -> str:
    """Return the options for `navigator.credentials.create` as JSON; the caller has asked for both factors."""
    known = session.scalars(select(SecurityKey.credential_id).where(SecurityKey.user_id == user.id))
    return options_to_json(
        generate_registration_options(
            rp_id=site.host,
            rp_name="teleread",
            # Not the number of the row: the authenticator keeps it, and it should tell nothing.
            user_id=hmac.new(site.key, f"user\0{user.id}".encode(), hashlib.sha256).digest(),
            user_name=user.username,
            user_display_name=user.display_name,
            challenge=_note_challenge(session, browser, f"create {user.id}", at=at),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=base64url_to_bytes(one)) for one in known],
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.DISCOURAGED,
                user_verification=UserVerificationRequirement.DISCOURAGED,
            ),
        )
    )


def add_key(session: Session, answer: KeyAnswer, name: str, *, actor: Actor, at: datetime) -> None:
    """Keep a new security key of the one who asks.

    Raises
    ------
    InvalidInput
        The answer is not to the challenge that this browser was given, or there are too many keys.
    """
    name = name.strip()[:_NAME_LENGTH]
    if not name:
        raise InvalidInput("name", "is empty")
    user_id = _person(actor)
    count = session.scalar(
        select(func.count()).select_from(SecurityKey).where(SecurityKey.user_id == user_id)
    )
    if (count or 0) >= KEYS_ALLOWED:
        raise InvalidInput("key", f"there are {KEYS_ALLOWED} already", code="keys_many")
    challenge = _take_challenge(session, answer.browser, f"create {user_id}", at=at)
    if challenge is None:
        raise InvalidInput("key", "the question was too long ago", code="key_refused")
    try:
        verified = verify_registration_response(
            credential=answer.response,
            expected_challenge=challenge,
            expected_rp_id=answer.site.host,
            expected_origin=answer.site.origin,
        )
    except WebAuthnException as refused:
        raise InvalidInput("key", "the answer of the key does not fit", code="key_refused") from refused
    credential_id = bytes_to_base64url(verified.credential_id)
    if session.scalar(select(SecurityKey.id).where(SecurityKey.credential_id == credential_id)) is not None:
        raise InvalidInput("key", "is registered already", code="key_refused")
    session.add(
        SecurityKey(
            user_id=user_id,
            name=name,
            credential_id=credential_id,
            public_key=verified.credential_public_key,
            sign_count=verified.sign_count,
            created_at=at,
        )
    )
    audit.record(session, actor=actor, at=at, act="factor.add", detail={"kind": "security_key"})


def remove_key(session: Session, key_id: int, *, actor: Actor, at: datetime) -> None:
    """Forget a security key of the one who asks; another's is not found."""
    gone = session.execute(
        delete(SecurityKey)
        .where(SecurityKey.id == key_id, SecurityKey.user_id == _person(actor))
        .returning(SecurityKey.id)
    )
    if gone.first() is None:
        raise NotFound("there is no such security key")
    audit.record(session, actor=actor, at=at, act="factor.remove", detail={"kind": "security_key"})


def keys_of(session: Session, user_id: int) -> list[SecurityKey]:
    """Return a person's security keys."""
    return list(
        session.scalars(select(SecurityKey).where(SecurityKey.user_id == user_id).order_by(SecurityKey.id))
    )


def make_recovery_codes(session: Session, *, actor: Actor, at: datetime) -> list[str]:
    """Return ten new codes, shown once; the older ones are void."""
    user_id = _person(actor)
    session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    codes = []
    for number in range(RECOVERY_CODES):
        code = f"{number}{''.join(secrets.choice(CROCKFORD) for _ in range(_CODE_LENGTH))}"
        session.add(
            RecoveryCode(user_id=user_id, number=number, code_hash=passwords.hash_of(code), created_at=at)
        )
        codes.append("-".join(code[start : start + 4] for start in range(0, 12, 4)))
    audit.record(session, actor=actor, at=at, act="factor.add", detail={"kind": "recovery_codes"})
    return codes


def recovery_codes_left(session: Session, user_id: int) -> int:
    """Return how many codes were not used yet."""
    left = select(func.count()).select_from(RecoveryCode)
    return session.scalar(left.where(RecoveryCode.user_id == user_id, RecoveryCode.used_at.is_(None))) or 0


def as_recovery_code(text: str) -> str | None:
    """Return the text as a recovery code if it has the form of one, else None.

    The first character says which of the ten it is, so that checking one costs one hash and not ten.
    """
    plain = "".join(text.split()).replace("-", "").upper()
    plain = plain[:1] + plain[1:].replace("O", "0").replace("I", "1").replace("L", "1")
    is_code = (
        len(plain) == _CODE_LENGTH + 1
        and plain[0] in "0123456789"
        and all(character in CROCKFORD for character in plain)
    )
    return plain if is_code else None


def find_recovery_code(engine: Engine, user: User | None, code: str) -> Found | None:
    """Check a recovery code; the same work is done for a person who does not exist, or has none."""
    with transaction(engine, writes=False) as session:
        row = session.scalar(
            select(RecoveryCode).where(
                RecoveryCode.user_id == (user.id if user else 0), RecoveryCode.number == int(code[0])
            )
        )
    is_right = passwords.fits(row.code_hash if row else passwords.NOBODYS_HASH, code)
    return Found(row.id) if row is not None and is_right and row.used_at is None else None


def use_recovery_code(session: Session, found: Found, *, at: datetime) -> bool:
    """Use it up; of two requests with the same code one wins."""
    used = session.execute(
        update(RecoveryCode)
        .where(RecoveryCode.id == found.row_id, RecoveryCode.used_at.is_(None))
        .values(used_at=at)
        .returning(RecoveryCode.id)
        .execution_options(synchronize_session=False)
    )
    return used.first() is not None


def forget_all(session: Session, user_id: int) -> None:
    """Forget a person's security keys and recovery codes."""
    for table in (SecurityKey, RecoveryCode):
        session.execute(delete(table).where(table.user_id == user_id))


def _person(actor: Actor) -> int:
    if actor.user_id is None:
        raise NotFound("only a person has factors")
    return actor.user_id
