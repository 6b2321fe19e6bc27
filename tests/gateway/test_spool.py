"""The spool: every moment at which the power may go, a full disk, and the table of states."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway import spool as spool_module
from gateway.layout import Layout
from gateway.spool import Arrival, Spool, move
from teleread.domain.workflow import Machine, Who
from teleread.errors import NotFound, OutOfSpace, TransitionNotAllowed
from tests.gateway.facility import file_bytes, instance

AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 23, 3, 1, tzinfo=UTC)


class PowerCut(BaseException):
    """The process ends here."""


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool(Layout(tmp_path / "gateway"))
    yield spool
    spool.close()


def arrive(spool: Spool, data: bytes) -> int:
    part = spool.part()
    part.write(data)
    ds_uid = "1.2.3"
    return spool.accept(part, Arrival(ds_uid, "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"), at=AT)


def rows(spool: Spool) -> list[tuple[str, int]]:
    found = spool.connection.execute("SELECT state, times_received FROM item ORDER BY id")
    return [(row["state"], row["times_received"]) for row in found]


def cut(monkeypatch: pytest.MonkeyPatch, target: str, *, after: bool) -> None:
    """Let the process end before or after a step of `accept`."""
    owner, _, name = target.rpartition(".")
    real: Callable[..., object] = getattr({"os": os, "spool": spool_module, "Path": Path}[owner], name)

    def ending(*args: object, **kwargs: object) -> object:
        if after:
            real(*args, **kwargs)
        raise PowerCut

    monkeypatch.setattr({"os": os, "spool": spool_module, "Path": Path}[owner], name, ending)


def close_without_tidying_up(part: spool_module.PartFile) -> None:
    file, part._file = part._file, None
    if file is not None:
        file.close()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["os.fsync", "Path.replace", "spool.sync_folder", "spool._count_in"])
def test_after_a_power_cut_at_any_step_the_sender_can_send_again_and_nothing_is_twice(
    tmp_path: Path, step: str, after: bool
) -> None:
    layout = Layout(tmp_path / "gateway")
    data = file_bytes(instance())
    first = Spool(layout)
    with pytest.MonkeyPatch.context() as patch:
        cut(patch, step, after=after)
        # What the process would have tidied up in a `finally` is put back: a power cut tidies nothing up.
        patch.setattr(spool_module.PartFile, "close", close_without_tidying_up)
        with pytest.raises(PowerCut):
            arrive(first, data)
    first.close()
    second = Spool(layout)
    adopted = second.recover(at=LATER)
    assert not list(layout.incoming.iterdir())
    assert len(rows(second)) == adopted == len(list(layout.received.iterdir()))
    arrive(second, data)
    assert rows(second) == [("received", 1)]
    (file,) = layout.received.iterdir()
    assert file.read_bytes() == data
    second.close()


def test_recovery_leaves_the_part_of_a_living_process_alone(spool: Spool) -> None:
    living = spool.layout.incoming / f"{os.getppid()}-0.part"
    dead = spool.layout.incoming / "999999999-0.part"
    own = spool.layout.incoming / f"{os.getpid()}-0.part"
    for path in (living, dead, own):
        path.write_bytes(b"x")
    spool.recover(at=AT)
    assert list(spool.layout.incoming.iterdir()) == [living]


def test_a_file_whose_bytes_do_not_have_its_digest_is_adopted_under_the_true_one(spool: Spool) -> None:
    (spool.layout.received / f"{'0' * 64}.dcm").write_bytes(b"something else")
    assert spool.recover(at=AT) == 1
    assert spool.recover(at=AT) == 0
    (row,) = spool.connection.execute("SELECT sha256 FROM item")
    assert row["sha256"] != "0" * 64
    assert spool.received_path(row["sha256"]).read_bytes() == b"something else"


def takes(spool: Spool) -> bool:
    try:
        arrive(spool, os.urandom(200_000))
    except OutOfSpace:
        return False
    return True


def test_a_full_disk_takes_nothing_over_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mount)], check=False, capture_output=True
    )
    if done.returncode != 0:
        pytest.skip("NOT TESTED: no permission to mount a small file system here")
    try:
        spool = Spool(Layout(mount / "gateway"))
        taken = 0
        while takes(spool):
            taken += 1
        assert 5 < taken < 20
        assert len(rows(spool)) == len(list(spool.layout.received.iterdir())) == taken
        assert not list(spool.layout.incoming.iterdir())
        for path in list(spool.layout.received.iterdir())[:3]:
            path.unlink()
        arrive(spool, os.urandom(200_000))
        assert len(rows(spool)) == taken + 1
        spool.close()
    finally:
        subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.parametrize("step", ["os.fsync", "Path.replace", "spool.sync_folder"])
def test_an_input_output_error_is_never_a_success(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise OSError(5, "Input/output error")

    owner, _, name = step.rpartition(".")
    with monkeypatch.context() as patch:
        patch.setattr({"os": os, "spool": spool_module, "Path": Path}[owner], name, broken)
        with pytest.raises(OSError, match="Input/output"):
            arrive(spool, b"data")
    assert rows(spool) == []
    arrive(spool, b"data")
    assert rows(spool) == [("received", 1)]


def test_a_state_changes_only_by_the_table_and_leaves_an_event(spool: Spool) -> None:
    number = arrive(spool, b"data")
    with pytest.raises(TransitionNotAllowed), spool.writing() as connection:
        move(connection, Machine.SPOOL_ITEM, number, "acknowledged", at=AT)
    with spool.writing() as connection:
        move(connection, Machine.SPOOL_ITEM, number, "deid_failed", at=AT, reason="burned_in")
    with pytest.raises(TransitionNotAllowed), spool.writing() as connection:
        move(connection, Machine.SPOOL_ITEM, number, "discard", at=AT)
    with spool.writing() as connection:
        move(
            connection,
            Machine.SPOOL_ITEM,
            number,
            "discard",
            at=LATER,
            who=Who.FACILITY_OPERATOR,
            actor="sato",
        )
    with pytest.raises(NotFound), spool.writing() as connection:
        move(connection, Machine.SPOOL_ITEM, 99, "discard", at=AT)
    events = spool.connection.execute("SELECT from_state, to_state, actor, reason FROM event ORDER BY id")
    assert [tuple(event) for event in events] == [
        ("received", "held", "gateway", "burned_in"),
        ("held", "discarded", "sato", ""),
    ]


def test_threads_that_have_ended_keep_no_descriptors(spool: Spool) -> None:
    def look() -> None:
        assert rows(spool) == []

    def descriptors_after(threads: int) -> int:
        for _ in range(threads):
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
        return len(os.listdir("/proc/self/fd"))

    few = descriptors_after(2)
    assert descriptors_after(50) <= few + 4


def test_no_name_in_the_spool_comes_from_a_dicom_value(spool: Spool) -> None:
    part = spool.part()
    part.write(b"data")
    spool.accept(part, Arrival("../../../etc/passwd", "/", "\0"), at=AT)
    (file,) = spool.layout.received.iterdir()
    assert file.stem.isalnum()
    assert len(file.stem) == 64
