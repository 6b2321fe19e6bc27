"""What the gateway has, for people and for programs; every file that came is in exactly one count."""

import json
import sqlite3
from typing import Any

from gateway.spool import Spool, moment

# Which count an item's state belongs to.
_COUNTED_AS = {
    "received": "pending",
    "clean": "pending",
    "acknowledged": "stored",
    "purged": "stored",
    "held": "held",
    "discarded": "discarded",
}


def status_of(spool: Spool) -> dict[str, Any]:
    """Return the state of every study, as `teleread-gateway status --json` prints it.

    A file that came twice counts twice. Times are milliseconds since 1970 in UTC or None. The entry without
    `facility_study_uid` has the files whose study is not known: not read yet, or not readable. For each
    entry, `received` = `stored` + `pending` + `discarded` + the sum of `held`.
    """
    connection = spool.connection
    entries = {
        row["id"]: _entry(row)
        for row in connection.execute("SELECT * FROM study ORDER BY id")
        if connection.execute("SELECT 1 FROM item WHERE study_id = ?", (row["id"],)).fetchone()
    }
    counts = connection.execute(
        "SELECT study_id, state, reason, sum(max(times_received, 1)) AS files,"
        " min(first_received_at) AS first, max(last_received_at) AS last"
        " FROM item GROUP BY study_id, state, reason"
    )
    for row in counts:
        entry = entries.setdefault(row["study_id"], _entry(None))
        entry["received"] += row["files"]
        counted_as = _COUNTED_AS[row["state"]]
        if counted_as == "held":
            entry["held"][row["reason"]] = entry["held"].get(row["reason"], 0) + row["files"]
        else:
            entry[counted_as] += row["files"]
        entry["first_received_at"] = min(entry["first_received_at"] or row["first"], row["first"])
        entry["last_received_at"] = max(entry["last_received_at"] or row["last"], row["last"])
    _add_deliveries(spool, list(entries.values()))
    return {"studies": list(entries.values()), "totals": totals_of(spool)}


def totals_of(spool: Spool) -> dict[str, int]:
    """Return how many items are in each state, and how many reports are on their way."""
    rows = spool.connection.execute("SELECT state, count(*) AS items FROM item GROUP BY state")
    totals = dict.fromkeys(_COUNTED_AS, 0) | {row["state"]: row["items"] for row in rows}
    waiting = "SELECT count(*) FROM package WHERE state NOT IN ('delivered', 'failed')"
    totals["reports_on_their_way"] = spool.connection.execute(waiting).fetchone()[0]
    return totals


def _entry(row: sqlite3.Row | None) -> dict[str, Any]:
    return {
        "facility_study_uid": row["facility_study_uid"] if row else None,
        "centre_study_uid": row["centre_study_uid"] if row else None,
        "case_number": row["case_number"] if row else None,
        "centre_state": row["centre_state"] if row else "",
        "revision": row["revision"] if row else 0,
        "received": 0,
        "stored": 0,
        "pending": 0,
        "held": {},
        "discarded": 0,
        "first_received_at": None,
        "last_received_at": None,
        "uploaded_at": row["uploaded_at"] if row else None,
        "delivered_at": None,
        "deliveries": [],
    }


def _add_deliveries(spool: Spool, entries: list[dict[str, Any]]) -> None:
    by_study = {entry["centre_study_uid"]: entry for entry in entries if entry["centre_study_uid"]}
    for row in spool.connection.execute("SELECT * FROM package ORDER BY id"):
        entry = by_study.get(row["centre_study_uid"])
        if entry is None:
            continue
        pdf, dicom = spool.report_paths(row["id"])
        home = row["state"] == "delivered"
        document = json.loads(row["document"])
        entry["case_number"] = entry["case_number"] or document["case_number"]
        entry["delivered_at"] = entry["delivered_at"] or row["delivered_at"]
        entry["deliveries"].append(
            {
                "package_id": row["package_id"],
                "version": document["version"],
                "state": row["state"],
                "reason": row["reason"],
                "report_dicom": str(dicom) if home else None,
                "report_pdf": str(pdf) if home else None,
                "sop_instance_uid": row["sop_instance_uid"],
                "delivered_at": row["delivered_at"],
            }
        )


def held_of(spool: Spool, language: str) -> list[dict[str, Any]]:
    """Return what is held, with the reason in words and where it lies; names only what the facility's own study is called."""
    # Here, not above: `status` is asked often and does not need the words.
    from gateway.reasons import doubt_text, text_of

    items = spool.connection.execute(
        "SELECT i.*, s.centre_study_uid AS study, s.facility_study_uid, s.case_number FROM item AS i LEFT JOIN study AS s ON s.id = i.study_id"
        " WHERE i.state = 'held' ORDER BY i.id"
    ).fetchall()
    packages = spool.connection.execute("SELECT * FROM package WHERE state = 'held' ORDER BY id").fetchall()
    return [
        {
            "kind": "instance",
            "number": row["id"],
            "reason": row["reason"],
            "text": text_of(row["reason"], language),
            "detail": row["detail"],
            "sop_class_uid": row["sop_class_uid"],
            "centre_study_uid": row["study"],
            "facility_study_uid": row["facility_study_uid"],
            "case_number": row["case_number"],
            "path": str(spool.received_path(row["sha256"])),
            "received_at": moment(row["first_received_at"]).isoformat(),
        }
        for row in items
    ] + [
        {
            "kind": "report",
            "number": row["id"],
            "reason": row["reason"],
            "text": doubt_text(row["reason"], language),
            "detail": "",
            "sop_class_uid": "",
            "centre_study_uid": row["centre_study_uid"],
            "facility_study_uid": None,
            "case_number": json.loads(row["document"])["case_number"],
            "path": "",
            "received_at": moment(row["collected_at"]).isoformat(),
        }
        for row in packages
    ]
