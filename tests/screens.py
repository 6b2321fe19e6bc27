"""Pictures of every page in both languages and both themes: ``python -m tests.screens [FOLDER] [NAME ...]``."""

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
from tests.web.conftest import House, close_house, make_house
from tests.web.walk import ARGUMENTS, Page, dress, furnish, served, sign_in

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "screens"
SIZE = (1440, 900)
THEMES = ("dark", "light")
LANGUAGES = ("ja", "en")
COLOURS = 200


def shot(page: Any) -> bytes:
    """Return a small PNG of what is on the screen when fonts and images are there."""
    page.evaluate("document.fonts.ready.then(() => true)")
    if page.locator("[data-case-viewer]").count():
        page.wait_for_selector('[data-case-viewer][data-state="shown"]', timeout=60_000)
    if page.locator(".paper iframe").count():
        # The browser's own PDF page tells nobody when it has drawn; its frame is there by then.
        page.wait_for_timeout(1500)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    # The commonest colours as they are: a quantizer would mix amber and vermilion, which are rare and say different things.
    counted = sorted(picture.getcolors(SIZE[0] * SIZE[1] * 4) or [], reverse=True)[:COLOURS]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in counted for part in colour])
    stream = io.BytesIO()
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()


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


def main() -> None:
    from playwright.sync_api import sync_playwright

    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    wanted = set(sys.argv[2:])
    with tempfile.TemporaryDirectory() as data:
        house = make_house(Path(data))
        name_house(house)
        made = furnish(house, body=True)
        furnish_night(house, clock.now())
        pages = tuple(page for page in made if not wanted or page.name in wanted)
        with served(house) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
            size = tuple(map(int, os.environ.get("SCREEN", "1440x900").split("x")))
            written = walk(house, pages, folder, browser, address, size=(size[0], size[1]))
            browser.close()
        close_house(house)
    sizes = sum(path.stat().st_size for path in written)
    sys.stdout.write(f"{len(written)} pictures, {sizes / 1e6:.1f} MB, in {folder}\n")


if __name__ == "__main__":
    main()
