"""The durable queue of the gateway: files and one SQLite database.

A file's way in: bytes into a `.part` as they arrive, synced, renamed to its digest, folder synced, row
committed. Only then does the sender hear 0x0000. Whatever the moment of a crash, the next start finds
either nothing that was promised, or a file without a row, which it adopts.

States are those of the machines `spool_item` and `delivery` in `teleread.domain.workflow`; `move()` is the
only function that assigns one, by compare-and-set, and it writes the event row in the same transaction.
"""

import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from gateway.durable import connect, space_errors, sync_folder, transaction
from gateway.layout import Layout
from teleread.domain.workflow import START, Machine, Who, next_state
from teleread.errors import NotFound, OutOfSpace, StateChangedMeanwhile

_SCHEMA = """
CREATE TABLE IF NOT EXISTS association (
    id INTEGER PRIMARY KEY,
    calling_ae TEXT NOT NULL,
    address TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    closed_at INTEGER
);
CREATE TABLE IF NOT EXISTS study (
    id INTEGER PRIMARY KEY,
    facility_study_uid TEXT NOT NULL UNIQUE,
    centre_study_uid TEXT UNIQUE,
    pseudonym TEXT,
    summary TEXT NOT NULL DEFAULT '{}',
    revision INTEGER NOT NULL DEFAULT 0,
    sent_digest TEXT NOT NULL DEFAULT '',
    sent_closed INTEGER NOT NULL DEFAULT 0,
    manifest_attempts INTEGER NOT NULL DEFAULT 0,
    manifest_due_at INTEGER NOT NULL DEFAULT 0,
    centre_state TEXT NOT NULL DEFAULT '',
    case_number TEXT,
    uploaded_at INTEGER,
    settled INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS item (
    id INTEGER PRIMARY KEY,
    sop_instance_uid TEXT NOT NULL,
    sha256 TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    sop_class_uid TEXT NOT NULL,
    transfer_syntax_uid TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN
        ('received', 'clean', 'held', 'acknowledged', 'discarded', 'purged')),
    reason TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT '',
    times_received INTEGER NOT NULL,
    association_id INTEGER REFERENCES association,
    study_id INTEGER REFERENCES study,
    first_received_at INTEGER NOT NULL,
    last_received_at INTEGER NOT NULL,
    centre_series_uid TEXT,
    centre_sop_uid TEXT,
    clean_sha256 TEXT,
    clean_size INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try_at INTEGER NOT NULL DEFAULT 0,
    outcome TEXT NOT NULL DEFAULT '',
    acknowledged_at INTEGER,
    CHECK (state NOT IN ('clean', 'acknowledged')
        OR (study_id IS NOT NULL AND centre_sop_uid IS NOT NULL AND clean_sha256 IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS item_by_state ON item (state, next_try_at);
CREATE INDEX IF NOT EXISTS item_by_study ON item (study_id);
CREATE INDEX IF NOT EXISTS item_by_association ON item (association_id);
CREATE TABLE IF NOT EXISTS package (
    id INTEGER PRIMARY KEY,
    package_id TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL,
    centre_study_uid TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN
        ('ready', 'in_transit', 'retrying', 'held', 'failed', 'delivered')),
    reason TEXT NOT NULL DEFAULT '',
    pdf_sha256 TEXT NOT NULL,
    collected_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try_at INTEGER NOT NULL DEFAULT 0,
    sop_instance_uid TEXT,
    delivered_pdf_sha256 TEXT,
    dicom_sha256 TEXT,
    delivered_at INTEGER
);
CREATE TABLE IF NOT EXISTS route (
    id INTEGER PRIMARY KEY,
    package_id INTEGER NOT NULL REFERENCES package,
    route TEXT NOT NULL,
    target TEXT NOT NULL,
    delivered_at INTEGER,
    detail TEXT NOT NULL DEFAULT '',
    UNIQUE (package_id, route, target)
);
CREATE TABLE IF NOT EXISTS notice (
    id INTEGER PRIMARY KEY,
    package_id INTEGER NOT NULL REFERENCES package,
    document TEXT NOT NULL,
    sent_at INTEGER,
    answer TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY,
    machine TEXT NOT NULL,
    thing_id INTEGER NOT NULL,
    event TEXT NOT NULL,
    from_state TEXT NOT NULL,
    to_state TEXT NOT NULL,
    actor TEXT NOT NULL,
    reason TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS held_told (
    study_id INTEGER PRIMARY KEY REFERENCES study,
    held TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS event_by_thing ON event (machine, thing_id);
"""

_TABLE_OF = {Machine.SPOOL_ITEM: "item", Machine.DELIVERY: "package"}


def milliseconds(at: datetime) -> int:
    """Return a moment as whole milliseconds since 1970 in UTC, as the database keeps it."""
    return int(at.timestamp() * 1000)


def moment(value: int) -> datetime:
    """Return the moment of a number of milliseconds since 1970."""
    return datetime.fromtimestamp(value / 1000, UTC)


@dataclass(frozen=True)
class Arrival:
    """What is known of an instance when it arrives, without decoding it.

    The UIDs are those of the C-STORE request (PS3.7 Section 9.1.1) or of the file meta information.
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    association_id: int | None = None


class PartFile:
    """A file while it arrives: written, digested, and gone unless it is kept.

    A full disk does not break the conversation with the sender: the first failure is remembered, the rest
    of the bytes are dropped, and `keep()` raises OutOfSpace.
    """

    def __init__(self, folder: Path, *, minimum_free_bytes: int = 0) -> None:
        self.path = folder / f"{os.getpid()}-{uuid4().hex}.part"
        self.size = 0
        self._digest = hashlib.sha256()
        self._problem: OSError | OutOfSpace | None = None
        self._file: BinaryIO | None = None
        try:
            with space_errors():
                _check_space(folder, minimum_free_bytes)
                descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                self._file = os.fdopen(descriptor, "wb", buffering=1 << 18)
        except (OSError, OutOfSpace) as problem:
            self._problem = problem

    @property
    def name(self) -> str:
        """The path as text, as of a named temporary file."""
        return str(self.path)

    @property
    def sha256(self) -> str:
        """The digest of the bytes so far."""
        return self._digest.hexdigest()

    @property
    def file(self) -> "PartFile":
        """The object to flush; pynetdicom asks for it after each fragment, and nothing has to happen then."""
        return self

    def flush(self) -> None:
        """Do nothing: what counts is `keep()`."""

    def write(self, data: bytes) -> int:
        """Append bytes."""
        if self._problem is None and self._file is not None:
            self._digest.update(data)
            self.size += len(data)
            try:
                with space_errors():
                    self._file.write(data)
            except (OSError, OutOfSpace) as problem:
                self._problem = problem
        return len(data)

    def keep(self) -> None:
        """Make the bytes durable under the `.part` name, or raise what went wrong on the way."""
        if self._problem is None and self._file is not None:
            try:
                with space_errors():
                    self._file.flush()
                    os.fsync(self._file.fileno())
                    self._file.close()
            except (OSError, OutOfSpace) as problem:
                self._problem = problem
        if self._problem is not None:
            raise self._problem

    def close(self) -> None:
        """Close the file; remove it if it is still there under its `.part` name."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError as problem:
                self._problem = problem
            self.path.unlink(missing_ok=True)

    def __del__(self) -> None:
        self.close()


def _check_space(folder: Path, minimum_free_bytes: int) -> None:
    space = os.statvfs(folder)
    if space.f_bavail * space.f_frsize < minimum_free_bytes:
        raise OutOfSpace("the free space of the gateway is below its limit")


class Spool:
    """The queue. One object a process; each thread gets a connection of its own."""

    def __init__(self, layout: Layout, *, minimum_free_bytes: int = 0) -> None:
        self.layout = layout
        self._minimum_free_bytes = minimum_free_bytes
        self._local = threading.local()
        self._connections: list[tuple[threading.Thread, sqlite3.Connection]] = []
        self._guard = threading.Lock()
        layout.make()
        with space_errors():
            self.connection.executescript(_SCHEMA)
            sync_folder(layout.data)

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection, for reading."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = connect(self.layout.spool_database)
            self._local.connection = connection
            with self._guard:
                self._close_those_of_ended_threads()
                self._connections.append((threading.current_thread(), connection))
        return connection

    def _close_those_of_ended_threads(self) -> None:
        # Each association has threads of its own: without this, every one of them would cost descriptors.
        for thread, connection in self._connections:
            if not thread.is_alive():
                connection.close()
        self._connections = [one for one in self._connections if one[0].is_alive()]

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run a block as one durable write transaction."""
        with transaction(self.connection) as connection:
            yield connection

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._guard:
            for _, connection in self._connections:
                connection.close()
            self._connections.clear()
        self._local = threading.local()

    def part(self) -> PartFile:
        """Return a new file for bytes that arrive."""
        return PartFile(self.layout.incoming, minimum_free_bytes=self._minimum_free_bytes)

    def received_path(self, sha256: str) -> Path:
        """Return where the received file of a digest is."""
        return self.layout.received / f"{sha256}.dcm"

    def clean_path(self, item_id: int) -> Path:
        """Return where the de-identified file of an item is."""
        return self.layout.clean / f"{item_id}.dcm"

    def report_paths(self, package: int) -> tuple[Path, Path]:
        """Return where the named PDF and the DICOM object of a package are."""
        return self.layout.outgoing / f"{package}.pdf", self.layout.outgoing / f"{package}.dcm"

    def accept(self, part: PartFile, arrival: Arrival, *, at: datetime) -> int:
        """Take an instance over; when this returns, it is durable and counted.

        The same bytes again raise the count of the one row. Other bytes under the same SOP Instance UID are
        an item of their own, because the digest is the key.

        Parameters
        ----------
        part : PartFile
            The whole file (PS3.10). It is gone afterwards, under that name.
        arrival : Arrival
        at : datetime

        Returns
        -------
        int
            The item's number.

        Raises
        ------
        OutOfSpace
            Nothing was taken over; answer 0xA700.
        """
        try:
            part.keep()
            known = self.connection.execute("SELECT 1 FROM item WHERE sha256 = ?", (part.sha256,)).fetchone()
            if known is None:
                with space_errors():
                    part.path.replace(self.received_path(part.sha256))
                    sync_folder(self.layout.received)
            with self.writing() as connection:
                return _count_in(connection, arrival, part.sha256, part.size, times=1, at=milliseconds(at))
        finally:
            part.close()

    def recover(self, *, at: datetime) -> int:
        """Put in order what a crash left, and return how many files were adopted.

        To be called before anything is received: removes the `.part` files of processes that are gone,
        closes associations that ended with the process, adopts files that were renamed but not yet counted.
        """
        for part in self.layout.incoming.glob("*.part"):
            owner = part.name.partition("-")[0]
            if not (owner.isdigit() and int(owner) != os.getpid() and Path(f"/proc/{owner}").exists()):
                part.unlink(missing_ok=True)
        with self.writing() as connection:
            connection.execute(
                "UPDATE association SET closed_at = ? WHERE closed_at IS NULL", (milliseconds(at),)
            )
        rows = self.connection.execute("SELECT sha256 FROM item")
        known = {row["sha256"] for row in rows}
        orphans = [path for path in self.layout.received.glob("*.dcm") if path.stem not in known]
        for path in orphans:
            self._adopt(path, at=at)
        return len(orphans)

    def _adopt(self, path: Path, *, at: datetime) -> None:
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if sha256 != path.stem:
            # The name is given only after the bytes are synced, so this is a broken disk or a foreign file.
            # It is kept, under its true digest, for a person to judge.
            path = path.replace(self.received_path(sha256))
            sync_folder(self.layout.received)
        with self.writing() as connection:
            # Counted as zero times received: the sender heard no 0x0000 and will send it again.
            _count_in(connection, arrival_of(path), sha256, path.stat().st_size, times=0, at=milliseconds(at))

    def opened(self, calling_ae: str, address: str, *, at: datetime) -> int:
        """Note that a sender has an association, and return its number."""
        with self.writing() as connection:
            cursor = connection.execute(
                "INSERT INTO association (calling_ae, address, opened_at) VALUES (?, ?, ?)",
                (calling_ae, address, milliseconds(at)),
            )
            return int(cursor.lastrowid or 0)

    def closed(self, association_id: int, *, at: datetime) -> None:
        """Note that an association has ended, however it did."""
        with self.writing() as connection:
            connection.execute(
                "UPDATE association SET closed_at = ? WHERE id = ? AND closed_at IS NULL",
                (milliseconds(at), association_id),
            )


def _count_in(
    connection: sqlite3.Connection, arrival: Arrival, sha256: str, size: int, *, times: int, at: int
) -> int:
    row = connection.execute(
        "INSERT INTO item (sop_instance_uid, sha256, size, sop_class_uid, transfer_syntax_uid, state,"
        " times_received, association_id, first_received_at, last_received_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (sha256) DO UPDATE SET times_received = times_received + excluded.times_received,"
        " last_received_at = excluded.last_received_at,"
        " association_id = coalesce(excluded.association_id, association_id)"
        " RETURNING id, times_received",
        (
            arrival.sop_instance_uid,
            sha256,
            size,
            arrival.sop_class_uid,
            arrival.transfer_syntax_uid,
            START[Machine.SPOOL_ITEM],
            times,
            arrival.association_id,
            at,
            at,
        ),
    ).fetchone()
    return int(row["id"])


def arrival_of(path: Path) -> Arrival:
    """Return what the file meta information (PS3.10 Section 7.1) says of a file; empty where it is silent."""
    # Here, not above: the commands that only read the database start without pydicom.
    from pydicom.errors import InvalidDicomError
    from pydicom.filereader import read_file_meta_info

    try:
        meta = read_file_meta_info(path)
        return Arrival(
            sop_instance_uid=str(meta.get("MediaStorageSOPInstanceUID", "")),
            sop_class_uid=str(meta.get("MediaStorageSOPClassUID", "")),
            transfer_syntax_uid=str(meta.get("TransferSyntaxUID", "")),
        )
    except (InvalidDicomError, OSError, ValueError, AttributeError, KeyError, NotImplementedError):
        # Whatever it is, it is kept and counted; the de-identifier will hold it with its reason.
        return Arrival(sop_instance_uid="", sop_class_uid="", transfer_syntax_uid="")


def move(
    connection: sqlite3.Connection,
    machine: Machine,
    thing_id: int,
    event: str,
    *,
    at: datetime,
    who: Who = Who.GATEWAY,
    actor: str = "gateway",
    reason: str = "",
    note: str = "",
    **columns: Any,
) -> str:
    """Move an item or a package by the table of the workflow, and return its new state.

    `reason` is a code, of the row and of its event; the row's goes to the centre. `note`, a person's own words,
    stands in the event in its place and stays here. `columns` are further columns of the row to set in the same statement.

    Raises
    ------
    TransitionNotAllowed
        The table has no such transition.
    StateChangedMeanwhile
        Another thread or process was first.
    """
    table = _TABLE_OF[machine]
    row = connection.execute(f"SELECT state FROM {table} WHERE id = ?", (thing_id,)).fetchone()  # noqa: S608
    if row is None:
        raise NotFound(f"there is no {table} {thing_id}")
    state: str = row["state"]
    to = next_state(machine, state, event, (who,))
    assignments = "".join(f", {name} = ?" for name in columns)
    moved = connection.execute(
        f"UPDATE {table} SET state = ?, reason = ?{assignments} WHERE id = ? AND state = ?",  # noqa: S608
        (to, reason, *columns.values(), thing_id, state),
    )
    if moved.rowcount != 1:
        raise StateChangedMeanwhile(f"{table} {thing_id} is no longer {state}")
    connection.execute(
        "INSERT INTO event (machine, thing_id, event, from_state, to_state, actor, reason, at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (machine, thing_id, event, state, to, actor, note or reason, milliseconds(at)),
    )
    return to
