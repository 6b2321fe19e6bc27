"""Gives an object its identity back from what the facility's vault knows (PS3.15 E.1.2).

The vault has the patient and the study with their original bytes, and the original UIDs. What de-identification removed
beside these is gone unless the object carries it sealed (`teleread.dicom.deid.encrypted`), and that is said.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from teleread.dicom.deid.identity import RAW_VALUES, PatientIdentity, character_sets
from teleread.dicom.deid.verify import is_text
from teleread.dicom.raw import (
    DEFLATED,
    EXPLICIT_LITTLE,
    PIXEL_TAGS,
    Element,
    RawFile,
    Syntax,
    dictionary_vr,
    encode_element,
    encode_items,
    encode_meta,
)
from teleread.dicom.text import codec_of, decode
from teleread.errors import InvalidInput

_CHARACTER_SET, _STUDY_DATE, _ACCESSION = 0x00080005, 0x00080020, 0x00080050
_METHOD_CODES = 0x00120064
_MODIFIED_DATES, _CLEAN_PIXELS = "113107", "113101"

#: What de-identification says of itself, which is no longer so; (0012,0062) has to say NO (PS3.15 E.1.2).
_SAID_OF_DEIDENTIFICATION = frozenset({0x00120063, _METHOD_CODES, 0x00280303})

#: Attribute of PatientIdentity -> tag, VR: values of the default repertoire, kept decoded.
_PLAIN_VALUES = {
    "birth_date": (0x00100030, "DA"),
    "birth_time": (0x00100032, "TM"),
    "sex": (0x00100040, "CS"),
    "age": (0x00101010, "AS"),
    "study_date": (_STUDY_DATE, "DA"),
    "study_time": (0x00080030, "TM"),
}


@dataclass(frozen=True)
class Renamed:
    """An object with its identity back, and what could not be brought back.

    Attributes
    ----------
    pieces : tuple of bytes
        The whole file.
    tags : tuple of int
        Top-level elements that have another value now.
    missing : tuple of str
        ``removed_attributes``, ``pixels``, ``uids``, ``dates``.
    """

    pieces: tuple[bytes | memoryview, ...]
    tags: tuple[int, ...]
    missing: tuple[str, ...]


def method_codes(raw: RawFile) -> frozenset[str]:
    """Return the codes of CID 7050 that an object says it was de-identified by."""
    sequence = raw.find(_METHOD_CODES)
    return frozenset(
        raw.data[one.value_at : one.value_end].decode("latin-1").strip(" \0")
        for item in (sequence.items or () if sequence else ())
        for one in item.elements
        if one.tag == 0x00080100
    )


def renamed(raw: RawFile, identity: PatientIdentity, uids: Mapping[str, str]) -> Renamed:
    """Return an object with the vault's values in it.

    Parameters
    ----------
    raw : RawFile
        De-identified.
    identity : PatientIdentity
        Whom and which study it is about.
    uids : mapping
        New UID -> original.

    Raises
    ------
    InvalidInput
        ``character_set``: the object has text in another character set than the name's bytes are in.
    """
    codes = method_codes(raw)
    days = _days_moved(raw, identity) if _MODIFIED_DATES in codes else 0
    values = _values(raw, identity)
    writer = _Writer(raw, uids, days or 0)
    written = tuple(writer.dataset(values))
    missing = ["removed_attributes"]
    missing += ["pixels"] if _CLEAN_PIXELS in codes else []
    missing += ["uids"] if writer.unknown_uids else []
    missing += ["dates"] if days is None else []
    syntax = EXPLICIT_LITTLE if raw.transfer_syntax == DEFLATED else raw.transfer_syntax
    sop_uid = raw.text(0x00080018)
    head = encode_meta((
        (0x00020001, "OB", b"\0\1"),
        (0x00020002, "UI", raw.text(0x00080016).encode("ascii", "replace")),
        (0x00020003, "UI", uids.get(sop_uid, sop_uid).encode("ascii", "replace")),
        (0x00020010, "UI", syntax.encode("ascii")),
    ))  # fmt: skip
    return Renamed((head, *written), tuple(sorted(writer.changed)), tuple(missing))


def _values(raw: RawFile, identity: PatientIdentity) -> dict[int, tuple[str, bytes]]:
    sets = character_sets(raw)
    # Escape sequences mean something only where the character set says so (PS3.3 C.12.1.1.2).
    may_switch = any(term.startswith("ISO 2022") for term in sets)
    reads_the_same = all(
        decode(value, sets).strip() == getattr(identity, name.removesuffix("_raw"))
        and (may_switch or b"\x1b" not in value)
        for name in RAW_VALUES
        for value in (getattr(identity, name),)
    )
    encoding = "" if reads_the_same else _encoding(raw, sets)
    values: dict[int, tuple[str, bytes]] = {0x00120062: ("CS", b"NO")}
    for name, tag in RAW_VALUES.items():
        value: bytes = getattr(identity, name)
        if encoding:
            value = str(getattr(identity, name.removesuffix("_raw"))).encode(encoding)
        if tag == _ACCESSION and not raw.text(tag):
            # Its stand-in leaves wherever there was one: this object of the study had none.
            continue
        if value or raw.find(tag) is not None:
            values[tag] = (dictionary_vr(tag) or "LO", value)
    for name, (tag, vr) in _PLAIN_VALUES.items():
        text: str = getattr(identity, name)
        if text or raw.find(tag) is not None:
            values[tag] = (vr, text.encode("latin-1", "replace"))
    if not reads_the_same and not encoding:
        values[_CHARACTER_SET] = ("CS", "\\".join(identity.specific_character_set).encode("ascii", "replace"))
    return values


def _encoding(raw: RawFile, sets: tuple[str, ...]) -> str:
    """Return the codec that the vault's texts have to be written in; empty when the object can take their own."""
    if _is_plain(raw, raw.elements):
        return ""
    if sets and codec_of(sets[0]) == "utf-8":
        return "utf-8"
    raise InvalidInput("character_set", "is another one than that of the vault's name", code="character_set")


def _is_plain(raw: RawFile, elements: list[Element]) -> bool:
    for element in elements:
        if element.items is not None:
            if not all(_is_plain(raw, item.elements) for item in element.items):
                return False
        elif is_text(element):
            value = raw.data[element.value_at : element.value_end]
            if not value.isascii() or b"\x1b" in value:
                return False
    return True


def _day(text: str) -> date | None:
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None


def _days_moved(raw: RawFile, identity: PatientIdentity) -> int | None:
    """Return by how many days every date of the object lies too early; None when it cannot be told."""
    then, moved = _day(identity.study_date), _day(raw.text(_STUDY_DATE))
    return None if then is None or moved is None else (then - moved).days


class _Writer:
    """Writes the dataset of one object."""

    def __init__(self, raw: RawFile, uids: Mapping[str, str], days: int) -> None:
        self.raw = raw
        self.uids = uids
        self.days = days
        self.changed: set[int] = set()
        self.unknown_uids = False

    def dataset(self, values: Mapping[int, tuple[str, bytes]]) -> Iterator[bytes | memoryview]:
        waiting = sorted(values)
        for element in self.raw.elements:
            while waiting and waiting[0] <= element.tag:
                yield from self._given(waiting.pop(0), values)
            if element.tag in values:
                continue
            if element.tag in _SAID_OF_DEIDENTIFICATION:
                self.changed.add(element.tag)
                continue
            old = memoryview(self.raw.data)[element.start : element.end]
            if element.tag in PIXEL_TAGS:
                yield old
                continue
            new = self._element(element, self.raw.syntax)
            if new != old:
                self.changed.add(element.tag)
            yield new
        for tag in waiting:
            yield from self._given(tag, values)

    def _given(self, tag: int, values: Mapping[int, tuple[str, bytes]]) -> Iterator[bytes]:
        vr, value = values[tag]
        if self.raw.find(tag) is None or self.raw.value(tag).rstrip(b" \0") != value:
            self.changed.add(tag)
        yield encode_element(tag, vr, value, self.raw.syntax)

    def _element(self, element: Element, syntax: Syntax) -> bytes:
        if element.items is not None:
            inner = element.items[0].syntax if element.items else syntax
            items = [
                (b"".join(self._element(child, item.syntax) for child in item.elements), item.undefined)
                for item in element.items
            ]
            value = encode_items(items, inner, undefined=element.undefined)
            vr = "UN" if element.written_vr == "UN" else "SQ"
            return encode_element(element.tag, vr, value, syntax, undefined=element.undefined)
        kept = self.raw.data[element.value_at : element.value_end]
        value = self._value(element, kept)
        if value is kept:
            return bytes(self.raw.data[element.start : element.end])
        return encode_element(element.tag, element.vr, value, syntax)

    def _value(self, element: Element, value: bytes) -> bytes:
        if element.vr == "UI":
            return self._uids(value)
        if self.days and element.vr in {"DA", "DT"} and value.strip(b" \0"):
            return b"\\".join(_later(part, self.days) for part in value.split(b"\\"))
        return value

    def _uids(self, value: bytes) -> bytes:
        parts = [part.strip(b" \0").decode("latin-1") for part in value.split(b"\\")]
        if not any(part in self.uids for part in parts):
            self.unknown_uids |= any(part.startswith("2.25.") for part in parts)
            return value
        return b"\\".join(self.uids.get(part, part).encode("latin-1") for part in parts)


_MOVED = re.compile(rb"([0-9]{8})(.*)", re.DOTALL)


def _later(value: bytes, days: int) -> bytes:
    match = _MOVED.fullmatch(value.strip(b" \0"))
    day = _day(match[1].decode("ascii")) if match else None
    if match is None or day is None:
        return value
    return (day + timedelta(days=days)).strftime("%Y%m%d").encode("ascii") + match[2]
