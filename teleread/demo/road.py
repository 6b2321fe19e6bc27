"""The whole road on one machine: a centre, a facility's gateway and PACS, and readers. Used by the demo, e2e tests, trials."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from teleread import clock
from teleread.demo import pacs
from teleread.demo.reader import ReaderClient, SignIn
from teleread.domain.access import system_actor
from teleread.errors import Unavailable
from teleread.services import accounts, facilities
from teleread.storage.session import open_engine, transaction
from teleread.supervisor import Child, Supervisor, python
from teleread.up import Centre, centre, children, clear_away, free_port, prepare, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

FACILITY_CODE = "shiken"
FACILITY_NAME = "試験総合病院"
GATEWAY_AE = "TELEREAD"
PACS_AE = "SHIKENPACS"

_GATEWAY_PROGRAM = Path(sys.executable).with_name("teleread-gateway")


@dataclass
class Person:
    """A sign-in with the role it has, for the list that the demo prints."""

    role: str
    display_name: str
    sign_in: SignIn


#: Who works at the facility's console of the demo: role there, user name, name.
CONSOLE_PEOPLE = (
    ("operator", "operator", "試験 操作係"),
    ("doctor", "doctor", "例示 五郎"),
    ("administrator", "facility-admin", "試験 管理者"),
)


@dataclass
class Road:
    """Every process of the demo, and the folders they keep.

    Parameters
    ----------
    data : Path
        New folder; gets ``centre``, ``gateway``, ``pacs`` and ``logs``.
    say : callable
        Takes one progress line.
    quiet_seconds : float
        The facility's quiet time: a study counts as sent when nothing came for so long.
    environment : mapping
        Base of every child's environment.
    """

    data: Path
    say: Callable[[str], None]
    quiet_seconds: float = 2.0
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    port: int | None = None
    workers: int = 1
    people: list[Person] = field(default_factory=list)
    console_people: list[Person] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.data = self.data.absolute()
        self.centre_data = self.data / "centre"
        self.gateway_data = self.data / "gateway"
        self.pacs_data = self.data / "pacs"
        self.gateway_port = free_port()
        self.pacs_port = free_port()
        self.console_port = free_port()
        self.centre: Centre = centre(
            self.centre_data, self.environment, port=self.port or free_port(), gateway_port=free_port()
        )
        self.supervisor = Supervisor(self.say)

    @property
    def url(self) -> str:
        """Return where people sign in."""
        return self.centre.settings.public_url

    @property
    def console_url(self) -> str:
        """Return where the facility's own people sign in; names are shown there."""
        return f"https://localhost:{self.console_port}"

    def start_centre(self) -> None:
        """Lay the data folder and start the centre's processes."""
        prepare(self.centre.settings)
        self.supervisor.start(children(self.centre, workers=self.workers))
        wait_until_ready(self.centre, self.supervisor)

    def add_people(self, readers: int) -> None:
        """Register the facility and make sign-ins: readers, coordinator, administrator, facility user."""
        actor = system_actor("demo")
        wanted = [("reader", f"reader{n}", f"読影医 {n}") for n in range(1, readers + 1)]
        wanted += [
            ("coordinator", "coordinator", "調整担当"),
            ("administrator", "administrator", "管理者"),
            ("facility", "clinic", "試験総合病院 放射線科"),
        ]
        engine = open_engine(self.centre.settings)
        try:
            with transaction(engine) as session:
                facilities.add_facility(
                    session,
                    code=FACILITY_CODE,
                    name=FACILITY_NAME,
                    quiet_seconds=round(self.quiet_seconds),
                    actor=actor,
                    at=clock.now(),
                )
            for role, username, display_name in wanted:
                with transaction(engine) as session:
                    new = accounts.create_user(
                        session,
                        username=username,
                        display_name=display_name,
                        roles=[role],
                        facility_code=FACILITY_CODE if role == "facility" else None,
                        licence_number="000000" if role == "reader" else "",
                        actor=actor,
                        at=clock.now(),
                    )
                self.people.append(
                    Person(role, display_name, SignIn(username, new.password, new.totp_secret))
                )
        finally:
            engine.dispose()

    def start_facility(self) -> None:
        """Enrol the gateway with a one-time code and start it and the PACS."""
        engine = open_engine(self.centre.settings)
        try:
            with transaction(engine) as session:
                code = facilities.invite_gateway(
                    session,
                    facility_code=FACILITY_CODE,
                    name="gateway1",
                    settings=self.centre.settings,
                    actor=system_actor("demo"),
                    at=clock.now(),
                )
        finally:
            engine.dispose()
        self.gateway(
            "enrol", self.url, code,
            *("--ae-title", GATEWAY_AE, "--port", str(self.gateway_port)),
            *("--known", f"{PACS_AE}@127.0.0.1", "--pacs", f"{PACS_AE}@127.0.0.1:{self.pacs_port}"),
            *("--deliver-folder", str(self.gateway_data / "delivered")),
            *("--quiet-seconds", f"{self.quiet_seconds:g}"),
            *("--console-port", str(self.console_port)),
        )  # fmt: skip
        serve = ["-m", "teleread.demo.pacs", "serve", "--folder", str(self.pacs_data), "--ae-title", PACS_AE]
        commands = {
            "pacs": python(*serve, "--port", str(self.pacs_port)),
            "gateway": [str(_GATEWAY_PROGRAM), "run", "--data", str(self.gateway_data)],
        }
        self.supervisor.start(
            [
                Child(name, command, dict(self.environment), self.data / "logs" / f"{name}.log")
                for name, command in commands.items()
            ]
        )
        self._wait_for(self.pacs_port, "pacs")
        self._wait_for(self.gateway_port, "gateway")
        # The road does not need it; but while it starts it would take its time from the round trip.
        self._wait_for(self.console_port, "gateway")

    def open_console(self) -> None:
        """Give people of the facility their accounts at its console."""
        for role, username, display_name in CONSOLE_PEOPLE:
            made = json.loads(
                self.gateway("user", "add", username, "--name", display_name, "--role", role, "--json")
            )
            self.console_people.append(
                Person(role, display_name, SignIn(username, made["password"], made["totp_secret"]))
            )

    def _wait_for(self, port: int, name: str) -> None:
        deadline = time.monotonic() + 60
        while not _takes_connections(port):
            if time.monotonic() > deadline:
                raise Unavailable(f"{name} did not come up; see {self.supervisor.log(name)}")
            time.sleep(0.05)

    def gateway(self, *arguments: str) -> str:
        """Run a command of the gateway's program; return its standard output."""
        command = [str(_GATEWAY_PROGRAM), arguments[0], *arguments[1:], "--data", str(self.gateway_data)]
        done = subprocess.run(
            command, env=dict(self.environment), capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise Unavailable(
                f"teleread-gateway {arguments[0]} ended with {done.returncode}: {done.stderr.strip()}"
            )
        return done.stdout

    def gateway_status(self) -> list[dict[str, Any]]:
        """Return the gateway's own account, a study an entry."""
        status: dict[str, Any] = json.loads(self.gateway("status", "--json"))
        studies: list[dict[str, Any]] = status["studies"]
        return studies

    def send(self, paths: Sequence[Path], *, patience_seconds: float = 60.0) -> Iterator[dict[str, Any]]:
        """Let the PACS send the files below `paths`; yield each file's fate as it is known."""
        command = python(
            "-m", "teleread.demo.pacs", "send", "--to", f"{GATEWAY_AE}@127.0.0.1:{self.gateway_port}",
            "--ae-title", PACS_AE, "--patience", f"{patience_seconds:g}", *map(str, paths),
        )  # fmt: skip
        with (
            (self.data / "logs" / "pacs-send.log").open("ab") as log,
            (self.pacs_data / "sent.jsonl").open("a", encoding="utf-8") as told,
            subprocess.Popen(
                command, env=dict(self.environment), stdout=subprocess.PIPE, stderr=log, text=True
            ) as sender,
        ):
            if sender.stdout is None:
                raise Unavailable("the sender has no output")
            try:
                for line in sender.stdout:
                    told.write(line)
                    yield json.loads(line)
            finally:
                if sender.poll() is None:
                    sender.terminate()
        if sender.returncode != 0:
            raise Unavailable(f"the PACS's sender ended with {sender.returncode}; see logs/pacs-send.log")

    def came_home(self, *, since_ms: int = 0) -> dict[str, list[str]]:
        """Return the Encapsulated PDF objects that the PACS has filed: original study UID → paths.

        An object that is sent again with the same bytes is filed under the same name, and counts once.
        """
        found: dict[str, list[str]] = {}
        rows = {row["path"]: row for row in pacs.index(self.pacs_data) if row["at_ms"] >= since_ms}
        for row in rows.values():
            if row["sop_class_uid"] == ENCAPSULATED_PDF:
                found.setdefault(row["study_instance_uid"], []).append(row["path"])
        return found

    def reader(self, person: Person, *, patience_seconds: float = 60.0) -> ReaderClient:
        """Return a browser for a person."""
        return ReaderClient(
            self.url, self.centre.settings.ca_certificate, person.sign_in, patience_seconds=patience_seconds
        )

    def readers(self) -> list[Person]:
        """Return the people who read."""
        return [person for person in self.people if person.role == "reader"]

    def stop(self) -> None:
        """End every process that was started, and wait."""
        self.supervisor.stop()
        clear_away(self.centre)


ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"


def _takes_connections(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
