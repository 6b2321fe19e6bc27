"""A coordinator's work at the board by keyboard alone, in a real browser."""

from __future__ import annotations

from typing import Any

import pytest

from teleread import clock
from teleread.services import critical
from teleread.services.accounts import actor_of
from teleread.storage.models.accounts import User
from teleread.storage.session import transaction
from tests.web.conftest import House
from tests.web.test_browser import address, in_both_languages, page, sign_in, until

pytestmark = pytest.mark.browser
__all__ = ["address", "page"]


def test_a_coordinator_assigns_and_tells_by_keyboard(house: House, page: Any) -> None:
    number = house.study()
    with transaction(house.engine) as session:
        reader = actor_of(session.query(User).filter_by(username="reader").one())
        critical.raise_finding(session, number, "1", "Acute subdural.", actor=reader, at=clock.now())
    page.goto("/sign-in")
    sign_in(page, house, "coordinator")
    page.goto("/coordination")
    row = page.locator(f'tr[data-case="{number}"]')
    row.wait_for()
    for _ in range(page.locator("tr[data-case]").count()):
        page.keyboard.press("j")
        if row.get_attribute("aria-selected") == "true":
            break
    page.keyboard.press("a")
    page.keyboard.type("Dr second")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    until(lambda: "Dr second" in page.locator(f'tr[data-case="{number}"] td:nth-child(4)').inner_text())
    in_both_languages(page, "board")
    # News come without a reload, and the panel that has the focus keeps it.

    def in_the_panel() -> bool:
        # The page is a new one since the assignment: its keys work when its script has come.
        page.keyboard.press("g")
        page.keyboard.press("c")
        return bool(page.evaluate("document.activeElement.dataset.panel") == "critical")

    until(in_the_panel)
    with page.expect_response("**/coordination/board"):
        page.evaluate("document.dispatchEvent(new Event('teleread:change'))")
    until(lambda: page.evaluate("document.activeElement.dataset?.panel") == "critical")
    page.goto(f"/cases/{number}/critical")
    in_both_languages(page, "critical")
    page.locator('input[name="person"]').focus()
    page.keyboard.type("Dr Reiji")
    for part in ("case_number", "sex", "examination_time"):
        page.locator(f'input[name="{part}"]').focus()
        page.keyboard.press("Space")
    page.locator('button[value="told"]').focus()
    page.keyboard.press("Enter")
    until(lambda: "Told, not confirmed" in page.locator(".critical-page").inner_text())
