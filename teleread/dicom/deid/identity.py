"""Who a study is about: what the header says, kept at the facility to name the report again."""

import base64
import re
import unicodedata
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from teleread.dicom.raw import Element, RawFile, read_raw
from teleread.dicom.text import decode
from teleread.errors import InvalidInput

#: Attribute of PatientIdentity -> tag whose raw value it keeps.
RAW_VALUES = {
    "patient_name_raw": 0x00100010,
    "patient_id_raw": 0x00100020,
    "issuer_of_patient_id_raw": 0x00100021,
    "accession_number_raw": 0x00080050,
    "referring_physician_name_raw": 0x00080090,
    "study_description_raw": 0x00081030,
    "institution_name_raw": 0x00080080,
    "department_raw": 0x00081040,
    "study_id_raw": 0x00200010,
}

#: Further attributes that name this patient or people about the patient: looked for in free text.
_NAMES_PATIENT = (0x00101001, 0x00101005, 0x00101060, 0x00102297)
_NUMBERS_PATIENT = (0x00101000, 0x00380010, 0x00101090)
_PHONES = (0x00102154,)
_ADDRESSES = (0x00101040, 0x00380400)
_NAMES_OTHERS = (0x00080090, 0x00081048, 0x00081050, 0x00081060, 0x00081070, 0x00321032, 0x00401010)


@dataclass(frozen=True, slots=True)
class PatientIdentity:
    """The patient and study modules of an original instance, decoded and as the bytes that came.

    Attributes
    ----------
    specific_character_set : tuple of str
        (0008,0005), CS; the raw values below are written in it.
    patient_name : str
        Decoded (0010,0010), PN, up to three component groups parted by ``=``.
    patient_id, issuer_of_patient_id : str
        Decoded (0010,0020) and (0010,0021), LO.
    birth_date, study_date : str
        (0010,0030) and (0008,0020), DA, ``YYYYMMDD`` or empty.
    issuer_of_accession_number : str
        Local Namespace Entity ID of (0008,0051), or its Universal Entity ID.
    other_names, other_numbers : tuple of str
        Further names and numbers of the patient in the header (aliases, other IDs).
    phones, addresses : tuple of str
        (0010,2154) Patient's Telephone Numbers; (0010,1040) Patient's Address, (0038,0400) Patient's Institution Residence.
    people : tuple of str
        Names of physicians and operators in the header.
    *_raw : bytes
        Values exactly as received, without the padding.
    """

    specific_character_set: tuple[str, ...] = ()
    patient_name: str = ""
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    birth_date: str = ""
    birth_time: str = ""
    sex: str = ""
    age: str = ""
    accession_number: str = ""
    issuer_of_accession_number: str = ""
    study_instance_uid: str = ""
    study_date: str = ""
    study_time: str = ""
    study_id: str = ""
    study_description: str = ""
    referring_physician_name: str = ""
    institution_name: str = ""
    department: str = ""
    modality: str = ""
    other_names: tuple[str, ...] = ()
    other_numbers: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    patient_name_raw: bytes = b""
    patient_id_raw: bytes = b""
    issuer_of_patient_id_raw: bytes = b""
    accession_number_raw: bytes = b""
    referring_physician_name_raw: bytes = b""
    study_description_raw: bytes = b""
    institution_name_raw: bytes = b""
    department_raw: bytes = b""
    study_id_raw: bytes = b""

    @property
    def name_groups(self) -> tuple[str, str, str]:
        """Alphabetic, ideographic and phonetic group of the name; empty where there is none (PS3.5 6.2.1)."""
        groups = [*self.patient_name.split("="), "", ""]
        return groups[0], groups[1], groups[2]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; bytes as base64."""
        answer: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, bytes):
                value = base64.b64encode(value).decode("ascii")
            answer[each.name] = list(value) if isinstance(value, tuple) else value
        return answer

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "PatientIdentity":
        """Return the identity that `to_json` wrote; unknown keys are ignored.

        Raises
        ------
        InvalidInput
            A known key has a value of another type.
        """
        values: dict[str, Any] = {}
        for each in fields(cls):
            if each.name not in data:
                continue
            value = data[each.name]
            if each.name.endswith("_raw") and isinstance(value, str):
                values[each.name] = base64.b64decode(value)
            elif isinstance(value, list) and all(isinstance(item, str) for item in value):
                values[each.name] = tuple(value)
            elif isinstance(value, str):
                values[each.name] = value
            else:
                raise InvalidInput(each.name, "is not of the type it was written with")
        return cls(**values)


def plain_id(patient_id: str) -> str:
    """Return a patient ID as it is compared between a request and a header: without bars, blanks and leading zeros."""
    return re.sub(r"[\s\-]", "", unicodedata.normalize("NFKC", patient_id)).lstrip("0").casefold()


def character_sets(raw: RawFile) -> tuple[str, ...]:
    """Return the values of the top-level Specific Character Set, none when it is absent or empty."""
    text = raw.text(0x00080005)
    return tuple(term.strip() for term in text.split("\\")) if text else ()


def _inner_text(raw: RawFile, sequence: Element | None, tags: tuple[int, ...], sets: tuple[str, ...]) -> str:
    if sequence is None or not sequence.items:
        return ""
    found = {element.tag: element for element in sequence.items[0].elements}
    for tag in tags:
        if tag in found:
            return decode(raw.data[found[tag].value_at : found[tag].value_end], sets).strip()
    return ""


def identity_of(raw: RawFile) -> PatientIdentity:
    """Return the identity in a file already taken apart."""
    sets = character_sets(raw)

    def text(tag: int) -> str:
        return decode(raw.value(tag), sets).strip(" \0")

    def texts(tags: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(each.strip() for tag in tags for each in text(tag).split("\\") if each.strip())

    other_ids = raw.find(0x00101002)
    nested_ids = tuple(
        decode(raw.data[element.value_at : element.value_end], sets).strip()
        for item in (other_ids.items or () if other_ids else ())
        for element in item.elements
        if element.tag == 0x00100020
    )
    return PatientIdentity(
        specific_character_set=sets,
        patient_name=text(0x00100010),
        patient_id=text(0x00100020),
        issuer_of_patient_id=text(0x00100021),
        birth_date=raw.text(0x00100030).replace(".", ""),
        birth_time=raw.text(0x00100032),
        sex=raw.text(0x00100040),
        age=raw.text(0x00101010),
        accession_number=text(0x00080050),
        issuer_of_accession_number=_inner_text(raw, raw.find(0x00080051), (0x00400031, 0x00400032), sets),
        study_instance_uid=raw.text(0x0020000D),
        study_date=raw.text(0x00080020).replace(".", ""),
        study_time=raw.text(0x00080030),
        study_id=text(0x00200010),
        study_description=text(0x00081030),
        referring_physician_name=text(0x00080090),
        institution_name=text(0x00080080),
        department=text(0x00081040),
        modality=raw.text(0x00080060),
        other_names=texts(_NAMES_PATIENT),
        other_numbers=(*texts(_NUMBERS_PATIENT), *(each for each in nested_ids if each)),
        phones=texts(_PHONES),
        addresses=texts(_ADDRESSES),
        people=texts(_NAMES_OTHERS),
        **{name: raw.value(tag).rstrip(b" \0") for name, tag in RAW_VALUES.items()},
    )


def read_identity(path: Path) -> PatientIdentity:
    """Return what the header of a file says about the patient and the study.

    Reads any transfer syntax, with or without file meta, in any character set.

    Raises
    ------
    BrokenDataset
        The file is no dataset, or cut off (an `InvalidInput` whose code is the reason).
    """
    return identity_of(read_raw(path))
