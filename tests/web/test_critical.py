"""Critical findings and the board over the pages: read-back, the facility's word, what a coordinator sees and does."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

from flask.testing import FlaskClient
from sqlalchemy import update

from teleread import clock
from teleread.domain.critical import READ_BACK
from teleread.services import critical, ingest
from teleread.storage.models.critical import CriticalFinding
from teleread.storage.models.facilities import Gateway
from teleread.storage.models.orders import Order
from teleread.storage.models.readings import Reading
from teleread.storage.models.studies import Study
from teleread.storage.session import transaction
from teleread.web.i18n import TEXTS
from teleread.web.views.times import ZONE
from teleread.wire.manifest import HeldCount, StudyManifest
from tests.web.conftest import BASE, House, csrf


def post(client: FlaskClient, path: str, **form: str) -> tuple[int, str]:
    answer = client.post(path, base_url=BASE, data=form | {"csrf_token": csrf(client, "/sign-in")})
    return answer.status_code, answer.text


def call(**more: str) -> dict[str, str]:
    now = clock.now().astimezone(ZONE).strftime("%Y-%m-%dT%H:%M")
    return {"person": "Dr Reiji", "method": "phone", "at": now, "outcome": "told", **more}


def raised(house: House, client: FlaskClient, text: str = "Acute subdural.") -> tuple[str, str]:
    page = f"/cases/{house.study()}/critical"
    assert post(client, page, category="1", text=text)[0] == 303
    (found,) = re.findall(r'data-finding="(\w+)"', client.get(page, base_url=BASE).text)
    return page, found


def test_it_is_not_saved_as_told_before_everything_was_read_back(house: House, reader: FlaskClient) -> None:
    page, found = raised(house, reader)
    attempt = f"{page}/{found}/attempt"
    for missing in READ_BACK:
        heard = {part: "heard" for part in READ_BACK if part != missing}
        status, text = post(reader, attempt, **call(person="Nurse Tanaka", **heard))
        assert status == 400
        assert TEXTS["critical.refused.read_back"][1] in text
        # What was typed and ticked stays.
        assert 'value="Nurse Tanaka"' in text
        assert text.count(" checked") == 2
    everything = dict.fromkeys(READ_BACK, "heard")
    for wrong in ({"at": "2020-01-01T00:00"}, {"at": "soon"}, {"person": " "}, {"method": "letter"}):
        assert post(reader, attempt, **call(**everything) | wrong)[0] == 400
    assert TEXTS["critical.state.raised"][1] in reader.get(page, base_url=BASE).text
    assert post(reader, attempt, **call(outcome="no_answer"))[0] == 303
    assert TEXTS["critical.state.raised"][1] in reader.get(page, base_url=BASE).text
    assert post(reader, attempt, **call(**everything))[0] == 303
    assert TEXTS["critical.state.notified"][1] in reader.get(page, base_url=BASE).text


def test_a_text_that_is_refused_stays_in_its_field(house: House, reader: FlaskClient) -> None:
    page = f"/cases/{house.study()}/critical"
    status, text = post(reader, page, category="9", text="{{7*7}} <script>alert(1)</script>")
    assert status == 400
    assert "{{7*7}} &lt;script&gt;" in text
    assert post(reader, page, category="1", text="x" * 100_000)[0] == 400


def test_the_facility_concerned_confirms_and_nobody_else_can(house: House, reader: FlaskClient) -> None:
    page, found = raised(house, reader, "Tension pneumothorax.")
    clinic, other = house.signed_in("midori"), house.signed_in("kita")
    shown = clinic.get("/status", base_url=BASE).text
    assert "Tension pneumothorax." in shown
    assert f"/critical/{found}/acknowledge" not in shown, "nobody was told yet"
    assert post(clinic, f"/critical/{found}/acknowledge")[0] == 409
    post(reader, f"{page}/{found}/attempt", **call(**dict.fromkeys(READ_BACK, "heard")))
    # Opening is not confirming.
    assert f"/critical/{found}/acknowledge" in clinic.get("/status", base_url=BASE).text
    assert TEXTS["critical.state.notified"][1] in reader.get(page, base_url=BASE).text
    assert "Tension pneumothorax." not in other.get("/status", base_url=BASE).text
    assert post(other, f"/critical/{found}/acknowledge")[0] == 404
    for name in ("reader", "coordinator", "admin"):
        assert post(house.signed_in(name), f"/critical/{found}/acknowledge")[0] == 403
    assert post(clinic, f"/critical/{found}/acknowledge")[0] == 303
    assert "Dr midori (midori)" in reader.get(page, base_url=BASE).text
    assert post(other, f"/critical/{found}/close", outcome="none")[0] == 404
    assert post(clinic, f"/critical/{found}/close", outcome="drained")[0] == 303
    assert TEXTS["critical.state.closed"][1] in reader.get(page, base_url=BASE).text


def test_the_board_shows_late_ones_first_and_in_words(house: House, reader: FlaskClient) -> None:
    _, fresh = raised(house, reader, "A fresh one.")
    _, old = raised(house, reader, "A late one.")
    with transaction(house.engine) as session:
        session.execute(
            update(CriticalFinding)
            .where(CriticalFinding.public_id == old)
            .values(raised_at=clock.now() - timedelta(minutes=34, seconds=30))
        )
        critical.sweep(session, at=clock.now())
        session.execute(
            update(Gateway)
            .values(certificate_sha256="0" * 64, last_seen_at=clock.now() - timedelta(minutes=7, seconds=5))
            .where(Gateway.id == house.gateways["kita"].gateway_id)
        )
    coordinator = house.signed_in("coordinator")
    for path in ("/coordination", "/coordination/board"):
        text = coordinator.get(path, base_url=BASE).text
        assert 0 < text.index(old) < text.index(fresh)
        late = text[text.index(old) : text.index("</article>", text.index(old))]
        assert "min late" in late
        assert TEXTS["critical.escalated"][1].format(count=1) in late
        assert "silent 7 min ago" in text
        assert "Dr coordinator" in text
    assert house.signed_in("reader").get("/coordination/board", base_url=BASE).status_code == 403


def test_a_case_is_moved_from_its_reader_only_with_a_reason(house: House) -> None:
    number = house.study()
    coordinator, second = house.signed_in("coordinator"), house.signed_in("second")
    post(second, f"/cases/{number}/claim")
    give = f"/coordination/{number}/assign"
    assert post(coordinator, give, username="reader", reason=" ")[0] == 400
    assert post(coordinator, give, username="coordinator", reason="busy")[0] == 400
    assert post(coordinator, give, username="reader", reason="busy")[0] == 303
    row = coordinator.get("/coordination", base_url=BASE).text.split(
        f'<tr tabindex="0" data-case="{number}"'
    )[1]
    assert "Dr reader" in row[: row.index("<form")]


def withhold(house: House, number: str, priority: str, count: int) -> None:
    """Have the facility hold images of a case back, and the case be of a priority."""
    with transaction(house.engine) as session:
        case = session.query(Reading).filter_by(case_number=number).one()
        session.get_one(Order, case.order_id).priority = priority
        known = StudyManifest.from_json(session.get_one(Study, case.study_id).manifest)
        held = (HeldCount(reason="risky_kind", sop_class_uid="", count=count),)
        ingest.receive_manifest(
            session,
            replace(known, revision=known.revision + 1, held=held),
            actor=house.gateways["midori"],
            at=clock.now(),
        )


def test_images_of_a_stat_study_that_the_facility_holds_alarm_the_board_and_show_in_the_case(
    house: House,
) -> None:
    urgent, calm = house.study(), house.study()
    withhold(house, calm, "routine", 1)
    coordinator = house.signed_in("coordinator")
    alarm = TEXTS["board.withheld"][1]
    assert alarm not in coordinator.get("/coordination", base_url=BASE).text
    withhold(house, urgent, "stat", 2)
    board = coordinator.get("/coordination/board", base_url=BASE).text
    panel = board[board.index('id="panel-held"') :]
    assert panel.count(alarm) == 1
    # The urgent one stands first in its panel.
    assert panel.index(f"/cases/{urgent}") < panel.index(alarm) < panel.index(f"/cases/{calm}")
    assert TEXTS["badge.withheld"][1].format(count=2) in board
    reader = house.signed_in("second")
    assert TEXTS["badge.withheld"][1].format(count=2) in reader.get(f"/cases/{urgent}", base_url=BASE).text
