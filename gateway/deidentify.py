"""From `received` to `clean` or `held`: de-identification, and the vault's link before anything may leave.

Files come from outside and may be built to break their reader, so each is read in a child process; when
that dies the file is held and the gateway lives.
"""

import errno
import hashlib
import json
import logging
import multiprocessing
import os
import re
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from pydicom import dcmread

from gateway import pixel_rules
from gateway.keys import GatewayKeys
from gateway.spool import Spool, milliseconds, move
from gateway.vault import LinkDoubt, Vault, VaultStudy
from teleread.dicom.deid.deidentify import DeidResult, deidentify_file
from teleread.dicom.deid.device_rules import DEFAULT_POLICY, PixelPolicy
from teleread.dicom.deid.profile import FacilityKeys
from teleread.dicom.deid.regions import Region
from teleread.domain.workflow import Machine, Who

_log = logging.getLogger(__name__)

SECONDS_PER_FILE = 300.0
_BATCH = 64
_LATER_SECONDS = 5.0


@dataclass(frozen=True)
class StudySummary:
    """What the manifest says of a study; read from the de-identified file, never from the original.

    Values are those of the attributes of the same names (PS3.6), empty where they are absent or not of
    their VR's form.
    """

    sex: str = ""
    age: str = ""
    modality: str = ""
    study_date: str = ""
    study_time: str = ""
    study_description: str = ""
    accession: str = ""


_SUMMARY: dict[str, tuple[str, str]] = {
    "sex": ("PatientSex", r"[A-Z]?"),
    "age": ("PatientAge", r"([0-9]{3}[DWMY])?"),
    "modality": ("Modality", r"[A-Z0-9_ ]{0,16}"),
    "study_date": ("StudyDate", r"([0-9]{8})?"),
    "study_time": ("StudyTime", r"([0-9]{2,6}(\.[0-9]{1,6})?)?"),
    "study_description": ("StudyDescription", r"[^\0]{0,64}"),
    "accession": ("AccessionNumber", r"[A-Z0-9]{0,16}"),
}


def summarise(clean: Path) -> StudySummary:
    """Return what the manifest says of the study of a de-identified file."""
    ds = dcmread(clean, stop_before_pixels=True, specific_tags=[tag for tag, _ in _SUMMARY.values()])
    values: dict[str, str] = {}
    for name, (keyword, form) in _SUMMARY.items():
        value = str(ds.get(keyword) or "").strip()
        values[name] = value if re.fullmatch(form, value) else ""
    return StudySummary(**values)


def clean_file(
    source: Path,
    target: Path,
    keys: FacilityKeys,
    *,
    pixels: PixelPolicy = DEFAULT_POLICY,
    pixels_looked_at: bool = False,
    masks: tuple[Region, ...] = (),
) -> tuple[DeidResult, StudySummary]:
    """De-identify one file; runs in the child process."""
    result = deidentify_file(
        source, target, keys=keys, pixels=pixels, pixels_looked_at=pixels_looked_at, masks=masks
    )
    return result, summarise(target) if result.outcome == "clean" else StudySummary()


def end_with_parent() -> None:
    """Have this child process end when its parent does."""
    # A child that outlives a killed gateway would work on files that the next one works on too.
    threading.Thread(target=_wait_for_the_end_of_the_parent, daemon=True).start()


def _wait_for_the_end_of_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class Deidentifier:
    """Works through the received items, as many at once as there are processors."""

    def __init__(
        self,
        spool: Spool,
        vault: Vault,
        keys: GatewayKeys,
        *,
        now: Callable[[], datetime],
        processes: int | None = None,
    ) -> None:
        self._spool = spool
        self._vault = vault
        self._keys = keys
        self._now = now
        self._processes = processes or min(4, os.cpu_count() or 1)
        self._pool: ProcessPoolExecutor | None = None
        self._pixels = DEFAULT_POLICY
        pixel_rules.prepare(spool)

    def warm_up(self) -> None:
        """Start the child processes before the first file needs them."""
        self._children().submit(summarise, Path("/dev/null"))

    def close(self) -> None:
        """End the child processes; what they were at stays `received`."""
        self._restart()

    def work(self) -> int:
        """Bring the received items of now to `clean` or `held`, and return how many."""
        rows = self._spool.connection.execute(
            "SELECT id, sha256, sop_class_uid FROM item WHERE state = 'received' AND next_try_at <= ?"
            " ORDER BY id LIMIT ?",
            (milliseconds(self._now()), _BATCH),
        ).fetchall()
        if rows:
            # A person may have made a rule since the last round.
            self._pixels = pixel_rules.policy_of(self._spool)
        submitted = [(row, self._submit(row)) for row in rows]
        broken = [row for row, future in submitted if not self._settle(row, future)]
        for row in broken:
            # One of the files broke the pool that all of them shared. Alone, only the guilty one does.
            self._restart()
            if not self._settle(row, self._submit(row)):
                self._restart()
                self._hold(row["id"], "crashed", "the process that read the file ended", None)
        return len(rows)

    def _submit(self, row: sqlite3.Row) -> "Future[tuple[DeidResult, StudySummary]]":
        source, target = self._spool.received_path(row["sha256"]), self._spool.clean_path(row["id"])
        work = partial(clean_file, source, target, self._keys.facility, pixels=self._pixels)
        try:
            return self._children().submit(work)
        except BrokenProcessPool:
            # A child has died, idle or at a file of this round; that file's future says so too.
            self._restart()
            return self._children().submit(work)

    def _children(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # Spawned, not forked: this process has threads and open databases.
            self._pool = ProcessPoolExecutor(
                self._processes,
                mp_context=multiprocessing.get_context("spawn"),
                initializer=end_with_parent,
            )
        return self._pool

    def _restart(self) -> None:
        if self._pool is not None:
            for process in list((self._pool._processes or {}).values()):
                process.kill()
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = None

    def _settle(self, row: sqlite3.Row, future: "Future[tuple[DeidResult, StudySummary]]") -> bool:
        try:
            result, summary = future.result(timeout=SECONDS_PER_FILE)
        except (BrokenProcessPool, CancelledError, TimeoutError):
            return False
        except OSError as problem:
            self._leave(row, problem)
            return True
        except Exception as problem:  # noqa: BLE001 - one broken file must not stop the ones behind it
            self._hold(row["id"], "crashed", type(problem).__name__, None)
            return True
        if result.outcome != "clean" or result.identity is None:
            self._hold(row["id"], result.reason, result.detail, result)
            return True
        try:
            link_study(self._vault, result)
        except LinkDoubt as doubt:
            self._spool.clean_path(row["id"]).unlink(missing_ok=True)
            self._hold(row["id"], doubt.code, doubt.message, result)
            return True
        with self._spool.writing() as connection:
            record_clean(connection, row["id"], result, summary, event="deidentified", at=self._now())
        return True

    def _leave(self, row: sqlite3.Row, problem: OSError) -> None:
        """Put an item off that the disk, not its content, stands against; hold it when its file cannot be read."""
        word = errno.errorcode.get(problem.errno or 0, type(problem).__name__)
        if not _can_be_read(self._spool.received_path(row["sha256"])):
            self._hold(row["id"], "file_unreadable", word, None)
            return
        due = milliseconds(self._now() + timedelta(seconds=_LATER_SECONDS))
        with self._spool.writing() as connection:
            connection.execute(
                "UPDATE item SET next_try_at = ? WHERE id = ? AND state = 'received'", (due, row["id"])
            )
        _log.error("item %d not de-identified, will try again: %s", row["id"], word)

    def _hold(self, item_id: int, reason: str, detail: str, result: DeidResult | None) -> None:
        known: dict[str, Any] = {}
        named = result is not None and self._may_be_named(result)
        with self._spool.writing() as connection:
            if result is not None and result.identity is not None and result.identity.study_instance_uid:
                known["study_id"] = _study_row(connection, result.identity.study_instance_uid)
                if named:
                    connection.execute(
                        "UPDATE study SET centre_study_uid = ?, pseudonym = ?"
                        " WHERE id = ? AND centre_study_uid IS NULL",
                        (result.study_instance_uid, result.pseudonym, known["study_id"]),
                    )
            if result is not None and result.sop_class_uid:
                known["sop_class_uid"] = result.sop_class_uid
            if result is not None:
                pixel_rules.note_finding(connection, item_id, result)
            move(
                connection,
                Machine.SPOOL_ITEM,
                item_id,
                "deid_failed",
                at=self._now(),
                reason=reason,
                detail=detail,
                **known,
            )
        _log.warning("item %d is held: %s", item_id, reason)

    def _may_be_named(self, result: DeidResult) -> bool:
        """Tell whether the centre may hear of a held instance's study that it has not heard of.

        Also a study of which all is held is one that somebody waits for. Its link comes first, as for a clean one;
        where that is in doubt, or the file does not say whose it is, the centre hears nothing.
        """
        if result.identity is None or not (result.study_instance_uid and result.pseudonym):
            return False
        known = self._spool.connection.execute(
            "SELECT 1 FROM study WHERE facility_study_uid = ? AND centre_study_uid IS NOT NULL",
            (result.identity.study_instance_uid,),
        ).fetchone()
        if known is not None:
            return False
        try:
            link_study(self._vault, result)
        except LinkDoubt as doubt:
            _log.warning("a held instance's study is not named to the centre: %s", doubt.code)
            return False
        return True


def _can_be_read(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")
    except OSError as problem:
        # Others, such as too many open files, say nothing about this one.
        return problem.errno not in {errno.ENOENT, errno.EIO}
    return True


def link_study(vault: Vault, result: DeidResult) -> None:
    """Make the vault's link of a result durable; raises LinkDoubt."""
    assert result.identity is not None  # noqa: S101
    vault.link(
        VaultStudy(
            pseudonym=result.pseudonym,
            centre_study_uid=result.study_instance_uid,
            accession_pseudonym=result.accession,
            identity=result.identity,
        )
    )


def record_clean(
    connection: sqlite3.Connection,
    item_id: int,
    result: DeidResult,
    summary: StudySummary,
    *,
    event: str,
    at: datetime,
    who: Who = Who.GATEWAY,
    actor: str = "gateway",
    note: str = "",
) -> str:
    """Move an item to `clean` by `event`, with its study; the vault has the link already."""
    pixel_rules.note_finding(connection, item_id, result)
    return move(
        connection,
        Machine.SPOOL_ITEM,
        item_id,
        event,
        at=at,
        who=who,
        actor=actor,
        note=note,
        detail="",
        study_id=_study_of(connection, result, summary),
        centre_series_uid=result.series_instance_uid,
        centre_sop_uid=result.sop_instance_uid,
        sop_class_uid=result.sop_class_uid,
        clean_sha256=result.sha256,
        clean_size=result.size,
    )


def _study_row(connection: sqlite3.Connection, facility_study_uid: str) -> int:
    row = connection.execute(
        "INSERT INTO study (facility_study_uid) VALUES (?)"
        " ON CONFLICT (facility_study_uid) DO UPDATE SET settled = 0, manifest_due_at = 0"
        " RETURNING id",
        (facility_study_uid,),
    ).fetchone()
    return int(row["id"])


def _study_of(connection: sqlite3.Connection, result: DeidResult, summary: StudySummary) -> int:
    assert result.identity is not None  # noqa: S101
    study_id = _study_row(connection, result.identity.study_instance_uid)
    row = connection.execute("SELECT summary FROM study WHERE id = ?", (study_id,)).fetchone()
    merged: dict[str, Any] = json.loads(row["summary"])
    for name in ("sex", "age", "study_date", "study_time", "study_description", "accession"):
        merged[name] = merged.get(name) or getattr(summary, name)
    modalities = set(merged.get("modalities", ())) | ({summary.modality} if summary.modality else set())
    merged["modalities"] = sorted(modalities)
    connection.execute(
        "UPDATE study SET centre_study_uid = ?, pseudonym = ?, summary = ? WHERE id = ?",
        (result.study_instance_uid, result.pseudonym, json.dumps(merged), study_id),
    )
    return study_id
