"""Real associations on loopback: pynetdicom and Debian's dcmtk as the senders."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from gateway.scp import StorageSCP
from gateway.spool import Spool
from teleread import clock
from tests.gateway.facility import association, file_bytes, instance, layout_of, send, settings_of, wait_until
from tests.gateway.faults import FAULTS, SystemCalls
from tests.gateway.wire import Sender, status_of, store

dcmtk = pytest.mark.skipif(shutil.which("storescu") is None, reason="Debian's dcmtk is not installed")


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(layout_of(settings_of(tmp_path)))
    yield spool
    spool.close()


@pytest.fixture
def scp(tmp_path: Path, spool: Spool) -> Iterator[StorageSCP]:
    scp = StorageSCP(settings_of(tmp_path), spool, now=clock.now)
    yield scp
    scp.close()


def items(spool: Spool) -> list[dict[str, object]]:
    return [dict(row) for row in spool.connection.execute("SELECT * FROM item ORDER BY id")]


def test_an_echo_is_answered(scp: StorageSCP) -> None:
    with association(scp.port, contexts=(Verification,)) as assoc:
        assert assoc.send_c_echo().Status == 0x0000


def test_an_instance_is_on_disk_as_sent_before_it_is_acknowledged(scp: StorageSCP, spool: Spool) -> None:
    ds = instance()
    assert send(scp.port, ds) == [0x0000]
    (item,) = items(spool)
    path = spool.received_path(str(item["sha256"]))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == item["sha256"]
    kept = dcmread(path)
    assert kept == ds
    assert kept.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (item["state"], item["times_received"], item["sop_instance_uid"]) == (
        "received",
        1,
        ds.SOPInstanceUID,
    )
    assert not list(spool.layout.incoming.iterdir())


def test_the_same_instance_again_raises_the_count_only(scp: StorageSCP, spool: Spool) -> None:
    assert send(scp.port, instance(), instance()) == [0x0000, 0x0000]
    assert [item["times_received"] for item in items(spool)] == [2]
    assert len(list(spool.layout.received.iterdir())) == 1


def test_the_same_uid_with_other_bytes_is_kept_beside_the_first(scp: StorageSCP, spool: Spool) -> None:
    assert send(scp.port, instance(), instance(pixels=b"\x07\x08" * 64)) == [0x0000, 0x0000]
    first, second = items(spool)
    assert first["sop_instance_uid"] == second["sop_instance_uid"]
    assert first["sha256"] != second["sha256"]
    assert len(list(spool.layout.received.iterdir())) == 2


def test_a_private_storage_class_is_taken(scp: StorageSCP, spool: Spool) -> None:
    ds = instance(SOPClassUID="1.2.826.0.1.3680043.9.1")
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    assert send(scp.port, ds) == [0x0000]
    assert [item["sop_class_uid"] for item in items(spool)] == ["1.2.826.0.1.3680043.9.1"]


def test_a_transfer_syntax_that_nobody_here_decodes_is_taken_as_it_is(scp: StorageSCP, spool: Spool) -> None:
    private = "1.2.840.113619.5.2"
    ae = AE(ae_title="PACS")
    ae.add_requested_context(CTImageStorage, private)
    assoc = ae.associate("127.0.0.1", scp.port, ae_title="TELEREAD")
    assert [context.transfer_syntax for context in assoc.accepted_contexts] == [[private]]
    assoc.release()


@pytest.mark.parametrize(
    ("called", "calling", "reason", "diagnostic"),
    [
        ("ANOTHER", "PACS", "called_ae_not_known", 7),
        ("TELEREAD", "STRANGER", "calling_ae_not_known", 3),
    ],
)
def test_a_stranger_is_rejected_with_an_audit_line(
    scp: StorageSCP, spool: Spool, *, called: str, calling: str, reason: str, diagnostic: int
) -> None:
    with association(scp.port, called=called, calling=calling) as assoc:
        assert assoc.is_rejected
        primitive = assoc.acceptor.primitive
        assert primitive is not None
        assert (primitive.result, primitive.result_source, primitive.diagnostic) == (1, 1, diagnostic)
    (line,) = (spool.layout.logs / "audit.log").read_text().splitlines()
    entry = json.loads(line)
    assert (entry["act"], entry["reason"], entry["calling"]) == ("association_rejected", reason, calling)
    assert entry["address"] == "127.0.0.1"
    assert items(spool) == []


def test_a_known_title_from_an_unknown_address_is_rejected(tmp_path: Path, spool: Spool) -> None:
    settings = settings_of(
        tmp_path, known_senders=(type(settings_of(tmp_path).known_senders[0])("PACS", "10.9.9.9"),)
    )
    scp = StorageSCP(settings, spool, now=clock.now)
    try:
        with association(scp.port) as assoc:
            assert assoc.is_rejected
    finally:
        scp.close()
    assert "address_not_known" in (spool.layout.logs / "audit.log").read_text()


def test_below_the_limit_of_free_space_the_answer_is_out_of_resources(tmp_path: Path) -> None:
    spool = Spool(layout_of(settings_of(tmp_path)), minimum_free_bytes=1 << 60)
    scp = StorageSCP(settings_of(tmp_path), spool, now=clock.now)
    try:
        with association(scp.port) as assoc:
            assert [assoc.send_c_store(instance(n)).Status for n in (1, 2)] == [0xA700, 0xA700]
            assert assoc.is_established
        assert items(spool) == []
    finally:
        scp.close()
        spool.close()


def test_a_full_disk_is_said_so_nothing_half_stays_and_it_goes_on_when_there_is_room(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(mount)], check=False, capture_output=True
    )
    if done.returncode != 0:
        pytest.skip("NOT TESTED: no permission to mount a small file system here")
    settings = settings_of(mount / "gateway", high_water_percent=90.0)
    spool = Spool(layout_of(settings), high_water_percent=settings.high_water_percent)
    scp = StorageSCP(settings, spool, now=clock.now)
    try:
        with Sender(scp.port) as sender:
            sender.associate()
            answers = [sender.store(os.urandom(500_000), uid=f"1.2.{number}") for number in range(60)]
            taken = answers.count(0x0000)
            assert set(answers) == {0x0000, 0xA700}
            assert answers.index(0xA700) == taken >= 30
            assert len(items(spool)) == len(list(spool.layout.received.iterdir())) == taken
            assert not list(spool.layout.incoming.iterdir())
            space = os.statvfs(mount)
            assert space.f_bavail * space.f_frsize > 1_000_000  # the reserve that the rows of these need
            for path in list(spool.layout.received.iterdir())[:5]:
                path.unlink()
            assert sender.store(os.urandom(500_000), uid="1.2.100") == 0x0000
    finally:
        scp.close()
        spool.close()
        subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_no_call_that_fails_is_answered_with_success(scp: StorageSCP, spool: Spool, fault: str) -> None:
    expected = 0xA700 if fault == "disk full" else 0x0110
    with Sender(scp.port) as sender:
        sender.associate()
        assert sender.store(b"first", uid="1.2.3") == 0x0000
        at = 0
        while True:
            with pytest.MonkeyPatch.context() as patch:
                calls = SystemCalls(patch, at, FAULTS[fault])
                status = sender.store(b"data %d" % at, uid=f"1.2.3.{at}")
            if len(calls.names) <= at:
                break
            assert status == expected, calls.names
            assert len(items(spool)) == 1 + at
            assert sender.store(b"data %d" % at, uid=f"1.2.3.{at}") == 0x0000
            at += 1
    assert at == 8
    assert not list(spool.layout.incoming.iterdir())
    assert [item["times_received"] for item in items(spool)] == [1] * (at + 2)


def test_an_echo_leaves_nothing_on_the_disk(scp: StorageSCP, spool: Spool) -> None:
    with Sender(scp.port) as sender:
        assert sender.associate().echo() == 0
        assert spool.batches.turns == 0


def test_the_answer_is_one_write_that_does_not_wait(scp: StorageSCP) -> None:
    with Sender(scp.port) as sender:
        sender.associate().send(store(b"data"))
        sender.socket.settimeout(20)
        assert status_of(sender.socket.recv(4096)[6:]) == 0
        (association,) = scp._open
        assert association._connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_association_is_noted_while_it_is_open(scp: StorageSCP, spool: Spool) -> None:
    def open_ones() -> int:
        row = spool.connection.execute("SELECT count(*) FROM association WHERE closed_at IS NULL").fetchone()
        return int(row[0])

    with association(scp.port) as assoc:
        assoc.send_c_store(instance())
        assert open_ones() == 1
    wait_until(lambda: open_ones() == 0)


def test_half_a_file_of_an_aborted_association_leaves_nothing(scp: StorageSCP, spool: Spool) -> None:
    with association(scp.port) as assoc:
        assert assoc.send_c_store(instance()).Status == 0x0000
        assoc.abort()
    assert len(items(spool)) == 1
    wait_until(lambda: not list(spool.layout.incoming.iterdir()))


@dcmtk
def test_dcmtk_sends_and_echoes(scp: StorageSCP, spool: Spool, tmp_path: Path) -> None:
    files = []
    for number in range(1, 6):
        files.append(tmp_path / f"{number}.dcm")
        files[-1].write_bytes(file_bytes(instance(number)))
    peer = ["-aet", "PACS", "-aec", "TELEREAD", "127.0.0.1", str(scp.port)]
    subprocess.run(["echoscu", *peer], check=True, timeout=30)
    subprocess.run(["storescu", *peer, *map(str, files)], check=True, timeout=30)
    assert len(items(spool)) == 5
    refused = subprocess.run(
        ["echoscu", "-aet", "PACS", "-aec", "WRONG", *peer[4:]], check=False, capture_output=True, timeout=30
    )
    assert refused.returncode != 0


def test_the_time_of_arrival_is_kept(scp: StorageSCP, spool: Spool) -> None:
    before = datetime.now(UTC).timestamp() * 1000
    send(scp.port, instance())
    (item,) = items(spool)
    assert before - 1 <= float(str(item["first_received_at"])) <= datetime.now(UTC).timestamp() * 1000
