"""One instance through the whole de-identification, judged by pydicom and by byte searches of this test's own."""

import hashlib
import itertools
import struct
import unicodedata
import zlib
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from teleread.dicom.deid.deidentify import HELD_REASONS, DeidResult, age_at, deidentify_file
from teleread.dicom.deid.identity import PatientIdentity, read_identity
from teleread.dicom.deid.profile import FacilityKeys
from teleread.dicom.raw import MAX_DEPTH, parse_raw
from tests.builders.datasets import ct_slice, ct_study, encoded, write, write_study

KEYS = FacilityKeys(b"u" * 32, b"p" * 32)
DATA = Path(__file__).parents[2] / "data" / "dicom"

#: The builder's patient in the forms that a search of the centre's disk would use.
FORMS = [
    form.encode(encoding)
    for encoding, forms in {
        "utf-8": ("髙﨑", "花子", "たかさき", "はなこ", "タカサキ", "TAKASAKI", "HANAKO", "TR-0071234", "19590203", "ACC771234"),
        "cp932": ("髙﨑", "花子", "たかさき", "タカサキ", "ﾀｶｻｷ"),
        "euc_jp": ("花子", "たかさき", "タカサキ"),
    }.items()
    for form in forms
] + ["花子".encode("iso2022_jp")[3:-3], b"\x7c\x62\x79\x75", "たかさき".encode("iso2022_jp")[3:-3]]  # fmt: skip


def deidentify(folder: Path, dataset: Dataset, raw_values: dict[int, bytes] | None = None) -> DeidResult:
    return deidentify_file(write(dataset, folder / "in.dcm", raw_values), folder / "out.dcm", keys=KEYS)


def held_reason(folder: Path, data: bytes) -> str:
    (folder / "in.dcm").write_bytes(data)
    result = deidentify_file(folder / "in.dcm", folder / "out.dcm", keys=KEYS)
    assert result.outcome == "held"
    assert sorted(path.name for path in folder.iterdir()) == ["in.dcm"]
    return result.reason


def test_a_ct_slice_comes_out_clean_and_whole(tmp_path: Path) -> None:
    before = ct_slice()
    result = deidentify(tmp_path, before)
    data = (tmp_path / "out.dcm").read_bytes()
    assert (result.outcome, result.reason) == ("clean", "")
    assert result.sha256 == hashlib.sha256(data).hexdigest()
    assert result.size == len(data)
    after = pydicom.dcmread(tmp_path / "out.dcm")
    assert after.PatientID == str(after.PatientName) == result.pseudonym
    assert after.AccessionNumber == result.accession
    assert after.SOPInstanceUID == after.file_meta.MediaStorageSOPInstanceUID == result.sop_instance_uid
    assert after.StudyInstanceUID == result.study_instance_uid
    assert after.PatientIdentityRemoved == "YES"
    assert after.LongitudinalTemporalInformationModified == "UNMODIFIED"
    codes = [item.CodeValue for item in after.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113103", "113104", "113105", "113106", "113108", "113109"]
    assert (after.PatientSex, after.PatientAge, after.StudyDate) == ("F", "067Y", "20260511")
    assert after.StudyDescription == "CT CHEST"
    assert after.PixelData == before.PixelData
    assert data[:128] == bytes(128)


def test_no_form_of_the_identity_is_left_in_the_bytes(tmp_path: Path) -> None:
    dataset = ct_slice(
        StudyDescription="CT CHEST Takasaki Hanako 1959/02/03",
        SeriesDescription="hanako^takasaki TR-0071234",
        PatientComments="sister of TAKASAKI",
        ProtocolName="ACC771234",
        StationName="TAKASAKI",
        BodyPartExamined="HANAKO",
    )
    item = Dataset()
    item.SpecificCharacterSet = "ISO_IR 192"
    item.CodeMeaning = "髙﨑 花子さん ﾀｶｻｷ"
    dataset.ProcedureCodeSequence = Sequence([item])
    result = deidentify(tmp_path, dataset, {0x00081030: "CT ﾀｶｻｷ 様".encode("cp932")})
    assert result.outcome == "clean"
    data = (tmp_path / "out.dcm").read_bytes().lower()
    folded = unicodedata.normalize("NFKC", data.decode("latin-1"))
    assert [form for form in FORMS if form.lower() in data] == []
    assert "takasaki" not in folded
    assert b"1.2.826.0.1.3680043.8.498.71" not in data


def test_a_text_keeps_what_does_not_name_the_patient(tmp_path: Path) -> None:
    deidentify(tmp_path, ct_slice(StudyDescription="CT CHEST Takasaki Hanako contrast"))
    assert pydicom.dcmread(tmp_path / "out.dcm").StudyDescription == "CT CHEST contrast"


def test_text_that_nobody_touches_keeps_its_bytes(tmp_path: Path) -> None:
    # pydicom would write ?? for 髙 here.
    kept = b"\x1b$B\x7c\x62\x1b(B chest"
    deidentify(tmp_path, ct_slice(), {0x00081030: kept})
    assert kept in (tmp_path / "out.dcm").read_bytes()


def test_references_among_instances_still_resolve(tmp_path: Path) -> None:
    slices = ct_study(3)
    for first, second in itertools.pairwise(slices):
        item = Dataset()
        item.ReferencedSOPClassUID = second.SOPClassUID
        item.ReferencedSOPInstanceUID = second.SOPInstanceUID
        deep = Dataset()
        deep.ReferencedImageSequence = Sequence([item])
        first.ReferencedImageSequence = Sequence([item])
        first.SharedFunctionalGroupsSequence = Sequence([deep])
    uids, referred = set(), set()
    for number, path in enumerate(write_study(slices, tmp_path)):
        target = tmp_path / f"out{number}.dcm"
        assert deidentify_file(path, target, keys=KEYS).outcome == "clean"
        after = pydicom.dcmread(target)
        uids.add(after.SOPInstanceUID)
        for element in after.iterall():
            if element.keyword == "ReferencedSOPInstanceUID":
                referred.add(element.value)
            if element.keyword == "ReferencedSOPClassUID":
                assert element.value == "1.2.840.10008.5.1.4.1.1.2"
    assert len(uids) == 3
    assert len(referred) == 2
    assert referred < uids


def test_the_same_input_gives_the_same_output_under_one_key_only(tmp_path: Path) -> None:
    source = write(ct_slice(), tmp_path / "in.dcm")
    one = deidentify_file(source, tmp_path / "a.dcm", keys=KEYS)
    two = deidentify_file(source, tmp_path / "b.dcm", keys=KEYS)
    other = deidentify_file(source, tmp_path / "c.dcm", keys=FacilityKeys(b"x" * 32, b"y" * 32))
    assert one.sha256 == two.sha256
    assert not {one.study_instance_uid, one.pseudonym, one.accession} & {
        other.study_instance_uid,
        other.pseudonym,
        other.accession,
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"PatientID": None}, "no_patient_id"),
        ({"PatientID": ""}, "no_patient_id"),
        ({"StudyInstanceUID": None}, "no_study_uid"),
        ({"SeriesInstanceUID": None}, "no_series_uid"),
        ({"BurnedInAnnotation": "YES"}, "burned_in"),
        ({"ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "risky_kind"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, None),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "ImageType": ["DERIVED", "SECONDARY"]}, "risky_kind"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1"}, "risky_kind"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1", "BurnedInAnnotation": "NO"}, None),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.1", "BurnedInAnnotation": "MAYBE"}, "risky_kind"),
        (
            {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1", "BurnedInAnnotation": "NO"},
            "encapsulated_document",
        ),
        ({"SOPClassUID": "1.2.840.113619.4.30"}, "unknown_sop_class"),
        ({"SOPClassUID": "1.2.840.10008.1.3.10"}, "directory"),
        ({"Rows": 400}, "truncated"),
        ({"NumberOfFrames": 2}, "truncated"),
        ({"PixelData": None}, "no_pixel_data"),
    ],
)
def test_what_a_person_has_to_see_is_held(
    tmp_path: Path, changes: dict[str, object], reason: str | None
) -> None:
    result = deidentify(tmp_path, ct_slice(**changes))
    if reason is None:
        assert result.outcome == "clean"
    else:
        assert (result.outcome, result.reason) == ("held", reason)
        assert not (tmp_path / "out.dcm").exists()
        assert result.detail == HELD_REASONS[reason]["en"]


def test_an_instance_of_another_patient_is_held(tmp_path: Path) -> None:
    expected = read_identity(write(ct_slice(), tmp_path / "first.dcm"))
    stranger = write(ct_slice(2, patient_id="TR-9"), tmp_path / "in.dcm")
    result = deidentify_file(stranger, tmp_path / "out.dcm", keys=KEYS, identity=expected)
    assert result.reason == "other_patient"
    again = write(ct_slice(2), tmp_path / "in.dcm")
    assert deidentify_file(again, tmp_path / "out.dcm", keys=KEYS, identity=expected).outcome == "clean"


def test_every_truncation_is_held_and_none_raises(tmp_path: Path) -> None:
    data = encoded(ct_slice(size=4))
    # Cut between two elements before the pixels are described, a file is a whole one without an image.
    ends = {element.end for element in parse_raw(data).elements if element.tag < 0x00280002}
    for length in sorted(set(range(len(data) - 1)) - ends):
        reason = held_reason(tmp_path, data[:length])
        assert reason in ("not_dicom", "truncated") or reason.startswith("no_")


def test_what_is_not_dicom_is_held(tmp_path: Path) -> None:
    assert held_reason(tmp_path, b"") == "not_dicom"
    assert held_reason(tmp_path, b"%PDF-1.7 " * 100) == "not_dicom"


def item_start(order: str = "<") -> bytes:
    return struct.pack(order + "HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("depth", "held"), [(MAX_DEPTH - 1, False), (MAX_DEPTH + 1, True), (1000, True), (100_000, True)]
)
def test_nesting_is_limited_not_crashed_by(tmp_path: Path, depth: int, held: bool) -> None:
    sequence = struct.pack("<HH", 0x5200, 0x9229) + b"SQ\0\0" + b"\xff\xff\xff\xff"
    ends = struct.pack("<HHLHHL", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    data = (
        encoded(ct_slice(PixelData=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.481.5"))
        + (sequence + item_start()) * depth
        + ends * depth
    )
    if held:
        assert held_reason(tmp_path, data) == "too_deep"
    else:
        (tmp_path / "in.dcm").write_bytes(data)
        assert deidentify_file(tmp_path / "in.dcm", tmp_path / "out.dcm", keys=KEYS).outcome == "clean"


def test_a_deflate_bomb_is_held(tmp_path: Path) -> None:
    head = encoded(ct_slice())
    meta_end = 132 + 12 + struct.unpack("<L", head[140:144])[0]
    meta = head[:meta_end].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    grown = len(meta) - meta_end
    at = meta.index(b"1.2.840.10008.1.2.1.99") - 2
    meta = (
        meta[:140]
        + struct.pack("<L", meta_end - 144 + grown)
        + meta[144:at]
        + struct.pack("<H", 22)
        + meta[at + 2 :]
    )
    packer = zlib.compressobj(9, wbits=-15)
    body = b"".join([packer.compress(bytes(1 << 24)) for _ in range(40)] + [packer.flush()])
    assert len(body) < 1 << 20
    assert held_reason(tmp_path, meta + body) == "too_large"


@pytest.mark.parametrize(
    "start", [b"MZ\x90\0", b"\x7fELF\2\1", b"#!/bin/sh\n", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"]
)
def test_a_file_that_begins_like_a_program_is_held(tmp_path: Path, start: bytes) -> None:
    data = start.ljust(128, b"\0") + encoded(ct_slice())[128:]
    assert held_reason(tmp_path, data) == "executable_preamble"


@pytest.mark.parametrize(
    "start", [b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0\x08\0", b"TAKASAKI HANAKO", b"\x89PNG\r\n"]
)
def test_no_preamble_leaves_and_the_files_own_stays_at_home(tmp_path: Path, start: bytes) -> None:
    data = start.ljust(128, b"\0") + encoded(ct_slice())[128:]
    (tmp_path / "in.dcm").write_bytes(data)
    assert deidentify_file(tmp_path / "in.dcm", tmp_path / "out.dcm", keys=KEYS).outcome == "clean"
    assert (tmp_path / "out.dcm").read_bytes()[:132] == bytes(128) + b"DICM"
    assert (tmp_path / "in.dcm").read_bytes() == data


def test_a_name_in_a_comment_of_compressed_pixels_is_found(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(DATA / "693_J2KI.dcm")
    name = str(dataset.PatientName).split("^", maxsplit=1)[0].encode()
    assert len(name) >= 6
    frame = b"\xff\x4f\xff\x64" + name + b"\xff\xd9"
    frame += b"\0" * (len(frame) % 2)
    offset = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
    dataset.PixelData = offset + struct.pack("<HHL", 0xFFFE, 0xE000, len(frame)) + frame
    dataset.save_as(tmp_path / "in.dcm")
    assert deidentify_file(tmp_path / "in.dcm", tmp_path / "out.dcm", keys=KEYS).reason == "identity_left"


def pixel_digest(path: Path) -> str | None:
    dataset = pydicom.dcmread(path, force=True)
    return hashlib.sha256(dataset.PixelData).hexdigest() if "PixelData" in dataset else None


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("path", sorted(DATA.glob("*.dcm")), ids=lambda path: path.stem)
def test_real_files_come_out_clean_or_held_with_a_reason(tmp_path: Path, path: Path) -> None:
    target = tmp_path / "out.dcm"
    result = deidentify_file(path, target, keys=KEYS)
    if result.outcome == "held":
        assert result.reason in HELD_REASONS
        assert not target.exists()
        return
    after = pydicom.dcmread(target)
    assert pixel_digest(target) == pixel_digest(path)
    assert not [element for element in after.iterall() if element.tag.is_private]
    before = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" in before.file_meta:
        assert after.file_meta.TransferSyntaxUID == before.file_meta.TransferSyntaxUID
    for keyword in ("Rows", "Columns", "Modality", "SOPClassUID", "WindowCenter", "ImageType", "StudyDate"):
        assert after.get(keyword) == before.get(keyword)


def test_every_character_set_is_read_for_the_name() -> None:
    names = {path.stem: read_identity(path).patient_name for path in DATA.glob("chr*.dcm")}
    assert names["chrH31"] == "Yamada^Tarou=山田^太郎=やまだ^たろう"
    assert names["chrH32"] == "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"
    assert names["chrI2"] == "Hong^Gildong=洪^吉洞=홍^길동"
    assert names["chrX1"] == "Wang^XiaoDong=王^小東="
    assert names["chrX2"] == "Wang^XiaoDong=王^小东="
    assert names["chrGreek"] == "Διονυσιος"
    assert names["chrRuss"] == "Люкceмбypг"
    assert names["chrArab"] == "قباني^لنزار"
    assert names["chrHbrw"] == "שרון^דבורה"
    assert names["chrFren"] == "Buc^Jérôme"
    assert names["chrGerm"] == "Äneas^Rüdiger"


def test_an_identity_survives_its_json_with_the_bytes_of_the_name(tmp_path: Path) -> None:
    identity = read_identity(write(ct_slice(), tmp_path / "in.dcm"))
    assert identity.name_groups == ("TAKASAKI^HANAKO", "髙﨑^花子", "たかさき^はなこ")
    assert b"\x1b$B\x7c\x62\x79\x75\x1b(B^" in identity.patient_name_raw
    assert PatientIdentity.from_json(identity.to_json()) == identity


@pytest.mark.parametrize(
    ("born", "studied", "age"),
    [
        ("19590203", "20260511", "067Y"),
        ("20260501", "20260511", "010D"),
        ("20260511", "20260511", "000D"),
        ("20260120", "20260511", "003M"),
        ("20240601", "20260511", "023M"),
        ("20240511", "20260511", "002Y"),
        ("20260425", "20260511", "017D"),
        ("20270101", "20260511", ""),
        ("", "20260511", ""),
        ("1959", "20260511", ""),
    ],
)
def test_the_age_is_worked_out_before_the_birth_date_goes(born: str, studied: str, age: str) -> None:
    assert age_at(born, studied) == age


def test_every_reason_is_told_in_both_languages() -> None:
    assert all(set(texts) == {"ja", "en"} and all(texts.values()) for texts in HELD_REASONS.values())
