"""The engine, and the unit of work: `transaction()` is the only place that commits."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from teleread.errors import OutOfSpace, Unavailable
from teleread.settings import ServerSettings
from teleread.storage import audit_chain
from teleread.storage.sealing import Sealer

# NORMAL would lose acknowledged commits in a power cut, which kill -9 never shows.
_PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000")

_WRITES = "teleread_writes"
_AUDIT_KEY = "teleread_audit_key"
_ACCOUNTS_KEY = "teleread_accounts_key"


def make_engine(url: str, *, audit_key: bytes | None = None, accounts_key: bytes | None = None) -> Engine:
    """Return an engine for SQLite or PostgreSQL. Never carry it over a fork.

    Parameters
    ----------
    url : str
        SQLAlchemy URL; a plain ``postgresql://`` gets the driver psycopg.
    audit_key : bytes, optional
        Anchors the head of the audit chain. Without it every act that is audited is refused.
    accounts_key : bytes, optional
        Seals what accounts keep secret (`sealer`). Without it nobody can be added or sign in.
    """
    parsed = make_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    engine = create_engine(parsed, pool_pre_ping=parsed.get_backend_name() != "sqlite")
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _on_sqlite_connect)
        event.listen(engine, "begin", _on_sqlite_begin)
    return engine.execution_options(**{_AUDIT_KEY: audit_key, _ACCOUNTS_KEY: accounts_key})


def open_engine(settings: ServerSettings) -> Engine:
    """Return the engine of a prepared centre, with its keys."""
    return make_engine(
        settings.database_url, audit_key=settings.audit_key(), accounts_key=settings.accounts_key()
    )


def sealer(place: Engine | Session) -> Sealer:
    """Return what seals and opens the secrets of accounts in this database."""
    engine = place.get_bind().engine if isinstance(place, Session) else place
    key = engine.get_execution_options().get(_ACCOUNTS_KEY)
    if key is None:
        raise Unavailable("the key of the accounts is not there")
    return Sealer(key)


def _on_sqlite_connect(connection: Any, _: object) -> None:
    # The driver would begin by itself, and too late; with None it leaves that to the event below.
    connection.isolation_level = None
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _on_sqlite_begin(connection: Connection) -> None:
    # A transaction that reads first and writes later could not be given the lock any more. Readers take none.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def transaction(engine: Engine, *, writes: bool = True) -> Iterator[Session]:
    """Run the block as one transaction: committed at its end, rolled back if it raises.

    Audit records asked for in the block are written last, in the same transaction: the chain has one head, and
    taking it last keeps the time short in which others wait for it, and rules out deadlocks over it.

    Parameters
    ----------
    engine : Engine
    writes : bool
        False for blocks that only read; on SQLite they neither wait for a writer nor make one wait.

    Raises
    ------
    OutOfSpace
        The database's disk is full; nothing was committed.
    Unavailable
        The database could not be reached, or was locked for too long; nothing was committed.
    """
    try:
        with Session(engine.execution_options(**{_WRITES: writes}), expire_on_commit=False) as session:
            yield session
            audit_chain.write_pending(session, engine.get_execution_options().get(_AUDIT_KEY))
            session.commit()
    except OperationalError as error:
        text = str(error.orig)
        if "disk is full" in text or "No space left" in text:
            raise OutOfSpace("the database's disk is full") from error
        raise Unavailable("the database did not answer in time") from error


def database_folder(url: str) -> Path | None:
    """Return the folder of a SQLite file, or None for a database that is elsewhere."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return None
    return Path(parsed.database).parent
