"""In a real browser: a security key (Chromium's virtual authenticator), and a page that nobody uses."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.serving import make_server

from teleread.web.app import create_app
from tests.web.conftest import PASSWORD, House
from tests.web.test_browser import ARGUMENTS, sign_in

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(house: House) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    certificate = (str(house.settings.server_certificate), str(house.settings.server_key))
    server = make_server("127.0.0.1", 0, house.app, threaded=True, ssl_context=certificate)
    address = f"https://localhost:{server.port}"
    # Keys are tied to the host name and the port, which is known only now.
    server.app = create_app(replace(house.settings, public_url=address, idle_seconds=12), engine=house.engine)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
        context = browser.new_context(base_url=address, ignore_https_errors=True, locale="en-GB")
        context.set_default_timeout(30_000)
        yield context.new_page()
        browser.close()
    server.shutdown()
    thread.join()
    server.server_close()
    server.app.extensions["teleread"].renderer.close()


def test_a_security_key_is_added_and_signs_in(house: House, page: Any) -> None:
    house.person("keyholder", ["coordinator"])
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "usb",
        "hasResidentKey": False,
        "hasUserVerification": False,
        "automaticPresenceSimulation": True,
    }
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    page.goto("/account")
    sign_in(page, house, "keyholder")
    page.wait_for_url("**/account")
    form = page.locator("form:has([data-key-add])")
    form.locator('[name="name"]').fill("Blue key")
    form.locator('[name="password"]').fill(PASSWORD)
    form.locator('[name="totp"]').fill(house.code("keyholder"))
    form.locator("[data-key-add]").click()
    page.wait_for_url("**/account?done=key")
    assert "Blue key" in page.locator("table").first.inner_text()
    page.context.clear_cookies()
    page.goto("/account")
    page.fill('input[name="username"]', "keyholder")
    page.fill('input[name="password"]', "not the password")
    page.click("[data-key-sign-in]")
    page.locator(".problem").wait_for()
    page.fill('input[name="username"]', "keyholder")
    page.fill('input[name="password"]', PASSWORD)
    page.click("[data-key-sign-in]")
    page.get_by_text("Blue key").first.wait_for()


def test_a_page_that_nobody_uses_hides_itself(house: House, page: Any) -> None:
    page.context.clear_cookies()
    page.goto("/coordination")
    sign_in(page, house, "coordinator")
    page.wait_for_url("**/coordination")
    page.locator(".lock-panel").wait_for()
    assert not page.locator(".page").is_visible()
    page.locator(".lock-panel a").click()
    page.wait_for_url("**/sign-in?next=*")
