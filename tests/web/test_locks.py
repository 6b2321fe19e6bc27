"""Doors with locks: the own account, the locked page, step-up, administration, hostile parameters."""

from __future__ import annotations

import csv
import io
import itertools
import re

import pyotp
import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from teleread.storage.models.accounts import User
from teleread.storage.models.readings import Reading
from teleread.storage.session import transaction
from teleread.web.security import COOKIE, safe_next
from tests.web.conftest import BASE, PASSWORD, House, csrf

NEXTS = [
    "//evil.example", "///evil.example", "////evil.example/x", "https://evil.example", "http:evil.example",
    "HTTPS://evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n/evil.example",
    "/\r//evil.example", "\x00//evil.example", " //evil.example", "javascript:alert(1)", "data:text/html,x",
    "evil.example", "@evil.example", "https:/evil.example", "/ /evil.example", "/\x7f/evil.example",
]  # fmt: skip

#: Ends of SQL, comments, unions, time, errors of types; each route's parameters meet some of them.
SQL = [
    head + body
    for head, body in itertools.product(
        ("'", '"', "1", "')", "%", "\\", "1;", "0x31", "*", "\u2019"),
        (
            " OR 1=1--", " OR '1'='1", " UNION SELECT NULL,NULL--", "; DROP TABLE user_account;--", " AND SLEEP(5)",
            " AND 1=CAST(version() AS int)", "/**/OR/**/1=1", " LIKE '%", "||pg_sleep(5)||", " WAITFOR DELAY '0:0:5'",
            "\x00", " ORDER BY 99", " -- ", "#", " AND 1=0", "%27%20OR%201=1", " IN (SELECT 1)", "\ud7ff", "9" * 400,
            " RETURNING *",
        ),
    )
]  # fmt: skip
PARAMETERS = (
    "next", "view", "modality", "facility", "since", "until", "who", "act", "case", "username", "display_name",
    "roles", "facility_code", "name", "code", "language", "quiet_seconds", "reason", "revision", "rendering_id",
    "seen_pages", "pdf_sha256", "new", "again", "key", "theme", "size", "StudyInstanceUID", "limit", "offset",
)  # fmt: skip


def post(client: FlaskClient, path: str, page: str = "/account", **form: object) -> object:
    return client.post(path, base_url=BASE, data={"csrf_token": csrf(client, page), **form})


@pytest.mark.parametrize("target", NEXTS)
def test_no_next_leads_to_another_site(target: str) -> None:
    assert safe_next(target) is None


def test_no_parameter_reaches_the_database_as_a_statement(house: House) -> None:
    assert len(SQL) == 200
    payloads = itertools.cycle(SQL)
    met = 0
    for name in ("reader", "coordinator", "admin"):
        client = house.signed_in(name)
        headers = {"X-CSRFToken": csrf(client, "/account")}
        for rule in house.app.url_map.iter_rules():
            if rule.endpoint in {"auth.sign_out", "auth.lock"} or "password" in rule.rule:
                continue
            path = re.sub(r"<int:\w+>", "1", rule.rule)
            path = re.sub(r"<any\(\w+[^>]*>", "enable", path)
            path = re.sub(r"<[^>]+>", "x'--", path)
            sent = {parameter: next(payloads) for parameter in PARAMETERS}
            met += len(sent)
            if "GET" in rule.methods:
                answer = client.get(path, base_url=BASE, query_string=sent)
                assert answer.status_code < 500, (path, answer.text[:300])
                answer.close()
            if "POST" in rule.methods:
                answer = client.post(
                    path, base_url=BASE, data=sent | {"is_active": "0", "id": "1"}, headers=headers
                )
                assert answer.status_code < 500, (path, answer.text[:300])
                answer.close()
    assert met > 200
    assert house.signed_in("reader").get("/worklist", base_url=BASE).status_code == 200


def test_a_locked_session_asks_again_and_the_draft_is_kept(house: House) -> None:
    number = house.study()
    client = house.signed_in("second")
    page = f"/cases/{number}"
    token = csrf(client, page)
    client.post(f"{page}/claim", base_url=BASE, data={"csrf_token": token})
    draft = {"base_revision": 0, "sections": {"findings": "kept"}}
    client.post(f"{page}/draft", base_url=BASE, json=draft, headers={"X-CSRFToken": token})
    assert client.post("/lock", base_url=BASE, headers={"X-CSRFToken": token}).status_code == 204
    assert client.get(page, base_url=BASE).headers["Location"].startswith("/sign-in?next=")
    assert ">\nkept</textarea>" in house.signed_in("second").get(page, base_url=BASE).text


def test_a_step_that_needs_both_factors_changes_the_token_and_not_the_forms(house: House) -> None:
    house.person("stepper", ["reader"])
    client = house.signed_in("stepper")
    before = client.get_cookie(COOKIE, domain="localhost")
    token = csrf(client, "/account")
    form = {"password": PASSWORD, "totp": house.code("stepper"), "csrf_token": token}
    answer = client.post("/account/recovery", base_url=BASE, data=form)
    codes = re.findall(r">(\d[0-9A-Z]{3}-[0-9A-Z]{4}-[0-9A-Z]{4})<", answer.text)
    assert len(codes) == 10
    after = client.get_cookie(COOKIE, domain="localhost")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    kept = client.post("/preferences", base_url=BASE, data={"csrf_token": token, "size": "112"})
    assert kept.status_code == 303
    thief = house.client()
    thief.set_cookie(COOKIE, before.value, domain="localhost", secure=True)
    assert thief.get("/account", base_url=BASE).status_code == 303
    wrong = post(
        client,
        "/account/password",
        password="no",
        totp="0",
        new="a b c d e f g h i",
        again="a b c d e f g h i",
    )
    assert wrong.status_code == 403
    new = "seven green boats at noon"
    changed = post(client, "/account/password", password=PASSWORD, totp=codes[0], new=new, again=new)
    assert changed.status_code == 303
    assert client.get("/account", base_url=BASE).status_code == 200
    out = post(client, "/sign-out")
    assert out.headers["Clear-Site-Data"] == '"cache", "storage"'


def test_an_administrator_adds_and_a_person_with_an_initial_password_changes_it_first(house: House) -> None:
    admin = house.signed_in("admin")
    assert (
        post(admin, "/admin/facilities", code="new-clinic", name="新しい医院", quiet_seconds="30").status_code
        == 303
    )
    invited = post(admin, "/admin/gateways", facility_code="new-clinic", name="box")
    code = invited.text.split('class="code" translate="no">')[1].split("<")[0]
    assert len(code) > 20
    assert code not in admin.get("/admin", base_url=BASE).text
    revoked = post(admin, "/admin/gateways/revoke", facility_code="new-clinic", name="box")
    assert revoked.status_code == 303
    made = post(admin, "/admin/users", username="fresh", display_name="Fresh", roles="reader", language="en")
    username, password, secret = re.findall(r'class="code" translate="no">([^<]+)<', made.text)
    assert username == "fresh"
    assert password not in admin.get("/admin/users", base_url=BASE).text
    client = house.client()
    form = {"username": "fresh", "password": password, "totp": pyotp.TOTP(secret).now()}
    assert post(client, "/sign-in", "/sign-in", **form).status_code == 303
    assert client.get("/worklist", base_url=BASE).headers["Location"] == "/account"
    house.secrets["fresh"] = secret
    new = "eleven owls by the river"
    done = post(client, "/account/password", password=password, totp=house.code("fresh"), new=new, again=new)
    assert done.status_code == 303
    assert client.get("/worklist", base_url=BASE).status_code == 200
    assert post(admin, "/admin/users/fresh/roles", roles="coordinator").status_code == 303
    assert client.get("/worklist", base_url=BASE).status_code == 303
    assert post(admin, "/admin/users/fresh/disable").status_code == 303
    assert post(admin, "/admin/users/admin/disable").status_code == 400
    reset = post(admin, "/admin/users/fresh/reset")
    assert len(re.findall(r'class="code" translate="no">([^<]+)<', reset.text)) == 3


def test_the_audit_log_is_searched_and_its_export_says_how_many_rows(house: House) -> None:
    admin = house.signed_in("admin")
    page = admin.get("/admin/audit?who=admin&act=sign_in", base_url=BASE)
    assert page.status_code == 200
    answer = admin.get("/admin/audit.csv?who=admin&act=sign_in", base_url=BASE)
    rows = list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert f"audit-{len(rows) - 1}-rows.csv" in answer.headers["Content-Disposition"]
    assert {row[3] for row in rows[1:]} == {"admin"}
    assert admin.get("/admin/audit?since=yesterday", base_url=BASE).status_code == 400
    found = admin.get("/admin/audit?act=audit", base_url=BASE).text
    assert "audit.export" in found
    assert "Audit log exported" in found
    assert "Administrator" in found
    assert "Security keys" not in admin.get("/admin/users", base_url=BASE).text
    assert admin.get("/admin/first-run", base_url=BASE).text.count("<li>") == 6


def test_fields_that_are_not_on_the_form_change_nothing(house: House) -> None:
    house.person("humble", ["reader"])
    number = house.study(slices=1)
    client = house.signed_in("humble")
    more = {
        "roles": "administrator", "is_active": "0", "facility_id": "1", "user_id": "1", "username": "admin",
        "assignee_id": "1", "state": "completed", "password_is_initial": "1", "totp_step": "0", "case_number": "0",
    }  # fmt: skip

    def account() -> dict[str, object]:
        with transaction(house.engine, writes=False) as session:
            user = session.scalars(select(User).where(User.username == "humble")).one()
            kept = ("roles", "is_active", "facility_id", "username", "password_is_initial", "password_hash")
            return {name: getattr(user, name) for name in kept}

    before = account()
    for path in ("/preferences", f"/cases/{number}/claim", "/account/password", "/worklist/views", "/lock"):
        assert post(client, path, **more).status_code < 500
    assert account() == before
    with transaction(house.engine, writes=False) as session:
        found = session.scalars(select(Reading).where(Reading.case_number == number)).one()
        assert (found.state, found.assignee.username) == ("in_progress", "humble")
