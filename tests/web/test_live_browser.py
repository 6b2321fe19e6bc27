"""The live worklist in a real browser: news without reload, nothing moves under the pointer, one stream a browser."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.web.conftest import House
from tests.web.streams import Streams, streams_of
from tests.web.test_browser import ARGUMENTS, in_both_languages, sign_in
from tests.web.test_events import claim

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("without_the_viewer")]


@pytest.fixture(scope="module")
def streams(house: House) -> Iterator[Streams]:
    with streams_of(house) as made:
        yield made


@pytest.fixture(scope="module")
def context(house: House, streams: Streams) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # A shared worker does not take over that this test trusts the centre's certificate; the browser has to.
        arguments = [*ARGUMENTS, "--ignore-certificate-errors"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
        made = browser.new_context(
            base_url=streams.settings.public_url,
            ignore_https_errors=True,
            viewport={"width": 1440, "height": 900},
            locale="en-GB",
        )
        made.set_default_timeout(20_000)
        house.person("watcher", ["reader"])
        page = made.new_page()
        page.goto("/worklist")
        sign_in(page, house, "watcher")
        page.wait_for_url("**/worklist")
        page.close()
        yield made
        browser.close()


@pytest.fixture
def page(context: Any) -> Iterator[Any]:
    made = context.new_page()
    faults: list[str] = []
    made.on("pageerror", lambda error: faults.append(str(error)))
    made.on(
        "console",
        lambda message: faults.append(message.text) if "Content Security" in message.text else None,
    )
    yield made
    assert faults == []
    made.close()


def live(page: Any) -> None:
    page.locator("[data-live].alive").wait_for()


def cases(page: Any) -> list[str]:
    return page.eval_on_selector_all("tr[data-case]", "rows => rows.map(row => row.dataset.case)")


def test_a_claim_elsewhere_shows_without_reload_and_the_row_stays(
    house: House, streams: Streams, page: Any
) -> None:
    number = house.study(description="LIVE ROW")
    page.goto("/worklist")
    live(page)
    page.evaluate("window.sameDocument = true")
    row = page.locator(f'tr[data-case="{number}"]')
    row.click()
    before, place = cases(page), row.bounding_box()
    claim(house, number, "second")
    page.locator(f'tr[data-case="{number}"].taken').wait_for()
    assert "Dr second" in row.inner_text()
    # New rows wait at the door while the pointer or the focus is in the list.
    other = house.study(description="NEW ROW")
    door = page.locator("[data-door]")
    door.wait_for()
    assert "1 new" in door.inner_text()
    assert cases(page) == before
    assert row.bounding_box() == place
    in_shot = page.evaluate("document.activeElement.closest('tr')?.dataset.case")
    assert in_shot == number
    page.keyboard.press(".")
    page.locator(f'tr[data-case="{other}"]').wait_for()
    assert door.is_hidden()
    # The choice follows the case number, through the door and through a reload.
    assert row.get_attribute("aria-selected") == "true"
    assert page.evaluate("window.sameDocument") is True
    page.reload()
    assert row.get_attribute("aria-selected") == "true"


def test_two_tabs_share_one_stream(streams: Streams, context: Any, page: Any) -> None:
    other = context.new_page()
    for tab in (page, other):
        tab.goto("/worklist")
        live(tab)
    assert len(streams.hub.streams) == 1
    other.close()


def test_without_a_stream_news_are_asked_for(house: House, streams: Streams, context: Any) -> None:
    tab = context.new_page()
    # Neither a shared worker nor a stream: the page asks by itself.
    tab.add_init_script(
        "delete window.SharedWorker; delete window.BroadcastChannel;"
        "window.EventSource = class { constructor() { setTimeout(() => this.onerror?.()); }"
        " addEventListener() {} close() {} };"
    )
    number = house.study()
    tab.goto("/worklist")
    live(tab)
    claim(house, number, "second")
    tab.locator(f'tr[data-case="{number}"][data-state="reading"]').wait_for()
    tab.close()


def test_filters_and_views_by_keyboard(house: House, page: Any) -> None:
    house.study(description="FILTERED")
    page.goto("/worklist")
    page.keyboard.press("/")
    page.keyboard.type("no such question")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=no+such+question**")
    page.locator("body").press("0")
    page.wait_for_url("**/worklist?view=open")
    page.locator('.rail a[href*="state=ready"]').click()
    page.wait_for_url("**state=ready**")
    assert page.locator(".chip").first.inner_text().startswith("State: Ready")
    in_both_languages(page, "01-worklist-filtered")
    page.locator('input[name="name"]').fill("My ready ones")
    page.keyboard.press("Enter")
    page.locator('.rail a[data-key="6"]').wait_for()
    page.goto("/worklist")
    page.locator("body").press("6")
    page.wait_for_url("**state=ready**")
    page.keyboard.press("?")
    sheet = page.locator("dialog.key-sheet")
    assert "My ready ones" in sheet.inner_text()
    assert "Next case" in sheet.inner_text()
    page.keyboard.press("Escape")
    # Nothing fires while kana are composed.
    address = page.url
    page.evaluate(
        "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '1', isComposing: true, bubbles: true}))"
    )
    page.keyboard.press("End")
    page.keyboard.press("Home")
    assert page.url == address
    assert page.locator('tr[aria-selected="true"]').get_attribute("data-case") == cases(page)[0]
    page.keyboard.press("n")
    page.wait_for_url("**/cases/**")
