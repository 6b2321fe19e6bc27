"""The red team inside: nothing of it gets through, and with any defence switched off it does."""

import json
from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway import redteam, sending
from gateway.canaries import canaries
from gateway.deidentify import Deidentifier
from gateway.heartbeat import Heart
from gateway.layout import Layout
from gateway.main import main
from gateway.orders import OrderSender
from gateway.redteam import Nightly, keep, last_night, run
from gateway.sending import Score, Verdict, last_score, prepare, record_check, release, stop_of
from gateway.spool import Spool
from teleread.dicom.deid import deidentify as deid
from teleread.dicom.deid.profile import Action
from teleread.dicom.deid.tokens import IdentityTokens
from teleread.errors import StateChangedMeanwhile
from tests.gateway.facility import layout_of, settings_of

AT = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
SEED = 7


class _Here:
    """Does a child's errands in this process, where a defence can be switched off."""

    def submit(self, errand: Callable[..., Any], *arguments: Any, **more: Any) -> "Future[Any]":
        """Run it now."""
        done: Future[Any] = Future()
        try:
            done.set_result(errand(*arguments, **more))
        except Exception as problem:  # noqa: BLE001 - it is the caller's
            done.set_exception(problem)
        return done


@pytest.fixture
def at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deidentifier, "_children", lambda _self: _Here())


def check_now() -> Score:
    return run(None, seed=SEED, now=lambda: AT)


def test_no_canary_leaks_and_none_is_left_to_the_last_scan(at_hand: None) -> None:
    score = check_now()
    assert [one for one in score.verdicts if one.verdict != "stopped"] == []
    assert len(score.verdicts) >= 35
    assert {one.defence for one in score.verdicts} == {
        "profile", "private", "scrub", "uids", "meta", "preamble", "overlay", "pixels", "scan", "request", "document",
    }  # fmt: skip


def test_the_same_seed_makes_the_same_canaries_and_each_has_something_to_find() -> None:
    first, again = list(canaries(SEED)), list(canaries(SEED))
    assert first == again
    for canary in first:
        said = canary.data.lower() or canary.text.encode("utf-8").lower()
        assert any(needle in said for needle in canary.needles), canary.name


# --- Each defence off --------------------------------------------------------------------------------------------------

_REAL_ACTION = deid.action_for
_REAL_META = deid.encode_meta


def _no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        deid,
        "action_for",
        lambda tag, profile, *place: (
            _REAL_ACTION(tag, profile, *place) if tag & 0x10000 or tag >> 24 in (0x50, 0x60) else Action.KEEP
        ),
    )
    monkeypatch.setattr(IdentityTokens, "cleaned", lambda _self, value, _sets, **_: value)


def _private_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        deid,
        "action_for",
        lambda tag, profile, *place: None if tag & 0x10000 else _REAL_ACTION(tag, profile, *place),
    )
    monkeypatch.setattr(IdentityTokens, "cleaned", lambda _self, value, _sets, **_: value)


def _overlays_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        deid,
        "action_for",
        lambda tag, profile, *place: None if tag >> 24 == 0x60 else _REAL_ACTION(tag, profile, *place),
    )


def _no_scrub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(IdentityTokens, "cleaned", lambda _self, value, _sets, **_: value)


def _uids_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deid._Rewriter, "_uids", lambda _self, value: value)


def _meta_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(values: Any) -> bytes:
        return _REAL_META(
            (*values, (0x00020016, "AE", _LAST[0x00020016]), (0x00020102, "OB", _LAST[0x00020102]))
        )

    _watch_reading(monkeypatch)
    monkeypatch.setattr(deid, "encode_meta", encode)


def _preamble_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    _watch_reading(monkeypatch)
    monkeypatch.setattr(deid, "encode_meta", lambda values: _LAST[0] + _REAL_META(values)[128:])


_LAST: dict[int, bytes] = {}


def _watch_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    real = deid.read_raw

    def read(path: Path) -> Any:
        raw = real(path)
        if path.suffix != ".part":
            _LAST.update({0: raw.data[:128], 0x00020016: b"", 0x00020102: b""} | raw.meta)
        return raw

    monkeypatch.setattr(deid, "read_raw", read)


def _pixels_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deid, "reason_to_hold", lambda *_arguments, **_more: None)


def _documents_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two stand behind one another here: the hold, and the row of the table that empties the document.
    _pixels_pass(monkeypatch)
    monkeypatch.setattr(
        deid,
        "action_for",
        lambda tag, profile, *place: None if tag == 0x00420011 else _REAL_ACTION(tag, profile, *place),
    )


def _no_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deid, "leaks_in", lambda *_arguments, **_more: [])


def _requests_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.console.request_form.marks_in", lambda *_: ())


DEFENCES: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "profile": _no_rows,
    "private": _private_stays,
    "overlay": _overlays_stay,
    "scrub": _no_scrub,
    "uids": _uids_stay,
    "meta": _meta_stays,
    "preamble": _preamble_stays,
    "pixels": _pixels_pass,
    "document": _documents_pass,
    "scan": _no_scan,
    "request": _requests_pass,
}


@pytest.mark.parametrize("defence", DEFENCES)
def test_with_a_defence_switched_off_its_canaries_are_found(
    at_hand: None, monkeypatch: pytest.MonkeyPatch, defence: str
) -> None:
    mine = tuple(canary for canary in canaries(SEED) if canary.defence == defence)
    monkeypatch.setattr(redteam, "canaries", lambda _seed: mine)
    DEFENCES[defence](monkeypatch)
    late = {one.canary for one in check_now().verdicts if one.verdict == "late"}
    _no_scan(monkeypatch)
    leaked = {one.canary for one in check_now().verdicts if one.verdict == "leaked"}
    assert leaked == {canary.name for canary in mine}
    if defence not in ("pixels", "scan", "request", "overlay", "document"):
        # The net below caught what it can read, and said so.
        assert late


# --- A failure stops sending -------------------------------------------------------------------------------------------


def leaky(at: datetime = AT) -> Score:
    return Score(
        at, "1", 1, (Verdict("header", "profile", "leaked", "clean"), Verdict("curve", "profile", "stopped"))
    )


@pytest.fixture
def spool(tmp_path: Path) -> Any:
    settings = settings_of(tmp_path / "box")
    spool = Spool(layout_of(settings))
    prepare(spool)
    yield spool
    spool.close()


def test_a_leak_stops_sending_until_a_person_releases_it_and_a_restart_does_not(spool: Spool) -> None:
    assert keep(spool, leaky()) == 1
    assert keep(spool, Score(AT, "1", 2)) == 0
    again = Spool(spool.layout)
    stop = stop_of(again)
    assert stop is not None
    assert stop.stopped_at == AT
    release(again, stop.stop_id, username="operator", note="defective version replaced", at=AT)
    with pytest.raises(StateChangedMeanwhile):
        release(again, stop.stop_id, username="doctor", note="me too", at=AT)
    again.close()
    assert stop_of(spool) is None
    keep(spool, leaky(AT + timedelta(days=1)))
    assert stop_of(spool) is not None
    last = last_score(spool)
    assert last is not None
    assert (last["leaked"], last["canaries"]) == (1, 2)


class _Line:
    """A centre that counts what reaches it."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def beat(self, heartbeat: Any) -> Any:
        """Take a sign of life."""
        from teleread.wire.heartbeat import HeartbeatAnswer

        self.said.append(heartbeat)
        return HeartbeatAnswer(now=AT)


def test_while_stopped_nothing_is_sent_and_the_heartbeat_says_why_without_a_name(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.forward import Forwarder
    from gateway.manifest import ManifestSender

    record_check(spool, leaky())
    settings = settings_of(spool.layout.data)
    line: Any = _Line()
    with spool.writing() as connection:
        connection.execute(
            "INSERT INTO study (facility_study_uid, centre_study_uid, pseudonym) VALUES ('1.2', '2.25.1', 'P')"
        )
        connection.execute(
            "INSERT INTO item (sop_instance_uid, sha256, size, sop_class_uid, transfer_syntax_uid, state, times_received,"
            " study_id, first_received_at, last_received_at, centre_sop_uid, clean_sha256, clean_size)"
            " VALUES ('', 'a', 1, '', '', 'clean', 1, 1, 0, 0, '2.25.2', 'b', 1)"
        )
    orders = OrderSender(settings, spool, line, now=lambda: AT)
    with spool.writing() as connection:
        connection.execute(
            "INSERT INTO request (order_id, owner, document, changed_at) VALUES ('1', 'x', '{}', 0)"
        )
    forwarder = Forwarder(settings, spool, line, now=lambda: AT)
    assert forwarder.work(wait=True) == 0
    forwarder.close()
    assert ManifestSender(settings, spool, line, now=lambda: AT).work() == 0
    assert orders.work() == 0
    assert line.said == []
    monkeypatch.setattr("gateway.heartbeat.certificate_not_after", lambda _layout: AT)
    Heart(spool, line, now=lambda: AT).work()
    assert line.said[0].alarm == sending.ALARM


def test_the_check_runs_once_a_night_and_not_before_the_first(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []

    def fake(_settings: Any, *, seed: int, now: Any) -> Score:
        runs.append(seed)
        return Score(now(), "1", seed)

    monkeypatch.setattr(redteam, "run", fake)
    clock = [AT]
    nightly = Nightly(settings_of(spool.layout.data), spool, now=lambda: clock[0])
    assert nightly.work() == 0
    assert runs == []
    for hours, count in ((13, 0), (15, 1), (20, 1), (40, 2)):
        clock[0] = AT + timedelta(hours=hours)
        nightly.work()
        assert len(runs) == count, hours
    # A box that was off in the night does it when it is on.
    clock[0] += timedelta(days=3)
    Nightly(settings_of(spool.layout.data), spool, now=lambda: clock[0]).work()
    assert len(runs) == 3


def test_the_night_begins_at_two_in_japan() -> None:
    assert last_night(datetime(2026, 11, 25, 16, 59, tzinfo=UTC)) == datetime(2026, 11, 24, 17, 0, tzinfo=UTC)
    assert last_night(datetime(2026, 11, 25, 17, 0, tzinfo=UTC)) == datetime(2026, 11, 25, 17, 0, tzinfo=UTC)


def test_the_command_prints_the_score_stops_the_gateway_and_leaves_nothing_behind(
    at_hand: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    some = tuple(one for one in canaries(SEED) if one.name in ("header", "secondary_capture"))
    monkeypatch.setattr(redteam, "canaries", lambda _seed: some)
    settings = settings_of(tmp_path / "box")
    settings.write()
    assert main(["redteam", "--data", str(settings.data), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["leaked"], told["late"]) == (0, 0)
    _pixels_pass(monkeypatch)
    assert main(["redteam", "--data", str(settings.data)]) == 1
    said = capsys.readouterr()
    assert "leaked   secondary_capture" in said.out
    assert "sending is stopped" in said.err
    spool = Spool(Layout(settings.data))
    assert stop_of(spool) is not None
    spool.close()
    assert not list(settings.data.glob("redteam-*"))
