"""The horizon of the board: where an open case stands between its due time and what is used of its promise."""

from bisect import bisect_right
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

#: Minutes until due at equal steps across. Near now a minute is wide, a week away it is narrow: a shift looks minutes ahead.
STEPS = (-1440, -60, 0, 30, 60, 120, 240, 480, 1440, 10080)


def across(minutes: float) -> float:
    """Return the place of a due time from 0 (a day late and more) to 1 (a week away and more)."""
    if minutes <= STEPS[0]:
        return 0.0
    if minutes >= STEPS[-1]:
        return 1.0
    left = bisect_right(STEPS, minutes) - 1
    within = (minutes - STEPS[left]) / (STEPS[left + 1] - STEPS[left])
    return (left + within) / (len(STEPS) - 1)


#: Where the line of now stands.
NOW = across(0)


@dataclass(frozen=True)
class Point:
    """An open case: `minutes` until due, `used` share of the promise from 0 to 1, `rank` 0 for what is most urgent."""

    case: Hashable
    minutes: int
    used: float
    rank: int


@dataclass(frozen=True)
class Spot:
    """One or more cases that would cover each other; `across` and `up` from 0 to 1, the most urgent case first."""

    across: float
    up: float
    cases: tuple[Hashable, ...]


def spots(points: Sequence[Point], *, near_across: float, near_up: float) -> list[Spot]:
    """Return the cases as signs that do not cover each other, by due time; a late one never joins one that is not.

    Parameters
    ----------
    near_across, near_up : float
        Size of a sign, as a share of the width and of the height.
    """
    found: list[tuple[float, float, list[Point]]] = []
    for point in sorted(points, key=lambda one: (one.minutes, one.rank, str(one.case))):
        x, y = across(point.minutes), min(max(point.used, 0.0), 1.0)
        for there, up, group in found:
            is_alike = (group[0].minutes < 0) == (point.minutes < 0)
            if is_alike and abs(there - x) < near_across and abs(up - y) < near_up:
                group.append(point)
                break
        else:
            found.append((x, y, [point]))
    return [
        Spot(x, y, tuple(one.case for one in sorted(group, key=lambda one: (one.rank, one.minutes))))
        for x, y, group in found
    ]
