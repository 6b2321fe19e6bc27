"""Figures of the doors that need time or a program of their own: guesses, ids of others, statements in parameters."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from teleread import clock
from teleread.domain.access import PERSONS_ROLES, Role
from teleread.errors import NotSignedIn
from teleread.services import accounts
from teleread.web.app import create_app
from teleread.web.security import COOKIE
from tests.web.conftest import House, close_house, csrf, make_house
from tests.web.test_tenants import _OWN_SESSION, KINDS, UNKNOWN, World, _routes, _tenant
from tests.web.walk import served

#: Guesses an account: fewer than close it.
_GUESSES, _ACCOUNTS = 8, 12
_LOOKS = 25


@contextmanager
def a_house() -> Iterator[House]:
    """Lay a centre for a trial."""
    with tempfile.TemporaryDirectory(prefix="teleread-trials-") as folder:
        house = make_house(Path(folder) / "centre")
        try:
            yield house
        finally:
            close_house(house)


def _seconds(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _refused(house: House, code: str, name: str) -> None:
    try:
        accounts.authenticate(
            house.engine, name, "wrong", code, at=clock.now(), from_where=secrets.token_hex(8)
        )
    except NotSignedIn:
        return
    raise AssertionError(f"{name} came in")


def guess_times() -> dict[str, Any]:
    """Return the medians of a refused sign-in for names that are there and names that are not, in milliseconds."""

    told: dict[str, Any] = {}
    with a_house() as house:
        names = [f"known{number}" for number in range(_ACCOUNTS)]
        for name in names:
            house.person(name, ["reader"])
        # The second factor makes no difference that a stranger could see either.
        for kind, code in {"code": "000000", "recovery_code": "3ABC-DEFG-HJKM"}.items():
            known, unknown = [], []
            guess = partial(_refused, house, code)
            for number in range(_GUESSES // 2):
                for name in names:
                    known.append(_seconds(partial(guess, name)))
                    unknown.append(_seconds(partial(guess, f"nobody{number}{name}{kind}")))
            medians = [statistics.median(values) * 1000 for values in (known, unknown)]
            told[kind] = {
                "known_ms": round(medians[0], 1),
                "unknown_ms": round(medians[1], 1),
                "difference_percent": round(100 * abs(medians[1] / medians[0] - 1), 1),
            }
    return told


def id_times() -> dict[str, Any]:
    """Return the greatest difference, in milliseconds, between an id of another facility and one of nobody."""
    found: list[tuple[float, str, str]] = []
    with a_house() as house:
        own, other = _tenant(house, "own-clinic", 7001), _tenant(house, "other-clinic", 7101)
        for role in sorted(PERSONS_ROLES - {Role.FACILITY}):
            house.person(f"matrix-{role}", [role])
        app = create_app(house.settings, listener="gateway", engine=house.engine)
        world = World(house, app, own, other)
        for listener, askers in ((house.app, world.people()), (app, world.gateways())):
            for asker in askers:
                if not asker.tenant:
                    continue
                for route in _routes(listener):
                    if (
                        route.endpoint in _OWN_SESSION
                        or route.method != "GET"
                        or not set(route.parts) & KINDS
                    ):
                        continue
                    times: dict[str, list[float]] = {"other": [], "none": []}
                    for _ in range(_LOOKS):
                        for whose, ids in (("other", other.ids), ("none", UNKNOWN)):
                            path = route.path(ids)
                            times[whose].append(
                                _seconds(lambda path=path, ask=asker.ask: ask(path, "GET").close())
                            )
                    medians = [statistics.median(values) * 1000 for values in times.values()]
                    found.append((abs(medians[0] - medians[1]), asker.name, route.rule))
        app.extensions["teleread"].renderer.close()
    found.sort(reverse=True)
    worst = [{"ms": round(ms, 2), "asker": who, "route": rule} for ms, who, rule in found[:3]]
    return {"routes": len(found), "worst": worst}


@dataclass(frozen=True)
class Form:
    """One request whose parameters are tried: who sends it, where, and with which values."""

    person: str
    path: str
    data: str = ""


#: Every parameter of the pages and of QIDO-RS that a service or a query gets to see.
FORMS = (
    Form("reader", "/worklist?view=open&state=unassigned&priority=urgent&modality=CT&facility=midori&q=x"),
    Form("reader", "/live/changes?after=1"),
    Form("reader", "/dicom-web/studies?PatientID=A&StudyDate=20261123&ModalitiesInStudy=CT&limit=1&offset=0"),
    Form("reader", "/dicom-web/series?StudyInstanceUID=1.2.3&Modality=CT&SeriesNumber=1&includefield=all"),
    Form("reader", "/dicom-web/instances?SOPInstanceUID=1.2.3&InstanceNumber=1&SOPClassUID=1.2"),
    Form("reader", "/viewer/viewer?case=00000000&StudyInstanceUIDs=1.2.3"),
    Form("reader", "/worklist/views", "name=a&query=state%3Dunassigned"),
    Form("reader", "/cases/00000000/review", "revision=1&incomplete_reason=x"),
    Form("reader", "/cases/00000000/sign", "rendering_id=x&pdf_sha256=0&seen_pages=1"),
    Form("reader", "/cases/00000000/release", "reason=x"),
    Form("reader", "/preferences", "language=en&theme=dark&size=100&next=/worklist"),
    Form("coordinator", "/cases/00000000/critical", "category=1&text=x"),
    Form("admin", "/admin/audit?since=2026-11-23&until=2026-11-24&who=admin&act=sign_in&case=00000000"),
    Form("admin", "/admin/facilities", "code=bad code&name=x&language=en&quiet_seconds=30"),
    Form("admin", "/admin/gateways", "facility_code=midori&name=bad name"),
    Form("admin", "/admin/gateways/revoke", "facility_code=nowhere&name=box"),
    Form("admin", "/admin/users", "username=admin&display_name=x&roles=reader&facility_code=&language=en"),
    Form("admin", "/admin/users/nobody/roles", "roles=reader&facility_code=midori"),
    Form("", "/sign-in?next=/worklist", "username=reader&password=x&totp=000000"),
    Form("", "/sign-in/key", "username=reader"),
)


def _sqlmap() -> Path | None:
    """Return the program, laid into an environment of its own if it is not there."""
    there = os.environ.get("SQLMAP") or shutil.which("sqlmap")
    if there:
        return Path(there)
    folder = Path(tempfile.gettempdir()) / "teleread-trials-sqlmap"
    if not (folder / "bin" / "sqlmap").exists():
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", "sqlmap"], check=False, stdout=sys.stderr)
    found = folder / "bin" / "sqlmap"
    return found if found.exists() else None


def statements() -> dict[str, Any]:
    """Let sqlmap try every parameter of `FORMS` at level 3; return what it called injectable."""
    program = _sqlmap()
    if program is None:
        return {"missing": "sqlmap, which could not be installed"}
    only = os.environ.get("FORMS", "")
    injectable, tried, faults = [], 0, 0
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    with a_house() as house, served(house) as number, tempfile.TemporaryDirectory() as output:
        # By a host name, or nobody could ask for a security key.
        address = number.replace("127.0.0.1", "localhost")
        here = house.app.extensions["teleread"]
        house.app.extensions["teleread"] = replace(here, settings=replace(here.settings, public_url=address))
        for form in FORMS:
            if only and only not in form.path:
                continue
            client = house.signed_in(form.person) if form.person else house.client()
            token = csrf(client, "/sign-in")
            cookie: Any = client.get_cookie(COOKIE, domain="localhost")
            command = [
                str(program), "-u", address + form.path, "--batch", "--level", "3", "--flush-session",
                "--output-dir", output, "--threads", "4", "--timeout", "60", "--ignore-code", "*",
                "--param-exclude", "csrf_token", "--headers", f"X-CSRFToken: {token}",
                "--cookie", f"{COOKIE}={cookie.value}", "--skip", "user-agent,referer,cookie,host",
            ]  # fmt: skip
            if form.data:
                command += ["--data", form.data]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            names = re.findall(r"testing if (?:\w+) parameter '([^']+)' is dynamic", done.stdout)
            tried += len(set(names))
            if "is vulnerable" in done.stdout or "injection point" in done.stdout:
                injectable.append(form.path)
            codes = re.findall(r"(\d{3}) \([^)]*\) - (\d+) times", done.stdout)
            faults += sum(int(count) for code, count in codes if code.startswith("5"))
            sys.stderr.write(f"{form.path}: {sorted(set(names))}\n")
    return {"forms": len(FORMS), "parameters": tried, "injectable": injectable, "answers_5xx": faults}
