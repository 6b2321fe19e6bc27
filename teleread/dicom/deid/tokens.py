"""The pieces of text by which a patient can be known, and how to find them in text and in bytes."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from teleread.dicom.deid.identity import PatientIdentity

#: Words that stand in PatientName of phantoms and test objects and in half of all other attributes. They name nobody.
_NOBODY = frozenset(
    [
        "abdomen",
        "adult",
        "anon",
        "anonymous",
        "anonymized",
        "anonymised",
        "axial",
        "body",
        "brain",
        "breast",
        "chest",
        "coronal",
        "cranium",
        "demo",
        "dummy",
        "exp",
        "female",
        "foot",
        "hand",
        "head",
        "heart",
        "hip",
        "image",
        "images",
        "inc",
        "knee",
        "left",
        "liver",
        "lung",
        "male",
        "medical",
        "name",
        "neck",
        "nema",
        "none",
        "null",
        "patient",
        "pelvis",
        "phantom",
        "qa",
        "qc",
        "removed",
        "right",
        "sagittal",
        "scan",
        "series",
        "shoulder",
        "skull",
        "spine",
        "study",
        "test",
        "the",
        "thorax",
        "unknown",
        "wrist",
    ]
)

_SPLIT = re.compile(r"[\s^=,.;:_/\\()\[\]\-・，．、。]+")
_JIS_SEGMENT = re.compile(rb"\x1b\$[@B]([^\x1b]*)")
_UID = re.compile(rb"[0-9]+(?:\.[0-9]+){3,}")

_ERAS = (
    ("昭和", "S", 1925),
    ("平成", "H", 1988),
    ("大正", "T", 1911),
    ("明治", "M", 1867),
    ("令和", "R", 2018),
)
_HIRAGANA_TO_KATAKANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}

#: Encodings in which a name could stand in a dataset, whatever its declared character set.
_ENCODINGS = (
    "utf-8",
    "cp932",
    "euc_jp",
    "utf-16-le",
    "utf-16-be",
    "gb18030",
    "euc_kr",
    "big5",
    "latin-1",
    "iso8859-5",
)


def fold(text: str) -> str:
    """Return a text in the one form that comparisons use: full width, katakana, no case."""
    return unicodedata.normalize("NFKC", text).translate(_HIRAGANA_TO_KATAKANA).casefold()


def _half_width(text: str) -> str:
    return "".join(_HALF_WIDTH.get(character, character) for character in unicodedata.normalize("NFD", text))


_HALF_WIDTH = {
    unicodedata.normalize("NFKC", chr(code)): chr(code) for code in range(0xFF61, 0xFF9E)
} | {"\u3099": "\uff9e", "\u309a": "\uff9f"}  # fmt: skip


def _is_latin(text: str) -> bool:
    return text.isascii()


def _significant(text: str) -> bool:
    if text in _NOBODY or len(set(text)) < 2:
        return False
    return len(text) >= (3 if _is_latin(text) else 2)


def _name_tokens(name: str) -> set[str]:
    tokens: set[str] = set()
    for group in name.split("="):
        parts = [fold(part) for part in _SPLIT.split(group) if part]
        tokens |= {part for part in parts if _significant(part)}
        if len(parts) > 1 and not _NOBODY.issuperset(parts):
            # 林 太郎, Li Na: each part may be too short to look for, the whole is not.
            family, given = parts[0], "".join(parts[1:])
            if len(family + given) >= (3 if _is_latin(family + given) else 2):
                for first, second in ((family, given), (given, family)):
                    tokens |= {f"{first}{mark}{second}" for mark in ("", " ", "^", ",", ", ")}
    return tokens


def _number_token(number: str) -> set[str]:
    text = fold(number.strip())
    # A number of three digits or a single repeated one stands everywhere and points to nobody.
    long_enough = len(text) >= (4 if text.isdigit() else 3)
    return {text} if long_enough and len(set(text)) > 1 and text not in _NOBODY else set()


def birth_date_forms(birth_date: str) -> tuple[str, ...]:
    """Return ways to write a date ``YYYYMMDD``, western and in Japanese eras."""
    if not re.fullmatch(r"\d{8}", birth_date) or birth_date in ("19000101", "00000000"):
        return ()
    year, month, day = birth_date[:4], birth_date[4:6], birth_date[6:]
    forms = {birth_date}
    for mark in "-/.":
        forms |= {mark.join((year, month, day)), mark.join((day, month, year)), mark.join((month, day, year))}
        forms.add(mark.join((year, str(int(month)), str(int(day)))))
    forms |= {f"{year}年{int(month)}月{int(day)}日", f"{year}年{month}月{day}日"}
    for name, letter, before in _ERAS:
        count = int(year) - before
        if 1 <= count <= 64:
            forms |= {f"{name}{count}年{int(month)}月{int(day)}日", f"{name}{count:02d}年{month}月{day}日"}
            forms |= {f"{letter}{count}.{int(month)}.{int(day)}", f"{letter}{count:02d}.{month}.{day}"}
    return tuple(sorted(fold(form) for form in forms))


def _bounded(token: str) -> str:
    pattern = re.escape(token)
    if _is_latin(token):
        # Digits in longer numbers and letters in longer words are something else, unless the piece is long.
        if token.isdigit() or token[0].isdigit():
            return rf"(?<![0-9.]){pattern}(?![0-9.]*[0-9])"
        return pattern if len(token) >= 6 else rf"(?<![a-z0-9]){pattern}(?![a-z0-9])"
    if len(token) == 2 and all("ァ" <= character <= "ー" for character in token):
        return rf"(?<![ァ-ー]){pattern}(?![ァ-ー])"
    return pattern


@dataclass(frozen=True, slots=True)
class IdentityTokens:
    """What to look for, prepared once a patient.

    Attributes
    ----------
    own : frozenset of str
        Folded pieces that name this patient; one left in the output holds the instance.
    pattern : re.Pattern
        Finds `own`, the birth date and people around the patient in folded text; what it finds is scrubbed.
    own_pattern : re.Pattern
        Finds only `own` and the birth date.
    byte_forms : tuple of bytes
        `own` encoded in every likely character set, lower case, where long enough to be no chance.
    jis_forms : tuple of bytes
        `own` as JIS X 0208 code pairs, to be sought between escape sequences.
    """

    own: frozenset[str]
    pattern: re.Pattern[str]
    own_pattern: re.Pattern[str]
    byte_forms: tuple[bytes, ...]
    jis_forms: tuple[bytes, ...]

    def in_text(self, text: str, *, own_only: bool = False) -> bool:
        """Whether a text holds a token."""
        return (self.own_pattern if own_only else self.pattern).search(fold(text)) is not None

    def without(self, text: str) -> str:
        """Return an ASCII text with the tokens taken out; empty when folding would move characters."""
        folded = fold(text)
        if len(folded) != len(text):
            return ""
        pieces, at = [], 0
        for match in self.pattern.finditer(folded):
            pieces.append(text[at : match.start()])
            at = match.end()
        cleaned = re.sub(r" {2,}", " ", "".join([*pieces, text[at:]])).strip()
        return "" if self.in_text(cleaned) else cleaned

    def in_bytes(self, data: bytes) -> bool:
        """Whether bytes of unknown meaning hold an encoded token."""
        lowered = data.lower()
        if any(form in lowered for form in self.byte_forms):
            return True
        if b"\x1b$" not in data:
            return False
        segments = [match.group(1) for match in _JIS_SEGMENT.finditer(data)]
        return any(_aligned(form, segment) for form in self.jis_forms for segment in segments)


def _aligned(form: bytes, segment: bytes) -> bool:
    at = segment.find(form)
    while at >= 0:
        if at % 2 == 0:
            return True
        at = segment.find(form, at + 1)
    return False


def _never() -> re.Pattern[str]:
    return re.compile(r"(?!)")


def _pattern(tokens: Iterable[str], dates: Iterable[str]) -> re.Pattern[str]:
    parts = [_bounded(token) for token in sorted(tokens, key=lambda token: (-len(token), token))]
    parts += [rf"(?<![0-9.]){re.escape(date)}(?![0-9])" for date in sorted(dates, key=len, reverse=True)]
    return re.compile("|".join(parts)) if parts else _never()


def _spellings(token: str) -> set[str]:
    forms = {token}
    if any("ァ" <= character <= "ヶ" for character in token):
        forms.add("".join(chr(ord(c) - 0x60) if "ァ" <= c <= "ヶ" else c for c in token))
        forms.add(_half_width(token))
    return forms


def _encoded(token: str) -> set[bytes]:
    found: set[bytes] = set()
    for form in _spellings(token):
        for encoding in _ENCODINGS:
            try:
                raw = form.encode(encoding)
            except UnicodeEncodeError:
                continue
            # Six bytes do not meet by chance in half a megabyte of pixels; four bytes of two kanji might, and
            # are worth it in the kilobytes of a header.
            if len(raw) >= (6 if _is_latin(form) else 4) and not (_is_latin(form) and token[0].isdigit()):
                found.add(raw.lower())
    return found


def _jis_encoded(token: str) -> set[bytes]:
    found: set[bytes] = set()
    for form in _spellings(token):
        try:
            raw = form.encode("iso2022_jp")
        except UnicodeEncodeError:
            continue
        found |= {match.group(1) for match in _JIS_SEGMENT.finditer(raw) if len(match.group(1)) >= 4}
    return found


@lru_cache(maxsize=64)
def tokens_of(identity: PatientIdentity) -> IdentityTokens:
    """Return what to look for in the objects of a patient."""
    own = _name_tokens(identity.patient_name) | _number_token(identity.patient_id)
    own |= _number_token(identity.accession_number)
    for name in identity.other_names:
        own |= _name_tokens(name)
    others: set[str] = set()
    for name in identity.people:
        others |= {token for token in _name_tokens(name) if len(token) >= 4 or not _is_latin(token)}
    for number in identity.other_numbers:
        others |= {token for token in _number_token(number) if len(token) >= 4}
    if len(identity.institution_name) >= 4:
        others.add(fold(identity.institution_name))
    dates = birth_date_forms(identity.birth_date)
    return IdentityTokens(
        own=frozenset(own),
        pattern=_pattern(own | others, dates),
        own_pattern=_pattern(own, dates),
        byte_forms=tuple(sorted({form for token in own for form in _encoded(token)})),
        jis_forms=tuple(sorted({form for token in own for form in _jis_encoded(token)})),
    )


def uids_in(data: bytes) -> set[bytes]:
    """Return everything in bytes that has the form of a UID of four components or more."""
    return set(_UID.findall(data))
