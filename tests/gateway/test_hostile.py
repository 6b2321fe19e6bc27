"""What nobody should send, through the door and up to the de-identification: kept as it came, or refused."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.scp import StorageSCP
from gateway.spool import Spool
from teleread import clock
from teleread.dicom.deid.deidentify import deidentify_file
from teleread.dicom.deid.profile import FacilityKeys
from teleread.dicom.raw import BrokenDataset, parse_raw
from tests.gateway import hostile
from tests.gateway.facility import layout_of, settings_of, wait_until
from tests.gateway.wire import CT, Sender, request, store, store_request

FILES = sorted(path for path in (Path(__file__).parents[1] / "data" / "dicom").iterdir() if path.is_file())
KEYS = FacilityKeys(b"u" * 32, b"p" * 32)


@pytest.fixture
def scp(tmp_path: Path) -> Iterator[StorageSCP]:
    settings = settings_of(tmp_path / "gateway")
    spool = Spool(layout_of(settings))
    scp = StorageSCP(settings, spool, now=clock.now)
    yield scp
    scp.close()
    spool.close()


def kept(scp: StorageSCP, data: bytes) -> Path:
    """Return the one file that holds a data set."""
    (path,) = (one for one in scp.spool.layout.received.iterdir() if one.read_bytes().endswith(data))
    return path


def judged(path: Path, target: Path) -> str:
    """Return what the de-identification says of a file: clean, or why it is held."""
    result = deidentify_file(path, target, keys=KEYS)
    assert target.exists() == (result.outcome == "clean")
    target.unlink(missing_ok=True)
    assert result.outcome == "clean" or result.reason
    return str(result.reason or result.outcome)


def names_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_a_text_that_looks_like_a_path_names_no_file(scp: StorageSCP, tmp_path: Path) -> None:
    assert len(hostile.PATHS) >= 60
    before = names_below(tmp_path)
    with Sender(scp.port) as sender:
        sender.associate()
        for number, text in enumerate(hostile.PATHS):
            data = hostile.data_set(uid=text, study_uid=text) + bytes([number])
            assert sender.store(data, uid=text.encode("utf-8")[:64]) in (0x0000, 0x0117)
    for text in hostile.PATHS[::6]:
        with Sender(scp.port) as stranger:
            stranger.send(request(calling=text.encode("utf-8"), called=text.encode("utf-8")))
            assert stranger.answer()[0] == 3
    new = names_below(tmp_path) - before
    assert len(new) > 50
    for name in new:
        path = Path(name)
        assert path.parent == Path("gateway/spool/received") or path == Path("gateway/logs/audit.log")
        assert path.suffix == ".log" or (len(path.stem) == 64 and path.stem.isalnum())


@pytest.mark.parametrize("depth", [63, 65, 1_000, 100_000])
def test_sequences_in_sequences_are_kept_and_held_and_the_next_is_served(
    scp: StorageSCP, tmp_path: Path, depth: int
) -> None:
    data = hostile.nested(depth)
    with Sender(scp.port) as sender:
        assert sender.associate().store(data) == 0
        assert sender.store(b"the next one", uid="1.2.9") == 0
    reason = judged(kept(scp, data), tmp_path / "clean.dcm")
    assert reason == "too_deep" if depth > 64 else reason != "too_deep"


def test_a_deflated_bomb_is_refused_before_it_goes_off() -> None:
    data = hostile.bomb(40)
    assert len(data) < 45_000
    began = time.process_time()
    with pytest.raises(BrokenDataset) as found:
        parse_raw(data)
    assert found.value.code == "too_large"
    assert time.process_time() - began < 5


def test_a_deflated_data_set_that_is_no_bomb_is_read() -> None:
    data = hostile.bomb(10)
    assert len(parse_raw(data).value(0x7FE00010)) == 10 << 20
    with pytest.raises(BrokenDataset) as found:
        parse_raw(data[:-20])
    assert found.value.code == "truncated"


@pytest.mark.parametrize("lie", sorted(hostile.LIES))
def test_sizes_that_are_not_true_break_nothing(scp: StorageSCP, tmp_path: Path, lie: str) -> None:
    data = hostile.LIES[lie]()
    with Sender(scp.port) as sender:
        assert sender.associate().store(data) == 0
    assert judged(kept(scp, data), tmp_path / "clean.dcm")


def test_mutants_are_kept_as_they_came_and_come_out_clean_or_held(scp: StorageSCP, tmp_path: Path) -> None:
    found = list(hostile.mutants(FILES, 60, seed=26))
    syntaxes = sorted({syntax for syntax, _ in found})
    outcomes = set()
    with Sender(scp.port) as sender:
        sender.associate(contexts=[(CT, syntax) for syntax in syntaxes])
        for number, (syntax, data) in enumerate(found):
            context = 2 * syntaxes.index(syntax) + 1
            assert sender.store(data, uid=f"1.2.{number}", context=context) == 0
            path = kept(scp, data)
            outcomes.add(judged(path, tmp_path / "clean.dcm"))
            path.unlink()
    assert "clean" in outcomes
    assert len(outcomes) > 3


def test_mutants_of_the_conversation_end_it_and_nothing_else(scp: StorageSCP) -> None:
    chance = random.Random(27)  # noqa: S311 - reproducible, not secret
    talk = request() + store(os.urandom(300)) + store_request()
    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(60):
        with Sender(scp.port) as sender:
            try:
                sender.send(hostile.mutant(talk, chance))
                sender.socket.shutdown(1)
            except OSError:
                continue
            while sender.answer()[0]:
                pass
    with Sender(scp.port) as sender:
        assert sender.associate().store(b"data") == 0
    wait_until(lambda: not scp._open)
    wait_until(lambda: not list(scp.spool.layout.incoming.iterdir()))
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= descriptors + 4)
