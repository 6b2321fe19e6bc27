"""Rules for passwords: long, not guessable, not the person's name. So they need not be changed at intervals."""

import secrets
import unicodedata

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from zxcvbn import zxcvbn

from teleread.errors import InvalidInput

#: From this length on the guideline (6.0 of the Ministry of Health) asks for no change at intervals.
LEAST_CHARACTERS = 13
MOST_CHARACTERS = 200
#: Of 0 to 4 by zxcvbn, whose lists hold common and leaked passwords, names and keyboard walks.
LEAST_SCORE = 3

_hasher = PasswordHasher()

# Verified for unknown users, so that they take as long as known ones. The password behind it is thrown away.
NOBODYS_HASH = _hasher.hash(secrets.token_hex(16))


def check_password(password: str, *, names: tuple[str, ...] = ()) -> None:
    """Refuse a password that others would guess.

    Parameters
    ----------
    password : str
        As typed.
    names : tuple of str
        User name and other words that belong to the person.

    Raises
    ------
    InvalidInput
        With the code ``password_short``, ``password_long``, ``password_name`` or ``password_common``.
    """
    if len(password) < LEAST_CHARACTERS:
        raise InvalidInput("password", f"has fewer than {LEAST_CHARACTERS} characters", code="password_short")
    if len(password) > MOST_CHARACTERS:
        raise InvalidInput("password", f"has more than {MOST_CHARACTERS} characters", code="password_long")
    plain = unicodedata.normalize("NFKC", password).casefold()
    words = [unicodedata.normalize("NFKC", name).casefold() for name in names if len(name) >= 3]
    if any(word in plain for word in words):
        raise InvalidInput("password", "contains a name of the person", code="password_name")
    # The estimate takes longer the longer the text; what is beyond 72 characters can only add to it.
    if zxcvbn(plain[:72], user_inputs=["teleread", *words])["score"] < LEAST_SCORE:
        raise InvalidInput("password", "is easy to guess", code="password_common")


def hash_of(password: str) -> str:
    """Return what is kept of a password."""
    return _hasher.hash(password.encode("utf-8", "surrogatepass"))


def fits(password_hash: str, password: str) -> bool:
    """Say whether this is the password behind the hash."""
    try:
        return _hasher.verify(password_hash, password.encode("utf-8", "surrogatepass"))
    except (VerifyMismatchError, InvalidHashError):
        return False
