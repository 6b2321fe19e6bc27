"""How times are said: what is left of a promise, ages, dates in the zone of the reading room."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from teleread.web.i18n import text

if TYPE_CHECKING:
    from datetime import date as Date  # noqa: N812 - `date` is the DICOM text here

#: The centre's zone, shown beside every clock. Records are UTC.
ZONE = ZoneInfo("Asia/Tokyo")
ZONE_LABEL = "JST"


@dataclass(frozen=True)
class TimeLeft:
    """What is left of the promise.

    `tone` is "" (calm), "soon" (at least 80 % used), "late" or "none" (nothing promised, or done);
    `share` of the promise that is left, 0 to 1, or None when its length is not known.
    """

    words: str
    tone: str
    share: float | None
    minutes: int | None


NOTHING_PROMISED = TimeLeft("—", "none", None, None)


def time_left(
    due_at: datetime | None, started_at: datetime | None, *, at: datetime, language: str
) -> TimeLeft:
    """Say what is left until `due_at`: whole minutes below an hour, h:mm below a day, else the date."""
    if due_at is None:
        return NOTHING_PROMISED
    seconds = (due_at - at).total_seconds()
    minutes = int(seconds // 60)
    if seconds < 0:
        return TimeLeft(text(language, "time.late", minutes=-(int(seconds) // 60)), "late", 0.0, minutes)
    share = None
    if started_at is not None and due_at > started_at:
        share = min(1.0, seconds / (due_at - started_at).total_seconds())
    tone = "soon" if share is not None and share <= 0.2 else ""
    if minutes < 60:
        words = text(language, "time.minutes", minutes=minutes)
    elif minutes < 24 * 60:
        words = f"{minutes // 60}:{minutes % 60:02d}"
    else:
        words = due_at.astimezone(ZONE).strftime("%m-%d %H:%M")
    return TimeLeft(words, tone, share, minutes)


def moment(at: datetime | None) -> str:
    """Return a moment as tables show it."""
    return at.astimezone(ZONE).strftime("%Y-%m-%d %H:%M") if at else "—"


def clock_time(at: datetime | None) -> str:
    """Return the time of day with seconds."""
    return at.astimezone(ZONE).strftime("%H:%M:%S") if at else "—"


def study_moment(date: str, time: str) -> str:
    """Return Study Date (DA) and Study Time (TM) as tables show them; empty parts stay away."""
    day = f"{date[:4]}-{date[4:6]}-{date[6:8]}" if len(date) == 8 and date.isdigit() else date
    hour = f"{time[:2]}:{time[2:4]}" if len(time) >= 4 and time[:4].isdigit() else ""
    return f"{day} {hour}".strip()


#: Units of an Age String (VR AS, PS3.5 Section 6.2).
_AGE_UNITS = {"Y": "age.years", "M": "age.months", "W": "age.weeks", "D": "age.days"}


def age_words(age: str, language: str) -> str:
    """Return an Age String such as "067Y" in words; what is not an Age String is left away."""
    number, unit = age[:-1], age[-1:]
    if not number.isdigit() or unit not in _AGE_UNITS:
        return ""
    return text(language, _AGE_UNITS[unit], number=int(number))


def _day(date: str) -> Date | None:
    try:
        return datetime.strptime(date, "%Y%m%d").replace(tzinfo=ZONE).date() if len(date) == 8 else None
    except ValueError:
        return None


def date_gap(date: str, of: str, language: str) -> str:
    """Say how long before or after the day `of` (DA) the day `date` (DA) was; empty when either is no day."""
    there, here = _day(date), _day(of)
    if there is None or here is None:
        return ""
    days = (here - there).days
    if days == 0:
        return text(language, "gap.same")
    count = abs(days)
    months = int(count / 30.44)
    if count < 61:
        gap = text(language, "gap.days", count=count)
    elif months < 24:
        gap = text(language, "gap.months", count=months)
    else:
        gap = text(language, "gap.years", count=int(count / 365.25))
    return text(language, "gap.before" if days > 0 else "gap.after", gap=gap)


def sex_words(sex: str, language: str) -> str:
    """Return Patient's Sex (CS: M, F, O) in words; empty when it is not told."""
    return text(language, f"sex.{sex}") if sex in {"M", "F", "O"} else ""
