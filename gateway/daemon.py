"""The two processes of a running gateway, and what they have in common."""

import fcntl
import logging
import logging.handlers
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from gateway.layout import Layout
from gateway.settings import GatewaySettings
from gateway.spool import Spool
from teleread import clock
from teleread.errors import Unavailable
from teleread.logs import OneLine

if TYPE_CHECKING:
    from gateway.keys import GatewayKeys
    from gateway.reports import Deliverer
    from gateway.scp import StorageSCP
    from gateway.vault import Vault

_log = logging.getLogger(__name__)

_IDLE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 5.0
_LAST_WORD_SECONDS = 10.0
_NICE = 5


@dataclass(frozen=True)
class Task:
    """Something that a thread does again and again: `work` returns how much it found to do."""

    name: str
    work: Callable[[], int]
    every_seconds: float = _IDLE_SECONDS


def set_up_logging(layout: Layout, role: str) -> None:
    """Log to a file of the gateway's own; libraries stay silent, because their messages quote what they read."""
    layout.make()
    handler = logging.handlers.RotatingFileHandler(
        layout.logs / f"{role}.log", maxBytes=10_000_000, backupCount=5, encoding="utf-8"
    )
    formatter = OneLine("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    ours = logging.getLogger("gateway")
    ours.addHandler(handler)
    ours.setLevel(logging.INFO)
    ours.propagate = False
    logging.getLogger().addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")


def run_task(task: Task, stop: threading.Event) -> None:
    """Do a task until the end; whatever goes wrong is logged, and tried again after a growing pause."""
    pause = 0.0
    while not stop.is_set():
        try:
            found = task.work()
        except Unavailable as problem:
            pause = min(max(pause * 2, 0.5), _LONGEST_PAUSE_SECONDS)
            _log.warning("%s: %s", task.name, problem.message)
        except Exception as problem:  # noqa: BLE001 - the outer loop of a daemon
            pause = min(max(pause * 2, 0.5), _LONGEST_PAUSE_SECONDS)
            # The place and the kind of the error; its text may quote a patient.
            _log.error("%s: %s at %s", task.name, type(problem).__name__, _place(problem))
        else:
            pause = 0.0
            if found and task.every_seconds <= _IDLE_SECONDS:
                continue
        stop.wait(max(pause, task.every_seconds))


def _place(problem: BaseException) -> str:
    frames = traceback.extract_tb(problem.__traceback__)
    return " < ".join(f"{os.path.basename(frame.filename)}:{frame.lineno}" for frame in reversed(frames[-4:]))


@contextmanager
def alone(
    layout: Layout, role: str, stop: threading.Event, *, patience_seconds: float = 20.0
) -> Iterator[None]:
    """Hold the role's lock; wait for a predecessor that is about to end, raise Unavailable for one that stays."""
    layout.make()
    descriptor = os.open(layout.data / f".{role}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience_seconds
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unavailable(f"another process has the role {role} of this gateway") from None
                stop.wait(0.1)
        yield
    finally:
        os.close(descriptor)


def stopped_by_signals(*, supervised: bool) -> threading.Event:
    """Return an event that SIGTERM, SIGINT or the end of the supervisor sets."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if supervised:
        threading.Thread(target=_watch_supervisor, args=(stop,), daemon=True).start()
    return stop


def _watch_supervisor(stop: threading.Event) -> None:
    # The supervisor holds the other end of standard input; the system closes it even after kill -9.
    while sys.stdin.buffer.read(1):
        pass
    stop.set()
    time.sleep(_LAST_WORD_SECONDS)
    os._exit(1)


def yield_to_receiving() -> None:
    """Let this process, and the children it will have, run when nothing is being received.

    What waits in the spool is safe; a modality that waits for an answer is not, and its patience is short.
    """
    os.nice(_NICE)


def receive(settings: GatewaySettings, stop: threading.Event) -> None:
    """Run the listener until the end."""
    from gateway.scp import StorageSCP

    layout = Layout(settings.data)
    with alone(layout, "receive", stop):
        spool = Spool(
            layout,
            minimum_free_bytes=settings.minimum_free_bytes,
            high_water_percent=settings.high_water_percent,
        )
        adopted = spool.recover(at=clock.now())
        if adopted:
            _log.warning("%d files were adopted that a crash had left uncounted", adopted)
        scp = _listening(lambda: StorageSCP(settings, spool, now=clock.now), stop)
        _log.info("listening as %s on port %d", settings.ae_title, scp.port)
        stop.wait()
        scp.close()
        spool.close()


def _listening(start: "Callable[[], StorageSCP]", stop: threading.Event) -> "StorageSCP":
    deadline = time.monotonic() + 15
    while True:
        try:
            return start()
        except OSError as problem:
            # The port of a predecessor that has just ended.
            if time.monotonic() > deadline or stop.is_set():
                raise Unavailable(f"the port cannot be had: {problem.strerror}") from None
            stop.wait(0.2)


def work(settings: GatewaySettings, stop: threading.Event) -> None:
    """Run everything behind the listener until the end."""
    from gateway.collect import Collector, NoticeSender
    from gateway.critical import AcknowledgementSender, CriticalWatch
    from gateway.deidentify import Deidentifier
    from gateway.forward import Forwarder
    from gateway.heartbeat import Heart
    from gateway.keys import GatewayKeys
    from gateway.last_look import LastLook
    from gateway.link import CentreLink
    from gateway.manifest import ManifestSender
    from gateway.orders import OrderSender
    from gateway.redteam import Nightly
    from gateway.retention import Retention
    from gateway.vault import Vault
    from gateway.watch import CentreWatch

    yield_to_receiving()
    layout = Layout(settings.data)
    with alone(layout, "work", stop):
        spool = Spool(layout)
        keys = GatewayKeys.load(layout)
        vault = Vault.of(layout, keys)
        vault.settle_keys(layout, keys)
        link = CentreLink.open(settings, layout)
        deidentifier = Deidentifier(
            spool, vault, keys, now=clock.now, profile=settings.deidentification.profile
        )
        deidentifier.warm_up()
        last_look = LastLook(vault)
        forwarder = Forwarder(settings, spool, link, now=clock.now)
        tasks = (
            Task("de-identification", deidentifier.work),
            Task("upload", forwarder.work),
            Task(
                "manifests",
                ManifestSender(settings, spool, link, now=clock.now, last_look=last_look).work,
                0.1,
            ),
            Task("collection", Collector(spool, link, now=clock.now).work, settings.collect_seconds),
            Task("notices", NoticeSender(spool, link, now=clock.now).work, 0.1),
            Task(
                "requests", OrderSender(settings, spool, link, now=clock.now, last_look=last_look).work, 0.5
            ),
            Task("critical", CriticalWatch(spool, link, now=clock.now).work, settings.collect_seconds),
            Task("confirmations", AcknowledgementSender(settings, spool, link, now=clock.now).work, 0.5),
            Task("centre", CentreWatch(spool, link, now=clock.now).work, settings.collect_seconds),
            Task("heartbeat", Heart(spool, link, now=clock.now).work, settings.heartbeat_seconds),
            Task("leak check", Nightly(settings, spool, now=clock.now).work, 60.0),
            Task("retention", Retention(settings, spool, now=clock.now).work, 60.0),
        )
        threads = [_start(task, stop) for task in tasks]
        # Last, because PDF and fonts take seconds to load and images need not wait for them.
        deliverer = _deliverer(settings, spool, vault, keys)
        threads.append(_start(Task("delivery", deliverer.work, 0.1), stop))
        _log.info("at work")
        stop.wait()
        for thread in threads:
            thread.join()
        forwarder.close()
        deidentifier.close()
        link.close()
        spool.close()
        vault.close()


def _start(task: Task, stop: threading.Event) -> threading.Thread:
    thread = threading.Thread(target=run_task, args=(task, stop), name=task.name)
    thread.start()
    return thread


def _deliverer(settings: GatewaySettings, spool: Spool, vault: "Vault", keys: "GatewayKeys") -> "Deliverer":
    from gateway.deliver.registry import routes_of
    from gateway.reidentify import reidentify
    from gateway.reports import Deliverer
    from gateway.seal import Seal

    seal = Seal.load(spool.layout.keys)
    trust_pem = (spool.layout.keys / "signing-ca.pem").read_bytes()
    return Deliverer(
        settings,
        spool,
        vault,
        keys,
        routes=routes_of(settings),
        reidentify=partial(reidentify, seal=seal, trust_pem=trust_pem, keys=keys.facility),
        now=clock.now,
    )
