"""Critical findings: how soon somebody must know, what counts as told, and whom to try next.

The categories are those of the ACR's Actionable Reporting Work Group: 1 within minutes, 2 within hours, 3 within days. A
finding has two clocks, one after the other: until a person was told and read it back, and from then until the facility's
doctor took note of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from teleread.errors import InvalidInput


class Category(StrEnum):
    """How soon the finding must be known."""

    MINUTES = "1"
    HOURS = "2"
    DAYS = "3"


@dataclass(frozen=True)
class Limits:
    """The clocks of a category.

    Parameters
    ----------
    notify : timedelta
        From the raising until somebody was told.
    acknowledge : timedelta
        From the telling until the doctor took note.
    repeat : timedelta
        Between two escalations once a clock has run out.
    """

    notify: timedelta
    acknowledge: timedelta
    repeat: timedelta


LIMITS: dict[Category, Limits] = {
    Category.MINUTES: Limits(timedelta(minutes=30), timedelta(minutes=30), timedelta(minutes=5)),
    Category.HOURS: Limits(timedelta(hours=6), timedelta(hours=6), timedelta(hours=1)),
    Category.DAYS: Limits(timedelta(days=3), timedelta(days=3), timedelta(days=1)),
}

#: A round of messages that reached nobody begins anew after this pause.
RETRY_ROUND = timedelta(minutes=1)

#: States in which nobody can be sure yet that the doctor knows.
OPEN = frozenset({"raised", "notified"})

TEXT_LIMIT = 1000
NAME_LIMIT = 80
NOTE_LIMIT = 500


class Method(StrEnum):
    """How a person was told; each of them lets the person answer."""

    PHONE = "phone"
    IN_PERSON = "in_person"
    VIDEO = "video"


#: What has to come back over the phone, in the order of the form.
READ_BACK = ("case_number", "sex", "examination_time")

#: A clock on a wall and ours may differ by this much.
CLOCK_MARGIN = timedelta(minutes=2)


@dataclass(frozen=True)
class Told:
    """That somebody was told: who, how, when, and what was heard back."""

    person: str
    method: Method
    at: datetime
    heard: frozenset[str]


@dataclass(frozen=True)
class Contact:
    """Somebody who can be told; `is_second` is the one at a facility who is told of everything that is late."""

    name: str
    phone: str
    department: str = ""
    mail: str = ""
    is_second: bool = False


def category_of(text: str) -> Category:
    """Return the category that a form names."""
    try:
        return Category(text)
    except ValueError:
        raise InvalidInput("category", "has to be 1, 2 or 3") from None


def method_of(text: str) -> Method:
    """Return the way of telling that a form names."""
    try:
        return Method(text)
    except ValueError:
        raise InvalidInput("method", f"has to be of {', '.join(Method)}") from None


def required(field: str, text: str, limit: int) -> str:
    """Return a text without its outer spaces; an empty or too long one is refused."""
    text = text.strip()
    if not text:
        raise InvalidInput(field, "is needed")
    if len(text) > limit:
        raise InvalidInput(field, f"has at most {limit} characters", code="too_long")
    return text


def check_told(told: Told, *, raised_at: datetime, now: datetime) -> None:
    """Refuse what does not count as told.

    Raises
    ------
    InvalidInput
        Something was not read back (code ``not_read_back``, the field is what is missing first), nobody is named, or
        the time is before the finding or still to come.
    """
    for one in READ_BACK:
        if one not in told.heard:
            raise InvalidInput(one, "was not read back", code="not_read_back")
    required("person", told.person, NAME_LIMIT)
    check_moment(told.at, raised_at=raised_at, now=now)


def check_moment(at: datetime, *, raised_at: datetime, now: datetime) -> None:
    """Refuse a time at which nobody can have been called about this finding."""
    if not raised_at - CLOCK_MARGIN <= at <= now + CLOCK_MARGIN:
        raise InvalidInput("at", "lies before the finding or in the future", code="impossible_time")


def deadline(category: str, state: str, raised_at: datetime, notified_at: datetime | None) -> datetime | None:
    """Return the moment at which the running clock ends; None when none is running."""
    limits = LIMITS[Category(category)]
    if state == "raised":
        return raised_at + limits.notify
    if state == "notified" and notified_at is not None:
        return notified_at + limits.acknowledge
    return None


def is_late(due: datetime | None, now: datetime) -> bool:
    """Say whether the running clock has run out."""
    return due is not None and now > due


def escalates_at(category: str, due: datetime, escalated_at: datetime | None) -> datetime:
    """Return when the next escalation is due: at the end of the clock, then again and again."""
    if escalated_at is None or escalated_at < due:
        return due
    return escalated_at + LIMITS[Category(category)].repeat


def minutes_left(due: datetime | None, now: datetime) -> int | None:
    """Return whole minutes until the clock ends, below zero when it has."""
    return None if due is None else int((due - now).total_seconds() // 60)


def contacts_of(
    doctor: str, phone: str, department: str, of_facility: Sequence[Contact]
) -> tuple[Contact, ...]:
    """Return whom to call, in order: the doctor of the order, the department, then the facility's own list."""
    named = [Contact(doctor or department, phone, department if doctor else "")] if doctor or phone else []
    known = {(one.name, one.phone) for one in named}
    return (*named, *(one for one in of_facility if (one.name, one.phone) not in known))


def next_contact(contacts: Sequence[Contact], no_answers: int) -> Contact | None:
    """Return who is to be called after so many calls without an answer; the list begins anew at its end."""
    return contacts[no_answers % len(contacts)] if contacts else None


#: Ways in which the centre's own people are told, without any identity; each is a step.
CHANNELS = ("mail", "pager")


def channel(round_number: int, step: int) -> str | None:
    """Return the channel of a step of a round; None when the round is at its end.

    Each round begins one channel later than the one before: what was not acted upon comes another way the next time.

    Parameters
    ----------
    round_number : int
        1 for the message at the raising; each escalation is the next.
    step : int
        0 for the first one of the round, one more after each failure.
    """
    if step >= len(CHANNELS):
        return None
    return CHANNELS[(round_number - 1 + step) % len(CHANNELS)]
