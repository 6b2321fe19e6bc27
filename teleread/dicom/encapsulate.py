"""A PDF as DICOM Encapsulated PDF in the study that it is about (PS3.3 A.45.1).

Patient and study are written with the bytes in which they came, under the character set in which they came: an archive
that only reads ISO 2022 IR 87 gets ISO 2022 IR 87 back. So the object is put together from bytes, not re-encoded.
"""

import struct
from datetime import datetime, timedelta, timezone

from teleread.dicom.deid.deidentify import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from teleread.dicom.deid.identity import PatientIdentity
from teleread.errors import InvalidInput

ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
EXPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"

#: Printed where the character set of the study cannot hold the title.
PLAIN_TITLE = "Diagnostic imaging report"

_JAPAN = timezone(timedelta(hours=9))
# PS3.5 7.1.2: these have two reserved bytes and a length of four bytes.
_LONG_VRS = frozenset({"OB", "SQ", "UN", "UT"})
_PADDED_WITH_NULL = frozenset({"OB", "UI", "UN"})
# Default repertoires from which iso2022_jp starts and to which it returns (PS3.3 C.12.1.1.2).
_ASCII_FIRST = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})


def _element(tag: int, vr: str, value: bytes) -> bytes:
    if len(value) % 2:
        value += b"\0" if vr in _PADDED_WITH_NULL else b" "
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode("ascii")
    if vr in _LONG_VRS:
        return head + struct.pack("<HI", 0, len(value)) + value
    if len(value) > 0xFFFF:
        raise InvalidInput(f"{tag:08X}", "is longer than its value representation allows")
    return head + struct.pack("<H", len(value)) + value


def _item(elements: list[bytes]) -> bytes:
    content = b"".join(elements)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def _title(title: str, character_set: tuple[str, ...]) -> bytes:
    """The title in the study's character set, or a plain English one where that cannot hold it."""
    codec = "ascii"
    if "ISO_IR 192" in character_set:
        codec = "utf-8"
    elif "ISO 2022 IR 87" in character_set and character_set[0] in _ASCII_FIRST:
        codec = "iso2022_jp"
    try:
        return title.encode(codec)
    except UnicodeEncodeError:
        return PLAIN_TITLE.encode("ascii")


def encapsulated_pdf(
    pdf: bytes,
    identity: PatientIdentity,
    *,
    sop_instance_uid: str,
    series_instance_uid: str,
    title: str,
    at: datetime,
    series_number: int = 9000,
    instance_number: int = 1,
) -> bytes:
    """A DICOM file (Explicit VR Little Endian) that holds a PDF.

    Parameters
    ----------
    pdf : bytes
        Goes in byte by byte; `encapsulated_document` gets the same bytes out.
    identity : PatientIdentity
        Patient and study as the facility sent them.
    sop_instance_uid, series_instance_uid : str
        The caller's, so that a repeated delivery carries the same ones.
    title : str
        Document Title (0042,0010), ST. In ASCII English where the study's character set cannot hold it.
    at : datetime
        Creation, aware; written as Japanese local time, like the dates of the study.
    series_number, instance_number : int
        (0020,0011) and (0020,0013), IS.

    Raises
    ------
    InvalidInput
        No PDF, or a study without a UID.
    """
    if not pdf.startswith(b"%PDF-"):
        raise InvalidInput("pdf", "is not a PDF")
    if not identity.study_instance_uid:
        raise InvalidInput("study_instance_uid", "is missing")
    local = at.astimezone(_JAPAN)
    date, time = f"{local:%Y%m%d}".encode(), f"{local:%H%M%S}".encode()

    def ascii_value(text: str) -> bytes:
        return text.encode("ascii", "replace")

    concept = _item(
        [
            _element(0x00080100, "SH", b"18748-4"),
            _element(0x00080102, "SH", b"LN"),
            _element(0x00080104, "LO", b"Diagnostic Imaging Report"),
        ]
    )
    elements = [
        _element(0x00080005, "CS", ascii_value("\\".join(identity.specific_character_set))),
        _element(0x00080012, "DA", date),
        _element(0x00080013, "TM", time),
        _element(0x00080016, "UI", ENCAPSULATED_PDF.encode()),
        _element(0x00080018, "UI", ascii_value(sop_instance_uid)),
        _element(0x00080020, "DA", ascii_value(identity.study_date)),
        _element(0x00080021, "DA", date),
        _element(0x00080023, "DA", date),
        _element(0x0008002A, "DT", b""),
        _element(0x00080030, "TM", ascii_value(identity.study_time)),
        _element(0x00080031, "TM", time),
        _element(0x00080033, "TM", time),
        _element(0x00080050, "SH", identity.accession_number_raw),
        _element(0x00080060, "CS", b"DOC"),
        _element(0x00080064, "CS", b"WSD"),
        _element(0x00080070, "LO", b"teleread"),
        _element(0x00080080, "LO", identity.institution_name_raw),
        _element(0x00080090, "PN", identity.referring_physician_name_raw),
        _element(0x00081030, "LO", identity.study_description_raw),
        _element(0x0008103E, "LO", b"Report"),
        _element(0x00081040, "LO", identity.department_raw),
        _element(0x00100010, "PN", identity.patient_name_raw),
        _element(0x00100020, "LO", identity.patient_id_raw),
        _element(0x00100021, "LO", identity.issuer_of_patient_id_raw),
        _element(0x00100030, "DA", ascii_value(identity.birth_date)),
        _element(0x00100040, "CS", ascii_value(identity.sex)),
        _element(0x0020000D, "UI", ascii_value(identity.study_instance_uid)),
        _element(0x0020000E, "UI", ascii_value(series_instance_uid)),
        _element(0x00200010, "SH", identity.study_id_raw),
        _element(0x00200011, "IS", str(series_number).encode()),
        _element(0x00200013, "IS", str(instance_number).encode()),
        # The page shows the patient's name: whoever passes the object on has to know.
        _element(0x00280301, "CS", b"YES"),
        _element(0x0040A043, "SQ", concept),
        _element(0x00420010, "ST", _title(title, identity.specific_character_set)),
        _element(0x00420011, "OB", pdf),
        _element(0x00420012, "LO", b"application/pdf"),
        _element(0x00420015, "UL", struct.pack("<I", len(pdf))),
    ]
    # Optional attributes (type 3) that came empty or not at all are left out.
    optional = {0x00080005, 0x00080080, 0x00081030, 0x00081040, 0x00100021}
    dataset = b"".join(
        element for element in elements if not (_tag(element) in optional and element[6:8] == b"\0\0")
    )
    return b"\0" * 128 + b"DICM" + _file_meta(sop_instance_uid) + dataset


def _tag(element: bytes) -> int:
    group, number = struct.unpack("<HH", element[:4])
    return int(group) << 16 | int(number)


def _file_meta(sop_instance_uid: str) -> bytes:
    """PS3.10 7.1."""
    content = b"".join(
        [
            _element(0x00020001, "OB", b"\0\1"),
            _element(0x00020002, "UI", ENCAPSULATED_PDF.encode()),
            _element(0x00020003, "UI", sop_instance_uid.encode("ascii")),
            _element(0x00020010, "UI", EXPLICIT_VR_LITTLE_ENDIAN.encode()),
            _element(0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode()),
            _element(0x00020013, "SH", IMPLEMENTATION_VERSION_NAME.encode()),
        ]
    )
    return _element(0x00020000, "UL", struct.pack("<I", len(content))) + content


def encapsulated_document(data: bytes) -> bytes:
    """The PDF inside a file that `encapsulated_pdf` made, without its padding.

    Raises
    ------
    InvalidInput
        The file has no encapsulated document, or is cut off.
    """
    mark = struct.pack("<HH", 0x0042, 0x0011) + b"OB\0\0"
    length_mark = struct.pack("<HH", 0x0042, 0x0015) + b"UL" + struct.pack("<H", 4)
    start = data.find(mark)
    if start < 0 or len(data) < start + 12:
        raise InvalidInput("file", "has no encapsulated document")
    padded = int.from_bytes(data[start + 8 : start + 12], "little")
    document = data[start + 12 : start + 12 + padded]
    rest = data[start + 12 + padded :]
    at = rest.find(length_mark)
    if len(document) != padded or at < 0:
        raise InvalidInput("file", "is cut off")
    return document[: int.from_bytes(rest[at + 8 : at + 12], "little")]
