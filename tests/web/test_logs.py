"""Every log of the centre at DEBUG, over real files and a reader's day: no word of a patient, no secret, one line an event."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from teleread import clock, logs
from teleread.jobs import JobName
from teleread.services import accounts
from teleread.storage.models.facilities import Gateway
from teleread.storage.models.records import OutboxRow
from teleread.storage.session import transaction
from teleread.web.app import create_app
from teleread.web.security import COOKIE
from tests.gateway.test_logs import FILES, tokens_in
from tests.web.conftest import BASE, PASSWORD, SYSTEM, House, csrf
from tests.web.walk import sign, write

EVIL = "x\r\n2026-11-23 INFO root signed in\x1b[2J"


#: A job as the worker's child does it, with the worker's logs.
WORKER = """
import sys
from teleread import logs
from workers import jobs

logs.set_up("DEBUG")
jobs._log.debug("a worker that speaks")
jobs.render_report(int(sys.argv[1]))
"""


@dataclass
class Said:
    """What the logs say, and the secrets that went through meanwhile."""

    log: str = ""
    secrets: set[str] = field(default_factory=set)


@contextlib.contextmanager
def loud() -> Iterator[io.StringIO]:
    """Let every logger of the process, libraries too, write all it has as the centre's processes write."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.OneLine("%(levelname)s %(name)s %(message)s"))
    root = logging.getLogger()
    before = {name: logging.getLogger(name).level for name in ("", *logs.OURS)}
    root.addHandler(handler)
    for name in before:
        logging.getLogger(name).setLevel(logging.DEBUG)
    # The centre's processes never let the database speak: it quotes rows.
    logging.getLogger("sqlalchemy").setLevel(logging.WARNING)
    try:
        yield written
    finally:
        root.removeHandler(handler)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


class _Box:
    """Where gunicorn hands on a gateway's certificate, the test client has this."""

    def getpeercert(self, *, binary_form: bool) -> bytes:
        assert binary_form
        return b"the box of the logs"


def store(house: House, files: list[Path]) -> int:
    """Send files as they are, with all their names, as a gateway that forgot to take them out; return how many."""
    with transaction(house.engine) as session:
        box = session.get_one(Gateway, house.gateway("midori").gateway_id)
        box.certificate_sha256 = hashlib.sha256(b"the box of the logs").hexdigest()
    app = create_app(house.settings, listener="gateway", engine=house.engine)
    client = app.test_client()
    head = b"--b0undary\r\nContent-Type: application/dicom\r\n\r\n"
    answered = 0
    for path in files:
        answer = client.post(
            "/dicom-web/studies",
            base_url=BASE,
            data=head + path.read_bytes() + b"\r\n--b0undary--\r\n",
            content_type='multipart/related; type="application/dicom"; boundary=b0undary',
            environ_overrides={"gunicorn.socket": _Box()},
        )
        answered += answer.status_code < 500
    app.extensions["teleread"].renderer.close()
    return answered


def a_day(house: House, files: list[Path]) -> Said:
    """Do what web, gateway listener and worker do in a day, at DEBUG, over the files."""
    said = Said()
    with loud() as written, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("teleread").debug("a line, so that a silent log cannot pass")
        assert store(house, files) == len(files)
        with transaction(house.engine) as session:
            token = accounts.create_token(
                session,
                name=f"logs-{len(files)}",
                scopes=["dicomweb.read"],
                expires_at=clock.now() + accounts.ABSOLUTE,
                actor=SYSTEM,
                at=clock.now(),
            )
        client = house.client()
        client.get("/dicom-web/studies", base_url=BASE, headers={"Authorization": f"Bearer {token}"})
        client.get(f"/cases/{EVIL}", base_url=BASE)
        code = house.code("second")
        form = {"username": "second", "password": PASSWORD, "totp": code}
        wrong = form | {"password": "a password that is wrong", "csrf_token": csrf(client, "/sign-in")}
        assert client.post("/sign-in", base_url=BASE, data=wrong).status_code == 401
        form["csrf_token"] = csrf(client, "/sign-in")
        assert client.post("/sign-in", base_url=BASE, data=form).status_code == 303
        cookie: Any = client.get_cookie(COOKIE, domain="localhost")
        said.secrets |= {token, code, PASSWORD, wrong["password"], cookie.value, csrf(client, "/account")}
        said.secrets |= {form["csrf_token"], house.secrets["second"]}
        proof = {"password": PASSWORD, "totp": house.code("second"), "csrf_token": csrf(client, "/account")}
        made = client.post("/account/recovery", base_url=BASE, data=proof).text
        said.secrets |= set(re.findall(r">(\d[0-9A-Z]{3}-[0-9A-Z]{4}-[0-9A-Z]{4})<", made))
        number = house.study(slices=1)
        review = write(house, "second", number)
        with transaction(house.engine) as session:
            waiting = select(OutboxRow.id).where(OutboxRow.job == JobName.RENDER_REPORT)
            newest = max(session.scalars(waiting))
        worker = subprocess.run(
            [sys.executable, "-c", WORKER, str(newest)],
            env={**os.environ, "TELEREAD_DATA": str(house.settings.data)},
            check=True,
            capture_output=True,
            text=True,
        )
        sign(house, "second", number, review)
    said.log = written.getvalue() + worker.stderr
    return said


def test_no_word_of_a_patient_and_no_secret_is_in_any_log_of_the_centre(house: House) -> None:
    said = a_day(house, FILES)
    assert "a silent log cannot pass" in said.log
    assert "a worker that speaks" in said.log
    assert len(said.secrets) > 16
    assert [secret for secret in said.secrets if secret in said.log] == []
    wanted = {token for path in FILES for token in tokens_in(path)}
    assert len(wanted) > 40
    assert [token for token in wanted if token in said.log.encode()] == []
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said.log)


def test_a_process_of_the_centre_logs_one_line_an_event_and_nothing_that_a_library_quotes() -> None:
    act = f"""
import logging, warnings
from teleread import logs
logs.set_up("DEBUG")
logging.getLogger("teleread.web").debug("ours %s", {EVIL!r})
logging.getLogger("gunicorn.error").warning("theirs %s", {EVIL!r})
logging.getLogger("sqlalchemy.engine.Engine").info("SELECT secret")
warnings.warn("quoted value")
"""
    done = subprocess.run([sys.executable, "-c", act], check=True, capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert [line.split(" ", 2)[2].split(" x")[0] for line in lines] == [
        "DEBUG teleread.web ours",
        "WARNING gunicorn.error theirs",
    ]
    assert all(line.endswith("x\\x0d\\x0a2026-11-23 INFO root signed in\\x1b[2J") for line in lines)
