"""Critical findings and the board over the pages: read-back, the facility's word, what a coordinator sees and does."""

from __future__ import annotations

import html
import re
from datetime import timedelta

from flask.testing import FlaskClient
from sqlalchemy import update

from teleread import clock
from teleread.domain.critical import READ_BACK
from teleread.domain.identifiers import format_case_number
from teleread.services import critical
from teleread.storage.models.critical import CriticalFinding
from teleread.storage.models.facilities import Gateway
from teleread.storage.models.readings import Reading
from teleread.storage.session import transaction
from teleread.web.i18n import TEXTS
from teleread.web.views.times import ZONE
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
    for client in (reader, house.signed_in("coordinator"), house.signed_in("admin")):
        assert post(client, f"/critical/{found}/acknowledge")[0] == 403
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


def test_every_person_of_the_centre_and_every_gateway_has_its_last_sign_of_life(house: House) -> None:
    at = clock.now()
    seen = {"midori": at - timedelta(seconds=4), "kita": at - timedelta(minutes=20, seconds=5)}
    with transaction(house.engine) as session:
        session.execute(update(Gateway).values(certificate_sha256=None))
        for number, (name, when) in enumerate(seen.items()):
            session.execute(
                update(Gateway)
                .values(certificate_sha256=f"{number:064d}", last_seen_at=when)
                .where(Gateway.id == house.gateways[name].gateway_id)
            )
    house.signed_in("admin")
    coordinator = house.signed_in("coordinator")
    board = html.unescape(coordinator.get("/coordination", base_url=BASE).text)
    gateways = board.split('id="panel-gateways"')[1].split("</section>")[0]
    for facility, sign in (
        ("kita", TEXTS["board.gateway.lost"][1] + " 20 min ago"),
        ("midori", TEXTS["board.gateway.fine"][1]),
    ):
        line = gateways.split(f"{facility} clinic")[1].split("</div>")[0]
        assert "box" in line
        assert sign in line
    people = board.split('id="panel-people"')[1].split("</section>")[0]
    lines = {one.split("</b>")[0].split("<b>")[1]: one for one in people.split("<li>")[1:]}
    assert {"Dr reader", "Dr second", "Dr coordinator", "Dr admin"} <= lines.keys()
    assert not {"Dr midori", "Dr kita"} & lines.keys()
    assert " s ago" in lines["Dr admin"]
    assert TEXTS["board.person.in"][1] in lines["Dr coordinator"]


def test_the_horizon_draws_every_open_case_and_says_it_in_words(house: House) -> None:
    at = clock.now()
    numbers = {house.study(): minutes for minutes in (-30, 15, 600)}
    with transaction(house.engine) as session:
        for number, minutes in numbers.items():
            session.execute(
                update(Reading)
                .values(due_at=at + timedelta(minutes=minutes, seconds=30))
                .where(Reading.case_number == number)
            )
    board = html.unescape(house.signed_in("coordinator").get("/coordination/board", base_url=BASE).text)
    picture = board.split('<svg class="sky"')[1].split("</svg>")[0]
    now = int(picture.split('class="now" d="M')[1].split(" ")[0])
    places = {}
    for sign in picture.split('<g class="sign ')[1:]:
        x = int(sign.split('class="stem" d="M')[1].split(" ")[0])
        places |= {
            number: (x, sign) for number in numbers if format_case_number(number) in sign.split("</title>")[0]
        }
    late, soon, calm = (places[number] for number in numbers)
    assert late[0] < now < soon[0] < calm[0]
    assert late[1].startswith("late")
    # The sign is the priority's, whatever the colour.
    assert "#routine" in late[1]
    assert TEXTS["board.count.late"][1] in picture
    rows = board.split('class="as-table"')[1].split("</details>")[0]
    assert all(f'data-case="{number}"' in rows for number in numbers)
    sentence = picture.split('id="horizon-sentence">')[1].split("</title>")[0]
    assert sentence in rows
    total, late_ones = (int(one) for one in re.findall(r"\d+", sentence)[:2])
    assert rows.count("<tr><td>") == total
    assert late_ones >= 1
    assert " style=" not in board
    assert "<script" not in board
