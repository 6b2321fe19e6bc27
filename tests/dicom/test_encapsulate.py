"""The report as a DICOM object: in the original study, under the original bytes, byte-identical when taken out."""

import io
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest

from teleread.dicom.deid.identity import PatientIdentity, read_identity
from teleread.dicom.encapsulate import ENCAPSULATED_PDF, PLAIN_TITLE, encapsulated_document, encapsulated_pdf
from teleread.errors import InvalidInput

AT = datetime(2026, 11, 23, 18, 5, tzinfo=UTC)
PDF = b"%PDF-1.7\n" + bytes(range(256)) * 3
TITLE = "画像診断報告書"
NAME = b"Mihon^Sakurako=\x1b$B8+K\\\x1b(B^\x1b$B:y;R\x1b(B=\x1b$B%_%[%s\x1b(B^\x1b$B%5%/%i%3\x1b(B"

IDENTITY = PatientIdentity(
    specific_character_set=("", "ISO 2022 IR 87"),
    patient_name="Mihon^Sakurako=見本^桜子=ミホン^サクラコ",
    patient_id="0012-3456",
    birth_date="19590514",
    sex="F",
    study_instance_uid="1.2.392.200036.9116.1",
    study_date="20261123",
    study_time="162000",
    patient_name_raw=NAME,
    patient_id_raw=b"0012-3456",
    accession_number_raw=b"A2611-0457",
    study_id_raw=b"1",
    study_description_raw=b"\x1b$B6;It\x1b(B CT",
)


def made(pdf: bytes = PDF, identity: PatientIdentity = IDENTITY, title: str = TITLE) -> bytes:
    return encapsulated_pdf(
        pdf, identity, sop_instance_uid="2.25.11", series_instance_uid="2.25.12", title=title, at=AT
    )


def test_the_pdf_comes_out_byte_identical() -> None:
    for pdf in (PDF, PDF + b"\0", PDF + b"\0\0", b"%PDF-"):
        data = made(pdf)
        assert encapsulated_document(data) == pdf
        dataset = pydicom.dcmread(io.BytesIO(data))
        assert dataset.EncapsulatedDocument[: dataset.EncapsulatedDocumentLength] == pdf


def test_it_lies_in_the_original_study_under_the_original_patient() -> None:
    dataset = pydicom.dcmread(io.BytesIO(made()))
    assert dataset.SOPClassUID == dataset.file_meta.MediaStorageSOPClassUID == ENCAPSULATED_PDF
    assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID == "2.25.11"
    assert dataset.StudyInstanceUID == "1.2.392.200036.9116.1"
    assert dataset.PatientName.ideographic == "見本^桜子"
    assert dataset.PatientName.phonetic == "ミホン^サクラコ"
    assert (dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex) == ("0012-3456", "19590514", "F")
    assert dataset.AccessionNumber == "A2611-0457"
    assert dataset.DocumentTitle == TITLE
    assert dataset.ContentDate + dataset.ContentTime == "20261124030500"
    assert dataset.BurnedInAnnotation == "YES"


def test_name_and_description_are_the_original_bytes(tmp_path: Path) -> None:
    data = made()
    assert NAME in data
    path = tmp_path / "report.dcm"
    path.write_bytes(data)
    again = read_identity(path)
    for name in ("patient_name_raw", "patient_id_raw", "study_description_raw", "specific_character_set"):
        assert getattr(again, name) == getattr(IDENTITY, name)


@pytest.mark.parametrize(
    "identity",
    [
        # Not 見本: the second byte of 本 is a backslash, and dciodvfy takes it for one (PS3.5 6.1.2.3 does not).
        replace(IDENTITY, patient_name_raw=NAME.replace(b"8+K\\", b";3ED")),
        replace(IDENTITY, specific_character_set=("ISO_IR 192",), patient_name_raw="=見本^桜子".encode()),
        replace(
            IDENTITY,
            specific_character_set=("ISO 2022 IR 13", "ISO 2022 IR 87"),
            patient_name_raw=b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
            study_description_raw=b"CT",
        ),
        PatientIdentity(study_instance_uid="1.2.3", patient_id="1", patient_id_raw=b"1"),
    ],
    ids=["ISO 2022 IR 87", "UTF-8", "JIS X 0201", "hardly anything"],
)
def test_dciodvfy_finds_no_error(tmp_path: Path, identity: PatientIdentity) -> None:
    path = tmp_path / "report.dcm"
    path.write_bytes(made(identity=identity))
    checker = shutil.which("dciodvfy", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if checker is None:
        pytest.skip("dciodvfy comes with the [dev] extra")
    done = subprocess.run(
        [checker, "-new", path], capture_output=True, text=True, check=False, errors="replace"
    )
    said = done.stdout + done.stderr
    assert "EncapsulatedPDF" in said
    assert not [line for line in said.splitlines() if line.startswith("Error")]


@pytest.mark.parametrize(
    ("character_set", "title"),
    [
        (("", "ISO 2022 IR 87"), TITLE),
        (("ISO_IR 192",), TITLE),
        (("ISO_IR 100",), PLAIN_TITLE),
        ((), PLAIN_TITLE),
        (("ISO 2022 IR 13", "ISO 2022 IR 87"), PLAIN_TITLE),
    ],
)
def test_the_title_is_written_in_the_character_set_of_the_study(
    character_set: tuple[str, ...], title: str
) -> None:
    identity = replace(
        IDENTITY, specific_character_set=character_set, patient_name_raw=b"", study_description_raw=b""
    )
    assert pydicom.dcmread(io.BytesIO(made(identity=identity))).DocumentTitle == title


def test_the_same_input_gives_the_same_bytes() -> None:
    assert made() == made()


def test_what_is_no_pdf_or_has_no_study_is_refused() -> None:
    with pytest.raises(InvalidInput):
        made(b"<html>")
    with pytest.raises(InvalidInput):
        made(identity=PatientIdentity())


def test_a_cut_object_gives_no_document() -> None:
    data = made()
    for end in (0, 200, len(data) - 20, len(data) - 12):
        with pytest.raises(InvalidInput):
            encapsulated_document(data[:end])
