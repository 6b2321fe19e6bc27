"""Every part of the pages in every state: to look at, and for the tests of contrast and wording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Blueprint, render_template

from teleread.web.i18n import text
from teleread.web.views.cases import Badge
from teleread.web.views.layout import language
from teleread.web.views.marks import PRIORITIES, STATES
from teleread.web.views.times import NOTHING_PROMISED, TimeLeft

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("styleguide", __name__)

#: A case number with a true check character, of nobody.
EXAMPLE_CASE = "4MZ09D89"

_SWATCHES = (
    "canvas", "page-ground", "panel", "raised", "control", "selected",
    "teal", "teal-solid", "vermilion", "amber", "green", "violet",
)  # fmt: skip

_SIZES = ("hero", "title", "reading", "body", "small", "caption")


@dataclass(frozen=True)
class Row:
    """A line of the example table."""

    left: TimeLeft
    priority: str
    state: str


def _times(spoken: str) -> list[TimeLeft]:
    minutes = text(spoken, "time.minutes", minutes=42)
    return [
        TimeLeft("1:36", "", 0.8, 96),
        TimeLeft(minutes, "", 0.4, 42),
        TimeLeft(text(spoken, "time.minutes", minutes=9), "soon", 0.15, 9),
        TimeLeft(text(spoken, "time.late", minutes=12), "late", 0.0, -12),
        TimeLeft(minutes, "paused", 0.4, 42),
        NOTHING_PROMISED,
    ]


@blueprint.get("/styleguide")
def styleguide() -> ResponseReturnValue:
    """Show the parts; language and theme are the switches of every page."""
    spoken = language()
    times = _times(spoken)
    return render_template(
        "styleguide.html",
        swatches=_SWATCHES,
        sizes=_SIZES,
        states=STATES,
        priorities=PRIORITIES,
        times=times,
        case_number=EXAMPLE_CASE,
        badges=[
            Badge("amber", "images", text(spoken, "badge.incomplete")),
            Badge("amber", "images", text(spoken, "badge.late_images")),
            Badge("violet", "withheld", text(spoken, "badge.withheld", count=2)),
            Badge("vermilion", "warning", text(spoken, "badge.conflicts", count=1)),
            Badge("teal", "history", text(spoken, "badge.priors", count=3)),
        ],
        icons=(
            "brand",
            "images",
            "document",
            "history",
            "clock",
            "phone",
            "search",
            "key",
            "lock",
            "shield",
            "person",
            "keyboard",
            "window",
            "question",
            "send",
            "retry",
            "live",
            "silent",
            "tick",
            "warning",
            "blocker",
            "withheld",
            "paused",
            "back",
            "chevron",
            "close",
        ),
        rows=[
            Row(times[3], "stroke", "reading"),
            Row(times[2], "urgent", "assigned"),
            Row(times[0], "routine", "ready"),
        ],
        long_text=text(spoken, "guide.history") * 40,
    )
