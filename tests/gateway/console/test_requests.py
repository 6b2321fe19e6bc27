"""Requests: what leaves, what stays, and what happens when the line is cut."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.console.request_form import FIELDS
from gateway.console.words import TEXTS
from gateway.link import Refused
from gateway.orders import OrderSender
from gateway.watch import CentreWatch, contact_of, prepare
from teleread.errors import Unavailable
from teleread.wire.manifest import StudyStatus
from teleread.wire.orders import OrderAnswer, OrderNotice
from tests.gateway.console.test_rules import FORM
from tests.gateway.console_box import Box, Browser, open_box
from tests.gateway.facility import instance

YAMADA = FORM | {
    "patient_id": "0012345",
    "name": "山田 太郎",
    "kana": "ヤマダ タロウ",
    "birth_date": "1959-03-14",
    "sex": "M",
    "accession": "ACC20261101",
}


class Line:
    """A centre at the other end of the line, as the test wants it."""

    def __init__(self) -> None:
        self.orders: list[OrderNotice] = []
        self.problem: Exception | None = None
        self.display_status = "reading"
        self.status: dict[str, Any] = {}

    def put_order(self, notice: OrderNotice) -> OrderAnswer:
        """Take an order."""
        if self.problem is not None:
            raise self.problem
        self.orders.append(notice)
        return OrderAnswer(outcome="matched", case_number="4MZ09D83")

    def study_status(self, _study_instance_uid: str) -> StudyStatus:
        """Say how far a study is."""
        if self.problem is not None:
            raise self.problem
        return StudyStatus(
            state="complete", case_number="4MZ09D83", display_status=self.display_status, **self.status
        )


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    with open_box(tmp_path / "box") as box:
        yield box


def sender(box: Box, line: Line) -> OrderSender:
    return OrderSender(box.console.settings, box.console.spool, line, now=lambda: box.now)  # type: ignore[arg-type]


def send(browser: Browser, **changes: Any) -> Any:
    return browser.post("/request", **{"act": "send", "order_id": "7HJ2KX0Q4M9V", **YAMADA, **changes})


def test_what_leaves_has_the_pseudonym_and_no_identity(box: Box) -> None:
    box.take(instance(1))
    browser = box.signed_in()
    assert send(browser).location == "/request/7HJ2KX0Q4M9V"
    line = Line()
    sender(box, line).work()
    (notice,) = line.orders
    study = box.console.spool.connection.execute("SELECT * FROM study").fetchone()
    assert notice.pseudonym == study["pseudonym"]
    assert notice.accession == json.loads(study["summary"])["accession"]
    text = json.dumps(notice.to_json(), ensure_ascii=False)
    for identity in ("山田", "ヤマダ", "0012345", "1959", "ACC2026"):
        assert identity not in text
    page = browser.get("/request/7HJ2KX0Q4M9V").text
    assert "山田 太郎" in page
    assert TEXTS["request.outcome.matched"][0] in page


def test_the_spool_holds_no_identity_of_a_request_and_the_vault_only_sealed(box: Box) -> None:
    browser = box.signed_in()
    browser.post("/request", act="draft", order_id="7HJ2KX0Q4M9V", **(YAMADA | {"history": "山田さん"}))
    send(browser)
    files = [box.console.layout.spool_database, box.console.layout.vault_database]
    for path in (one for file in files for one in file.parent.glob(f"{file.name}*")):
        assert "山田".encode() not in path.read_bytes()
        assert b"1959" not in path.read_bytes()


def test_a_name_in_the_text_stops_the_form_marks_the_word_and_keeps_the_rest(box: Box) -> None:
    browser = box.signed_in()
    answer = send(browser, history="<b>やまださん</b>の経過")
    assert answer.status_code == 400
    assert "<mark>やまだ</mark>" in answer.text
    assert "&lt;b&gt;" in answer.text
    assert box.console.orders.recent() == []
    mended = browser.post(
        "/request", act="replace:history", **(YAMADA | {"history": "やまださんの経過"})
    ).text
    assert "患者さんの経過" in mended


def test_a_form_that_is_of_another_patient_than_the_vault_says_is_not_sent(box: Box) -> None:
    box.take(instance(1))
    browser = box.signed_in()
    for changes in ({"birth_date": "1960-03-14"}, {"sex": "F"}):
        answer = send(browser, **changes)
        assert answer.status_code == 400
        assert TEXTS["problem.other_patient"][0] in answer.text
    uid = box.console.spool.connection.execute("SELECT centre_study_uid FROM study").fetchone()[0]
    assert send(browser, patient_id="9999999", study_uid=uid).status_code == 400


def test_a_request_from_a_study_is_filled_in_and_names_the_study(box: Box) -> None:
    box.take(instance(1))
    browser = box.signed_in("doctor")
    page = browser.get("/request?study=1").text
    assert 'value="0012345"' in page
    uid = box.console.spool.connection.execute("SELECT centre_study_uid FROM study").fetchone()[0]
    assert uid in page
    send(browser, study_uid=uid)
    line = Line()
    sender(box, line).work()
    assert line.orders[0].study_instance_uid == uid


def test_a_request_waits_for_the_line_and_goes_once(box: Box) -> None:
    browser = box.signed_in()
    send(browser)
    send(browser, clinical_question="二度目")
    line = Line()
    line.problem = Unavailable("no answer from the centre")
    orders = sender(box, line)
    assert orders.work() == 0
    assert orders.work() == 0
    assert TEXTS["request.waiting_note"][0] in browser.get("/request/7HJ2KX0Q4M9V").text
    line.problem = None
    box.later(minutes=10)
    assert orders.work() == 1
    assert orders.work() == 0
    assert [one.clinical_question for one in line.orders] == [YAMADA["clinical_question"]]


def test_a_refusal_is_shown_and_not_repeated(box: Box) -> None:
    browser = box.signed_in()
    send(browser)
    line = Line()
    line.problem = Refused("the centre answered 400")
    assert sender(box, line).work() == 1
    assert sender(box, line).work() == 0
    assert TEXTS["request.refused_note"][0] in browser.get("/request/7HJ2KX0Q4M9V").text


def test_a_draft_is_kept_while_typing_and_can_be_given_up(box: Box) -> None:
    browser = box.signed_in()
    answer = browser.post("/request/draft", order_id="7HJ2KX0Q4M9V", **YAMADA)
    assert answer.json is not None
    assert answer.json["order_id"] == "7HJ2KX0Q4M9V"
    assert "山田 太郎" in browser.get("/request?draft=7HJ2KX0Q4M9V").text
    browser.post("/request/7HJ2KX0Q4M9V/discard")
    assert browser.get("/request?draft=7HJ2KX0Q4M9V").status_code == 404


def test_a_text_of_two_megabytes_is_refused_with_a_clear_page(box: Box) -> None:
    answer = box.signed_in().client.post(
        "/request", base_url="https://localhost", data={"history": "x" * 2_000_000}
    )
    assert answer.status_code == 413
    assert TEXTS["problem.413"][0] in answer.text


def test_a_patient_is_found_in_any_kana(box: Box) -> None:
    box.take(instance(1))
    browser = box.signed_in()
    page = browser.post("/request", act="find", find="ﾔﾏﾀﾞ").text
    assert "take:" in page
    assert TEXTS["request.nobody"][0] in browser.post("/request", act="find", find="いない").text


def test_the_centres_state_is_asked_and_shown_and_a_cut_line_is_told(box: Box) -> None:
    box.take(instance(1))
    box.at_centre("ready")
    line = Line()
    watch = CentreWatch(box.console.spool, line, now=lambda: box.now)  # type: ignore[arg-type]
    assert watch.work() == 1
    assert TEXTS["state.reading"][0] in box.signed_in().get("/studies").text
    assert contact_of(box.console.spool).heard_at is not None
    line.problem = Unavailable("no answer from the centre: ConnectError")
    box.later(minutes=10)
    with pytest.raises(Unavailable):
        watch.work()
    page = box.signed_in().get("/line").text
    assert TEXTS["line.silent_short"][0] in page
    assert "ConnectError" in page


def test_vault_backup_carries_the_requests(box: Box, tmp_path: Path) -> None:
    send(box.signed_in())
    box.console.vault.backup(tmp_path / "vault.backup")
    box.console.vault.forget_form("7HJ2KX0Q4M9V")
    box.console.vault.restore(tmp_path / "vault.backup")
    assert box.console.vault.form("7HJ2KX0Q4M9V")["name"] == "山田 太郎"


def test_the_tracker_tells_promise_reader_and_pause_as_the_centre_says_them(box: Box) -> None:
    box.take(instance(1))
    box.at_centre("ready")
    line = Line()
    watch = CentreWatch(box.console.spool, line, now=lambda: box.now)  # type: ignore[arg-type]
    line.status = {"due_at": box.now + timedelta(hours=3), "is_assigned": False}
    watch.work()
    browser = box.signed_in()
    page = browser.get("/studies/1").text
    assert TEXTS["centre.not_assigned"][0] in page
    assert TEXTS["centre.left"][0].format(span=TEXTS["for.hours"][0].format(number=2)) in page
    version = browser.get("/studies/version").json
    line.display_status = "held"
    line.status = {"due_at": box.now, "is_assigned": True, "pause_reason": "<b>前回のCTを待つ</b>"}
    box.later(minutes=10)
    watch.work()
    assert browser.get("/studies/version").json != version
    page = browser.get("/studies/1").text
    assert TEXTS["centre.assigned"][0] in page
    assert "&lt;b&gt;前回のCTを待つ" in page
    assert TEXTS["centre.late"][0].split("}")[1] in page
    assert "前回のCTを待つ" in browser.get("/studies").text


def test_a_centre_that_no_longer_knows_a_study_takes_nothing_back_that_was_told(box: Box) -> None:
    box.take(instance(1))
    box.at_centre("reading", is_assigned=True, due_at=box.now)
    line = Line()
    line.problem = Refused("the centre answered 404")
    watch = CentreWatch(box.console.spool, line, now=lambda: box.now)  # type: ignore[arg-type]
    watch.work()
    page = box.signed_in().get("/studies/1").text
    assert TEXTS["centre.assigned"][0] in page


def test_a_box_of_an_earlier_release_gets_the_new_columns(box: Box) -> None:
    connection = box.console.spool.connection
    connection.execute("DROP TABLE centre_view")
    connection.execute(
        "CREATE TABLE centre_view (study_id INTEGER PRIMARY KEY REFERENCES study,"
        " display_status TEXT NOT NULL DEFAULT '', changed_at INTEGER, next_ask_at INTEGER NOT NULL)"
    )
    prepare(box.console.spool)
    prepare(box.console.spool)
    box.take(instance(1))
    box.at_centre("reading", is_assigned=True)
    assert TEXTS["centre.assigned"][0] in box.signed_in().get("/studies/1").text


REQUIRED = {
    "clinical_question": "field.clinical_question",
    "body_part": "field.body_part",
    "contrast": "field.contrast",
    "priority": "field.priority",
    "responsible_doctor": "field.responsible_doctor",
    "callback_phone": "field.callback_phone",
}


@pytest.mark.parametrize("name", REQUIRED)
def test_a_field_that_is_missing_is_named_and_the_rest_is_kept(box: Box, name: str) -> None:
    answer = send(box.signed_in(), **{name: "  "})
    assert answer.status_code == 400
    assert f'<a href="#{name}">{TEXTS[REQUIRED[name]][0]}</a>' in answer.text
    kept = {"clinical_question", "responsible_doctor", "patient_id"} - {name}
    assert all(YAMADA[field] in answer.text for field in kept)
    assert box.console.orders.recent() == []


def test_a_text_that_is_too_long_is_refused_and_every_character_is_still_there(box: Box) -> None:
    text = "経過" * 20_000
    answer = send(box.signed_in(), history=text)
    assert answer.status_code == 400
    assert TEXTS["problem.too_long"][0] in answer.text
    assert text in answer.text
    assert box.console.orders.recent() == []


def test_fields_that_are_not_on_the_form_change_nothing_and_do_not_leave(box: Box) -> None:
    browser = box.signed_in()
    extra = {"pseudonym": "XXXXX-XXXXX", "facility_id": "2", "role": "administrator", "requested_at": "1999"}
    assert send(browser, **extra).status_code == 303
    line = Line()
    sender(box, line).work()
    text = json.dumps(line.orders[0].to_json())
    assert "XXXXX-XXXXX" not in text
    assert "1999" not in text
    assert "administrator" not in text
    assert set(box.console.orders.form("7HJ2KX0Q4M9V")) <= set(FIELDS) | {"study_uid"}


def test_romaji_and_phone_of_the_images_count_in_the_text_of_a_request(box: Box) -> None:
    box.take(instance(1, PatientTelephoneNumbers="03-1111-2222"))
    browser = box.signed_in()
    answer = send(browser, history="Yamada, Taro 0311112222")
    assert answer.status_code == 400
    assert "<mark>Yamada, Taro</mark>" in answer.text
    assert "<mark>0311112222</mark>" in answer.text


def test_the_name_that_only_a_request_gives_is_scrubbed_from_the_images_too(box: Box) -> None:
    browser = box.signed_in()
    send(browser, history="")
    box.take(
        instance(
            1,
            PatientName="YMD 1",
            SpecificCharacterSet="ISO_IR 192",
            StudyDescription="山田太郎 CHEST",
            ImageComments="ﾔﾏﾀﾞ S34.3.14 followup",
        ),
        instance(
            2,
            PatientName="YMD 1",
            SpecificCharacterSet="ISO_IR 192",
            patient_id="12345",
            StudyDescription="CHEST やまだ",
        ),
    )
    states = [
        row["state"] for row in box.console.spool.connection.execute("SELECT state FROM item ORDER BY id")
    ]
    assert states[0] == "clean"
    data = b"".join(path.read_bytes() for path in box.console.layout.clean.iterdir())
    assert b"CHEST" in data
    assert b"followup" in data
    for form in ("山田", "ﾔﾏﾀﾞ", "やまだ"):
        for encoding in ("utf-8", "cp932", "iso2022_jp"):
            try:
                raw = form.encode(encoding)
            except UnicodeEncodeError:
                continue
            assert raw.removeprefix(b"\x1b$B").removesuffix(b"\x1b(B") not in data
    assert b"34.3.14" not in data
