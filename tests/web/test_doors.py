"""Who gets in: every route without a session, the roles, other facilities, forged forms, headers, texts."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path

import pytest
from flask import Blueprint
from flask.testing import FlaskClient

from teleread import clock
from teleread.services import delivery, ingest
from teleread.web import permissions
from teleread.web.app import create_app
from teleread.web.i18n import TEXTS
from teleread.web.permissions import PEOPLE_ROUTES, Door
from teleread.web.security import COOKIE, content_security_policy, safe_next
from teleread.wire.receipts import PackageEvent
from tests.builders.centre import Place, clean_study
from tests.web.conftest import BASE, PASSWORD, House, csrf

FILLED = {
    "case_number": "00000000",
    "rendering_id": "none",
    "sop_uid": "1.2.3",
    "study_uid": "1.2.3",
    "series_uid": "1.2.3",
    "number": "1",
    "numbers": "1",
    "place": "7FE00010",
    "filename": "teleread.css",
    "name": "none.ttf",
    "build": "none",
    "key_id": "1",
    "session_id": "1",
    "username": "nobody",
    "facility_code": "nowhere",
    "act": "disable",
    "critical_id": "none",
    "view_id": "1",
}


def _routes(house: House) -> list[tuple[str, str, str]]:
    found = []
    for rule in house.app.url_map.iter_rules():
        path = re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", lambda match: FILLED[match[1]], rule.rule)
        found += [(rule.endpoint, method, path) for method in rule.methods - {"HEAD", "OPTIONS"}]
    return found


def test_no_route_answers_anybody_without_a_session(house: House) -> None:
    for endpoint, method, path in _routes(house):
        answer = house.client().open(path, method=method, base_url=BASE)
        door = PEOPLE_ROUTES[endpoint].door
        if door in {Door.SESSION, Door.SESSION_OR_TOKEN}:
            assert answer.status_code in {303, 401}, (method, path)
            if answer.status_code == 303:
                assert "/sign-in" in answer.headers["Location"]
        else:
            assert answer.status_code < 500, (method, path)
        answer.close()


def test_every_change_without_a_form_token_is_refused(house: House) -> None:
    client = house.signed_in("second")
    for endpoint, method, path in _routes(house):
        rule = PEOPLE_ROUTES[endpoint]
        if method == "GET" or rule.door is Door.OPEN:
            continue
        for headers in ({}, {"X-CSRFToken": "x" * 60}):
            answer = client.open(path, method=method, base_url=BASE, headers=headers)
            assert answer.status_code == 400, (method, path)


def test_a_token_of_another_browser_is_refused(house: House) -> None:
    token = csrf(house.client(), "/sign-in")
    form = {"username": "reader", "password": PASSWORD, "totp": "0", "csrf_token": token}
    assert house.client().post("/sign-in", base_url=BASE, data=form).status_code == 400


def test_a_change_from_another_site_is_refused_even_with_a_token(house: House) -> None:
    client = house.signed_in("second")
    token = csrf(client, "/worklist")
    answer = client.post(
        "/sign-out",
        base_url=BASE,
        data={"csrf_token": token},
        headers={"Sec-Fetch-Site": "cross-site"},
    )
    assert answer.status_code == 400


def test_roles_open_only_their_own_doors(house: House) -> None:
    number = house.study()
    expected = {
        "reader": {
            "/worklist": 200,
            "/coordination": 403,
            "/admin": 403,
            "/status": 403,
            f"/cases/{number}": 200,
        },
        "coordinator": {"/worklist": 200, "/coordination": 200, "/admin": 403, f"/cases/{number}": 200},
        "admin": {"/worklist": 403, "/coordination": 403, "/admin": 200, f"/cases/{number}": 403},
        "midori": {
            "/worklist": 403,
            "/coordination": 403,
            "/admin": 403,
            "/status": 200,
            f"/cases/{number}": 403,
        },
    }
    for name, pages in expected.items():
        client = house.signed_in(name)
        for page, status in pages.items():
            assert client.get(page, base_url=BASE).status_code == status, (name, page)


def test_a_facility_sees_its_own_studies_and_no_other(house: House) -> None:
    own, other = house.study("kita"), house.study("midori")
    client = house.signed_in("kita")
    rows = client.get("/status", base_url=BASE, headers={"Accept": "application/json"}).json["rows"]
    numbers = {row["case_number"] for row in rows}
    assert own in numbers
    assert other not in numbers
    text = client.get("/status", base_url=BASE).text
    assert other not in text
    for path in (f"/cases/{other}", f"/cases/{other}/signed", f"/cases/{own}/review/none"):
        assert client.get(path, base_url=BASE).status_code in {403, 404}


def test_a_mistyped_or_unknown_case_number_is_not_found(house: House, reader: FlaskClient) -> None:
    for number in ("00000001", "XXXXXXXX", "x", "4MZ09D83", "%00"):
        answer = reader.get(f"/cases/{number}", base_url=BASE)
        assert answer.status_code == 404


def test_texts_of_people_and_files_are_escaped(house: House) -> None:
    payload = '"><script>alert(1)</script>'
    number = house.study(description=payload)
    client = house.signed_in("second")
    token = csrf(client, f"/cases/{number}")
    client.post(f"/cases/{number}/claim", base_url=BASE, data={"csrf_token": token})
    saved = client.post(
        f"/cases/{number}/draft",
        base_url=BASE,
        json={"base_revision": 0, "sections": {"findings": f"</textarea>{payload}"}},
        headers={"X-CSRFToken": token},
    )
    assert saved.status_code == 200, saved.text
    for page in ("/worklist", f"/cases/{number}"):
        text = client.get(page, base_url=BASE).text
        assert "alert(1)" in text
        assert "<script>alert" not in text


def test_no_page_needs_inline_scripts_or_styles(house: House, reader: FlaskClient) -> None:
    policy = content_security_policy("https://127.0.0.1:8445")
    assert "unsafe" not in policy
    for page in ("/sign-in", "/worklist", "/cases/none"):
        answer = reader.get(page, base_url=BASE)
        assert answer.headers["Content-Security-Policy"] == policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        assert not re.search(r"<script(?![^>]*src=)|<[^>]+\s(?:style|on[a-z]+)=", answer.text)


def test_the_cookie_holds_a_random_token_that_changes_at_sign_in(house: House) -> None:
    client = house.client()
    before = csrf(client, "/sign-in")
    visitor = client.get_cookie(COOKIE, domain="localhost")
    assert visitor is not None
    form = {"username": "second", "password": PASSWORD, "totp": house.code("second"), "csrf_token": before}
    answer = client.post("/sign-in", base_url=BASE, data=form)
    cookie = next(line for line in answer.headers.getlist("Set-Cookie") if line.startswith(COOKIE))
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    after = client.get_cookie(COOKIE, domain="localhost")
    assert after is not None
    assert after.value != visitor.value
    assert len(after.value) == 43
    token = csrf(client, "/worklist")
    client.post("/sign-out", base_url=BASE, data={"csrf_token": token})
    client.set_cookie(COOKIE, after.value, domain="localhost", secure=True)
    assert client.get("/worklist", base_url=BASE).status_code == 303


def test_sign_in_does_not_tell_what_was_wrong(house: House) -> None:
    answers = set()
    for name, password in (("nobody", PASSWORD), ("second", "wrong password")):
        client = house.client()
        token = csrf(client, "/sign-in")
        form = {"username": name, "password": password, "totp": "000000", "csrf_token": token}
        answer = client.post("/sign-in", base_url=BASE, data=form)
        answers.add((answer.status_code, re.sub(r'"[^"]{40,}"', "", answer.text)))
    assert len(answers) == 1


def test_full_width_digits_are_taken_as_a_code(house: House) -> None:
    client = house.client()
    token = csrf(client, "/sign-in")
    wide = house.code("second").translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    form = {"username": "second", "password": PASSWORD, "totp": f"{wide[:3]} {wide[3:]}", "csrf_token": token}
    assert client.post("/sign-in", base_url=BASE, data=form).status_code == 303


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/\tx",
        "javascript:alert(1)",
        "",
        "evil",
        "/ x",
    ],
)
def test_sign_in_goes_to_no_other_site(target: str) -> None:
    assert safe_next(target) is None


def test_an_expired_session_answers_autosave_with_401_and_keeps_what_was_saved(house: House) -> None:
    number = house.study()
    client = house.signed_in("second")
    page = f"/cases/{number}"
    token = csrf(client, page)
    client.post(f"{page}/claim", base_url=BASE, data={"csrf_token": token})
    first = {"base_revision": 0, "sections": {"findings": "first"}}
    client.post(f"{page}/draft", base_url=BASE, json=first, headers={"X-CSRFToken": token})
    cookie = client.get_cookie(COOKIE, domain="localhost")
    assert cookie is not None
    client.post("/sign-out", base_url=BASE, data={"csrf_token": token})
    client.set_cookie(COOKIE, cookie.value, domain="localhost", secure=True)
    second = {"base_revision": 1, "sections": {"findings": "second"}}
    refused = client.post(f"{page}/draft", base_url=BASE, json=second, headers={"X-CSRFToken": token})
    assert refused.status_code == 401
    assert refused.json == {
        "error": "not_signed_in",
        "message": "the session has ended, or nobody is signed in",
    }
    again = house.signed_in("second")
    text = again.get(page, base_url=BASE).text
    assert ">\nfirst</textarea>" in text
    saved = again.post(
        f"{page}/draft", base_url=BASE, json=second, headers={"X-CSRFToken": csrf(again, page)}
    )
    assert saved.json["revision"] == 2


def test_a_stale_draft_is_answered_with_the_newer_text(house: House) -> None:
    number = house.study()
    client = house.signed_in("second")
    page = f"/cases/{number}"
    token = csrf(client, page)
    headers = {"X-CSRFToken": token}
    client.post(f"{page}/claim", base_url=BASE, data={"csrf_token": token})
    client.post(
        f"{page}/draft",
        base_url=BASE,
        json={"base_revision": 0, "sections": {"findings": "a"}},
        headers=headers,
    )
    stale = client.post(
        f"{page}/draft",
        base_url=BASE,
        json={"base_revision": 0, "sections": {"findings": "b"}},
        headers=headers,
    )
    assert stale.status_code == 409
    assert stale.json["newest"]["revision"] == stale.json["revision"] == 1
    assert stale.json["newest"]["sections"]["findings"] == "a"
    for bad in (
        {},
        {"base_revision": "1", "sections": {}},
        {"base_revision": 1, "sections": {"x": "y"}},
        [1],
    ):
        assert client.post(f"{page}/draft", base_url=BASE, json=bad, headers=headers).status_code == 400


def test_two_readers_claim_and_one_wins(house: House) -> None:
    number = house.study()
    first, second = house.signed_in("reader"), house.signed_in("second")
    path = f"/cases/{number}/claim"
    won = first.post(path, base_url=BASE, data={"csrf_token": csrf(first, "/worklist")})
    lost = second.post(path, base_url=BASE, data={"csrf_token": csrf(second, "/worklist")})
    assert (won.status_code, lost.status_code) == (303, 409)
    assert "Dr reader" in lost.text
    assert "data-editor" not in lost.text


def test_an_empty_required_section_stands_against_review(house: House) -> None:
    number = house.study()
    client = house.signed_in("second")
    page = f"/cases/{number}"
    token = csrf(client, page)
    client.post(f"{page}/claim", base_url=BASE, data={"csrf_token": token})
    form = {"revision": "0", "csrf_token": token, "shown_answered": "0", "shown_confirmed": "1"}
    answer = client.post(f"{page}/review", base_url=BASE, data=form)
    assert answer.status_code == 409
    assert TEXTS["review.required_missing"][1] in answer.text


def test_a_coordinator_assigns_and_releases(house: House) -> None:
    number = house.study()
    client = house.signed_in("coordinator")
    token = csrf(client, "/coordination")
    assigned = client.post(
        f"/coordination/{number}/assign", base_url=BASE, data={"username": "reader", "csrf_token": token}
    )
    assert assigned.status_code == 303
    assert "Dr reader" in client.get("/coordination", base_url=BASE).text
    reader = house.signed_in("reader")
    reader.post(f"/cases/{number}/claim", base_url=BASE, data={"csrf_token": csrf(reader, "/worklist")})
    released = client.post(
        f"/coordination/{number}/release", base_url=BASE, data={"reason": "shift ends", "csrf_token": token}
    )
    assert released.status_code == 303


def test_an_address_without_a_page_says_so_and_keeps_the_way_back(house: House, reader: FlaskClient) -> None:
    signed_in = reader.get("/nonsense", base_url=BASE)
    assert signed_in.status_code == 404
    assert "No such page" in signed_in.text
    assert 'href="/worklist"' in signed_in.text
    stranger = house.client().get("/nonsense", base_url=BASE)
    assert stranger.status_code == 404
    assert 'href="/worklist"' not in stranger.text
    assert "check digit" in reader.get("/cases/00000000", base_url=BASE).text


def _of_house(house: House) -> Place:
    """The house's centre as the services' tests use one: its road to a signed and delivered report."""
    place = Place(house.settings, house.engine, house.blobs, clock.now())
    place.gateway = place.facility(f"clinic-{secrets.token_hex(4)}")
    assert place.gateway.facility_id is not None
    place.facility_id = place.gateway.facility_id
    return place


def test_a_coordinator_lets_an_incomplete_study_be_read(house: House) -> None:
    place = _of_house(house)
    study = clean_study()
    place.store(study.files[0])
    with place.session() as session:
        answer = ingest.receive_manifest(session, study.manifest(), actor=place.gateway, at=place.at)
    number = answer.case_number
    client = house.signed_in("coordinator")
    form = {"reason": "the rest is lost", "csrf_token": csrf(client, "/coordination")}
    early = client.post(f"/coordination/{number}/accept", base_url=BASE, data=form)
    assert early.status_code == 409
    with place.session() as session:
        assert ingest.sweep_stalled(session, at=place.wait(minutes=10)) == 1
    unnamed = client.post(f"/coordination/{number}/accept", base_url=BASE, data=form | {"reason": ""})
    assert unnamed.status_code == 400
    accepted = client.post(f"/coordination/{number}/accept", base_url=BASE, data=form)
    assert accepted.status_code == 303
    again = client.post(f"/coordination/{number}/accept", base_url=BASE, data=form)
    assert again.status_code == 409


def test_a_coordinator_offers_a_failed_report_again(house: House) -> None:
    place = _of_house(house)
    number = place.send(clean_study())
    writer = place.person("writer", "reader")
    package = place.package(number, writer)
    for event, reason in (
        ("handed_over", ""),
        ("identity_doubt", "sex"),
        ("released", "sex"),
        ("gave_up", "0x0122"),
    ):
        with place.session() as session:
            message = PackageEvent(event=event, at=place.at, reason=reason)
            delivery.record_event(session, package.package_id, message, actor=place.gateway, at=place.at)
        if event == "identity_doubt":
            # The facility's doubt stands on the board in words.
            assert (
                "The sexes differ" in house.signed_in("coordinator").get("/coordination", base_url=BASE).text
            )
    client = house.signed_in("coordinator")
    page = client.get("/coordination", base_url=BASE).text
    assert f"/coordination/{number}/retry" in page
    form = {"reason": "the PACS is back", "csrf_token": csrf(client, "/coordination")}
    assert client.post(f"/coordination/{number}/retry", base_url=BASE, data=form).status_code == 303
    # A second press changes nothing: there is one report, offered once.
    assert client.post(f"/coordination/{number}/retry", base_url=BASE, data=form).status_code == 303
    with place.session() as session:
        assert delivery.packages_for(session, actor=place.gateway) == [package]


def test_the_administrator_sees_the_house_and_checks_the_audit_trail(house: House) -> None:
    client = house.signed_in("admin")
    text = client.get("/admin", base_url=BASE).text
    assert "midori clinic" in text
    checked = client.post("/admin/audit", base_url=BASE, data={"csrf_token": csrf(client, "/admin")})
    assert "none changed, none missing" in checked.text


def test_a_fault_is_answered_with_a_number_and_nothing_else(house: House, reader: FlaskClient) -> None:
    view = house.app.view_functions["worklist.worklist"]

    def broken() -> str:
        raise ZeroDivisionError("YAMADA TARO")

    house.app.view_functions["worklist.worklist"] = broken
    try:
        answer = reader.get("/worklist", base_url=BASE)
    finally:
        house.app.view_functions["worklist.worklist"] = view
    assert answer.status_code == 500
    assert "YAMADA" not in answer.text
    assert re.search(r"E-[0-9A-Z]{6}", answer.text)


def test_a_route_without_a_row_stops_the_start(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {name: rule for name, rule in PEOPLE_ROUTES.items() if name != "worklist.worklist"}
    monkeypatch.setitem(permissions.TABLES, "people", rows)
    with pytest.raises(RuntimeError, match=r"worklist\.worklist"):
        create_app(house.settings, engine=house.engine)
    extra = Blueprint("extra", __name__)
    assert extra.name not in PEOPLE_ROUTES


def test_both_languages_say_everything_and_templates_hold_no_words() -> None:
    folder = Path(__file__).parents[2] / "templates" / "web"
    used: set[str] = set()
    for path in folder.glob("*.html"):
        source = path.read_text()
        used |= set(re.findall(r't\(\s*["\']([a-z0-9_.]+)["\']', source, re.IGNORECASE))
        bare = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", " ", source, flags=re.DOTALL)
        attributes = re.findall(r'(?:title|alt|placeholder|aria-label|value)="([^"]*)"', bare)
        bare = re.sub(r"<kbd>.*?</kbd>|<!doctype html>|<[^>]*>", " ", bare, flags=re.DOTALL)
        words = re.findall(r"[^\W\d_]{2,}", bare)
        assert words == [], path.name
        assert [text for text in attributes if re.search(r"[^\x00-\x7f]| [A-Za-z]", text)] == [], path.name
    assert {key for key in used if not key.endswith(".")} <= TEXTS.keys()
    for key, (japanese, english) in TEXTS.items():
        assert japanese, key
        assert english, key
        assert set(re.findall(r"\{\w+\}", japanese)) == set(re.findall(r"\{\w+\}", english)), key
    assert json.dumps(TEXTS)
