"""The last look at outbound bytes finds what it has to, and is not alarmed by what names nobody."""

from dataclasses import replace
from pathlib import Path

import pytest

from teleread.dicom.deid.identity import PatientIdentity
from teleread.dicom.deid.tokens import birth_date_forms, tokens_of
from teleread.dicom.deid.verify import find_identity
from teleread.dicom.text import decode
from tests.builders.datasets import ct_slice, encoded

PATIENT = PatientIdentity(
    patient_name="TAKASAKI^HANAKO=髙﨑^花子=ﾀｶｻｷ^ﾊﾅｺ",
    patient_id="TR-0071234",
    birth_date="19590203",
    accession_number="ACC771234",
    study_instance_uid="1.2.826.0.1.3680043.8.498.71.1",
)
NOBODY = ct_slice(
    PatientName="B4A8Q-GRA89",
    PatientID="B4A8Q-GRA89",
    AccessionNumber="",
    PatientBirthDate="",
    StudyInstanceUID="2.25.1",
    SeriesInstanceUID="2.25.2",
    SOPInstanceUID="2.25.3",
    FrameOfReferenceUID="2.25.4",
)


def with_text(value: bytes, tag: int = 0x00081030) -> bytes:
    return encoded(NOBODY, {tag: value})


def test_a_clean_object_has_no_leak() -> None:
    assert find_identity(encoded(NOBODY), PATIENT) == []


@pytest.mark.parametrize(
    "text",
    [
        "Takasaki", "hanako takasaki", "CT of TAKASAKI, HANAKO", "髙﨑 花子", "花子さん", "タカサキ", "たかさき", "ﾀｶｻｷ", "ﾊﾅｺ",
        "TR-0071234", "tr-0071234", "ACC771234", "19590203", "1959-02-03", "1959/2/3", "03.02.1959", "昭和34年2月3日",
        "S34.2.3", "ＴＡＫＡＳＡＫＩ",
    ],
)  # fmt: skip
@pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
def test_a_name_is_found_in_any_spelling_whatever_the_declared_character_set(
    text: str, encoding: str
) -> None:
    leaks = find_identity(with_text(f"x {text} y".encode(encoding)), PATIENT)
    assert leaks
    assert "taka" not in repr(leaks).lower()


@pytest.mark.parametrize("encoding", ["euc_jp", "iso2022_jp", "utf-16-le", "utf-16-be", "gb18030"])
def test_a_name_is_found_in_other_encodings(encoding: str) -> None:
    assert find_identity(with_text("検査 花子 たかさき".encode(encoding)), PATIENT)


def test_a_name_in_binary_values_is_found() -> None:
    assert find_identity(with_text("  TAKASAKI".encode("utf-16-le"), 0x00081030), PATIENT)


def test_the_original_study_uid_is_found() -> None:
    assert [
        leak.kind for leak in find_identity(with_text(b"see 1.2.826.0.1.3680043.8.498.71.1 "), PATIENT)
    ] == ["uid"]


def test_bytes_that_are_no_dicom_are_searched_too(tmp_path: Path) -> None:
    (tmp_path / "note").write_bytes("メモ 花子".encode("cp932"))
    assert find_identity(tmp_path / "note", PATIENT)
    assert find_identity(b"nothing here", PATIENT) == []


@pytest.mark.parametrize(
    ("identity", "text"),
    [
        (replace(PATIENT, patient_name="HEAD^TEST"), "HEAD TEST"),
        (replace(PATIENT, patient_name="LEE^A"), "SLEEP STUDY"),
        (replace(PATIENT, patient_name="林^子"), "林檎 子宮"),
        (replace(PATIENT, patient_name="==モリ^ハナ"), "メモリー"),
        (replace(PATIENT, patient_id="1"), "Series 1"),
        (replace(PATIENT, patient_id="0000"), "0000"),
        (replace(PATIENT, patient_id="1234"), "0.12345"),
        (replace(PATIENT, patient_name=""), "anything"),
    ],
)
def test_what_names_nobody_is_no_leak(identity: PatientIdentity, text: str) -> None:
    assert not tokens_of(identity).in_text(text, own_only=True)


@pytest.mark.parametrize(
    ("identity", "text"),
    [
        (replace(PATIENT, patient_name="LI^NA"), "ct of li na"),
        (replace(PATIENT, patient_name="林^子"), "林 子 様"),
        (replace(PATIENT, patient_name="林^子"), "林子"),
        (replace(PATIENT, patient_name="LEE^A"), "Mr Lee"),
        (replace(PATIENT, patient_name="==モリ^ハナ"), "モリ ハナ"),
        (replace(PATIENT, patient_id="1234"), "ID 1234."),
    ],
)
def test_short_names_are_found_where_they_stand_alone(identity: PatientIdentity, text: str) -> None:
    assert tokens_of(identity).in_text(text, own_only=True)


def test_a_birth_date_that_is_none_is_not_looked_for() -> None:
    assert birth_date_forms("") == birth_date_forms("19000101") == birth_date_forms("1959") == ()


@pytest.mark.parametrize(
    ("raw", "sets", "text"),
    [
        (b"\x1b$B\x7c\x62\x79\x75\x1b(B", ["", "ISO 2022 IR 87"], "髙﨑"),
        ("山田".encode("cp932"), [], "山田"),
        ("山田".encode("cp932"), ["ISO_IR 192"], "山田"),
        ("é".encode("latin-1"), ["ISO_IR 100"], "é"),
        (b"abc  ", ["NO SUCH SET"], "abc"),
        (b"\xff\xfe\xfd", [], None),
        (b"\x1b\x1b$", ["ISO 2022 IR 87"], None),
    ],
)
def test_text_is_decoded_without_ever_raising(raw: bytes, sets: list[str], text: str | None) -> None:
    decoded = decode(raw, sets)
    assert isinstance(decoded, str)
    if text is not None:
        assert decoded == text


def test_a_name_deep_inside_long_compressed_pixels_is_found() -> None:
    from pydicom.encaps import encapsulate

    for place in (0, (1 << 24) - 4, (1 << 24) + 5_000):
        frame = bytearray(b"\x11" * ((1 << 24) + 10_000))
        frame[place : place + 8] = b"TAKASAKI"
        dataset = ct_slice(PatientName="X", PatientID="X", AccessionNumber="", PatientBirthDate="")
        dataset.StudyInstanceUID = "2.25.1"
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.80"
        dataset.PixelData = encapsulate([bytes(frame)])
        dataset["PixelData"].is_undefined_length = True
        assert find_identity(encoded(dataset), PATIENT), place
