"""Every page in a real browser: axe, the reader's day by keyboard, hostile texts, a broken line, pictures."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from teleread import clock
from teleread.domain.reporting import SECTION_LIMIT
from teleread.errors import Unavailable
from teleread.services import reading
from teleread.storage.models.studies import Series
from teleread.storage.session import transaction
from teleread.web import viewer, viewer_setup
from tests import screens
from tests.builders.pictures import send
from tests.web.conftest import BASE, PASSWORD, SYSTEM, House
from tests.web.test_browser import until
from tests.web.walk import ARGUMENTS, SHOWN, Page, dress, furnish, request, served, sign_in, undress, write
from tests.whole import WHOLE, every

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"

#: States that come with the viewer, which this test leaves out.
WITHOUT_IMAGES = frozenset({"case-long"})

#: The viewer's own page is not ours to repair; its frame is named, and that much is looked at.
RUN_AXE = """async (only) => {
  const found = await axe.run(document, { iframes: false, resultTypes: ["violations"], ...(only ? { runOnly: only } : {}) });
  return found.violations.filter((one) => ["serious", "critical"].includes(one.impact))
    .map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(" ")).join(" | ")}`);
}"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(house: House) -> Iterator[str]:
    with served(house) as found:
        yield found


@dataclass(frozen=True)
class Stage:
    """What the tests look at; one worker has made all its PDFs."""

    pages: tuple[Page, ...]
    hostile: tuple[str, str]
    template: tuple[str, str]
    lines: tuple[str, str]


@pytest.fixture(scope="module")
def stage(house: House) -> Stage:
    lines = house.study(slices=1)
    return Stage(
        hostile=furnish_with(house, "hostile", PAYLOADS),
        template=furnish_with(house, "curly", list(TEMPLATES)),
        lines=(lines, write(house, "second", lines)),
        pages=furnish(house),
    )


class Sheet:
    """A browser window and what went wrong in it."""

    def __init__(self, chromium: Any, address: str) -> None:
        self.context = chromium.new_context(
            base_url=address,
            ignore_https_errors=True,
            viewport={"width": 1280, "height": 800},
            locale="en-GB",
            reduced_motion="reduce",
        )
        self.context.set_default_timeout(30_000)
        self.faults: list[str] = []
        self.page = self.context.new_page()
        self.page.on("pageerror", self._failed)
        self.page.on("dialog", self._dialog)
        self.page.on("console", self._said)

    def _failed(self, error: Any) -> None:
        # The viewer says so of a part that it was fetching while the page was left.
        if not str(error).startswith(("Loading CSS chunk", "Loading chunk")):
            self.faults.append(str(error))

    def _dialog(self, dialog: Any) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _said(self, message: Any) -> None:
        if "Content Security" in message.text:
            self.faults.append(message.text)


@pytest.fixture
def sheet(chromium: Any, address: str) -> Iterator[Sheet]:
    made = Sheet(chromium, address)
    yield made
    made.context.close()
    assert made.faults == []


@pytest.fixture
def undressed(house: House) -> Iterator[None]:
    """Give the people of the house their language and theme back: other tests read what they see."""
    yield
    undress(house)


@pytest.fixture
def no_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise Unavailable("not laid")

    monkeypatch.setattr(viewer, "laid_build", missing)


@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not laid: run `make setup`")
@pytest.mark.usefixtures("no_viewer", "undressed")
def test_axe_finds_no_serious_fault_on_any_page_in_either_theme(
    house: House, chromium: Any, address: str, stage: Stage
) -> None:
    faults = []
    axe = AXE.read_text(encoding="utf-8")
    for person in dict.fromkeys(page.person for page in stage.pages):
        made = Sheet(chromium, address)
        if person is not None:
            sign_in(made.page, house, person)
        mine = [page for page in stage.pages if page.person == person]
        # One picture of each route here; the trial looks at every state of it.
        first = {SHOWN[page.name]: page for page in reversed(mine)}.values()
        for number, page in enumerate(mine if WHOLE else [one for one in mine if one in first]):
            # Themes differ in nothing but colour; `make trials` looks at both on every page.
            dark, light = ("dark", None), ("light", ["color-contrast"] if WHOLE else None)
            for theme, only in (dark, light) if WHOLE else ((dark, light)[number % 2],):
                dress(made.context, address, theme=theme, language=screens.LANGUAGES[number // 2 % 2])
                made.page.goto(page.path)
                if page.prepare is not None and page.name not in WITHOUT_IMAGES:
                    page.prepare(made.page)
                made.page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
                made.page.evaluate(axe)
                faults += [f"{page.name} {theme} {one}" for one in made.page.evaluate(RUN_AXE, only)]
        assert made.faults == []
        made.context.close()
    assert faults == []


def tab_to(page: Any, selector: str, limit: int = 60) -> None:
    """Press Tab until the focus is on what the selector names."""
    for _ in range(limit):
        if page.evaluate("(wanted) => document.activeElement?.matches(wanted) ?? false", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not come to {selector}")


@pytest.mark.skipif(not viewer_setup.FOLDER.exists(), reason="the viewer is not laid: run `make setup`")
def test_a_readers_day_by_keyboard_alone(house: House, sheet: Sheet) -> None:
    case = send(house, slices=2)
    request(house, case)
    number, page = case.case_number, sheet.page
    press, types = page.keyboard.press, page.keyboard.type
    page.goto("/")
    types("reader")
    press("Tab")
    types(PASSWORD)
    press("Tab")
    types(house.code("reader"))
    press("Enter")
    page.wait_for_url("**/worklist")
    press("Home")
    selected = "document.querySelector('[aria-selected=\"true\"]').dataset.case"
    for _ in range(page.locator("tr[data-case]").count()):
        if page.evaluate(selected) == number:
            break
        press("j")
    assert page.evaluate(selected) == number
    press("Enter")
    page.wait_for_url(f"**/cases/{number}")
    tab_to(page, 'form[action$="/claim"] button')
    press("Enter")
    page.wait_for_selector('[data-case-viewer][data-state="shown"]', timeout=60_000)
    press("Alt+KeyI")
    until(lambda: page.evaluate("document.activeElement.tagName") == "IFRAME")
    press("Alt+KeyW")
    until(lambda: page.evaluate("document.activeElement.name") == "findings")
    types("No nodule. Compared with nothing?")
    press("Tab")
    types("Normal chest.")
    press("Control+Enter")
    page.wait_for_url("**/review/*")
    house.render()
    page.wait_for_selector('[data-state="ready"]')
    tab_to(page, "[data-seen]")
    press("Space")
    press("Tab")
    types(PASSWORD)
    press("Tab")
    types(house.code("reader"))
    press("Control+Enter")
    page.wait_for_url("**/signed")
    tab_to(page, 'a.primary[href$="/worklist"]')
    press("Enter")
    page.wait_for_url("**/worklist")
    tab_to(page, "[data-sign-out] button")
    with page.expect_response("**/sign-out") as answer:
        press("Enter")
    assert answer.value.all_headers()["clear-site-data"] == '"cache", "storage"'
    page.wait_for_url("**/sign-in")
    assert page.evaluate(
        "[{ ...localStorage }, { ...sessionStorage }].map((one) => JSON.stringify(one))"
    ) == ["{}", "{}"]
    page.goto(f"/cases/{number}")
    assert "/sign-in" in page.url


@pytest.mark.usefixtures("no_viewer")
def test_the_sheet_of_keys_opens_with_its_key_and_escape_shuts_it(house: House, sheet: Sheet) -> None:
    number = house.study()
    sign_in(sheet.page, house, "reader")
    sheet.page.goto(f"/cases/{number}")
    sheet.page.keyboard.press("?")
    assert sheet.page.locator("[data-keys]").is_visible()
    sheet.page.keyboard.press("Escape")
    assert sheet.page.locator("[data-keys]").is_hidden()
    sheet.page.keyboard.press("Alt+KeyL")
    sheet.page.wait_for_url("**/worklist")


#: Ways in which a text becomes a script, as they are known from sites that let it.
_VECTORS = (
    "<script>{0}</script>", "<img src=x onerror={0}>", '"><script>{0}</script>', "'><svg onload={0}>",
    "<svg/onload={0}>", "<body onload={0}>", "<iframe src=javascript:{0}>", "<a href=javascript:{0}>x</a>",
    '" onmouseover={0} x="', "' autofocus onfocus={0} x='", "</title><script>{0}</script>",
    "</textarea><script>{0}</script>", "<details open ontoggle={0}>", "<video><source onerror={0}>",
    "<math><mi href=javascript:{0}>x", "&lt;script&gt;{0}", "\\u003cscript\\u003e{0}", "javascript:{0}",
    "<!--><script>{0}</script>", "]]><script>{0}</script>", "<marquee onstart={0}>", "<object data=javascript:{0}>",
    "<embed src=javascript:{0}>", "<input autofocus onfocus={0}>", "`<script>{0}</script>`",
)  # fmt: skip
PAYLOADS = [vector.format(call) for call in ("alert(1)", "window.xss=1") for vector in _VECTORS]
#: A long string of a DICOM file holds 64 characters, and a backslash parts its values.
IN_FILES = [one for one in PAYLOADS if len(one) <= 64 and "\\" not in one]
TEMPLATES = (
    "{{1337*1337}}",
    "{% print(1337*1337) %}",
    "${1337*1337}",
    "#{1337*1337}",
    "<%= 1337*1337 %>",
    "{{config}}",
)


def spread(house: House, number: str, texts: list[str], shift: int = 0) -> list[str]:
    """Put the texts into the twelve attributes that facilities write and pages show; return those of the case page."""
    turned = itertools.cycle(texts[shift:] + texts[:shift])
    placed = list(itertools.islice(turned, 10))
    turned = iter(placed)
    with transaction(house.engine) as session:
        order = reading.reading_of(session, number, actor=SYSTEM).order
        study = order.study
        for name in ("body_part", "examination", "department", "doctor", "callback_phone"):
            setattr(order, name, next(turned))
        study.study_description, study.pseudonym, study.modalities = (
            next(turned),
            next(turned),
            [next(turned)],
        )
        study.facility.name = next(turned)
        for series in session.scalars(select(Series).where(Series.study_id == study.id)):
            series.series_description = next(turned)
        order.clinical_question = order.history = "\n".join(texts)
        order.contrast, order.requested_at = "none", clock.now()
    return placed


def furnish_with(house: House, facility: str, texts: list[str]) -> tuple[str, str]:
    """Put the texts where facilities and readers write: the study, its request, its report; return case and review."""
    house.gateway(facility)
    house.person(f"doctor-{facility}", ["facility"], facility)
    number = house.study(
        facility, slices=1, description=next(one for one in texts if len(one) <= 64 and "\\" not in one)
    )
    spread(house, number, texts)
    review = write(
        house, "reader", number, dict.fromkeys(("technique", "findings", "impression"), "\n".join(texts))
    )
    return number, review


def pdf_text(house: House, review: str, tmp_path: Path) -> str:
    path = tmp_path / "report.pdf"
    path.write_bytes(house.signed_in("reader").get(f"{review}/pdf", base_url=BASE).data)
    return subprocess.run(
        ["pdftotext", "-raw", str(path), "-"], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.poppler
@pytest.mark.usefixtures("no_viewer")
def test_fifty_hostile_texts_are_shown_as_text_and_run_nowhere(
    house: House, sheet: Sheet, stage: Stage, tmp_path: Path
) -> None:
    assert len(PAYLOADS) == 50
    number, review = stage.hostile
    for description in every(4, IN_FILES):
        house.study(slices=1, description=description)
    page = sheet.page
    shifts = every(25, range(len(PAYLOADS)))
    for person, paths in {
        "reader": ("/worklist", f"/cases/{number}", review, "/styleguide"),
        "coordinator": ("/coordination", f"/cases/{number}"),
        "doctor-hostile": ("/status",),
        "admin": ("/admin", "/admin/users"),
    }.items():
        sheet.context.clear_cookies()
        sign_in(page, house, person)
        for shift, path in itertools.product(shifts, paths):
            placed = spread(house, number, PAYLOADS, shift)
            page.goto(path)
            page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            assert page.evaluate("window.xss") is None
            if path == f"/cases/{number}":
                shown = page.evaluate("document.querySelector('[data-history] .well').textContent")
                assert [one for one in PAYLOADS if one not in shown] == []
                everything = page.evaluate("document.body.textContent")
                assert [one for one in placed if one not in everything] == []
    words = "".join(pdf_text(house, review, tmp_path).split())
    assert "<script>alert(1)</script>" in words
    assert "onerror=alert(1)" in words


@pytest.mark.poppler
@pytest.mark.usefixtures("no_viewer")
def test_template_text_is_shown_and_never_evaluated(house: House, stage: Stage, tmp_path: Path) -> None:
    number, review = stage.template
    pages = {
        "reader": ("/worklist", f"/cases/{number}", review),
        "coordinator": ("/coordination", f"/cases/{number}"),
        "doctor-curly": ("/status",),
        "admin": ("/admin", "/admin/users"),
    }
    for person, paths in pages.items():
        client = house.signed_in(person)
        for path in paths:
            answer = client.get(path, base_url=BASE)
            assert answer.status_code == 200
            assert str(1337 * 1337) not in answer.text, path
            assert "SECRET_KEY" not in answer.text
    words = pdf_text(house, review, tmp_path)
    assert "{{1337*1337}}" in words
    assert str(1337 * 1337) not in words


@pytest.mark.usefixtures("no_viewer")
def test_a_signature_is_looked_for_when_the_line_breaks(house: House, sheet: Sheet, stage: Stage) -> None:
    _, review = stage.lines
    page = sheet.page
    sign_in(page, house, "second")
    page.goto(review)
    told = page.locator("[data-told]")

    def give() -> None:
        page.fill('[data-sign] input[name="password"]', PASSWORD)
        page.fill('[data-sign] input[name="totp"]', house.code("second"))
        page.keyboard.press("Control+Enter")

    page.check("[data-seen]")
    page.route("**/sign", lambda route: route.abort())
    give()
    told.get_by_text("Checking whether your signature arrived").wait_for()
    assert page.locator("[data-sign] button").is_disabled()
    told.get_by_text("It did not arrive").wait_for()
    page.unroute("**/sign")

    def lose_the_answer(route: Any) -> None:
        assert route.fetch(max_redirects=0).status == 200
        route.abort()

    page.route("**/sign", lose_the_answer)
    give()
    told.get_by_text("Your signature arrived").wait_for()
    page.wait_for_url("**/signed")


@pytest.mark.usefixtures("no_viewer")
def test_a_history_of_two_megabytes_and_a_paste_of_a_hundred_thousand_characters_lose_nothing(
    house: House, sheet: Sheet
) -> None:
    number = house.study(slices=1)
    with transaction(house.engine) as session:
        reading.reading_of(session, number, actor=SYSTEM).order.history = "咳嗽と発熱。" * 120_000
    page = sheet.page
    sign_in(page, house, "second")
    page.goto(f"/cases/{number}")
    page.locator('form[action$="/claim"] button').click()
    page.locator("[data-editor]").wait_for()
    assert page.locator("[data-history] summary").inner_text().endswith("720,000 characters")
    page.locator("[data-history] summary").click()
    box = page.locator("[data-history] .well")
    assert box.evaluate("(one) => one.textContent.length") == 720_000
    assert box.evaluate("(one) => one.scrollHeight > one.clientHeight && one.clientHeight < 400")
    page.locator("[data-history] summary").click()

    sent: list[str] = []
    page.on("request", lambda one: sent.append(one.url) if one.method == "POST" else None)
    page.fill('textarea[name="findings"]', "x" * 100_000)
    page.fill('textarea[name="impression"]', "short")
    told = page.locator("#length-findings")
    until(lambda: "now 100,000" in told.inner_text())
    assert f"{SECTION_LIMIT:,}" in told.inner_text()
    page.keyboard.press("Control+Enter")
    # Said once, where it is; and one is led there.
    until(lambda: page.evaluate("document.activeElement.name") == "findings")
    assert page.locator("[data-banner]").is_hidden()
    until(lambda: page.locator('textarea[name="findings"]').get_attribute("aria-invalid") == "true")
    assert sent == []
    page.reload()
    assert len(page.input_value('textarea[name="findings"]')) == 100_000
    page.fill('textarea[name="findings"]', "x" * SECTION_LIMIT)
    assert page.locator("#length-findings").is_hidden()
    until(lambda: page.locator("[data-saved]").inner_text().startswith("Saved"))


def test_each_page_has_one_filled_button_at_most(house: House, stage: Stage) -> None:
    clients = {person: house.signed_in(person) for person in {one.person for one in stage.pages} if person}
    for page in stage.pages:
        if page.name == "styleguide":
            continue
        client = clients[page.person] if page.person else house.client()
        text = client.get(page.path, base_url=BASE).text
        filled = re.findall(r'class="button (?:primary|solid-vermilion)"[^>]*', text)
        assert len([one for one in filled if " hidden" not in one]) <= 1, page.name
    first = clients["reader"].get("/worklist", base_url=BASE).text
    offered = re.search(r'class="button primary" href="/cases/(\w{8})"', first)
    assert offered is not None
    assert first.index(f'data-case="{offered[1]}"') < first.index("<table data-worklist")


@pytest.mark.usefixtures("no_viewer")
def test_a_character_that_the_typeface_lacks_is_told_below_its_section(house: House, sheet: Sheet) -> None:
    number = house.study(slices=1)
    page = sheet.page
    sign_in(page, house, "second")
    page.goto(f"/cases/{number}")
    page.locator('form[action$="/claim"] button').click()
    line = page.locator("#missing-findings")
    page.fill('textarea[name="findings"]', "𠮷野家 🦴")
    until(lambda: "typeface lacks 𠮷 🦴" in line.inner_text())
    page.fill('textarea[name="findings"]', "吉野家")
    until(line.is_hidden)


@pytest.mark.usefixtures("no_viewer")
def test_a_page_older_than_what_this_tab_saved_is_asked_for_once_more(house: House, sheet: Sheet) -> None:
    number = house.study(slices=1)
    page = sheet.page
    sign_in(page, house, "second")
    page.goto(f"/cases/{number}")
    page.locator('form[action$="/claim"] button').click()
    page.locator("[data-editor]").wait_for()
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if one.is_navigation_request() else None)
    page.evaluate("(name) => sessionStorage.setItem(name, '99')", f"teleread:revision:second:{number}")
    # The page asks for itself anew while it loads, so what began it may not end.
    page.evaluate("location.reload()")
    until(lambda: page.wait_for_timeout(50) or len(asked) == 2)
    page.wait_for_load_state()
    page.fill('textarea[name="findings"]', "No nodule.")
    page.locator("[data-saved]", has_text=re.compile(r"^\s*Saved")).wait_for()
    assert len(asked) == 2


@pytest.mark.usefixtures("undressed")
def test_the_maker_of_pictures_walks_a_page_in_both_languages_and_themes(
    house: House, chromium: Any, address: str, stage: Stage, tmp_path: Path
) -> None:
    wanted = tuple(page for page in stage.pages if page.name == "styleguide")
    written = screens.walk(house, wanted, tmp_path, chromium, address)
    assert sorted(path.name for path in written) == [
        f"styleguide-{theme}-{language}.png"
        for theme in screens.THEMES
        for language in sorted(screens.LANGUAGES)
    ]
    assert len({path.read_bytes() for path in written}) == 4
    assert all(path.stat().st_size < 150_000 for path in written)
