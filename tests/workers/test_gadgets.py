"""What somebody who can write into Redis can make of the workers: nothing that runs."""

import json
import os
import pickle
import subprocess
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis

from teleread import clock
from teleread.jobs import JOBS
from tests.workers.test_background import Backstage, ask_for_page, backstage, state, until
from workers.relay import relay

__all__ = ["backstage"]

pytestmark = pytest.mark.centre

QUEUES = sorted({policy.queue for policy in JOBS.values()})
REGISTRIES = ("wip", "finished", "failed", "deferred", "scheduled", "canceled", "intermediate")


class Gadget:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.canary}",)


@dataclass
class Target:
    """A Redis that somebody else can write into, and the file that is there when a gadget has run."""

    backstage: Backstage
    connection: "Redis"
    canary: Path

    def queued(self) -> int:
        """Return how many jobs wait."""
        return sum(int(self.connection.llen(f"rq:queue:{queue}")) for queue in QUEUES)

    def push(self, job_id: str, data: bytes, **more: str | bytes) -> None:
        """Put a job into every queue, as RQ lays it."""
        at = "2026-11-23T03:04:05.000000Z"
        for queue in QUEUES:
            job = {"created_at": at, "enqueued_at": at, "origin": queue, "status": "queued", "timeout": "10"}
            key = f"{queue}-{job_id}"
            self.connection.hset(f"rq:job:{key}", mapping={**job, "data": data, **more})
            self.connection.sadd("rq:queues", f"rq:queue:{queue}")
            self.connection.rpush(f"rq:queue:{queue}", key)

    def call(self) -> bytes:
        """Return a call of a program, in the very form in which our own jobs lie there."""
        return zlib.compress(json.dumps(["os.system", None, [f"touch {self.canary}"], {}]).encode())


@pytest.fixture
def target(backstage: Backstage, tmp_path: Path) -> Iterator[Target]:
    backstage.start_redis()
    connection = Redis.from_url(backstage.url)
    yield Target(backstage, connection, tmp_path / "canary")
    connection.close()


def test_the_gadget_would_run_where_somebody_unpickles_it(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    (tmp_path / "gadget").write_bytes(pickle.dumps(Gadget(canary)))
    look = f"import pickle; pickle.load(open({str(tmp_path / 'gadget')!r}, 'rb'))"
    subprocess.run([sys.executable, "-c", look], check=True)
    assert canary.exists()


def test_a_job_with_a_function_that_is_not_ours_is_refused_and_our_own_work_goes_on(target: Target) -> None:
    target.push("call", target.call())
    ours = zlib.compress(json.dumps(["workers.jobs.render_report", None, [10**9], {}]).encode())
    target.push("callback", ours, success_callback_name="os.system", failure_callback_name="os.system")
    instance = json.dumps(["system", "os", [f"touch {target.canary}"], {}]).encode()
    target.push("instance", zlib.compress(instance))
    place = target.backstage.place
    _, reader, rendering_id = ask_for_page(place)
    assert relay(place.engine, target.connection, at=clock.now()) == 1
    target.backstage.start("work")
    until(lambda: state(place, reader, rendering_id).state == "ready")
    until(lambda: target.queued() == 0)
    assert target.connection.hget(f"rq:job:{QUEUES[0]}-call", "status") == b"failed"
    assert not target.canary.exists()


def test_a_pickle_in_any_queue_result_or_registry_is_never_loaded(target: Target) -> None:
    raw = pickle.dumps(Gadget(target.canary))
    packed = zlib.compress(raw)
    for name, data in {"raw": raw, "packed": packed}.items():
        target.push(name, data, description=raw, result=raw, exc_info=packed, meta=raw)
    connection = target.connection
    for queue in QUEUES:
        for name in ("raw", "packed"):
            result = {"type": "1", "created_at": "2026-11-23T03:04:05.000000Z", "return_value": raw}
            connection.xadd(f"rq:results:{queue}-{name}", result)
        for registry in REGISTRIES:
            connection.zadd(f"rq:{registry}:{queue}", {f"{queue}-raw": 1, f"{queue}-packed": 1})
    connection.sadd("rq:workers", raw)
    worker = target.backstage.start("work")
    relay(target.backstage.place.engine, connection, at=clock.now())
    until(lambda: target.queued() == 0 or worker.poll() is not None)
    assert not target.canary.exists()
    assert worker.poll() is None


def test_bytes_that_are_no_text_end_no_worker_and_our_own_work_goes_on(target: Target) -> None:
    raw = pickle.dumps(Gadget(target.canary))
    connection, place = target.connection, target.backstage.place
    ours = zlib.compress(json.dumps(["workers.jobs.render_report", None, [10**9], {}]).encode())
    for name, value in (("description", raw), ("meta", raw), ("exc_info", raw), ("created_at", raw)):
        target.push(name, ours, **{name: value})
    for queue in QUEUES:
        connection.lpush(f"rq:queue:{queue}", raw)
        for registry in REGISTRIES:
            names = [f"{queue}-{name}" for name in ("description", "meta", "exc_info", "created_at")]
            connection.zadd(f"rq:{registry}:{queue}", {raw: 1, raw[::-1]: 10**10, **dict.fromkeys(names, 1)})
    for known in ("rq:workers", "rq:queues", f"rq:workers:{QUEUES[0]}"):
        connection.sadd(known, raw)
    _, reader, rendering_id = ask_for_page(place)
    worker = target.backstage.start("work")
    assert relay(place.engine, connection, at=clock.now()) == 1
    until(lambda: state(place, reader, rendering_id).state == "ready" or worker.poll() is not None)
    until(lambda: target.queued() == 0 or worker.poll() is not None)
    # Those were there before it began; these come while it waits.
    for queue in QUEUES:
        connection.rpush(f"rq:queue:{queue}", raw)
    target.push("late", target.call())
    keys = [f"rq:job:{queue}-late" for queue in QUEUES]
    until(
        lambda: all(connection.hget(key, "status") == b"failed" for key in keys) or worker.poll() is not None
    )
    assert worker.poll() is None
    worker.terminate()
    assert worker.wait(60) == 0
    assert not target.canary.exists()
