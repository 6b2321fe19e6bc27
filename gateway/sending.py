"""Whether this gateway may send: a leak check that failed stops it until a person says that it may go on.

State and scores lie in the spool's database, so a stop survives every restart.
"""

import json
import sqlite3
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.spool import Spool, milliseconds, moment
from teleread.errors import StateChangedMeanwhile

_SCHEMA = """
CREATE TABLE IF NOT EXISTS leak_check (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    version TEXT NOT NULL,
    canaries INTEGER NOT NULL,
    leaked INTEGER NOT NULL,
    document TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS sending_stop (
    id INTEGER PRIMARY KEY,
    check_id INTEGER NOT NULL REFERENCES leak_check,
    stopped_at INTEGER NOT NULL,
    released_at INTEGER,
    released_by TEXT NOT NULL DEFAULT '',
    note TEXT NOT NULL DEFAULT ''
);
"""

#: What the heartbeat tells the centre while sending is stopped; it names nobody.
ALARM = "leak_check_failed"


@dataclass(frozen=True)
class Verdict:
    """What became of one canary.

    `verdict` is ``stopped`` (as it should be), ``late`` (only the last scan caught it) or ``leaked``; `state` and
    `reason` are those of the spool, empty for a request's text.
    """

    canary: str
    defence: str
    verdict: str
    state: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Score:
    """The result of a leak check: of how many canaries, by which version, from which seed."""

    at: datetime
    version: str
    seed: int
    verdicts: tuple[Verdict, ...] = field(default=())

    def count(self, verdict: str) -> int:
        """Return how many canaries got a verdict."""
        return sum(one.verdict == verdict for one in self.verdicts)

    def to_json(self) -> dict[str, Any]:
        """Return the score as `teleread-gateway redteam --json` prints it."""
        return {
            "at": self.at.isoformat(),
            "version": self.version,
            "seed": self.seed,
            "canaries": len(self.verdicts),
            "leaked": self.count("leaked"),
            "late": self.count("late"),
            "verdicts": [
                {
                    "canary": one.canary,
                    "defence": one.defence,
                    "verdict": one.verdict,
                    "state": one.state,
                    "reason": one.reason,
                }
                for one in self.verdicts
            ],
        }


@dataclass(frozen=True)
class Stop:
    """Sending is stopped: since when, and by which check."""

    stop_id: int
    stopped_at: datetime
    check_id: int


def prepare(spool: Spool) -> None:
    """Make the tables where they are missing."""
    spool.connection.executescript(_SCHEMA)


def record_check(spool: Spool, score: Score) -> bool:
    """Keep a score, and stop sending when something leaked; return whether sending is stopped now."""
    leaked = score.count("leaked")
    with spool.writing() as connection:
        cursor = connection.execute(
            "INSERT INTO leak_check (at, version, canaries, leaked, document) VALUES (?, ?, ?, ?, ?)",
            (milliseconds(score.at), score.version, len(score.verdicts), leaked, json.dumps(score.to_json())),
        )
        open_stop = _open_stop(connection)
        if leaked and open_stop is None:
            connection.execute(
                "INSERT INTO sending_stop (check_id, stopped_at) VALUES (?, ?)",
                (cursor.lastrowid, milliseconds(score.at)),
            )
        return bool(leaked) or open_stop is not None


def last_score(spool: Spool) -> dict[str, Any] | None:
    """Return the newest score as JSON types, None when this gateway was never checked."""
    row = spool.connection.execute("SELECT document FROM leak_check ORDER BY id DESC LIMIT 1").fetchone()
    return None if row is None else dict(json.loads(row["document"]))


def last_checked_at(spool: Spool) -> datetime | None:
    """Return when the last check was."""
    row = spool.connection.execute("SELECT at FROM leak_check ORDER BY id DESC LIMIT 1").fetchone()
    return None if row is None else moment(row["at"])


def stop_of(spool: Spool) -> Stop | None:
    """Return the stop in force, None when sending is free."""
    row = _open_stop(spool.connection)
    return None if row is None else Stop(row["id"], moment(row["stopped_at"]), row["check_id"])


def release(spool: Spool, stop_id: int, *, username: str, note: str, at: datetime) -> None:
    """Let the gateway send again.

    Raises
    ------
    StateChangedMeanwhile
        Somebody else has released it, or another check has stopped it since.
    """
    with spool.writing() as connection:
        done = connection.execute(
            "UPDATE sending_stop SET released_at = ?, released_by = ?, note = ? WHERE id = ? AND released_at IS NULL",
            (milliseconds(at), username, note, stop_id),
        )
        if done.rowcount != 1:
            raise StateChangedMeanwhile("this stop is no longer in force")


def _open_stop(connection: sqlite3.Connection) -> sqlite3.Row | None:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM sending_stop WHERE released_at IS NULL ORDER BY id LIMIT 1"
    ).fetchone()
    return row
