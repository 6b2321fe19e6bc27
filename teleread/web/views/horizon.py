"""The horizon as the board draws it: places in pixels of its own picture, words for those who cannot see it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from teleread.domain import horizon as rules
from teleread.domain.turnaround import Priority
from teleread.web.i18n import text
from teleread.web.views.times import ZONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from teleread.web.views.cases import CaseRow

#: The picture, in its own pixels; `LEFT` to `RIGHT` and `TOP` to `BOTTOM` is where cases stand.
WIDTH, HEIGHT = 1216, 160
LEFT, RIGHT, TOP, BOTTOM = 48, 1196, 26, 124
#: Size of a case number beside its sign, where it may stand from there, and how many of them a calm picture bears.
_LABEL_WIDTH, _LABEL_HEIGHT, _LABELS = 74, 15, 8
_PLACES = ((11, -8), (-11 - _LABEL_WIDTH, -8), (4, 9), (-4 - _LABEL_WIDTH, 9))
#: A sign with the count of its cases above it.
_SIGN_WIDTH, _SIGN_HEIGHT = 20, 26
_SOON_MINUTES = 60
_RANKS = {str(priority): rank for rank, priority in enumerate(Priority)}
_DAY = 1440


@dataclass(frozen=True)
class Label:
    """A case number and where it begins."""

    words: str
    x: int
    y: int


@dataclass(frozen=True)
class Sign:
    """One or more cases at a place: the most urgent one's drawing, how many, and the words that a pointer sees."""

    x: int
    y: int
    shape: str
    tone: str
    count: int
    label: Label | None
    words: str


@dataclass(frozen=True)
class Tick:
    """A step of the axis: what is left, and the time of day."""

    x: int
    words: str
    clock: str
    is_now: bool


@dataclass(frozen=True)
class Line:
    """A case in the table view."""

    case: CaseRow
    used: str


@dataclass(frozen=True)
class Horizon:
    """The picture, its sentence and its table."""

    summary: str
    signs: list[Sign]
    ticks: list[Tick]
    lines: list[Line]
    now_x: int


def _x(share: float) -> int:
    return round(LEFT + share * (RIGHT - LEFT))


def _y(share: float) -> int:
    return round(BOTTOM - share * (BOTTOM - TOP))


def _used(case: CaseRow) -> float:
    return (
        1.0 if case.left.tone == "late" else 1.0 - (case.left.share if case.left.share is not None else 1.0)
    )


def horizon(cases: Iterable[CaseRow], *, language: str, at: datetime) -> Horizon:
    """Return the picture of the cases of which something is promised."""
    promised = [(case, case.left.minutes) for case in cases if case.left.minutes is not None]
    by_number = {case.case_number: case for case, _ in promised}
    points = [
        rules.Point(case.case_number, minutes, _used(case), _RANKS.get(case.priority.shape, len(_RANKS)))
        for case, minutes in promised
    ]
    found = rules.spots(
        points, near_across=_SIGN_WIDTH / (RIGHT - LEFT), near_up=_SIGN_HEIGHT / (BOTTOM - TOP)
    )
    signs = [_sign(spot, [by_number[str(number)] for number in spot.cases], language) for spot in found]
    ordered = sorted(promised, key=lambda one: one[1])
    return Horizon(
        summary=_summary(ordered, language),
        signs=_labelled(signs, found, by_number),
        ticks=[_tick(minutes, language, at) for minutes in rules.STEPS],
        lines=[
            Line(case, text(language, "horizon.percent", number=round(100 * _used(case))))
            for case, _ in ordered
        ],
        now_x=_x(rules.NOW),
    )


def _sign(spot: rules.Spot, cases: Sequence[CaseRow], language: str) -> Sign:
    first = cases[0]
    tones = {case.left.tone for case in cases}
    return Sign(
        x=_x(spot.across),
        y=_y(spot.up),
        shape=first.priority.shape,
        tone=next((tone for tone in ("late", "soon") if tone in tones), "calm"),
        count=len(cases),
        label=None,
        words="\n".join(
            f"{case.spoken} {text(language, case.priority.text_key)} {case.left.words}"
            f" {text(language, 'horizon.percent', number=round(100 * _used(case)))}"
            for case in cases
        ),
    )


def _labelled(signs: list[Sign], found: Sequence[rules.Spot], by_number: dict[str, CaseRow]) -> list[Sign]:
    """Name the cases that need a person first, where their numbers cover neither a sign, a stem, the line nor each other."""
    taken = [(one.x - 9, one.y - (20 if one.count > 1 else 9), one.x + 9, one.y + 9) for one in signs]
    taken += [(one.x - 2, one.y, one.x + 2, BOTTOM) for one in signs]
    taken.append((_x(rules.NOW) - 2, 0, _x(rules.NOW) + 2, HEIGHT))
    named: dict[int, Label] = {}
    order = sorted(
        (number for number, one in enumerate(signs) if one.tone != "calm" and one.count == 1),
        key=lambda number: (signs[number].tone != "late", signs[number].x),
    )
    for number in order:
        if len(named) == _LABELS:
            break
        sign = signs[number]
        for dx, dy in _PLACES:
            left, top = sign.x + dx, sign.y + dy
            box = (left, top, left + _LABEL_WIDTH, top + _LABEL_HEIGHT)
            if left >= LEFT and box[2] < WIDTH and not any(_cover(box, one) for one in taken):
                words = by_number[str(found[number].cases[0])].spoken
                named[number] = Label(words, left, top + _LABEL_HEIGHT - 4)
                taken.append(box)
                break
    return [replace(one, label=named.get(number)) for number, one in enumerate(signs)]


def _cover(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _tick(minutes: int, language: str, at: datetime) -> Tick:
    there = (at + timedelta(minutes=minutes)).astimezone(ZONE)
    span = abs(minutes)
    for unit, size in (("days", _DAY), ("hours", 60), ("minutes", 1)):
        if span >= size and span % size == 0:
            key, number = f"horizon.{unit}", span // size
            break
    else:
        key, number = "horizon.now", 0
    words = text(language, key, number=number)
    return Tick(
        x=_x(rules.across(minutes)),
        words=words if minutes == 0 else f"{'−' if minutes < 0 else '+'}{words}",
        clock=there.strftime("%H:%M" if span < _DAY else "%m-%d"),
        is_now=minutes == 0,
    )


def _summary(ordered: Sequence[tuple[CaseRow, int]], language: str) -> str:
    if not ordered:
        return text(language, "horizon.none")
    late = sum(minutes < 0 for _, minutes in ordered)
    soon = sum(0 <= minutes <= _SOON_MINUTES for _, minutes in ordered)
    first = ordered[0][0]
    return text(
        language,
        "horizon.summary",
        count=len(ordered),
        late=late,
        soon=soon,
        case=first.spoken,
        left=first.left.words,
    )
