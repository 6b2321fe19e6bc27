"""The console's pages through the test client: who may see what, what is recorded, what never gets out."""

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest

from gateway.console.access import ALLOWED, Action, Role
from gateway.console.app import create_app
from gateway.console.security import OPEN
from gateway.console.words import TEXTS
from gateway.pixel_rules import finding_of, policy_of
from teleread.dicom.deid.deidentify import HELD_REASONS
from teleread.dicom.deid.device_rules import Reading, Unconfirmed
from teleread.dicom.deid.ocr import languages
from teleread.dicom.deid.regions import Region
from teleread.domain.identifiers import new_case_number
from teleread.errors import TransitionNotAllowed
from tests.gateway.console_box import Box, open_box, other_instance
from tests.gateway.facility import instance

SCRIPT = "<script>alert(1)</script>{{7*7}}"
US = "1.2.840.10008.5.1.4.1.1.6.1"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with open_box(tmp_path / "box") as box:
        yield box


def addresses(box: Box) -> list[tuple[str, str, str]]:
    """Every route with an address and each method: endpoint, method, address."""
    app = create_app(box.console)
    found = []
    for rule in app.url_map.iter_rules():
        address = re.sub(r"<int:[^>]+>", "1", rule.rule)
        address = re.sub(r"<[^>]+>", "XXXXXXXXXXXX", address)
        found += [
            (rule.endpoint, method, address) for method in rule.methods or () if method in {"GET", "POST"}
        ]
    return found


def test_every_route_is_open_on_purpose_or_has_its_action(box: Box) -> None:
    app = create_app(box.console)
    for rule in app.url_map.iter_rules():
        marked = getattr(app.view_functions[rule.endpoint], "needs", None)
        assert (rule.endpoint in OPEN) != isinstance(marked, Action), rule.endpoint


def test_no_route_answers_without_a_session(box: Box) -> None:
    browser = box.browser()
    for endpoint, method, address in addresses(box):
        if endpoint in OPEN:
            continue
        answer = browser.get(address) if method == "GET" else browser.post(address)
        assert answer.status_code == 303, (endpoint, answer.status_code)
        assert answer.location.startswith("/sign-in")


def test_every_route_refuses_a_form_without_its_token(box: Box) -> None:
    browser = box.signed_in("admin")
    for endpoint, method, address in addresses(box):
        if method == "POST":
            for form in ({}, {"csrf_token": "0" * 64}):
                answer = browser.client.post(address, base_url="https://localhost", data=form)
                assert answer.status_code == 400, endpoint
    assert box.browser().client.post("/sign-in", base_url="https://localhost").status_code == 400


@pytest.mark.parametrize("role", Role)
def test_a_role_may_do_what_its_line_in_the_table_says_and_nothing_else(box: Box, role: Role) -> None:
    box.add("person", role)
    browser = box.signed_in("person")
    app = create_app(box.console)
    for endpoint, method, address in addresses(box):
        action = getattr(app.view_functions[endpoint], "needs", None)
        if action is None or endpoint == "sign_in.sign_out":
            continue
        answer = browser.get(address) if method == "GET" else browser.post(address)
        assert (answer.status_code == 403) == (role not in ALLOWED[action]), (endpoint, answer.status_code)
        assert answer.status_code < 500, endpoint


def test_the_right_password_and_code_let_a_person_in_under_another_token(box: Box) -> None:
    browser = box.browser()
    browser.get("/sign-in")
    before = browser.client.get_cookie("__Host-teleread-console", domain="localhost")
    assert browser.sign_in("operator").status_code == 303
    after = browser.client.get_cookie("__Host-teleread-console", domain="localhost")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    assert browser.get("/studies").status_code == 200


def test_the_cookie_is_for_this_site_over_tls_only(box: Box) -> None:
    cookie = box.browser().get("/sign-in").headers["Set-Cookie"]
    assert cookie.startswith("__Host-")
    for word in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"):
        assert word in cookie


def test_one_code_lets_in_once(box: Box) -> None:
    code = box.code("operator")
    assert box.browser().sign_in("operator", code=code).status_code == 303
    assert box.browser().sign_in("operator", code=code).status_code == 403


def test_a_recovery_code_lets_in_once_however_it_is_typed(box: Box) -> None:
    code = box.people["operator"].recovery_codes[0]
    assert box.browser().sign_in("operator", code=code.lower().replace("-", " ")).status_code == 303
    assert box.browser().sign_in("operator", code=code).status_code == 403


def test_full_width_digits_are_a_code(box: Box) -> None:
    wide = box.code("operator").translate({ord("0") + n: "０１２３４５６７８９"[n] for n in range(10)})
    assert box.browser().sign_in("operator", code=wide).status_code == 303


def test_a_wrong_code_five_times_says_the_same_each_time_and_the_right_one_still_works(box: Box) -> None:
    pages = {
        re.sub(r'value="[0-9a-f]{64}"', "", box.browser().sign_in("operator", code="000000").text)
        for _ in range(5)
    }
    assert len(pages) == 1
    assert TEXTS["sign_in.refused"][0] in pages.pop()
    assert box.browser().sign_in("operator").status_code == 303


def test_refusal_does_not_say_what_was_wrong(box: Box) -> None:
    pages = set()
    for arguments in ({"password": "wrong password!"}, {"code": "000000"}):
        page = box.browser().sign_in("operator", **arguments)
        assert page.status_code == 403
        pages.add(re.sub(r'value="[^"]*"', "", page.text))
    pages.add(re.sub(r'value="[^"]*"', "", box.browser().sign_in("nobody").text))
    assert len(pages) == 1


def test_ten_refusals_close_an_account_for_a_quarter_of_an_hour_and_no_longer(box: Box) -> None:
    for _ in range(10):
        box.browser().sign_in("operator", code="000000")
    assert box.browser().sign_in("operator").status_code == 403
    assert box.browser().sign_in("doctor").status_code == 303
    box.later(minutes=15)
    assert box.browser().sign_in("operator").status_code == 303


def test_an_address_that_guesses_names_is_closed_too(box: Box) -> None:
    store = box.console.store
    with store.writing() as connection:
        connection.executemany(
            "INSERT INTO refusal VALUES (?, '127.0.0.1', ?)",
            [(f"{number}", int(box.now.timestamp() * 1000)) for number in range(50)],
        )
    assert box.browser().sign_in("operator").status_code == 403


def test_a_session_ends_without_use_and_after_twelve_hours(box: Box) -> None:
    browser = box.signed_in()
    box.later(minutes=14)
    assert browser.get("/studies").status_code == 200
    box.later(minutes=16)
    assert browser.get("/studies").status_code == 303
    browser = box.signed_in()
    for _ in range(12 * 60 // 14):
        box.later(minutes=14)
        browser.get("/studies")
    box.later(minutes=14)
    assert browser.get("/studies").status_code == 303


def test_looking_for_news_is_not_use(box: Box) -> None:
    browser = box.signed_in()
    for _ in range(2):
        box.later(minutes=8)
        last = browser.get("/studies/version", headers={"X-Background": "1"})
    assert last.status_code == 401


def test_sign_out_and_disabling_end_a_session_at_once(box: Box) -> None:
    browser, stolen = box.signed_in(), box.browser()
    cookie = browser.client.get_cookie("__Host-teleread-console", domain="localhost")
    assert cookie is not None
    stolen.client.set_cookie("__Host-teleread-console", cookie.value, domain="localhost", secure=True)
    assert stolen.get("/studies").status_code == 200
    answer = browser.post("/sign-out")
    assert answer.headers["Clear-Site-Data"] == '"cache", "storage"'
    assert stolen.get("/studies").status_code == 303
    other = box.signed_in("doctor")
    assert box.signed_in("admin").post("/people/doctor/disable").status_code == 303
    assert other.get("/studies").status_code == 303
    assert box.browser().sign_in("doctor").status_code == 403


def test_the_way_back_after_changing_the_language_stays_on_this_site(box: Box) -> None:
    for back in (
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "/\tevil",
        "javascript:alert(1)",
        "",
    ):
        answer = box.browser().post("/language", language="en", back=back)
        assert answer.location == "/sign-in", back


def test_pages_are_in_the_language_of_the_person_and_of_the_choice(box: Box) -> None:
    box.add("smith", "operator", language="en")
    browser = box.signed_in("smith")
    assert '<html lang="en">' in browser.get("/studies").text
    browser.post("/language", language="ja", back="/studies")
    assert '<html lang="ja">' in browser.get("/studies").text


def test_every_answer_has_the_strict_headers(box: Box) -> None:
    browser = box.signed_in("admin")
    for address in ("/sign-in", "/studies", "/line", "/nowhere", "/static/console.css"):
        answer = browser.get(address)
        headers = answer.headers
        answer.close()
        policy = headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        if not address.startswith("/static"):
            assert headers["Cache-Control"] == "no-store"


def test_the_list_leads_with_name_and_kana_and_records_who_saw_it(box: Box) -> None:
    box.take(instance(1), other_instance(1))
    page = box.signed_in().get("/studies").text
    assert "山田 太郎" in page
    assert "やまだ たろう" in page
    assert "髙﨑 例子" in page
    who, act, detail = box.record()[-1]
    assert (who, act, detail["page"]) == ("operator", "names.shown", "studies")
    assert len(detail["pseudonyms"]) == 2
    assert list(box.console.store.faults()) == []


@pytest.mark.parametrize(
    "query", ["やまだ", "ヤマダ", "ﾔﾏﾀﾞ", "yamada", "ＹＡＭＡＤＡ", "山田太郎", "0012345", "００１２３４５"]
)
def test_search_finds_a_patient_however_typed(box: Box, query: str) -> None:
    box.take(instance(1), other_instance(1))
    page = box.signed_in().post("/studies", query=query).text
    assert "山田 太郎" in page
    assert "髙﨑" not in page


def test_search_finds_a_case_number_as_heard_on_the_phone_and_a_variant_character(box: Box) -> None:
    box.take(instance(1), other_instance(1))
    case_number = new_case_number(lambda _: 1)
    box.at_centre("reading", case_number)
    browser = box.signed_in()
    heard = f"{case_number[:4]}-{case_number[4:]}".lower().replace("1", "l")
    assert "山田 太郎" in browser.post("/studies", query=heard).text
    assert "髙﨑 例子" in browser.post("/studies", query="高崎").text


def test_script_in_names_and_descriptions_is_text(box: Box) -> None:
    box.take(
        instance(1, PatientName=f"{SCRIPT}^x", StudyDescription=SCRIPT[:64]),
        other_instance(1, SOPClassUID=US, Modality="US", StudyDescription=SCRIPT[:64]),
    )
    browser = box.signed_in()
    held = box.console.spool.connection.execute("SELECT id FROM item WHERE state = 'held'").fetchone()[0]
    for address in ("/studies", "/studies/1", "/held", f"/held/{held}"):
        page = browser.get(address).text
        assert "<script>alert" not in page
        assert "49" not in re.sub(r'value="[0-9a-f]{64}"', "", page) or address == "/studies"
    assert "&lt;script&gt;" in browser.get("/studies").text


def test_names_stay_out_of_logs_addresses_and_the_record(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    box.take(instance(1))
    browser = box.signed_in()
    browser.post("/studies", query="山田")
    browser.get("/studies/1")
    browser.post("/request", act="find", find="山田")
    browser.get("/nowhere/山田")
    said = caplog.text + str(box.record())
    for name in ("山田", "やまだ", "Yamada", "0012345", "19590314"):
        assert name not in said


def test_the_record_is_found_broken_when_a_row_is_changed_or_gone(box: Box) -> None:
    browser = box.signed_in("admin")
    assert TEXTS["record.whole"][0] in browser.get("/record").text
    connection = box.console.store.connection
    with pytest.raises(Exception, match="append-only"):
        connection.execute("DELETE FROM audit")
    connection.execute("DROP TRIGGER audit_keeps_its_words")
    connection.execute("UPDATE audit SET who = 'other' WHERE sequence = 2")
    assert [fault.kind for fault in box.console.store.faults()] == ["changed"]
    assert TEXTS["record.whole"][0] not in browser.get("/record").text


def test_a_report_is_shown_with_the_name_and_that_is_recorded(box: Box) -> None:
    box.take(instance(1))
    box.at_centre("delivered")
    package = box.report("delivered", pdf=b"%PDF-1.7 named")
    browser = box.signed_in("doctor")
    page = browser.get("/studies/1").text
    assert f"/reports/{package}/pdf" in page
    assert TEXTS["track.unacknowledged"][0] in page
    answer = browser.get(f"/reports/{package}/pdf")
    assert answer.data == b"%PDF-1.7 named"
    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]
    assert box.record()[-1][1] == "report.shown"
    assert browser.get("/reports/nothing/pdf").status_code == 404


def test_two_different_people_release_a_report_that_the_check_stopped(box: Box) -> None:
    box.take(instance(1))
    box.at_centre("final")
    package = box.report("held", reason="sex")
    first, second = box.signed_in("operator"), box.signed_in("doctor")
    assert first.post(f"/reports/{package}/release", note="").status_code == 200
    assert first.post(f"/reports/{package}/release", note="性別を受付で確認").status_code == 303
    assert (
        TEXTS["problem.second_person"][0] in first.post(f"/reports/{package}/release", note="もう一度").text
    )
    row = box.console.spool.connection.execute("SELECT state FROM package").fetchone()
    assert row["state"] == "held"
    assert second.post(f"/reports/{package}/release", note="カルテと照合").status_code == 303
    row = box.console.spool.connection.execute("SELECT state, reason FROM package").fetchone()
    assert (row["state"], row["reason"]) == ("in_transit", "sex")
    events = box.console.spool.connection.execute("SELECT actor, event FROM event WHERE machine = 'delivery'")
    assert [tuple(each) for each in events] == [("doctor, operator", "released")]
    told = box.console.spool.connection.execute("SELECT document FROM notice").fetchall()
    assert len(told) == 1
    assert "受付" not in told[0]["document"]


def test_a_failed_report_is_tried_again_and_the_centre_hears_of_it(box: Box) -> None:
    box.take(instance(1))
    box.at_centre("final")
    package = box.report("failed", reason="0xA900")
    assert box.signed_in("doctor").post(f"/reports/{package}/send").status_code == 403
    assert box.signed_in().post(f"/reports/{package}/send").status_code == 303
    connection = box.console.spool.connection
    assert connection.execute("SELECT state FROM package").fetchone()[0] == "in_transit"
    assert ['"retry"' in row[0] for row in connection.execute("SELECT document FROM notice")] == [True, False]


def us_image(number: int, **changes: Any) -> Any:
    """Return an ultrasound image of a device that nobody knows yet."""
    kind = {"SOPClassUID": US, "Modality": "US", "ImageType": ["ORIGINAL", "PRIMARY"]}
    return other_instance(number, **kind | changes)


def held_us(box: Box, count: int = 1, **changes: Any) -> int:
    """Have ultrasound images held, and return the first one's number."""
    for number in range(count):
        box.take(us_image(number + 1, **changes))
    return int(
        box.console.spool.connection.execute("SELECT min(id) FROM item WHERE state = 'held'").fetchone()[0]
    )


def test_a_held_image_is_shown_and_leaves_only_when_somebody_has_looked_and_says_why(box: Box) -> None:
    item = held_us(box)
    browser = box.signed_in()
    page = browser.get(f"/held/{item}").text
    assert HELD_REASONS["risky_kind"]["ja"] in page
    picture = browser.get(f"/held/{item}/picture")
    assert picture.data.startswith(b"\x89PNG")
    assert browser.post(f"/held/{item}", way="release_as_is", note="文字なし").status_code == 400
    assert browser.post(f"/held/{item}", way="release_as_is", looked="1").status_code == 400
    assert (
        browser.post(f"/held/{item}", way="release_as_is", looked="1", note="文字なしを確認").status_code
        == 303
    )
    row = box.console.spool.connection.execute("SELECT * FROM item WHERE id = ?", (item,)).fetchone()
    assert row["state"] == "clean"
    assert box.console.spool.clean_path(item).exists()
    assert "髙﨑".encode("cp932") not in box.console.spool.clean_path(item).read_bytes()
    event = box.console.spool.connection.execute(
        "SELECT * FROM event WHERE event = 'release_as_is'"
    ).fetchone()
    assert (event["actor"], event["reason"]) == ("operator", "文字なしを確認")
    study = browser.get("/studies/1").text
    assert "文字なしを確認" in study
    assert browser.get(f"/held/{item}/picture").status_code == 409


def test_a_reason_that_no_look_answers_cannot_be_overruled(box: Box) -> None:
    box.take(instance(1, PatientID=""))
    browser = box.signed_in()
    assert TEXTS["held.not_releasable"][0] in browser.get("/held/1").text
    assert browser.post("/held/1", way="release_as_is", looked="1", note="送りたい").status_code == 409
    with pytest.raises(TransitionNotAllowed):
        box.console.decisions.release_as_is(1, username="operator", note="送りたい")


def test_alike_images_are_discarded_together_and_the_reason_stays_on_the_box(box: Box) -> None:
    item = held_us(box, 3)
    browser = box.signed_in()
    assert browser.post(f"/held/{item}", way="discard", all="1", note="高崎さんの氏名あり").status_code == 303
    rows = box.console.spool.connection.execute("SELECT state, reason FROM item").fetchall()
    assert {tuple(row) for row in rows} == {("discarded", "risky_kind")}
    assert "高崎" not in str(box.record())


def test_trying_again_puts_a_file_back_in_the_queue(box: Box) -> None:
    item = held_us(box)
    assert box.signed_in().post(f"/held/{item}", way="retry").status_code == 303
    assert box.console.spool.connection.execute("SELECT state FROM item").fetchone()[0] == "received"
    assert box.signed_in().post(f"/held/{item}", way="retry").status_code == 404


def test_the_line_page_tells_health_and_the_peer_test_its_reason(box: Box) -> None:
    browser = box.signed_in()
    page = browser.get("/line").text
    assert "SHA-256" in page
    assert "PACS" in page
    answer = browser.post("/line/echo", peer="0").text
    assert TEXTS["echo.no_connection"][0] in answer
    assert browser.post("/line/echo", peer="7").status_code == 404


def test_a_password_has_thirteen_characters_and_not_the_name(box: Box) -> None:
    from gateway.console.accounts import check_password
    from teleread.errors import InvalidInput

    for bad in ("short", "aaaaaaaaaaaaaaaaaa", "operator-operator", "x" * 300):
        with pytest.raises(InvalidInput):
            check_password(bad, "operator")
    assert check_password("thirteen chars!", "operator")


def test_a_new_person_is_made_at_the_console_and_their_secret_is_kept_sealed(box: Box) -> None:
    page = (
        box.signed_in("admin").post("/people", username="new", display_name="新しい人", roles=["doctor"]).text
    )
    secret = re.search(r"<code>([A-Z2-7]{32})</code>", page)
    assert secret is not None
    assert secret.group(1).encode() not in (box.console.layout.data / "console.sqlite3").read_bytes()
    answer = box.signed_in("admin").post("/people", username="new", display_name="x", roles=["doctor"])
    assert answer.status_code == 400
    assert box.signed_in("admin").post("/people/admin/disable").status_code == 400


def test_a_fault_tells_nothing_and_names_nobody(
    box: Box, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("山田 太郎")

    browser = box.signed_in()
    monkeypatch.setattr("gateway.console.flow.list_studies", broken)
    answer = browser.get("/studies")
    assert answer.status_code == 500
    assert "山田" not in answer.text + caplog.text


def pixels_of(box: Box, item: int) -> Any:
    return pydicom.dcmread(box.console.spool.clean_path(item)).pixel_array


def test_boxes_are_hidden_in_all_alike_by_one_decision_and_the_device_is_remembered(box: Box) -> None:
    pixels = b"\0\0" + b"\1\2" * 63
    device = {"Manufacturer": "SAMPLE", "ManufacturerModelName": "US2", "pixels": pixels}
    item = held_us(box, 2, **device)
    browser = box.signed_in()
    page = browser.get(f"/held/{item}").text
    assert TEXTS["held.act_all"][0].format(number=2) in page
    form = {"way": "release_masked", "all": "1", "boxes": "0,0,8,3", "remember": "1"}
    assert browser.post(f"/held/{item}", **form).status_code == 303
    for number in (item, item + 1):
        pixels = pixels_of(box, number)
        assert set(pixels[:3].flat) == {0}
        assert set(pixels[3:].flat) == {0x0201}
        assert finding_of(box.console.spool, number).masked == (Region(0, 0, 8, 3),)
    events = box.console.spool.connection.execute(
        "SELECT actor FROM event WHERE event = 'release_masked'"
    ).fetchall()
    assert [row["actor"] for row in events] == ["operator", "operator"]
    acts = [act for _, act, _ in box.record()]
    assert acts[-2:] == ["rule.made", "held.decide"]
    # The next image of the device goes by itself, one of another size does not.
    box.take(us_image(7, **device))
    box.take(us_image(8, **device, Rows=4, Columns=16))
    states = [row["state"] for row in box.console.spool.connection.execute("SELECT state FROM item")]
    assert states[-2:] == ["clean", "held"]


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"boxes": ""}, "problem.no_box"),
        ({"boxes": "1,2,3"}, "problem.box"),
        ({"boxes": "90,90,5,5"}, "problem.not_maskable"),
        ({"boxes": "0,0,8,3", "remember": "1"}, "problem.no_device"),
    ],
)
def test_a_mask_that_hides_nothing_sends_nothing(box: Box, form: dict[str, str], problem: str) -> None:
    item = held_us(box)
    answer = box.signed_in().post(f"/held/{item}", way="release_masked", **form)
    assert answer.status_code == 400
    assert TEXTS[problem][0] in answer.text
    assert form["boxes"] in answer.text
    assert list((box.console.layout.clean).iterdir()) == []
    assert box.console.spool.connection.execute("SELECT state FROM item").fetchone()[0] == "held"


def test_each_frame_is_shown_and_a_look_under_the_boxes_is_recorded(box: Box) -> None:
    item = held_us(box, NumberOfFrames=2, Rows=4)
    browser = box.signed_in()
    assert 'max="2"' in browser.get(f"/held/{item}").text
    assert browser.get(f"/held/{item}/picture?frame=2").data.startswith(b"\x89PNG")
    assert browser.get(f"/held/{item}/picture?frame=3").status_code == 400
    assert browser.get(f"/held/{item}/picture?frame=x").status_code == 404
    assert browser.post(f"/held/{item}/uncovered").status_code == 204
    assert box.record()[-1][1] == "held.uncovered"


def test_a_rule_is_made_only_after_it_was_tried_on_an_image_that_is_here(box: Box) -> None:
    held_us(box, Manufacturer="SAMPLE", ManufacturerModelName="US2")
    browser = box.signed_in()
    form = {
        "name": "US2",
        "modality": "us",
        "model": "US2",
        "columns": "8",
        "rows": "8",
        "regions": "0,0,8,2",
    }
    tried = browser.post("/rules", save="0", **form)
    assert TEXTS["rules.matching"][0].format(number=1, of=1) in tried.text
    assert 'width="8" height="2"' in tried.text
    assert browser.get("/rules/picture/1").data.startswith(b"\x89PNG")
    assert policy_of(box.console.spool).rules == ()
    assert browser.post("/rules", save="1", **form | {"model": "US3"}).status_code == 400
    assert browser.post("/rules", save="1", **form | {"regions": "0,0,9,2"}).status_code == 400
    assert browser.post("/rules", save="1", **form | {"action": "run"}).status_code == 400
    assert browser.post("/rules", save="1", **form).status_code == 303
    (rule,) = policy_of(box.console.spool).rules
    assert rule.regions == (Region(0, 0, 8, 2),)
    # The rule is mended, so what is held is tried again.
    assert browser.post("/held/1", way="retry").status_code == 303
    box.take()
    assert box.console.spool.connection.execute("SELECT state FROM item").fetchone()[0] == "clean"
    assert browser.post("/rules/1/end").status_code == 303
    assert browser.post("/rules/1/end").status_code == 404
    assert policy_of(box.console.spool).rules == ()
    assert "rule.ended" in [act for _, act, _ in box.record()]


def test_the_text_reader_and_unseen_masks_are_the_facilitys_choice(box: Box) -> None:
    browser = box.signed_in("admin")
    said = TEXTS["rules.reader_here" if languages() else "rules.reader_missing"][0].split("：")[0]
    assert said in browser.get("/rules").text
    assert browser.post("/rules/options", reading="all", unconfirmed="mask").status_code == 303
    policy = policy_of(box.console.spool)
    assert (policy.reading, policy.unconfirmed) == (Reading.ALL, Unconfirmed.MASK)
    assert browser.post("/rules/options", reading="some", unconfirmed="mask").status_code == 404


def test_a_held_file_of_a_stat_study_is_said_on_every_page(box: Box) -> None:
    browser = box.signed_in()
    held_us(box)
    alarm = TEXTS["held.urgent"][0].format(number=1)
    assert alarm not in browser.get("/studies").text
    uid = box.console.spool.connection.execute(
        "SELECT centre_study_uid FROM study JOIN item ON item.study_id = study.id WHERE state = 'held'"
    ).fetchone()[0]
    order = {"study_instance_uid": uid, "accession": "", "priority": "stat"}
    with box.console.spool.writing() as connection:
        connection.execute(
            "INSERT INTO request (order_id, owner, document, changed_at) VALUES ('r', 'o', ?, 0)",
            (json.dumps(order),),
        )
    for address in ("/studies", "/line", "/held"):
        assert alarm in browser.get(address).text
