"""Files that survive a power cut: written beside, synced, renamed, and the folder synced too.

Every system call that a promise rests on is made here and nowhere else, so that a test can let each fail once.
"""

import copy
import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from teleread.errors import OutOfSpace

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def space_errors() -> Iterator[None]:
    """Raise OutOfSpace where the system says that the disk or the quota is full."""
    try:
        yield
    except OSError as problem:
        if problem.errno in _FULL:
            raise OutOfSpace("the disk of the gateway is full") from problem
        raise
    except sqlite3.OperationalError as problem:
        if problem.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise OutOfSpace("the disk of the gateway is full") from problem
        raise


def create_file(path: Path, mode: int = 0o600) -> int:
    """Make a new file and return its descriptor, for writing only."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)


def append(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of the bytes at the end; the system may take them in pieces."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def sync_file(descriptor: int) -> None:
    """Make the bytes of an open file durable."""
    os.fsync(descriptor)


def rename(old: Path, new: Path) -> None:
    """Give a file its name; durable when the folder has been synced."""
    os.rename(old, new)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def commit(connection: sqlite3.Connection) -> None:
    """End a transaction; what it wrote is durable when this returns."""
    connection.commit()


def write_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a whole file so that after any crash the path has the old bytes or the new ones."""
    beside = path.parent / f".{uuid4().hex}.part"
    with space_errors():
        try:
            descriptor = create_file(beside, mode)
            try:
                append(descriptor, data)
                sync_file(descriptor)
            finally:
                os.close(descriptor)
            rename(beside, path)
            sync_folder(path.parent)
        finally:
            beside.unlink(missing_ok=True)


def connect(path: Path) -> sqlite3.Connection:
    """Open a SQLite database whose commits are durable when they return.

    `synchronous=FULL` syncs the write-ahead log at each commit; with NORMAL a power cut would take back what
    has been acknowledged.
    """
    connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    connection.row_factory = sqlite3.Row
    # The mode is kept in the file. Asking for it again takes a lock that a busy database may refuse.
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        connection.execute("PRAGMA journal_mode=WAL")
    for pragma in ("synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Run a block as one write transaction; the commit is durable when the block is left."""
    with space_errors():
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
        except BaseException:
            connection.rollback()
            raise
        try:
            commit(connection)
        except BaseException:
            if connection.in_transaction:
                connection.rollback()
            raise


class _Turn:
    """What one thread wants in the next batch, and what came of it."""

    __slots__ = ("act", "done", "place", "problem", "result")

    def __init__(
        self, act: Callable[[sqlite3.Connection], int], place: Callable[[sqlite3.Connection], bool] | None
    ) -> None:
        self.act = act
        self.place = place
        self.done = False
        self.result = 0
        self.problem: BaseException | None = None


class Batches:
    """Makes durable together what several threads want at the same time.

    A sync costs the same for one file as for twenty: whoever comes while a batch is on its way waits, and all
    that wait then share one sync of the folder and one transaction. A thread alone waits for nobody.

    Parameters
    ----------
    database : Path
        The SQLite database of the rows.
    folder : Path
        The folder in which the files get their names.
    """

    def __init__(self, database: Path, folder: Path) -> None:
        self._folder = folder
        self._connection = connect(database)
        self._waiting: list[_Turn] = []
        self._guard = threading.Lock()
        self._leading = threading.Lock()
        self.batches = 0
        self.turns = 0

    def run(
        self,
        act: Callable[[sqlite3.Connection], int],
        *,
        place: Callable[[sqlite3.Connection], bool] | None = None,
    ) -> int:
        """Do `place`, sync the folder if it says so, do `act` in a transaction, and return what `act` gave.

        Everything is durable when this returns. An error in `place` is that turn's own; one in the sync or
        in the transaction is everyone's of the batch, because nobody's rows are there then.

        Parameters
        ----------
        act : callable
            Writes the rows; returns a row's number.
        place : callable, optional
            Gives a synced file its name; returns whether it did.
        """
        turn = _Turn(act, place)
        with self._guard:
            self._waiting.append(turn)
        # Whoever gets the lock works for all that wait; the others find their turn done when they get it.
        with self._leading:
            if not turn.done:
                with self._guard:
                    turns, self._waiting = self._waiting, []
                self._work(turns)
        if turn.problem is not None:
            # A copy: the same error goes to several threads, each with a traceback of its own.
            raise copy.copy(turn.problem)
        return turn.result

    def _work(self, turns: list[_Turn]) -> None:
        self.batches += 1
        self.turns += len(turns)
        try:
            with space_errors():
                placed = [self._placed(turn) for turn in turns]
                if any(placed):
                    sync_folder(self._folder)
                with transaction(self._connection) as connection:
                    for turn in turns:
                        if turn.problem is None:
                            turn.result = turn.act(connection)
        except BaseException as problem:
            for turn in turns:
                turn.problem = turn.problem or problem
            if not isinstance(problem, Exception):
                raise
        finally:
            for turn in turns:
                turn.done = True

    def _placed(self, turn: _Turn) -> bool:
        if turn.place is None:
            return False
        try:
            with space_errors():
                return turn.place(self._connection)
        except (OSError, OutOfSpace, sqlite3.Error) as problem:
            turn.problem = problem
            return False

    def close(self) -> None:
        """Close the connection, after the batch that is on its way."""
        with self._leading:
            self._connection.close()
