"""People of the facility at its console: named accounts, a second factor, sessions that end.

The rules follow the password clause of the Ministry of Health's guidelines for medical information systems, version
6.0: thirteen characters or more, no forced change, no default password, two factors.
"""

import hashlib
import json
import os
import re
import secrets
import sqlite3
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.console.access import Role
from gateway.console.store import ConsoleStore, derived
from gateway.spool import milliseconds
from teleread.domain.identifiers import CROCKFORD
from teleread.errors import InvalidInput, NotFound, NotSignedIn

IDLE = timedelta(minutes=15)
ABSOLUTE = timedelta(hours=12)
PASSWORD_LENGTH = 13
PASSWORD_LIMIT = 256

#: So many refusals of an account, or from an address, close it until the first of them is so old.
REFUSALS_OF_ACCOUNT = 10
REFUSALS_FROM_ADDRESS = 50
REFUSAL_WINDOW = timedelta(minutes=15)

TOTP_SECONDS = 30
# The step before and the step after count too: clocks of telephones differ.
_TOTP_SLACK = 1
_RECOVERY_CODES = 8
_TOUCH = timedelta(seconds=20)
_NONCE = 12

_hasher = PasswordHasher()

# Verified for unknown users, so that they take as long as known ones. The password behind it is thrown away.
_NOBODYS_HASH = _hasher.hash(secrets.token_hex(16))
_NOBODYS_SECRET = "A" * 32

_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,31}")


@dataclass(frozen=True)
class NewUser:
    """A user as made; password, secret and codes are shown once and kept nowhere in clear."""

    username: str
    password: str
    totp_secret: str
    totp_uri: str
    recovery_codes: tuple[str, ...]


@dataclass(frozen=True)
class Person:
    """Somebody with a living session."""

    user_id: int
    username: str
    display_name: str
    roles: frozenset[str]
    language: str
    from_where: str


class Accounts:
    """People and sessions of one console."""

    def __init__(self, store: ConsoleStore) -> None:
        self._store = store
        self._cipher = AESGCM(derived(store.key, "second factor"))

    def add(
        self,
        username: str,
        display_name: str,
        roles: Iterable[str],
        *,
        language: str = "ja",
        password: str | None = None,
        by: str,
        at: datetime,
    ) -> NewUser:
        """Make a user with a password, a secret for one-time codes, and recovery codes.

        Raises
        ------
        InvalidInput
            The name is taken, or a value is not allowed.
        """
        if not _USERNAME.fullmatch(username):
            raise InvalidInput("username", "2 to 32 of a-z, 0-9, dot, underscore, hyphen")
        display_name = display_name.strip()
        if not 1 <= len(display_name) <= 64:
            raise InvalidInput("display_name", "1 to 64 characters")
        chosen = sorted(set(roles))
        if not chosen or not set(Role).issuperset(chosen):
            raise InvalidInput("roles", f"have to be of {', '.join(Role)}")
        if language not in {"ja", "en"}:
            raise InvalidInput("language", "has to be ja or en")
        password = check_password(password, username) if password is not None else secrets.token_urlsafe(15)
        secret = pyotp.random_base32()
        codes = tuple(_recovery_code() for _ in range(_RECOVERY_CODES))
        with self._store.writing() as connection:
            try:
                cursor = connection.execute(
                    "INSERT INTO user (username, display_name, roles, language, password_hash, totp_sealed,"
                    " created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (
                        username,
                        display_name,
                        json.dumps(chosen),
                        language,
                        _hasher.hash(password),
                        self._seal(username, secret),
                        milliseconds(at),
                    ),
                )
            except sqlite3.IntegrityError:
                raise InvalidInput("username", "is taken") from None
            connection.executemany(
                "INSERT INTO recovery_code (sha256, user_id) VALUES (?, ?)",
                [(_sha256(_plain_code(code)), cursor.lastrowid) for code in codes],
            )
            self._store.append(
                connection, by, "local", "user.add", {"user": username, "roles": chosen}, at=at
            )
        uri = pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name="teleread gateway")
        return NewUser(username, password, secret, uri, codes)

    def disable(self, username: str, *, by: str, at: datetime) -> None:
        """Close an account and end its sessions at once; raise NotFound for an unknown one."""
        with self._store.writing() as connection:
            row = connection.execute("SELECT id FROM user WHERE username = ?", (username,)).fetchone()
            if row is None:
                raise NotFound("there is no such user")
            connection.execute("UPDATE user SET is_active = 0 WHERE id = ?", (row["id"],))
            connection.execute(
                "UPDATE session SET ended_at = ? WHERE user_id = ? AND ended_at IS NULL",
                (milliseconds(at), row["id"]),
            )
            self._store.append(connection, by, "local", "user.disable", {"user": username}, at=at)

    def people(self) -> list[sqlite3.Row]:
        """Return everybody with an account: username, display_name, roles (JSON), is_active."""
        return self._store.connection.execute(
            "SELECT username, display_name, roles, language, is_active FROM user ORDER BY username"
        ).fetchall()

    def with_role(self, role: str) -> list[sqlite3.Row]:
        """Return who has a role and may sign in, by name."""
        return [
            row
            for row in sorted(self.people(), key=lambda row: (row["display_name"], row["username"]))
            if row["is_active"] and role in json.loads(row["roles"])
        ]

    def sign_in(self, username: str, password: str, code: str, *, from_where: str, at: datetime) -> str:
        """Return the token of a new session.

        `code` is the six digits of the moment, or a recovery code.

        Raises
        ------
        NotSignedIn
            Whatever was wrong: name, password, code, a code that was used before, too many refusals.
        """
        username = unicodedata.normalize("NFKC", username).strip().casefold()
        row = self._store.connection.execute("SELECT * FROM user WHERE username = ?", (username,)).fetchone()
        # Everything is computed in every case: neither time nor answer tells what was wrong.
        fits = _password_fits(row["password_hash"] if row else _NOBODYS_HASH, password)
        step = _totp_step(self._open(username, row["totp_sealed"]) if row else _NOBODYS_SECRET, code, at)
        recovery = _sha256(_plain_code(code))
        account = _sha256(username)
        now = milliseconds(at)
        token = secrets.token_urlsafe(32)
        with self._store.writing() as connection:
            connection.execute("DELETE FROM refusal WHERE at <= ?", (now - _milliseconds_of(REFUSAL_WINDOW),))
            closed = self._is_closed(connection, account, from_where)
            # Read again inside the transaction: two requests with one code must not both pass.
            fresh = connection.execute(
                "SELECT id, is_active, totp_step FROM user WHERE username = ?", (username,)
            ).fetchone()
            second = False
            if fresh is not None and fresh["is_active"] and fits and not closed:
                second = self._second_factor(connection, fresh, step, recovery, now)
            if not second:
                # A refusal while the account is closed does not count, or an attacker could keep it closed.
                if not closed:
                    connection.execute("INSERT INTO refusal VALUES (?, ?, ?)", (account, from_where, now))
                self._store.append(
                    connection, "-", from_where, "sign_in_refused", {"account": account[:16]}, at=at
                )
            else:
                connection.execute("DELETE FROM refusal WHERE account_sha256 = ?", (account,))
                connection.execute(
                    "INSERT INTO session VALUES (?, ?, ?, ?, ?, NULL)",
                    (_sha256(token), fresh["id"], from_where, now, now),
                )
                self._store.append(connection, username, from_where, "sign_in", {}, at=at)
        if not second:
            raise NotSignedIn("user name, password or code is not right", code="sign_in_refused")
        return token

    def _second_factor(
        self, connection: sqlite3.Connection, user: sqlite3.Row, step: int | None, recovery: str, now: int
    ) -> bool:
        if step is not None:
            moved = connection.execute(
                "UPDATE user SET totp_step = ? WHERE id = ? AND totp_step < ?", (step, user["id"], step)
            )
        else:
            moved = connection.execute(
                "UPDATE recovery_code SET used_at = ? WHERE sha256 = ? AND user_id = ? AND used_at IS NULL",
                (now, recovery, user["id"]),
            )
        return moved.rowcount == 1

    @staticmethod
    def _is_closed(connection: sqlite3.Connection, account: str, from_where: str) -> bool:
        row = connection.execute(
            "SELECT count(*) FILTER (WHERE account_sha256 = ?) AS of_account,"
            " count(*) FILTER (WHERE from_where = ?) AS from_address FROM refusal",
            (account, from_where),
        ).fetchone()
        return row["of_account"] >= REFUSALS_OF_ACCOUNT or row["from_address"] >= REFUSALS_FROM_ADDRESS

    def person(self, token: str, *, at: datetime, touch: bool = True) -> Person:
        """Return whose session it is, and note that it is in use when `touch` is true.

        Raises
        ------
        NotSignedIn
            No such session, or it has ended: by sign-out, by 15 minutes without use, after 12 hours.
        """
        digest = _sha256(token)
        row = self._store.connection.execute(
            "SELECT s.*, u.username, u.display_name, u.roles, u.language, u.is_active FROM session AS s"
            " JOIN user AS u ON u.id = s.user_id WHERE s.token_sha256 = ?",
            (digest,),
        ).fetchone()
        now = milliseconds(at)
        if row is None or row["ended_at"] is not None or not row["is_active"]:
            raise NotSignedIn("there is no such session")
        if now - row["last_seen_at"] > _milliseconds_of(IDLE) or now - row["created_at"] > _milliseconds_of(
            ABSOLUTE
        ):
            raise NotSignedIn("the session has ended", code="session_ended")
        if touch and now - row["last_seen_at"] > _milliseconds_of(_TOUCH):
            with self._store.writing() as connection:
                connection.execute(
                    "UPDATE session SET last_seen_at = ? WHERE token_sha256 = ?", (now, digest)
                )
        return Person(
            user_id=row["user_id"],
            username=row["username"],
            display_name=row["display_name"],
            roles=frozenset(json.loads(row["roles"])),
            language=row["language"],
            from_where=row["from_where"],
        )

    def sign_out(self, token: str, *, at: datetime) -> None:
        """End a session; one that has ended already stays so."""
        with self._store.writing() as connection:
            ended = connection.execute(
                "UPDATE session SET ended_at = ? WHERE token_sha256 = ? AND ended_at IS NULL"
                " RETURNING (SELECT username FROM user WHERE id = user_id) AS username, from_where",
                (milliseconds(at), _sha256(token)),
            ).fetchall()
            for row in ended:
                self._store.append(connection, row["username"], row["from_where"], "sign_out", {}, at=at)

    def _seal(self, username: str, secret: str) -> bytes:
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, secret.encode("ascii"), username.encode("utf-8"))

    def _open(self, username: str, sealed: bytes) -> str:
        return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], username.encode("utf-8")).decode(
            "ascii"
        )


def check_password(password: str, username: str) -> str:
    """Return a password that may be used, or raise InvalidInput.

    Length is what counts; kinds of characters are not prescribed.
    """
    if not PASSWORD_LENGTH <= len(password) <= PASSWORD_LIMIT:
        raise InvalidInput("password", f"{PASSWORD_LENGTH} to {PASSWORD_LIMIT} characters")
    if len(set(password)) < 5 or username.casefold() in password.casefold():
        raise InvalidInput("password", "too easy: few different characters, or the user name in it")
    return password


def _recovery_code() -> str:
    text = "".join(CROCKFORD[secrets.randbelow(32)] for _ in range(16))
    return "-".join(text[place : place + 4] for place in range(0, 16, 4))


def _plain_code(code: str) -> str:
    return re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", code)).upper()


def _totp_step(secret: str, code: str, at: datetime) -> int | None:
    """Return the step that six digits belong to, the newest first; None when they fit none."""
    digits = re.sub(r"\s", "", unicodedata.normalize("NFKC", code))
    if not re.fullmatch(r"[0-9]{6}", digits):
        return None
    here = int(at.timestamp()) // TOTP_SECONDS
    totp = pyotp.TOTP(secret, interval=TOTP_SECONDS)
    for step in range(here + _TOTP_SLACK, here - _TOTP_SLACK - 1, -1):
        if secrets.compare_digest(totp.at(step * TOTP_SECONDS), digits):
            return step
    return None


def _password_fits(password_hash: str, password: str) -> bool:
    try:
        return _hasher.verify(password_hash, password[: PASSWORD_LIMIT + 1])
    except (VerifyMismatchError, InvalidHashError):
        return False


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _milliseconds_of(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
