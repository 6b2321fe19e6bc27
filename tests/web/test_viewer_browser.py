"""The viewer in a real browser, as shipped: gunicorn, TLS, the policies, and the page of a case around it."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from teleread.dicom.deid.regions import Region, statement
from teleread.web import viewer_setup
from tests.builders.pictures import SYNTAXES, Sent, send
from tests.web.conftest import House
from tests.web.test_browser import ARGUMENTS, PICTURES, sign_in, until

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not viewer_setup.FOLDER.exists(), reason="the viewer is not laid: run `make setup`"),
]

STARTED_MS = 60_000

#: Least and greatest grey on the drawn canvas, and which study's image it is.
CANVAS = """() => {
  const canvas = document.querySelector('.cornerstone-canvas');
  const copy = document.createElement('canvas');
  copy.width = canvas.width; copy.height = canvas.height;
  const pen = copy.getContext('2d');
  pen.drawImage(canvas, 0, 0);
  const line = pen.getImageData(0, copy.height / 2, copy.width, 1).data;
  const grey = [...line].filter((_, at) => at % 4 === 0);
  return [Math.min(...grey), Math.max(...grey)];
}"""


#: Where a shape lies in the viewer's frame, without the width of its line.
PLACE = """(shape) => {
  const box = shape.getBBox(), ground = shape.ownerSVGElement.getBoundingClientRect();
  return { x: ground.x + box.x, y: ground.y + box.y, width: box.width, height: box.height };
}"""


@pytest.fixture(scope="module")
def served(house: House) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"https://127.0.0.1:{port}"
    command = [sys.executable, "-m", "teleread.web.serve", "--listener", "people", "--port", str(port)]
    environment = os.environ | {"TELEREAD_LANGUAGE": "en", "TELEREAD_PUBLIC_URL": address}
    process = subprocess.Popen(
        [*command, "--data", str(house.settings.data)],
        env=environment,
        cwd=Path(__file__).parents[2],
        stderr=subprocess.DEVNULL,
    )
    context = ssl.create_default_context(cafile=str(house.settings.ca_certificate))
    context.check_hostname = False

    def answers() -> bool:
        try:
            return httpx.get(f"{address}/healthz", verify=context).status_code == 200
        except httpx.TransportError:
            return False

    until(answers, 60)
    yield address
    process.terminate()
    process.wait(30)


class Desk:
    """A reader at a browser."""

    def __init__(self, page: Any, house: House) -> None:
        self.page = page
        self.house = house
        self.faults: list[str] = []
        page.on("console", lambda message: self.note(message.text))
        page.on("pageerror", lambda error: self.note(f"fault: {error}"))

    def note(self, text: str) -> None:
        if "Content Security" in text or "violates" in text or text.startswith("fault"):
            self.faults.append(text)

    def sign_in(self) -> None:
        self.page.goto("/sign-in")
        sign_in(self.page, self.house, "reader")
        self.page.wait_for_url("**/worklist")

    def open(self, case: Sent, *, claim: bool = True) -> None:
        self.page.goto(f"/cases/{case.case_number}")
        if claim:
            self.page.locator(f'form[action$="/cases/{case.case_number}/claim"] button').click()
            self.page.wait_for_selector("[data-editor]")
        self.page.wait_for_selector('[data-case-viewer][data-state="shown"]', timeout=STARTED_MS)

    @property
    def viewer(self) -> Any:
        return next(frame for frame in self.page.frames if "/viewer/" in frame.url)

    @property
    def findings(self) -> Any:
        return self.page.locator('textarea[name="findings"]')

    def click_image(self) -> None:
        self.viewer.locator(".cornerstone-canvas").first.click(position={"x": 120, "y": 200})

    def corner(self) -> str:
        return self.viewer.locator("[data-cy='viewport-overlay-bottom-left']").first.inner_text()


@pytest.fixture
def desk(served: str, house: House) -> Iterator[Desk]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
        context = browser.new_context(
            base_url=served, ignore_https_errors=True, viewport={"width": 1440, "height": 900}, locale="en-GB"
        )
        context.set_default_timeout(30_000)
        made = Desk(context.new_page(), house)
        made.sign_in()
        yield made
        browser.close()
    assert made.faults == []


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_images_are_drawn_under_the_shipped_policy(desk: Desk, house: House, syntax: str) -> None:
    case = send(house, slices=3, syntax=syntax)
    desk.open(case, claim=False)
    until(lambda: desk.viewer.evaluate(CANVAS)[1] > 100)
    assert desk.viewer.evaluate(CANVAS)[0] < 10
    until(lambda: "3" in desk.page.locator("[data-images-said]").inner_text())
    assert desk.page.locator("[data-images-faults]").is_hidden()


def test_what_the_facility_has_masked_is_outlined_where_it_lies(desk: Desk, house: House) -> None:
    case = send(house, slices=2, derivation=statement((Region(0, 0, 32, 16), Region(48, 32, 16, 32))))
    desk.open(case, claim=False)
    shapes = desk.viewer.locator("svg.tr-masked polygon")
    shapes.first.wait_for()
    assert shapes.count() == 2

    def lies_true() -> bool:
        # The canvas grows to its place first, and the outline with it.
        canvas = desk.viewer.locator(".cornerstone-canvas").first.evaluate(
            "(canvas) => canvas.getBoundingClientRect().toJSON()"
        )
        wide, low = (shapes.nth(number).evaluate(PLACE) for number in (0, 1))
        middle = canvas["x"] + canvas["width"] / 2
        off = (
            wide["x"] + wide["width"] - middle,
            wide["width"] - 2 * wide["height"],
            low["y"] - (canvas["y"] + canvas["height"] / 2),
            low["x"] - middle - wide["width"] / 2,
        )
        return max(map(abs, off)) < 2

    until(lies_true)


def test_the_report_is_shut_until_an_image_of_the_case_is_drawn(desk: Desk, house: House) -> None:
    case = send(house, slices=2)
    held_back: list[Any] = []
    is_open: list[bool] = []
    desk.page.route("**/frames/*", lambda route: route.continue_() if is_open else held_back.append(route))
    desk.page.goto(f"/cases/{case.case_number}")
    desk.page.locator(f'form[action$="/cases/{case.case_number}/claim"] button').click()
    desk.page.wait_for_selector("[data-editor]")
    held_back.clear()
    desk.page.wait_for_selector('[data-case-viewer][data-state="ready"]', timeout=STARTED_MS)
    # The browser is asked each time, because its requests are heard only while one waits for it.
    until(lambda: desk.page.evaluate("true") and bool(held_back))
    assert desk.findings.get_attribute("readonly") is not None
    is_open.append(True)
    for route in held_back:
        route.continue_()
    desk.page.wait_for_selector('[data-case-viewer][data-state="shown"]')
    assert desk.findings.get_attribute("readonly") is None
    desk.findings.fill("nodule")


def test_a_click_on_the_image_takes_the_keys_away_from_the_report(desk: Desk, house: House) -> None:
    desk.open(send(house, slices=5))
    desk.findings.click()
    desk.page.keyboard.type("ab")
    desk.click_image()
    desk.page.keyboard.type("xy")
    desk.page.keyboard.press("ArrowDown")
    until(lambda: "2/5" in desk.viewer.locator("body").inner_text().replace(" ", ""))
    assert desk.findings.input_value() == "ab"
    assert "images" in desk.page.locator("[data-keys-go]").inner_text()
    desk.page.keyboard.press("Alt+w")
    until(lambda: desk.findings.evaluate("field => field === document.activeElement"))
    desk.page.keyboard.type("cd")
    until(lambda: "cd" in desk.findings.input_value())
    desk.page.keyboard.press("Alt+i")
    desk.page.keyboard.press("ArrowDown")
    until(lambda: "3/5" in desk.viewer.locator("body").inner_text().replace(" ", ""))


def test_keys_set_windows_and_open_three_planes(desk: Desk, house: House) -> None:
    desk.open(send(house, slices=8))
    desk.click_image()
    for key, width, center in (("2", 1500, -600), ("4", 2000, 400), ("1", 400, 40)):
        desk.page.keyboard.press(key)
        wanted = f"W:{width}L:{center}"
        until(lambda wanted=wanted: wanted in "".join(desk.viewer.locator("body").inner_text().split()))
    desk.page.keyboard.press("m")
    until(lambda: desk.viewer.locator(".cornerstone-canvas").count() == 3, 40)
    assert desk.page.locator("[data-cover]").is_hidden()


def test_no_key_of_the_viewer_is_a_key_of_the_page(desk: Desk, house: House) -> None:
    desk.open(send(house, slices=2), claim=False)
    keys = desk.viewer.evaluate("teleread.mode.HOTKEYS.flatMap((one) => one.keys)")
    assert len(keys) == len(set(keys))
    assert not [key for key in keys if "alt" in key or key == "ctrl+enter"]


def test_an_image_of_another_study_covers_the_viewer_and_shuts_the_report(desk: Desk, house: House) -> None:
    other = send(house, slices=2)
    desk.open(send(house, slices=2))
    message = {"kind": "shown", "study": other.study_instance_uid, "sets": []}
    # What another frame or window says is not believed, whatever it says.
    desk.page.evaluate(
        "(facts) => window.postMessage({ teleread: 1, case: document.querySelector('[data-case-viewer]').dataset.case, ...facts }, location.origin)",
        message,
    )
    assert desk.page.locator("[data-cover]").is_hidden()
    desk.viewer.evaluate(
        "(facts) => parent.postMessage({ teleread: 1, case: document.documentElement.dataset.case, ...facts }, location.origin)",
        message,
    )
    desk.page.wait_for_selector("[data-cover]:not([hidden])")
    assert desk.findings.get_attribute("readonly") is not None
    if PICTURES:
        desk.page.screenshot(path=Path(PICTURES) / "case-covered.png")
    desk.page.locator("[data-review] button").click()
    desk.page.wait_for_timeout(1500)
    assert "/review/" not in desk.page.url


def test_a_study_of_another_case_in_the_address_is_refused(desk: Desk, house: House) -> None:
    own, other = send(house, slices=2), send(house, slices=2)
    answer = desk.page.goto(
        f"/viewer/viewer?case={own.case_number}&StudyInstanceUIDs={other.study_instance_uid}"
    )
    assert answer.status == 404
    desk.open(own, claim=False)
    status = desk.viewer.evaluate(
        "(uid) => fetch(`${document.documentElement.dataset.root}/studies/${uid}/metadata`).then((one) => one.status)",
        other.study_instance_uid,
    )
    assert status == 404
    desk.faults.clear()


def test_the_viewer_does_not_start_outside_the_page_of_its_case(desk: Desk, house: House) -> None:
    case = send(house, slices=1)
    desk.page.goto(f"/viewer/viewer?case={case.case_number}&StudyInstanceUIDs={case.study_instance_uid}")
    assert "from the page of their case" in desk.page.locator("body").inner_text()
    assert desk.page.locator(".cornerstone-canvas").count() == 0


def test_images_that_cannot_be_loaded_are_counted_and_asked_about_before_the_review(
    desk: Desk, house: House
) -> None:
    case = send(house, slices=4)
    broken = f"{case.study_instance_uid}.1.3/frames/"
    desk.page.route(lambda url: broken in url, lambda route: route.fulfill(status=500, body=""))
    desk.open(case)
    until(lambda: "1 of 4" in desk.page.locator("[data-images-faults]").inner_text())
    desk.findings.fill("a")
    desk.page.locator('textarea[name="impression"]').fill("b")
    desk.page.locator("[data-review] button").click()
    desk.page.wait_for_selector("[data-doubt]:not([hidden])")
    desk.page.locator("[data-doubt-confirm]").click()
    desk.page.wait_for_url("**/review/*")
    desk.faults.clear()


def test_the_review_goes_on_when_the_viewer_shows_the_case(desk: Desk, house: House) -> None:
    desk.open(send(house, slices=2))
    desk.findings.fill("a")
    desk.page.locator('textarea[name="impression"]').fill("b")
    desk.click_image()
    desk.page.keyboard.press("Control+Enter")
    desk.page.wait_for_url("**/review/*")


LEFT_BEHIND = """async () => {
  const bases = await indexedDB.databases();
  const caches_ = await caches.keys();
  return [JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }), JSON.stringify(bases), JSON.stringify(caches_)].join('\\n');
}"""


def test_nothing_is_left_on_the_machine_after_sign_out(desk: Desk, house: House) -> None:
    case = send(house, slices=3)
    answers: list[tuple[str, str]] = []
    desk.page.on("response", lambda one: answers.append((one.url, one.headers.get("cache-control", ""))))
    desk.open(case, claim=False)
    during = desk.viewer.evaluate(LEFT_BEHIND)
    assert case.study_instance_uid not in during
    for address, rule in answers:
        if "/dicom-web/" in address or "/cases/" in address or "/viewer/viewer" in address:
            assert rule == "no-store", address
    desk.page.locator("[data-sign-out] button").click()
    desk.page.wait_for_url("**/sign-in")
    after = desk.page.evaluate(LEFT_BEHIND)
    assert after.splitlines()[:2] == ["{}", "{}"]
    assert case.study_instance_uid not in after
    desk.page.go_back()
    desk.page.wait_for_url("**/sign-in**")
    assert desk.page.locator("iframe").count() == 0
    status = desk.page.evaluate(
        "(path) => fetch(path).then((one) => one.status)", f"/dicom-web/cases/{case.case_number}/studies"
    )
    assert status == 401
    desk.faults.clear()
