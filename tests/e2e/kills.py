"""kill -9 of one part of a running road at a chosen moment of a round trip."""

import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from teleread.demo.demo import RoundTrip
from teleread.demo.road import Road
from teleread.demo.study import write_study

#: What is killed → children of the supervisor it may hit. The kill takes the child itself or one of its own children.
VICTIMS: dict[str, tuple[str, ...]] = {
    "gateway": ("gateway",),
    "web": ("web-people", "web-gateway"),
    "worker": ("worker-1", "relay"),
    "redis": ("redis",),
}


@dataclass(frozen=True)
class Kill:
    """Which part dies, when after the first file was sent, and the seed that chose it."""

    seed: int
    part: str
    after_seconds: float


def chosen(seed: int, part: str, trip_seconds: float) -> Kill:
    """Return a kill at a random moment of a trip."""
    return Kill(seed, part, random.Random(seed).uniform(0.0, trip_seconds))  # noqa: S311 - a test's dice


def family(process_id: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [process_id]
    for task in Path(f"/proc/{process_id}/task").glob("*/children"):
        for child in task.read_text().split():
            found += family(int(child))
    return found


def strike(road: Road, kill: Kill) -> str:
    """Kill one process of the part with SIGKILL; return its name."""
    dice = random.Random(kill.seed + 1)  # noqa: S311 - a test's dice
    name = dice.choice(VICTIMS[kill.part])
    deadline = time.monotonic() + 20
    while (process_id := road.supervisor.process_id(name)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} is not running")
        time.sleep(0.01)
    try:
        target = dice.choice(family(process_id))
        os.kill(target, signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        os.kill(process_id, signal.SIGKILL)
    return name


@dataclass(frozen=True)
class Outcome:
    """What a trip with a kill came to; `on_the_way` says that the kill came before the end."""

    kill: Kill | None
    struck: str
    on_the_way: bool
    failures: list[str]
    seconds: float
    home: int


def travel(road: Road, reader_number: int, kill: Kill | None = None) -> Outcome:
    """Send a new study and have one reader read it, with a kill on the way; a reader of its own for each trip."""
    struck: list[tuple[str, float]] = []
    with tempfile.TemporaryDirectory(dir=road.data) as folder:
        write_study(Path(folder), datetime.now())  # noqa: DTZ005 - the modality's local time
        trip = RoundTrip(road, Path(folder), threading.Event(), [road.readers()[reader_number]])
        began = time.monotonic()
        timer = (
            threading.Timer(
                kill.after_seconds, lambda: struck.append((strike(road, kill), time.monotonic() - began))
            )
            if kill
            else None
        )
        if timer:
            timer.start()
        trip.run()
        seconds = time.monotonic() - began
        if timer:
            timer.join()
        home = sum(study["report_dicom"] is not None for study in trip.studies())
    name, at = struck[0] if struck else ("", seconds)
    return Outcome(kill, name, at < seconds, trip.failures, seconds, home)


def travel_struck(road: Road, reader_numbers: Iterable[int], kill: Kill) -> Outcome:
    """Travel until the kill comes before the end of the trip, each time with a fresh reader and half the delay."""
    after = kill.after_seconds
    for number in reader_numbers:
        outcome = travel(road, number, Kill(kill.seed, kill.part, after))
        if outcome.on_the_way or outcome.failures:
            return outcome
        after /= 2
    raise AssertionError("each trip was over before the kill")
