"""Pictures of every page in both languages and both themes: ``python -m tests.screens [FOLDER] [NAME ...]``.

Without names the console's pages are taken too, and `docs/screens.md` is written anew.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from teleread import clock
from tests.builders.night import furnish_night, name_house
from tests.gateway import console_screens
from tests.pictures import small
from tests.web.conftest import House, close_house, make_house
from tests.web.walk import ARGUMENTS, SHOWN, Page, dress, furnish, seal, served, sign_in

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "screens"
SIZE = (1440, 900)
THEMES = ("dark", "light")
LANGUAGES = ("ja", "en")


def shot(page: Any) -> bytes:
    """Return a small PNG of what is on the screen when fonts and images are there."""
    page.evaluate("document.fonts.ready.then(() => true)")
    if page.locator("[data-case-viewer]").count():
        page.wait_for_selector('[data-case-viewer][data-state="shown"]', timeout=180_000)
    if page.locator(".paper iframe").count():
        # The browser's own PDF page tells nobody when it has drawn; its frame is there by then.
        page.wait_for_timeout(1500)
    return small(Image.open(io.BytesIO(page.screenshot())))


def walk(
    house: House,
    pages: tuple[Page, ...],
    folder: Path,
    browser: Any,
    address: str,
    *,
    size: tuple[int, int] = SIZE,
) -> list[Path]:
    """Write a picture of each page, theme and language, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for person in dict.fromkeys(page.person for page in pages):
        context = browser.new_context(
            base_url=address,
            ignore_https_errors=True,
            viewport={"width": size[0], "height": size[1]},
            reduced_motion="reduce",
        )
        made = context.new_page()
        if person is not None:
            sign_in(made, house, person)
        for theme in THEMES:
            for language in LANGUAGES:
                dress(context, address, theme=theme, language=language)
                for page in (one for one in pages if one.person == person):
                    made.goto(page.path)
                    if page.prepare is not None:
                        page.prepare(made)
                    path = folder / f"{page.name}-{theme}-{language}.png"
                    path.write_bytes(shot(made))
                    written.append(path)
        context.close()
    return written


def album(folder: Path) -> str:
    """Return `docs/screens.md`: a row a page, with its four pictures."""
    console = sorted(
        {path.stem.rsplit("-", 2)[0] for path in folder.glob("console-*.png")}, key=_place_of_console
    )
    lines = [
        "# Screens",
        "",
        "Every page in both languages and both themes, made by `make screens`; people, cases and hospitals are invented.",
        "A test fails when a page of the URL map has no picture here. The signs and parts by themselves: `/styleguide`.",
    ]
    for head, names in (("The centre", list(SHOWN)), ("The facility's console", console)):
        lines += ["", f"## {head}", ""]
        lines += [
            "| page | dark, 日本語 | dark, English | light, 日本語 | light, English |",
            "|---|---|---|---|---|",
        ]
        for name in names:
            pictures = [
                f"[![{name}](screens/{name}-{theme}-{language}.png)](screens/{name}-{theme}-{language}.png)"
                for theme in THEMES
                for language in LANGUAGES
            ]
            lines.append(f"| {name.removeprefix('console-').replace('-', ' ')} | {' | '.join(pictures)} |")
    return "\n".join(lines) + "\n"


def _place_of_console(name: str) -> tuple[bool, str]:
    return not name.startswith("console-sign-in"), name


def main() -> None:
    from playwright.sync_api import sync_playwright

    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    wanted = set(sys.argv[2:])
    width, _, height = os.environ.get("SCREEN", "x".join(map(str, SIZE))).partition("x")
    with tempfile.TemporaryDirectory() as data:
        house = make_house(Path(data))
        name_house(house)
        made = furnish(house, body=True)
        seal(house)
        furnish_night(house, clock.now())
        pages = tuple(page for page in made if not wanted or page.name in wanted)
        with served(house) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
            written = walk(house, pages, folder, browser, address, size=(int(width), int(height)))
            browser.close()
        close_house(house)
    if not wanted:
        written += console_screens.take(folder)
    if folder == FOLDER:
        for path in set(folder.glob("*.png")) - set(written) if not wanted else ():
            path.unlink()
        (ROOT / "docs" / "screens.md").write_text(album(folder), encoding="utf-8")
    sizes = sum(path.stat().st_size for path in written)
    sys.stdout.write(f"{len(written)} pictures, {sizes / 1e6:.1f} MB, in {folder}\n")


if __name__ == "__main__":
    main()
