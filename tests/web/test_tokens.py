"""The colours of both themes, read from the style sheet: contrast by WCAG 2, and one name for each role."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STYLES = ROOT / "teleread" / "web" / "static"
_SHEET = (STYLES / "teleread.css").read_text(encoding="utf-8")

#: Ink on each ground it may stand on (WCAG 2.2, 1.4.3: 4.5 : 1).
_TEXT = [
    *((ink, ground) for ink in ("ink-1", "ink-2", "ink-3", "teal", "vermilion", "amber", "green", "violet")
      for ground in ("page", "panel", "raised", "selected")),
    *((ink, "canvas") for ink in ("ink-1", "ink-2", "ink-3")),
    *((colour, f"{colour}-fill") for colour in ("teal", "vermilion", "amber", "green", "violet")),
    *(("ink-1", f"{colour}-fill") for colour in ("teal", "vermilion", "amber", "green")),
    ("ink-2", "teal-fill"), ("ink-2", "control"),
    ("on-teal", "teal-solid"), ("on-vermilion", "vermilion-solid"),
]  # fmt: skip
#: Edges, signs and the focus ring (WCAG 2.2, 1.4.11: 3 : 1).
_EDGES = [(edge, ground) for edge in ("border", "teal") for ground in ("page", "panel", "raised", "selected")]


def tokens(theme: str, sheet: str = _SHEET) -> dict[str, str]:
    block = re.search(rf'\[data-theme="{theme}"\]\s*\{{(.*?)\}}', sheet, re.DOTALL)
    assert block
    return dict(re.findall(r"--([\w-]+): (#[0-9A-Fa-f]{6});", block.group(1)))


def luminance(colour: str) -> float:
    def linear(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(int(colour[at : at + 2], 16) / 255) for at in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_measure_is_right() -> None:
    assert contrast("#FFFFFF", "#000000") == pytest.approx(21)
    assert contrast("#767676", "#FFFFFF") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_ink_can_be_read_on_every_ground_it_stands_on(theme: str) -> None:
    values = tokens(theme)
    found = {f"{ink} on {ground}": round(contrast(values[ink], values[ground]), 2) for ink, ground in _TEXT}
    assert {pair: ratio for pair, ratio in found.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_console_has_the_same_colours(theme: str) -> None:
    sheet = (ROOT / "gateway" / "console" / "static" / "console.css").read_text(encoding="utf-8")
    console, centre = tokens(theme, sheet), tokens(theme)
    assert len(console) > 20
    shared = console.keys() & centre.keys()
    assert {name: console[name] for name in shared} == {name: centre[name] for name in shared}
    assert {"ink-1", "page", "teal", "vermilion", "amber"} <= shared


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_edges_and_the_focus_ring_can_be_seen(theme: str) -> None:
    values = tokens(theme)
    found = {
        f"{edge} on {ground}": round(contrast(values[edge], values[ground]), 2) for edge, ground in _EDGES
    }
    assert {pair: ratio for pair, ratio in found.items() if ratio < 3} == {}


def test_both_themes_name_the_same_roles_and_every_role_that_is_used_exists() -> None:
    assert tokens("dark").keys() == tokens("light").keys()
    own = set(re.findall(r"var\(--([\w-]+)", _SHEET))
    assert own <= tokens("dark").keys()


def test_every_sign_that_a_page_names_is_drawn() -> None:
    drawn = set(re.findall(r'<symbol id="([\w-]+)"', (STYLES / "icons.svg").read_text(encoding="utf-8")))
    from teleread.web.views.marks import PRIORITIES, STATES

    named = {mark.shape for mark in (*STATES.values(), *PRIORITIES.values())}
    for path in (ROOT / "templates" / "web").glob("*.html"):
        for inside in re.findall(r"icon\(([^()]*)\)", path.read_text(encoding="utf-8")):
            named |= set(re.findall(r'"([\w-]+)"', inside))
        named |= set(re.findall(r'badge\("[\w-]+", "([\w-]+)"', path.read_text(encoding="utf-8")))
    for path in (ROOT / "teleread" / "web").rglob("*.py"):
        named |= set(re.findall(r'Badge\("[\w-]+", "([\w-]+)"', path.read_text(encoding="utf-8")))
    assert named - drawn == set()
