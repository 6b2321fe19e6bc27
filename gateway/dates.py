"""Dates as people at a Japanese front desk write them, and as they read them."""

import re
import unicodedata
from datetime import date

from teleread.errors import InvalidInput

# First day, name, letter, and the year before the first.
ERAS: tuple[tuple[date, str, str, int], ...] = (
    (date(2019, 5, 1), "令和", "R", 2018),
    (date(1989, 1, 8), "平成", "H", 1988),
    (date(1926, 12, 25), "昭和", "S", 1925),
    (date(1912, 7, 30), "大正", "T", 1911),
    (date(1868, 1, 25), "明治", "M", 1867),
)

_ISO = re.compile(r"(\d{4})[-/.年]\s*(\d{1,2})[-/.月]\s*(\d{1,2})日?")
_PLAIN = re.compile(r"(\d{4})(\d{2})(\d{2})")
_ERA = re.compile(
    r"(明治|大正|昭和|平成|令和|[MTSHR])\s*(元|\d{1,2})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?"
)


def parse_date(text: str, *, field: str) -> str:
    """Return a date as VR DA, ``YYYYMMDD``, from 1959-05-14, 19590514, S34.5.14 or 昭和34年5月14日.

    Raises
    ------
    InvalidInput
        It is none of these, there is no such day, or the era had ended or not begun.
    """
    plain = re.sub(r"\s+", "", unicodedata.normalize("NFKC", text)).upper()
    try:
        for form in (_ISO, _PLAIN):
            if match := form.fullmatch(plain):
                return date(*(int(part) for part in match.groups())).strftime("%Y%m%d")
        if match := _ERA.fullmatch(plain):
            return _of_era(*match.groups()).strftime("%Y%m%d")
    except ValueError:
        raise InvalidInput(field, "there is no such day", code="no_such_day") from None
    raise InvalidInput(field, "is not a date", code="no_date")


def _of_era(name: str, year: str, month: str, day: str) -> date:
    place = next(place for place, era in enumerate(ERAS) if name in era[1:3])
    first, _, _, before = ERAS[place]
    found = date(before + (1 if year == "元" else int(year)), int(month), int(day))
    # An era ends on the day before the next begins; 昭和64年 had seven days.
    if found < first or (place > 0 and found >= ERAS[place - 1][0]):
        raise ValueError(name)
    return found


def written_date(value: str, language: str) -> str:
    """Return a DA as people read it: 昭和34年5月14日 (1959-05-14), or 1959-05-14; as it is when it is none."""
    day = as_day(value)
    if day is None:
        return value
    if language == "ja":
        for first, name, _, before in ERAS:
            if day >= first:
                year = day.year - before
                return f"{name}{'元' if year == 1 else year}年{day.month}月{day.day}日（{day.isoformat()}）"
    return day.isoformat()


def as_day(value: str) -> date | None:
    """Return the day of a DA, None when it is empty or no date."""
    match = _PLAIN.fullmatch(value)
    try:
        return date(*(int(part) for part in match.groups())) if match else None
    except ValueError:
        return None


def age_on(birth_date: str, day: date) -> int | None:
    """Return full years of age, from a birth date as DA; None when it is not known or not yet born."""
    born = as_day(birth_date)
    if born is None or born > day:
        return None
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))
