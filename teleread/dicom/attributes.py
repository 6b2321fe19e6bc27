"""The attributes that the centre indexes, and how they are read from a file.

PS3.18 Tables 10.6.1-3 to 10.6.1-5 name what a QIDO-RS answer holds; the levels are those of the Query/Retrieve
information model (PS3.4 C.6).
"""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from teleread.dicom.deid.identity import character_sets
from teleread.dicom.json_model import element_json
from teleread.dicom.raw import RawFile, read_raw
from teleread.dicom.text import decode
from teleread.domain.identifiers import check_uid


class Level(Enum):
    """Levels of the study root information model; the patient's attributes count to the study."""

    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class IndexedAttribute:
    """A row of the table below."""

    keyword: str
    tag: int
    vr: str
    level: Level

    @property
    def key(self) -> str:
        """The tag as eight hexadecimal digits."""
        return f"{self.tag:08X}"


_STUDY, _SERIES, _INSTANCE = Level.STUDY, Level.SERIES, Level.INSTANCE

INDEXED_ATTRIBUTES: tuple[IndexedAttribute, ...] = (
    IndexedAttribute("StudyDate", 0x00080020, "DA", _STUDY),
    IndexedAttribute("StudyTime", 0x00080030, "TM", _STUDY),
    IndexedAttribute("AccessionNumber", 0x00080050, "SH", _STUDY),
    IndexedAttribute("ReferringPhysicianName", 0x00080090, "PN", _STUDY),
    IndexedAttribute("TimezoneOffsetFromUTC", 0x00080201, "SH", _STUDY),
    IndexedAttribute("StudyDescription", 0x00081030, "LO", _STUDY),
    IndexedAttribute("PatientName", 0x00100010, "PN", _STUDY),
    IndexedAttribute("PatientID", 0x00100020, "LO", _STUDY),
    IndexedAttribute("PatientBirthDate", 0x00100030, "DA", _STUDY),
    IndexedAttribute("PatientSex", 0x00100040, "CS", _STUDY),
    IndexedAttribute("PatientAge", 0x00101010, "AS", _STUDY),
    IndexedAttribute("PatientSize", 0x00101020, "DS", _STUDY),
    IndexedAttribute("PatientWeight", 0x00101030, "DS", _STUDY),
    IndexedAttribute("StudyInstanceUID", 0x0020000D, "UI", _STUDY),
    IndexedAttribute("StudyID", 0x00200010, "SH", _STUDY),
    IndexedAttribute("Modality", 0x00080060, "CS", _SERIES),
    IndexedAttribute("SeriesDate", 0x00080021, "DA", _SERIES),
    IndexedAttribute("SeriesTime", 0x00080031, "TM", _SERIES),
    IndexedAttribute("Manufacturer", 0x00080070, "LO", _SERIES),
    IndexedAttribute("StationName", 0x00081010, "SH", _SERIES),
    IndexedAttribute("SeriesDescription", 0x0008103E, "LO", _SERIES),
    IndexedAttribute("ManufacturerModelName", 0x00081090, "LO", _SERIES),
    IndexedAttribute("BodyPartExamined", 0x00180015, "CS", _SERIES),
    IndexedAttribute("ProtocolName", 0x00181030, "LO", _SERIES),
    IndexedAttribute("SeriesInstanceUID", 0x0020000E, "UI", _SERIES),
    IndexedAttribute("SeriesNumber", 0x00200011, "IS", _SERIES),
    IndexedAttribute("Laterality", 0x00200060, "CS", _SERIES),
    IndexedAttribute("PerformedProcedureStepStartDate", 0x00400244, "DA", _SERIES),
    IndexedAttribute("PerformedProcedureStepStartTime", 0x00400245, "TM", _SERIES),
    IndexedAttribute("RequestAttributesSequence", 0x00400275, "SQ", _SERIES),
    IndexedAttribute("ImageType", 0x00080008, "CS", _INSTANCE),
    IndexedAttribute("SOPClassUID", 0x00080016, "UI", _INSTANCE),
    IndexedAttribute("SOPInstanceUID", 0x00080018, "UI", _INSTANCE),
    IndexedAttribute("ContentDate", 0x00080023, "DA", _INSTANCE),
    IndexedAttribute("ContentTime", 0x00080033, "TM", _INSTANCE),
    IndexedAttribute("InstanceNumber", 0x00200013, "IS", _INSTANCE),
    IndexedAttribute("ImagePositionPatient", 0x00200032, "DS", _INSTANCE),
    IndexedAttribute("ImageOrientationPatient", 0x00200037, "DS", _INSTANCE),
    IndexedAttribute("FrameOfReferenceUID", 0x00200052, "UI", _INSTANCE),
    IndexedAttribute("SliceLocation", 0x00201041, "DS", _INSTANCE),
    IndexedAttribute("SamplesPerPixel", 0x00280002, "US", _INSTANCE),
    IndexedAttribute("PhotometricInterpretation", 0x00280004, "CS", _INSTANCE),
    IndexedAttribute("NumberOfFrames", 0x00280008, "IS", _INSTANCE),
    IndexedAttribute("Rows", 0x00280010, "US", _INSTANCE),
    IndexedAttribute("Columns", 0x00280011, "US", _INSTANCE),
    IndexedAttribute("PixelSpacing", 0x00280030, "DS", _INSTANCE),
    IndexedAttribute("BitsAllocated", 0x00280100, "US", _INSTANCE),
    IndexedAttribute("WindowCenter", 0x00281050, "DS", _INSTANCE),
    IndexedAttribute("WindowWidth", 0x00281051, "DS", _INSTANCE),
)

BY_KEYWORD = {attribute.keyword: attribute for attribute in INDEXED_ATTRIBUTES}
BY_KEY = {attribute.key: attribute for attribute in INDEXED_ATTRIBUTES}


@dataclass(frozen=True, slots=True)
class IndexedInstance:
    """What the centre stores about an instance beside its bytes.

    Attributes
    ----------
    study_attributes, series_attributes, instance_attributes : dict
        DICOM JSON objects by tag (PS3.18 F.2) of the indexed attributes of that level that the file has.
    series_number, instance_number, rows, columns : int or None
        None when absent or no number.
    has_pixels : bool
        Whether there is something to show as frames.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    patient_id: str
    patient_name: str
    sex: str
    age: str
    study_date: str
    study_time: str
    study_description: str
    accession: str
    modality: str
    series_number: int | None
    series_description: str
    body_part: str
    instance_number: int | None
    rows: int | None
    columns: int | None
    number_of_frames: int
    has_pixels: bool
    study_attributes: dict[str, Any] = field(default_factory=dict)
    series_attributes: dict[str, Any] = field(default_factory=dict)
    instance_attributes: dict[str, Any] = field(default_factory=dict)


def _optional_number(raw: RawFile, tag: int) -> int | None:
    missing = -(1 << 40)
    number = raw.number(tag, missing)
    return None if number == missing else number


def _fragment(path: str) -> str:
    # A binary value inside an indexed sequence is found in the instance's own metadata.
    return f"#{path}"


def _level_json(raw: RawFile, sets: tuple[str, ...]) -> dict[Level, dict[str, Any]]:
    found: dict[Level, dict[str, Any]] = {level: {} for level in Level}
    for attribute in INDEXED_ATTRIBUTES:
        element = raw.find(attribute.tag)
        if element is not None:
            found[attribute.level][attribute.key] = element_json(raw, element, sets, _fragment, attribute.key)
    return found


def read_index(path: Path) -> IndexedInstance:
    """Return what is indexed of a file.

    Raises
    ------
    InvalidInput
        Not readable (`BrokenDataset`), or without valid study, series, SOP instance or SOP class UID.
    """
    raw = read_raw(path)
    sets = character_sets(raw)

    def text(tag: int) -> str:
        return decode(raw.value(tag), sets).strip(" \0")

    by_level = _level_json(raw, sets)
    return IndexedInstance(
        study_instance_uid=check_uid(raw.text(0x0020000D), field="StudyInstanceUID"),
        series_instance_uid=check_uid(raw.text(0x0020000E), field="SeriesInstanceUID"),
        sop_instance_uid=check_uid(raw.text(0x00080018), field="SOPInstanceUID"),
        sop_class_uid=check_uid(raw.text(0x00080016), field="SOPClassUID"),
        transfer_syntax_uid=raw.transfer_syntax,
        patient_id=text(0x00100020),
        patient_name=text(0x00100010),
        sex=raw.text(0x00100040),
        age=raw.text(0x00101010),
        study_date=raw.text(0x00080020).replace(".", ""),
        study_time=raw.text(0x00080030),
        study_description=text(0x00081030),
        accession=text(0x00080050),
        modality=raw.text(0x00080060),
        series_number=_optional_number(raw, 0x00200011),
        series_description=text(0x0008103E),
        body_part=raw.text(0x00180015),
        instance_number=_optional_number(raw, 0x00200013),
        rows=_optional_number(raw, 0x00280010),
        columns=_optional_number(raw, 0x00280011),
        number_of_frames=max(raw.number(0x00280008, 1), 1),
        has_pixels=any(raw.find(tag) is not None for tag in (0x7FE00008, 0x7FE00009, 0x7FE00010)),
        study_attributes=by_level[Level.STUDY],
        series_attributes=by_level[Level.SERIES],
        instance_attributes=by_level[Level.INSTANCE],
    )
