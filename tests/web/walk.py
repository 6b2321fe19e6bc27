"""The pages of the centre for a browser: a centre with something on every page, and the way to each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session
from werkzeug.serving import make_server

from teleread import clock
from teleread.domain.access import Actor, Role
from teleread.services import critical, orders
from teleread.storage.models.accounts import User
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


@dataclass(frozen=True)
class Page:
    """One page: the name of its picture, who looks at it, and where it is."""

    name: str
    person: str | None
    path: str


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


def _reader(session: Session) -> Actor:
    user = session.scalars(select(User).where(User.username == "reader")).one()
    return Actor(kind="user", name=user.username, role=Role.READER, user_id=user.id)


def furnish(house: House) -> tuple[Page, ...]:
    """Put something on every page, and return the pages."""
    prior, ready, mine, reviewed = (send(house, slices=slices) for slices in (2, 3, 5, 2))
    for case in (ready, mine, reviewed):
        request(house, case)
    first = write(house, "reader", prior.case_number)
    review = write(house, "reader", reviewed.case_number)
    house.render()
    sign(house, "reader", prior.case_number, first)
    client = house.signed_in("reader")
    token = csrf(client, "/worklist")
    client.post(f"/cases/{mine.case_number}/claim", base_url=BASE, data={"csrf_token": token})
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
        Page("worklist", "reader", "/worklist"),
        Page("case-ready", "reader", f"/cases/{ready.case_number}"),
        Page("case", "reader", f"/cases/{mine.case_number}"),
        Page("review", "reader", review),
        Page("signed", "reader", f"/cases/{prior.case_number}/signed"),
        Page("not-found", "reader", "/cases/00000000"),
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
