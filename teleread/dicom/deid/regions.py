"""Rectangles in the pixels of an image."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from teleread.errors import InvalidInput

#: More boxes than this on one image are a mistake, and Derivation Description (ST) has 1024 characters.
MOST_REGIONS = 32

_STATEMENT = re.compile(r"Pixels masked at the facility, x,y,width,height: ((?:\d+,\d+,\d+,\d+(?:; )?)+)")


@dataclass(frozen=True, slots=True, order=True)
class Region:
    """A rectangle: column and row of its upper left pixel from 0, width and height in pixels."""

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if min(self.x, self.y) < 0 or min(self.width, self.height) < 1:
            raise InvalidInput("region", "x and y are 0 or more, width and height 1 or more")

    def __str__(self) -> str:
        return f"{self.x},{self.y},{self.width},{self.height}"

    @classmethod
    def parse(cls, text: str) -> "Region":
        """Return the region written as ``x,y,width,height``, or raise InvalidInput."""
        numbers = re.fullmatch(r"\s*(\d{1,6})\s*,\s*(\d{1,6})\s*,\s*(\d{1,6})\s*,\s*(\d{1,6})\s*", text)
        if numbers is None:
            raise InvalidInput("region", "write x,y,width,height in whole pixels")
        return cls(*map(int, numbers.groups()))

    def within(self, columns: int, rows: int) -> "Region | None":
        """Return the part that lies in an image, None when none does."""
        if self.x >= columns or self.y >= rows:
            return None
        return Region(self.x, self.y, min(self.width, columns - self.x), min(self.height, rows - self.y))


def parse_regions(text: str) -> tuple[Region, ...]:
    """Return the regions of a text with one ``x,y,width,height`` a line (or parted by ``;``)."""
    regions = tuple(Region.parse(part) for part in re.split(r"[;\r\n]+", text) if part.strip())
    if len(regions) > MOST_REGIONS:
        raise InvalidInput("region", f"at most {MOST_REGIONS} boxes")
    return regions


def clipped(regions: Iterable[Region], columns: int, rows: int) -> tuple[Region, ...]:
    """Return the parts of regions that lie in an image."""
    found = (region.within(columns, rows) for region in regions)
    return tuple(region for region in found if region is not None)


def _gaps(intervals: list[tuple[int, int]], end: int) -> tuple[tuple[int, int], ...]:
    gaps, at = [], 0
    for start, stop in sorted(intervals):
        if start > at:
            gaps.append((at, start))
        at = max(at, stop)
    if at < end:
        gaps.append((at, end))
    return tuple(gaps)


def outside(kept: Iterable[Region], columns: int, rows: int) -> tuple[Region, ...]:
    """Return disjoint rectangles that cover all of an image but the kept ones."""
    inside = clipped(kept, columns, rows)
    cuts = sorted({0, rows, *(r.y for r in inside), *(r.y + r.height for r in inside)})
    bands: list[tuple[int, int, tuple[tuple[int, int], ...]]] = []
    for top, bottom in pairwise(cuts):
        across = [(r.x, r.x + r.width) for r in inside if r.y <= top and r.y + r.height >= bottom]
        gaps = _gaps(across, columns)
        if bands and bands[-1][2] == gaps:
            bands[-1] = (bands[-1][0], bottom, gaps)
        else:
            bands.append((top, bottom, gaps))
    return tuple(
        Region(left, top, right - left, bottom - top) for top, bottom, gaps in bands for left, right in gaps
    )


def statement(regions: Iterable[Region]) -> str:
    """Return the sentence of Derivation Description (0008,2111) that tells which regions were masked.

    It travels in the object, so every later viewer of it can outline them; the reader's does.
    """
    return "Pixels masked at the facility, x,y,width,height: " + "; ".join(map(str, regions))


def stated(text: str) -> tuple[Region, ...]:
    """Return the regions that a Derivation Description tells, none when it tells none."""
    found = _STATEMENT.search(text)
    return parse_regions(found.group(1)) if found else ()
