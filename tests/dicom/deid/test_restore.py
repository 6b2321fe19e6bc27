"""The vault's values in an object: original bytes where they can stand, and a word about the rest."""

from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from teleread.dicom.deid.deidentify import deidentify_file
from teleread.dicom.deid.identity import PatientIdentity
from teleread.dicom.deid.profile import FacilityKeys
from teleread.dicom.deid.restore import renamed
from teleread.dicom.raw import read_raw
from teleread.domain.identifiers import replacement_uid
from teleread.errors import InvalidInput
from tests.builders.datasets import ct_slice, write

KEYS = FacilityKeys(b"u" * 32, b"p" * 32)


def out_and_back(
    folder: Path,
    dataset: Dataset,
    *,
    change: dict[str, Any] | None = None,
    other: PatientIdentity | None = None,
) -> tuple[Dataset, tuple[str, ...]]:
    """De-identify, change what stands in the clean object, and rename it by the vault's knowledge."""
    result = deidentify_file(write(dataset, folder / "in.dcm"), folder / "clean.dcm", keys=KEYS)
    assert result.identity is not None
    clean = dcmread(folder / "clean.dcm")
    for keyword, value in (change or {}).items():
        setattr(clean, keyword, value)
    clean.save_as(folder / "clean.dcm")
    uids = {replacement_uid(uid, KEYS.uid_key): uid for uid in result.replaced_uids}
    back = renamed(read_raw(folder / "clean.dcm"), other or result.identity, uids)
    (folder / "back.dcm").write_bytes(b"".join(back.pieces))
    return dcmread(folder / "back.dcm"), back.missing


def test_a_name_comes_back_in_its_own_bytes_and_character_set(tmp_path: Path) -> None:
    original = ct_slice()
    back, missing = out_and_back(tmp_path, original)
    before = dcmread(tmp_path / "in.dcm")
    for keyword in (
        "SpecificCharacterSet",
        "PatientName",
        "PatientID",
        "PatientBirthDate",
        "StudyInstanceUID",
    ):
        assert back.get_item(keyword).value == before.get_item(keyword).value, keyword
    assert missing == ("removed_attributes",)


def test_dates_that_were_moved_are_moved_back_by_the_studys_own(tmp_path: Path) -> None:
    moved = {
        "StudyDate": "20260501", "SeriesDate": "20260502", "ContentDate": "", "AcquisitionDateTime": "20260501101500.5",
    }  # fmt: skip
    original = ct_slice(SeriesDate="20260512", AcquisitionDateTime="20260511101500.5")
    clean_codes = [_code("113100"), _code("113107")]
    back, missing = out_and_back(
        tmp_path, original, change=moved | {"DeidentificationMethodCodeSequence": clean_codes}
    )
    assert (back.StudyDate, back.SeriesDate, back.ContentDate) == ("20260511", "20260512", "")
    assert back.AcquisitionDateTime == "20260511101500.5"
    assert missing == ("removed_attributes",)
    _, missing = out_and_back(
        tmp_path, original, change={"StudyDate": "", "DeidentificationMethodCodeSequence": clean_codes}
    )
    assert missing == ("removed_attributes", "dates")


def _code(value: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", "meaning"
    return item


def test_what_masking_and_an_earlier_release_lost_is_said(tmp_path: Path) -> None:
    change = {
        "DeidentificationMethodCodeSequence": [_code("113100"), _code("113101")],
        "SeriesInstanceUID": "2.25.77",
    }
    _, missing = out_and_back(tmp_path, ct_slice(), change=change)
    assert missing == ("removed_attributes", "pixels", "uids")


IN_JIS = PatientIdentity(
    specific_character_set=("", "ISO 2022 IR 87"),
    patient_name="Yamada^Tarou=山田^太郎",
    patient_name_raw=b"Yamada^Tarou=" + "山田^太郎".encode("iso2022_jp"),
    patient_id="7",
    patient_id_raw=b"7",
    study_instance_uid="1.2.3",
)


def test_a_name_of_another_character_set_is_never_written_into_text_that_it_would_break(
    tmp_path: Path,
) -> None:
    # Plain text takes the name's own set along.
    back, _ = out_and_back(
        tmp_path,
        ct_slice(),
        change={"SpecificCharacterSet": "ISO_IR 100", "StudyDescription": "CHEST"},
        other=IN_JIS,
    )
    assert back.get_item("PatientName").value.rstrip() == IN_JIS.patient_name_raw
    assert back.SpecificCharacterSet == ["", "ISO 2022 IR 87"]
    # UTF-8 can say it; Greek cannot, and is left as it is.
    change = {"SpecificCharacterSet": "ISO_IR 192", "SeriesDescription": "胸部"}
    back, _ = out_and_back(tmp_path, ct_slice(), change=change, other=IN_JIS)
    assert (str(back.PatientName), back.SeriesDescription) == (IN_JIS.patient_name, "胸部")
    change = {"SpecificCharacterSet": "ISO_IR 126", "SeriesDescription": "Θώραξ"}
    with pytest.raises(InvalidInput) as caught:
        out_and_back(tmp_path, ct_slice(), change=change, other=IN_JIS)
    assert caught.value.code == "character_set"


def test_an_accession_number_goes_only_where_one_was(tmp_path: Path) -> None:
    back, _ = out_and_back(
        tmp_path,
        ct_slice(AccessionNumber=""),
        other=PatientIdentity(
            patient_id="7", patient_id_raw=b"7", accession_number="A1", accession_number_raw=b"A1"
        ),
    )
    assert back.AccessionNumber == ""
