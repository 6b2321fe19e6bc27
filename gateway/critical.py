"""Critical findings at the facility: what the centre raised, who has to take note, and the word that goes back.

The centre's list is asked for again and again and kept here, without identity, so that the console shows it while the line
is cut. A doctor's confirmation is durable on the box before the page says so, and goes out until the centre has it: the
centre counts a finding as confirmed only then, and calls until then.
"""

import json
import logging
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.link import CentreLink, Refused, UnreadableFinding
from gateway.retry import next_try
from gateway.settings import GatewaySettings
from gateway.spool import Spool, milliseconds, moment
from teleread.domain import critical as rules
from teleread.errors import NotFound, StateChangedMeanwhile, TransitionNotAllowed, Unavailable
from teleread.wire.critical import CriticalAcknowledgement, CriticalNotice

_log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS critical (
    critical_id TEXT PRIMARY KEY,
    document TEXT NOT NULL,
    first_seen_at INTEGER NOT NULL,
    is_listed INTEGER NOT NULL,
    gone_at INTEGER,
    handed_to TEXT NOT NULL DEFAULT '',
    handed_by TEXT NOT NULL DEFAULT '',
    handed_at INTEGER,
    person TEXT NOT NULL DEFAULT '',
    account TEXT NOT NULL DEFAULT '',
    acknowledged_at INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try_at INTEGER NOT NULL DEFAULT 0,
    sent_at INTEGER,
    refused_at INTEGER,
    answer TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS critical_list (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    asked_at INTEGER NOT NULL,
    unreadable INTEGER NOT NULL
);
"""

#: Nobody has taken note here, or what was said here did not count at the centre.
_UNCONFIRMED = "(is_listed = 1 AND acknowledged_at IS NULL OR refused_at IS NOT NULL AND is_listed = 1)"
_WAITING = "(acknowledged_at IS NOT NULL AND sent_at IS NULL AND refused_at IS NULL)"

_SHOWN = 100


@dataclass(frozen=True)
class Finding:
    """A critical finding as it is here.

    Parameters
    ----------
    is_listed : bool
        The centre still waits for a doctor's word.
    handed_to : str
        Account of the doctor who answers for it now; empty while that is the doctor whom the request names.
    due_at : datetime or None
        When the running clock ends: until somebody is told, then until the doctor took note.
    refused : bool
        The centre did not take the confirmation.
    """

    notice: CriticalNotice
    first_seen_at: datetime
    is_listed: bool
    gone_at: datetime | None
    handed_to: str
    handed_by: str
    handed_at: datetime | None
    person: str
    acknowledged_at: datetime | None
    sent_at: datetime | None
    refused: bool
    attempts: int
    due_at: datetime | None

    @property
    def is_waiting(self) -> bool:
        """Whether a confirmation lies here that the centre does not have yet."""
        return self.acknowledged_at is not None and self.sent_at is None and not self.refused

    @property
    def is_unconfirmed(self) -> bool:
        """Whether a doctor has still to take note."""
        return self.is_listed and (self.acknowledged_at is None or self.refused)


@dataclass(frozen=True)
class Open:
    """What every page tells: findings without a doctor's word, words that wait for the line, findings that cannot be read."""

    unconfirmed: int
    waiting: int
    unreadable: int
    asked_at: datetime | None


@dataclass(frozen=True)
class Doctor:
    """A doctor with an account at the console."""

    username: str
    display_name: str


def named_doctor(
    responsible: str, handed_to: str, doctors: Iterable[Doctor], *, folded: Callable[[str], str]
) -> Doctor | None:
    """Return who has to take note: to whom it was handed, else the one doctor who bears the name of the request.

    None when nobody does or several do: then somebody has to hand the finding to one of them.
    """
    everybody = tuple(doctors)
    if handed_to:
        return next((one for one in everybody if one.username == handed_to), None)
    name = folded(responsible)
    bearers = [one for one in everybody if name and folded(one.display_name) == name]
    return bearers[0] if len(bearers) == 1 else None


class CriticalBook:
    """The critical findings of the facility as the box knows them."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        spool.connection.executescript(_SCHEMA)

    def open(self) -> Open:
        """Return the figures for every page."""
        row = self._spool.connection.execute(
            f"SELECT count(*) FILTER (WHERE {_UNCONFIRMED}) AS unconfirmed,"  # noqa: S608 - words written above
            f" count(*) FILTER (WHERE {_WAITING}) AS waiting FROM critical"
        ).fetchone()
        asked = self._spool.connection.execute("SELECT * FROM critical_list WHERE id = 1").fetchone()
        return Open(
            unconfirmed=row["unconfirmed"],
            waiting=row["waiting"],
            unreadable=asked["unreadable"] if asked else 0,
            asked_at=moment(asked["asked_at"]) if asked else None,
        )

    def findings(self) -> list[Finding]:
        """Return what is to be done first, by the end of its clock, then what is done, the newest first."""
        rows = self._spool.connection.execute(
            f"SELECT * FROM critical WHERE {_UNCONFIRMED} OR {_WAITING}"  # noqa: S608 - words written above
        ).fetchall()
        first = sorted(
            (_finding(row) for row in rows),
            key=lambda one: (one.is_waiting, one.due_at or one.notice.raised_at, one.notice.critical_id),
        )
        done = self._spool.connection.execute(
            f"SELECT * FROM critical WHERE NOT {_UNCONFIRMED} AND NOT {_WAITING}"  # noqa: S608
            " ORDER BY first_seen_at DESC LIMIT ?",
            (_SHOWN,),
        ).fetchall()
        return first + [_finding(row) for row in done]

    def finding(self, critical_id: str) -> Finding:
        """Return a finding, or raise NotFound."""
        row = self._spool.connection.execute(
            "SELECT * FROM critical WHERE critical_id = ?", (critical_id,)
        ).fetchone()
        if row is None:
            raise NotFound("there is no such critical finding")
        return _finding(row)

    def hand_over(self, critical_id: str, to: str, *, by: str, at: datetime) -> None:
        """Make another doctor the one who has to take note."""
        with self._spool.writing() as connection:
            self._unconfirmed(connection, critical_id)
            connection.execute(
                "UPDATE critical SET handed_to = ?, handed_by = ?, handed_at = ? WHERE critical_id = ?",
                (to, by, milliseconds(at), critical_id),
            )

    def acknowledge(
        self, critical_id: str, *, handed_to: str, person: str, account: str, at: datetime
    ) -> None:
        """Keep a doctor's word until the centre has it; when this returns it is durable.

        Parameters
        ----------
        handed_to : str
            As the page was judged; when it was handed on meanwhile, nothing is kept.

        Raises
        ------
        TransitionNotAllowed
            Nobody was told by the centre yet, so that there is nothing to confirm.
        StateChangedMeanwhile
            It was confirmed, handed on, or ended at the centre meanwhile.
        """
        with self._spool.writing() as connection:
            row = self._unconfirmed(connection, critical_id)
            if row["handed_to"] != handed_to:
                raise StateChangedMeanwhile("it was handed to another doctor")
            if json.loads(row["document"])["state"] != "notified":
                raise TransitionNotAllowed("nobody was told yet", code="not_told")
            connection.execute(
                "UPDATE critical SET person = ?, account = ?, acknowledged_at = ?, attempts = 0, next_try_at = 0,"
                " refused_at = NULL, answer = '' WHERE critical_id = ?",
                (person, account, milliseconds(at), critical_id),
            )

    @staticmethod
    def _unconfirmed(connection: sqlite3.Connection, critical_id: str) -> sqlite3.Row:
        row: sqlite3.Row | None = connection.execute(
            "SELECT * FROM critical WHERE critical_id = ?", (critical_id,)
        ).fetchone()
        if row is None:
            raise NotFound("there is no such critical finding")
        if not _finding(row).is_unconfirmed:
            raise StateChangedMeanwhile("this critical finding is not open any more")
        return row


def _finding(row: sqlite3.Row) -> Finding:
    notice = CriticalNotice.from_json(json.loads(row["document"]))

    def time(name: str) -> datetime | None:
        return moment(row[name]) if row[name] is not None else None

    refused = row["refused_at"] is not None
    is_unconfirmed = bool(row["is_listed"]) and (row["acknowledged_at"] is None or refused)
    return Finding(
        notice=notice,
        first_seen_at=moment(row["first_seen_at"]),
        is_listed=bool(row["is_listed"]),
        gone_at=time("gone_at"),
        handed_to=row["handed_to"],
        handed_by=row["handed_by"],
        handed_at=time("handed_at"),
        person=row["person"],
        acknowledged_at=time("acknowledged_at"),
        sent_at=time("sent_at"),
        refused=refused,
        attempts=row["attempts"],
        due_at=(
            rules.deadline(notice.category, notice.state, notice.raised_at, notice.notified_at)
            if is_unconfirmed
            else None
        ),
    )


class CriticalWatch:
    """Asks the centre which critical findings wait for a doctor's word."""

    def __init__(self, spool: Spool, link: CentreLink, *, now: Callable[[], datetime]) -> None:
        self._spool = spool
        self._link = link
        self._now = now
        spool.connection.executescript(_SCHEMA)

    def work(self) -> int:
        """Ask, and return how many findings are new here.

        A finding that cannot be read stays as it was, is counted, and the console says so: nothing that is critical
        vanishes because a box is of an older release.
        """
        listed = self._link.critical_findings()
        at = milliseconds(self._now())
        unreadable = [one for one in listed if isinstance(one, UnreadableFinding)]
        new = 0
        with self._spool.writing() as connection:
            known = {row["critical_id"]: row for row in connection.execute("SELECT * FROM critical")}
            for one in listed:
                if isinstance(one, CriticalNotice):
                    new += self._keep(connection, one, known.get(one.critical_id), at)
            here = {one.critical_id for one in listed}
            for critical_id, row in known.items():
                if row["is_listed"] and critical_id not in here:
                    connection.execute(
                        "UPDATE critical SET is_listed = 0, gone_at = ? WHERE critical_id = ?",
                        (at, critical_id),
                    )
            was = connection.execute("SELECT unreadable FROM critical_list WHERE id = 1").fetchone()
            connection.execute(
                "INSERT INTO critical_list (id, asked_at, unreadable) VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE"
                " SET asked_at = excluded.asked_at, unreadable = excluded.unreadable",
                (at, len(unreadable)),
            )
        if unreadable and (was is None or was["unreadable"] != len(unreadable)):
            _log.error(
                "%d critical findings cannot be read, first: %s", len(unreadable), unreadable[0].reason
            )
        return new

    @staticmethod
    def _keep(
        connection: sqlite3.Connection, notice: CriticalNotice, row: sqlite3.Row | None, at: int
    ) -> bool:
        document = json.dumps(notice.to_json(), ensure_ascii=False)
        if row is None:
            connection.execute(
                "INSERT INTO critical (critical_id, document, first_seen_at, is_listed) VALUES (?, ?, ?, 1)",
                (notice.critical_id, document, at),
            )
            _log.warning("critical finding %s of case %s", notice.critical_id, notice.case_number)
        elif row["document"] != document or not row["is_listed"]:
            connection.execute(
                "UPDATE critical SET document = ?, is_listed = 1, gone_at = NULL WHERE critical_id = ?",
                (document, notice.critical_id),
            )
        return row is None


class AcknowledgementSender:
    """Sends doctors' confirmations until the centre has taken or refused them."""

    def __init__(
        self, settings: GatewaySettings, spool: Spool, link: CentreLink, *, now: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._link = link
        self._now = now
        spool.connection.executescript(_SCHEMA)

    def work(self) -> int:
        """Send what is due, the oldest first, and return how many the centre answered."""
        rows = self._spool.connection.execute(
            f"SELECT * FROM critical WHERE {_WAITING} AND next_try_at <= ? ORDER BY acknowledged_at",  # noqa: S608
            (milliseconds(self._now()),),
        ).fetchall()
        return sum(self._send(row) for row in rows)

    def _send(self, row: sqlite3.Row) -> bool:
        message = CriticalAcknowledgement(
            person=row["person"], account=row["account"], acknowledged_at=moment(row["acknowledged_at"])
        )
        try:
            self._link.acknowledge_critical(row["critical_id"], message)
        except Unavailable as problem:
            self._note(
                row,
                attempts=row["attempts"] + 1,
                next_try_at=next_try(self._settings, row["attempts"], at=self._now()),
                answer=problem.message,
            )
            _log.warning(
                "confirmation of %s not sent, will try again: %s", row["critical_id"], problem.message
            )
            return False
        except Refused as problem:
            self._note(row, refused_at=milliseconds(self._now()), answer=problem.message)
            _log.error("confirmation of %s is refused: %s", row["critical_id"], problem.message)
            return True
        self._note(row, sent_at=milliseconds(self._now()), answer="")
        return True

    def _note(self, row: sqlite3.Row, **columns: Any) -> None:
        assignments = ", ".join(f"{name} = ?" for name in columns)
        with self._spool.writing() as connection:
            connection.execute(
                f"UPDATE critical SET {assignments} WHERE critical_id = ?",  # noqa: S608 - names written above
                (*columns.values(), row["critical_id"]),
            )
