"""Takes the identity out of one instance, by PS3.15 Annex E, or says why a person has to look at it first."""

import hashlib
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from teleread import __version__
from teleread.dicom.deid.device_rules import DEFAULT_POLICY, Device, PixelPolicy, Reading, device_of
from teleread.dicom.deid.identity import PatientIdentity, character_sets, identity_of
from teleread.dicom.deid.masking import CLEAN_PIXEL_DATA, CannotMask, MaskedPixels, mask_pixels
from teleread.dicom.deid.ocr import text_in_pixels
from teleread.dicom.deid.pixels import PixelPlan, pixels_missing, plan_for
from teleread.dicom.deid.profile import (
    CODE_MEANINGS,
    READING_PROFILE,
    Action,
    FacilityKeys,
    Option,
    Profile,
    action_for,
    edition,
)
from teleread.dicom.deid.regions import MOST_REGIONS, Region
from teleread.dicom.deid.tokens import IdentityTokens, tokens_of
from teleread.dicom.deid.verify import is_text, leaks_in
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
    read_raw,
    text_before_the_break,
)
from teleread.dicom.text import codec_of, decode
from teleread.domain.identifiers import accession_pseudonym, pseudonym_for, replacement_uid

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
    "text_in_pixels": {
        "ja": "画像の中に患者情報らしい文字があります",
        "en": "Text that may name the patient was read in the image.",
    },
    "not_maskable": {
        "ja": "この画像は画素を隠す処理ができません",
        "en": "Its pixels cannot be masked here.",
    },
    "identity_left": {
        "ja": "匿名化後も患者情報が残っています",
        "en": "Identity was still found after de-identification.",
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
        Code of `HELD_REASONS` and a sentence without identity; empty when clean.
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
    masked, rules : tuple
        Regions that were hidden in every frame, and the names of the rules that said so.
    suspects : tuple of Region
        Of a held one: where identity stands or is likely to.
    device : Device or None
        What made a held image.
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
    masked: tuple[Region, ...] = ()
    rules: tuple[str, ...] = ()
    suspects: tuple[Region, ...] = ()
    device: Device | None = None


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


@lru_cache(maxsize=4096)
def _new_uid(original: str, key: bytes) -> str:
    return replacement_uid(original, key)


_DUMMY_VALUES = {
    "AS": b"000Y", "DA": b"19000101", "DT": b"19000101000000", "TM": b"000000", "DS": b"0", "IS": b"0",
    "UR": b"urn:removed", "OB": b"\0\0", "OW": b"\0\0", "UN": b"\0\0", "US": b"\0\0", "SS": b"\0\0", "UL": bytes(4),
    "SL": bytes(4), "FL": bytes(4), "FD": bytes(8), "AT": bytes(4), "OF": bytes(4), "OD": bytes(8), "OL": bytes(4),
    "OV": bytes(8), "SV": bytes(8), "UV": bytes(8),
}  # fmt: skip
_DUMMY_TEXT = b"REMOVED"
#: Stands for one of several codes that a patient happens to be called by: Image Type must not lose a value.
_OTHER_CODE = b"OTHER"


class _Rewriter:
    """Rewrites the dataset of one file."""

    def __init__(self, raw: RawFile, profile: Profile, keys: FacilityKeys, tokens: IdentityTokens) -> None:
        self.raw = raw
        self.profile = profile
        self.keys = keys
        self.tokens = tokens
        self.original_uids: set[bytes] = set()
        self.masked: MaskedPixels | None = None

    @property
    def transfer_syntax(self) -> str:
        """UID of the transfer syntax that is written."""
        return self.masked.transfer_syntax if self.masked else self.raw.transfer_syntax

    def dataset(self, inserted: dict[int, tuple[str, bytes]]) -> Iterator[bytes | memoryview]:
        """Yield the new dataset in pieces, `inserted` (tag -> VR, value) in place of what was there."""
        waiting = sorted(inserted)
        syntax = self.raw.syntax
        sets = character_sets(self.raw)
        for element in self.raw.elements:
            while waiting and waiting[0] <= element.tag:
                tag = waiting.pop(0)
                yield encode_element(tag, inserted[tag][0], inserted[tag][1], syntax)
            if element.tag in inserted:
                continue
            if self.masked is not None and element.tag >> 16 == 0x7FE0:
                # The tables of offsets and lengths were those of other frames.
                if element.tag in PIXEL_TAGS:
                    yield self.masked.element
            elif element.tag in PIXEL_TAGS:
                yield memoryview(self.raw.data)[element.start : element.end]
            else:
                yield self._element(element, syntax, sets, dummy=False)
        for tag in waiting:
            yield encode_element(tag, inserted[tag][0], inserted[tag][1], syntax)

    def _element(self, element: Element, syntax: Syntax, sets: tuple[str, ...], *, dummy: bool) -> bytes:
        action = action_for(element.tag, self.profile)
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

    def _new_value(
        self, element: Element, value: bytes, action: Action | None, sets: tuple[str, ...], *, dummy: bool
    ) -> bytes:
        """Return what an element that stays is to hold; the very same object when it keeps its value."""
        vr = element.vr
        if action is Action.REPLACE_UID or (action is Action.REPLACE_DUMMY and vr == "UI"):
            return self._uids(value)
        text = is_text(element)
        if action is Action.REPLACE_DUMMY or (dummy and action is None and text):
            return _DUMMY_VALUES.get(vr, _DUMMY_TEXT)
        if not text or not value:
            return value
        # Who works at the facility may be kept by option; the patient never.
        own_only = action is Action.KEEP
        if vr == "CS":
            return self._cleaned_codes(value, own_only=own_only)
        found = self.tokens.in_text(decode(value, sets), own_only=own_only)
        return self._cleaned(value, sets) if found else value

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
            content = [self._element(child, item.syntax, own_sets, dummy=dummy) for child in item.elements]
            written.append((b"".join(content), item.undefined))
        value = encode_items(written, inner, undefined=element.undefined)
        # In UN the items stay implicit, so the VR has to stay UN too (PS3.5 6.2.2).
        vr = "UN" if element.written_vr == "UN" else "SQ"
        return encode_element(element.tag, vr, value, syntax, undefined=element.undefined)

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

    def _cleaned(self, value: bytes, sets: tuple[str, ...]) -> bytes:
        """Return what is left of a value that names somebody; nothing when in doubt, never text encoded anew."""
        if value.isascii() and b"\x1b" not in value:
            return self.tokens.without(value.decode("ascii").strip(" \0")).encode("ascii")
        if sets and codec_of(sets[0]) == "utf-8":
            return self.tokens.without(decode(value, sets).strip()).encode("utf-8")
        return b""


def _method_codes(profile: Profile, syntax: Syntax, *, pixels_cleaned: bool) -> bytes:
    items: list[tuple[bytes, bool]] = []
    meanings = {code: CODE_MEANINGS[code] for code in profile.codes}
    if pixels_cleaned:
        meanings |= dict([CLEAN_PIXEL_DATA])
    for code, meaning in sorted(meanings.items()):
        content = b"".join(
            encode_element(tag, vr, value.encode("ascii"), syntax)
            for tag, vr, value in (
                (0x00080100, "SH", code),
                (0x00080102, "SH", "DCM"),
                (0x00080104, "LO", meaning),
            )
        )
        items.append((content, False))
    return encode_items(items, syntax, undefined=False)


def _inserted(
    raw: RawFile,
    identity: PatientIdentity,
    profile: Profile,
    pseudonym: str,
    accession: str,
    *,
    masked: MaskedPixels | None,
) -> dict[int, tuple[str, bytes]]:
    name = pseudonym.encode("ascii")
    method = f"teleread {__version__}; DICOM PS3.15 {edition()} Table E.1-1".encode("ascii")
    times = "MODIFIED" if Option.RETAIN_MODIFIED_DATES in profile.options else "REMOVED"
    if Option.RETAIN_FULL_DATES in profile.options:
        times = "UNMODIFIED"
    values = {
        0x00080050: ("SH", accession.encode("ascii")),
        0x00100010: ("PN", name),
        0x00100020: ("LO", name),
        0x00120062: ("CS", b"YES"),
        0x00120063: ("LO", method[:64]),
        0x00120064: ("SQ", _method_codes(profile, raw.syntax, pixels_cleaned=masked is not None)),
        0x00280303: ("CS", times.encode("ascii")),
    }
    if Option.RETAIN_PATIENT_CHARACTERISTICS in profile.options and not raw.text(0x00101010):
        # The birth date stays at home; without it a reader would have no age.
        age = age_at(identity.birth_date, identity.study_date)
        if age:
            values[0x00101010] = ("AS", age.encode("ascii"))
    return values if masked is None else values | masked.changed


_DERIVATION = 0x00082111


def _durable(path: Path, pieces: Iterator[bytes | memoryview]) -> tuple[str, int]:
    digest = hashlib.sha256()
    size = 0
    with path.open("wb") as stream:
        for piece in pieces:
            digest.update(piece)
            size += stream.write(piece)
        stream.flush()
        os.fsync(stream.fileno())
    return digest.hexdigest(), size


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


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


def _pieces(
    raw: RawFile, rewriter: _Rewriter, inserted: dict[int, tuple[str, bytes]], sop_uid: str
) -> Iterator[bytes | memoryview]:
    yield encode_meta((
        (0x00020001, "OB", b"\0\1"),
        (0x00020002, "UI", raw.text(0x00080016).encode("ascii", "replace")),
        (0x00020003, "UI", sop_uid.encode("ascii")),
        (0x00020010, "UI", rewriter.transfer_syntax.encode("ascii", "replace")),
        (0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode("ascii")),
        (0x00020013, "SH", IMPLEMENTATION_VERSION_NAME.encode("ascii")),
    ))  # fmt: skip
    dataset = rewriter.dataset(inserted)
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


def _held_broken(source: Path, broken: BrokenDataset) -> DeidResult:
    # Whose the rest is cannot be trusted; which study lacks it can, and its reader has to know.
    study_uid = text_before_the_break(source, 0x0020000D)
    usable = re.fullmatch(r"[0-9]+(\.[0-9]+)+", study_uid) is not None and len(study_uid) <= 64
    identity = PatientIdentity(study_instance_uid=study_uid) if usable else None
    return DeidResult("held", broken.code, broken.reason, identity=identity)


class _NotSeen(Exception):  # noqa: N818 - not an error: the object waits for a person
    def __init__(self, reason: str, regions: tuple[Region, ...]) -> None:
        super().__init__(reason)
        self.reason = reason
        self.regions = regions


def _masked(
    raw: RawFile, source: Path, plan: PixelPlan, reading: Reading | None, own: PatientIdentity
) -> MaskedPixels | None:
    suspects = () if reading is None else text_in_pixels(source, plan, reading, own)
    if suspects:
        raise _NotSeen("text_in_pixels", (*plan.regions, *suspects)[:MOST_REGIONS])
    if not plan.regions:
        return None
    try:
        masked = mask_pixels(raw, source, plan.regions)
    except CannotMask:
        raise _NotSeen("not_maskable", plan.regions) from None
    said, known = masked.changed[_DERIVATION][1].decode("ascii"), raw.text(_DERIVATION)
    if known.isascii() and not tokens_of(own).in_text(known):
        # What the maker says of the image, such as its compression, stays behind it.
        masked.changed[_DERIVATION] = ("ST", f"{said} {known}".strip()[:1024].encode("ascii"))
    return masked


def deidentify_file(
    source: Path,
    target: Path,
    *,
    keys: FacilityKeys,
    identity: PatientIdentity | None = None,
    profile: Profile = READING_PROFILE,
    counter: int = 0,
    pixels: PixelPolicy = DEFAULT_POLICY,
    pixels_looked_at: bool = False,
    masks: tuple[Region, ...] = (),
) -> DeidResult:
    """Write a copy of an instance without identity, or hold it.

    Transfer syntax and pixel bytes stay as they are unless regions are masked; every element that the profile does not touch keeps its bytes.
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
    pixels : PixelPolicy
        What the facility has decided about identity in pixels.
    pixels_looked_at : bool
        A person at the facility has seen that no identity shows in the image, outside of `masks` if there are any: it
        is not held for that risk alone.
    masks : tuple of Region
        What a person has drawn; hidden in every frame.

    Raises
    ------
    OSError
        The disk refuses; nothing has been sent and nothing is half-written under the target's name.
    """
    try:
        raw = read_raw(source)
    except BrokenDataset as broken:
        return _held_broken(source, broken)
    own = identity_of(raw)

    def held(reason: str, suspects: tuple[Region, ...] = ()) -> DeidResult:
        return DeidResult(
            "held",
            reason,
            HELD_REASONS[reason]["en"],
            **names,
            sop_class_uid=raw.text(0x00080016),
            identity=own,
            suspects=suspects,
            device=device_of(raw),
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
        names["pseudonym"] = pseudonym_for(
            own.issuer_of_patient_id, own.patient_id, keys.pseudonym_key, counter=counter
        )
    if own.accession_number:
        names["accession"] = accession_pseudonym(
            own.issuer_of_accession_number, own.accession_number, keys.pseudonym_key
        )
    plan = plan_for(raw, pixels, pixels_looked_at=pixels_looked_at, masks=masks)
    reason = _missing(raw, own, identity) or plan.reason or pixels_missing(raw)
    if reason is not None:
        return held(reason, plan.proposal.regions)

    tokens = tokens_of(own)
    rewriter = _Rewriter(raw, profile, keys, tokens)
    try:
        rewriter.masked = _masked(raw, source, plan, None if pixels_looked_at else pixels.reading, own)
    except _NotSeen as unseen:
        return held(unseen.reason, unseen.regions)
    names["transfer_syntax_uid"] = rewriter.transfer_syntax
    inserted = _inserted(
        raw, own, profile, names["pseudonym"], names.get("accession", ""), masked=rewriter.masked
    )
    part = target.with_name(target.name + ".part")
    try:
        sha256, size = _durable(part, _pieces(raw, rewriter, inserted, names["sop_instance_uid"]))
        if leaks_in(read_raw(part), tokens, frozenset(rewriter.original_uids), first_only=True):
            return held("identity_left")
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    _sync_folder(target.parent)
    return DeidResult(
        "clean",
        sha256=sha256,
        size=size,
        **names,
        sop_class_uid=raw.text(0x00080016),
        identity=own,
        masked=plan.regions,
        rules=plan.rules,
    )
