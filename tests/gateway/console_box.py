"""A gateway's box with a console, its people and its synthetic patients, for the tests of the console."""

import json
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
from argon2 import PasswordHasher
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from gateway.console import accounts
from gateway.console.accounts import NewUser
from gateway.console.app import create_app
from gateway.console.box import Console, open_console
from gateway.console.certificate import ensure_certificate
from gateway.deidentify import Deidentifier, clean_file
from gateway.keys import GatewayKeys
from gateway.layout import Layout
from gateway.settings import PACSTarget
from gateway.spool import Arrival, milliseconds
from teleread.wire.packages import ReportPackage
from tests.gateway.facility import file_bytes, instance, settings_of

START = datetime(2026, 11, 23, 17, 47, tzinfo=UTC)
BASE = "https://localhost"


class _Inline(Deidentifier):
    """De-identifies in this process: these tests are not about the child's death."""

    def _submit(self, row: Any) -> Any:
        done: Future[Any] = Future()
        source, target = self._spool.received_path(row["sha256"]), self._spool.clean_path(row["id"])
        done.set_result(clean_file(source, target, self._keys.facility, pixels=self._pixels))
        return done


@dataclass
class Box:
    """The console, its clock, and who has an account."""

    console: Console
    clock: list[datetime]
    people: dict[str, NewUser] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        """The time of the box."""
        return self.clock[0]

    def later(self, **span: float) -> None:
        """Let time pass."""
        self.clock[0] += timedelta(**span)

    def code(self, username: str) -> str:
        """Return the digits of the moment; each call is a new step, because each step counts once."""
        self.later(seconds=30)
        return pyotp.TOTP(self.people[username].totp_secret).at(self.now)

    def add(self, username: str, *roles: str, language: str = "ja") -> NewUser:
        """Make a person."""
        made = self.console.accounts.add(
            username, f"例示 {username}", roles, language=language, by="test", at=self.now
        )
        self.people[username] = made
        return made

    def browser(self) -> "Browser":
        """Return a fresh browser."""
        app = create_app(self.console)
        app.testing = False
        return Browser(self, app.test_client())

    def signed_in(self, username: str = "operator") -> "Browser":
        """Return a browser in which somebody is signed in."""
        browser = self.browser()
        answer = browser.sign_in(username)
        assert answer.status_code == 303, answer.text
        return browser

    def take(self, *datasets: Any) -> None:
        """Have instances received and de-identified."""
        spool = self.console.spool
        for ds in datasets:
            part = spool.part()
            part.write(file_bytes(ds))
            arrival = Arrival(
                str(ds.SOPInstanceUID), str(ds.SOPClassUID), str(ds.file_meta.TransferSyntaxUID)
            )
            spool.accept(part, arrival, at=self.now)
        worker = _Inline(spool, self.console.vault, self.console.keys, now=lambda: self.now)
        while worker.work():
            pass

    def at_centre(
        self,
        display_status: str,
        case_number: str = "4MZ09D83",
        study_id: int = 1,
        *,
        due_at: datetime | None = None,
        is_assigned: bool = False,
        pause_reason: str = "",
    ) -> None:
        """Have a study uploaded, and the centre say how far it is."""
        with self.console.spool.writing() as connection:
            connection.execute(
                "UPDATE item SET state = 'acknowledged', acknowledged_at = ? WHERE study_id = ? AND state = 'clean'",
                (milliseconds(self.now), study_id),
            )
            connection.execute(
                "UPDATE study SET revision = 1, sent_closed = 1, uploaded_at = ?, case_number = ? WHERE id = ?",
                (milliseconds(self.now), case_number, study_id),
            )
            connection.execute(
                "INSERT OR REPLACE INTO centre_view (study_id, display_status, changed_at, next_ask_at,"
                " due_at, is_assigned, pause_reason) VALUES (?, ?, ?, 0, ?, ?, ?)",
                (
                    study_id,
                    display_status,
                    milliseconds(self.now),
                    milliseconds(due_at) if due_at else None,
                    int(is_assigned),
                    pause_reason,
                ),
            )

    def report(self, state: str, *, reason: str = "", study_id: int = 1, pdf: bytes = b"") -> str:
        """Put a report package into a state; `pdf` is its named document, when there is one."""
        row = self.console.spool.connection.execute(
            "SELECT * FROM study WHERE id = ?", (study_id,)
        ).fetchone()
        package = ReportPackage(
            package_id=f"PKG{study_id}{state}",
            case_number=row["case_number"],
            study_instance_uid=row["centre_study_uid"],
            pseudonym=row["pseudonym"],
            accession=json.loads(row["summary"])["accession"],
            sex="M",
            age="067Y",
            version=1,
            kind="report",
            status="final",
            content_sha256="a" * 64,
            pdf_sha256="b" * 64,
            signed_at=self.now,
            signer_name="読影 次郎",
            title="画像診断報告書",
            language="ja",
        )
        with self.console.spool.writing() as connection:
            cursor = connection.execute(
                "INSERT INTO package (package_id, document, centre_study_uid, state, reason, pdf_sha256,"
                " collected_at, delivered_at, delivered_pdf_sha256) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    package.package_id,
                    json.dumps(package.to_json()),
                    package.study_instance_uid,
                    state,
                    reason,
                    package.pdf_sha256,
                    milliseconds(self.now),
                    milliseconds(self.now) if state == "delivered" else None,
                    "c" * 64 if pdf else None,
                ),
            )
        if pdf:
            self.console.spool.report_paths(int(cursor.lastrowid or 0))[0].write_bytes(pdf)
        return package.package_id

    def record(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return the record: who, act, detail."""
        rows = self.console.store.connection.execute("SELECT * FROM audit ORDER BY sequence")
        return [(row["who"], row["act"], json.loads(row["detail"])) for row in rows]


@dataclass
class Browser:
    """A test client that fills in the forms' tokens, as a browser does."""

    box: Box
    client: FlaskClient

    def get(self, path: str, **arguments: Any) -> TestResponse:
        """Open a page."""
        return self.client.get(path, base_url=BASE, **arguments)

    def token(self) -> str:
        """Return the token of this browser's forms."""
        page = self.get("/sign-in", follow_redirects=True).text
        return page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]

    def post(self, path: str, **form: Any) -> TestResponse:
        """Send a form."""
        return self.client.post(path, base_url=BASE, data={"csrf_token": self.token(), **form})

    def sign_in(self, username: str, *, password: str | None = None, code: str | None = None) -> TestResponse:
        """Try to sign in."""
        known = self.box.people.get(username)
        return self.post(
            "/sign-in",
            username=username,
            password=password if password is not None else known.password if known else "not a password",
            code=code if code is not None else self.box.code(username) if known else "123456",
        )


@contextmanager
def open_box(data: Path, **changes: Any) -> Iterator[Box]:
    """Open a console on an empty box with one person of each role."""
    # The real cost of a hash is for attackers; the tests sign in hundreds of times.
    accounts._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    accounts._NOBODYS_HASH = accounts._hasher.hash("nobody")
    settings = settings_of(data, pacs=(PACSTarget("PACS", "127.0.0.1", 1),), **changes)
    layout = Layout(settings.data)
    layout.make()
    GatewayKeys.make(layout)
    ensure_certificate(layout, "127.0.0.1", "北病院", at=START)
    # The line page shows when the certificate towards the centre ends.
    (layout.keys / "client.pem").write_bytes((layout.keys / "console.pem").read_bytes())
    clock = [START]
    console = open_console(settings, now=lambda: clock[0])
    box = Box(console, clock)
    box.add("operator", "operator")
    box.add("doctor", "doctor")
    box.add("admin", "administrator")
    try:
        yield box
    finally:
        console.close()


def other_instance(number: int = 1, **changes: Any) -> Any:
    """Return an instance of another patient's study."""
    return instance(
        number,
        study_uid="1.2.392.200036.9116.2.5.2",
        patient_id="0012-3988",
        **{
            # The family name has characters that JIS X 0208 does not have.
            "SpecificCharacterSet": "ISO_IR 192",
            "PatientName": "Takasaki^Reiko=髙﨑^例子=タカサキ^レイコ",
            "PatientSex": "F",
            "PatientBirthDate": "19810203",
            "PatientAge": "045Y",
            "AccessionNumber": "ACC2",
            **changes,
        },
    )
