"""Asks the centre for signed reports, and tells it what became of them.

The gateway always calls; no port is opened at the facility. A package is handed over when it is durable
here, and each thing that happens to it leaves as a row of `notice` written with the change itself, so that
a cut line delays the centre's knowledge and never loses it.
"""

import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable
from datetime import datetime

from gateway.durable import write_file
from gateway.link import CentreLink, Refused, UnreadablePackage
from gateway.spool import Spool, milliseconds, move
from teleread.domain.workflow import Machine, Who
from teleread.errors import Unavailable
from teleread.wire.packages import ReportPackage
from teleread.wire.receipts import DeliveryReceipt, PackageEvent

_log = logging.getLogger(__name__)


class Collector:
    """Fetches packages."""

    def __init__(self, spool: Spool, link: CentreLink, *, now: Callable[[], datetime]) -> None:
        self._spool = spool
        self._link = link
        self._now = now
        self._told: set[str] = set()

    def work(self) -> int:
        """Fetch what waits, and return how many packages are new here.

        Each package is judged by itself. Raises Unavailable, after the others, when one could not be had.
        """
        taken, trouble = 0, None
        asked_at = milliseconds(self._now())
        listed = self._link.packages()
        # What the centre lists anew, after it had gone from the list, is told anew.
        self._told &= {package.package_id for package in listed}
        for package in listed:
            try:
                if isinstance(package, UnreadablePackage):
                    self._give_up(package)
                else:
                    taken += self._take(package, asked_at)
            except Unavailable as problem:
                trouble = problem
            except Refused as problem:
                _log.error("package %s: %s", package.package_id, problem.message)
        if trouble is not None:
            raise trouble
        return taken

    def _give_up(self, package: UnreadablePackage) -> None:
        """Tell the centre that a package cannot be read here, so that a person there hears of it."""
        if package.package_id in self._told:
            return
        _log.error("package %s cannot be read: %s", package.package_id or "(no id)", package.reason)
        if package.package_id:
            # The table of deliveries knows a giving up only after the handing over.
            for event, reason in (("handed_over", ""), ("gave_up", package.reason)):
                message = PackageEvent(event=event, at=self._now(), reason=reason)
                self._link.report_event(package.package_id, message)
        self._told.add(package.package_id)

    def _take(self, package: ReportPackage, asked_at: int) -> bool:
        known = self._spool.connection.execute(
            "SELECT * FROM package WHERE package_id = ?", (package.package_id,)
        ).fetchone()
        if known is not None:
            self._again(known, asked_at)
            return False
        pdf = self._link.package_pdf(package.package_id)
        if hashlib.sha256(pdf).hexdigest() != package.pdf_sha256:
            # Cut or changed on the way; the centre still has it, so it is fetched again with the next round.
            _log.error("package %s is not what its digest says", package.package_id)
            return False
        write_file(self._spool.layout.packages / f"{package.pdf_sha256}.pdf", pdf)
        with self._spool.writing() as connection:
            cursor = connection.execute(
                "INSERT INTO package (package_id, document, centre_study_uid, state, pdf_sha256, collected_at)"
                " VALUES (?, ?, ?, 'ready', ?, ?)",
                (
                    package.package_id,
                    json.dumps(package.to_json()),
                    package.study_instance_uid,
                    package.pdf_sha256,
                    milliseconds(self._now()),
                ),
            )
            number = int(cursor.lastrowid or 0)
            move(connection, Machine.DELIVERY, number, "handed_over", at=self._now())
            add_notice(connection, number, PackageEvent(event="handed_over", at=self._now()))
        _log.info("package %s collected", package.package_id)
        return True

    def _again(self, known: sqlite3.Row, asked_at: int) -> None:
        """Handle a package that the centre still, or again, has as waiting."""
        with self._spool.writing() as connection:
            # A list that was asked for before the last notice had arrived does not know of it.
            unheard = connection.execute(
                "SELECT 1 FROM notice WHERE package_id = ? AND (sent_at IS NULL OR sent_at >= ?)",
                (known["id"], asked_at),
            ).fetchone()
            state = connection.execute("SELECT state FROM package WHERE id = ?", (known["id"],)).fetchone()[0]
            if unheard is not None:
                return
            if state == "failed":
                # The centre lists it again, so a coordinator there has asked for another try.
                move(
                    connection,
                    Machine.DELIVERY,
                    known["id"],
                    "retry",
                    at=self._now(),
                    who=Who.COORDINATOR,
                    actor="centre",
                    attempts=0,
                    next_try_at=0,
                    collected_at=milliseconds(self._now()),
                )
                move(connection, Machine.DELIVERY, known["id"], "handed_over", at=self._now())
                add_notice(connection, known["id"], PackageEvent(event="handed_over", at=self._now()))
            elif state == "delivered":
                # The centre has forgotten, as after a restore. Its events are idempotent.
                add_notice(connection, known["id"], PackageEvent(event="handed_over", at=self._now()))
                add_notice(
                    connection,
                    known["id"],
                    PackageEvent(
                        event="delivered",
                        at=self._now(),
                        receipts=receipts_of(connection, known["id"], self._now()),
                    ),
                )


class NoticeSender:
    """Tells the centre, in order, what happened to its packages."""

    def __init__(self, spool: Spool, link: CentreLink, *, now: Callable[[], datetime]) -> None:
        self._spool = spool
        self._link = link
        self._now = now

    def work(self) -> int:
        """Send the notices that wait, and return how many went. Raises Unavailable when the line is cut."""
        rows = self._spool.connection.execute(
            "SELECT n.id, n.document, p.package_id FROM notice AS n JOIN package AS p ON p.id = n.package_id"
            " WHERE n.sent_at IS NULL ORDER BY n.id"
        ).fetchall()
        for row in rows:
            answer = ""
            try:
                self._link.report_event(
                    row["package_id"], PackageEvent.from_json(json.loads(row["document"]))
                )
            except Refused as problem:
                # It does not fit what the centre knows meanwhile. Repeating it would stop all that follow.
                answer = problem.message
                _log.error("notice %d of package %s: %s", row["id"], row["package_id"], answer)
            with self._spool.writing() as connection:
                connection.execute(
                    "UPDATE notice SET sent_at = ?, answer = ? WHERE id = ?",
                    (milliseconds(self._now()), answer, row["id"]),
                )
        return len(rows)


def add_notice(connection: sqlite3.Connection, package: int, event: PackageEvent) -> None:
    """Note, in the transaction of the change itself, what the centre has to hear."""
    connection.execute(
        "INSERT INTO notice (package_id, document) VALUES (?, ?)", (package, json.dumps(event.to_json()))
    )


def receipts_of(connection: sqlite3.Connection, package: int, at: datetime) -> tuple[DeliveryReceipt, ...]:
    """Return the proofs of a package's deliveries so far."""
    rows = connection.execute(
        "SELECT r.*, p.package_id AS name, p.pdf_sha256, p.delivered_pdf_sha256 FROM route AS r"
        " JOIN package AS p ON p.id = r.package_id WHERE r.package_id = ? AND r.delivered_at IS NOT NULL"
        " ORDER BY r.id",
        (package,),
    ).fetchall()
    return tuple(
        DeliveryReceipt(
            package_id=row["name"],
            pdf_sha256=row["pdf_sha256"],
            delivered_pdf_sha256=row["delivered_pdf_sha256"],
            route=row["route"],
            status="delivered",
            detail=row["detail"],
            at=at,
        )
        for row in rows
    )
