"""Requests to read: written at the box, named there for ever, sent without identity until the centre has them.

What a person typed about the patient is sealed in the vault; the row here holds the message that leaves and nothing
else, so that what is read in this database is what the centre reads. A draft is sealed whole, for its text
has not been looked through yet.
"""

import json
import logging
import secrets
import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any

from gateway.last_look import LastLook
from gateway.link import CentreLink, Refused
from gateway.retry import next_try
from gateway.sending import prepare, stop_of
from gateway.settings import GatewaySettings
from gateway.spool import Spool, milliseconds
from gateway.vault import Vault
from teleread.domain.identifiers import CROCKFORD
from teleread.errors import NotFound, Unavailable
from teleread.wire.orders import OrderNotice

_log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS request (
    id INTEGER PRIMARY KEY,
    order_id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    document TEXT,
    changed_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try_at INTEGER NOT NULL DEFAULT 0,
    sent_at INTEGER,
    refused_at INTEGER,
    answer TEXT NOT NULL DEFAULT '',
    case_number TEXT
);
"""
_ID_LENGTH = 12


def new_order_id() -> str:
    """Return a public id for a request: 60 random bits."""
    return "".join(CROCKFORD[secrets.randbelow(32)] for _ in range(_ID_LENGTH))


class OrderBook:
    """The facility's requests, drafts among them."""

    def __init__(self, spool: Spool, vault: Vault) -> None:
        self._spool = spool
        self._vault = vault
        spool.connection.executescript(_SCHEMA)

    def save_draft(self, order_id: str, owner: str, form: dict[str, str], *, at: datetime) -> None:
        """Keep what has been typed so far. A request that was sent stays as it is."""
        self._vault.keep_form(order_id, form)
        with self._spool.writing() as connection:
            connection.execute(
                "INSERT INTO request (order_id, owner, changed_at) VALUES (?, ?, ?)"
                " ON CONFLICT (order_id) DO UPDATE SET changed_at = excluded.changed_at"
                " WHERE document IS NULL",
                (order_id, owner, milliseconds(at)),
            )

    def send(self, notice: OrderNotice, owner: str, form: dict[str, str], *, at: datetime) -> None:
        """Take a request over; when this returns it is durable and will be sent. Saying it again changes nothing."""
        # Identity first: a message without its patient at home would be of nobody.
        self._vault.keep_form(notice.order_id, form)
        with self._spool.writing() as connection:
            connection.execute(
                "INSERT INTO request (order_id, owner, document, changed_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (order_id) DO UPDATE SET document = excluded.document,"
                " changed_at = excluded.changed_at WHERE document IS NULL",
                (notice.order_id, owner, json.dumps(notice.to_json(), ensure_ascii=False), milliseconds(at)),
            )

    def discard_draft(self, order_id: str) -> None:
        """Forget a draft; a request that was sent stays."""
        with self._spool.writing() as connection:
            gone = connection.execute(
                "DELETE FROM request WHERE order_id = ? AND document IS NULL", (order_id,)
            ).rowcount
        if gone:
            self._vault.forget_form(order_id)

    def row(self, order_id: str) -> sqlite3.Row:
        """Return a request's row, or raise NotFound."""
        found: sqlite3.Row | None = self._spool.connection.execute(
            "SELECT * FROM request WHERE order_id = ?", (order_id,)
        ).fetchone()
        if found is None:
            raise NotFound("there is no such request")
        return found

    def form(self, order_id: str) -> dict[str, str]:
        """Return what was typed, identity included."""
        return self._vault.form(order_id)

    def recent(self, limit: int = 50) -> list[sqlite3.Row]:
        """Return the newest requests and drafts, the newest first."""
        return self._spool.connection.execute(
            "SELECT * FROM request ORDER BY changed_at DESC, id DESC LIMIT ?", (limit,)
        ).fetchall()


class OrderSender:
    """Sends requests until the centre has taken or refused them."""

    def __init__(
        self,
        settings: GatewaySettings,
        spool: Spool,
        link: CentreLink,
        *,
        now: Callable[[], datetime],
        last_look: LastLook | None = None,
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._link = link
        self._now = now
        self._last_look = last_look
        spool.connection.executescript(_SCHEMA)
        prepare(spool)

    def work(self) -> int:
        """Send what is due, the oldest first, and return how many the centre answered; none while sending is stopped."""
        if stop_of(self._spool) is not None:
            return 0
        rows = self._spool.connection.execute(
            "SELECT * FROM request WHERE document IS NOT NULL AND sent_at IS NULL AND refused_at IS NULL"
            " AND next_try_at <= ? ORDER BY id",
            (milliseconds(self._now()),),
        ).fetchall()
        return sum(self._send(row) for row in rows)

    def _send(self, row: sqlite3.Row) -> bool:
        notice = OrderNotice.from_json(json.loads(row["document"]))
        try:
            if self._last_look is not None:
                self._last_look.order(notice)
            answer = self._link.put_order(notice)
        except Unavailable as problem:
            self._note(
                row,
                attempts=row["attempts"] + 1,
                next_try_at=next_try(self._settings, row["attempts"], at=self._now()),
                answer=problem.message,
            )
            _log.warning("request %s not sent, will try again: %s", row["order_id"], problem.message)
            return False
        except Refused as problem:
            self._note(row, refused_at=milliseconds(self._now()), answer=problem.message)
            _log.error("request %s is refused: %s", row["order_id"], problem.message)
            return True
        self._note(
            row,
            sent_at=milliseconds(self._now()),
            answer=answer.outcome,
            case_number=answer.case_number,
        )
        return True

    def _note(self, row: sqlite3.Row, **columns: Any) -> None:
        assignments = ", ".join(f"{name} = ?" for name in columns)
        with self._spool.writing() as connection:
            connection.execute(
                f"UPDATE request SET {assignments} WHERE id = ?",  # noqa: S608 - names written above
                (*columns.values(), row["id"]),
            )
