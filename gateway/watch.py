"""What the gateway knows of the centre: how far each study is there, and when the centre was last heard."""

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.link import CentreLink, Refused
from gateway.spool import Spool, milliseconds, moment
from teleread.errors import Unavailable
from teleread.wire.manifest import StudyStatus

_log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS centre_view (
    study_id INTEGER PRIMARY KEY REFERENCES study,
    display_status TEXT NOT NULL DEFAULT '',
    changed_at INTEGER,
    next_ask_at INTEGER NOT NULL,
    due_at INTEGER,
    is_assigned INTEGER NOT NULL DEFAULT 0,
    pause_reason TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS contact (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    heard_at INTEGER,
    clock_ahead_ms INTEGER,
    failure TEXT NOT NULL DEFAULT '',
    failed_at INTEGER
);
"""

# Columns that a box of an earlier release does not have yet.
_LATER_COLUMNS = {
    "due_at": "INTEGER",
    "is_assigned": "INTEGER NOT NULL DEFAULT 0",
    "pause_reason": "TEXT NOT NULL DEFAULT ''",
}

_AT_A_TIME = 50

# A case that moves is asked after often, one that has stood for an hour seldom, a finished one hardly ever.
_FRESH = timedelta(hours=1)
_ASK_FRESH = timedelta(seconds=5)
_ASK_STANDING = timedelta(seconds=60)
_ASK_FINISHED = timedelta(minutes=15)
_FINISHED = frozenset({"acknowledged", "cancelled"})


@dataclass(frozen=True)
class Contact:
    """The line to the centre: when it was last heard, how far this clock is ahead, what failed last."""

    heard_at: datetime | None
    clock_ahead_ms: int | None
    failure: str
    failed_at: datetime | None


def prepare(spool: Spool) -> None:
    """Make the tables and columns where they are missing."""
    spool.connection.executescript(_SCHEMA)
    with spool.writing() as connection:
        there = {row["name"] for row in connection.execute("PRAGMA table_info(centre_view)")}
        for name, kind in _LATER_COLUMNS.items():
            if name not in there:
                connection.execute(f"ALTER TABLE centre_view ADD COLUMN {name} {kind}")


class CentreWatch:
    """Asks the centre for the state of the studies that it has."""

    def __init__(self, spool: Spool, link: CentreLink, *, now: Callable[[], datetime]) -> None:
        self._spool = spool
        self._link = link
        self._now = now
        prepare(spool)

    def work(self) -> int:
        """Ask for what is due, and return how many states were new."""
        rows = self._spool.connection.execute(
            "SELECT s.id, s.centre_study_uid, s.case_number, v.display_status, v.changed_at, v.due_at,"
            " v.is_assigned, v.pause_reason FROM study AS s"
            " LEFT JOIN centre_view AS v ON v.study_id = s.id"
            " WHERE s.revision > 0 AND coalesce(v.next_ask_at, 0) <= ? ORDER BY coalesce(v.next_ask_at, 0) LIMIT ?",
            (milliseconds(self._now()), _AT_A_TIME),
        ).fetchall()
        return sum(self._ask(row) for row in rows)

    def _ask(self, row: sqlite3.Row) -> bool:
        try:
            answer = self._link.study_status(row["centre_study_uid"])
        except Unavailable as problem:
            note_failure(self._spool, problem.message, at=self._now())
            raise
        except Refused:
            # It is not there, as after a restore of the centre; the manifest's own round finds that out.
            self._keep(row, _said(row))
            return False
        note_contact(self._spool, at=self._now())
        self._keep(row, answer)
        return answer.display_status != row["display_status"]

    def _keep(self, row: sqlite3.Row, answer: StudyStatus) -> None:
        at = self._now()
        display_status, case_number = answer.display_status, answer.case_number
        due_at = milliseconds(answer.due_at) if answer.due_at is not None else None
        told = (display_status, due_at, int(answer.is_assigned), answer.pause_reason)
        known = (row["display_status"], row["due_at"], row["is_assigned"], row["pause_reason"])
        changed_at = row["changed_at"] if told == known else milliseconds(at)
        fresh = changed_at is not None and at - moment(changed_at) < _FRESH
        pause = _ASK_FINISHED if display_status in _FINISHED else _ASK_FRESH if fresh else _ASK_STANDING
        with self._spool.writing() as connection:
            connection.execute(
                "INSERT INTO centre_view (study_id, display_status, due_at, is_assigned, pause_reason,"
                " changed_at, next_ask_at) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (study_id) DO UPDATE SET"
                " display_status = excluded.display_status, due_at = excluded.due_at,"
                " is_assigned = excluded.is_assigned, pause_reason = excluded.pause_reason,"
                " changed_at = excluded.changed_at, next_ask_at = excluded.next_ask_at",
                (row["id"], *told, changed_at, milliseconds(at + pause)),
            )
            if case_number and case_number != row["case_number"]:
                connection.execute("UPDATE study SET case_number = ? WHERE id = ?", (case_number, row["id"]))


def _said(row: sqlite3.Row) -> StudyStatus:
    """Return what the centre said last of a study."""
    return StudyStatus(
        state="",
        display_status=row["display_status"] or "",
        due_at=moment(row["due_at"]) if row["due_at"] is not None else None,
        is_assigned=bool(row["is_assigned"]),
        pause_reason=row["pause_reason"] or "",
    )


def note_contact(spool: Spool, *, at: datetime, clock_ahead_ms: int | None = None) -> None:
    """Note that the centre answered, and by how much this clock is ahead of its clock when that was said."""
    with spool.writing() as connection:
        connection.execute(
            "INSERT INTO contact (id, heard_at, clock_ahead_ms) VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " heard_at = excluded.heard_at, failure = '',"
            " clock_ahead_ms = coalesce(excluded.clock_ahead_ms, clock_ahead_ms)",
            (milliseconds(at), clock_ahead_ms),
        )


def note_failure(spool: Spool, failure: str, *, at: datetime) -> None:
    """Note that the centre did not answer."""
    with spool.writing() as connection:
        connection.execute(
            "INSERT INTO contact (id, failure, failed_at) VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " failure = excluded.failure, failed_at = excluded.failed_at",
            (failure, milliseconds(at)),
        )


def contact_of(spool: Spool) -> Contact:
    """Return what is known of the line."""
    row = spool.connection.execute("SELECT * FROM contact WHERE id = 1").fetchone()
    if row is None:
        return Contact(None, None, "", None)
    return Contact(
        heard_at=moment(row["heard_at"]) if row["heard_at"] is not None else None,
        clock_ahead_ms=row["clock_ahead_ms"],
        failure=row["failure"],
        failed_at=moment(row["failed_at"]) if row["failed_at"] is not None else None,
    )
