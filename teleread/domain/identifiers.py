"""Identifiers of the field: how they are checked, made and written."""

import hashlib
import hmac
import re
from collections.abc import Callable

from teleread.errors import InvalidInput

#: Crockford's alphabet: digits and capitals without I, L, O and U, so that it can be read out on the phone.
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

CASE_NUMBER_LENGTH = 8

_VALUE_OF = {character: value for value, character in enumerate(CROCKFORD)}
_AS_HEARD = str.maketrans({"I": "1", "L": "1", "O": "0", " ": None, "-": None, "\u3000": None})

# GF(32) with the primitive polynomial x^5 + x^2 + 1.
_POLYNOMIAL = 0b100101


def _times(left: int, right: int) -> int:
    product = 0
    while right:
        if right & 1:
            product ^= left
        left <<= 1
        if left & 0b100000:
            left ^= _POLYNOMIAL
        right >>= 1
    return product


def _weights() -> tuple[int, ...]:
    # Powers of the generator are distinct and not zero. A single wrong character changes the sum by w·(a+b), and
    # two exchanged characters, neighbours or not, by (v+w)·(a+b): neither can be zero.
    weights = [1]
    while len(weights) < CASE_NUMBER_LENGTH:
        weights.append(_times(weights[-1], 0b10))
    return tuple(reversed(weights))


_WEIGHTS = _weights()


def _check_sum(characters: str) -> int:
    total = 0
    for weight, character in zip(_WEIGHTS, characters, strict=False):
        total ^= _times(weight, _VALUE_OF[character])
    return total


def new_case_number(rand: Callable[[int], int]) -> str:
    """Return a case number: seven random characters and a check character.

    Parameters
    ----------
    rand : callable
        ``rand(n)`` returns an integer in ``range(n)``; `secrets.randbelow` in earnest.

    Notes
    -----
    The caller keeps it unique by the database; 32**7 numbers leave room.
    """
    body = "".join(CROCKFORD[rand(32)] for _ in range(CASE_NUMBER_LENGTH - 1))
    # The check character's weight is 1, so the sum of the others is the character itself.
    return body + CROCKFORD[_check_sum(body)]


def check_case_number(text: str) -> str:
    """Return the case number that a person typed or read out, in its stored form.

    Small letters, spaces, hyphens, and I, L, O for 1, 1, 0 are understood.

    Raises
    ------
    InvalidInput
        Wrong length, a character outside the alphabet, or a check character that does not fit.
    """
    number = text.upper().translate(_AS_HEARD)
    if len(number) != CASE_NUMBER_LENGTH or any(character not in _VALUE_OF for character in number):
        raise InvalidInput("case_number", "is not eight characters of the case number alphabet")
    if _check_sum(number) != 0:
        raise InvalidInput("case_number", "the check character does not fit; please compare it again")
    return number


def format_case_number(number: str) -> str:
    """Return the number as people read it, in two groups: ``4MZ0 9D83``."""
    return f"{number[:4]} {number[4:]}"


def _crockford_of(digest: bytes, length: int) -> str:
    value = int.from_bytes(digest, "big") >> (len(digest) * 8 - 5 * length)
    return "".join(CROCKFORD[(value >> (5 * (length - 1 - place))) & 31] for place in range(length))


def _keyed(key: bytes, purpose: bytes, *parts: str) -> bytes:
    # Each part is preceded by its length, so that ("AB", "C") and ("A", "BC") differ.
    message = purpose
    for part in parts:
        raw = part.encode("utf-8")
        message += b"\0" + len(raw).to_bytes(4, "big") + raw
    return hmac.new(key, message, hashlib.sha256).digest()


def pseudonym_for(issuer: str, patient_id: str, key: bytes, *, counter: int = 0) -> str:
    """Return the stable stand-in for a patient of one facility, such as ``C36PV-4K2M7``.

    Parameters
    ----------
    issuer, patient_id : str
        Decoded values of (0010,0021) and (0010,0020), VR LO. They identify the patient only together.
    key : bytes
        The facility's pseudonym key, 32 bytes. Never leaves the gateway.
    counter : int
        Raised by the vault when two patients met in one pseudonym (50 bits make that rare, not impossible).

    Returns
    -------
    str
        Eleven characters; fits LO and PN of (0010,0020) and (0010,0010).
    """
    text = _crockford_of(_keyed(key, b"pseudonym", issuer, patient_id, str(counter)), 10)
    return f"{text[:5]}-{text[5:]}"


_PSEUDONYM = re.compile(rf"[{CROCKFORD}]{{5}}-[{CROCKFORD}]{{5}}")


def check_pseudonym(value: str, *, field: str = "pseudonym") -> str:
    """Return `value` if it has the form of a pseudonym, else raise InvalidInput."""
    if _PSEUDONYM.fullmatch(value) is None:
        raise InvalidInput(field, "does not have the form of a pseudonym")
    return value


def accession_pseudonym(issuer: str, accession_number: str, key: bytes) -> str:
    """Return the stand-in for an accession number: ``A`` and twelve characters, within the 16 of VR SH.

    Parameters
    ----------
    issuer, accession_number : str
        Values of (0008,0051) as text, and (0008,0050).
    key : bytes
        The facility's pseudonym key, 32 bytes.
    """
    return "A" + _crockford_of(_keyed(key, b"accession", issuer, accession_number), 12)


#: Dates of a research export go back by one to this many days.
MOST_DAYS_BACK = 3650


def days_back(issuer: str, patient_id: str, key: bytes) -> int:
    """Return by how many days the dates of a patient go back in an export with modified dates, 1 to 3650.

    The same for everything of a patient, so that intervals stay (PS3.15 E.3.6); not to be told without the key.

    Parameters
    ----------
    issuer, patient_id : str
        Decoded values of (0010,0021) and (0010,0020), VR LO.
    key : bytes
        The facility's pseudonym key, 32 bytes.
    """
    return 1 + int.from_bytes(_keyed(key, b"dates", issuer, patient_id)[:8], "big") % MOST_DAYS_BACK


def replacement_uid(original: str, key: bytes) -> str:
    """Return the replacement for a UID, the same for every instance of a facility.

    Parameters
    ----------
    original : str
        Value of an element with VR UI, at most 64 characters (PS3.5 Section 6.2). Well-known UIDs (root
        1.2.840.10008) are the caller's to leave alone.
    key : bytes
        The facility's secret, 32 bytes. Never leaves the gateway.

    Returns
    -------
    str
        ``2.25.`` and the decimal value of a UUID of version 8 (RFC 9562), at most 44 characters.

    References
    ----------
    DICOM Standard, Part 15, Table E.1-1a, action U; Part 5, Annex B.2 (UUID-derived UIDs, root 2.25).
    """
    raw = bytearray(
        hmac.new(key, b"uid\0" + original.encode("ascii", "replace"), hashlib.sha256).digest()[:16]
    )
    raw[6] = (raw[6] & 0x0F) | 0x80
    raw[8] = (raw[8] & 0x3F) | 0x80
    return f"2.25.{int.from_bytes(raw, 'big')}"


# PS3.5 Section 9.1: components of digits, no leading zero unless the component is 0, at most 64 characters.
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")


def check_uid(value: str, *, field: str) -> str:
    """Return `value` if it is a UID by PS3.5 Section 9.1, else raise InvalidInput naming `field`."""
    if len(value) > 64 or _UID.fullmatch(value) is None:
        raise InvalidInput(field, "is not a DICOM UID (PS3.5 Section 9.1)")
    return value


def check_ae_title(value: str, *, field: str = "ae_title") -> str:
    """Return the AE title without its insignificant spaces.

    Raises
    ------
    InvalidInput
        Empty, longer than 16 characters, or with a backslash, a control or a non-ASCII character
        (PS3.5 Section 6.2, VR AE).
    """
    title = value.strip(" ")
    if not 1 <= len(title) <= 16:
        raise InvalidInput(field, "has to have 1 to 16 characters")
    if any(not 0x20 <= ord(character) < 0x7F or character == "\\" for character in title):
        raise InvalidInput(field, "may hold only printable ASCII characters without the backslash")
    return title


_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")


def check_code(value: str, *, field: str) -> str:
    """Return a short code of the centre's own (facility code, gateway name), or raise InvalidInput."""
    if _CODE.fullmatch(value) is None:
        raise InvalidInput(
            field, "has to be 1 to 32 characters of a-z, 0-9, _ and -, beginning with a letter or digit"
        )
    return value


_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_sha256(value: str, *, field: str = "sha256") -> str:
    """Return `value` if it is a SHA-256 in small hexadecimal letters, else raise InvalidInput."""
    if _SHA256.fullmatch(value) is None:
        raise InvalidInput(field, "is not a SHA-256 in hexadecimal")
    return value
