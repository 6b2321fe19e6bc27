"""The gateway as people run it: enrolled by the command, two child processes, killed and ended."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.main import main
from gateway.settings import GatewaySettings
from tests.gateway.centre import FakeCentre, running
from tests.gateway.facility import association, file_bytes, instance, send, wait_until


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[FakeCentre]:
    with running(FakeCentre(), tmp_path / "centre") as centre:
        yield centre


@pytest.fixture
def data(tmp_path: Path, centre: FakeCentre) -> Path:
    data = tmp_path / "gateway"
    arguments = ["enrol", centre.url, centre.new_code(), "--data", str(data), "--port", str(free_port())]
    assert main([*arguments, "--known", "PACS@127.0.0.1", "--quiet-seconds", "0.5"]) == 0
    settings = data / "gateway.toml"
    settings.write_text(
        settings.read_text().replace("minimum_free_bytes = 268435456", "minimum_free_bytes = 1048576")
    )
    return data


@contextmanager
def started(data: Path) -> Iterator["subprocess.Popen[bytes]"]:
    gateway = subprocess.Popen([sys.executable, "-m", "gateway.main", "run", "--data", str(data)])
    try:
        wait_until(lambda: listening(GatewaySettings.from_file(data).port), seconds=60)
        yield gateway
    finally:
        gateway.terminate()
        assert gateway.wait(30) == 0


def status(data: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "gateway.main", "status", "--json", "--data", str(data)]
    answer: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return answer


def children_of(pid: int) -> dict[str, int]:
    """Return the roles of a process's children and their numbers."""
    found = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split() + [
        child
        for task in Path(f"/proc/{pid}/task").iterdir()
        if task.name != str(pid)
        for child in (task / "children").read_text().split()
    ]:
        try:
            line = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            # It ended since it was listed.
            continue
        if b"gateway.main" in line:
            found[line[line.index(b"gateway.main") + 1].decode()] = int(child)
    return found


def test_a_study_goes_from_the_pacs_to_the_centre(data: Path, centre: FakeCentre) -> None:
    port = GatewaySettings.from_file(data).port
    with started(data):
        assert (
            send(port, *(instance(n) for n in range(1, 11)), instance(1), instance(11, PatientID=""))
            == [0] * 12
        )
        wait_until(lambda: centre.manifests and centre.manifests[-1].closed, seconds=60)
        wait_until(lambda: centre.beats, seconds=60)
        wait_until(lambda: status(data)["studies"][0]["uploaded_at"], seconds=60)
        (entry,) = status(data)["studies"]
        assert (entry["received"], entry["stored"], entry["pending"], entry["held"]) == (
            12,
            11,
            0,
            {"no_patient_id": 1},
        )
        assert entry["case_number"] == "4MZ09D89"
        assert entry["first_received_at"] <= entry["last_received_at"] <= entry["uploaded_at"]
    logs = b"".join(path.read_bytes() for path in (data / "logs").iterdir())
    for trace in (b"Yamada", "山田".encode(), b"0012345", b"1.2.392.200036.9116.2.5.1"):
        assert trace not in logs


def test_nothing_acknowledged_is_lost_when_the_receiver_is_killed_while_it_receives(
    data: Path, centre: FakeCentre
) -> None:
    port = GatewaySettings.from_file(data).port
    acknowledged: set[str] = set()
    datasets = {
        ds.SOPInstanceUID: ds for ds in (instance(n, pixels=os.urandom(40_000)) for n in range(1, 101))
    }

    def send_what_is_left() -> None:
        # pynetdicom does not close its socket when nobody listens.
        wait_until(lambda: listening(port), seconds=60)
        with association(port) as assoc:
            if not assoc.is_established:
                return
            for uid in sorted(set(datasets) - acknowledged):
                try:
                    answer = assoc.send_c_store(datasets[uid])
                except (RuntimeError, ValueError):
                    return
                if getattr(answer, "Status", None) != 0x0000:
                    return
                acknowledged.add(uid)

    with started(data) as gateway:
        for kills in range(1, 4):
            sender = threading.Thread(target=send_what_is_left)
            before = len(acknowledged)
            # Known before the sending begins: on a loaded machine the search may outlast it.
            receiver = wait_until(lambda: children_of(gateway.pid).get("receive"), seconds=60)
            sender.start()
            wait_until(lambda before=before: len(acknowledged) >= before + 15, seconds=60)
            os.kill(receiver, signal.SIGKILL)
            wait_until(lambda receiver=receiver: not Path(f"/proc/{receiver}").exists(), seconds=60)
            sender.join()
            assert len(acknowledged) < len(datasets), f"kill {kills} came too late to show anything"
            wait_until(lambda: listening(port), seconds=60)
        wait_until(lambda: send_what_is_left() or acknowledged == set(datasets), seconds=120)
        wait_until(lambda: len(centre.stored) == len(datasets), seconds=120)
        assert len({uid for uid, _ in centre.stored}) == len(datasets)
        assert len(list((data / "spool" / "incoming").iterdir())) == 0


def test_a_killed_worker_is_started_again_and_goes_on(data: Path, centre: FakeCentre) -> None:
    port = GatewaySettings.from_file(data).port
    with started(data) as gateway:
        first = wait_until(lambda: children_of(gateway.pid).get("work"), seconds=60)
        send(port, *(instance(n) for n in range(1, 31)))
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: len(centre.stored) == 30, seconds=120)
        assert children_of(gateway.pid)["work"] != first


def test_a_killed_supervisor_leaves_no_process_behind(data: Path) -> None:
    gateway = subprocess.Popen([sys.executable, "-m", "gateway.main", "run", "--data", str(data)])
    try:
        port = GatewaySettings.from_file(data).port
        wait_until(lambda: listening(port), seconds=60)
        children = wait_until(lambda: len(found := children_of(gateway.pid)) == 2 and found, seconds=60)
    finally:
        gateway.kill()
        gateway.wait()
    for child in children.values():
        wait_until(lambda child=child: not Path(f"/proc/{child}").exists(), seconds=30)
    with started(data):
        assert send(port, instance()) == [0x0000]


def test_files_from_a_disk_take_the_same_way(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    (disk / "deep").mkdir(parents=True)
    (disk / "letter.txt").write_text("not DICOM")
    (disk / "deep" / "one.dcm").write_bytes(file_bytes(instance()))
    (disk / "link.dcm").symlink_to(disk / "deep" / "one.dcm")
    assert main(["import", str(disk), "--all-files", "--data", str(data)]) == 0
    assert "2 taken" in capsys.readouterr().out
    assert status(data)["totals"]["received"] == 2
    with started(data):
        wait_until(lambda: status(data)["totals"]["acknowledged"] == 1, seconds=60)
    assert main(["held", "--json", "--data", str(data)]) == 0
    (held,) = json.loads(capsys.readouterr().out)
    assert (held["reason"], held["kind"]) == ("not_dicom", "instance")


def test_the_vault_is_backed_up_and_restored_by_command(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup = tmp_path / "vault.backup"
    assert main(["vault", "backup", str(backup), "--data", str(data)]) == 0
    assert main(["vault", "restore", str(backup), "--data", str(data)]) == 0
    assert "0 studies came back" in capsys.readouterr().out


def test_a_command_without_an_enrolled_gateway_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--data", str(tmp_path)]) == 1
    assert "enrol" in capsys.readouterr().err
