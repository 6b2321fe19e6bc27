"""The demo's PACS sends files as they are and files what it gets; it is the independent peer of the gateway."""

import hashlib
import json
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pydicom
import pytest

from teleread.demo import another, pacs
from teleread.demo.study import make_study
from teleread.supervisor import python
from teleread.up import free_port

AT = datetime(2026, 11, 23, 10, 15, 0)  # noqa: DTZ001 - a modality's local time


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    folder, port = tmp_path / "pacs", free_port()
    command = python(
        "-m",
        "teleread.demo.pacs",
        "serve",
        "--folder",
        str(folder),
        "--ae-title",
        "HERE",
        "--port",
        str(port),
    )
    with subprocess.Popen(command) as process:
        yield folder, port
        process.terminate()


def _send(port: int, path: Path) -> list[dict[str, str]]:
    command = python(
        "-m", "teleread.demo.pacs", "send", "--to", f"HERE@127.0.0.1:{port}", "--patience", "20", str(path)
    )
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _files(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number, ds in enumerate(make_study(AT)[:count]):
        ds.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder


def test_what_is_sent_arrives_with_the_same_bytes_of_the_dataset(
    archive: tuple[Path, int], tmp_path: Path
) -> None:
    folder, port = archive
    source = _files(tmp_path / "source", 3)
    fates = _send(port, source)
    assert [fate["outcome"] for fate in fates] == ["sent"] * 3
    rows = pacs.index(folder)
    assert len(rows) == 3
    sent = {hashlib.sha256(pydicom.dcmread(p).PixelData).hexdigest() for p in source.iterdir()}
    assert {hashlib.sha256(pydicom.dcmread(row["path"]).PixelData).hexdigest() for row in rows} == sent


def test_one_more_study_goes_where_the_demo_that_is_up_said(
    archive: tuple[Path, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, port = archive
    another.write_ready(tmp_path, gateway=f"127.0.0.1:{port}", called="HERE", calling="SHIKENPACS")
    for studies in (1, 2):
        assert another.main(["--data", str(tmp_path)]) == 0
        assert "40 of 40" in capsys.readouterr().out
        assert len({row["study_instance_uid"] for row in pacs.index(folder)}) == studies


def test_each_file_below_a_folder_is_told_once_and_what_is_not_dicom_is_ignored(
    archive: tuple[Path, int], tmp_path: Path
) -> None:
    _folder, port = archive
    source = _files(tmp_path / "source", 1)
    (source / "notes.txt").write_text("not DICOM")
    (source / "empty").touch()
    ds = make_study(AT)[0]
    del ds.SOPInstanceUID
    del ds.file_meta.MediaStorageSOPInstanceUID
    ds.save_as(source / "nameless.dcm")
    fates = {Path(fate["path"]).name: fate["outcome"] for fate in _send(port, source)}
    assert fates == {
        "0.dcm": "sent",
        "notes.txt": "ignored",
        "empty": "ignored",
        "nameless.dcm": "not_carried",
    }


def test_a_file_without_preamble_and_meta_group_is_sent_behind_a_meta_group(
    archive: tuple[Path, int], tmp_path: Path
) -> None:
    folder, port = archive
    source = _files(tmp_path / "source", 1)
    whole = (source / "0.dcm").read_bytes()
    meta_length = int.from_bytes(whole[140:144], "little")
    (source / "0.dcm").write_bytes(whole[144 + meta_length :])
    assert [fate["outcome"] for fate in _send(port, source)] == ["sent"]
    assert len(pacs.index(folder)) == 1


def test_the_sender_waits_for_a_receiver_that_is_not_there_yet(tmp_path: Path) -> None:
    folder, port = tmp_path / "pacs", free_port()
    source = _files(tmp_path / "source", 1)
    sender = python(
        "-m", "teleread.demo.pacs", "send", "--to", f"HERE@127.0.0.1:{port}", "--patience", "60", str(source)
    )
    server = python(
        "-m",
        "teleread.demo.pacs",
        "serve",
        "--folder",
        str(folder),
        "--ae-title",
        "HERE",
        "--port",
        str(port),
    )
    with subprocess.Popen(sender, stdout=subprocess.PIPE, text=True) as sending:
        with pytest.raises(subprocess.TimeoutExpired):
            sending.wait(3)
        with subprocess.Popen(server) as serving:
            deadline = time.monotonic() + 60
            while sending.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            serving.terminate()
        assert sending.stdout is not None
        assert json.loads(sending.stdout.read())["outcome"] == "sent"
