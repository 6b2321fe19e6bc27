"""Synthetic instances for tests: invented patients, real encodings."""

import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from teleread.dicom.raw import encode_element, parse_raw

#: Roman, kanji and kana groups of an invented patient, as ISO 2022 IR 87 bytes with 髙 and 﨑 of NEC's extension.
JAPANESE_NAME_RAW = (
    b"TAKASAKI^HANAKO="
     b"\x1b$B" + b"\x7c\x62" + b"\x79\x75" + b"\x1b(B" + b"^" + b"\x1b$B" + "花子".encode("iso2022_jp")[3:-3] + b"\x1b(B"
    + b"="
    + b"\x1b$B" + "たかさき".encode("iso2022_jp")[3:-3] + b"\x1b(B" + b"^"
    + b"\x1b$B" + "はなこ".encode("iso2022_jp")[3:-3] + b"\x1b(B"
)  # fmt: skip

CHARACTER_SETS = ["", "ISO 2022 IR 87"]

STUDY_UID = "1.2.826.0.1.3680043.8.498.71.1"
#: Stands for the raw name until the file is written: pydicom would write ?? for 髙﨑.
PLACEHOLDER = "RAW"

SERIES_UID = "1.2.826.0.1.3680043.8.498.71.2"


def ct_slice(number: int = 1, *, size: int = 16, patient_id: str = "TR-0071234", **changes: Any) -> Dataset:
    """Return one slice of a CT; keyword arguments set further attributes, None removes one."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.SpecificCharacterSet = CHARACTER_SETS
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"{SERIES_UID}.{number}"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = dataset.AcquisitionDate = "20260511"
    dataset.StudyTime = dataset.ContentTime = "101500"
    dataset.AccessionNumber = "ACC771234"
    dataset.Modality = "CT"
    dataset.Manufacturer = "TELEREAD TEST"
    dataset.ReferringPhysicianName = "SUZUKI^JIRO"
    dataset.StudyDescription = "CT CHEST"
    dataset.SeriesDescription = "Axial 5mm"
    dataset.PatientName = PLACEHOLDER
    dataset.PatientID = patient_id
    dataset.PatientBirthDate = "19590203"
    dataset.PatientSex = "F"
    dataset.StudyInstanceUID = STUDY_UID
    dataset.SeriesInstanceUID = SERIES_UID
    dataset.StudyID = "S-9"
    dataset.SeriesNumber = 2
    dataset.InstanceNumber = number
    dataset.ImagePositionPatient = [0, 0, 5 * number]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.FrameOfReferenceUID = f"{STUDY_UID}.9"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = size
    dataset.PixelSpacing = [0.7, 0.7]
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit = 15
    dataset.PixelRepresentation = 0
    dataset.WindowCenter, dataset.WindowWidth = "40", "400"
    dataset.RescaleIntercept, dataset.RescaleSlope = "-1024", "1"
    dataset.PixelData = struct.pack(
        f"<{size * size}H", *((number * 7 + place) % 4096 for place in range(size * size))
    )
    for keyword, value in changes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", CTImageStorage)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", "1.2.3")
    return dataset


def ct_study(slices: int = 3, **changes: Any) -> list[Dataset]:
    """Return the slices of a CT study of an invented Japanese patient."""
    return [ct_slice(number, **changes) for number in range(1, slices + 1)]


def with_raw_values(data: bytes, values: dict[int, bytes]) -> bytes:
    """Return a file with top-level values replaced by bytes as received."""
    raw = parse_raw(data)
    pieces, at = [], 0
    for element in raw.elements:
        if element.tag in values:
            pieces += [
                data[at : element.start],
                encode_element(element.tag, element.vr, values[element.tag], raw.syntax),
            ]
            at = element.end
    return b"".join([*pieces, data[at:]])


def encoded(dataset: Dataset, raw_values: dict[int, bytes] | None = None) -> bytes:
    """Return a dataset as the bytes of a DICOM file."""
    dataset.preamble = bytes(128)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    values = dict(raw_values or {})
    if dataset.get("PatientName") == PLACEHOLDER:
        values.setdefault(0x00100010, JAPANESE_NAME_RAW)
    return with_raw_values(stream.getvalue(), values)


def write(dataset: Dataset, path: Path, raw_values: dict[int, bytes] | None = None) -> Path:
    """Write a dataset as a DICOM file, and return its path."""
    path.write_bytes(encoded(dataset, raw_values))
    return path


def write_study(datasets: list[Dataset], folder: Path) -> Iterator[Path]:
    """Write a study, a file an instance, and yield the paths."""
    for number, dataset in enumerate(datasets, 1):
        yield write(dataset, folder / f"{number:04d}.dcm")
