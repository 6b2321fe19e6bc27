"""Takes the identity out of one instance, by PS3.15 Annex E, or says why a person has to look at it first."""

import hashlib
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from teleread import __version__
from teleread.dicom.deid.encrypted import with_originals
from teleread.dicom.deid.identity import PatientIdentity, character_sets, identity_of, plain_id
from teleread.dicom.deid.pixels import expected_pixel_bytes, pixels_missing, reason_to_hold
from teleread.dicom.deid.profile import (
    CLEAN_PIXEL_DATA_CODE,
    CODE_MEANINGS,
    READING_PROFILE,
    Action,
    FacilityKeys,
    Option,
    Profile,
    action_for,
    edition,
    iod_of,
)
from teleread.dicom.deid.safe_private import safe_tags
from teleread.dicom.deid.tokens import IdentityTokens, tokens_of
from teleread.dicom.deid.verify import Leak, described, is_text, leaks_in
from teleread.dicom.raw import (
    DEFLATED,
    PIXEL_TAGS,
    BrokenDataset,
    Element,
    Item,
    RawFile,
    Syntax,
    dictionary_vr,
    encode_element,
    encode_items,
    encode_meta,
    parse_raw,
    read_raw,
    text_before_the_break,
)
from teleread.dicom.text import codec_of, decode
from teleread.domain.identifiers import accession_pseudonym, days_back, pseudonym_for, replacement_uid

#: Our Implementation Class UID (PS3.7 D.3.3.2), UUID-derived.
IMPLEMENTATION_CLASS_UID = "2.25.210396384416303411927113914411921386401"
IMPLEMENTATION_VERSION_NAME = "TELEREAD"

#: Root of the UIDs that the standard itself assigns: classes and well-known instances, no identity.
_STANDARD_ROOT = b"1.2.840.10008."

#: Why an instance is held: code -> what the facility reads, in Japanese and English.
HELD_REASONS: dict[str, dict[str, str]] = {
    "not_dicom": {"ja": "DICOMではありません", "en": "It is not DICOM."},
    "truncated": {"ja": "途中で切れています", "en": "It is cut off."},
    "unreadable": {"ja": "構造が壊れていて読めません", "en": "Its structure is broken and cannot be read."},
    "no_pixel_data": {"ja": "画像なのに画素がありません", "en": "It is an image without pixel data."},
    "too_deep": {"ja": "入れ子が深すぎます", "en": "Its sequences are nested too deeply."},
    "too_large": {"ja": "展開後の大きさが上限を超えます", "en": "It inflates beyond the limit."},
    "no_patient_id": {"ja": "患者IDがありません", "en": "It has no patient ID."},
    "no_study_uid": {"ja": "検査インスタンスUIDがありません", "en": "It has no Study Instance UID."},
    "no_series_uid": {"ja": "シリーズインスタンスUIDがありません", "en": "It has no Series Instance UID."},
    "no_sop_uid": {"ja": "SOPインスタンスUIDがありません", "en": "It has no SOP Instance UID."},
    "no_sop_class": {"ja": "SOPクラスUIDがありません", "en": "It has no SOP Class UID."},
    "unknown_sop_class": {"ja": "未知のSOPクラスです", "en": "Its SOP Class is not known."},
    "directory": {"ja": "DICOMDIRは画像ではありません", "en": "It is a DICOMDIR, not an instance."},
    "encapsulated_document": {
        "ja": "文書を内包しており、中身を確認する必要があります",
        "en": "It encloses a document that a person has to look at.",
    },
    "burned_in": {
        "ja": "画像に患者情報が焼き込まれていると記されています",
        "en": "It says itself that identity is burned into the image.",
    },
    "drawn_in_pixels": {
        "ja": "画素の空きビットにオーバーレイが描かれています",
        "en": "An overlay is drawn into unused bits of the pixels.",
    },
    "risky_kind": {
        "ja": "画像に患者名が写り込みやすい種類です",
        "en": "It is of a kind that often shows names in the image.",
    },
    "identity_left": {
        "ja": "匿名化後も患者情報が残っています",
        "en": "Identity was still found after de-identification.",
    },
    "executable_preamble": {
        "ja": "ファイルの先頭がプログラムになっています",
        "en": "It begins like a program.",
    },
    "unknown_character_set": {
        "ja": "文字コードの指定が未知のもので、氏名を確かめられません",
        "en": "Its character set is not known, so no name in it can be looked for.",
    },
    "name_too_long": {
        "ja": "氏名または患者IDが64文字を超えています",
        "en": "Its patient name or ID is longer than 64 characters.",
    },
    "other_patient": {"ja": "この検査の患者と一致しません", "en": "It is of another patient than its study."},
}


@dataclass(frozen=True, slots=True)
class DeidResult:
    """What became of one file.

    Attributes
    ----------
    outcome : str
        ``clean`` (the target exists, durable) or ``held`` (it does not).
    reason, detail : str
        Code of `HELD_REASONS`, and a sentence; empty when clean. The sentence of ``identity_left`` quotes what was found
        and stays at the facility.
    sha256, size :
        Of the written file; empty and 0 when held.
    study_instance_uid, series_instance_uid, sop_instance_uid : str
        New UIDs; empty when the file did not say them or could not be read.
    pseudonym : str
        Stand-in of the patient; empty without a patient ID.
    accession : str
        Stand-in of the accession number; empty when there was none.
    identity : PatientIdentity or None
        As read from this file's header; of a broken file at most its study UID; None when it could not be read.
    replaced_uids : tuple of str
        Original UIDs that have another one in the written file.
    """

    outcome: str
    reason: str = ""
    detail: str = ""
    sha256: str = ""
    size: int = 0
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    sop_class_uid: str = ""
    transfer_syntax_uid: str = ""
    pseudonym: str = ""
    accession: str = ""
    identity: PatientIdentity | None = None
    replaced_uids: tuple[str, ...] = ()


def age_at(birth_date: str, study_date: str) -> str:
    """Return an age as VR AS (``067Y``, ``003M``, ``012D``), empty when a date is missing or impossible."""
    if not (len(birth_date) == len(study_date) == 8 and (birth_date + study_date).isdigit()):
        return ""
    born = int(birth_date[:4]), int(birth_date[4:6]), int(birth_date[6:])
    then = int(study_date[:4]), int(study_date[4:6]), int(study_date[6:])
    months = (then[0] - born[0]) * 12 + then[1] - born[1] - (then[2] < born[2])
    if months < 0 or months > 150 * 12 or then < born:
        return ""
    if months >= 24:
        return f"{months // 12:03d}Y"
    return (
        f"{months:03d}M" if months else f"{max(then[2] - born[2], 0) or (then[2] + 31 - born[2]) % 31:03d}D"
    )


_pseudonym_for = lru_cache(maxsize=256)(pseudonym_for)
_accession_pseudonym = lru_cache(maxsize=256)(accession_pseudonym)


@lru_cache(maxsize=1 << 16)
def _new_uid(original: str, key: bytes) -> str:
    return replacement_uid(original, key)


_DATE = re.compile(r"([0-9]{4})(?:\.?([0-9]{2})(?:\.?([0-9]{2}))?)?(.*)", re.DOTALL)


@lru_cache(maxsize=4096)
def shifted_date(value: str, days: int) -> str:
    """Return a value of VR DA or DT that many days earlier; empty when it is no date.

    A DT that says the year or the month only says no more afterwards; time of day, fraction and offset stay.
    """
    match = _DATE.fullmatch(value.strip(" \0"))
    if match is None:
        return ""
    year, month, day, rest = match.groups()
    try:
        earlier = date(int(year), int(month or 1), int(day or 1)) - timedelta(days=days)
    except (ValueError, OverflowError):
        return ""
    written = f"{earlier:%Y%m%d}" if earlier.year >= 1000 else ""
    return written[: 8 if day else 6 if month else 4] + rest if written else ""


_DUMMY_VALUES = {
    "AS": b"000Y", "DA": b"19000101", "DT": b"19000101000000", "TM": b"000000", "DS": b"0", "IS": b"0",
    "UR": b"urn:removed", "OB": b"\0\0", "OW": b"\0\0", "UN": b"\0\0", "US": b"\0\0", "SS": b"\0\0", "UL": bytes(4),
    "SL": bytes(4), "FL": bytes(4), "FD": bytes(8), "AT": bytes(4), "OF": bytes(4), "OD": bytes(8), "OL": bytes(4),
    "OV": bytes(8), "SV": bytes(8), "UV": bytes(8),
}  # fmt: skip
_DUMMY_TEXT = b"REMOVED"
#: Stands for one of several codes that a patient happens to be called by: Image Type must not lose a value.
_OTHER_CODE = b"OTHER"

_DATE_VRS = frozenset({"DA", "DT", "TM"})

#: Concepts of content items whose value names somebody or something whoever wrote it (PS3.16 CID 7000 ff., DCM codes) ->
#: the option that keeps it. Their words are replaced also where texts are only cleaned (PS3.15 E.3.4).
IDENTIFYING_CONCEPTS: dict[bytes, Option | None] = {
    b"121008": None,  # Person Observer Name
    b"128774": None,  # Person Observer's Login Name
    b"121009": Option.RETAIN_INSTITUTION_IDENTITY,  # Person Observer's Organization Name
    b"121013": Option.RETAIN_DEVICE_IDENTITY,  # Device Observer Name
    b"121016": Option.RETAIN_DEVICE_IDENTITY,  # Device Observer Serial Number
    b"121017": Option.RETAIN_DEVICE_IDENTITY,  # Device Observer Physical Location During Observation
    b"121020": None,  # Placer Number
    b"121021": None,  # Filler Number
    b"121022": None,  # Accession Number
    b"121029": None,  # Subject Name
    b"121030": None,  # Subject ID
    b"121031": None,  # Subject Birth Date
    b"121036": None,  # Mother of fetus
}
#: Date, Time, DateTime, Person Name and Text Value of a content item (PS3.3 C.17.3.2).
_CONTENT_VALUES = frozenset({0x0040A120, 0x0040A121, 0x0040A122, 0x0040A123, 0x0040A160})
_CONTENT_SEQUENCE = 0x0040A730

#: Always among what is looked through, because the others are read by it.
_CHARACTER_SET = 0x00080005
#: Longer elements are not kept for the next file.
_KNOWN_SIZE, _KNOWN_COUNT = 4096, 8192
_FOREIGN_UID = re.compile(rb"(?<![0-9.])(?!1\.2\.840\.10008\.|2\.25\.)[0-9]+(?:\.[0-9]+){3,}")


@lru_cache(maxsize=16)
def _known_elements(context: tuple[Any, ...]) -> dict[bytes, tuple[bytes, frozenset[bytes]]]:
    """Return the elements of a patient's files that have been rewritten and looked through already.

    Bytes of a top-level element -> its new bytes and the UIDs that were replaced in it. The slices of a series differ
    in a dozen elements; what all of them share is worked out once.
    """
    del context
    return {}


class _Rewriter:
    """Rewrites the dataset of one file."""

    def __init__(
        self,
        raw: RawFile,
        profile: Profile,
        keys: FacilityKeys,
        tokens: IdentityTokens,
        identity: PatientIdentity,
    ) -> None:
        self.raw = raw
        self.profile = profile
        self.keys = keys
        self.tokens = tokens
        self.iod = iod_of(raw.text(0x00080016))
        self.days = 0
        if Option.RETAIN_MODIFIED_DATES in profile.options:
            self.days = days_back(identity.issuer_of_patient_id, identity.patient_id, keys.pseudonym_key)
        self.original_uids: set[bytes] = set()
        #: What has been written and not yet looked through, and what may be taken as known once it has been.
        self.fresh: list[bytes] = []
        self._to_learn: dict[bytes, tuple[bytes, frozenset[bytes]]] = {}
        self._known: dict[bytes, tuple[bytes, frozenset[bytes]]] = {}

    def dataset(self, inserted: dict[int, tuple[str, bytes]]) -> Iterator[bytes | memoryview]:
        """Yield the new dataset in pieces, `inserted` (tag -> VR, value) in place of what was there."""
        waiting = sorted(inserted)
        raw = self.raw
        syntax = raw.syntax
        sets = character_sets(raw)
        self._known = _known_elements(
            (self.tokens, self.profile, self.keys.uid_key, sets, syntax, self.iod, self.days)
        )
        safe = self._safe(raw.elements)
        known, data, uids = self._known, raw.data, self.original_uids
        pieces: list[bytes] = []
        for element in raw.elements:
            tag = element.tag
            while waiting and waiting[0] <= tag:
                pieces.append(self._insert(waiting.pop(0), inserted, syntax))
            if tag in inserted:
                continue
            if tag in PIXEL_TAGS:
                yield b"".join(pieces)
                pieces.clear()
                yield memoryview(data)[element.start : element.end]
                continue
            before = data[element.start : element.end]
            seen = known.get(before)
            if seen is None:
                seen = self._top_level(element, before, syntax, sets, safe)
            new, replaced = seen
            if new:
                pieces.append(new)
            if replaced:
                uids |= replaced
        pieces += [self._insert(tag, inserted, syntax) for tag in waiting]
        yield b"".join(pieces)

    def learn(self) -> None:
        """Keep for the next file of the patient what has been looked through in this one."""
        if len(self._known) + len(self._to_learn) > _KNOWN_COUNT:
            self._known.clear()
        self._known.update(self._to_learn)

    def _insert(self, tag: int, inserted: dict[int, tuple[str, bytes]], syntax: Syntax) -> bytes:
        new = encode_element(tag, *inserted[tag], syntax)
        # Known by what it comes out as; an original's own element of the tag is never asked for.
        if new not in self._known:
            self.fresh.append(new)
            self._to_learn[new] = (new, frozenset())
        return new

    def _safe(self, elements: list[Element]) -> dict[int, str]:
        if Option.RETAIN_SAFE_PRIVATE not in self.profile.options:
            return {}
        return safe_tags(elements, self.raw.data)

    def _top_level(
        self, element: Element, before: bytes, syntax: Syntax, sets: tuple[str, ...], safe: dict[int, str]
    ) -> tuple[bytes, frozenset[bytes]]:
        others, self.original_uids = self.original_uids, set()
        new = self._element(element, syntax, sets, safe=safe)
        outcome = new, frozenset(self.original_uids)
        self.original_uids = others
        if new:
            self.fresh.append(new)
        # A safe private element stands or goes with the reservation of its block; a UID of another instance of the patient
        # has to be found in the file whose own it is.
        if (
            len(before) <= _KNOWN_SIZE
            and not (element.private and Option.RETAIN_SAFE_PRIVATE in self.profile.options)
            and element.tag != _CHARACTER_SET
            and not _FOREIGN_UID.search(new)
        ):
            self._to_learn[before] = outcome
        return outcome

    def _element(
        self,
        element: Element,
        syntax: Syntax,
        sets: tuple[str, ...],
        *,
        safe: dict[int, str],
        inside: int = 0,
        dummy: bool = False,
    ) -> bytes:
        action = action_for(element.tag, self.profile, self.iod, inside)
        if element.private and action is Action.CLEAN:
            return self._private(element, syntax, sets, safe)
        if action is Action.REMOVE or (element.items is None and dictionary_vr(element.tag) == "SQ"):
            # A sequence that cannot be entered cannot be cleaned either.
            return b""
        if action is Action.EMPTY:
            return encode_element(element.tag, element.vr, b"", syntax)
        if element.items is not None:
            dummy = dummy or action is Action.REPLACE_DUMMY
            return self._sequence(element, element.items, syntax, sets, dummy=dummy)
        kept = self._value(element)
        value = self._new_value(element, kept, action, sets, dummy=dummy)
        if value is kept:
            return self.raw.data[element.start : element.end]
        return encode_element(element.tag, element.vr, value, syntax)

    def _private(
        self, element: Element, syntax: Syntax, sets: tuple[str, ...], safe: dict[int, str]
    ) -> bytes:
        if element.tag not in safe:
            return b""
        value = self._value(element)
        vr = safe[element.tag]
        if vr == "UI" and Option.RETAIN_UIDS not in self.profile.options:
            return encode_element(element.tag, element.vr, self._uids(value), syntax)
        if vr in ("DA", "DT") and self.days:
            return encode_element(element.tag, element.vr, self._shifted(value, vr), syntax)
        # Known to be safe is what belongs there; a patient's name may have been put there all the same.
        if self.tokens.in_bytes(value) or self.tokens.in_text(decode(value, sets), own_only=True):
            return b""
        return self.raw.data[element.start : element.end]

    def _new_value(
        self, element: Element, value: bytes, action: Action | None, sets: tuple[str, ...], *, dummy: bool
    ) -> bytes:
        """Return what an element that stays is to hold; the very same object when it keeps its value."""
        vr = element.vr
        if action is Action.REPLACE_UID or (action is Action.REPLACE_DUMMY and vr == "UI"):
            return self._uids(value)
        if action is Action.SHIFT_DATE:
            return self._shifted(value, vr)
        text = is_text(element)
        # Codes such as Value Type carry the structure; what stands in for the rest makes no sense without them.
        without_row = dummy and action is None and (text or vr in _DATE_VRS) and vr != "CS"
        if action is Action.REPLACE_DUMMY or without_row:
            return _DUMMY_VALUES.get(vr, _DUMMY_TEXT)
        if not text or not value:
            return value
        # Who works at the facility may be kept by option; the patient never.
        own_only = action is Action.KEEP
        if vr == "CS":
            return self._cleaned_codes(value, own_only=own_only)
        return self.tokens.cleaned(value, sets, own_only=own_only)

    def _shifted(self, value: bytes, vr: str) -> bytes:
        if not value.strip(b" \0"):
            return value
        parts = [shifted_date(part, self.days) for part in value.decode("latin-1").split("\\")]
        return "\\".join(parts).encode("latin-1") if all(parts) else _DUMMY_VALUES[vr]

    def _cleaned_codes(self, value: bytes, *, own_only: bool) -> bytes:
        parts = value.split(b"\\")
        kept = [
            _OTHER_CODE if self.tokens.in_text(part.decode("latin-1"), own_only=own_only) else part
            for part in parts
        ]
        return value if kept == parts else b"\\".join(kept)

    def _value(self, element: Element) -> bytes:
        return self.raw.data[element.value_at : element.value_end]

    def _sequence(
        self, element: Element, items: list[Item], syntax: Syntax, sets: tuple[str, ...], *, dummy: bool
    ) -> bytes:
        written: list[tuple[bytes, bool]] = []
        inner = items[0].syntax if items else syntax
        for item in items:
            own_sets = sets
            for child in item.elements:
                if child.tag == 0x00080005:
                    terms = self._value(child).decode("latin-1").split("\\")
                    own_sets = tuple(term.strip(" \0") for term in terms)
            safe = self._safe(item.elements)
            names_somebody = element.tag == _CONTENT_SEQUENCE and self._names_somebody(item)
            content = [
                encode_element(child.tag, child.vr, _DUMMY_VALUES.get(child.vr, _DUMMY_TEXT), item.syntax)
                if names_somebody and child.tag in _CONTENT_VALUES
                else self._element(
                    child, item.syntax, own_sets, safe=safe, inside=element.tag, dummy=dummy
                )
                for child in item.elements
            ]  # fmt: skip
            written.append((b"".join(content), item.undefined))
        value = encode_items(written, inner, undefined=element.undefined)
        # In UN the items stay implicit, so the VR has to stay UN too (PS3.5 6.2.2).
        vr = "UN" if element.written_vr == "UN" else "SQ"
        return encode_element(element.tag, vr, value, syntax, undefined=element.undefined)

    def _names_somebody(self, item: Item) -> bool:
        concept = next((child for child in item.elements if child.tag == 0x0040A043), None)
        for part in concept.items[0].elements if concept is not None and concept.items else ():
            if part.tag == 0x00080100:
                code = self._value(part).strip(b" \0")
                return code in IDENTIFYING_CONCEPTS and IDENTIFYING_CONCEPTS[code] not in self.profile.options
        return False

    def _uids(self, value: bytes) -> bytes:
        new: list[bytes] = []
        for part in value.split(b"\\"):
            uid = part.strip(b" \0")
            if not uid or uid.startswith(_STANDARD_ROOT):
                new.append(uid)
                continue
            if uid.count(b".") >= 3:
                self.original_uids.add(uid)
            new.append(_new_uid(uid.decode("latin-1"), self.keys.uid_key).encode())
        return b"\\".join(new)


@lru_cache(maxsize=64)
def _method_codes(profile: Profile, syntax: Syntax, pixels_cleaned: bool) -> bytes:
    items: list[tuple[bytes, bool]] = []
    codes = [*profile.codes, *([CLEAN_PIXEL_DATA_CODE] if pixels_cleaned else [])]
    for code in sorted(codes):
        content = b"".join(
            encode_element(tag, vr, value.encode("ascii"), syntax)
            for tag, vr, value in (
                (0x00080100, "SH", code),
                (0x00080102, "SH", "DCM"),
                (0x00080104, "LO", CODE_MEANINGS[code]),
            )
        )
        items.append((content, False))
    return encode_items(items, syntax, undefined=False)


def _dates_are(profile: Profile) -> bytes:
    # Longitudinal Temporal Information Modified, PS3.3 C.7.6.1.
    if Option.RETAIN_MODIFIED_DATES in profile.options:
        return b"MODIFIED"
    return b"UNMODIFIED" if Option.RETAIN_FULL_DATES in profile.options else b"REMOVED"


def _inserted(
    raw: RawFile,
    identity: PatientIdentity,
    profile: Profile,
    pseudonym: str,
    accession: str,
    *,
    pixels_cleaned: bool = False,
) -> dict[int, tuple[str, bytes]]:
    name = pseudonym.encode("ascii")
    method = f"teleread {__version__}; DICOM PS3.15 {edition()} Table E.1-1".encode("ascii")
    values = {
        0x00080050: ("SH", accession.encode("ascii")),
        0x00100010: ("PN", name),
        0x00100020: ("LO", name),
        0x00120062: ("CS", b"YES"),
        0x00120063: ("LO", method[:64]),
        0x00120064: ("SQ", _method_codes(profile, raw.syntax, pixels_cleaned)),
        0x00280303: ("CS", _dates_are(profile)),
    }
    if Option.RETAIN_PATIENT_CHARACTERISTICS in profile.options and not raw.text(0x00101010):
        # The birth date stays at home; without it a reader would have no age.
        age = age_at(identity.birth_date, identity.study_date)
        if age:
            values[0x00101010] = ("AS", age.encode("ascii"))
    return values


def _written(path: Path, pieces: Iterator[bytes | memoryview], *, durable: bool) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = 0
    with path.open("wb", buffering=0) as stream:
        for piece in pieces:
            digest.update(piece)
            at = 0
            while at < len(piece):
                at += stream.write(memoryview(piece)[at:])
            size += len(piece)
        if durable:
            os.fsync(stream.fileno())
    return digest.hexdigest(), size


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


#: How programs begin: DOS and Windows, Unix, scripts, macOS, Java. A preamble may serve another image format (PS3.10
#: Section 7.1), never one of these (CVE-2019-11687).
_PROGRAMS = (
    b"MZ",
    b"\x7fELF",
    b"#!",
    b"\xfe\xed\xfa",
    b"\xcf\xfa\xed\xfe",
    b"\xce\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
)


def _preamble_reason(source: Path) -> str | None:
    with source.open("rb") as stream:
        return "executable_preamble" if stream.read(4).startswith(_PROGRAMS) else None


def _unreadable_name(raw: RawFile, identity: PatientIdentity) -> str | None:
    """Return why the name of a file cannot be trusted to be found again, as a code, or None."""
    terms = [*character_sets(raw), *_terms_in_items(raw, raw.elements)]
    if any(term and codec_of(term) is None for term in terms):
        return "unknown_character_set"
    # PS3.5 Section 6.2: 64 characters a component group of PN, 64 of LO.
    if max(map(len, (*identity.patient_name.split("="), identity.patient_id))) > 64:
        return "name_too_long"
    return None


def _terms_in_items(raw: RawFile, elements: list[Element]) -> Iterator[str]:
    for element in elements:
        for item in element.items or ():
            for child in item.elements:
                if child.tag == 0x00080005:
                    value = raw.data[child.value_at : child.value_end].decode("latin-1")
                    yield from (term.strip(" \0") for term in value.split("\\"))
            yield from _terms_in_items(raw, item.elements)


def _missing(raw: RawFile, identity: PatientIdentity, expected: PatientIdentity | None) -> str | None:
    for tag, reason in (
        (0x00080018, "no_sop_uid"),
        (0x0020000D, "no_study_uid"),
        (0x0020000E, "no_series_uid"),
    ):
        if not raw.text(tag):
            return reason
    if not identity.patient_id:
        return "no_patient_id"
    if expected is not None and (
        expected.patient_id != identity.patient_id
        or (
            expected.issuer_of_patient_id
            and identity.issuer_of_patient_id
            and expected.issuer_of_patient_id != identity.issuer_of_patient_id
        )
    ):
        return "other_patient"
    return None


def _head(raw: RawFile, sop_uid: str) -> bytes:
    return encode_meta((
        (0x00020001, "OB", b"\0\1"),
        (0x00020002, "UI", raw.text(0x00080016).encode("ascii", "replace")),
        (0x00020003, "UI", sop_uid.encode("ascii")),
        (0x00020010, "UI", raw.transfer_syntax.encode("ascii", "replace")),
        (0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode("ascii")),
        (0x00020013, "SH", IMPLEMENTATION_VERSION_NAME.encode("ascii")),
    ))  # fmt: skip


def _pieces(
    raw: RawFile, rewriter: _Rewriter, inserted: dict[int, tuple[str, bytes]], head: bytes
) -> Iterator[bytes | memoryview]:
    yield head
    dataset = rewriter.dataset(inserted)
    if rewriter.keys.recipients_pem:
        dataset = with_originals(raw, dataset, rewriter.keys.recipients_pem)
    if raw.transfer_syntax != DEFLATED:
        yield from dataset
        return
    deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    size = 0
    for piece in dataset:
        packed = deflater.compress(piece)
        size += len(packed)
        yield packed
    packed = deflater.flush()
    yield packed
    if (size + len(packed)) % 2:
        yield b"\0"


def _identity_left(raw: RawFile, part: Path, head: bytes, rewriter: _Rewriter) -> Leak | None:
    """Return where a piece of the patient is left in what has been written, or None.

    All of it is looked through; an element that came out the same for an earlier file of the patient was looked through
    then. Frames that are not plain samples can hold comments: there, all that has been written is read again.
    """
    drawn = [each for each in raw.elements if each.tag in PIXEL_TAGS]
    plain = not drawn or (len(drawn) == 1 and _samples_only(raw, drawn[0]))
    if raw.transfer_syntax == DEFLATED or not plain:
        return _first_leak(read_raw(part), rewriter)
    if not rewriter.fresh:
        return None
    return _first_leak(parse_raw(head + b"".join(rewriter.fresh)), rewriter)


def _first_leak(raw: RawFile, rewriter: _Rewriter) -> Leak | None:
    return next(
        iter(leaks_in(raw, rewriter.tokens, frozenset(rewriter.original_uids), first_only=True)), None
    )


def _samples_only(raw: RawFile, pixels: Element) -> bool:
    # Samples as many as the header says, one byte of padding at most: nothing that text could stand in.
    size = pixels.value_end - pixels.value_at
    return not pixels.undefined and size <= expected_pixel_bytes(raw) + 1


class _Watched(RawFile):
    """Notes which elements somebody asks for."""

    asked: ClassVar[list[int]] = []

    def find(self, tag: int) -> Element | None:
        """Return the top-level element of a tag."""
        if tag not in self.asked:
            self.asked.append(tag)
            _identities.clear()
        return super().find(tag)


_identities: dict[tuple[object, ...], PatientIdentity] = {}
_IDENTITIES = 64


def _identity(raw: RawFile) -> PatientIdentity:
    """Return `identity_of(raw)`, worked out once for all files that have the same in the elements it is read from.

    Which elements these are is seen the first time: the same values lead through the same questions.
    """
    found = [raw.find(tag) for tag in _Watched.asked]
    key = (raw.syntax, *(each and raw.data[each.value_at : each.value_end] for each in found))
    known = _identities.get(key)
    if known is not None and _Watched.asked:
        return known
    watched = _Watched(
        raw.data, raw.meta, raw.transfer_syntax, raw.syntax, raw.elements, raw.dataset_at, raw.trailing
    )
    identity = identity_of(watched)
    found = [raw.find(tag) for tag in _Watched.asked]
    key = (raw.syntax, *(each and raw.data[each.value_at : each.value_end] for each in found))
    if len(_identities) >= _IDENTITIES:
        _identities.clear()
    _identities[key] = identity
    return identity


def _replaced_uids(raw: RawFile, referred_to: set[bytes]) -> tuple[str, ...]:
    own = {raw.text(tag) for tag in (0x00080018, 0x0020000D, 0x0020000E, 0x00200052)} - {""}
    return tuple(sorted(own | {uid.decode("latin-1") for uid in referred_to}))


def _held_broken(source: Path, broken: BrokenDataset) -> DeidResult:
    # Whose the rest is cannot be trusted; which study lacks it can, and its reader has to know.
    study_uid = text_before_the_break(source, 0x0020000D)
    usable = re.fullmatch(r"[0-9]+(\.[0-9]+)+", study_uid) is not None and len(study_uid) <= 64
    identity = PatientIdentity(study_instance_uid=study_uid) if usable else None
    return DeidResult("held", broken.code, broken.reason, identity=identity)


def deidentify_file(
    source: Path,
    target: Path,
    *,
    keys: FacilityKeys,
    identity: PatientIdentity | None = None,
    profile: Profile = READING_PROFILE,
    counter: int = 0,
    pixels_looked_at: bool = False,
    durable: bool = True,
    also: tuple[PatientIdentity, ...] = (),
) -> DeidResult:
    """Write a copy of an instance without identity, or hold it.

    Transfer syntax and pixel bytes stay as they are; every element that the profile does not touch keeps its bytes.
    The target appears only when it is complete, durable and looked through; a held instance leaves none.

    Parameters
    ----------
    source : Path
        A file as received; with or without preamble and file meta, any transfer syntax.
    target : Path
        Where the clean copy goes; its folder exists.
    keys : FacilityKeys
        Make pseudonym and UIDs, the same ones for every instance of the facility.
    identity : PatientIdentity, optional
        Whom the study is about; an instance of somebody else is held.
    profile : Profile
        PS3.15 options in force.
    counter : int
        Of the pseudonym, when the vault knows a collision.
    pixels_looked_at : bool
        A person at the facility has seen that no identity shows in the image: it is not held for that risk alone.
    durable : bool
        Whether the copy has to outlast a power cut; without, for a trial whose copies can be made again.
    also : tuple of PatientIdentity
        What else the facility knows of patients, as from requests: of those with this patient ID it is looked for like
        what the header says.

    Raises
    ------
    OSError
        The disk refuses; nothing has been sent and nothing is half-written under the target's name.
    """
    try:
        raw = read_raw(source)
    except BrokenDataset as broken:
        return _held_broken(source, broken)
    own = _identity(raw)

    def held(reason: str, found: str = "") -> DeidResult:
        return DeidResult(
            "held",
            reason,
            found or HELD_REASONS[reason]["en"],
            **names,
            sop_class_uid=raw.text(0x00080016),
            identity=own,
        )

    keep_uids = Option.RETAIN_UIDS in profile.options
    names: dict[str, Any] = {"transfer_syntax_uid": raw.transfer_syntax}
    for field, tag in (
        ("study_instance_uid", 0x0020000D),
        ("series_instance_uid", 0x0020000E),
        ("sop_instance_uid", 0x00080018),
    ):
        original = raw.text(tag)
        names[field] = original if keep_uids or not original else _new_uid(original, keys.uid_key)
    if own.patient_id:
        names["pseudonym"] = _pseudonym_for(
            own.issuer_of_patient_id, own.patient_id, keys.pseudonym_key, counter=counter
        )
    if own.accession_number:
        names["accession"] = _accession_pseudonym(
            own.issuer_of_accession_number, own.accession_number, keys.pseudonym_key
        )
    reason = (
        _preamble_reason(source)
        or _missing(raw, own, identity)
        or _unreadable_name(raw, own)
        or reason_to_hold(raw, pixels_looked_at=pixels_looked_at)
        or pixels_missing(raw)
    )
    if reason is not None:
        return held(reason)

    tokens = tokens_of(
        own, tuple(each for each in also if plain_id(each.patient_id) == plain_id(own.patient_id))
    )
    rewriter = _Rewriter(raw, profile, keys, tokens, own)
    inserted = _inserted(raw, own, profile, names["pseudonym"], names.get("accession", ""))
    head = _head(raw, names["sop_instance_uid"])
    part = target.with_name(target.name + ".part")
    try:
        sha256, size = _written(part, _pieces(raw, rewriter, inserted, head), durable=durable)
        leak = _identity_left(raw, part, head, rewriter)
        if leak is not None:
            part.unlink()
            return held("identity_left", described(leak))
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    rewriter.learn()
    if durable:
        _sync_folder(target.parent)
    return DeidResult(
        "clean",
        "",
        "",
        sha256,
        size,
        **names,
        sop_class_uid=raw.text(0x00080016),
        identity=own,
        replaced_uids=() if keep_uids else _replaced_uids(raw, rewriter.original_uids),
    )
