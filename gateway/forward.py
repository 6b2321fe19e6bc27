"""Uploads what is clean, several requests at once, and believes only a receipt that names the digest."""

import logging
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

from gateway.link import CentreLink, Refused, Upload
from gateway.retry import next_try
from gateway.sending import prepare, stop_of
from gateway.settings import GatewaySettings
from gateway.spool import Spool, milliseconds, move
from teleread.domain.workflow import Machine
from teleread.errors import Unavailable
from teleread.wire.receipts import InstanceReceipt

_log = logging.getLogger(__name__)

_BATCH_ITEMS = 64
_DUE = (
    "SELECT * FROM item WHERE (state = 'clean' AND next_try_at <= ?)"
    " OR (state = 'acknowledged' AND outcome = 'missing') ORDER BY study_id, id LIMIT 2000"
)


class Forwarder:
    """Sends the clean items; at any moment each item is in at most one request."""

    def __init__(
        self, settings: GatewaySettings, spool: Spool, link: CentreLink, *, now: Callable[[], datetime]
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._link = link
        self._now = now
        self._threads = ThreadPoolExecutor(settings.upload_connections, thread_name_prefix="upload")
        self._under_way: set[int] = set()
        self._guard = threading.Lock()
        prepare(spool)

    def close(self) -> None:
        """Wait for the requests under way."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def work(self, *, wait: bool = False) -> int:
        """Start requests for all that is due, and return how many items they carry; none while sending is stopped."""
        if stop_of(self._spool) is not None:
            return 0
        with self._guard:
            # Inside the guard: a row read before it may be of a request that has ended meanwhile.
            due = self._spool.connection.execute(_DUE, (milliseconds(self._now()),)).fetchall()
            fresh = [row for row in due if row["id"] not in self._under_way]
            self._under_way.update(row["id"] for row in fresh)
        futures = [
            self._threads.submit(self._send_batch, batch)
            for batch in batches(fresh, self._settings.batch_bytes)
        ]
        if wait:
            for future in futures:
                future.result()
        else:
            for future in futures:
                future.add_done_callback(_log_failure)
        return len(fresh)

    def _send_batch(self, batch: list[sqlite3.Row]) -> None:
        try:
            # Batches that waited for a connection do not go on either.
            if stop_of(self._spool) is None:
                self._send(batch)
        finally:
            with self._guard:
                self._under_way.difference_update(row["id"] for row in batch)

    def _send(self, batch: list[sqlite3.Row]) -> None:
        uploads = [
            Upload(row["centre_sop_uid"], row["clean_sha256"], self._spool.clean_path(row["id"]))
            for row in batch
        ]
        try:
            receipts = self._link.store(uploads)
        except Unavailable as problem:
            self._failed(batch, problem.message)
        except Refused as problem:
            if len(batch) == 1:
                self._refused(batch[0], problem.message)
                return
            # The centre refused the request; which part of it was the reason shows when each goes alone.
            for row in batch:
                self._send([row])
        else:
            self._settle(batch, receipts)

    def _settle(self, batch: list[sqlite3.Row], receipts: list[InstanceReceipt]) -> None:
        told = {(receipt.sop_instance_uid, receipt.sha256): receipt for receipt in receipts}
        unanswered = []
        with self._spool.writing() as connection:
            for row in self._of_now(connection, batch):
                receipt = told.get((row["centre_sop_uid"], row["clean_sha256"]))
                if receipt is None:
                    unanswered.append(row)
                elif not receipt.is_stored:
                    self._hold(connection, row, receipt.reason)
                elif row["state"] == "clean":
                    move(
                        connection,
                        Machine.SPOOL_ITEM,
                        row["id"],
                        "acknowledged",
                        at=self._now(),
                        outcome=receipt.outcome,
                        acknowledged_at=milliseconds(self._now()),
                    )
                else:
                    # Sent again because the centre had lost it; the state has not changed.
                    connection.execute(
                        "UPDATE item SET outcome = ? WHERE id = ?", (receipt.outcome, row["id"])
                    )
        if unanswered:
            self._failed(unanswered, "no receipt that names the digest")

    def _failed(self, batch: list[sqlite3.Row], reason: str) -> None:
        with self._spool.writing() as connection:
            for row in self._of_now(connection, batch):
                if row["state"] == "clean":
                    move(
                        connection,
                        Machine.SPOOL_ITEM,
                        row["id"],
                        "send_failed",
                        at=self._now(),
                        reason=reason,
                        attempts=row["attempts"] + 1,
                        next_try_at=next_try(self._settings, row["attempts"], at=self._now()),
                    )
        _log.warning("%d instances not sent, will try again: %s", len(batch), reason)

    def _refused(self, row: sqlite3.Row, detail: str) -> None:
        with self._spool.writing() as connection:
            for one in self._of_now(connection, [row]):
                self._hold(connection, one, detail)

    @staticmethod
    def _of_now(connection: sqlite3.Connection, batch: list[sqlite3.Row]) -> list[sqlite3.Row]:
        """Return the rows as they are now, without those that another request has settled meanwhile.

        One of them would take the receipts of all the others back with its own.
        """
        now = (
            connection.execute("SELECT * FROM item WHERE id = ?", (row["id"],)).fetchone() for row in batch
        )
        return [
            one
            for row, one in zip(batch, now, strict=True)
            if one is not None and one["state"] == row["state"]
        ]

    def _hold(self, connection: sqlite3.Connection, row: sqlite3.Row, detail: str) -> None:
        if row["state"] == "clean":
            move(
                connection,
                Machine.SPOOL_ITEM,
                row["id"],
                "send_refused",
                at=self._now(),
                reason="refused_by_centre",
                detail=detail,
            )
        else:
            connection.execute("UPDATE item SET outcome = 'refused' WHERE id = ?", (row["id"],))
        _log.error("item %d is refused by the centre: %s", row["id"], detail)


def batches(rows: list[sqlite3.Row], batch_bytes: int) -> list[list[sqlite3.Row]]:
    """Return the rows in requests of one study each, of about `batch_bytes` or one larger instance."""
    answer: list[list[sqlite3.Row]] = []
    study, size = None, 0
    for row in rows:
        full = size + row["clean_size"] > batch_bytes or (answer and len(answer[-1]) >= _BATCH_ITEMS)
        if not answer or full or row["study_id"] != study:
            answer.append([])
            study, size = row["study_id"], 0
        answer[-1].append(row)
        size += row["clean_size"]
    return answer


def _log_failure(future: "Future[None]") -> None:
    if not future.cancelled() and (problem := future.exception()) is not None:
        _log.error("an upload ended with %s", type(problem).__name__)
