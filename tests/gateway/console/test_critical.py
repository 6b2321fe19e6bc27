"""Critical findings at the console: who sees them, who can confirm, and what waits for the line."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.console.words import TEXTS
from gateway.critical import AcknowledgementSender, CriticalWatch, Doctor, named_doctor
from gateway.link import CentreLink
from teleread.errors import Unavailable
from teleread.wire.critical import CriticalNotice
from tests.gateway.centre import FakeCentre, client_context, running
from tests.gateway.console_box import START, Box, Browser, open_box, other_instance
from tests.gateway.facility import instance

ONE = "5d1f0c2ab9e84d77a3c4e601"
WORDS = "急性硬膜下血腫。<b>{{7*7}}</b>"
SIGN = {"read": "1"}


@pytest.fixture(scope="module")
def centre(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeCentre]:
    with running(FakeCentre(), tmp_path_factory.mktemp("centre")) as centre:
        yield centre


class Facility:
    """A box whose line goes to the test's centre, as far as the test lets it."""

    def __init__(self, box: Box, centre: FakeCentre, link: CentreLink) -> None:
        self.box, self.centre = box, centre
        spool, settings = box.console.spool, box.console.settings
        self.watch = CriticalWatch(spool, link, now=lambda: box.now)
        self.sender = AcknowledgementSender(settings, spool, link, now=lambda: box.now)

    def finds(self, critical_id: str = ONE, study_id: int = 1, **changes: Any) -> None:
        """Have the centre raise a finding of a study of the box, and the box hear of it."""
        row = self.box.console.spool.connection.execute(
            "SELECT * FROM study WHERE id = ?", (study_id,)
        ).fetchone()
        notice = CriticalNotice(
            critical_id=critical_id,
            case_number="4MZ09D83",
            study_instance_uid=row["centre_study_uid"],
            pseudonym=row["pseudonym"],
            category="1",
            text=WORDS,
            state="notified",
            raised_at=START - timedelta(minutes=20),
            told="救急 当直",
            notified_at=START - timedelta(minutes=10),
            responsible_doctor="例示　doctor",
        )
        self.centre.findings[critical_id] = notice.to_json() | changes
        self.watch.work()

    def browser(self, username: str = "doctor") -> Browser:
        """Sign somebody in without the clock going on."""
        before = self.box.now
        browser = self.box.signed_in(username)
        self.box.clock[0] = before
        return browser


@pytest.fixture
def facility(tmp_path: Path, centre: FakeCentre) -> Iterator[Facility]:
    centre.findings.clear()
    centre.acknowledgements.clear()
    centre.failures.clear()
    link = CentreLink(centre.url, client_context(centre, tmp_path / "keys"))
    with open_box(tmp_path / "box") as box:
        box.take(instance(1))
        box.at_centre("reading")
        yield Facility(box, centre, link)
    link.close()


def says(page: str, key: str, **values: object) -> bool:
    return TEXTS[key][0].format(**values) in page


def test_the_page_has_the_name_from_the_vault_and_the_centres_words_as_text(facility: Facility) -> None:
    facility.finds()
    page = facility.browser("operator").get("/critical").text
    assert "山田 太郎" in page
    assert "0012345" in page
    assert "4MZ0 9D8" in page
    assert "&lt;b&gt;{{7*7}}&lt;/b&gt;" in page
    assert says(page, "critical.category", number="1")
    assert "救急 当直" in page
    assert says(page, "centre.left", span="20分")
    facility.box.later(minutes=33)
    assert says(facility.browser("operator").get("/critical").text, "centre.late", span="13分")
    shown = [detail for _, act, detail in facility.box.record() if act == "names.shown"]
    assert shown[0]["page"] == "critical"
    assert shown[0]["pseudonyms"]
    # What the box keeps of it has no name.
    row = facility.box.console.spool.connection.execute("SELECT * FROM critical").fetchone()
    assert not re.search("山田|ヤマダ|0012345", json.dumps(dict(row), ensure_ascii=False))


def test_the_named_doctor_confirms_and_the_centre_hears_who_it_was(facility: Facility) -> None:
    facility.finds()
    doctor = facility.browser()
    for path in ("/studies", "/critical", "/line"):
        assert says(doctor.get(path).text, "critical.banner", number=1)
    # Opening is not confirming, and neither is a press without the tick.
    assert doctor.post(f"/critical/{ONE}/acknowledge").status_code == 400
    facility.sender.work()
    assert facility.centre.acknowledgements == []
    assert doctor.post(f"/critical/{ONE}/acknowledge", **SIGN).status_code == 303
    facility.sender.work()
    ((critical_id, message),) = facility.centre.acknowledgements
    assert (critical_id, message.person, message.account) == (ONE, "例示 doctor", "doctor")
    assert message.acknowledged_at == facility.box.now
    facility.watch.work()
    page = doctor.get("/critical").text
    assert says(page, "critical.confirmed")
    assert not says(page, "critical.banner", number=1)
    acts = [(who, act) for who, act, _ in facility.box.record() if act.startswith("critical.")]
    assert acts == [("doctor", "critical.acknowledge")]


def test_a_confirmation_waits_for_the_line_and_the_page_says_so(facility: Facility) -> None:
    facility.finds()
    doctor = facility.browser()
    assert doctor.post(f"/critical/{ONE}/acknowledge", **SIGN).status_code == 303
    facility.centre.failures = [None, 503]
    for _ in range(2):
        assert facility.sender.work() == 0
        page = doctor.get("/critical").text
        assert says(page, "critical.waiting_note")
        assert says(page, "critical.banner_waiting", number=1)
        assert not says(page, "critical.confirmed")
        facility.box.later(seconds=1)
    # The list still names it; what is told here is that a doctor's word waits.
    facility.watch.work()
    assert says(doctor.get("/studies").text, "critical.banner_waiting", number=1)
    # The word outlives the process that took it.
    again = AcknowledgementSender(
        facility.box.console.settings,
        facility.box.console.spool,
        facility.sender._link,
        now=lambda: facility.box.now,
    )
    assert again.work() == 1
    assert [one for one, _ in facility.centre.acknowledgements] == [ONE]
    assert again.work() == 0
    assert says(doctor.get("/critical").text, "critical.confirmed")
    assert doctor.post(f"/critical/{ONE}/acknowledge", **SIGN).status_code == 409


def test_another_doctor_is_told_why_not_and_can_once_it_was_handed_over(facility: Facility) -> None:
    facility.finds()
    facility.box.add("second", "doctor")
    second, operator = facility.browser("second"), facility.browser("operator")
    page = second.get("/critical").text
    assert says(page, "critical.why.other_doctor", doctor="例示 doctor")
    assert f"/critical/{ONE}/acknowledge" not in page
    assert second.post(f"/critical/{ONE}/acknowledge", **SIGN).status_code == 409
    # Nobody takes it for themselves, nobody hands it to somebody who is no doctor, none without a reason.
    for form in (
        {"to": "second", "note": "当直のため"},
        {"to": "operator", "note": "当直のため"},
        {"to": "", "note": "当直のため"},
    ):
        assert second.post(f"/critical/{ONE}/hand-over", **form).status_code == 400
    assert operator.post(f"/critical/{ONE}/hand-over", to="second", note=" ").status_code == 400
    assert operator.post(f"/critical/{ONE}/hand-over", to="second", note="電話に応答なし").status_code == 303
    doctor = facility.browser()
    assert says(doctor.get("/critical").text, "critical.why.other_doctor", doctor="例示 second")
    assert doctor.post(f"/critical/{ONE}/acknowledge", **SIGN).status_code == 409
    assert facility.centre.acknowledgements == []
    assert second.post(f"/critical/{ONE}/acknowledge", **SIGN).status_code == 303
    facility.sender.work()
    assert [message.account for _, message in facility.centre.acknowledgements] == ["second"]
    detail = next(detail for _, act, detail in facility.box.record() if act == "critical.hand_over")
    assert (detail["to"], detail["note"]) == ("second", "電話に応答なし")


def test_a_doctor_whom_nobody_here_knows_by_name_is_found_by_a_person(facility: Facility) -> None:
    facility.finds(responsible_doctor="外来 先生")
    doctor = facility.browser()
    assert says(doctor.get("/critical").text, "critical.why.no_doctor", name="外来 先生")
    assert doctor.post(f"/critical/{ONE}/acknowledge", **SIGN).status_code == 409
    assert (
        facility.browser("operator")
        .post(f"/critical/{ONE}/hand-over", to="doctor", note="本人に電話で確認")
        .status_code
        == 303
    )
    assert doctor.post(f"/critical/{ONE}/acknowledge", **SIGN).status_code == 303


def test_a_doctor_who_is_alone_in_the_clinic_can_take_it(facility: Facility) -> None:
    facility.finds(responsible_doctor="外来 先生")
    doctor = facility.browser()
    take = {"to": "doctor", "note": "医師は私一人です"}
    assert doctor.post(f"/critical/{ONE}/hand-over", **take).status_code == 400
    assert says(doctor.get("/critical").text, "critical.no_receiver")
    for other in ("operator", "admin"):
        facility.box.console.accounts.disable(other, by="test", at=facility.box.now)
    assert doctor.post(f"/critical/{ONE}/hand-over", **take).status_code == 303
    assert doctor.post(f"/critical/{ONE}/acknowledge", **SIGN).status_code == 303


def test_two_doctors_of_one_name_are_not_guessed_between() -> None:
    both = (Doctor("a", "例示 五郎"), Doctor("b", "例示 五郎"))
    assert named_doctor("例示五郎", "", both[:1], folded=lambda text: text.replace(" ", "")) == both[0]
    assert named_doctor("例示五郎", "", both, folded=lambda text: text.replace(" ", "")) is None
    assert named_doctor("例示五郎", "b", both, folded=str) == both[1]
    assert named_doctor("", "", (Doctor("a", ""),), folded=str) is None


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"state": "raised", "told": "", "notified_at": None}, "critical.why.not_told"),
        ({"pseudonym": "P00000000"}, "critical.why.nobody_here"),
        ({"study_instance_uid": "2.25.9"}, "critical.why.nobody_here"),
    ],
)
def test_what_is_not_told_or_of_nobody_certain_is_not_confirmed(
    facility: Facility, changes: dict[str, Any], key: str
) -> None:
    facility.finds(**changes)
    doctor = facility.browser()
    page = doctor.get("/critical").text
    assert says(page, key)
    assert ("山田 太郎" in page) == (key == "critical.why.not_told")
    assert doctor.post(f"/critical/{ONE}/acknowledge", **SIGN).status_code == 409
    facility.sender.work()
    assert facility.centre.acknowledgements == []


def test_of_two_findings_the_one_that_ends_first_is_first_and_each_has_its_own_patient(
    facility: Facility,
) -> None:
    facility.box.take(other_instance())
    facility.box.at_centre("reading", "7QK43MT5", study_id=2)
    facility.finds(category="3")
    facility.finds("two", 2, case_number="7QK43MT5")
    page = facility.browser().get("/critical").text
    assert page.index("髙﨑 例子") < page.index("山田 太郎")
    assert says(page, "critical.banner", number=2)


def test_what_the_centre_no_longer_lists_is_over_and_what_it_refuses_is_said(facility: Facility) -> None:
    facility.finds()
    doctor = facility.browser()
    facility.centre.findings.clear()
    # Confirmed at the centre meanwhile: this box does not know yet, and the centre refuses the second word.
    assert doctor.post(f"/critical/{ONE}/acknowledge", **SIGN).status_code == 303
    assert facility.sender.work() == 1
    page = doctor.get("/critical").text
    assert says(page, "critical.refused_note")
    assert says(page, "critical.banner", number=1)
    facility.watch.work()
    assert not says(doctor.get("/studies").text, "critical.banner", number=1)


def test_a_finding_that_cannot_be_read_is_counted_aloud_and_keeps_what_was_known(facility: Facility) -> None:
    facility.finds()
    facility.finds("new", category="9")
    facility.finds(ONE, category="0")
    doctor = facility.browser()
    page = doctor.get("/studies").text
    assert says(page, "critical.banner", number=1)
    assert says(page, "critical.banner_unreadable", number=2)
    facility.centre.failures = [None]
    with pytest.raises(Unavailable):
        facility.watch.work()
    assert says(doctor.get("/studies").text, "critical.banner", number=1)
