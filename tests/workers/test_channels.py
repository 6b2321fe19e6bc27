"""Messages about critical findings over a real mail server and a real HTTP server."""

import hmac
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.message import Message
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from sqlalchemy import select

from teleread import clock
from teleread.domain.critical import Contact
from teleread.errors import InvalidInput
from teleread.services import critical
from teleread.services.critical import AlertMessage
from teleread.settings import ServerSettings
from teleread.storage.models.critical import CriticalAlert
from teleread.storage.models.records import OutboxRow
from tests.builders.centre import Place, clean_study
from workers import channels, jobs

KEY = "a key of the pager service"
MESSAGE = AlertMessage("5d1f0c-1-0", "mail", "4MZ09D83", "1", "stat", 28)


@dataclass
class Mailbox:
    """A mail server that keeps what it took, or refuses."""

    refuses: bool = False
    refused_for: str = ""
    mails: list[Message] = field(default_factory=list)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.refuses or self.refused_for in envelope.rcpt_tos:
            return "451 later"
        self.mails.append(message_from_bytes(envelope.content, policy=default))
        return "250 taken"


@dataclass
class Pager:
    """A pager service that keeps what it took, and answers as told."""

    url: str
    status: int = 202
    calls: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    box = Mailbox()
    controller = Controller(box, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield box, f"smtp://127.0.0.1:{controller.port}"
    controller.stop()


@pytest.fixture
def pager() -> Iterator[Pager]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            service.calls.append((dict(self.headers), body))
            self.send_response(service.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    service = Pager(f"http://127.0.0.1:{server.server_port}/page")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield service
    server.shutdown()
    thread.join()
    server.server_close()


def environment(folder: Path, smtp_url: str = "", pager_url: str = "") -> dict[str, str]:
    return {
        "TELEREAD_DATA": str(folder),
        "TELEREAD_LANGUAGE": "ja",
        "TELEREAD_PUBLIC_URL": "https://centre.example",
        "TELEREAD_SMTP_URL": smtp_url,
        "TELEREAD_MAIL_FROM": "teleread@centre.example",
        "TELEREAD_COORDINATORS": "room@centre.example, night@centre.example",
        "TELEREAD_PAGER_URL": pager_url,
        "TELEREAD_PAGER_KEY": KEY,
    }


def test_a_mail_holds_case_number_category_minutes_and_link_and_nothing_else(
    tmp_path: Path, mailbox: tuple[Mailbox, str]
) -> None:
    box, url = mailbox
    settings = ServerSettings.from_env(environment(tmp_path, url))
    assert channels.send(MESSAGE, settings, at=clock.now()) == channels.Said(True, "accepted")
    (mail,) = box.mails
    assert mail["Subject"] == "緊急所見 区分1 症例 4MZ0 9D83 残り28分"
    assert mail["To"] == "room@centre.example, night@centre.example"
    assert mail["Message-ID"] == "<5d1f0c-1-0@centre.example>"
    body = mail.get_content()  # type: ignore[attr-defined]
    assert body.splitlines() == [
        "症例番号: 4MZ0 9D83",
        "区分: 1",
        "優先度: 緊急",
        "残り 28分",
        "https://centre.example/cases/4MZ09D83/critical",
    ]
    late = channels.letter(replace(MESSAGE, minutes_left=-4), replace(settings, language="en"), clock.now())
    assert late["Subject"] == "Critical finding, cat. 1, case 4MZ0 9D83: 4 min late"


def test_the_pager_service_gets_signed_json_and_only_a_yes_counts(tmp_path: Path, pager: Pager) -> None:
    settings = ServerSettings.from_env(environment(tmp_path, pager_url=pager.url))
    message = replace(MESSAGE, channel="pager")
    assert channels.send(message, settings, at=clock.now()).answered
    headers, body = pager.calls[0]
    signed = headers["Teleread-Timestamp"].encode() + b"." + body
    assert headers["Teleread-Signature"] == "v1=" + hmac.new(KEY.encode(), signed, "sha256").hexdigest()
    assert headers["Idempotency-Key"] == message.key
    assert json.loads(body) == {
        "id": message.key,
        "case_number": "4MZ09D83",
        "category": "1",
        "priority": "stat",
        "minutes_left": 28,
        "link": "https://centre.example/cases/4MZ09D83/critical",
    }
    for status in (301, 404, 500, 503):
        pager.status = status
        assert channels.send(message, settings, at=clock.now()) == channels.Said(False, f"refused_{status}")


DUTY = (
    Contact("当直医", "03-1234-5678", mail="duty@clinic.example"),
    Contact("病棟師長", "2200"),
    Contact("安全管理者", "2255", mail="safety@clinic.example", is_second=True),
)


def test_what_is_late_reaches_the_facility_s_contacts_without_any_name(
    tmp_path: Path, mailbox: tuple[Mailbox, str], pager: Pager
) -> None:
    box, url = mailbox
    settings = ServerSettings.from_env(environment(tmp_path, url, pager.url))
    late = replace(MESSAGE, minutes_left=-4, receivers=DUTY, language="en")
    assert channels.send(late, settings, at=clock.now()) == channels.Said(True, "accepted")
    to_centre, to_facility = box.mails
    assert to_centre["To"] == "room@centre.example, night@centre.example"
    assert to_facility["To"] == "duty@clinic.example, safety@clinic.example"
    assert to_facility["Message-ID"] == "<5d1f0c-1-0-facility@centre.example>"
    assert to_facility["Subject"] == "Critical finding, cat. 1, case 4MZ0 9D83: 4 min late"
    assert to_facility.get_content().splitlines() == [  # type: ignore[attr-defined]
        "Case: 4MZ0 9D83",
        "Category: 1",
        "Priority: STAT",
        "4 min late",
        "https://centre.example/status",
    ]
    assert channels.send(replace(late, channel="pager"), settings, at=clock.now()).answered
    document = json.loads(pager.calls[0][1])
    assert document["to"] == ["03-1234-5678", "2200", "2255"]
    assert not any(one.name in json.dumps(document, ensure_ascii=False) for one in DUTY)


def test_a_step_has_failed_when_the_facility_s_mail_was_not_taken(
    tmp_path: Path, mailbox: tuple[Mailbox, str]
) -> None:
    box, url = mailbox
    settings = ServerSettings.from_env(environment(tmp_path, url))
    box.refused_for = "duty@clinic.example"
    late = replace(MESSAGE, receivers=DUTY[:1])
    assert channels.send(late, settings, at=clock.now()) == channels.Said(False, "refused_451")
    assert [mail["To"] for mail in box.mails] == ["room@centre.example, night@centre.example"]


def test_nobody_at_the_address_and_a_channel_that_is_not_set_up_have_not_answered(tmp_path: Path) -> None:
    nobody = free_port()
    settings = ServerSettings.from_env(
        environment(tmp_path, f"smtp://127.0.0.1:{nobody}", f"http://127.0.0.1:{nobody}/")
    )
    for name in ("mail", "pager"):
        message = replace(MESSAGE, channel=name)
        assert channels.send(message, settings, at=clock.now()) == channels.Said(False, "no_connection")
        bare = ServerSettings.from_env({"TELEREAD_DATA": str(tmp_path)})
        assert channels.send(message, bare, at=clock.now()) == channels.NOT_SET_UP


def test_a_password_is_not_sent_in_the_clear(tmp_path: Path, mailbox: tuple[Mailbox, str]) -> None:
    box, url = mailbox
    settings = ServerSettings.from_env(environment(tmp_path, url.replace("//", "//user:secret@")))
    assert channels.send(MESSAGE, settings, at=clock.now()) == channels.Said(False, "refused")
    assert box.mails == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TELEREAD_SMTP_URL", "mail.example"),
        ("TELEREAD_COORDINATORS", ""),
        ("TELEREAD_COORDINATORS", "room"),
        ("TELEREAD_MAIL_FROM", "a@b, c@d"),
        ("TELEREAD_MAIL_FROM", "a@b\nBcc: c@d"),
        ("TELEREAD_PAGER_KEY", "short"),
    ],
)
def test_a_half_set_up_channel_stops_the_start(tmp_path: Path, name: str, value: str) -> None:
    env = environment(tmp_path, "smtp://127.0.0.1", "http://127.0.0.1/") | {name: value}
    with pytest.raises(InvalidInput, match=name):
        ServerSettings.from_env(env)
    assert KEY not in repr(ServerSettings.from_env(environment(tmp_path, "", "http://127.0.0.1/")))


def test_the_job_goes_to_the_next_step_when_the_mail_server_fails(
    small_place: Place, mailbox: tuple[Mailbox, str], pager: Pager, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, (box, url) = small_place, mailbox
    for name, value in environment(place.settings.data, url, pager.url).items():
        monkeypatch.setenv(name, value)
    reader = place.person("reader1", "reader")
    case_number = place.send(clean_study())
    with place.session() as session:
        critical.raise_finding(session, case_number, "1", "出血", actor=reader.actor, at=clock.now())

    def run_newest() -> int:
        with place.session(writes=False) as session:
            row_id = session.scalars(
                select(OutboxRow.id)
                .where(OutboxRow.job == "send_critical_alert", OutboxRow.done_at.is_(None))
                .order_by(OutboxRow.id.desc())
            ).first()
        assert row_id is not None
        jobs.send_critical_alert(row_id)
        return row_id

    box.refuses = True
    first = run_newest()
    assert pager.calls == []
    jobs.send_critical_alert(first)  # done already
    second = run_newest()
    assert second != first
    assert len(pager.calls) == 1
    with place.session(writes=False) as session:
        rows = session.scalars(select(CriticalAlert).order_by(CriticalAlert.id)).all()
        assert [(row.channel, row.outcome, row.detail) for row in rows] == [
            ("mail", "failed", "refused_451"),
            ("pager", "answered", "accepted"),
        ]
        assert list(session.scalars(select(OutboxRow.id).where(OutboxRow.done_at.is_(None)))) == []
