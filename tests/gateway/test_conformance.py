"""The conformance report of a study: what its files lack, another patient among them, UIDs that clash."""

from pathlib import Path

import pytest

from gateway.conformance import conformance_of
from gateway.deidentify import summarise
from teleread.dicom.conformance import Missing, missing_in
from teleread.dicom.raw import read_raw
from tests.builders.datasets import ct_slice, write
from tests.gateway.console_box import Box, open_box
from tests.gateway.facility import instance


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"Modality": None}, Missing(0x00080060, 1)),  # General Series, type 1
        ({"Modality": ""}, Missing(0x00080060, 1)),
        ({"SamplesPerPixel": None}, Missing(0x00280002, 1)),  # Image Pixel, type 1
        ({"StudyID": None}, Missing(0x00200010, 2)),  # General Study, type 2
        ({"KVP": None}, Missing(0x00180060, 2)),  # CT Image, type 2
    ],
)
def test_a_required_attribute_that_is_gone_is_named_by_its_type(
    tmp_path: Path, changes: dict[str, object], missing: Missing
) -> None:
    base: dict[str, object] = {"KVP": "120"}
    whole = missing_in(read_raw(write(ct_slice(**base), tmp_path / "whole.dcm")))
    others = {keyword: value for keyword, value in base.items() if keyword not in changes}
    without = {keyword: value for keyword, value in changes.items() if keyword not in base}
    lacking = missing_in(read_raw(write(ct_slice(**others, **without), tmp_path / "in.dcm")))
    assert missing not in whole
    assert set(lacking) - set(whole) == {missing}


def test_an_empty_value_is_enough_for_type_2(tmp_path: Path) -> None:
    found = missing_in(read_raw(write(ct_slice(StudyID=""), tmp_path / "in.dcm")))
    assert Missing(0x00200010, 2) not in found


def test_of_a_class_that_the_standard_no_longer_has_nothing_is_said(tmp_path: Path) -> None:
    path = write(ct_slice(SOPClassUID="1.2.840.10008.5.1.4.1.1.3", Modality=None), tmp_path / "in.dcm")
    assert missing_in(read_raw(path)) == ()
    assert summarise(path).missing == ()


def test_a_study_tells_what_is_wrong_with_it(tmp_path: Path) -> None:
    with open_box(tmp_path / "box") as box:
        _fill(box)
        told = conformance_of(box.console.spool, 1)
        assert dict(told.missing)[Missing(0x00180060, 2)] == 2
        assert told.clashes == {"versions": 1, "series": 1}
        assert told.other_patients == (("two_patients", 1),)
        page = box.signed_in().get("/studies/1").text
        assert "(0018,0060) KVP" in page
        assert "一つの検査に二つの患者IDがあります" in page
        assert "別の検査にもあるシリーズUID" in page
        assert conformance_of(box.console.spool, 2).clashes == {"series": 1}


def _fill(box: Box) -> None:
    study = str(instance(1).StudyInstanceUID)
    box.take(instance(1))
    box.take(instance(1, SeriesDescription="sent again, described otherwise"))
    box.take(instance(2, patient_id="9999999"))
    box.take(instance(3, StudyInstanceUID=f"{study}.77"))
