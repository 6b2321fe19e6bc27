"""The road of a reader in a real browser, headless: sign-in, pixels, autosave, the exact PDF, a lost session."""

from __future__ import annotations

import io
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from werkzeug.serving import make_server

from tests.web.conftest import PASSWORD, House

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("without_the_viewer")]

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: Where pictures of the pages are put, for people to look at; nowhere when it is not set.
PICTURES = os.environ.get("TELEREAD_PICTURES")


@pytest.fixture(scope="module")
def address(house: House) -> Iterator[str]:
    certificate = (str(house.settings.server_certificate), str(house.settings.server_key))
    server = make_server("127.0.0.1", 0, house.app, threaded=True, ssl_context=certificate)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
        context = browser.new_context(
            base_url=address,
            ignore_https_errors=True,
            viewport={"width": 1440, "height": 900},
            locale="en-GB",
        )
        context.set_default_timeout(30_000)
        made = context.new_page()
        faults: list[str] = []
        made.on("pageerror", lambda error: faults.append(str(error)))
        made.on(
            "console",
            lambda message: faults.append(message.text) if "Content Security" in message.text else None,
        )
        yield made
        assert faults == []
        browser.close()


def picture(page: Any, name: str) -> None:
    if PICTURES:
        for width in (1440, 1280):
            page.set_viewport_size({"width": width, "height": 900 if width == 1440 else 800})
            page.evaluate("document.fonts.ready.then(() => true)")
            page.wait_for_timeout(300)
            page.screenshot(path=Path(PICTURES) / f"{name}-{width}.png")
        page.set_viewport_size({"width": 1440, "height": 900})


def in_both_languages(page: Any, name: str) -> None:
    if PICTURES:
        picture(page, f"{name}-en")
        address = page.url
        page.locator('button[name="language"][value="ja"]').click()
        page.goto(address)
        page.wait_for_timeout(2000)
        picture(page, f"{name}-ja")
        page.locator('button[name="language"][value="en"]').click()
        page.goto(address)


def sign_in(page: Any, house: House, name: str) -> None:
    page.fill('input[name="username"]', name)
    page.fill('input[name="password"]', PASSWORD)
    page.fill('input[name="totp"]', house.code(name))
    page.click("form.main button")


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def pixels(page: Any) -> list[int]:
    """Return the least and the greatest grey in the middle row of the image."""
    return page.evaluate(
        """() => {
          const canvas = document.querySelector("[data-canvas]");
          const line = canvas.getContext("2d").getImageData(0, canvas.height / 2, canvas.width, 1).data;
          const grey = [...line].filter((_, at) => at % 4 === 0);
          return [Math.min(...grey), Math.max(...grey)];
        }"""
    )


def dark_share(shot: bytes) -> float:
    """Return which part of a bright page's middle is ink; 0 while the page itself is not bright."""
    grey = np.asarray(Image.open(io.BytesIO(shot)).convert("L"))
    middle = grey[grey.shape[0] // 4 : -grey.shape[0] // 8, grey.shape[1] // 4 : -grey.shape[1] // 4]
    return float((middle < 110).mean()) if (middle > 200).mean() > 0.5 else 0.0


def test_a_reader_does_a_case_in_the_browser(house: House, page: Any) -> None:
    number = house.study(slices=7)
    house.study(slices=2, description="HEAD PLAIN")
    page.goto("/worklist")
    assert "/sign-in?next=" in page.url
    in_both_languages(page, "10-signin")
    sign_in(page, house, "reader")
    page.wait_for_url("**/worklist")
    in_both_languages(page, "01-worklist")
    page.locator(f'tr[data-case="{number}"]').click()
    assert page.locator(f'[data-preview="{number}"]').is_visible()
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/cases/{number}")
    page.get_by_role("button", name="Claim and read").click()
    page.locator("[data-editor]").wait_for()

    canvas = page.locator("[data-canvas]")
    until(lambda: canvas.get_attribute("data-shown") is not None)
    assert pixels(page)[1] - pixels(page)[0] > 50
    before = page.locator("[data-position]").inner_text()
    page.locator("[data-stage]").hover()
    page.mouse.wheel(0, 120)
    until(lambda: page.locator("[data-position]").inner_text() != before)
    page.locator("[data-stage]").focus()
    page.keyboard.press("Home")
    until(lambda: page.locator("[data-position]").inner_text() == "1 / 7")
    page.keyboard.press("2")
    until(lambda: "W 1500" in page.locator("[data-window]").inner_text())
    until(lambda: canvas.get_attribute("data-shown") is not None and pixels(page)[1] > 0)

    page.keyboard.press("Alt+w")
    started = time.monotonic()
    page.keyboard.type("A nodule of 12 mm in the right upper lobe.")
    page.locator("[data-saved]", has_text=re.compile(r"^\s*Saved")).wait_for(timeout=8000)
    assert time.monotonic() - started < 8
    page.fill('textarea[name="impression"]', "右肺上葉の結節。\nNodule.")
    in_both_languages(page, "02-case")
    page.reload()
    assert "nodule of 12 mm" in page.input_value('textarea[name="findings"]')

    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/review/*")
    assert page.get_by_role("button", name="Sign Ctrl").is_disabled()
    house.render()
    page.locator("iframe").wait_for()
    until(lambda: dark_share(page.locator("iframe").screenshot()) > 0.002)
    shot = page.locator("iframe").screenshot()
    assert 0.002 < dark_share(shot) < 0.3
    sign = page.get_by_role("button", name="Sign Ctrl")
    assert sign.is_disabled()
    in_both_languages(page, "03-sign")
    page.check("[data-seen]")
    assert sign.is_enabled()
    page.fill('input[name="password"]', PASSWORD)
    page.fill('input[name="totp"]', house.code("reader"))
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/signed")
    in_both_languages(page, "03b-signed")
    assert (
        page.evaluate("Object.keys(sessionStorage).filter((key) => key.startsWith('teleread:draft')).length")
        == 0
    )


def test_text_typed_while_the_session_ended_comes_back_after_sign_in(house: House, page: Any) -> None:
    number = house.study()
    page.goto(f"/cases/{number}")
    sign_in(page, house, "second")
    page.get_by_role("button", name="Claim and read").click()
    page.locator("[data-editor]").wait_for()
    cookies = page.context.cookies()
    page.context.clear_cookies()
    page.fill('textarea[name="findings"]', "typed after the end")
    page.locator("[data-banner-link]").wait_for()
    assert cookies
    page.locator("[data-banner-link]").click()
    sign_in(page, house, "second")
    page.wait_for_url(f"**/cases/{number}")
    assert page.input_value('textarea[name="findings"]') == "typed after the end"
    page.locator("[data-saved]", has_text=re.compile(r"^\s*Saved")).wait_for()
    page.reload()
    assert page.input_value('textarea[name="findings"]') == "typed after the end"


def test_what_is_typed_before_the_editor_runs_is_kept(house: House, page: Any) -> None:
    number = house.study()
    page.goto(f"/cases/{number}")
    sign_in(page, house, "second")
    page.get_by_role("button", name="Claim and read").click()
    page.locator("[data-editor]").wait_for()
    waiting: list[Any] = []
    page.route("**/editor.js*", lambda route: waiting.append(route))  # noqa: PLW0108 - a bound method is refused
    page.goto(f"/cases/{number}", wait_until="commit")
    page.fill('textarea[name="findings"]', "typed on a slow line")
    waiting[0].continue_()
    page.locator("[data-saved]", has_text=re.compile(r"^\s*Saved")).wait_for()
    page.unroute("**/editor.js*")
    page.reload()
    assert page.input_value('textarea[name="findings"]') == "typed on a slow line"


def test_two_tabs_of_one_report_show_both_texts_and_overwrite_nothing(house: House, page: Any) -> None:
    number = house.study()
    page.goto(f"/cases/{number}")
    sign_in(page, house, "second")
    page.get_by_role("button", name="Claim and read").click()
    page.locator("[data-editor]").wait_for()
    other = page.context.new_page()
    other.goto(f"/cases/{number}")
    page.fill('textarea[name="findings"]', "first tab")
    page.locator("[data-saved]", has_text=re.compile(r"^\s*Saved")).wait_for()
    other.fill('textarea[name="findings"]', "second tab")
    other.locator("[data-conflict]").wait_for()
    assert "first tab" in other.locator("[data-conflict-theirs]").inner_text()
    assert "second tab" in other.locator("[data-conflict-mine]").inner_text()
    other.locator("[data-keep-mine]").click()
    other.locator("[data-saved]", has_text=re.compile(r"^\s*Saved")).wait_for()
    page.reload()
    assert page.input_value('textarea[name="findings"]') == "second tab"


def test_a_text_that_arrived_by_the_page_before_is_no_conflict(house: House, page: Any) -> None:
    number = house.study()
    page.goto(f"/cases/{number}")
    sign_in(page, house, "second")
    page.get_by_role("button", name="Claim and read").click()
    page.locator("[data-editor]").wait_for()
    other = page.context.new_page()
    other.goto(f"/cases/{number}")
    for tab in (page, other):
        tab.fill('textarea[name="findings"]', "the same words")
        tab.locator("[data-saved]", has_text=re.compile(r"^\s*Saved")).wait_for()
    assert other.locator("[data-conflict]").is_hidden()
    other.fill('textarea[name="findings"]', "the same words, and more")
    other.locator("[data-saved]", has_text="not saved").wait_for()
    other.locator("[data-saved]", has_text=re.compile(r"^\s*Saved")).wait_for()


def test_offices_are_shown_in_the_light(house: House, page: Any) -> None:
    house.study()
    for name, place in (("coordinator", "coordination"), ("admin", "admin"), ("midori", "status")):
        page.context.clear_cookies()
        page.goto(f"/{place}")
        sign_in(page, house, name)
        page.wait_for_url(f"**/{place}")
        assert page.locator("html").get_attribute("data-theme") == "light"
        in_both_languages(page, f"20-{place}")
