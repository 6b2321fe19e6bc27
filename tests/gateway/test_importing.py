"""Media: a folder, a CD with its list, a ZIP; never two patients in one by chance."""

import stat
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.fileset import FileSet

from gateway import importing
from gateway.importing import Found, Patient, SeveralPatients, Summary, import_medium, look_at
from gateway.main import main
from gateway.spool import Spool
from teleread import clock
from teleread.errors import InvalidInput, OutOfSpace
from tests.gateway.facility import file_bytes, instance, layout_of, settings_of


class Here:
    """Children without processes: what they are is tested elsewhere."""

    def __init__(self, function: Any, *, processes: int | None = None) -> None:
        self._function = function

    def answers(self, jobs: Any) -> Iterator[tuple[Any, Any]]:
        for key, arguments in jobs:
            yield key, self._function(*arguments)

    def close(self) -> None:
        """There is nothing to end."""


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Spool]:
    monkeypatch.setattr(importing, "Children", Here)
    with closing(Spool(layout_of(settings_of(tmp_path / "box")))) as spool:
        yield spool


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """One patient, with what lies on a CD beside the images."""
    disk = tmp_path / "disk"
    (disk / "images").mkdir(parents=True)
    for number in (1, 2):
        (disk / "images" / f"{number}.dcm").write_bytes(file_bytes(instance(number)))
    (disk / "images" / "cut.dcm").write_bytes(file_bytes(instance(3))[:-60])
    (disk / "AUTORUN.INF").write_text("[autorun]")
    (disk / "link").symlink_to(disk / "images")
    return disk


def take(path: Path, spool: Spool, **choices: Any) -> Summary:
    return import_medium(path, spool, now=clock.now, **choices)


def digests(spool: Spool) -> set[str]:
    return {row["sha256"] for row in spool.connection.execute("SELECT sha256 FROM item")}


def of_another(number: int, **changes: Any) -> bytes:
    return file_bytes(instance(number, study_uid="1.2.392.9", patient_id="99", **changes))


def zipped(tmp_path: Path, members: dict[str, bytes]) -> Path:
    path = tmp_path / "medium.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_a_folder_is_taken_once_and_the_summary_tells_all_of_it(spool: Spool, disk: Path) -> None:
    summary = take(disk, spool)
    assert (summary.taken, summary.duplicate, summary.not_dicom) == (3, 0, 1)
    assert (dict(summary.held), dict(summary.unreadable)) == ({"truncated": 1}, {"link": 1})
    assert summary.patients == {Patient("0012345"): 3}
    assert len(digests(spool)) == 3
    again = take(disk, spool)
    assert (again.taken, again.duplicate) == (0, 3)
    assert len(digests(spool)) == 3


def test_an_import_that_was_cut_off_goes_on_where_it_was(
    spool: Spool, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []

    def cut(*arguments: Any, **named: Any) -> int:
        if taken:
            raise KeyboardInterrupt
        taken.append(1)
        return accept(*arguments, **named)

    accept = spool.accept
    with monkeypatch.context() as patch:
        patch.setattr(spool, "accept", cut)
        with pytest.raises(KeyboardInterrupt):
            take(disk, spool)
    assert len(digests(spool)) == 1
    assert list(spool.layout.incoming.iterdir()) == []
    summary = take(disk, spool)
    assert (summary.taken, summary.duplicate) == (2, 1)


@pytest.mark.parametrize(
    ("stranger", "why"),
    [
        (of_another(4), "several patients on it"),
        (file_bytes(instance(4, patient_id="99")), "several patients on it"),
        (file_bytes(instance(4, PatientName="Sato^Hanako")), "several names"),
        (file_bytes(instance(4, PatientBirthDate="19700101")), "several birth dates"),
        (file_bytes(instance(4, IssuerOfPatientID="OTHER")), "several patients on it"),
    ],
)
def test_nothing_is_taken_from_a_mixed_medium_until_somebody_says_whose(
    spool: Spool, disk: Path, stranger: bytes, why: str
) -> None:
    (disk / "stranger.dcm").write_bytes(stranger)
    with pytest.raises(SeveralPatients, match=why):
        take(disk, spool)
    assert digests(spool) == set()
    assert take(disk, spool, all_patients=True).taken == 4


def test_one_patient_of_several_is_taken_by_the_id_and_no_other(spool: Spool, disk: Path) -> None:
    (disk / "stranger.dcm").write_bytes(of_another(4))
    (disk / "nobody.dcm").write_bytes(file_bytes(instance(5, patient_id="")))
    summary = take(disk, spool, patients=["99"])
    assert (summary.taken, summary.of_others) == (1, 4)
    assert len(digests(spool)) == 1
    with pytest.raises(InvalidInput, match="--patient"):
        take(disk, spool, patients=["98"])
    # One study of two patients is nobody's, whoever is asked for.
    (disk / "mixed.dcm").write_bytes(file_bytes(instance(6, patient_id="99")))
    with pytest.raises(SeveralPatients, match="one study"):
        take(disk, spool, patients=["99", "0012345"])


def test_the_same_name_written_by_two_devices_is_one_patient(spool: Spool, disk: Path) -> None:
    (disk / "other.dcm").write_bytes(file_bytes(instance(4, PatientName="YAMADA^TAROU^^=山田^太郎")))
    assert take(disk, spool).taken == 4


def test_a_cd_with_its_list_and_files_that_are_not_on_it(spool: Spool, tmp_path: Path) -> None:
    disk = tmp_path / "cd"
    files = FileSet()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in (1, 2):
            files.add(_for_a_cd(number))
        files.write(disk)
        files._stage["t"].cleanup()
    listed = [path for path in disk.rglob("*") if path.is_file() and path.name != "DICOMDIR"]
    listed[0].unlink()
    (disk / "EXTRA.DCM").write_bytes(file_bytes(instance(3)))
    summary = take(disk, spool)
    assert (summary.directories, summary.not_listed, summary.missing) == (1, 1, 1)
    assert summary.taken == 2
    assert "not on its list" in " ".join(summary.lines())


def _for_a_cd(number: int) -> Dataset:
    ds = instance(number)
    # A character set that the writer of the list understands.
    ds.SpecificCharacterSet, ds.PatientName = "ISO_IR 192", "Yamada^Tarou"
    return ds


def test_a_zip_is_a_medium_like_any_other(spool: Spool, tmp_path: Path) -> None:
    path = zipped(
        tmp_path,
        {
            "a/1.dcm": file_bytes(instance(1)),
            "a/2.dcm": file_bytes(instance(2)),
            "inner.zip": zipped(tmp_path, {"3.dcm": file_bytes(instance(3))}).read_bytes(),
        },
    )
    summary = take(path, spool)
    assert (summary.taken, summary.not_dicom) == (2, 1)
    assert take(path, spool).duplicate == 2
    assert not list(spool.layout.spool.glob("import-*"))


def test_a_zip_names_no_place_outside(spool: Spool, tmp_path: Path) -> None:
    path = tmp_path / "medium.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("../up.dcm", "/root.dcm", "a/../../b.dcm", "C:\\x.dcm", "..\\y.dcm"):
            archive.writestr(name, file_bytes(instance(1)))
        link = zipfile.ZipInfo("link.dcm")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("good.dcm", file_bytes(instance(2)))
    summary = take(path, spool)
    assert (summary.taken, dict(summary.unreadable)) == (1, {"unsafe_name": 5, "link": 1})
    assert sorted(one.name for one in tmp_path.iterdir()) == ["box", "medium.zip"]


@pytest.mark.parametrize(
    ("limit", "value"),
    [("ZIP_ENTRIES", 1), ("ZIP_BYTES", 100), ("ZIP_MEMBER_BYTES", 100), ("ZIP_RATIO", 0)],
)
def test_a_zip_that_is_built_to_fill_the_disk_is_refused_before_it_is_unpacked(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(importing, limit, value)
    monkeypatch.setattr(importing, "_RATIO_COUNTS_FROM", 0)
    path = zipped(tmp_path, {"1": file_bytes(instance(1)), "2": file_bytes(instance(2))})
    with pytest.raises(InvalidInput) as caught:
        take(path, spool)
    assert caught.value.code == "zip_bomb"
    assert digests(spool) == set()


def test_a_member_that_is_larger_than_it_says_is_cut_and_the_zip_refused(
    spool: Spool, tmp_path: Path
) -> None:
    path = zipped(tmp_path, {"1.dcm": bytes(5_000_000)})
    data = bytearray(path.read_bytes())
    # The size in the central directory (APPNOTE 4.3.12) and in the local header (4.3.7).
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = data[22:26] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match="damaged"):
        take(path, spool)
    assert not list(spool.layout.spool.glob("import-*"))


@pytest.mark.parametrize("cut", [60, 120, 200])
def test_a_damaged_zip_is_refused_and_leaves_nothing(spool: Spool, tmp_path: Path, cut: int) -> None:
    path = zipped(tmp_path, {"1.dcm": file_bytes(instance(1))})
    data = bytearray(path.read_bytes())
    data[cut] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InvalidInput, match="damaged"):
        take(path, spool)
    assert digests(spool) == set()
    assert not list(spool.layout.spool.glob("import-*"))


def test_what_a_killed_import_had_unpacked_is_removed(spool: Spool, tmp_path: Path) -> None:
    left = spool.layout.spool / "import-999999999-x"
    left.mkdir()
    (left / "0").write_bytes(b"x")
    take(zipped(tmp_path, {"1.dcm": file_bytes(instance(1))}), spool)
    assert not left.exists()


def test_a_full_disk_says_so(spool: Spool, disk: Path) -> None:
    full = Spool(spool.layout, minimum_free_bytes=2**62)
    with closing(full), pytest.raises(OutOfSpace):
        take(disk, full)


def test_a_file_that_changes_while_it_is_read_is_not_taken(spool: Spool, disk: Path) -> None:
    for path in (disk / "images").iterdir():
        seen = look_at(Found(path, path.name))
        path.write_bytes(of_another(8))
        summary = Summary()
        importing._take_one(Found(path, path.name), seen, spool, summary, now=clock.now)
        assert dict(summary.unreadable) == {"changed_meanwhile": 1}
    assert digests(spool) == set()
    assert list(spool.layout.incoming.iterdir()) == []


def test_the_command_lists_patients_at_the_terminal_only(
    disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "Children", Here)
    settings_of(tmp_path / "box").write()
    (disk / "stranger.dcm").write_bytes(of_another(4))
    assert main(["import", str(disk), "--data", str(tmp_path / "box")]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == ["patient 0012345: 3 files", "patient 99: 1 files"]
    assert "--all-patients" in err
    assert "0012345" not in err
    assert main(["import", str(disk), "--patient", "99", "--data", str(tmp_path / "box")]) == 0
    assert "1 taken, 0 were here already" in capsys.readouterr().out
    assert main(["import", str(disk / "none"), "--data", str(tmp_path / "box")]) == 1
