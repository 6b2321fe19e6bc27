"""The chain of audit records: each carries the digest of the one before, the head is under a key.

A changed record no longer has the digest that the next one carries; a removed one leaves a gap; the newest is held by
the head, whose HMAC key is a file outside the database. Triggers refuse UPDATE and DELETE besides.
"""

import hashlib
import hmac
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from teleread.errors import Unavailable
from teleread.storage.models.records import AuditHead, AuditRecord

_PENDING = "audit_pending"
_BEGINNING = "0" * 64


@dataclass(frozen=True)
class AuditEntry:
    """What is to be recorded. `detail` holds ids, codes and digests only."""

    at: datetime
    actor_kind: str
    actor_name: str
    actor_role: str
    from_where: str
    act: str
    case_number: str | None
    facility_id: int | None
    detail: dict[str, Any]


@dataclass(frozen=True)
class AuditFault:
    """Something that should not be: where, and what (``changed``, ``gap``, ``cut``, ``head_forged``, ``head_missing``)."""

    sequence: int
    kind: str


def add_pending(session: Session, entry: AuditEntry) -> None:
    """Have `entry` recorded when the transaction commits, or not at all."""
    session.info.setdefault(_PENDING, []).append(entry)


def write_pending(session: Session, key: bytes | None) -> None:
    """Append the entries of this transaction to the chain; called once, at its end.

    Raises
    ------
    Unavailable
        There is no key, or the head is gone: what cannot be recorded does not happen.
    """
    entries: list[AuditEntry] = session.info.pop(_PENDING, [])
    if not entries:
        return
    if key is None:
        raise Unavailable("the audit log has no key; nothing can be recorded", code="audit_unavailable")
    session.flush()
    head = session.execute(select(AuditHead).where(AuditHead.id == 1).with_for_update()).scalar_one_or_none()
    if head is None and session.scalar(select(func.count()).select_from(AuditRecord)):
        raise Unavailable("the head of the audit log is missing", code="audit_unavailable")
    sequence, digest = (head.sequence, head.sha256) if head else (0, _BEGINNING)
    rows = []
    for entry in entries:
        sequence += 1
        row = {"sequence": sequence, **vars(entry), "previous_sha256": digest}
        digest = row["sha256"] = _digest(row)
        rows.append(row)
    session.execute(insert(AuditRecord), rows)
    values = {"sequence": sequence, "sha256": digest, "mac": _mac(key, sequence, digest)}
    if head is None:
        session.execute(insert(AuditHead).values(id=1, **values))
    else:
        session.execute(update(AuditHead).where(AuditHead.id == 1).values(**values))


def _digest(row: dict[str, Any]) -> str:
    content = {name: value for name, value in row.items() if name != "sha256"}
    content["at"] = row["at"].astimezone(UTC).isoformat(timespec="microseconds")
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _mac(key: bytes, sequence: int, digest: str) -> str:
    return hmac.new(key, f"audit-head {sequence} {digest}".encode(), hashlib.sha256).hexdigest()


_COLUMNS = tuple(column.name for column in AuditRecord.__table__.columns)


def verify(session: Session, key: bytes) -> Iterator[AuditFault]:
    """Yield every fault of the chain, from its beginning to its head."""
    sequence, digest = 0, _BEGINNING
    for record in session.execute(select(AuditRecord.__table__).order_by("sequence")).yield_per(1000):
        row = {name: record._mapping[name] for name in _COLUMNS}
        if row["sequence"] != sequence + 1 or row["previous_sha256"] != digest:
            yield AuditFault(row["sequence"], "gap")
        if _digest(row) != row["sha256"]:
            yield AuditFault(row["sequence"], "changed")
        sequence, digest = row["sequence"], row["sha256"]
    head = session.execute(select(AuditHead)).scalar_one_or_none()
    if head is None:
        yield AuditFault(sequence, "head_missing")
        return
    if not hmac.compare_digest(head.mac, _mac(key, head.sequence, head.sha256)):
        yield AuditFault(head.sequence, "head_forged")
    if (head.sequence, head.sha256) != (sequence, digest):
        yield AuditFault(head.sequence, "cut")
