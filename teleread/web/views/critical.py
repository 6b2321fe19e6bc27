"""A critical finding as pages show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from teleread.web.views.times import TimeLeft, moment, time_left

if TYPE_CHECKING:
    from datetime import datetime

    from teleread.domain.critical import Contact
    from teleread.services.critical import FindingView

#: Token of each category (ui.md, section 6); the number stands beside it.
COLOURS = {"1": "vermilion", "2": "amber", "3": "violet"}


@dataclass(frozen=True)
class CallRow:
    """A call, in words."""

    person: str
    method_key: str
    outcome_key: str
    at: str
    by: str


@dataclass(frozen=True)
class FindingRow:
    """A critical finding, ready to be shown."""

    critical_id: str
    case_number: str
    facility: str
    category: str
    colour: str
    state_key: str
    is_open: bool
    text: str
    raised: str
    raised_by: str
    left: TimeLeft
    told: str
    notified: str
    acknowledged: str
    acknowledged_by: str
    contacts: tuple[Contact, ...]
    next_contact: Contact | None
    calls: list[CallRow]
    escalations: int
    message_key: str
    message_at: str
    message_failed: bool
    may_notify: bool
    may_withdraw: bool
    may_acknowledge: bool
    may_close: bool


def finding_row(found: FindingView, *, language: str, at: datetime) -> FindingRow:
    """Return the finding in words and signs."""
    alert = found.alert
    message = f"{alert.channel}.{alert.outcome or 'waiting'}" if alert else "none"
    return FindingRow(
        critical_id=found.critical_id,
        case_number=found.case_number,
        facility=found.facility_name,
        category=found.category,
        colour=COLOURS[found.category],
        state_key=f"critical.state.{found.state}",
        is_open=found.due_at is not None,
        text=found.text,
        raised=moment(found.raised_at),
        raised_by=found.raised_by,
        left=time_left(found.due_at, found.notified_at or found.raised_at, at=at, language=language),
        told=found.told,
        notified=moment(found.notified_at),
        acknowledged=moment(found.acknowledged_at),
        acknowledged_by=found.acknowledged_by,
        contacts=found.contacts,
        next_contact=found.next_contact,
        calls=[
            CallRow(
                one.person,
                f"critical.method.{one.method}",
                f"critical.outcome.{one.outcome}",
                moment(one.at),
                one.by,
            )
            for one in found.attempts
        ],
        escalations=found.escalations,
        message_key=f"critical.message.{message}",
        message_at=moment(alert.at)[-5:] if alert else "",
        message_failed=alert is not None and alert.outcome == "failed",
        may_notify=found.may_notify,
        may_withdraw=found.may_withdraw,
        may_acknowledge=found.may_acknowledge,
        may_close=found.may_close,
    )
