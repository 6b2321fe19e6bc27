"""Removes files whose time has passed; the rows stay."""

from collections.abc import Callable
from datetime import datetime, timedelta

from gateway.settings import GatewaySettings
from gateway.spool import Spool, milliseconds, move
from teleread.domain.workflow import Machine

_BATCH = 200


class Retention:
    """Purges what the centre has acknowledged long ago and whose study is settled."""

    def __init__(self, settings: GatewaySettings, spool: Spool, *, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._spool = spool
        self._now = now

    def work(self) -> int:
        """Purge a batch, and return its size. The row goes first: a file left behind does no harm."""
        before = milliseconds(self._now() - timedelta(hours=self._settings.retention_hours))
        rows = self._spool.connection.execute(
            "SELECT i.id, i.sha256 FROM item AS i JOIN study AS s ON s.id = i.study_id"
            " WHERE i.state = 'acknowledged' AND i.outcome != 'missing' AND s.settled = 1"
            " AND i.acknowledged_at < ? LIMIT ?",
            (before, _BATCH),
        ).fetchall()
        if rows:
            with self._spool.writing() as connection:
                for row in rows:
                    move(connection, Machine.SPOOL_ITEM, row["id"], "purge", at=self._now())
        for row in rows:
            self._spool.clean_path(row["id"]).unlink(missing_ok=True)
            self._spool.received_path(row["sha256"]).unlink(missing_ok=True)
        return len(rows)
