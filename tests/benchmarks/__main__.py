"""`make bench`: the speeds of the road, a JSON line each. Nothing is asserted here.

A peer that is installed is measured beside ours on the same files in turn; one that is not is said to be missing.
"""

import io
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
from datetime import datetime, timedelta
from pathlib import Path

from gateway.deidentify import link_study
from gateway.keys import GatewayKeys
from gateway.layout import Layout
from gateway.vault import Vault
from teleread import clock
from teleread.demo.demo import RoundTrip
from teleread.demo.road import FACILITY_CODE, GATEWAY_AE, PACS_AE, Road
from teleread.demo.study import write_study
from teleread.dicom.deid.deidentify import deidentify_file
from teleread.dicom.deid.encrypted import make_recipient
from teleread.dicom.deid.profile import FacilityKeys
from teleread.domain.access import system_actor
from teleread.rendering.context import ReportContent
from teleread.rendering.report_pdf import render_in_child, warm_up
from teleread.services import accounts
from teleread.storage.session import open_engine, transaction
from teleread.up import free_port
from teleread.web.security import COOKIE

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


def originals() -> None:
    """Milliseconds that the Encrypted Attributes, and the vault's original UIDs, cost an instance."""
    with _folder() as folder:
        source = _copies(folder / "in", 3)
        sealing = FacilityKeys(b"u" * 32, b"p" * 32, make_recipient("bench", at=clock.now()).certificate_pem)
        spent: dict[str, list[float]] = {"plain": [], "sealed": [], "vault": []}
        grown: list[int] = []
        layout = Layout(folder / "data")
        layout.make()
        vault = Vault.of(layout, GatewayKeys.make(layout))
        for path in source:
            sizes = {}
            for name, keys in (("plain", KEYS), ("sealed", sealing)):
                began = time.perf_counter()
                result = deidentify_file(path, folder / f"{name}.dcm", keys=keys)
                spent[name].append((time.perf_counter() - began) * 1000)
                assert result.outcome == "clean", result.reason
                sizes[name] = result.size
            grown.append(sizes["sealed"] - sizes["plain"])
            began = time.perf_counter()
            link_study(vault, result)
            spent["vault"].append((time.perf_counter() - began) * 1000)
        vault.close()
    tell(
        "originals",
        instances=len(source),
        ms_plain=spread(spent["plain"], 2),
        ms_sealed=spread(spent["sealed"], 2),
        ms_vault=spread(spent["vault"], 2),
        bytes_more=round(statistics.median(grown)),
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


STREAMS = 300
ASKED = 40


def p95(values: list[float]) -> dict[str, float]:
    """Return the middle and the 95th percentile of some milliseconds."""
    return {
        "p50": round(statistics.median(values), 1),
        "p95": round(statistics.quantiles(values, n=20)[-1], 1),
    }


def _ms(act: Callable[[int], object], times: int) -> list[float]:
    taken = []
    for number in range(times):
        began = time.perf_counter()
        act(number)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


@contextmanager
def _open_streams(road: Road, cookies: list[str], count: int) -> Iterator[None]:
    """Hold streams open and read them, as many a person as allowed."""
    import asyncio
    import ssl

    settings = road.centre.settings
    trust = ssl.create_default_context(cafile=settings.ca_certificate)
    loop = asyncio.new_event_loop()
    opened = threading.Semaphore(0)

    async def follow(cookie: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", settings.events_port, ssl=trust)
        writer.write(
            f"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: {settings.public_url}\r\n"
            f"Cookie: {COOKIE}={cookie}\r\n\r\n".encode()
        )
        status = await reader.readline()
        if b" 200 " not in status:
            raise RuntimeError(status.decode())
        opened.release()
        while await reader.read(4096):
            pass

    async def all_of_them() -> None:
        await asyncio.gather(*(follow(cookies[n % len(cookies)]) for n in range(count)))

    task = loop.create_task(all_of_them())

    def run() -> None:
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        for _ in range(count):
            if not opened.acquire(timeout=60):
                raise TimeoutError("the streams did not open")
        yield
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()


def _store(road: Road, folder: Path) -> Callable[[int], object]:
    """Return an act that stores one instance by STOW-RS with a client's token."""
    import httpx
    import pydicom

    engine = open_engine(road.centre.settings)
    with transaction(engine) as session:
        text = accounts.create_token(
            session, name="bench", scopes=["dicomweb.write"], facility_code=FACILITY_CODE,
            expires_at=clock.now() + timedelta(hours=1), actor=system_actor("bench"), at=clock.now(),
        )  # fmt: skip
    engine.dispose()
    source = _copies(folder / "stow-in", 1)[0]
    clean = folder / "stow.dcm"
    deidentify_file(source, clean, keys=KEYS)
    client = httpx.Client(
        base_url=road.url, verify=os.fspath(road.centre.settings.ca_certificate), timeout=60
    )

    def act(_: int) -> None:
        dataset = pydicom.dcmread(clean)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        stream = io.BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        body = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + stream.getvalue() + b"\r\n--x--\r\n"
        answer = client.post(
            "/dicom-web/studies", content=body,
            headers={"Authorization": f"Bearer {text}", "Content-Type": 'multipart/related; type="application/dicom"; boundary=x'},
        )  # fmt: skip
        if answer.status_code != 200:
            raise RuntimeError(f"{answer.status_code}: {answer.text[:300]}")

    return act


def streams() -> None:
    """STOW-RS and the password check of a sign-in, with hundreds of event streams open, against idle."""
    readers = -(-STREAMS // 8)
    with _folder() as folder, _road(folder / "road", readers + 2 * ASKED) as road:
        people = road.readers()
        cookies = []
        for person in people[:readers]:
            client = road.reader(person)
            client.sign_in()
            cookies.append(client.cookie(COOKIE))
        fresh = iter(people[readers:])

        def sign_in(_: int) -> None:
            road.reader(next(fresh)).sign_in()

        store = _store(road, folder)
        _ms(store, 5)
        idle = {"stow_ms": p95(_ms(store, ASKED)), "sign_in_ms": p95(_ms(sign_in, ASKED))}
        with _open_streams(road, cookies, STREAMS):
            loaded = {"stow_ms": p95(_ms(store, ASKED)), "sign_in_ms": p95(_ms(sign_in, ASKED))}
        tell("streams", streams=STREAMS, asked=ASKED, idle=idle, with_streams=loaded)


BENCHES: dict[str, Callable[[], None]] = {
    "deidentification": deidentification,
    "originals": originals,
    "report_pdf": report_pdf,
    "c_store": c_store,
    "round_trip": round_trip,
    "streams": streams,
}


if __name__ == "__main__":
    for name in sys.argv[1:] or list(BENCHES):
        BENCHES[name]()
