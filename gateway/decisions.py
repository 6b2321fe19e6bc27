"""What people of the facility decide about held things, by the transitions of the workflow's table.

A person's own words stay on the box, in the table `decision`: the reason column of an item travels in the
manifest, so it keeps its code.
"""

import multiprocessing
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from datetime import datetime

from gateway import pixel_rules
from gateway.collect import add_notice
from gateway.deidentify import SECONDS_PER_FILE, clean_file, end_with_parent, link_study, record_clean
from gateway.keys import GatewayKeys
from gateway.spool import Spool, milliseconds, move
from gateway.vault import LinkDoubt, Vault
from teleread.dicom.deid.regions import Region
from teleread.domain.workflow import Machine, Who
from teleread.errors import InvalidInput, NotFound, StateChangedMeanwhile, TransitionNotAllowed, Unavailable
from teleread.wire.receipts import PackageEvent

_SCHEMA = """
CREATE TABLE IF NOT EXISTS decision (
    id INTEGER PRIMARY KEY,
    machine TEXT NOT NULL,
    thing_id INTEGER NOT NULL,
    event TEXT NOT NULL,
    username TEXT NOT NULL,
    note TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS decision_by_thing ON decision (machine, thing_id);
CREATE TABLE IF NOT EXISTS release_vote (
    package_id INTEGER NOT NULL REFERENCES package,
    username TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (package_id, username)
);
"""

#: Reasons that are a judgement about what an image may show: a person who has looked can overrule them. Every other
#: reason is about what the file is or whose it is, and no look at the picture answers that.
RELEASABLE = frozenset({"burned_in", "risky_kind", "text_in_pixels"})

NOTE_LIMIT = 500
_SHORTEST_NOTE = 2


def prepare(spool: Spool) -> None:
    """Make the tables where they are missing."""
    spool.connection.executescript(_SCHEMA)
    pixel_rules.prepare(spool)


class Decisions:
    """Decisions about held items and held or failed deliveries."""

    def __init__(self, spool: Spool, vault: Vault, keys: GatewayKeys, *, now: Callable[[], datetime]) -> None:
        self._spool = spool
        self._vault = vault
        self._keys = keys
        self._now = now
        prepare(spool)

    def retry(self, item_id: int, *, username: str, note: str = "") -> str:
        """Have a held item looked at again, as after a rule or a setting was mended; return its new state."""
        with self._spool.writing() as connection:
            row = _item(connection, item_id)
            return self._move_item(connection, row, "retry", username, note)

    def discard(self, item_id: int, *, username: str, note: str) -> str:
        """Decide that a held item is not sent; the centre hears that one is withheld, and why by its code."""
        note = checked_note(note)
        with self._spool.writing() as connection:
            row = _item(connection, item_id)
            return self._move_item(connection, row, "discard", username, note, reason=row["reason"])

    @contextmanager
    def child(self) -> Iterator[ProcessPoolExecutor]:
        """Give a child process that reads the files of several releases, one after the other."""
        with ProcessPoolExecutor(
            1, mp_context=multiprocessing.get_context("spawn"), initializer=end_with_parent
        ) as pool:
            yield pool

    def release_as_is(
        self, item_id: int, *, username: str, note: str, child: ProcessPoolExecutor | None = None
    ) -> str:
        """Send a held item whose pixels a person has looked at. The header is de-identified like any other.

        Raises
        ------
        TransitionNotAllowed
            The reason is not one that a look at the picture answers, or the item is no longer held.
        InvalidInput
            De-identification has another reason to hold it; `code` is that reason.
        Unavailable
            The process that read the file ended.
        """
        note = checked_note(note)
        return self._release(item_id, "release_as_is", (), child, username=username, note=note)

    def release_masked(
        self,
        item_id: int,
        regions: tuple[Region, ...],
        *,
        username: str,
        note: str = "",
        child: ProcessPoolExecutor | None = None,
    ) -> str:
        """Send a held item with regions hidden that a person has drawn or confirmed.

        Raises as `release_as_is`; InvalidInput with the code ``not_maskable`` when the pixels cannot be masked, and
        with ``no_box`` without a region.
        """
        if not regions:
            raise InvalidInput("boxes", "draw at least one box", code="no_box")
        note = checked_note(note) if note.strip() else ""
        return self._release(item_id, "release_masked", regions, child, username=username, note=note)

    def _release(
        self,
        item_id: int,
        event: str,
        regions: tuple[Region, ...],
        child: ProcessPoolExecutor | None,
        *,
        username: str,
        note: str,
    ) -> str:
        row = _item(self._spool.connection, item_id)
        if row["state"] != "held" or row["reason"] not in RELEASABLE:
            raise TransitionNotAllowed(
                f"a look at the image does not answer this reason ({row['reason']}): mend the cause and retry, or discard"
            )
        source, target = self._spool.received_path(row["sha256"]), self._spool.clean_path(item_id)
        # A child of its own, like every reading of a file from outside.
        with nullcontext(child) if child else self.child() as pool:
            try:
                result, summary = pool.submit(
                    clean_file, source, target, self._keys.facility, pixels_looked_at=True, masks=regions
                ).result(timeout=SECONDS_PER_FILE)
            except (BrokenProcessPool, TimeoutError):
                raise Unavailable("the file could not be read") from None
        if result.outcome != "clean" or result.identity is None:
            raise InvalidInput("item", result.detail, code=result.reason)
        try:
            link_study(self._vault, result)
        except LinkDoubt as doubt:
            target.unlink(missing_ok=True)
            raise InvalidInput("item", doubt.message, code=doubt.code) from None
        with self._spool.writing() as connection:
            state = record_clean(
                connection,
                item_id,
                result,
                summary,
                event=event,
                at=self._now(),
                who=Who.FACILITY_OPERATOR,
                actor=username,
                note=note,
            )
            self._note(connection, Machine.SPOOL_ITEM, item_id, event, username=username, note=note)
            return state

    def _move_item(
        self,
        connection: sqlite3.Connection,
        row: sqlite3.Row,
        event: str,
        username: str,
        note: str,
        *,
        reason: str = "",
    ) -> str:
        state = move(
            connection,
            Machine.SPOOL_ITEM,
            row["id"],
            event,
            at=self._now(),
            who=Who.FACILITY_OPERATOR,
            actor=username,
            reason=reason,
            note=note,
            detail="",
            attempts=0,
            next_try_at=0,
        )
        # What the centre was told of the study no longer holds.
        connection.execute(
            "UPDATE study SET settled = 0, manifest_due_at = 0 WHERE id = ?", (row["study_id"],)
        )
        self._note(connection, Machine.SPOOL_ITEM, row["id"], event, username=username, note=note)
        return state

    def send_now(self, package_id: str, *, username: str) -> str:
        """Have a report that waits for its next try, or failed, tried at once; return the new state."""
        with self._spool.writing() as connection:
            row = _package(connection, package_id)
            at = self._now()
            if row["state"] in {"retrying", "in_transit"}:
                connection.execute("UPDATE package SET next_try_at = 0 WHERE id = ?", (row["id"],))
                self._note(connection, Machine.DELIVERY, row["id"], "send_now", username=username)
                return str(row["state"])
            move(
                connection,
                Machine.DELIVERY,
                row["id"],
                "retry",
                at=at,
                who=Who.FACILITY,
                actor=username,
                attempts=0,
                next_try_at=0,
                collected_at=milliseconds(at),
            )
            state = move(connection, Machine.DELIVERY, row["id"], "handed_over", at=at)
            add_notice(connection, row["id"], PackageEvent(event="retry", at=at))
            add_notice(connection, row["id"], PackageEvent(event="handed_over", at=at))
            self._note(connection, Machine.DELIVERY, row["id"], "retry", username=username)
            return state

    def release(self, package_id: str, *, username: str, note: str) -> bool:
        """Say that a report held for doubt may be tried again; return whether that released it.

        Two different persons have to say so. Every check is made again: what two people confirm is that they
        have found and mended the cause, not that the check was wrong.

        Raises
        ------
        TransitionNotAllowed
            The report is not held, or this person has said so already.
        """
        note = checked_note(note)
        with self._spool.writing() as connection:
            row = _package(connection, package_id)
            at = self._now()
            if row["state"] != "held":
                raise TransitionNotAllowed("this report is not held")
            votes = {
                vote["username"]
                for vote in connection.execute(
                    "SELECT username FROM release_vote WHERE package_id = ?", (row["id"],)
                )
            }
            if username in votes:
                raise TransitionNotAllowed(
                    "a second, different person has to release it", code="second_person"
                )
            self._note(connection, Machine.DELIVERY, row["id"], "release_vote", username=username, note=note)
            if not votes:
                connection.execute(
                    "INSERT INTO release_vote VALUES (?, ?, ?)", (row["id"], username, milliseconds(at))
                )
                return False
            connection.execute("DELETE FROM release_vote WHERE package_id = ?", (row["id"],))
            move(
                connection,
                Machine.DELIVERY,
                row["id"],
                "released",
                at=at,
                who=Who.TWO_FACILITY_PERSONS,
                actor=", ".join(sorted({*votes, username})),
                reason=row["reason"],
                attempts=0,
                next_try_at=0,
            )
            add_notice(connection, row["id"], PackageEvent(event="released", at=at, reason=row["reason"]))
            return True

    def votes(self, package: int) -> list[str]:
        """Return who has asked for the release of a held report so far."""
        rows = self._spool.connection.execute(
            "SELECT username FROM release_vote WHERE package_id = ? ORDER BY at", (package,)
        )
        return [row["username"] for row in rows]

    def _note(
        self,
        connection: sqlite3.Connection,
        machine: Machine,
        thing_id: int,
        event: str,
        *,
        username: str,
        note: str = "",
    ) -> None:
        connection.execute(
            "INSERT INTO decision (machine, thing_id, event, username, note, at) VALUES (?, ?, ?, ?, ?, ?)",
            (machine, thing_id, event, username, note, milliseconds(self._now())),
        )


def checked_note(note: str) -> str:
    """Return a person's reason, or raise InvalidInput when there is none or too much of it."""
    note = " ".join(note.split())
    if not _SHORTEST_NOTE <= len(note) <= NOTE_LIMIT:
        raise InvalidInput("note", f"{_SHORTEST_NOTE} to {NOTE_LIMIT} characters", code="note_needed")
    return note


def _item(connection: sqlite3.Connection, item_id: int) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute("SELECT * FROM item WHERE id = ?", (item_id,)).fetchone()
    if row is None:
        raise NotFound("there is no such item")
    if row["state"] != "held":
        raise StateChangedMeanwhile("this item is no longer held")
    return row


def _package(connection: sqlite3.Connection, package_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = connection.execute(
        "SELECT * FROM package WHERE package_id = ?", (package_id,)
    ).fetchone()
    if row is None:
        raise NotFound("there is no such report")
    return row
