"""Files that survive a power cut: written beside, synced, renamed, and the folder synced too."""

import errno
import os
import sqlite3
from collections.abc import Iterator
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


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a whole file so that after any crash the path has the old bytes or the new ones."""
    beside = path.parent / f".{uuid4().hex}.part"
    with space_errors():
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
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
        connection.commit()
