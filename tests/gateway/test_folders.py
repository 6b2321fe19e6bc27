"""From folder to folder: out by the road of the daemon, and home by the vault or by what an object carries."""

import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom import Dataset, dcmread

from gateway.keys import GatewayKeys, attributes_key, seal_originals_for
from gateway.layout import Layout
from gateway.main import main
from teleread import clock
from teleread.dicom.deid.encrypted import make_recipient
from teleread.supervisor import python
from tests.gateway.facility import STUDY_UID, file_bytes, instance, wait_until

NAME = "Yamada^Tarou=山田^太郎=やまだ^たろう"


def referring(number: int) -> Dataset:
    """An instance that refers to another one of its study."""
    ds = instance(number)
    reference = Dataset()
    reference.ReferencedSOPClassUID = ds.SOPClassUID
    reference.ReferencedSOPInstanceUID = f"{STUDY_UID}.1.1"
    ds.SourceImageSequence = [reference]
    return ds


class Trip:
    """A folder that went out, and where its parts are."""

    def __init__(self, folder: Path) -> None:
        self.source, self.target = folder / "in", folder / "out"
        self.data, self.report = folder / "data", folder / "report.json"
        inner = self.source / "山田" / ".hidden"
        inner.mkdir(parents=True)
        self.whole = {"a.dcm": instance(1), "山田/.hidden/.b": referring(2)}
        for name, ds in self.whole.items():
            (self.source / name).write_bytes(file_bytes(ds))
        (self.source / "again.dcm").write_bytes(file_bytes(instance(1)))
        (self.source / "c.dcm").write_bytes(file_bytes(instance(3, patient_id="99")))
        (self.source / "cut.dcm").write_bytes(file_bytes(instance(4))[:-40])
        (self.source / "drawn.dcm").write_bytes(file_bytes(instance(5, BurnedInAnnotation="YES")))
        (self.source / "empty").write_bytes(b"")
        (self.source / "letter.txt").write_text("dear doctor")
        (self.source / "link").symlink_to(self.source / "a.dcm")
        (self.source / "up").symlink_to("..")
        os.mkfifo(self.source / "pipe")
        (self.source / os.fsdecode(b"\xff.dcm")).write_bytes(b"no text either")

    def out(self) -> int:
        return main([
            "deidentify", str(self.source), str(self.target), "--data", str(self.data), "--report", str(self.report)
        ])  # fmt: skip

    def rows(self) -> dict[str, dict[str, Any]]:
        return {row["input"]: row for row in json.loads(self.report.read_text())["files"]}

    def home(self, target: Path) -> tuple[int, dict[str, dict[str, Any]]]:
        """Bring the objects back; return the exit status and the rows by original input."""
        status = main(["reidentify", str(self.target), str(target), "--data", str(self.data)])
        report = target.with_name(target.name + ".json")
        rows = json.loads(report.read_text())["files"] if report.exists() else []
        by_output = {row["output"]: name for name, row in self.rows().items() if row["output"]}
        return status, {by_output.get(row["input"], row["input"]): row for row in rows}


@pytest.fixture(scope="module")
def trip(tmp_path_factory: pytest.TempPathFactory) -> Trip:
    """A folder through a fresh, never enrolled gateway that seals originals."""
    trip = Trip(tmp_path_factory.mktemp("trip"))
    layout = Layout(trip.data)
    layout.make()
    own = make_recipient("north", at=clock.now())
    seal_originals_for(layout, own, own.certificate_pem)
    assert trip.out() == 0
    return trip


def test_every_entry_has_its_row(trip: Trip) -> None:
    told = {name: (row["outcome"], row["reason"]) for name, row in trip.rows().items()}
    assert told == {
        "a.dcm": ("clean", ""),
        "again.dcm": ("clean", ""),
        "c.dcm": ("held", "two_patients"),
        "cut.dcm": ("held", "truncated"),
        "drawn.dcm": ("held", "burned_in"),
        "empty": ("refused", "not_dicom"),
        "letter.txt": ("refused", "not_dicom"),
        "link": ("refused", "link"),
        "pipe": ("refused", "no_file"),
        "up": ("refused", "link"),
        "山田/.hidden/.b": ("clean", ""),
        os.fsdecode(b"\xff.dcm"): ("refused", "not_dicom"),
    }
    report = json.loads(trip.report.read_text())
    assert list(report) == ["profile_codes", "files"]
    assert report["profile_codes"][0] == "113100"
    keys = ["input", "outcome", "reason", "output", "input_sha256", "output_sha256", "masked"]
    assert all(list(row) == keys for row in report["files"])


def test_the_written_files_are_those_of_the_report_and_name_nobody(trip: Trip) -> None:
    rows = [row for row in trip.rows().values() if row["output"]]
    written = {str(path.relative_to(trip.target)): path for path in trip.target.rglob("*") if path.is_file()}
    assert sorted(row["output"] for row in rows) == sorted(written)
    assert [path.name for path in trip.target.iterdir()] == [rows[0]["output"].partition("/")[0]]
    for row in rows:
        data = written[row["output"]].read_bytes()
        assert row["output_sha256"] == hashlib.sha256(data).hexdigest()
        assert row["input_sha256"] == hashlib.sha256((trip.source / row["input"]).read_bytes()).hexdigest()
        for trace in (b"Yamada", "山田".encode(), "山田".encode("iso2022_jp")[3:-3], b"0012345", b"200036"):
            assert trace not in data


def test_a_folder_in_use_is_refused_and_left_alone(trip: Trip, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(trip.target.rglob("*"))
    assert trip.out() == 1
    assert "OUT_DIR: has to be new or empty" in capsys.readouterr().err
    for source, target in ((trip.source, trip.source / "out"), (trip.data, trip.data / "out")):
        arguments = [str(source), str(target), "--data", str(trip.data), "--report", str(trip.report)]
        assert main(["deidentify", *arguments]) == 1
    assert main(["deidentify", str(trip.source / "none"), "x", "--data", "y", "--report", "z"]) == 1
    assert sorted(trip.target.rglob("*")) == before


def test_the_vault_brings_identity_bytes_and_uids_back(trip: Trip, tmp_path: Path) -> None:
    keys = Layout(trip.data).keys
    aside = keys.rename(keys.with_name("aside"))
    keys.mkdir()
    for name in ("uid.key", "pseudonym.key", "vault.key"):
        (keys / name).write_bytes((aside / name).read_bytes())
    try:
        status, rows = trip.home(tmp_path / "back")
    finally:
        for path in keys.iterdir():
            path.unlink()
        keys.rmdir()
        aside.rename(keys)
    assert status == 0
    for name, original in trip.whole.items():
        row = rows[name]
        assert (row["outcome"], row["way"], row["missing"]) == ("partly", "vault", ["removed_attributes"])
        assert "PatientName" in row["restored"]
        back = dcmread(tmp_path / "back" / row["output"])
        before = dcmread(trip.source / name)
        for keyword in ("PatientName", "PatientID", "AccessionNumber", "SpecificCharacterSet"):
            assert back.get_item(keyword).value == before.get_item(keyword).value, keyword
        for keyword in (
            "StudyInstanceUID",
            "SeriesInstanceUID",
            "SOPInstanceUID",
            "StudyDate",
            "PatientBirthDate",
        ):
            assert back[keyword].value == original[keyword].value
        assert back.file_meta.MediaStorageSOPInstanceUID == original.SOPInstanceUID
        assert str(back.PatientName) == NAME
        assert (back.PatientIdentityRemoved, "DeidentificationMethod" in back) == ("NO", False)
        assert back.PixelData == original.PixelData
    assert back.SourceImageSequence[0].ReferencedSOPInstanceUID == f"{STUDY_UID}.1.1"


def test_with_the_vault_destroyed_the_sealed_originals_come_back_byte_for_byte(
    trip: Trip, tmp_path: Path
) -> None:
    vault = Layout(trip.data).vault_database
    aside = vault.rename(tmp_path / "vault")
    try:
        status, rows = trip.home(tmp_path / "back")
    finally:
        aside.rename(vault)
    assert status == 0
    for name in (*trip.whole, "again.dcm"):
        row = rows[name]
        assert (row["outcome"], row["way"], row["missing"]) == ("restored", "encrypted_attributes", [])
        assert (tmp_path / "back" / row["output"]).read_bytes() == (trip.source / name).read_bytes()
        assert row["output_sha256"] == trip.rows()[name]["input_sha256"]
        assert row["output"].startswith(row["output_sha256"])


def test_an_object_that_is_not_what_it_says_is_held(trip: Trip, tmp_path: Path) -> None:
    row = trip.rows()["a.dcm"]
    clean = dcmread(trip.target / row["output"])
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    changes: dict[str, dict[str, str]] = {
        "another-pseudonym": {"PatientID": "00000-00000"},
        "another-accession": {"AccessionNumber": "A000000000000"},
        "another-sex": {"PatientSex": "F"},
        "another-study": {"StudyInstanceUID": "2.25.1"},
        "not-ours": {"PatientIdentityRemoved": "NO"},
    }
    for name, change in changes.items():
        ds = pydicom.dcmread(trip.target / row["output"])
        for keyword, value in change.items():
            setattr(ds, keyword, value)
        del ds.EncryptedAttributesSequence
        ds.save_as(mixed / name)
    clean.Rows = 9
    clean.save_as(mixed / "sealed-and-changed")
    (mixed / "letter").write_text("dear doctor")
    assert main(["reidentify", str(mixed), str(tmp_path / "back"), "--data", str(trip.data)]) == 0
    rows = json.loads((tmp_path / "back.json").read_text())["files"]
    assert {one["input"]: (one["outcome"], one["reason"]) for one in rows} == {
        "another-accession": ("held", "accession"),
        "another-pseudonym": ("held", "pseudonym"),
        "another-sex": ("held", "sex"),
        "another-study": ("refused", "unknown_study"),
        "letter": ("refused", "not_dicom"),
        "not-ours": ("refused", "not_deidentified"),
        "sealed-and-changed": ("held", "changed_since"),
    }
    assert list((tmp_path / "back").iterdir()) == []


def test_another_key_opens_nothing_and_says_so(
    trip: Trip, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = make_recipient("stranger", at=clock.now())
    for name, pem in (("key", stranger.key_pem), ("certificate", stranger.certificate_pem)):
        (tmp_path / name).write_bytes(pem)
    empty = tmp_path / "data"
    arguments = ["reidentify", str(trip.target), str(tmp_path / "back"), "--data", str(empty)]
    assert main(arguments) == 1
    assert "neither a vault nor a key" in capsys.readouterr().err
    own = attributes_key(Layout(trip.data))
    assert own is not None
    (tmp_path / "own").write_bytes(own.certificate_pem)
    assert main([*arguments, "--key", str(tmp_path / "key"), "--certificate", str(tmp_path / "own")]) == 1
    assert "does not belong to the certificate" in capsys.readouterr().err
    assert (
        main([*arguments, "--key", str(tmp_path / "key"), "--certificate", str(tmp_path / "certificate")])
        == 0
    )
    rows = json.loads((tmp_path / "back.json").read_text())["files"]
    assert {(row["outcome"], row["reason"]) for row in rows} == {("refused", "wrong_key")}


def test_the_daemon_seals_for_the_same_certificate(trip: Trip) -> None:
    keys = GatewayKeys.load(Layout(trip.data))
    assert keys.facility.recipients_pem == keys.recipients_pem != b""


def test_a_killed_command_leaves_no_half_file_under_a_name(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(20):
        (source / f"{number}.dcm").write_bytes(file_bytes(instance(number)))
    arguments = [
        str(source),
        str(target),
        "--data",
        str(tmp_path / "data"),
        "--report",
        str(tmp_path / "r.json"),
    ]
    process = subprocess.Popen(
        python("-m", "gateway.main", "deidentify", *arguments),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: list(target.glob("2.25*/*.dcm")) or process.poll() is not None)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = list(target.glob("2.25*/*.dcm"))
    assert finished
    assert all(len(dcmread(path).PixelData) == 128 for path in finished)
    assert not (tmp_path / "r.json").exists() or len(finished) == 20
