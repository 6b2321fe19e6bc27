"""What PS3.15 Table E.1-1 says is to be done with an attribute under a set of options."""

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from teleread.dicom.deid._table_e1_1 import EDITION, ROWS
from teleread.dicom.raw import dictionary_vr


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

#: CID 7050 code -> meaning.
CODE_MEANINGS = {
    "113100": "Basic Application Confidentiality Profile",
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

#: The table gives a choice "unless needed for conformance to the IOD" (Table E.1-1a). An empty value conforms wherever
#: the attribute is type 2 or 3, a dummy wherever it is type 1; references keep their sequence and get new UIDs.
_CHOICES = {
    "X/Z": Action.EMPTY,
    "X/D": Action.REPLACE_DUMMY,
    "X/Z/D": Action.EMPTY,
    "Z/D": Action.EMPTY,
    "X/Z/U*": Action.REPLACE_UID,
}

#: Of sequences: those with a choice to remove are type 3, or 1C for what is removed with them, where they occur; an
#: empty one would break the IOD (PS3.3 C.7.2.1, 10.1), and a dummy person is worse than none.
_SEQUENCE_CHOICES = _CHOICES | {"X/D": Action.REMOVE, "X/Z": Action.REMOVE, "X/Z/D": Action.REMOVE}
#: Acquisition Context Sequence is type 2 (PS3.3 C.7.6.14).
_TYPE_2_SEQUENCES = frozenset({0x00400555})

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


@lru_cache(maxsize=65536)
def action_for(tag: int, profile: Profile = READING_PROFILE) -> Action | None:
    """Return what is done with an attribute, None when the table leaves it alone.

    Parameters
    ----------
    tag : int
        Group and element number, e.g. ``0x00100010``; tags of repeating groups and private tags are understood.
    profile : Profile
        The options in force.

    Notes
    -----
    Beyond the table: elements with VR UI that refer to things, not to kinds, get a new UID; names of persons (PN) that
    the table does not list are emptied; attributes that PS3.6 does not know are removed, since nobody can say what is
    in them; overlays are removed whole, since drawn text cannot be searched for a name.
    """
    key = row_key(tag)
    vr = dictionary_vr(tag)
    if key == _PRIVATE_ROW or 0x5000 <= tag >> 16 <= 0x50FF or 0x6000 <= tag >> 16 <= 0x60FF:
        return Action.REMOVE
    if tag & 0xFFFF == 0 or vr is None or tag >> 16 < 0x0008:
        # Group lengths would be wrong now; command, meta and directory elements have no place in a dataset.
        return Action.REMOVE
    if key is None:
        if vr == "UI" and tag not in CLASS_UIDS and Option.RETAIN_UIDS not in profile.options:
            return Action.REPLACE_UID
        return Action.EMPTY if vr == "PN" else None
    said = table_action(key, profile)
    choices = _SEQUENCE_CHOICES if vr == "SQ" and tag not in _TYPE_2_SEQUENCES else _CHOICES
    return choices.get(said) or Action(said)


def edition() -> str:
    """Return the edition of the standard that the table is from."""
    return EDITION
