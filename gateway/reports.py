"""From a collected package to a delivered report: built once, durable, then sent until every route has it."""

import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from gateway.collect import add_notice, receipts_of
from gateway.deliver.base import NamedReport, Rejected, Route
from gateway.durable import write_file
from gateway.keys import GatewayKeys
from gateway.reidentify import IdentityDoubt
from gateway.retry import next_try
from gateway.settings import GatewaySettings
from gateway.spool import Spool, milliseconds, moment, move
from gateway.vault import Vault, VaultStudy
from teleread.dicom.encapsulate import encapsulated_pdf
from teleread.domain.identifiers import replacement_uid
from teleread.domain.workflow import Machine
from teleread.errors import NotFound, Unavailable
from teleread.wire.packages import ReportPackage
from teleread.wire.receipts import PackageEvent

_log = logging.getLogger(__name__)

# A newer version of a case's report waits for the older: the last to arrive is the one that people take as valid.
_DUE = (
    "SELECT * FROM (SELECT *, json_extract(document, '$.version') AS version,"
    " min(json_extract(document, '$.version'))"
    " OVER (PARTITION BY json_extract(document, '$.case_number')) AS oldest"
    " FROM package WHERE state IN ('in_transit', 'retrying'))"
    " WHERE version = oldest AND next_try_at <= ? ORDER BY id"
)

Reidentify = Callable[[ReportPackage, bytes, VaultStudy], bytes]
"""Returns the named and sealed PDF of a package, or raises IdentityDoubt."""


class Deliverer:
    """Builds and delivers the reports that were collected."""

    def __init__(
        self,
        settings: GatewaySettings,
        spool: Spool,
        vault: Vault,
        keys: GatewayKeys,
        *,
        routes: Sequence[Route],
        reidentify: Reidentify,
        now: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._vault = vault
        self._keys = keys
        self._routes = routes
        self._reidentify = reidentify
        self._now = now

    def work(self) -> int:
        """Deliver what is due, and return how many packages were tried."""
        rows = self._spool.connection.execute(_DUE, (milliseconds(self._now()),)).fetchall()
        for row in rows:
            try:
                self._deliver(row)
            except Exception as problem:  # noqa: BLE001 - one report must not stop the ones behind it
                self._failed(row, type(problem).__name__)
        return len(rows)

    def _deliver(self, row: sqlite3.Row) -> None:
        package = ReportPackage.from_json(json.loads(row["document"]))
        try:
            report = self._built(row, package)
            self._by_every_route(row["id"], report)
        except (IdentityDoubt, NotFound) as doubt:
            reason = doubt.reason if isinstance(doubt, IdentityDoubt) else "unknown_study"
            # The table has no doubt after a failed attempt; giving up alarms the same people.
            self._end(row, "identity_doubt" if row["state"] == "in_transit" else "gave_up", reason)
        except Rejected as problem:
            self._end(row, "gave_up", problem.message)
        except Unavailable as problem:
            tried_for = self._now() - moment(row["collected_at"])
            if tried_for > timedelta(hours=self._settings.give_up_hours):
                self._end(row, "gave_up", problem.message)
            else:
                self._failed(row, problem.message)
        else:
            with self._spool.writing() as connection:
                at = self._now()
                move(
                    connection, Machine.DELIVERY, row["id"], "delivered", at=at, delivered_at=milliseconds(at)
                )
                receipts = receipts_of(connection, row["id"], at)
                add_notice(connection, row["id"], PackageEvent(event="delivered", at=at, receipts=receipts))
            _log.info("package %s delivered", row["package_id"])

    def _built(self, row: sqlite3.Row, package: ReportPackage) -> NamedReport:
        """Return the named report, built now if it has not been built.

        The row names the files' digests before anything is sent. A crash before that leaves files that no
        one has seen and that are written anew; after it, the same bytes are sent again.
        """
        pdf_path, dicom_path = self._spool.report_paths(row["id"])
        if row["sop_instance_uid"] is None:
            signed = (self._spool.layout.packages / f"{row['pdf_sha256']}.pdf").read_bytes()
            if _sha256(signed) != row["pdf_sha256"]:
                raise Unavailable("the package on disk is damaged")
            entry = self._vault.study(package.study_instance_uid)
            named = self._reidentify(package, signed, entry)
            sop_instance_uid = replacement_uid(
                f"report {package.package_id} {package.pdf_sha256}", self._keys.uid
            )
            dicom = encapsulated_pdf(
                named,
                entry.identity,
                sop_instance_uid=sop_instance_uid,
                series_instance_uid=replacement_uid(
                    f"reports of {package.study_instance_uid}", self._keys.uid
                ),
                title=package.title,
                at=self._now(),
            )
            write_file(pdf_path, named)
            write_file(dicom_path, dicom)
            with self._spool.writing() as connection:
                connection.execute(
                    "UPDATE package SET sop_instance_uid = ?, delivered_pdf_sha256 = ?, dicom_sha256 = ? WHERE id = ?",
                    (sop_instance_uid, _sha256(named), _sha256(dicom), row["id"]),
                )
            row = self._spool.connection.execute(
                "SELECT * FROM package WHERE id = ?", (row["id"],)
            ).fetchone()
        if (
            _sha256(pdf_path.read_bytes()) != row["delivered_pdf_sha256"]
            or _sha256(dicom_path.read_bytes()) != row["dicom_sha256"]
        ):
            raise Unavailable("the report on disk is damaged")
        return NamedReport(
            case_number=package.case_number,
            version=package.version,
            pdf=pdf_path,
            pdf_sha256=row["delivered_pdf_sha256"],
            dicom=dicom_path,
            dicom_sha256=row["dicom_sha256"],
            sop_instance_uid=row["sop_instance_uid"],
        )

    def _by_every_route(self, package: int, report: NamedReport) -> None:
        """Try every route, then raise what went wrong; what may pass before what will not."""
        passing: Unavailable | None = None
        final: Rejected | None = None
        for route in self._routes:
            try:
                self._by_route(package, route, report)
            except Rejected as problem:
                final = problem
            except Unavailable as problem:
                passing = problem
            except Exception as problem:  # noqa: BLE001 - one route must not stop the ones behind it
                passing = Unavailable(type(problem).__name__)
        if passing is not None:
            raise Unavailable("; ".join(one.message for one in (final, passing) if one is not None))
        if final is not None:
            raise final

    def _by_route(self, package: int, route: Route, report: NamedReport) -> None:
        key = (package, route.kind, route.target)
        done = self._spool.connection.execute(
            "SELECT delivered_at FROM route WHERE package_id = ? AND route = ? AND target = ?", key
        ).fetchone()
        if done is not None and done["delivered_at"] is not None:
            return
        detail = route.deliver(report)
        with self._spool.writing() as connection:
            connection.execute(
                "INSERT INTO route (package_id, route, target, delivered_at, detail) VALUES (?, ?, ?, ?, ?)",
                (*key, milliseconds(self._now()), detail),
            )

    def _failed(self, row: sqlite3.Row, reason: str) -> None:
        with self._spool.writing() as connection:
            at = self._now()
            move(
                connection,
                Machine.DELIVERY,
                row["id"],
                "attempt_failed",
                at=at,
                reason=reason,
                attempts=row["attempts"] + 1,
                next_try_at=next_try(self._settings, row["attempts"], at=at),
            )
            add_notice(connection, row["id"], PackageEvent(event="attempt_failed", at=at, reason=reason))
        _log.warning("package %s not delivered, will try again: %s", row["package_id"], reason)

    def _end(self, row: sqlite3.Row, event: str, reason: str) -> None:
        with self._spool.writing() as connection:
            at = self._now()
            move(connection, Machine.DELIVERY, row["id"], event, at=at, reason=reason)
            receipts = receipts_of(connection, row["id"], at)
            add_notice(
                connection, row["id"], PackageEvent(event=event, at=at, reason=reason, receipts=receipts)
            )
        _log.error("package %s: %s: %s", row["package_id"], event, reason)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
