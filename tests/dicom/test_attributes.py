"""What the centre indexes of a file."""

from pathlib import Path

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword

from teleread.dicom.attributes import INDEXED_ATTRIBUTES, read_index
from teleread.errors import InvalidInput
from tests.builders.datasets import SERIES_UID, STUDY_UID, ct_slice, write


@pytest.mark.parametrize("attribute", INDEXED_ATTRIBUTES, ids=lambda attribute: attribute.keyword)
def test_the_table_agrees_with_the_dictionary(attribute: object) -> None:
    assert tag_for_keyword(attribute.keyword) == attribute.tag  # type: ignore[attr-defined]
    assert dictionary_VR(attribute.tag) == attribute.vr  # type: ignore[attr-defined]


def test_an_instance_is_indexed_at_three_levels(tmp_path: Path) -> None:
    index = read_index(write(ct_slice(3, PatientAge="067Y"), tmp_path / "a.dcm"))
    assert (index.study_instance_uid, index.series_instance_uid) == (STUDY_UID, SERIES_UID)
    assert (index.modality, index.series_number, index.instance_number) == ("CT", 2, 3)
    assert (index.rows, index.columns, index.number_of_frames, index.has_pixels) == (16, 16, 1, True)
    assert (index.sex, index.age, index.study_date) == ("F", "067Y", "20260511")
    assert index.study_attributes["0020000D"] == {"vr": "UI", "Value": [STUDY_UID]}
    assert index.series_attributes["0008103E"]["Value"] == ["Axial 5mm"]
    assert index.instance_attributes["00280010"] == {"vr": "US", "Value": [16]}


def test_numbers_that_are_missing_are_none(tmp_path: Path) -> None:
    index = read_index(write(ct_slice(InstanceNumber=None, SeriesNumber=None), tmp_path / "a.dcm"))
    assert (index.instance_number, index.series_number) == (None, None)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize("value", ["", "../../etc/passwd", "1.2..3", "1." + "2" * 70])
def test_a_uid_that_is_none_is_refused_by_name(tmp_path: Path, keyword: str, value: str) -> None:
    from pydicom.datadict import tag_for_keyword

    path = write(ct_slice(), tmp_path / "a.dcm", {tag_for_keyword(keyword) or 0: value.encode()})
    with pytest.raises(InvalidInput) as refused:
        read_index(path)
    assert refused.value.field == keyword
    assert not value or value not in str(refused.value)
