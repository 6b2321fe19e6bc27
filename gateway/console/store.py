"""The console's own database: people, their sessions, and the record of what they saw and did.

Every shown name and every act stands in `audit`: append-only by triggers, each row with the digest of the one
before, the newest under a key in a file of its own. What cannot be recorded does not happen: a record is
written in the transaction of its act, or before the page is sent.
"""

import hashlib
import hmac
import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gateway.durable import connect, space_errors, sync_folder, transaction, write_file
from gateway.layout import Layout
from gateway.spool import milliseconds
from teleread.errors import InvalidInput, Unavailable

_SCHEMA = """
CREATE TABLE IF NOT EXISTS user (
    id INTEGER PRIMARY KEY,
    username TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL,
    roles TEXT NOT NULL,
    language TEXT NOT NULL CHECK (language IN ('ja', 'en')),
    password_hash TEXT NOT NULL,
    totp_sealed BLOB NOT NULL,
    totp_step INTEGER NOT NULL DEFAULT 0,
    is_active INTEGER NOT NULL DEFAULT 1,
    created_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS recovery_code (
    sha256 TEXT PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES user,
    used_at INTEGER
);
CREATE TABLE IF NOT EXISTS session (
    token_sha256 TEXT PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES user,
    from_where TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    ended_at INTEGER
);
CREATE INDEX IF NOT EXISTS session_by_user ON session (user_id);
CREATE TABLE IF NOT EXISTS refusal (
    account_sha256 TEXT NOT NULL,
    from_where TEXT NOT NULL,
    at INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS refusal_by_time ON refusal (at);
CREATE TABLE IF NOT EXISTS audit (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    from_where TEXT NOT NULL,
    act TEXT NOT NULL,
    detail TEXT NOT NULL,
    previous_sha256 TEXT NOT NULL,
    sha256 TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS audit_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    sequence INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    mac TEXT NOT NULL
);
CREATE TRIGGER IF NOT EXISTS audit_keeps_its_rows BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit record is append-only'); END;
CREATE TRIGGER IF NOT EXISTS audit_keeps_its_words BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit record is append-only'); END;
"""

_BEGINNING = "0" * 64
_KEY_LENGTH = 32


def database_path(layout: Layout) -> Path:
    """Return where the console's database is."""
    return layout.data / "console.sqlite3"


def console_key(layout: Layout) -> bytes:
    """Return the console's secret of 32 bytes, made at the first call and never replaced."""
    path = layout.keys / "console.key"
    if not path.exists():
        write_file(path, secrets.token_hex(_KEY_LENGTH).encode("ascii"))
    try:
        key = bytes.fromhex(path.read_text("ascii"))
    except ValueError:
        key = b""
    if len(key) != _KEY_LENGTH:
        raise InvalidInput(path.name, "this key is broken; restore it from the backup")
    return key


def derived(key: bytes, purpose: str) -> bytes:
    """Return a key for one purpose."""
    return hmac.new(key, purpose.encode("ascii"), hashlib.sha256).digest()


@dataclass(frozen=True)
class AuditFault:
    """Something in the record that should not be: where, and what (`changed`, `gap`, `cut`, `head_forged`)."""

    sequence: int
    kind: str


class ConsoleStore:
    """The database; each thread has a connection of its own."""

    def __init__(self, layout: Layout) -> None:
        self.key = console_key(layout)
        self._mac_key = derived(self.key, "audit")
        self._path = database_path(layout)
        self._local = threading.local()
        self._connections: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        with space_errors():
            self.connection.executescript(_SCHEMA)
            sync_folder(layout.data)
        self._path.chmod(0o600)

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection, for reading."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = connect(self._path)
            self._local.connection = connection
            with self._guard:
                self._connections.append(connection)
        return connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Run a block as one durable write transaction."""
        with transaction(self.connection) as connection:
            yield connection

    def close(self) -> None:
        """Close the connections of all threads."""
        with self._guard:
            for connection in self._connections:
                connection.close()
            self._connections.clear()
        self._local = threading.local()

    def record(self, who: str, from_where: str, act: str, detail: dict[str, Any], *, at: datetime) -> None:
        """Append to the record in a transaction of its own."""
        with self.writing() as connection:
            self.append(connection, who, from_where, act, detail, at=at)

    def append(
        self,
        connection: sqlite3.Connection,
        who: str,
        from_where: str,
        act: str,
        detail: dict[str, Any],
        *,
        at: datetime,
    ) -> None:
        """Append to the record inside the transaction of the act itself.

        `detail` holds pseudonyms, UIDs, case numbers, codes and the person's own reason; never a name.
        """
        head = connection.execute("SELECT * FROM audit_head WHERE id = 1").fetchone()
        if head is None and connection.execute("SELECT 1 FROM audit LIMIT 1").fetchone():
            raise Unavailable("the head of the audit record is missing", code="audit_unavailable")
        sequence = head["sequence"] + 1 if head else 1
        previous = head["sha256"] if head else _BEGINNING
        row = (
            sequence,
            milliseconds(at),
            who,
            from_where,
            act,
            json.dumps(detail, ensure_ascii=False, sort_keys=True, separators=(",", ":")),
            previous,
        )
        digest = _digest(row)
        connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row, digest))
        connection.execute(
            "INSERT INTO audit_head VALUES (1, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
            " sequence = excluded.sequence, sha256 = excluded.sha256, mac = excluded.mac",
            (sequence, digest, self._mac(sequence, digest)),
        )

    def faults(self) -> Iterator[AuditFault]:
        """Yield every fault of the record, from its beginning to its head."""
        sequence, digest = 0, _BEGINNING
        for row in self.connection.execute("SELECT * FROM audit ORDER BY sequence"):
            values = tuple(row)
            if row["sequence"] != sequence + 1 or row["previous_sha256"] != digest:
                yield AuditFault(row["sequence"], "gap")
            if _digest(values[:7]) != row["sha256"]:
                yield AuditFault(row["sequence"], "changed")
            sequence, digest = row["sequence"], row["sha256"]
        head = self.connection.execute("SELECT * FROM audit_head WHERE id = 1").fetchone()
        if head is None:
            if sequence:
                yield AuditFault(sequence, "head_forged")
            return
        if not hmac.compare_digest(head["mac"], self._mac(head["sequence"], head["sha256"])):
            yield AuditFault(head["sequence"], "head_forged")
        if (head["sequence"], head["sha256"]) != (sequence, digest):
            yield AuditFault(head["sequence"], "cut")

    def _mac(self, sequence: int, digest: str) -> str:
        return hmac.new(self._mac_key, f"{sequence} {digest}".encode("ascii"), hashlib.sha256).hexdigest()


def _digest(row: tuple[Any, ...]) -> str:
    return hashlib.sha256(json.dumps(row, ensure_ascii=False).encode("utf-8")).hexdigest()
