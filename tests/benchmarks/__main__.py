"""`make bench`: the speeds of the road, a JSON line each. Nothing is asserted here.

A peer that is installed is measured beside ours on the same files in turn; one that is not is said to be missing.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from teleread.demo.demo import RoundTrip
from teleread.demo.road import GATEWAY_AE, PACS_AE, Road
from teleread.demo.study import write_study
from teleread.dicom.deid.deidentify import deidentify_file
from teleread.dicom.deid.profile import FacilityKeys
from teleread.rendering.context import ReportContent
from teleread.rendering.report_pdf import render_in_child, warm_up
from teleread.up import free_port

ROUNDS = 3
TRIPS = 5
REPORTS = 20

KEYS = FacilityKeys(b"u" * 32, b"p" * 32)


def tell(bench: str, **figures: object) -> None:
    """Print a figure."""
    print(json.dumps({"bench": bench, "cores": os.cpu_count(), **figures}), flush=True)


def spread(values: list[float], digits: int = 1) -> dict[str, float]:
    """Return least, middle and greatest of some measurements."""
    return {
        "least": round(min(values), digits),
        "p50": round(statistics.median(values), digits),
        "most": round(max(values), digits),
    }


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="teleread-bench-") as folder:
        yield Path(folder)


def _copies(folder: Path, studies: int) -> list[Path]:
    return [path for n in range(studies) for path in write_study(folder / str(n), datetime.now())]  # noqa: DTZ005


def deidentification() -> None:
    """Instances and megabytes a second on one core, file to file, each made durable."""
    with _folder() as folder:
        source = _copies(folder / "in", 5)
        megabytes = sum(path.stat().st_size for path in source) / 1e6
        rates = []
        for number in range(ROUNDS):
            target = folder / f"out{number}"
            target.mkdir()
            began = time.perf_counter()
            for path in source:
                result = deidentify_file(path, target / f"{path.parent.name}-{path.name}", keys=KEYS)
                assert result.outcome == "clean", result.reason
            rates.append(len(source) / (time.perf_counter() - began))
        middle = statistics.median(rates)
        tell(
            "deidentification",
            instances=len(source),
            instances_per_second=spread(rates),
            megabytes_per_second=round(middle * megabytes / len(source), 1),
        )


def report_pdf() -> None:
    """Milliseconds for a page of a report in a child of a warm process, as the worker makes it."""
    warm_up()
    content = ReportContent(
        case_number="4MZ09D89",
        facility_name="あさひ岬クリニック",
        study_instance_uid="2.25.1",
        pseudonym="C36PV-4K2M7",
        sections={
            "findings": "右肺上葉S2に 12.4 mm の充実性結節を認める。辺縁に棘状突起がある。" * 6,
            "impression": "右肺上葉の結節。原発性肺癌を疑う。",
        },
        signer_name="見本 太郎",
    )
    times = []
    for _ in range(REPORTS):
        began = time.perf_counter()
        render_in_child(content)
        times.append((time.perf_counter() - began) * 1000)
    tell("report_pdf", reports=REPORTS, ms=spread(times))


def _storescu(port: int, called: str, folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(
        ["storescu", "+sd", "+r", "-aet", PACS_AE, "-aec", called, "127.0.0.1", str(port), str(folder)],
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began


@contextmanager
def _storescp(folder: Path) -> Iterator[int]:
    folder.mkdir()
    port = free_port()
    peer = subprocess.Popen(["storescp", "--fork", "-od", str(folder), "-aet", "PEER", str(port)])
    try:
        deadline = time.monotonic() + 20
        echo = ["echoscu", "127.0.0.1", str(port)]
        while subprocess.run(echo, capture_output=True, check=False).returncode:
            if time.monotonic() > deadline:
                raise TimeoutError("storescp does not answer")
        yield port
    finally:
        peer.terminate()
        peer.wait(timeout=20)


@contextmanager
def _road(folder: Path, readers: int) -> Iterator[Road]:
    road = Road(folder, lambda line: sys.stderr.write(line + "\n"))
    try:
        road.start_centre()
        road.add_people(readers)
        road.start_facility()
        yield road
    finally:
        road.stop()


def c_store() -> None:
    """Instances a second into the running gateway, de-identifying and uploading meanwhile, each durable when answered."""
    if shutil.which("storescu") is None:
        tell("c_store", missing="dcmtk's storescu")
        return
    with _folder() as folder, _road(folder / "road", 1) as road, _storescp(folder / "peer") as peer:
        ours, theirs = [], []
        for number in range(ROUNDS):
            source = folder / f"in{number}"
            count = len(_copies(source, 3))
            ours.append(count / _storescu(road.gateway_port, GATEWAY_AE, source))
            theirs.append(count / _storescu(peer, "PEER", source))
        tell(
            "c_store",
            associations=1,
            instances=count,
            instances_per_second=spread(ours),
            dcmtk_storescp_without_fsync=spread(theirs),
            orthanc="missing" if shutil.which("Orthanc") is None else "not measured yet",
        )


def round_trip() -> None:
    """Milliseconds of a study's way, after one to warm up; from the first C-STORE to the report in the PACS."""
    with _folder() as folder, _road(folder / "road", TRIPS + 1) as road:
        moments: dict[str, list[float]] = {}
        for number, reader in enumerate(road.readers()[: TRIPS + 1]):
            source = folder / f"in{number}"
            write_study(source, datetime.now())  # noqa: DTZ005 - the modality's local time
            trip = RoundTrip(road, source, threading.Event(), [reader])
            trip.run()
            if trip.failures:
                raise RuntimeError("; ".join(trip.failures))
            if number == 0:
                continue
            ms = trip.studies()[0]["ms"]
            for name, value in ms.items():
                moments.setdefault(name, []).append(value)
            moments.setdefault("last_store_to_listed", []).append(ms["listed"] - ms["received"])
            moments.setdefault("sign_to_delivered", []).append(ms["delivered"] - ms["signed"])
        tell(
            "round_trip",
            trips=TRIPS,
            instances=40,
            ms={name: spread(values, 0) for name, values in moments.items()},
        )


BENCHES: dict[str, Callable[[], None]] = {
    "deidentification": deidentification,
    "report_pdf": report_pdf,
    "c_store": c_store,
    "round_trip": round_trip,
}


if __name__ == "__main__":
    for name in sys.argv[1:] or list(BENCHES):
        BENCHES[name]()
