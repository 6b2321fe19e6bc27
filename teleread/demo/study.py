"""Writes the synthetic CT study of the demo: an invented Japanese patient, a chest phantom, 40 instances.

The patient's text is written as a Japanese modality writes it: Specific Character Set ``\\ISO 2022 IR 87``, kanji and kana
between the escapes ``ESC $ B`` and ``ESC ( B``, and ASCII again before each ``^`` and ``=`` (PS3.5 Section 6.1.2.5.3
and Annex H).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
SIZE = 512
#: One scout and two reconstructions of the same volume: 40 instances in all.
SOFT_TISSUE_SLICES = 20
LUNG_SLICES = 19

_SLICE_SPACING_MM = 7.0
_PIXEL_SPACING_MM = 0.78
_RESCALE_INTERCEPT = -1024


@dataclass(frozen=True)
class Patient:
    """An invented person. Groups of the name: alphabetic, ideographic, phonetic (PS3.5 Section 6.2, VR PN)."""

    name: str = "KAKUUGAWA^KIRINOSUKE=架空川^霧之助=かくうがわ^きりのすけ"
    patient_id: str = "KK-7730-2519"
    birth_date: str = "19570314"
    sex: str = "M"
    age: str = "069Y"
    accession_number: str = "KH2611230417"


def _ellipse(y: float, x: float, height: float, width: float) -> NDArray[np.bool_]:
    """Return the inside of an ellipse; centre and half axes as parts of the image's size."""
    rows, columns = (axis / SIZE for axis in np.ogrid[0:SIZE, 0:SIZE])
    inside: NDArray[np.bool_] = ((rows - y) / height) ** 2 + ((columns - x) / width) ** 2 <= 1.0
    return inside


def chest_slice(position: float) -> NDArray[np.float64]:
    """Return one axial slice in Hounsfield units; `position` runs from 0 (apex) to 1 (diaphragm)."""
    image = np.full((SIZE, SIZE), -1000.0)
    image[_ellipse(0.52, 0.5, 0.33, 0.44)] = -95.0  # subcutaneous fat
    image[_ellipse(0.52, 0.5, 0.305, 0.415)] = 45.0  # muscle
    thorax = _ellipse(0.52, 0.5, 0.262, 0.372)
    reach = 0.12 + 0.09 * np.sin(np.pi * (0.15 + 0.7 * position))
    for side in (-1, 1):
        image[thorax & _ellipse(0.51, 0.5 + side * 0.19, reach + 0.07, reach * 0.86)] = -860.0
        for number, (dy, dx) in enumerate(
            ((-0.07, 0.03), (0.02, -0.02), (0.08, 0.03), (-0.01, 0.06), (0.05, 0.07))
        ):
            wander = 0.012 * np.sin(9 * position + number)
            radius = 0.0105 - 0.0012 * number
            image[_ellipse(0.51 + dy + wander, 0.5 + side * (0.2 + dx), radius, radius)] = 35.0  # vessels
    if position > 0.35:
        beat = np.sin(np.pi * min(1.0, (position - 0.35) / 0.6))
        image[_ellipse(0.45, 0.54, 0.06 + 0.09 * beat, 0.07 + 0.11 * beat)] = 42.0  # heart
        image[_ellipse(0.45, 0.56, 0.03 + 0.05 * beat, 0.03 + 0.06 * beat)] = 55.0
    else:
        image[_ellipse(0.47, 0.5, 0.09, 0.075)] = 30.0  # upper mediastinum
        image[_ellipse(0.5, 0.49, 0.02, 0.022)] = -980.0  # trachea
    image[_ellipse(0.6, 0.545, 0.028, 0.028)] = 50.0  # descending aorta
    image[_ellipse(0.68, 0.5, 0.062, 0.066)] = 260.0  # vertebral body
    image[_ellipse(0.68, 0.5, 0.05, 0.054)] = 150.0
    image[_ellipse(0.745, 0.5, 0.016, 0.02)] = 15.0  # spinal canal
    for angle in np.linspace(0.2, 2 * np.pi - 0.2, 14):
        turn = angle + position * 1.7
        image[_ellipse(0.52 + 0.275 * np.sin(turn), 0.5 + 0.385 * np.cos(turn), 0.013, 0.024)] = 420.0  # ribs
    distance = (position - 0.55) / 0.09
    if abs(distance) < 1:
        radius = 0.021 * np.sqrt(1 - distance**2)
        image[_ellipse(0.44, 0.285, radius, radius)] = 25.0  # the nodule that the demo's report speaks of
    return image


def _scout(volume: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return a frontal projection of the volume as a localizer."""
    lines = np.array([np.clip(slice_ + 1000.0, 0, None).mean(axis=0) for slice_ in volume])
    rows = np.linspace(0, len(lines) - 1, SIZE)
    below = np.floor(rows).astype(int)
    above = np.minimum(below + 1, len(lines) - 1)
    part = (rows - below)[:, None]
    projection: NDArray[np.float64] = (lines[below] * (1 - part) + lines[above] * part) * 1.9 - 900.0
    return projection


def _base(
    patient: Patient, at: datetime, study_instance_uid: str, frame_of_reference_uid: str
) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(CT_IMAGE_STORAGE)
    meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    ds.SpecificCharacterSet = ["", "ISO 2022 IR 87"]
    ds.InstanceCreationDate = at.strftime("%Y%m%d")
    ds.InstanceCreationTime = at.strftime("%H%M%S")
    ds.SOPClassUID = CT_IMAGE_STORAGE
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = at.strftime("%Y%m%d")
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = at.strftime("%H%M%S")
    ds.AccessionNumber = patient.accession_number
    ds.Modality = "CT"
    ds.Manufacturer = "TELEREAD DEMO"
    ds.ManufacturerModelName = "PHANTOM 1"
    ds.InstitutionName = "試験総合病院"
    ds.ReferringPhysicianName = "SHIKENDA^MIDORI=試験田^緑=しけんだ^みどり"
    ds.StudyDescription = "CHEST CT"
    ds.BodyPartExamined = "CHEST"
    ds.PatientPosition = "HFS"
    ds.PatientName = patient.name
    ds.PatientID = patient.patient_id
    ds.PatientBirthDate = patient.birth_date
    ds.PatientSex = patient.sex
    ds.PatientAge = patient.age
    ds.PatientSize = "1.68"
    ds.PatientWeight = "64"
    ds.StudyInstanceUID = study_instance_uid
    ds.StudyID = "417"
    ds.FrameOfReferenceUID = frame_of_reference_uid
    ds.PositionReferenceIndicator = ""
    ds.KVP = "120"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "P5-08000", "SRT", "Computed Tomography"
    ds.ProcedureCodeSequence = Sequence([code])
    return ds


def _with_pixels(ds: FileDataset, image: NDArray[np.float64]) -> FileDataset:
    stored = np.clip(np.round(image) - _RESCALE_INTERCEPT, 0, 4095).astype("<u2")
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows = ds.Columns = SIZE
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelSpacing = [f"{_PIXEL_SPACING_MM}", f"{_PIXEL_SPACING_MM}"]
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = f"{_RESCALE_INTERCEPT}", "1", "HU"
    ds.PixelData = stored.tobytes()
    ds["PixelData"].VR = "OW"
    return ds


def make_study(at: datetime, patient: Patient | None = None) -> list[FileDataset]:
    """Return the instances of a new study, with new UIDs, taken at `at` (the facility's local time).

    Order: scout, soft tissue series from apex to diaphragm, lung series.
    """
    patient = patient or Patient()
    random = np.random.default_rng(20260117)
    study_instance_uid, frame_of_reference_uid = generate_uid(prefix=None), generate_uid(prefix=None)
    volume = [chest_slice(position) for position in np.linspace(0.02, 0.98, SOFT_TISSUE_SLICES)]
    half_width = _PIXEL_SPACING_MM * SIZE / 2
    instances = []

    def instance(series: int, uid: str, number: int, description: str, image_type: list[str]) -> FileDataset:
        ds = _base(patient, at, study_instance_uid, frame_of_reference_uid)
        ds.ImageType = image_type
        ds.SeriesInstanceUID, ds.SeriesNumber, ds.SeriesDescription = uid, str(series), description
        ds.AcquisitionNumber, ds.InstanceNumber = "1", str(number)
        return ds

    scout = instance(1, generate_uid(prefix=None), 1, "SCOUT", ["ORIGINAL", "PRIMARY", "LOCALIZER"])
    scout.ImageOrientationPatient = ["1", "0", "0", "0", "0", "-1"]
    scout.ImagePositionPatient = [f"{-half_width:.2f}", "0", "0"]
    scout.SliceThickness = ""
    scout.WindowCenter, scout.WindowWidth = "-200", "1100"
    instances.append(_with_pixels(scout, _scout(volume)))
    for series, description, count, noise, window in (
        (2, "CHEST 7.0 SOFT TISSUE", SOFT_TISSUE_SLICES, 9.0, ("40", "400")),
        (3, "CHEST 7.0 LUNG", LUNG_SLICES, 24.0, ("-600", "1500")),
    ):
        uid = generate_uid(prefix=None)
        for index in range(count):
            ds = instance(series, uid, index + 1, description, ["ORIGINAL", "PRIMARY", "AXIAL"])
            ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
            z = -_SLICE_SPACING_MM * index
            ds.ImagePositionPatient = [f"{-half_width:.2f}", f"{-half_width:.2f}", f"{z:.2f}"]
            ds.SliceThickness, ds.SliceLocation = f"{_SLICE_SPACING_MM}", f"{z:.2f}"
            ds.ConvolutionKernel = "B31" if series == 2 else "B70"
            ds.WindowCenter, ds.WindowWidth = window
            instances.append(_with_pixels(ds, volume[index] + random.normal(0.0, noise, (SIZE, SIZE))))
    return instances


def write_study(folder: Path, at: datetime, patient: Patient | None = None) -> list[Path]:
    """Write a new study below `folder`, a file an instance, and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, ds in enumerate(make_study(at, patient), start=1):
        path = folder / f"IM{number:04}.dcm"
        ds.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths
