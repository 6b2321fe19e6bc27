"""Senders that are silent, slow, greedy or rude, and those beside them that have to be served all the same."""

import json
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.guard import Limits
from gateway.scp import AuditLog, StorageSCP
from gateway.settings import KnownSender
from gateway.spool import Spool
from gateway.upper_layer import Patience
from teleread import clock
from tests.gateway.facility import layout_of, settings_of, wait_until
from tests.gateway.wire import (
    ABORT,
    REJECT,
    RELEASED,
    Sender,
    pdu,
    pdv,
    request,
    senders,
    status_of,
    store,
    store_request,
)

MIB = 2**20
STRANGER = "127.0.0.2"


@contextmanager
def gateway(
    data: Path, *, limits: Limits | None = None, patience: Patience | None = None, **changes: Any
) -> Iterator[StorageSCP]:
    chosen = settings_of(data, **changes)
    spool = Spool(layout_of(chosen))
    scp = StorageSCP(chosen, spool, now=clock.now, limits=limits, patience=patience)
    try:
        yield scp
    finally:
        scp.close()
        spool.close()


@pytest.fixture
def scp(tmp_path: Path) -> Iterator[StorageSCP]:
    with gateway(tmp_path) as scp:
        yield scp


def record(scp: StorageSCP) -> list[dict[str, str]]:
    path = scp.spool.layout.logs / "audit.log"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def stored(scp: StorageSCP) -> list[bytes]:
    """Return the data sets that were kept, without the heads of their files."""
    return sorted(path.read_bytes().partition(b"TELEREAD")[2] for path in scp.spool.layout.received.iterdir())


def memory_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_two_hundred_silent_connections_leave_a_sender_its_place(tmp_path: Path) -> None:
    with (
        gateway(tmp_path, maximum_associations=2, limits=Limits(first_bytes_seconds=600)) as scp,
        senders(scp.port, 200, source=STRANGER) as silent,
    ):
        for number in range(5):
            with Sender(scp.port) as sender:
                assert sender.associate().echo() == 0
                assert sender.store(b"data", uid=f"1.2.{number}") == 0
        # All but a few were shown the door at once.
        assert all(one.is_closed() for one in silent[Limits().waiting_of_stranger :])


def test_a_sender_takes_the_place_of_a_waiting_stranger_when_there_is_no_other(tmp_path: Path) -> None:
    limits = Limits(first_bytes_seconds=600, waiting=4)
    with (
        gateway(tmp_path, limits=limits) as scp,
        senders(scp.port, 4, source=STRANGER) as silent,
        Sender(scp.port) as sender,
    ):
        assert sender.associate().echo() == 0
        assert silent[0].is_closed()
        with Sender(scp.port, source="127.0.0.3") as fifth:
            fifth.send(request())
            assert fifth.answer()[0] == REJECT  # room again, and the title is known at another address only


def test_who_says_nothing_or_too_little_is_cut_off_in_time(tmp_path: Path) -> None:
    with gateway(tmp_path, limits=Limits(first_bytes_seconds=0.2, request_seconds=0.4)) as scp:
        with Sender(scp.port) as silent, Sender(scp.port) as slow, Sender(scp.port) as slower:
            slow.send(request()[:4])
            slower.send(request()[:40])
            assert silent.is_closed()
            assert slow.is_closed()
            assert slower.is_closed()
        assert [line["reason"] for line in record(scp)] == ["request_too_slow"] * 3


def test_what_is_no_association_request_is_aborted_before_it_costs_anything(scp: StorageSCP) -> None:
    rude = {
        b"GET / HTTP/1.1\r\n\r\n": "no_association_request",
        store(b"data"): "no_association_request",
        struct.pack(">BxL", 1, 2**32 - 1): "request_of_wrong_length",
        struct.pack(">BxL", 1, 300_000): "request_of_wrong_length",
        struct.pack(">BxL", 1, 10): "request_of_wrong_length",
    }
    for data, reason in rude.items():
        with Sender(scp.port) as sender:
            sender.send(data)
            assert sender.answer()[0] == ABORT
            assert sender.is_closed()
        assert record(scp)[-1]["reason"] == reason
    assert not scp._open
    with Sender(scp.port) as sender:
        sender.send(request()[:-2] + b"\xff\xff")
        assert sender.answer()[0] == ABORT
    assert "cannot be read" in record(scp)[-1]["reason"]


def test_a_request_may_come_byte_by_byte_and_with_what_follows_it(scp: StorageSCP) -> None:
    with Sender(scp.port) as sender:
        for byte in request():
            sender.send(bytes([byte]))
        assert sender.answer()[0] == 2
        assert sender.store(b"data") == 0
    with Sender(scp.port) as hasty:
        hasty.send(request() + store(b"more data"))
        assert hasty.answer()[0] == 2
        assert status_of(hasty.answer()[1]) == 0
    assert stored(scp) == [b"data", b"more data"]


def test_a_pdu_of_four_gigabytes_is_cut_and_costs_no_memory(scp: StorageSCP) -> None:
    before = memory_bytes()
    with Sender(scp.port) as beside:
        beside.associate()
        for _ in range(5):
            with Sender(scp.port) as bomb:
                bomb.associate().send(struct.pack(">BxLLBB", 4, 2**32 - 1, 2**32 - 5, 1, 1))
                assert bomb.answer()[0] == ABORT
        assert beside.store(b"data") == 0
    assert memory_bytes() - before < 16 * MIB
    assert record(scp)[-1]["reason"] == "a PDU beyond the limit"


def test_the_longest_pdu_allowed_goes_to_the_disk_and_not_into_memory(scp: StorageSCP) -> None:
    data = os.urandom(MIB) * 15
    with Sender(scp.port) as sender:
        sender.associate()
        before = memory_bytes()
        assert sender.store(data) == 0
        assert memory_bytes() - before < 40 * MIB  # the test's own copies of it among them
    assert stored(scp) == [data]


def test_a_message_that_trickles_and_a_sender_that_falls_silent_are_aborted(tmp_path: Path) -> None:
    patience = Patience(idle_seconds=0.3, pause_seconds=5, grace_seconds=0.1, slowest_bytes_per_second=1e9)
    with gateway(tmp_path, patience=patience) as scp, Sender(scp.port) as sender:
        sender.associate().send(pdu(4, pdv(store_request(), command=True, last=True)))

        def is_cut() -> bool:
            try:
                sender.send(pdu(4, pdv(b"ab", command=False, last=False)))
            except ConnectionError:
                return True
            return bool(record(scp))

        wait_until(is_cut)
        with Sender(scp.port) as silent:
            assert silent.associate().echo() == 0
            assert silent.answer()[0] == ABORT
        wait_until(lambda: len(record(scp)) == 2)
        assert [line["reason"] for line in record(scp)] == ["too slow", "silent for too long"]
        wait_until(lambda: not list(scp.spool.layout.incoming.iterdir()))


def test_one_sender_cannot_have_every_place(tmp_path: Path) -> None:
    known = (KnownSender("PACS", "127.0.0.1"), KnownSender("CT1", STRANGER))
    with gateway(
        tmp_path, known_senders=known, maximum_associations=3, maximum_associations_of_sender=2
    ) as scp:
        with Sender(scp.port) as one, Sender(scp.port) as two, Sender(scp.port) as three:
            assert (one.associate().echo(), two.associate().echo()) == (0, 0)
            three.send(request())
            assert three.answer() == (REJECT, bytes([0, 2, 3, 2]))
            with Sender(scp.port, source=STRANGER) as other, Sender(scp.port, source=STRANGER) as last:
                assert other.associate(calling="CT1").echo() == 0
                last.send(request(calling="CT1"))
                assert last.answer() == (REJECT, bytes([0, 2, 3, 2]))
            two.send(pdu(5, bytes(4)))
            assert two.answer()[0] == RELEASED

        def is_let_in() -> bool:
            with Sender(scp.port) as again:
                again.send(request())
                return again.answer()[0] == 2

        wait_until(is_let_in)
        reasons = {line["reason"] for line in record(scp)}
        assert reasons == {"too_many_associations", "too_many_associations_of_sender"}


def test_a_stranger_cannot_fill_the_record(tmp_path: Path) -> None:
    seconds = [0.0]
    log = AuditLog(tmp_path / "audit.log", monotonic=lambda: seconds[0])
    at = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)

    def lines() -> list[dict[str, str]]:
        return [json.loads(line) for line in (tmp_path / "audit.log").read_text().splitlines()]

    for _ in range(1000):
        log.write_sparingly("association_rejected", at, address=STRANGER, reason="x")
    assert len(lines()) == AuditLog.LINES_A_MINUTE
    for number in range(1000):
        log.write_sparingly("association_rejected", at, address=f"10.0.{number // 250}.{number % 250}")
    assert len(lines()) < 2 * AuditLog.LINES_A_MINUTE + AuditLog.ADDRESSES
    seconds[0] = 61.0
    log.sum_up(at)
    told = {line["address"]: line["times"] for line in lines() if line["act"] == "association_rejected_again"}
    assert told[STRANGER] == "995"
    assert set(told) == {STRANGER, "others"}
    log.write_sparingly("association_rejected", at, address=STRANGER, reason="x")
    assert lines()[-1]["act"] == "association_rejected"


def data_pdus(data: bytes, cuts: list[int], *, command: bool) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[a:b] for a, b in pairwise(edges)]
    return [
        pdv(piece, command=command, last=number == len(pieces) - 1) for number, piece in enumerate(pieces)
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(min_size=1, max_size=400),
    cuts=st.lists(st.integers(0, 1000), max_size=6),
    together=st.integers(1, 4),
    segment=st.integers(1, 300),
)
def test_however_a_message_is_cut_up_the_same_bytes_are_kept(
    scp: StorageSCP, data: bytes, cuts: list[int], together: int, segment: int
) -> None:
    items = data_pdus(store_request(), cuts, command=True) + data_pdus(data, cuts, command=False)
    sent = b"".join(pdu(4, b"".join(items[n : n + together])) for n in range(0, len(items), together))
    with Sender(scp.port) as sender:
        sender.associate()
        for at in range(0, len(sent), segment):
            sender.send(sent[at : at + segment])
        assert status_of(sender.answer()[1]) == 0
    assert data in stored(scp)


WRONG: dict[str, Callable[[], bytes]] = {
    "a PDU type of nobody's": lambda: pdu(9, bytes(4)),
    "a second request": request,
    "an answer": lambda: pdu(2, bytes(68)),
    "an item without header": lambda: pdu(4, b"\0\0\0"),
    "an item of length 1": lambda: pdu(4, struct.pack(">LBB", 1, 1, 3)),
    "an item longer than its PDU": lambda: pdu(4, struct.pack(">LBB", 500, 1, 3)),
    "a context that was not accepted": lambda: pdu(
        4, pdv(store_request(), command=True, last=True, context=9)
    ),
    "a data set without its command": lambda: pdu(4, pdv(b"data", command=False, last=True)),
    "a command set of other groups": lambda: pdu(4, pdv(b"\x08\0" + bytes(30), command=True, last=True)),
    "a command set that is cut off": lambda: pdu(4, pdv(store_request()[:-3], command=True, last=True)),
    "a command set without a command": lambda: pdu(4, pdv(b"", command=True, last=True)),
    "an endless command set": lambda: pdu(4, pdv(bytes(20_000), command=True, last=False)),
    "two commands at once": lambda: pdu(4, pdv(store_request(), command=True, last=True) * 2),
}


@pytest.mark.parametrize("wrong", sorted(WRONG))
def test_an_association_that_breaks_the_protocol_is_aborted_and_the_next_is_served(
    scp: StorageSCP, wrong: str
) -> None:
    with Sender(scp.port) as sender:
        sender.associate().send(WRONG[wrong]())
        assert sender.answer()[0] == ABORT
        assert sender.is_closed()
    with Sender(scp.port) as sender:
        assert sender.associate().store(b"data") == 0
    assert stored(scp) == [b"data"]
    assert not list(scp.spool.layout.incoming.iterdir())


def test_requests_that_cannot_be_served_are_answered_and_the_next_one_is(scp: StorageSCP) -> None:
    def ask(command: bytes, data: bytes, context: int = 1) -> int:
        sender.send(pdu(4, pdv(command, command=True, last=True, context=context)))
        if data:
            sender.send(pdu(4, pdv(data, command=False, last=True, context=context)))
        return status_of(sender.answer()[1])

    with Sender(scp.port) as sender:
        sender.associate()
        assert ask(store_request(field=0x0020), b"identifier") == 0x0211
        assert ask(store_request(), b"data", context=3) == 0x0122
        assert ask(store_request(uid=""), b"data") == 0x0117
        assert ask(store_request(uid="1" * 65), b"data") == 0x0117
        assert ask(store_request(data_set=0x0101), b"") == 0xC000
        sender.send(pdu(4, pdv(store_request(field=0x0FFF, data_set=0x0101), command=True, last=True)))
        assert sender.store(b"data") == 0
    assert stored(scp) == [b"data"]


def test_a_peer_that_goes_away_gives_its_place_and_its_half_file_back(tmp_path: Path) -> None:
    with gateway(tmp_path, maximum_associations=1) as scp:
        for cut in (10, len(store(b"data")) - 3):
            with Sender(scp.port) as sender:
                wait_until(lambda: not scp._open)
                sender.associate().send(store(b"data")[:cut])
            wait_until(lambda: not scp._open and not list(scp.spool.layout.incoming.iterdir()))
        assert stored(scp) == []


def test_without_a_thread_left_a_sender_is_dropped_and_can_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with gateway(tmp_path, maximum_associations=1) as scp:
        with monkeypatch.context() as patch, Sender(scp.port) as sender:
            patch.setattr("threading.Thread.start", no_thread)
            sender.send(request())
            assert sender.answer()[0] == 0
        with Sender(scp.port) as sender:
            assert sender.associate().store(b"data") == 0


def test_it_listens_on_every_address_of_both_kinds(tmp_path: Path) -> None:
    with gateway(tmp_path, bind_address="::") as scp, Sender(scp.port) as sender:
        assert sender.associate().store(b"data") == 0


def test_at_the_end_the_open_associations_are_aborted(tmp_path: Path) -> None:
    with gateway(tmp_path) as scp:
        sender = Sender(scp.port).associate()
        assert sender.store(b"data") == 0
        began = time.monotonic()
        scp.close()
        assert sender.answer()[0] == ABORT
        sender.socket.close()
        row = scp.spool.connection.execute("SELECT closed_at FROM association").fetchone()
        assert row["closed_at"] is not None
        assert time.monotonic() - began < 30
