"""Synthetic images with identity printed into them, as devices and people do (trial T-12)."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from teleread.dicom.deid.device_rules import DeviceRule
from teleread.dicom.deid.regions import Region
from teleread.resources import templates_folder

FONT = templates_folder() / "report" / "fonts" / "BIZUDPGothic-Regular.ttf"
COLUMNS, ROWS = 640, 480
SIZES = (12, 16, 20, 26, 34)
BACKGROUNDS = ("black", "grey", "speckle", "gradient")
#: Family and given name, patient ID, birth date: what stands in the header and in the pixels.
PEOPLE = {
    "latin": ("Takasaki^Reiko", ("TAKASAKI REIKO", "ID 00123988", "1981/02/03")),
    "kanji": ("Takasaki^Reiko=高崎^例子", ("高崎 例子", "ID 00123988", "昭和56年2月3日")),
}
#: Where the text stands, and on what kind of object: nobody knows the device; its head is known; its scan regions are
#: known; a screen capture; the name was typed into the picture of a known device.
KINDS = ("unknown", "head", "scan", "capture", "typed")
HEAD = 60

US = "1.2.840.10008.5.1.4.1.1.6.1"
CAPTURE = "1.2.840.10008.5.1.4.1.1.7"

#: What a facility has confirmed after the first image of each device.
RULES = (
    DeviceRule(
        name="head",
        model=("HEADED",),
        rows=(ROWS,),
        columns=(COLUMNS,),
        regions=(Region(0, 0, COLUMNS, HEAD),),
    ),
    DeviceRule(name="scan", model=("SCANNER",), outside_scan=True),
)


@dataclass(frozen=True)
class Printed:
    """An image as a DICOM file, and where its words stand."""

    kind: str
    script: str
    size: int
    background: str
    data: bytes
    words: tuple[Region, ...]


def _ground(background: str, seed: int) -> Any:
    noise = np.random.default_rng(seed)
    if background == "black":
        return np.zeros((ROWS, COLUMNS), np.uint8)
    if background == "grey":
        return np.full((ROWS, COLUMNS), 96, np.uint8)
    if background == "speckle":
        return np.clip(noise.rayleigh(28, (ROWS, COLUMNS)), 0, 150).astype(np.uint8)
    return np.tile(np.linspace(0, 140, COLUMNS).astype(np.uint8), (ROWS, 1))


def _print(pixels: Any, lines: tuple[str, ...], size: int, left: int, top: int, *, in_a_row: bool) -> Any:
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    font = ImageFont.truetype(str(FONT), size)
    words: list[Region] = []
    for line in lines:
        x0, y0, x1, y1 = (round(edge) for edge in pen.textbbox((left, top), line, font=font))
        pen.text((left, top), line, fill=255, font=font)
        words.append(Region(x0, y0, x1 - x0, y1 - y0))
        if in_a_row:
            left = x1 + size
        else:
            top = y1 + size // 2
    return np.asarray(image), tuple(words)


def _dataset(kind: str, name: str, number: int, pixels: Any) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.SOPClassUID = CAPTURE if kind == "capture" else US
    ds.SOPInstanceUID = f"1.2.3.4.5.6.{number}"
    ds.StudyDate = "20261101"
    ds.Modality = "OT" if kind == "capture" else "US"
    ds.Manufacturer = "SAMPLE"
    models = {"head": "HEADED", "typed": "HEADED", "scan": "SCANNER"}
    ds.ManufacturerModelName = models.get(kind, "NOBODY KNOWS")
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = name, "00123988", "19810203"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.4.5", "1.2.3.4.5.6"
    if kind == "scan":
        region = Dataset()
        region.RegionLocationMinX0, region.RegionLocationMinY0 = 40, 64
        region.RegionLocationMaxX1, region.RegionLocationMaxY1 = COLUMNS - 41, ROWS - 1
        ds.SequenceOfUltrasoundRegions = [region]
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = ROWS, COLUMNS
    ds.BitsAllocated = ds.BitsStored = 8
    ds.HighBit, ds.PixelRepresentation = 7, 0
    ds.add_new(0x7FE00010, "OB", pixels.tobytes())
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    return ds


def printed_images() -> Iterator[Printed]:
    """Yield 200 images: five kinds, two scripts, five sizes, four backgrounds."""
    combinations = itertools.product(KINDS, PEOPLE, SIZES, BACKGROUNDS)
    for number, (kind, script, size, background) in enumerate(combinations, 1):
        name, lines = PEOPLE[script]
        in_head = kind in {"head", "scan"}
        left, top = (8, 6) if in_head else (120, 140)
        pixels, words = _print(_ground(background, number), lines, size, left, top, in_a_row=in_head)
        out = BytesIO()
        dcmwrite(out, _dataset(kind, name, number, pixels), enforce_file_format=True)
        yield Printed(kind, script, size, background, out.getvalue(), words)


def words_gone(clean: Path, words: tuple[Region, ...]) -> list[bool]:
    """Return for each word whether its place in a clean file is of one colour."""
    import pydicom

    pixels = pydicom.dcmread(clean).pixel_array
    return [
        len(np.unique(pixels[box.y : box.y + box.height, box.x : box.x + box.width])) <= 1 for box in words
    ]
