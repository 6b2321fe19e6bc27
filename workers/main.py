"""`teleread-worker`: does the background work of the centre, or hands it out."""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.exceptions import StopRequested

from teleread import clock, logs
from teleread.errors import TelereadError
from teleread.jobs import JOBS
from teleread.settings import ServerSettings
from teleread.storage.session import open_engine
from workers.known import KnownJob, KnownWorker
from workers.relay import HEARTBEAT_SECONDS, relay
from workers.schedule import Schedule
from workers.unreadable import remove_unreadable

_log = logging.getLogger(__name__)

#: Between two looks at the outbox. A reader waits for the page; a look costs one query on an index of undone rows.
POLL_SECONDS = 0.1
PAUSE_AFTER_FAILURE_SECONDS = 1.0


def work(settings: ServerSettings, stop: threading.Event, *, burst: bool = False) -> None:
    """Run jobs until told to stop; Redis may come and go meanwhile.

    The renderer is imported and used once before the first fork: a child then starts warm (measured 1.0 s cold, 0.02 s
    warm). No engine is made here: children make their own.
    """
    from teleread.rendering.report_pdf import warm_up
    from workers import jobs

    warm_up()
    _log.info("ready for %s", ", ".join(name for name in JOBS if hasattr(jobs, name)))
    names = sorted({policy.queue for policy in JOBS.values()})
    worker: KnownWorker | None = None
    # The signals belong to the newest worker, between its loop and the next one's too.
    while not stop.is_set() and not (worker is not None and worker.was_told_to_stop):
        try:
            connection = Redis.from_url(settings.redis_url)
            queues = [
                Queue(name, connection=connection, serializer="json", job_class=KnownJob) for name in names
            ]
            remove_unreadable(connection)
            worker = KnownWorker(
                queues,
                connection=connection,
                serializer="json",
                job_class=KnownJob,
                job_monitoring_interval=HEARTBEAT_SECONDS,
            )
            worker.work(burst=burst)
            if burst or worker.was_told_to_stop:
                return
            # Something that it met broke the loop; what cannot be read is taken out before the next.
            _log.warning("the worker's loop ended without being told to; it begins anew")
            stop.wait(PAUSE_AFTER_FAILURE_SECONDS)
        except RedisError as error:
            _log.warning("the queue does not answer (%s)", type(error).__name__)
            stop.wait(PAUSE_AFTER_FAILURE_SECONDS)
        except StopRequested:
            return


def hand_out(settings: ServerSettings, stop: threading.Event) -> None:
    """Run the relay and the periodic work until told to stop."""
    engine = open_engine(settings)
    schedule = Schedule()
    connection = Redis.from_url(settings.redis_url)
    while not stop.is_set():
        try:
            schedule.run_due(engine, at=clock.now())
            relay(engine, connection, at=clock.now())
            stop.wait(POLL_SECONDS)
        except (RedisError, TelereadError) as error:
            _log.warning(
                "handing out failed (%s); trying again", getattr(error, "code", type(error).__name__)
            )
            stop.wait(PAUSE_AFTER_FAILURE_SECONDS)
    engine.dispose()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `teleread-worker work` or `teleread-worker relay`."""
    parser = argparse.ArgumentParser(prog="teleread-worker", description=__doc__)
    parser.add_argument("what", choices=("work", "relay"))
    parser.add_argument("--data", help="data folder of the centre; default: TELEREAD_DATA")
    parser.add_argument("--burst", action="store_true", help="work: end when no job is waiting")
    chosen = parser.parse_args(arguments)
    if chosen.data:
        # Children of the worker read their settings anew.
        os.environ["TELEREAD_DATA"] = os.path.abspath(chosen.data)
    try:
        settings = ServerSettings.from_env(os.environ)
        logs.set_up(settings.log_level)
        stop = threading.Event()
        if chosen.what == "work":
            work(settings, stop, burst=chosen.burst)
        else:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stop.set())
            hand_out(settings, stop)
    except TelereadError as error:
        sys.exit(f"teleread-worker: {error}")


if __name__ == "__main__":
    main()
