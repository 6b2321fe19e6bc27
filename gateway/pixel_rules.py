"""What the facility has decided about identity in pixels, and what was found and hidden in which item.

Rules are never changed, only ended, so that it can be told later what was in force when an image left.
"""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from gateway.spool import Spool, milliseconds, moment
from teleread.dicom.deid.deidentify import DeidResult
from teleread.dicom.deid.device_rules import (
    Device,
    DeviceRule,
    PixelPolicy,
    Reading,
    Unconfirmed,
    checked_rule,
    device_of,
)
from teleread.dicom.deid.regions import Region, parse_regions
from teleread.dicom.raw import BrokenDataset, RawFile, read_raw
from teleread.errors import InvalidInput, NotFound

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pixel_rule (
    id INTEGER PRIMARY KEY,
    document TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    ended_by TEXT,
    ended_at INTEGER
);
CREATE TABLE IF NOT EXISTS pixel_option (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS pixel_finding (
    item_id INTEGER PRIMARY KEY,
    suspects TEXT NOT NULL,
    masked TEXT NOT NULL,
    rules TEXT NOT NULL,
    device TEXT NOT NULL
);
"""

#: Received files that a new rule is tried on, the latest first.
TRIED_ON = 200


def prepare(spool: Spool) -> None:
    """Make the tables where they are missing."""
    spool.connection.executescript(_SCHEMA)


@dataclass(frozen=True)
class StandingRule:
    """A rule in force, and who made it."""

    number: int
    rule: DeviceRule
    made_by: str
    made_at: datetime


def standing_rules(spool: Spool) -> list[StandingRule]:
    """Return the rules in force; the newest first, as they are asked."""
    return [
        StandingRule(
            row["id"],
            DeviceRule.from_json(json.loads(row["document"])),
            row["made_by"],
            moment(row["made_at"]),
        )
        for row in spool.connection.execute(
            "SELECT * FROM pixel_rule WHERE ended_at IS NULL ORDER BY id DESC"
        )
    ]


def policy_of(spool: Spool) -> PixelPolicy:
    """Return the policy in force."""
    options = {
        row["name"]: row["value"] for row in spool.connection.execute("SELECT name, value FROM pixel_option")
    }
    return PixelPolicy(
        rules=tuple(standing.rule for standing in standing_rules(spool)),
        reading=Reading(options.get("reading", Reading.RISKY)),
        unconfirmed=Unconfirmed(options.get("unconfirmed", Unconfirmed.HOLD)),
    )


def set_options(connection: sqlite3.Connection, *, reading: Reading, unconfirmed: Unconfirmed) -> None:
    """Decide which images are read, and what is done with unconfirmed boxes."""
    connection.executemany(
        "INSERT INTO pixel_option VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [("reading", reading.value), ("unconfirmed", unconfirmed.value)],
    )


def add_rule(connection: sqlite3.Connection, rule: DeviceRule, *, username: str, at: datetime) -> int:
    """Put a rule in force; the same rule twice is one."""
    document = json.dumps(checked_rule(rule).to_json(), ensure_ascii=False)
    known = connection.execute(
        "SELECT id FROM pixel_rule WHERE document = ? AND ended_at IS NULL", (document,)
    ).fetchone()
    if known is not None:
        return int(known["id"])
    cursor = connection.execute(
        "INSERT INTO pixel_rule (document, made_by, made_at) VALUES (?, ?, ?)",
        (document, username, milliseconds(at)),
    )
    return int(cursor.lastrowid or 0)


def end_rule(connection: sqlite3.Connection, number: int, *, username: str, at: datetime) -> None:
    """Take a rule out of force, or raise NotFound."""
    cursor = connection.execute(
        "UPDATE pixel_rule SET ended_by = ?, ended_at = ? WHERE id = ? AND ended_at IS NULL",
        (username, milliseconds(at), number),
    )
    if cursor.rowcount != 1:
        raise NotFound("there is no such rule in force")


@dataclass(frozen=True)
class Trial:
    """What a rule would do to files that are here: how many it is for, and the first of them with its boxes."""

    looked_at: int
    matching: int
    item_id: int | None
    device: Device
    regions: tuple[Region, ...]


def try_rule(spool: Spool, rule: DeviceRule) -> Trial:
    """Return what a rule would do to the files received last."""
    looked_at = matching = 0
    first: tuple[int, Device, tuple[Region, ...]] | None = None
    for item_id, raw in _received(spool):
        looked_at += 1
        policy = PixelPolicy((rule,))
        if next(policy.rules_for(raw), None) is None:
            continue
        matching += 1
        if first is None:
            first = item_id, device_of(raw), rule.masks(raw)
    if first is None:
        return Trial(looked_at, 0, None, NO_DEVICE, ())
    return Trial(looked_at, matching, *first)


def _received(spool: Spool) -> Iterator[tuple[int, RawFile]]:
    rows = spool.connection.execute(
        "SELECT id, sha256 FROM item ORDER BY last_received_at DESC, id DESC LIMIT ?", (TRIED_ON,)
    ).fetchall()
    for row in rows:
        raw = raw_or_none(spool.received_path(row["sha256"]))
        if raw is not None:
            yield row["id"], raw


def raw_or_none(path: Path) -> RawFile | None:
    """Return a file taken apart, None when it is gone or broken."""
    try:
        return read_raw(path)
    except (OSError, BrokenDataset):
        return None


def note_finding(connection: sqlite3.Connection, item_id: int, result: DeidResult) -> None:
    """Write down where identity was found or hidden in an item, in the transaction that moves it."""
    connection.execute(
        "INSERT OR REPLACE INTO pixel_finding (item_id, suspects, masked, rules, device) VALUES (?, ?, ?, ?, ?)",
        (
            item_id,
            _text(result.suspects),
            _text(result.masked),
            json.dumps(result.rules, ensure_ascii=False),
            json.dumps(asdict(result.device), ensure_ascii=False) if result.device else "",
        ),
    )


NO_DEVICE = Device()


@dataclass(frozen=True)
class Finding:
    """Where identity was found or hidden in an item."""

    suspects: tuple[Region, ...] = ()
    masked: tuple[Region, ...] = ()
    rules: tuple[str, ...] = ()
    device: Device = NO_DEVICE


def finding_of(spool: Spool, item_id: int) -> Finding:
    """Return what was found in an item; nothing for one that nothing is known of."""
    row = spool.connection.execute("SELECT * FROM pixel_finding WHERE item_id = ?", (item_id,)).fetchone()
    if row is None:
        return Finding()
    return Finding(
        parse_regions(row["suspects"]),
        parse_regions(row["masked"]),
        tuple(json.loads(row["rules"])),
        Device(**json.loads(row["device"])) if row["device"] else NO_DEVICE,
    )


def _text(regions: tuple[Region, ...]) -> str:
    return ";".join(map(str, regions))


def words(text: str) -> tuple[str, ...]:
    """Return the words that a form's field holds, parted by commas."""
    return tuple(part.strip() for part in text.replace("、", ",").split(",") if part.strip())


def numbers(text: str, field: str) -> tuple[int, ...]:
    """Return the numbers that a form's field holds, or raise InvalidInput."""
    parts = words(text)
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise InvalidInput(field, "write whole numbers")
    return tuple(int(part) for part in parts)
