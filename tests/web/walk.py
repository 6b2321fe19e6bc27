"""The pages of the centre for a browser: a centre with something on every page, and the way to each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

from teleread import clock
from teleread.domain.access import Actor, Role
from teleread.services import critical, orders, signing
from teleread.storage.models.accounts import User
from teleread.storage.models.reports import SignAuthorisation
from teleread.storage.pki import SigningKeys
from teleread.storage.session import transaction
from teleread.wire.orders import OrderNotice
from tests.builders.pictures import PSEUDONYM, Sent, send
from tests.web.conftest import BASE, PASSWORD, House, csrf

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

SECTIONS = {
    "technique": "胸部単純CT。1.0 mm厚。",
    "findings": "右肺上葉S2に 12.4×11.0 mm の充実性結節を認める。\n縦隔・肺門に有意なリンパ節腫大を認めない。",
    "impression": "1. 右肺上葉結節。原発性肺癌を疑う。",
    "recommendation": "PET-CT および呼吸器内科への紹介。",
}


#: Picture → the route that it shows. `tests/contracts/test_screens.py` wants every page of the URL map here.
SHOWN = {
    "sign-in": "auth.sign_in",
    "sign-in-refused": "auth.sign_in",
    "worklist": "worklist.worklist",
    "worklist-empty": "worklist.worklist",
    "worklist-keys": "worklist.worklist",
    "case-ready": "readings.case",
    "case": "readings.case",
    "case-long": "readings.case",
    "review": "reports.review",
    "signed": "reports.signed",
    "critical": "critical.page",
    "account": "account.account",
    "idle-lock": "account.account",
    "styleguide": "styleguide.styleguide",
    "not-found": "readings.case",
    "not-allowed": "admin.admin",
    "coordination": "coordination.coordination",
    "status": "facilities.status",
    "status-empty": "facilities.status",
    "admin": "admin.admin",
    "first-run": "admin.first_run",
    "people": "admin.users",
    "record": "admin.audit_search",
    "contacts": "contacts.facilities",
    "contacts-ladder": "contacts.facility",
}


@dataclass(frozen=True)
class Page:
    """One page: the name of its picture, who looks at it, where it is, and what to do there first."""

    name: str
    person: str | None
    path: str
    prepare: Callable[[Any], None] | None = None


@contextmanager
def served(house: House) -> Iterator[str]:
    """Serve the centre on a free port of loopback and give its address."""
    certificate = (str(house.settings.server_certificate), str(house.settings.server_key))
    server = make_server("127.0.0.1", 0, house.app, threaded=True, ssl_context=certificate)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def request(house: House, case: Sent, **changes: str) -> None:
    """Send the facility's request for a case."""
    words = {
        "clinical_question": "右肺上葉結節の増大の有無。悪性を疑うか。",
        "history": "2か月前から咳嗽。喫煙歴40本年。体重減少 3 kg／3か月。造影アレルギーなし。",
        "department": "内科",
        "responsible_doctor": "例示 五郎",
        "callback_phone": "03-0000-2210",
        "body_part": "胸部",
        "examination": "胸部CT",
        "priority": "urgent",
    }
    notice = OrderNotice(
        order_id=f"T{case.case_number}",
        pseudonym=PSEUDONYM,
        accession="",
        study_instance_uid=case.study_instance_uid,
        study_date="20261123",
        modality="CT",
        contrast="none",
        requested_at=clock.now() - timedelta(minutes=20),
        **(words | changes),
    )
    with transaction(house.engine) as session:
        answer = orders.receive_order(session, notice, actor=house.gateway("midori"), at=clock.now())
    assert answer.outcome == "matched"


def write(house: House, name: str, number: str, sections: dict[str, str] | None = None) -> str:
    """Claim a case, write its report and ask for the review; return the review's address. `house.render` makes the PDF."""
    client = house.signed_in(name)
    page = f"/cases/{number}"
    token = csrf(client, page)
    client.post(f"{page}/claim", base_url=BASE, data={"csrf_token": token})
    saved = client.post(
        f"{page}/draft",
        base_url=BASE,
        json={"base_revision": 0, "sections": sections or SECTIONS},
        headers={"X-CSRFToken": token},
    )
    assert saved.status_code == 200, saved.text
    form = {"revision": "1", "csrf_token": token, "shown_answered": "0", "shown_confirmed": "1"}
    asked = client.post(f"{page}/review", base_url=BASE, data=form)
    assert asked.status_code == 303, asked.text
    return str(asked.headers["Location"])


def sign(house: House, name: str, number: str, review: str) -> None:
    """Sign a case whose PDF is there."""
    client = house.signed_in(name)
    ready: Any = client.get(review, base_url=BASE, headers={"Accept": "application/json"}).json
    form = {
        "rendering_id": review.rpartition("/")[2],
        "pdf_sha256": ready["pdf_sha256"],
        "seen_pages": str(ready["pages"]),
        "password": PASSWORD,
        "totp": house.code(name),
        "csrf_token": csrf(client, review),
    }
    signed = client.post(f"/cases/{number}/sign", base_url=BASE, data=form)
    assert signed.status_code == 303, signed.text


def seal(house: House) -> None:
    """Do the worker's last step: put the signature under every page that was authorised."""
    keys = SigningKeys(house.settings.signing, house.settings.pki, house.settings.reader_keys_key())
    with transaction(house.engine, writes=False) as session:
        waiting = list(
            session.scalars(select(SignAuthorisation.id).where(SignAuthorisation.used_at.is_(None)))
        )
    for authorisation in waiting:
        signing.sign_version(house.engine, house.blobs, authorisation, keys=keys, at=clock.now())


def _reader(session: Session) -> Actor:
    user = session.scalars(select(User).where(User.username == "reader")).one()
    return Actor(kind="user", name=user.username, role=Role.READER, user_id=user.id)


LONG = (
    "右肺上葉の結節は前回と比べてわずかに増大している。縦隔と肺門に有意なリンパ節腫大を認めない。胸水なし。"
    * 30
)


def _refused(page: Any) -> None:
    page.fill('input[name="username"]', "reader")
    page.fill('input[name="password"]', "not the password")
    page.fill('input[name="totp"]', "000000")
    page.click("form.main button.primary")
    page.wait_for_selector("form.main .problem")


def _keys(page: Any) -> None:
    page.keyboard.press("?")
    page.wait_for_selector("dialog[open]")


def _idle(page: Any) -> None:
    """Let a quarter of an hour pass; the centre is not told, so that the other pages go on."""
    page.route("**/lock", lambda route: route.abort())
    page.clock.install()
    page.reload()
    page.clock.fast_forward(16 * 60 * 1000)
    page.wait_for_selector(".lock-panel")


def _written(page: Any) -> None:
    page.wait_for_selector('textarea[name="findings"]:not([readonly])', timeout=60_000)
    page.fill('textarea[name="findings"]', LONG)
    page.evaluate("document.querySelectorAll('.beside details').forEach((one) => { one.open = true; })")


def furnish(house: House, *, body: bool = False) -> tuple[Page, ...]:
    """Put something on every page, and return the pages; `body` makes the images a chest instead of a square."""
    prior, ready, mine, reviewed, long = (send(house, slices=slices, body=body) for slices in (2, 3, 5, 2, 2))
    for case in (ready, mine, reviewed):
        request(house, case)
    request(house, long, history=LONG, clinical_question=LONG[:200])
    first = write(house, "reader", prior.case_number)
    review = write(house, "reader", reviewed.case_number)
    house.render()
    sign(house, "reader", prior.case_number, first)
    client = house.signed_in("reader")
    token = csrf(client, "/worklist")
    for case in (mine, long):
        client.post(f"/cases/{case.case_number}/claim", base_url=BASE, data={"csrf_token": token})
    with transaction(house.engine) as session:
        critical.raise_finding(
            session,
            mine.case_number,
            "2",
            "右肺上葉S2の結節に新たな空洞。本日中の連絡を要する。",
            actor=_reader(session),
            at=clock.now() - timedelta(minutes=12),
        )
    return (
        Page("sign-in", None, "/sign-in"),
        Page("sign-in-refused", None, "/sign-in", _refused),
        Page("worklist", "reader", "/worklist"),
        Page("worklist-empty", "reader", "/worklist?view=open&q=zzz"),
        Page("worklist-keys", "reader", "/worklist", _keys),
        Page("case-ready", "reader", f"/cases/{ready.case_number}"),
        Page("case", "reader", f"/cases/{mine.case_number}"),
        Page("case-long", "reader", f"/cases/{long.case_number}", _written),
        Page("review", "reader", review),
        Page("signed", "reader", f"/cases/{prior.case_number}/signed"),
        Page("not-found", "reader", "/cases/00000000"),
        Page("not-allowed", "reader", "/admin"),
        Page("critical", "reader", f"/cases/{mine.case_number}/critical"),
        Page("account", "reader", "/account"),
        Page("styleguide", "reader", "/styleguide"),
        Page("coordination", "coordinator", "/coordination"),
        Page("contacts", "coordinator", "/contacts"),
        Page("contacts-ladder", "coordinator", "/contacts/midori"),
        Page("status", "midori", "/status"),
        Page("admin", "admin", "/admin"),
        Page("first-run", "admin", "/admin/first-run"),
        Page("people", "admin", "/admin/users"),
        Page("record", "admin", "/admin/audit"),
        Page("status-empty", "kita", "/status"),
        # Last: its page's clock does not run any more.
        Page("idle-lock", "second", "/account", _idle),
    )


def sign_in(page: Any, house: House, name: str) -> None:
    """Fill the form of the sign-in page."""
    page.goto("/sign-in")
    page.fill('input[name="username"]', name)
    page.fill('input[name="password"]', PASSWORD)
    page.fill('input[name="totp"]', house.code(name))
    page.click("form.main button.primary")
    page.wait_for_url(lambda address: "/sign-in" not in address)


def dress(context: Any, address: str, *, theme: str, language: str) -> None:
    """Choose theme and language as the switches of the pages do."""
    page = context.request.get(f"{address}/sign-in").text()
    token = page.split('name="csrf-token" content="')[1].split('"')[0]
    kept = context.request.post(
        f"{address}/preferences",
        form={"csrf_token": token, "theme": theme, "language": language, "next": "/styleguide"},
        headers={"Referer": f"{address}/"},
    )
    assert kept.ok, kept.status


def undress(house: House) -> None:
    """Set language and theme of everybody back to what the house began with."""
    with transaction(house.engine) as session:
        session.execute(update(User).values(language="en", theme=""))
