"""Masked pixels: gone inside the regions, the very same outside, in every transfer syntax that is decoded here."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.pixels.utils import pixel_array

from teleread.dicom.deid.deidentify import deidentify_file
from teleread.dicom.deid.device_rules import (
    DeviceRule,
    PixelPolicy,
    Reading,
    RuleAction,
    Unconfirmed,
    checked_rule,
    proposal_for,
    published_rules,
    scan_regions,
)
from teleread.dicom.deid.masking import CannotMask, mask_pixels
from teleread.dicom.deid.pixels import plan_for
from teleread.dicom.deid.profile import FacilityKeys
from teleread.dicom.deid.regions import Region, clipped, outside, parse_regions, stated, statement
from teleread.dicom.raw import read_raw
from teleread.errors import InvalidInput

DATA = Path(__file__).parents[2] / "data" / "dicom"
KEYS = FacilityKeys(b"u" * 32, b"p" * 32)
LOOKED = {"pixels_looked_at": True}
WITHOUT_READER = PixelPolicy(reading=Reading.OFF)

#: Public samples, among them those that pydicom brings along: file -> transfer syntax after masking, as its last part.
SAMPLES = {
    "CT_small.dcm": "1.2.1",
    "MR_small_implicit.dcm": "1.2",
    "MR_small_bigendian.dcm": "1.2.2",
    "image_dfl.dcm": "1.2.1.99",
    "MR_small_RLE.dcm": "1.2.5",
    "SC_rgb_rle_16bit_2frame.dcm": "1.2.5",
    "SC_rgb_rle_32bit.dcm": "1.2.1",  # no encoder for this depth
    "SC_rgb_small_odd_jpeg.dcm": "1.2.1",  # too small for its encoder
    "SC_rgb_jpeg_dcmtk.dcm": "1.2.4.80",  # lossy, YBR_FULL
    "SC_rgb_dcmtk_+eb+cy+np.dcm": "1.2.4.80",  # lossy, YBR_FULL_422
    "SC_rgb_jpeg_gdcm.dcm": "1.2.4.80",  # JPEG lossless
    "MR_small_jpeg_ls_lossless.dcm": "1.2.4.80",
    "JPEGLSNearLossless_16.dcm": "1.2.4.80",
    "MR_small_jp2klossless.dcm": "1.2.4.90",
    "693_J2KI.dcm": "1.2.4.90",  # lossy JPEG 2000
    "GDCMJ2K_TextGBR.dcm": "1.2.4.90",  # colour
    "rtdose_rle.dcm": "1.2.1",  # 15 frames of 32 bits
    "ExplVR_BigEnd.dcm": "1.2.2",  # bytes in words
    "SC_ybr_full_422_uncompressed.dcm": "1.2.1",
    "examples_palette.dcm": "1.2.1",
}


def sample(name: str) -> Path:
    own = DATA / name
    return own if own.is_file() else Path(get_testdata_file(name, download=False) or "")


def frames_of(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = read_raw(path).transfer_syntax
        frames = pixel_array(dataset)
    return frames if int(dataset.get("NumberOfFrames", 1)) > 1 else frames[np.newaxis]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_pixels_outside_are_the_same_and_those_inside_are_one_colour(name: str, tmp_path: Path) -> None:
    path = sample(name)
    raw = read_raw(path)
    rows, columns = raw.number(0x00280010), raw.number(0x00280011)
    # Even edges: where two pixels share a colour a region grows to whole pairs.
    regions = (
        Region(0, 0, max(columns // 4 * 2, 1), max(rows // 3, 1)),
        Region(columns // 4 * 2 or 1, rows // 2, columns, rows),
    )
    result = deidentify_file(path, tmp_path / "clean.dcm", keys=KEYS, masks=regions, **LOOKED)
    if result.outcome == "held":
        # Samples without a patient: the road holds them, the masking itself is what is asked here.
        assert result.reason in {"no_patient_id", "no_series_uid", "no_study_uid"}
        written = _spliced(path, tmp_path / "clean.dcm", regions)
    else:
        assert result.masked == regions
        assert result.transfer_syntax_uid == f"1.2.840.10008.{SAMPLES[name]}"
        written = tmp_path / "clean.dcm"
    before, after = frames_of(path), frames_of(written)
    assert after.shape == before.shape
    hidden = np.zeros((rows, columns), bool)
    for region in clipped(regions, columns, rows):
        hidden[region.y : region.y + region.height, region.x : region.x + region.width] = True
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(one[~hidden], other[~hidden])
        assert len(np.unique(other[hidden], axis=0)) == 1


@pytest.mark.parametrize(("photometric", "pick"), [("MONOCHROME1", np.max), ("MONOCHROME2", np.min)])
def test_grey_is_masked_by_the_darkest_value_of_the_frame(
    photometric: str, pick: object, tmp_path: Path
) -> None:
    dataset = pydicom.dcmread(DATA / "CT_small.dcm")
    dataset.PhotometricInterpretation = photometric
    dataset.save_as(tmp_path / "ct.dcm")
    region = Region(20, 30, 40, 10)
    deidentify_file(tmp_path / "ct.dcm", tmp_path / "clean.dcm", keys=KEYS, masks=(region,), **LOOKED)
    (before,), (after,) = frames_of(tmp_path / "ct.dcm"), frames_of(tmp_path / "clean.dcm")
    assert set(after[30:40, 20:60].flat) == {pick(before)}  # type: ignore[operator]


def _spliced(path: Path, target: Path, regions: tuple[Region, ...]) -> Path:
    dataset = pydicom.dcmread(path, force=True)
    raw = read_raw(path)
    masked = mask_pixels(raw, path, regions)
    dataset.file_meta.TransferSyntaxUID = masked.transfer_syntax
    head = 8 if not raw.syntax.explicit else 12
    dataset.PixelData = masked.element[head:]
    dataset["PixelData"].is_undefined_length = masked.element[head - 4 : head] == b"\xff" * 4
    if 0x00280004 in masked.changed:
        dataset.PhotometricInterpretation = masked.changed[0x00280004][1].decode()
    if 0x00280006 in masked.changed:
        dataset.PlanarConfiguration = 0
    if dataset["PixelData"].is_undefined_length:
        dataset.PixelData = masked.element[12:-8]
    pydicom.dcmwrite(target, dataset, enforce_file_format=False)
    return target


def test_a_masked_object_says_so(tmp_path: Path) -> None:
    result = deidentify_file(
        DATA / "CT_small.dcm", tmp_path / "clean.dcm", keys=KEYS, masks=(Region(0, 0, 40, 10),), **LOOKED
    )
    clean = pydicom.dcmread(tmp_path / "clean.dcm")
    assert result.rules == ("person",)
    assert clean.BurnedInAnnotation == "NO"
    codes = {item.CodeValue: item.CodeMeaning for item in clean.DeidentificationMethodCodeSequence}
    assert codes["113101"] == "Clean Pixel Data Option"
    assert stated(clean.DerivationDescription) == (Region(0, 0, 40, 10),)
    unmasked = deidentify_file(DATA / "CT_small.dcm", tmp_path / "other.dcm", keys=KEYS)
    other = pydicom.dcmread(tmp_path / "other.dcm")
    assert unmasked.masked == ()
    assert "BurnedInAnnotation" not in other
    assert all(item.CodeValue != "113101" for item in other.DeidentificationMethodCodeSequence)


@pytest.mark.filterwarnings("ignore")
def test_what_was_lossy_goes_on_saying_so(tmp_path: Path) -> None:
    path = sample("SC_rgb_jpeg_dcmtk.dcm")
    masked = mask_pixels(read_raw(path), path, (Region(0, 0, 8, 8),))
    assert masked.changed[0x00282110] == ("CS", b"01")
    assert masked.changed[0x00280004] == ("CS", b"RGB")
    assert b"without further loss" in masked.changed[0x00082111][1]


@pytest.mark.parametrize(
    ("name", "region"), [("CT_small.dcm", Region(128, 0, 5, 5)), ("rtplan.dcm", Region(0, 0, 5, 5))]
)
def test_what_cannot_be_masked_is_said_and_not_sent(name: str, region: Region) -> None:
    path = DATA / name
    with pytest.raises(CannotMask):
        mask_pixels(read_raw(path), path, (region,))


def test_pixels_that_nothing_decodes_hold_the_object(tmp_path: Path) -> None:
    result = deidentify_file(
        DATA / "JPGExtended.dcm", tmp_path / "clean.dcm", keys=KEYS, masks=(Region(0, 0, 5, 5),), **LOOKED
    )
    assert (result.outcome, result.reason) == ("held", "not_maskable")
    assert list(tmp_path.iterdir()) == []


boxes = st.builds(Region, st.integers(0, 30), st.integers(0, 30), st.integers(1, 20), st.integers(1, 20))


@given(st.lists(boxes, max_size=6))
def test_outside_covers_exactly_what_the_kept_regions_leave(kept: list[Region]) -> None:
    columns, rows = 24, 20
    count = np.zeros((rows, columns), int)
    for region in outside(kept, columns, rows):
        count[region.y : region.y + region.height, region.x : region.x + region.width] += 1
    inside = np.zeros((rows, columns), bool)
    for region in clipped(kept, columns, rows):
        inside[region.y : region.y + region.height, region.x : region.x + region.width] = True
    assert np.array_equal(count, np.where(inside, 0, 1))


@given(st.lists(boxes, min_size=1, max_size=8))
def test_regions_are_read_back_from_the_sentence_that_tells_them(regions: list[Region]) -> None:
    assert stated(statement(regions) + ". And more, 1,2,3.") == tuple(regions)
    assert parse_regions("\n".join(map(str, regions))) == tuple(regions)


@pytest.mark.parametrize("text", ["1,2,3", "1,2,0,4", "-1,2,3,4", "a,b,c,d", "1,2,3,4;x"])
def test_a_box_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_regions(text)


# Rules

DEVICE = DeviceRule(
    name="US2 head",
    modality="US",
    model=("CX50",),
    rows=(350,),
    columns=(800,),
    regions=(Region(0, 0, 800, 50),),
)


def policy_of(*rules: DeviceRule, unconfirmed: Unconfirmed = Unconfirmed.HOLD) -> PixelPolicy:
    return PixelPolicy(rules, Reading.OFF, unconfirmed)


def test_an_ultrasound_image_is_held_with_boxes_until_the_facility_has_confirmed_its_device() -> None:
    raw = read_raw(sample("examples_palette.dcm"))
    held = plan_for(raw, WITHOUT_READER)
    # Its calibration is of the picture before somebody cut it; the published rule knows the device.
    assert scan_regions(raw) == ()
    assert (held.reason, held.proposal.rules) == ("risky_kind", ("CX50 (CTP)",))
    assert held.proposal.regions == (Region(0, 0, 800, 59),)
    sent = plan_for(raw, policy_of(DEVICE))
    assert (sent.reason, sent.rules, sent.regions) == (None, ("US2 head",), DEVICE.regions)
    automatic = plan_for(raw, policy_of(unconfirmed=Unconfirmed.MASK))
    assert (automatic.reason, automatic.regions) == (None, held.proposal.regions)


@pytest.mark.parametrize(
    "change",
    [
        {"modality": "CT"},
        {"model": ("CX51",)},
        {"rows": (351,)},
        {"software": ("9.9",)},
        {"image_type": ("X",)},
    ],
)
def test_a_rule_is_for_its_device_and_size_only(change: dict[str, object]) -> None:
    raw = read_raw(sample("examples_palette.dcm"))
    assert plan_for(raw, policy_of(replace(DEVICE, **change))).reason == "risky_kind"  # type: ignore[arg-type]


def test_a_device_that_shows_nothing_is_sent_as_it_is() -> None:
    raw = read_raw(sample("examples_palette.dcm"))
    rule = DeviceRule(name="clean", model=("CX50",), action=RuleAction.CLEAN)
    assert plan_for(raw, policy_of(rule)) == plan_for(raw, policy_of(checked_rule(rule)))
    assert plan_for(raw, policy_of(rule)).reason is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": " "}, "name"),
        ({"model": (), "manufacturer": ()}, "model"),
        ({"model": ("x",)}, "model"),
        ({"modality": "us!"}, "modality"),
        ({"rows": ()}, "rows"),
        ({"rows": (350, 600)}, "rows"),
        ({"columns": (70000,)}, "columns"),
        ({"regions": ()}, "regions"),
        ({"regions": (Region(0, 0, 801, 50),)}, "regions"),
        ({"regions": (Region(0, 0, 1, 1),) * 33}, "regions"),
        ({"action": RuleAction.CLEAN}, "regions"),
    ],
)
def test_a_rule_that_could_hide_the_wrong_place_is_refused(change: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        checked_rule(replace(DEVICE, **change))  # type: ignore[arg-type]
    assert refused.value.field == field


def test_rules_come_back_from_json() -> None:
    for rule in (DEVICE, *published_rules()):
        assert DeviceRule.from_json(rule.to_json()) == rule
    with pytest.raises(InvalidInput):
        DeviceRule.from_json({"name": "x", "regions": "0,0"})


def test_published_rules_name_a_device_and_mask_something() -> None:
    assert len(published_rules()) > 80
    for rule in published_rules():
        assert rule.manufacturer or rule.model
        assert rule.regions


@pytest.mark.filterwarnings("ignore")
def test_what_lies_outside_the_scan_regions_is_proposed(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(sample("examples_palette.dcm"))
    dataset.ManufacturerModelName = "UNKNOWN"
    scan, _ = dataset.SequenceOfUltrasoundRegions
    scan.RegionLocationMinX0, scan.RegionLocationMinY0 = 120, 60
    scan.RegionLocationMaxX1, scan.RegionLocationMaxY1 = 700, 300
    dataset.SequenceOfUltrasoundRegions = [scan]
    dataset.save_as(tmp_path / "us.dcm")
    raw = read_raw(tmp_path / "us.dcm")
    assert proposal_for(raw).regions == (
        Region(0, 0, 800, 60),
        Region(0, 60, 120, 241),
        Region(701, 60, 99, 241),
        Region(0, 301, 800, 49),
    )
    rule = checked_rule(DeviceRule(name="scan", model=("UNKNOWN",), outside_scan=True))
    assert plan_for(raw, policy_of(rule)).regions == proposal_for(raw).regions
    # Unseen, boxes that leave the head of the image open are not enough.
    scan.RegionLocationMinY0 = 4
    dataset.save_as(tmp_path / "us.dcm")
    raw = read_raw(tmp_path / "us.dcm")
    assert plan_for(raw, policy_of(unconfirmed=Unconfirmed.MASK)).reason == "risky_kind"


@pytest.mark.filterwarnings("ignore")
def test_a_rule_by_scan_regions_holds_an_image_without_them(tmp_path: Path) -> None:
    raw = read_raw(sample("examples_palette.dcm"))
    rule = DeviceRule(name="scan", model=("CX50",), outside_scan=True)
    assert plan_for(raw, policy_of(rule)).reason == "risky_kind"
