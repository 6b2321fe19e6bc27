"""The console as its own process with TLS, walked through in Chromium in both languages."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pyotp
import pytest

from gateway.console.certificate import certificate_path
from gateway.layout import Layout
from tests.gateway.console_box import Box, open_box, other_instance
from tests.gateway.facility import instance, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Page

US = "1.2.840.10008.5.1.4.1.1.6.1"
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def free_port() -> int:
    """Return a port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Site:
    """A running console."""

    url: str
    box: Box
    process: "subprocess.Popen[bytes]"

    def code(self, username: str) -> str:
        """Return a code that has not been used: the digits of a step that is still to be waited for, or now."""
        totp = pyotp.TOTP(self.box.people[username].totp_secret)
        used = self.box.console.store.connection.execute(
            "SELECT totp_step FROM user WHERE username = ?", (username,)
        ).fetchone()[0]
        step = max(int(time.time()) // 30, used + 1)
        return totp.at(step * 30)


@contextmanager
def running(data: Path) -> Iterator[Site]:
    """Lay a box with studies in every state, and run its console."""
    port = free_port()
    with open_box(data, console_port=port) as box:
        box.clock[0] = datetime.now(UTC)
        box.console.settings.write()
        lay_studies(box)
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway.main", "console", "--data", str(data), "--supervised"],
            stdin=subprocess.PIPE,
        )
        try:
            site = Site(f"https://localhost:{port}", box, process)
            wait_until(lambda: answers(port), seconds=60)
            yield site
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


def answers(port: int) -> bool:
    """Say whether the site is up."""
    try:
        with httpx.Client(verify=False, trust_env=False, timeout=60) as client:  # noqa: S501 - only whether it answers
            return client.get(f"https://127.0.0.1:{port}/sign-in").status_code == 200
    except httpx.HTTPError:
        return False


def lay_studies(box: Box) -> None:
    """Make studies of synthetic patients: delivered, being read, being sent, held, stopped."""
    people = (
        ("Mihon^Sakurako=見本^桜子=ミホン^サクラコ", "0012-3456", "F", "delivered"),
        ("Shiken^Tarou=試験^太郎=シケン^タロウ", "0009-1120", "M", "reading"),
        ("Kakuu^Takeshi=架空^健=カクウ^タケシ", "0011-7702", "M", ""),
        ("Kamei^Minoru=仮名^実=カメイ^ミノル", "0010-5513", "M", "final"),
    )
    for number, (name, patient_id, sex, display_status) in enumerate(people, 1):
        box.take(
            instance(
                1,
                study_uid=f"1.2.392.9.{number}",
                patient_id=patient_id,
                PatientName=name,
                PatientSex=sex,
                AccessionNumber=f"ACC{number}",
                StudyDescription="胸部 単純",
                StudyDate=datetime.now(UTC).strftime("%Y%m%d"),
            )
        )
        if display_status:
            box.at_centre(
                display_status,
                f"4MZ09D8{number}",
                study_id=number,
                due_at=box.now + timedelta(hours=5),
                is_assigned=True,
            )
    box.report("delivered", study_id=1, pdf=_pdf())
    box.report("held", reason="sex", study_id=4)
    box.take(other_instance(1, SOPClassUID=US, Modality="US", StudyDescription="甲状腺"))


def _pdf() -> bytes:
    return (
        b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("console") / "box") as site:
        yield site


def test_the_console_speaks_tls_with_the_certificate_of_the_box_and_nothing_else(site: Site) -> None:
    context = ssl.create_default_context(cafile=str(certificate_path(Layout(site.box.console.settings.data))))
    with httpx.Client(verify=context, trust_env=False, timeout=60) as client:
        answer = client.get(f"{site.url}/studies")
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in")
    with pytest.raises(httpx.HTTPError), httpx.Client(trust_env=False) as client:
        client.get(site.url.replace("https", "http"))


def test_the_console_ends_with_its_supervisor(tmp_path: Path) -> None:
    with running(tmp_path / "box") as other:
        assert other.process.stdin is not None
        other.process.stdin.close()
        assert other.process.wait(30) == 0


@pytest.mark.browser
@pytest.mark.parametrize("language", ["ja", "en"])
def test_a_day_at_the_console(site: Site, language: str) -> None:
    from playwright.sync_api import sync_playwright

    folder = Path(os.environ["CONSOLE_SCREENS"]) if "CONSOLE_SCREENS" in os.environ else None

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
        context = browser.new_context(
            ignore_https_errors=True, viewport={"width": 1440, "height": 900}, locale=language
        )
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda problem: said.append(str(problem)))

        def keep(name: str) -> None:
            page.evaluate("document.fonts.ready.then(() => true)")
            # Nothing is wider than the window: no page scrolls sideways.
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
            assert page.evaluate("document.documentElement.lang") == language
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
                page.screenshot(path=folder / f"console-{name}-{language}.png", full_page=False)

        page.goto(f"{site.url}/")
        keep("sign-in")
        page.fill("[name=username]", "operator")
        page.fill("[name=password]", "wrong password here")
        page.fill("[name=code]", "000000")
        page.keyboard.press("Enter")
        page.wait_for_selector("[role=alert]")
        keep("sign-in-refused")
        page.fill("[name=password]", site.box.people["operator"].password)
        page.fill("[name=code]", site.code("operator"))
        page.keyboard.press("Enter")
        page.wait_for_selector("table")
        # The account's own language counts from here on, so the choice is made by its button.
        if page.evaluate("document.documentElement.lang") != language:
            page.click(f"button[name=language][value={language}]")
            page.wait_for_selector(f"html[lang={language}]")
        keep("studies")
        page.keyboard.press("/")
        page.keyboard.type("みほん")
        page.keyboard.press("Enter")
        page.wait_for_selector(".chip a")
        assert page.locator("tr[data-row]").count() == 1
        page.locator("h1").click()
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_selector("iframe.pdf")
        keep("study")
        page.keyboard.press("h")
        page.wait_for_selector("a.lead")
        keep("held-list")
        page.keyboard.press("j")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile(r"/held/\d+$"))
        wait_until(lambda: page.evaluate("document.querySelector('.stage img').naturalWidth") > 0)
        draw_boxes(page)
        keep("held")
        page.goto(f"{site.url}/deliveries")
        keep("deliveries")
        page.goto(f"{site.url}/line")
        keep("line")
        fill_request(page, site)
        keep("request-named")
        # One key replaces the name, and then it may leave.
        page.click("button[value='replace:history']")
        page.wait_for_selector("textarea[name=history]:not([aria-invalid])")
        assert "見本" not in page.input_value("[name=history]")
        keep("request")
        page.keyboard.press("Control+Enter")
        page.wait_for_url(re.compile(r"/request/[0-9A-Z]{12}$"))
        keep("request-sent")
        page.goto(f"{site.url}/people")
        keep("not-allowed")
        page.locator("form[action='/sign-out'] button").click()
        page.wait_for_url(f"{site.url}/sign-in")
        page.go_back()
        page.wait_for_url(re.compile("/sign-in"))
        assert "見本" not in page.content()
        sign_in(page, site, "admin")
        for name in ("people", "record"):
            page.goto(f"{site.url}/{name}")
            if page.evaluate("document.documentElement.lang") != language:
                page.click(f"button[name=language][value={language}]")
                page.wait_for_selector(f"html[lang={language}]")
                page.goto(f"{site.url}/{name}")
            keep(name)
        # What the browser complains of are the two refusals that the walk asked for.
        assert all(re.search(r"status of 40[03]", text) for text in said), said
        browser.close()


def draw_boxes(page: "Page") -> None:
    """Draw, move, size and delete a box by keys alone, then draw one by mouse."""
    field = page.locator("textarea[name=boxes]")
    page.keyboard.press("b")
    assert field.input_value() == "0,0,3,8"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    assert field.input_value() == "1,0,3,7"
    assert page.locator("figure.main rect.chosen").get_attribute("x") == "1"
    page.keyboard.press("Delete")
    assert field.input_value() == ""
    cover = page.locator("figure.main svg.boxes").bounding_box()
    assert cover is not None
    middle, unit = cover["x"] + cover["width"] / 2, min(cover["width"], cover["height"]) / 8
    page.mouse.move(middle, cover["y"] + unit)
    page.mouse.down()
    page.mouse.move(middle + 3.4 * unit, cover["y"] + 5 * unit, steps=4)
    page.mouse.up()
    assert field.input_value() == "4,1,3,4"
    page.keyboard.press("2")
    assert page.locator("input[value=release_as_is]").is_checked()
    page.keyboard.press("1")
    words = page.locator("main .button.primary").inner_text()
    assert "隠して送る" in words or "Mask and send" in words
    page.keyboard.down("o")
    assert page.locator("form.bare").count() == 1
    page.keyboard.up("o")
    assert page.locator("form.bare").count() == 0


def fill_request(page: object, site: Site) -> None:
    """Find a patient in any kana, and write the name into the history."""
    from playwright.sync_api import Page

    assert isinstance(page, Page)
    page.goto(f"{site.url}/request")
    page.fill("#find", "みほん")
    page.click("button[value=find]")
    page.click("button[value^='take:']")
    assert page.input_value("[name=patient_id]") == "0012-3456"
    page.fill("[name=body_part]", "胸部")
    page.check("[name=priority][value=urgent]", force=True)
    page.fill("[name=clinical_question]", "右肺上葉結節の増大の有無。悪性を疑うか。")
    page.fill(
        "[name=history]", "8か月前のCTで8 mmの結節。3か月で3 kgの体重減少。ﾐﾎﾝさんのご家族も精査を希望。"
    )
    page.fill("[name=responsible_doctor]", "例示 五郎")
    page.fill("[name=callback_phone]", "内線 2210")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("[role=alert]")


class Keys:
    """A page that is driven by keys alone."""

    def __init__(self, page: "Page") -> None:
        self.page = page

    def to(self, selector: str, *, back: bool = False) -> None:
        """Tab on until what `selector` finds has the focus."""
        for _ in range(120):
            if self.page.evaluate("s => document.activeElement.matches(s)", selector):
                return
            self.page.keyboard.press("Shift+Tab" if back else "Tab")
        raise AssertionError(f"no way to {selector} by Tab")

    def press(self, selector: str, key: str = "Enter", *, back: bool = False) -> None:
        """Go there and press a key."""
        self.to(selector, back=back)
        self.page.keyboard.press(key)

    def type(self, selector: str, text: str) -> None:
        """Go there and type."""
        self.to(selector)
        self.page.keyboard.insert_text(text)


@contextmanager
def opened(site: Site) -> "Iterator[Page]":
    """Open a page of a fresh browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
        context = browser.new_context(
            ignore_https_errors=True, viewport={"width": 1440, "height": 900}, locale="ja"
        )
        page = context.new_page()
        page.goto(f"{site.url}/")
        yield page
        browser.close()


def sign_in(page: "Page", site: Site, username: str) -> None:
    """Sign in by keys; the cursor stands in the first field."""
    keys = Keys(page)
    keys.type("[name=username]", username)
    keys.type("[name=password]", site.box.people[username].password)
    keys.type("[name=code]", site.code(username))
    page.keyboard.press("Enter")
    page.wait_for_selector("nav")


@pytest.mark.browser
@pytest.mark.centre
def test_the_facility_s_day_by_keyboard_alone(site: Site) -> None:
    with opened(site) as page:
        keys = Keys(page)
        sign_in(page, site, "doctor")
        keys.press("nav a[href='/request']")
        page.wait_for_selector("#find")
        keys.type("#find", "みほん")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector("button[value^='take:']")
        keys.press("button[value^='take:']")
        wait_until(lambda: page.input_value("[name=patient_id]") == "0012-3456")
        keys.type("[name=body_part]", "胸部")
        keys.press("[name=priority]", "Space")
        page.keyboard.press("ArrowRight")
        keys.type("[name=clinical_question]", "結節の増大の有無。")
        keys.type("[name=responsible_doctor]", "例示 五郎")
        keys.type("[name=callback_phone]", "内線 2210")
        assert page.is_checked("[name=priority][value=urgent]")
        page.keyboard.press("Control+Enter")
        page.wait_for_url(re.compile(r"/request/[0-9A-Z]{12}$"))
        keys.press("nav a[href='/studies']")
        page.wait_for_selector("tr[data-row]")
        page.keyboard.press("/")
        page.keyboard.insert_text("みほん")
        page.keyboard.press("Enter")
        page.wait_for_selector(".chip a")
        keys.press("a.lead")
        page.wait_for_selector("iframe.pdf")
        with page.context.expect_page() as report:
            keys.press("aside a[href$='/pdf']")
        assert "/reports/" in report.value.url or report.value.url == "about:blank"
        report.value.close()
        keys.press("form[action='/sign-out'] button", back=True)
        page.wait_for_url(re.compile("/sign-in"))
    acts = [act for who, act, _ in site.box.record() if who == "doctor"]
    # Each act of the walk has its line, the refused and the quiet ones too (T-26, the console's half).
    assert acts[0] == "sign_in"
    assert acts[-1] == "sign_out"
    assert {"names.shown", "order.send", "report.shown"} <= set(acts)
    assert list(site.box.console.store.faults()) == []


AXE = Path(__file__).parents[3] / "node_modules" / "axe-core" / "axe.min.js"


@pytest.mark.browser
@pytest.mark.centre
@pytest.mark.skipif(not AXE.exists(), reason="axe-core is not laid: run `make setup`")
def test_axe_finds_no_serious_fault_on_any_page_of_the_console(site: Site) -> None:
    axe = AXE.read_text("utf-8")
    faults: list[str] = []
    with opened(site) as page:

        def look(path: str) -> None:
            page.goto(f"{site.url}{path}")
            page.evaluate(axe)
            found = page.evaluate("axe.run(document, {iframes: false, resultTypes: ['violations']})")
            assert len(found["passes"]) > 10
            faults.extend(
                f"{path}: {each['id']} {node['target']}"
                for each in found["violations"]
                if each["impact"] in {"serious", "critical"}
                for node in each["nodes"][:3]
            )

        look("/sign-in")
        sign_in(page, site, "operator")
        held = page.evaluate("fetch('/held').then(a => a.text())").split('href="/held/')[1].split('"')[0]
        for path in (
            "/studies",
            "/studies/1",
            "/held",
            f"/held/{held}",
            "/rules",
            "/deliveries",
            "/request",
            "/line",
            "/people",
        ):
            look(path)
        page.goto(f"{site.url}/request")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("[role=alert]")
        page.evaluate(axe)
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        faults += [
            f"sent empty: {each['id']}"
            for each in found["violations"]
            if each["impact"] in {"serious", "critical"}
        ]
        page.context.clear_cookies()
        page.goto(f"{site.url}/sign-in")
        sign_in(page, site, "admin")
        for path in ("/people", "/record"):
            look(path)
    assert faults == []
