"""What a page shows of the studies: read from the spool, named from the vault."""

import json
import sqlite3
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from gateway.console.dates import age_on, as_day
from gateway.console.names import Names, ShownName, shown
from gateway.console.search import folded, sort_key
from gateway.console.track import Counts, Disc, track_of
from gateway.spool import Spool, milliseconds, moment
from teleread.domain.identifiers import check_case_number
from teleread.errors import InvalidInput, NotFound

PAGE_ROWS = 100

#: The clock on the wall of a Japanese facility.
WALL = ZoneInfo("Asia/Tokyo")

_STUDIES = """
SELECT s.*, v.display_status, v.due_at, v.is_assigned, v.pause_reason,
    (SELECT min(first_received_at) FROM item WHERE study_id = s.id) AS first_at,
    (SELECT max(last_received_at) FROM item WHERE study_id = s.id) AS last_at
FROM study AS s LEFT JOIN centre_view AS v ON v.study_id = s.id
"""


@dataclass(frozen=True)
class Report:
    """A report package as it is here."""

    number: int
    package_id: str
    version: int
    kind: str
    status: str
    state: str
    reason: str
    attempts: int
    signer: str
    signed_at: str
    collected_at: datetime
    delivered_at: datetime | None
    next_try_at: datetime | None
    is_named: bool


@dataclass(frozen=True)
class StudyRow:
    """One line of the list; `person` is None while nobody knows whose it is."""

    study_id: int
    centre_study_uid: str
    pseudonym: str
    case_number: str
    person: ShownName | None
    age: int | None
    modality: str
    examination: str
    taken_at: str
    priority: str
    counts: Counts
    track: tuple[Disc, ...]
    held_reason: str
    held_item: int | None
    display_status: str
    due_at: datetime | None
    is_assigned: bool
    pause_reason: str
    reports: tuple[Report, ...]
    first_at: datetime
    last_at: datetime
    uploaded_at: datetime | None


@dataclass(frozen=True)
class FlowCounts:
    """The figures over the list."""

    received_today: int
    held: int
    sending: int
    waiting_to_send: int
    at_centre: int
    reported: int
    unacknowledged: int
    undelivered: int


def midnight(at: datetime) -> datetime:
    """Return when the day of a moment began on the facility's wall."""
    return at.astimezone(WALL).replace(hour=0, minute=0, second=0, microsecond=0)


def counts_of(spool: Spool, *, at: datetime) -> FlowCounts:
    """Return the figures over the list."""

    def number(question: str, *values: object) -> int:
        return int(spool.connection.execute(question, values).fetchone()[0])

    today = milliseconds(midnight(at))
    return FlowCounts(
        received_today=number("SELECT count(DISTINCT study_id) FROM item WHERE last_received_at >= ?", today),
        held=number("SELECT count(*) FROM item WHERE state = 'held'"),
        sending=number("SELECT count(DISTINCT study_id) FROM item WHERE state = 'clean'"),
        waiting_to_send=number("SELECT count(*) FROM item WHERE state IN ('received', 'clean')"),
        at_centre=number(
            "SELECT count(*) FROM study WHERE revision > 0"
            " AND centre_study_uid NOT IN (SELECT centre_study_uid FROM package)"
        ),
        reported=number("SELECT count(DISTINCT centre_study_uid) FROM package WHERE state = 'delivered'"),
        unacknowledged=number(
            "SELECT count(*) FROM study AS s LEFT JOIN centre_view AS v ON v.study_id = s.id"
            " WHERE s.centre_study_uid IN (SELECT centre_study_uid FROM package WHERE state = 'delivered')"
            " AND coalesce(v.display_status, '') != 'acknowledged'"
        ),
        undelivered=number("SELECT count(*) FROM package WHERE state IN ('held', 'retrying', 'failed')"),
    )


def version_of(spool: Spool) -> str:
    """Return a text that changes when anything in the list does; it says nothing itself."""
    row = spool.connection.execute(
        "SELECT (SELECT coalesce(max(id), 0) FROM event), (SELECT coalesce(max(id), 0) FROM item),"
        " (SELECT coalesce(max(changed_at), 0) FROM centre_view), (SELECT count(*) FROM centre_view)"
    ).fetchone()
    return "-".join(str(value) for value in row)


def list_studies(
    spool: Spool, names: Names, *, query: str = "", by_name: bool = False, limit: int = PAGE_ROWS
) -> list[StudyRow]:
    """Return studies, the newest first or in the order of the fifty sounds.

    `query` is a name in any kana or width, a patient ID, an accession number, or a case number.
    """
    connection = spool.connection
    if query.strip():
        rows = _found(connection, names, query, limit)
    else:
        rows = connection.execute(
            _STUDIES + " WHERE last_at IS NOT NULL ORDER BY last_at DESC LIMIT ?", (limit,)
        ).fetchall()
    priorities = _priorities(connection)
    studies = [_row(spool, names, row, priorities) for row in rows]
    if by_name:
        studies.sort(key=lambda row: sort_key(row.person.sort_by if row.person else ""))
    return studies


def _found(connection: sqlite3.Connection, names: Names, query: str, limit: int) -> list[sqlite3.Row]:
    uids = names.find(query)
    try:
        case_number = check_case_number(query)
    except InvalidInput:
        case_number = folded(query).upper() or "-"
    rows: dict[int, sqlite3.Row] = {
        row["id"]: row
        for row in connection.execute(
            _STUDIES + " WHERE last_at IS NOT NULL AND s.case_number = ?", (case_number,)
        )
    }
    for row in connection.execute(_STUDIES + " WHERE last_at IS NOT NULL ORDER BY last_at DESC"):
        if len(rows) >= limit:
            break
        if row["centre_study_uid"] in uids:
            rows.setdefault(row["id"], row)
    return list(rows.values())


def study_of(spool: Spool, names: Names, study_id: int) -> StudyRow:
    """Return one study, or raise NotFound."""
    row = spool.connection.execute(
        _STUDIES + " WHERE s.id = ? AND last_at IS NOT NULL", (study_id,)
    ).fetchone()
    if row is None:
        raise NotFound("there is no such study")
    return _row(spool, names, row, _priorities(spool.connection))


def _priorities(connection: sqlite3.Connection) -> dict[str, str]:
    """Return the priority asked for, by centre's UID, accession pseudonym, and case number."""
    found: dict[str, str] = {}
    for row in connection.execute(
        "SELECT document, case_number FROM request WHERE document IS NOT NULL ORDER BY id DESC LIMIT 1000"
    ):
        order = json.loads(row["document"])
        for key in (order["study_instance_uid"], order["accession"], row["case_number"]):
            if key:
                found.setdefault(key, order["priority"])
    return found


def _row(spool: Spool, names: Names, row: sqlite3.Row, priorities: dict[str, str]) -> StudyRow:
    connection = spool.connection
    by_state = {
        each["state"]: each["items"]
        for each in connection.execute(
            "SELECT state, count(*) AS items FROM item WHERE study_id = ? GROUP BY state", (row["id"],)
        )
    }
    counts = Counts(
        received=by_state.get("received", 0),
        clean=by_state.get("clean", 0),
        held=by_state.get("held", 0),
        acknowledged=by_state.get("acknowledged", 0) + by_state.get("purged", 0),
        discarded=by_state.get("discarded", 0),
    )
    held = connection.execute(
        "SELECT id, sha256, reason FROM item WHERE study_id = ? AND state = 'held' ORDER BY id LIMIT 1",
        (row["id"],),
    ).fetchone()
    entry = names.study(row["centre_study_uid"])
    identity = entry.identity if entry else None
    if identity is None:
        any_item = connection.execute(
            "SELECT sha256 FROM item WHERE study_id = ? ORDER BY id LIMIT 1", (row["id"],)
        ).fetchone()
        identity = names.of_file(spool.received_path(any_item["sha256"]), any_item["sha256"])
    summary = json.loads(row["summary"])
    reports = reports_of(spool, row["centre_study_uid"])
    study_date = summary.get("study_date") or (identity.study_date if identity else "")
    accession = summary.get("accession", "")
    taken = as_day(study_date)
    return StudyRow(
        study_id=row["id"],
        centre_study_uid=row["centre_study_uid"] or "",
        pseudonym=row["pseudonym"] or "",
        case_number=row["case_number"] or "",
        person=shown(identity) if identity else None,
        age=age_on(identity.birth_date, taken or date.min) if identity else None,
        modality=" ".join(summary.get("modalities", ())) or (identity.modality if identity else ""),
        examination=(identity.study_description if identity else "") or summary.get("study_description", ""),
        taken_at=_when(study_date, summary.get("study_time") or (identity.study_time if identity else "")),
        priority=next(
            (
                priorities[key]
                for key in (row["centre_study_uid"], accession, row["case_number"])
                if key and key in priorities
            ),
            "",
        ),
        counts=counts,
        track=track_of(
            counts,
            uploaded=row["uploaded_at"] is not None and not counts.clean and not counts.received,
            display_status=row["display_status"] or "",
            deliveries=tuple(report.state for report in reports),
        ),
        held_reason=held["reason"] if held else "",
        held_item=held["id"] if held else None,
        display_status=row["display_status"] or "",
        due_at=moment(row["due_at"]) if row["due_at"] is not None else None,
        is_assigned=bool(row["is_assigned"]),
        pause_reason=row["pause_reason"] or "",
        reports=reports,
        first_at=moment(row["first_at"]),
        last_at=moment(row["last_at"]),
        uploaded_at=moment(row["uploaded_at"]) if row["uploaded_at"] else None,
    )


def _when(study_date: str, study_time: str) -> str:
    """Return date and time of day of a study as a list shows them."""
    day = as_day(study_date)
    clock = f"{study_time[:2]}:{study_time[2:4]}" if len(study_time) >= 4 else ""
    return " ".join(part for part in (day.isoformat() if day else "", clock) if part)


def reports_of(spool: Spool, centre_study_uid: str | None) -> tuple[Report, ...]:
    """Return the report packages of a study, in the order in which they came."""
    return tuple(
        _report(row)
        for row in spool.connection.execute(
            "SELECT * FROM package WHERE centre_study_uid = ? ORDER BY id", (centre_study_uid,)
        )
    )


def _report(row: sqlite3.Row) -> Report:
    document = json.loads(row["document"])
    return Report(
        number=row["id"],
        package_id=row["package_id"],
        version=document["version"],
        kind=document["kind"],
        status=document["status"],
        state=row["state"],
        reason=row["reason"],
        attempts=row["attempts"],
        signer=document["signer_name"],
        signed_at=document["signed_at"],
        collected_at=moment(row["collected_at"]),
        delivered_at=moment(row["delivered_at"]) if row["delivered_at"] else None,
        next_try_at=moment(row["next_try_at"]) if row["next_try_at"] else None,
        is_named=row["delivered_pdf_sha256"] is not None,
    )


def held_reports(spool: Spool) -> list[tuple[Report, str]]:
    """Return the reports that are held, failed or tried again, each with its study's UID."""
    return [
        (_report(row), row["centre_study_uid"])
        for row in spool.connection.execute(
            "SELECT * FROM package WHERE state IN ('held', 'failed', 'retrying') ORDER BY id"
        )
    ]


@dataclass(frozen=True)
class Happening:
    """Something that happened to a study: when, the key of its word, how often, by whom, and what they said."""

    at: datetime
    word: str
    count: int
    who: str
    note: str


def happenings_of(spool: Spool, study_id: int, reports: tuple[Report, ...]) -> list[Happening]:
    """Return what happened to a study, in order; alike things of one minute are one line."""
    connection = spool.connection
    found: dict[tuple[int, str, str, str], Happening] = {}

    def add(at: int, word: str, who: str = "", note: str = "") -> None:
        key = (at // 60_000, word, who, note)
        known = found.get(key)
        found[key] = Happening(
            moment(max(at, milliseconds(known.at)) if known else at),
            word,
            (known.count if known else 0) + 1,
            who,
            note,
        )

    for row in connection.execute("SELECT first_received_at AS at FROM item WHERE study_id = ?", (study_id,)):
        add(row["at"], "event.arrived")
    for row in connection.execute(
        "SELECT e.* FROM event AS e JOIN item AS i ON i.id = e.thing_id"
        " WHERE e.machine = 'spool_item' AND i.study_id = ?",
        (study_id,),
    ):
        add(row["at"], f"event.{row['event']}", "" if row["actor"] == "gateway" else row["actor"])
    for row in connection.execute(
        "SELECT d.* FROM decision AS d JOIN item AS i ON i.id = d.thing_id"
        " WHERE d.machine = 'spool_item' AND d.note != '' AND i.study_id = ?",
        (study_id,),
    ):
        add(row["at"], "event.note", row["username"], row["note"])
    for report in reports:
        add(milliseconds(report.collected_at), "event.report_arrived")
        for row in connection.execute(
            "SELECT * FROM event WHERE machine = 'delivery' AND thing_id = ?", (report.number,)
        ):
            add(
                row["at"],
                f"event.{row['event']}",
                "" if row["actor"] in {"gateway", "centre"} else row["actor"],
            )
        for row in connection.execute(
            "SELECT * FROM decision WHERE machine = 'delivery' AND note != '' AND thing_id = ?",
            (report.number,),
        ):
            add(row["at"], "event.note", row["username"], row["note"])
    return sorted(found.values(), key=lambda each: each.at)


def routes_of(spool: Spool, report: Report) -> list[sqlite3.Row]:
    """Return where a report has arrived."""
    return spool.connection.execute(
        "SELECT route, target, delivered_at FROM route WHERE package_id = ? ORDER BY id", (report.number,)
    ).fetchall()


@dataclass(frozen=True)
class HeldItem:
    """A held file, and whose it seems to be."""

    item_id: int
    study_id: int | None
    sha256: str
    reason: str
    sop_class_uid: str
    received_at: datetime
    person: ShownName | None
    examination: str
    priority: str
    is_urgent: bool
    alike: tuple[int, ...]


#: Priorities whose patients cannot wait for a look at the list of held files.
URGENT = frozenset({"stat", "stroke", "trauma"})


def held_items(spool: Spool, names: Names) -> list[HeldItem]:
    """Return what is held, the urgent first.

    Alike ones (same study, reason, class, device and size) are one entry that names them all.
    """
    groups: dict[tuple[int | None, str, str, str, str], list[sqlite3.Row]] = {}
    for row in spool.connection.execute(
        "SELECT i.*, s.centre_study_uid, s.case_number, s.summary, f.device FROM item AS i"
        " LEFT JOIN study AS s ON s.id = i.study_id LEFT JOIN pixel_finding AS f ON f.item_id = i.id"
        " WHERE i.state = 'held' ORDER BY i.id"
    ):
        # Files whose study nobody knows have nothing in common but that.
        alone = "" if row["study_id"] is not None else row["sha256"]
        key = (row["study_id"], row["reason"], row["sop_class_uid"], row["device"] or "", alone)
        groups.setdefault(key, []).append(row)
    priorities = _priorities(spool.connection)
    found = [_held(spool, names, rows, _priority(rows[0], priorities)) for rows in groups.values()]
    return sorted(found, key=lambda entry: not entry.is_urgent)


def _priority(row: sqlite3.Row, priorities: dict[str, str]) -> str:
    accession = json.loads(row["summary"] or "{}").get("accession", "")
    keys = (row["centre_study_uid"], accession, row["case_number"])
    return next((priorities[key] for key in keys if key and key in priorities), "")


def urgent_held(spool: Spool) -> int:
    """Return how many files of urgent studies are held, so that every page can say so."""
    rows = spool.connection.execute(
        "SELECT s.centre_study_uid, s.case_number, s.summary, count(*) AS files FROM item AS i"
        " JOIN study AS s ON s.id = i.study_id WHERE i.state = 'held' GROUP BY s.id"
    ).fetchall()
    if not rows:
        return 0
    priorities = _priorities(spool.connection)
    return sum(row["files"] for row in rows if _priority(row, priorities) in URGENT)


def _held(spool: Spool, names: Names, rows: list[sqlite3.Row], priority: str) -> HeldItem:
    row = rows[0]
    identity = names.of_file(spool.received_path(row["sha256"]), row["sha256"])
    return HeldItem(
        item_id=row["id"],
        study_id=row["study_id"],
        sha256=row["sha256"],
        reason=row["reason"],
        sop_class_uid=row["sop_class_uid"],
        received_at=moment(row["first_received_at"]),
        person=shown(identity) if identity else None,
        examination=f"{identity.modality} {identity.study_description}".strip() if identity else "",
        priority=priority,
        is_urgent=priority in URGENT,
        alike=tuple(each["id"] for each in rows),
    )


def held_item(spool: Spool, names: Names, item_id: int) -> HeldItem:
    """Return the entry that a held file is in, or raise NotFound."""
    for entry in held_items(spool, names):
        if item_id in entry.alike:
            return entry
    raise NotFound("this item is not held")


def disk_full_in(spool: Spool, free_bytes: int, *, at: datetime) -> timedelta | None:
    """Return how long the disk lasts at the pace of the last day; None when nothing came."""
    since = milliseconds(at - timedelta(days=1))
    came = spool.connection.execute(
        "SELECT coalesce(sum(size), 0) FROM item WHERE first_received_at >= ?", (since,)
    ).fetchone()[0]
    return timedelta(seconds=86400 * free_bytes / came) if came else None
