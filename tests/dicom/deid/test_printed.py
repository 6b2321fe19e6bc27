"""A small sample of trial T-12: identity printed into images never leaves unseen."""

from pathlib import Path

import pytest

from teleread.dicom.deid import ocr
from teleread.dicom.deid.deidentify import deidentify_file
from teleread.dicom.deid.device_rules import PixelPolicy, Reading, Unconfirmed
from teleread.dicom.deid.identity import PatientIdentity
from teleread.dicom.deid.profile import FacilityKeys
from teleread.dicom.deid.regions import Region
from tests.builders.printed import KINDS, RULES, Printed, printed_images, words_gone

KEYS = FacilityKeys(b"u" * 32, b"p" * 32)
IMAGES = [image for image in printed_images() if (image.size, image.background) == (20, "speckle")]


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: f"{image.kind}-{image.script}")
def test_printed_words_are_masked_by_rule_or_the_image_waits(image: Printed, tmp_path: Path) -> None:
    source, target = tmp_path / "in.dcm", tmp_path / "out.dcm"
    source.write_bytes(image.data)
    fresh = deidentify_file(source, target, keys=KEYS, pixels=PixelPolicy(reading=Reading.OFF))
    assert (fresh.outcome, fresh.reason) == ("held", "risky_kind")
    assert not target.exists()
    assert bool(fresh.suspects) is (image.kind == "scan")
    known = deidentify_file(source, target, keys=KEYS, pixels=PixelPolicy(RULES, Reading.OFF))
    if image.kind in {"head", "scan"}:
        assert words_gone(target, image.words) == [True] * 3
    else:
        assert known.outcome == ("clean" if image.kind == "typed" else "held")


def test_a_facility_may_have_scan_regions_masked_unseen(tmp_path: Path) -> None:
    image = next(image for image in IMAGES if image.kind == "scan")
    (tmp_path / "in.dcm").write_bytes(image.data)
    policy = PixelPolicy(reading=Reading.OFF, unconfirmed=Unconfirmed.MASK)
    result = deidentify_file(tmp_path / "in.dcm", tmp_path / "out.dcm", keys=KEYS, pixels=policy)
    assert result.rules == ("scan_regions",)
    assert words_gone(tmp_path / "out.dcm", image.words) == [True] * 3


def test_there_are_two_hundred_of_them() -> None:
    kinds = [image.kind for image in printed_images()]
    assert [kinds.count(kind) for kind in KINDS] == [40] * 5


WHO = PatientIdentity(patient_name="Takasaki^Reiko=高崎^例子", patient_id="00123988", birth_date="19810203")


@pytest.mark.parametrize(
    "text",
    [
        "TAKASAKI",
        "TAKASAK1 RE1KO",
        "高 崎 例 子",
        "高崎様",
        "O0123988",
        "1981/02/03",
        "DOB:",
        "氏名",
        "SMITH,JOHN",
        "20261101",
    ],
)
def test_what_was_read_is_known_with_the_mistakes_of_a_reader(text: str) -> None:
    assert ocr.names_somebody(text, WHO)


@pytest.mark.parametrize(
    "text",
    ["RT LOBE TRANS", "L12-3", "TIs 0.2 MI 0.9", "Sag Liver", "19fps", "2D-- 100%", "ーー ン", "3.3 cm"],
)
def test_what_a_device_says_of_itself_names_nobody(text: str) -> None:
    assert not ocr.names_somebody(text, WHO)


def test_without_a_reader_nothing_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ocr.languages.cache_clear()
    try:
        assert not ocr.is_available()
    finally:
        ocr.languages.cache_clear()


@pytest.mark.tesseract
@pytest.mark.parametrize("script", ["latin", "kanji"])
def test_a_name_typed_into_the_picture_is_read_and_holds_the_image(script: str, tmp_path: Path) -> None:
    image = next(
        image
        for image in printed_images()
        if (image.kind, image.script, image.size, image.background) == ("typed", script, 26, "grey")
    )
    (tmp_path / "in.dcm").write_bytes(image.data)
    result = deidentify_file(tmp_path / "in.dcm", tmp_path / "out.dcm", keys=KEYS, pixels=PixelPolicy(RULES))
    assert (result.outcome, result.reason) == ("held", "text_in_pixels")
    assert result.suspects[0] == Region(0, 0, 640, 60)
    word = image.words[0]
    assert any(
        box.x <= word.x + word.width and box.y <= word.y + word.height and box.y + box.height >= word.y
        for box in result.suspects[1:]
    )
