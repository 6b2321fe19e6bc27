"""Locks on the doors in a real browser: a security key, the page that hides itself, one session a person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from teleread import clock
from teleread.services import accounts
from teleread.storage.models.accounts import UserSession
from teleread.storage.session import transaction
from tests.web.conftest import PASSWORD, House
from tests.web.test_pages_browser import Sheet, chromium
from tests.web.walk import served, sign_in, write

__all__ = ["chromium"]

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("without_the_viewer")]


@pytest.fixture(scope="module")
def named(house: House) -> Iterator[str]:
    """Serve the centre under a host name, which security keys need."""
    here = house.app.extensions["teleread"]
    with served(house) as number:
        address = number.replace("127.0.0.1", "localhost")
        house.app.extensions["teleread"] = replace(here, settings=replace(here.settings, public_url=address))
        yield address
        house.app.extensions["teleread"] = here


@pytest.fixture
def sheet(chromium: Any, named: str) -> Iterator[Sheet]:
    made = Sheet(chromium, named)
    yield made
    made.context.close()
    assert made.faults == []


class Keys:
    """A security key in the browser's port, as Chromium's protocol for testing has it."""

    def __init__(self, sheet: Sheet) -> None:
        self._line = sheet.context.new_cdp_session(sheet.page)
        self._line.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "usb",
            # It asks for a finger and says so: still one thing that one has, and no second kind here.
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        added = self._line.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        self._id = added["authenticatorId"]

    def held(self) -> list[dict[str, Any]]:
        """Return what the authenticator keeps."""
        found = self._line.send("WebAuthn.getCredentials", {"authenticatorId": self._id})
        return list(found["credentials"])

    def pull(self) -> None:
        """Take the key out of the port."""
        self._line.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": self._id})


def prove(form: Any, code: str) -> None:
    form.locator('input[name="password"]').fill(PASSWORD)
    form.locator('input[name="totp"]').fill(code)


def claimed(house: House, sheet: Sheet, name: str) -> str:
    """Open a case as a reader who has claimed it, and return its number."""
    number = house.study(slices=1)
    sign_in(sheet.page, house, name)
    sheet.page.goto(f"/cases/{number}")
    sheet.page.locator('form[action$="/claim"] button').click()
    sheet.page.locator("[data-editor]").wait_for()
    return number


def test_an_idle_page_hides_itself_and_comes_back_with_the_text_for_its_reader_alone(
    house: House, sheet: Sheet
) -> None:
    page = sheet.page
    page.clock.install()
    number = claimed(house, sheet, "second")
    page.fill('textarea[name="findings"]', "half a sentence")
    page.locator("[data-saved]", has_text=re.compile(r"^\s*Saved")).wait_for()
    # The line is gone when the last words are typed, and the centre does not hear that the page has hidden itself.
    sheet.context.set_offline(True)
    page.fill('textarea[name="findings"]', "half a sentence, and the rest")
    page.clock.fast_forward("14:30")
    assert page.locator('textarea[name="findings"]').is_visible()
    page.clock.fast_forward("01:00")
    page.get_by_role("heading", name="This page is locked").wait_for()
    assert page.locator("body > :not(.lock-panel):visible").count() == 0
    sheet.context.set_offline(False)
    with transaction(house.engine) as session:
        # What the centre does by its own clock.
        long_ago = clock.now() - accounts.IDLE
        session.execute(update(UserSession).values(last_seen_at=long_ago))

    page.keyboard.press("Enter")
    page.get_by_text("Your session has ended").wait_for()
    page.go_back()
    assert "/sign-in?next=" in page.url
    assert "half a sentence" not in page.content()
    sign_in(page, house, "reader")
    page.goto(f"/cases/{number}")
    page.locator(".case").wait_for()
    assert "half a sentence" not in page.content()
    assert page.locator("[data-editor]").count() == 0
    sheet.context.clear_cookies()
    sign_in(page, house, "second")
    page.goto(f"/cases/{number}")
    assert page.input_value('textarea[name="findings"]') == "half a sentence, and the rest"
    page.locator("[data-saved]", has_text=re.compile(r"^\s*Saved")).wait_for()


def test_signing_in_in_another_browser_ends_the_session_here_and_both_are_told(
    house: House, chromium: Any, named: str, sheet: Sheet
) -> None:
    page = sheet.page
    number = claimed(house, sheet, "second")
    second_tab = sheet.context.new_page()
    second_tab.goto("/worklist")
    page.fill('textarea[name="findings"]', "written at the hospital")
    page.locator("[data-saved]", has_text=re.compile(r"^\s*Saved")).wait_for()
    elsewhere = Sheet(chromium, named)
    sign_in(elsewhere.page, house, "second")
    told = elsewhere.page.get_by_role("status").filter(has_text="in another browser too (127.0.0.1, since")
    told.wait_for()
    elsewhere.page.goto(f"/cases/{number}")
    assert elsewhere.page.input_value('textarea[name="findings"]') == "written at the hospital"

    for tab in (page, second_tab):
        tab.evaluate("setTimeout(() => dispatchEvent(new Event('focus')), 1100)")
        tab.get_by_text("You signed in in another browser, so this page is hidden.").wait_for()
    assert page.locator("[data-editor]").is_hidden()
    page.get_by_role("link", name="Sign in").click()
    page.get_by_text("Your draft is saved").wait_for()
    sign_in(page, house, "second")
    page.goto(f"/cases/{number}")
    elsewhere.page.fill('textarea[name="findings"]', "typed where the session has ended")
    elsewhere.page.get_by_text("so this one cannot save").wait_for()
    assert page.input_value('textarea[name="findings"]') == "written at the hospital"
    elsewhere.context.close()
    assert elsewhere.faults == []


def by_key(page: Any, password: str = PASSWORD) -> None:
    page.goto("/sign-in")
    page.fill('input[name="username"]', "keyholder")
    page.fill('input[name="password"]', password)
    page.click("[data-key-sign-in]")


def test_a_security_key_is_added_signs_in_signs_a_report_and_is_removed(house: House, sheet: Sheet) -> None:
    house.person("keyholder", ["reader"])
    number = house.study(slices=1)
    review = write(house, "keyholder", number)
    house.render()
    page = sheet.page
    sign_in(page, house, "keyholder")
    page.goto("/account")
    keys = Keys(sheet)

    add = page.locator("form", has=page.locator("[data-key-add]"))
    add.locator('input[name="name"]').fill("Blue key")
    prove(add, "000000")
    add.locator("[data-key-add]").click()
    add.get_by_text("was not accepted").wait_for()
    assert keys.held() == []
    prove(add, house.code("keyholder"))
    add.locator("[data-key-add]").click()
    page.get_by_text("Security key added").wait_for()
    # Bound to this host, and not kept in the key itself: who finds it does not learn whose it is.
    assert [(one["rpId"], one["isResidentCredential"]) for one in keys.held()] == [("localhost", False)]

    sheet.context.clear_cookies()
    by_key(page, "not the password")
    page.get_by_text("That did not work").wait_for()
    by_key(page)
    page.wait_for_url("**/worklist")

    page.goto(review)
    sign = page.locator("[data-sign]")
    page.check("[data-seen]")
    sign.locator('input[name="password"]').fill("not the password")
    sign.locator("[data-key-sign-in]").click()
    page.locator("[data-told]", has_text="That did not work").wait_for()
    sign.locator('input[name="password"]').fill(PASSWORD)
    sign.locator("[data-key-sign-in]").click()
    page.wait_for_url("**/signed")
    # Back after a refused and then a right signature: no form is sent again, and nothing can be signed twice.
    page.go_back()
    assert page.url.endswith("/worklist")
    page.goto(review)
    assert page.url.endswith("/signed")

    page.goto("/account")
    codes = page.locator('form[action$="/recovery"]')
    page.locator("details", has=codes).locator("summary").click()
    codes.locator('input[name="password"]').fill(PASSWORD)
    codes.locator("[data-key-sign-in]").click()
    page.locator(".once").wait_for()
    recovery = page.locator(".once li").first.inner_text()

    remove = page.locator('form[action$="/remove"]')
    page.locator("details", has=remove).locator("summary").click()
    prove(remove, recovery)
    remove.locator("button:not([type])").click()
    page.get_by_text("Security key removed").wait_for()
    sheet.context.clear_cookies()
    by_key(page)
    page.get_by_text("The security key was not accepted").wait_for()
    keys.pull()
