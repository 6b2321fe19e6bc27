"""What PS3.15 Table E.1-1 says is to be done with an attribute under a set of options."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from teleread.dicom.deid._table_e1_1 import EDITION, ROWS
from teleread.dicom.deid._types_ps3_3 import INSIDE, IOD_OF_CLASS, TOP_LEVEL
from teleread.dicom.raw import dictionary_vr
from teleread.errors import InvalidInput


class Option(Enum):
    """Options of PS3.15 E.3 with their codes of CID 7050."""

    CLEAN_GRAPHICS = "113103"
    CLEAN_STRUCTURED_CONTENT = "113104"
    CLEAN_DESCRIPTORS = "113105"
    RETAIN_FULL_DATES = "113106"
    RETAIN_MODIFIED_DATES = "113107"
    RETAIN_PATIENT_CHARACTERISTICS = "113108"
    RETAIN_DEVICE_IDENTITY = "113109"
    RETAIN_UIDS = "113110"
    RETAIN_SAFE_PRIVATE = "113111"
    RETAIN_INSTITUTION_IDENTITY = "113112"

    @property
    def setting(self) -> str:
        """How a settings file and a command line write it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class FacilityKeys:
    """The facility's secrets, 32 bytes each; they never leave the gateway.

    `recipients_pem`, no secret, has the certificates that originals are sealed for in the objects; none by default.
    """

    uid_key: bytes
    pseudonym_key: bytes
    recipients_pem: bytes = b""

    def __repr__(self) -> str:
        return "FacilityKeys(…)"


BASIC_PROFILE_CODE = "113100"
#: Written beside the options where pixels of that very object were cleaned; no row of the table depends on it.
CLEAN_PIXEL_DATA_CODE = "113101"

#: CID 7050 code -> meaning.
CODE_MEANINGS = {
    "113100": "Basic Application Confidentiality Profile",
    "113101": "Clean Pixel Data Option",
    "113103": "Clean Graphics Option",
    "113104": "Clean Structured Content Option",
    "113105": "Clean Descriptors Option",
    "113106": "Retain Longitudinal Temporal Information Full Dates Option",
    "113107": "Retain Longitudinal Temporal Information Modified Dates Option",
    "113108": "Retain Patient Characteristics Option",
    "113109": "Retain Device Identity Option",
    "113110": "Retain UIDs Option",
    "113111": "Retain Safe Private Option",
    "113112": "Retain Institution Identity Option",
}


class Action(Enum):
    """What is done with an element; the letters are the table's (PS3.15 Table E.1-1a)."""

    REPLACE_DUMMY = "D"
    EMPTY = "Z"
    REMOVE = "X"
    KEEP = "K"
    CLEAN = "C"
    REPLACE_UID = "U"
    #: How this software cleans a date under modified dates: it goes back by the patient's number of days.
    SHIFT_DATE = "C, shifted"


@dataclass(frozen=True)
class Profile:
    """The Basic Profile with options; hashable, so that its decisions are worked out once."""

    options: frozenset[Option]

    @property
    def codes(self) -> tuple[str, ...]:
        """CID 7050 codes for (0012,0064), the Basic Profile first."""
        return (BASIC_PROFILE_CODE, *sorted(option.value for option in self.options))


#: What a radiologist needs to read: sex, age and size, devices, true dates and priors, cleaned texts.
READING_PROFILE = Profile(
    frozenset({
        Option.RETAIN_PATIENT_CHARACTERISTICS,
        Option.RETAIN_DEVICE_IDENTITY,
        Option.RETAIN_FULL_DATES,
        Option.CLEAN_DESCRIPTORS,
        Option.CLEAN_GRAPHICS,
        Option.CLEAN_STRUCTURED_CONTENT,
    })
)  # fmt: skip

#: Options that say opposite things of the same attributes.
_CONTRADICTIONS = (
    (
        Option.RETAIN_FULL_DATES,
        Option.RETAIN_MODIFIED_DATES,
        "retain_full_dates and retain_modified_dates exclude each other: dates either stay or are shifted",
    ),
)

#: What may be asked for and is not an option here -> why.
_NOT_OPTIONS = {
    ("clean_pixel_data", "113101"): (
        "clean_pixel_data is no choice: pixels that may show a name are always masked or held, and 113101 is written"
        " where they were masked"
    ),
    ("clean_recognizable_visual_features", "113102"): (
        "clean_recognizable_visual_features cannot be done without a person: no program takes a face out of a head CT or"
        " MR and leaves the diagnosis. Send such studies to a reader only, and keep them out of research exports"
    ),
}


def profile_of(options: Iterable[str], *, field: str, research: bool = False) -> Profile:
    """Return the profile with the options that somebody has written down.

    Parameters
    ----------
    options : iterable of str
        Names such as ``retain_full_dates`` or codes of CID 7050, in any case and order.
    field : str
        Where they were written; an error names it.
    research : bool
        An export that no reader reports on. Only there dates may be modified: a report written on shifted dates would
        say wrong ones at the facility.

    Raises
    ------
    InvalidInput
        An unknown option, two that contradict each other, or one that is not allowed here.
    """
    known = {option.setting: option for option in Option} | {option.value: option for option in Option}
    refused = {name: why for names, why in _NOT_OPTIONS.items() for name in names}
    chosen: set[Option] = set()
    for written in options:
        name = str(written).strip().lower().replace("-", "_")
        if name in refused:
            raise InvalidInput(field, refused[name])
        if name not in known:
            raise InvalidInput(
                field, f"{written!r} is no option; they are {', '.join(option.setting for option in Option)}"
            )
        chosen.add(known[name])
    for first, second, why in _CONTRADICTIONS:
        if {first, second} <= chosen:
            raise InvalidInput(field, why)
    if Option.RETAIN_MODIFIED_DATES in chosen and not research:
        raise InvalidInput(
            field,
            "retain_modified_dates is for research exports by `deidentify` only: every date that a reader types would be"
            " wrong at the facility. Use retain_full_dates, or neither",
        )
    return Profile(frozenset(chosen))


#: The table's choices "unless needed for conformance to the IOD" (PS3.15 Table E.1-1a): what the IOD needs of the
#: attribute (PS3.3: "1" a value, "2" to be there, "" nothing) -> what is done. Where a choice has no form for a need, the
#: one that keeps the object valid is taken.
_CHOICES: dict[str, dict[str, Action]] = {
    "Z": {"1": Action.REPLACE_DUMMY, "2": Action.EMPTY, "": Action.EMPTY},
    "X/Z": {"1": Action.EMPTY, "2": Action.EMPTY, "": Action.REMOVE},
    "X/D": {"1": Action.REPLACE_DUMMY, "2": Action.REPLACE_DUMMY, "": Action.REMOVE},
    "X/Z/D": {"1": Action.REPLACE_DUMMY, "2": Action.EMPTY, "": Action.REMOVE},
    "Z/D": {"1": Action.REPLACE_DUMMY, "2": Action.EMPTY, "": Action.EMPTY},
    # References stay with new UIDs also where the IOD would do without: a reader follows them from image to image.
    "X/Z/U*": {"1": Action.REPLACE_UID, "2": Action.REPLACE_UID, "": Action.REPLACE_UID},
}

#: Stands for the IOD of a SOP Class that PS3.3 does not have (any more): the strictest need of any IOD counts.
ANY_IOD = -1


def iod_of(sop_class_uid: str) -> int:
    """Return the number of the IOD of a SOP Class, `ANY_IOD` for a class that the standard no longer has."""
    return IOD_OF_CLASS.get(sop_class_uid, ANY_IOD)


@lru_cache(maxsize=65536)
def need_of(tag: int, iod: int = ANY_IOD, inside: int = 0) -> str:
    """Return what PS3.3 needs of an attribute: ``1`` a value, ``2`` to be there, empty nothing.

    Parameters
    ----------
    tag : int
        Of the attribute; only those that the table leaves a choice for are known.
    iod : int
        Number of the IOD, by `iod_of`.
    inside : int
        Tag of the sequence whose item it stands in, 0 at the top level.
    """
    if inside:
        return INSIDE.get((inside, tag), "")
    needs = TOP_LEVEL.get(tag, {})
    return next((need for need in ("1", "2") if need in needs and (iod == ANY_IOD or iod in needs[need])), "")


_PRIVATE_ROW = "private"
_BY_KEY = {key: (name, basic, options) for key, name, basic, options in ROWS}

#: Identifiers of kinds, not of things: a UID in them says nothing about a patient or a study.
CLASS_UIDS = frozenset({
    0x00080016, 0x0008001A, 0x0008001B, 0x00080062, 0x0008010C, 0x0008010D, 0x00080117, 0x00080118, 0x0008040E,
    0x00081150, 0x0008115A, 0x00083002, 0x00089123, 0x00340003, 0x04000010, 0x04000510, 0x3010001F, 0x30100052,
    0x30100053,
})  # fmt: skip


def row_key(tag: int) -> str | None:
    """Return the key of the table's row for a tag, None when the table does not list it."""
    if tag & 0x10000:
        return _PRIVATE_ROW
    group = tag >> 16
    key = f"{tag:08X}"
    if 0x5000 <= group <= 0x50FF:
        key = "50xxxxxx"
    elif 0x6000 <= group <= 0x60FF and tag & 0xFFFF in (0x3000, 0x4000):
        key = f"60xx{tag & 0xFFFF:04X}"
    return key if key in _BY_KEY else None


def table_action(key: str, profile: Profile) -> str:
    """Return the table's word for a row under a profile: ``K``, ``C`` or a Basic Profile action such as ``X/Z/D``.

    Cleaning wins over keeping where both options are chosen and both have a say.
    """
    _, basic, by_option = _BY_KEY[key]
    said = {by_option[option.value] for option in profile.options if option.value in by_option}
    if "C" in said:
        return "C"
    return "K" if "K" in said else basic


def _of_dates(vr: str, basic: str, said: str, profile: Profile) -> str | Action:
    """Return how a date is cleaned under modified dates, `said` unchanged without them."""
    if Option.RETAIN_MODIFIED_DATES not in profile.options or said != "C":
        return said
    if vr in ("DA", "DT"):
        return Action.SHIFT_DATE
    # Whole days are taken off, so a time of day and a time zone are as they were; a time stamp in bytes cannot be
    # shifted and is treated as without the option.
    return Action.KEEP if vr in ("TM", "SH", "LO") else basic


def _unlisted(tag: int, vr: str, profile: Profile) -> Action | None:
    if vr == "UI" and tag not in CLASS_UIDS and Option.RETAIN_UIDS not in profile.options:
        return Action.REPLACE_UID
    if vr in ("DA", "DT") and Option.RETAIN_MODIFIED_DATES in profile.options:
        return Action.SHIFT_DATE
    return Action.EMPTY if vr == "PN" else None


def _has_no_place(tag: int, vr: str | None) -> bool:
    # Overlays and curves whole; group lengths would be wrong now; command, meta and directory elements have no place in
    # a dataset; nobody can say what is in an attribute that PS3.6 does not know.
    group = tag >> 16
    return (
        0x5000 <= group <= 0x50FF or 0x6000 <= group <= 0x60FF or tag & 0xFFFF == 0 or vr is None or group < 8
    )


@lru_cache(maxsize=65536)
def choices_for(tag: int, profile: Profile = READING_PROFILE) -> Action | dict[str, Action] | None:
    """Return what is done with an attribute, by what the IOD needs of it where the table leaves a choice to that.

    See `action_for`, which asks the IOD.
    """
    key = row_key(tag)
    vr = dictionary_vr(tag)
    if key == _PRIVATE_ROW:
        return Action.CLEAN if Option.RETAIN_SAFE_PRIVATE in profile.options else Action.REMOVE
    if _has_no_place(tag, vr) or vr is None:
        return Action.REMOVE
    if key is None:
        return _unlisted(tag, vr, profile)
    said: str | Action = table_action(key, profile)
    _, basic, by_option = _BY_KEY[key]
    if Option.RETAIN_MODIFIED_DATES.value in by_option and isinstance(said, str):
        said = _of_dates(vr, basic, said, profile)
    if isinstance(said, Action):
        return said
    choice = _CHOICES.get(said)
    return Action(said) if choice is None else choice


@lru_cache(maxsize=1 << 17)
def action_for(
    tag: int, profile: Profile = READING_PROFILE, iod: int = ANY_IOD, inside: int = 0
) -> Action | None:
    """Return what is done with an attribute, None when the table leaves it alone.

    Parameters
    ----------
    tag : int
        Group and element number, e.g. ``0x00100010``; tags of repeating groups and private tags are understood.
    profile : Profile
        The options in force.
    iod : int
        Number of the object's IOD, by `iod_of`; decides where the table leaves a choice to it.
    inside : int
        Tag of the sequence whose item the attribute stands in, 0 at the top level.

    Notes
    -----
    Beyond the table: elements with VR UI that refer to things, not to kinds, get a new UID; names of persons (PN) that
    the table does not list are emptied; with modified dates, dates that it does not list are shifted too; attributes
    that PS3.6 does not know are removed, since nobody can say what is in them; overlays are removed whole, since drawn
    text cannot be searched for a name. `CLEAN` of a private attribute means: kept if `safe_private` lists it.
    """
    choices = choices_for(tag, profile)
    return choices[need_of(tag, iod, inside)] if isinstance(choices, dict) else choices


def needs_of(tag: int) -> frozenset[str]:
    """Return all that IODs need of an attribute, at the top level or in a sequence; nothing (``""``) is always among it."""
    inside = {need for (_, each), need in INSIDE.items() if each == tag}
    return frozenset({"", *TOP_LEVEL.get(tag, {}), *inside})


def edition() -> str:
    """Return the edition of the standard that the table is from."""
    return EDITION
