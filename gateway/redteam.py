"""The red team inside: canaries down this gateway's own road, without the last step, and what of them would have left."""

import json
import logging
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from gateway.canaries import Canary, canaries
from gateway.console.request_form import check, values_of
from gateway.deidentify import Deidentifier
from gateway.keys import GatewayKeys
from gateway.layout import Layout
from gateway.manifest import manifest_of
from gateway.sending import Score, Verdict, last_checked_at, prepare, record_check
from gateway.settings import GatewaySettings
from gateway.spool import Arrival, Spool
from gateway.vault import Vault
from teleread import __version__
from teleread.dicom.deid.profile import READING_PROFILE, Profile
from teleread.errors import Unavailable

_log = logging.getLogger(__name__)

#: The night of a Japanese facility, when nobody waits for the box.
NIGHT = ZoneInfo("Asia/Tokyo")
NIGHT_HOUR = 2


@dataclass(frozen=True)
class _Fate:
    """What became of a canary's file, and every byte that would have left for it."""

    state: str
    reason: str
    outbound: bytes


def run(settings: GatewaySettings | None, *, seed: int, now: Callable[[], datetime]) -> Score:
    """Send the canaries of a seed down the road of a gateway, and return the score.

    Everything happens in a scratch folder with keys and a vault of its own, which are gone afterwards; nothing is sent.

    Parameters
    ----------
    settings : GatewaySettings or None
        Of the gateway whose road it is; None for one that is not enrolled, with the settings that all begin with.
    """
    flock = tuple(canaries(seed))
    scratch = Path(tempfile.mkdtemp(prefix="redteam-", dir=settings.data if settings is not None else None))
    try:
        profile = settings.deidentification.profile if settings else READING_PROFILE
        fates = _travel(scratch, [canary for canary in flock if canary.data], profile, now=now)
    finally:
        shutil.rmtree(scratch)
    verdicts = tuple(
        _verdict(canary, fates[canary.name]) if canary.data else _request_verdict(canary, at=now())
        for canary in flock
    )
    return Score(at=now(), version=__version__, seed=seed, verdicts=verdicts)


class _NotOfThisThread(logging.Filter):
    """Keeps the scratch folder's items out of a log that numbers the gateway's own."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()

    def filter(self, record: logging.LogRecord) -> bool:
        """Let records of other threads pass."""
        return record.thread != self._thread


def _travel(
    scratch: Path, flock: list[Canary], profile: Profile, *, now: Callable[[], datetime]
) -> dict[str, _Fate]:
    layout = Layout(scratch)
    layout.make()
    spool = Spool(layout)
    keys = GatewayKeys.make(layout)
    vault = Vault(layout.vault_database, keys.vault)
    worker = Deidentifier(spool, vault, keys, now=now, processes=1, profile=profile)
    quiet = _NotOfThisThread()
    logging.getLogger("gateway.deidentify").addFilter(quiet)
    try:
        items = {canary.name: _take(spool, canary, at=now()) for canary in flock}
        while worker.work():
            pass
        return {name: _fate(spool, item) for name, item in items.items()}
    finally:
        logging.getLogger("gateway.deidentify").removeFilter(quiet)
        worker.close()
        spool.close()
        vault.close()


def _take(spool: Spool, canary: Canary, *, at: datetime) -> int:
    part = spool.part()
    try:
        part.write(canary.data)
        return spool.accept(part, Arrival("", "", ""), at=at)
    finally:
        part.close()


def _fate(spool: Spool, item_id: int) -> _Fate:
    row = spool.connection.execute("SELECT * FROM item WHERE id = ?", (item_id,)).fetchone()
    if row["state"] == "received":
        raise Unavailable("the leak check could not be finished: a canary was not read")
    outbound = list(_outbound(spool, item_id, row["state"], row["study_id"]))
    return _Fate(row["state"], row["reason"], b"\n".join(outbound).lower())


def _outbound(spool: Spool, item_id: int, state: str, study_id: int | None) -> Iterator[bytes]:
    """Yield what the centre would get: the file, and the manifest, which also tells of what is held."""
    if state == "clean":
        yield spool.clean_path(item_id).read_bytes()
    study = spool.connection.execute("SELECT * FROM study WHERE id = ?", (study_id,)).fetchone()
    if study is not None and study["centre_study_uid"]:
        items = spool.connection.execute("SELECT * FROM item WHERE study_id = ?", (study_id,)).fetchall()
        manifest = manifest_of(study, items, revision=1, closed=True, evidence="leak check")
        yield json.dumps(manifest.to_json(), ensure_ascii=False).encode("utf-8")


def _verdict(canary: Canary, fate: _Fate) -> Verdict:
    leaked = any(needle in fate.outbound for needle in canary.needles)
    # What the last scan stops was not dealt with where it should have been.
    late = fate.state == "held" and fate.reason == "identity_left" and canary.expected == "clean"
    return Verdict(
        canary.name,
        canary.defence,
        "leaked" if leaked else "late" if late else "stopped",
        fate.state,
        fate.reason,
    )


def _request_verdict(canary: Canary, *, at: datetime) -> Verdict:
    patient = canary.patient
    form = {
        "patient_id": patient.patient_id,
        "name": f"{patient.family[0]} {patient.given[0]}",
        "kana": f"{patient.family[1]} {patient.given[1]}",
        "birth_date": patient.birth_date,
        "sex": "F",
        "modality": "CT",
        "body_part": "胸部",
        "contrast": "none",
        "priority": "routine",
        "clinical_question": canary.text,
        "responsible_doctor": "例示 五郎",
        "callback_phone": "2210",
    }
    checked = check(values_of(form), today=at.astimezone(NIGHT).date())
    return Verdict(canary.name, canary.defence, "leaked" if checked.may_leave else "stopped")


class Nightly:
    """Runs the leak check once a night; `work` is asked again and again."""

    def __init__(self, settings: GatewaySettings, spool: Spool, *, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._spool = spool
        self._now = now
        self._began = now()
        prepare(spool)

    def work(self) -> int:
        """Run the check when the night's is due; return how many canaries leaked."""
        if (last_checked_at(self._spool) or self._began) >= last_night(self._now()):
            return 0
        score = run(self._settings, seed=secrets.randbelow(1 << 31), now=self._now)
        return keep(self._spool, score)


def keep(spool: Spool, score: Score) -> int:
    """Keep a score and stop sending when it asks for that; return how many canaries leaked."""
    prepare(spool)
    leaked = score.count("leaked")
    if record_check(spool, score) and leaked:
        _log.error("%d of %d canaries leaked: sending is stopped", leaked, len(score.verdicts))
    return leaked


def last_night(at: datetime) -> datetime:
    """Return when the last check was due."""
    there = at.astimezone(NIGHT)
    due = there.replace(hour=NIGHT_HOUR, minute=0, second=0, microsecond=0)
    return due if due <= there else due - timedelta(days=1)
