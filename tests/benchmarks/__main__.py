"""`make bench`: the speeds of the road, a JSON line each. Nothing is asserted here.

A peer that is installed is measured beside ours on the same files in turn; one that is not is said to be missing.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.deidentify import link_study
from gateway.keys import GatewayKeys
from gateway.layout import Layout
from gateway.vault import Vault
from teleread import clock
from teleread.demo.demo import RoundTrip
from teleread.demo.road import FACILITY_CODE, Road
from teleread.demo.study import write_study
from teleread.dicom.deid.deidentify import deidentify_file
from teleread.dicom.deid.encrypted import make_recipient
from teleread.dicom.deid.profile import FacilityKeys
from teleread.domain.access import system_actor
from teleread.rendering.context import ReportContent
from teleread.rendering.report_pdf import render_in_child, warm_up
from teleread.services import accounts
from teleread.storage.session import open_engine, transaction
from teleread.web.events import STREAMS_A_PERSON
from teleread.web.security import COOKIE
from tests.benchmarks import deidentifiers, receiving
from tests.benchmarks.listeners import Listeners, listening

if TYPE_CHECKING:
    from flask.testing import FlaskClient

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
    """Instances and megabytes a second on one core, file to file, on a 300-slice CT; beside other tools, in turn."""
    with _folder() as folder:
        source = folder / "in"
        slices = len(deidentifiers.write_ct(source))
        size = deidentifiers.study_bytes(source) / 1e6 / slices
        rates: dict[str, list[dict[str, float]]] = {}
        for number in range(ROUNDS):
            for tool in deidentifiers.TOOLS:
                interpreter = deidentifiers.python_of(tool)
                if isinstance(interpreter, str):
                    if number == 0:
                        tell("deidentification", tool=tool.name, missing=interpreter)
                    continue
                target = folder / f"{tool.name}-{number}"
                try:
                    told = deidentifiers.run(tool, interpreter, source, target)
                except RuntimeError as problem:
                    tell("deidentification", tool=tool.name, failed=str(problem))
                    continue
                rates.setdefault(tool.name, []).append(told)
                shutil.rmtree(target)
    for name, rounds in rates.items():
        seconds = [one["files"] / one["seconds"] for one in rounds]
        busy = [one["files"] / one["cpu"] for one in rounds]
        tell(
            "deidentification",
            tool=name,
            instances=slices,
            instances_per_second=spread(seconds),
            instances_per_core_second=spread(busy),
            megabytes_per_core_second=round(statistics.median(busy) * size, 1),
            # Of the same round, so that what else the machine did weighs on both.
            ours_is_faster=_ratios(rates["teleread"], rounds) if name != "teleread" else None,
        )


def _ratios(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> dict[str, float]:
    def of(what: str) -> float:
        pairs = zip(ours, theirs, strict=False)
        return statistics.median((a["files"] / a[what]) / (b["files"] / b[what]) for a, b in pairs)

    return {"by_the_clock": round(of("seconds"), 2), "by_processor_time": round(of("cpu"), 2)}


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
    """Instances a second into the gateway and its peers in alternating rounds, each durable when ours answers."""
    for figures in receiving.c_store():
        tell("c_store", **figures)


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
ASKED = 60
ROUNDS_OF_STREAMS = 3


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
    """STOW-RS and the password check of a sign-in, with hundreds of event streams open, against idle, in turn."""
    listening_people = -(-STREAMS // STREAMS_A_PERSON)
    with _folder() as folder, _road(folder / "road", listening_people + 2 * ASKED) as road:
        people = road.readers()
        cookies = []
        for person in people[:listening_people]:
            client = road.reader(person)
            client.sign_in()
            cookies.append(client.cookie(COOKIE))
            client.close()
        fresh = iter(people[listening_people:])

        def sign_in(_: int) -> None:
            client = road.reader(next(fresh))
            client.sign_in()
            client.close()

        settings = road.centre.settings
        listeners = Listeners(
            settings.events_port,
            os.fspath(settings.ca_certificate),
            settings.public_url,
            tuple(cookies),
            STREAMS,
        )
        acts = {"stow_ms": _store(road, folder), "sign_in_ms": sign_in}
        _ms(acts["stow_ms"], 10)
        idle: dict[str, list[float]] = {name: [] for name in acts}
        loaded: dict[str, list[float]] = {name: [] for name in acts}
        for _ in range(ROUNDS_OF_STREAMS):
            for name, act in acts.items():
                idle[name] += _ms(act, ASKED // ROUNDS_OF_STREAMS)
            with listening(listeners):
                for name, act in acts.items():
                    loaded[name] += _ms(act, ASKED // ROUNDS_OF_STREAMS)
        for name in acts:
            quiet, busy = p95(idle[name]), p95(loaded[name])
            tell(
                "streams", streams=STREAMS, act=name, asked=ASKED, idle=quiet, loaded=busy,
                ratio_p50=round(busy["p50"] / quiet["p50"], 2), ratio_p95=round(busy["p95"] / quiet["p95"], 2),
            )  # fmt: skip


PAGES = 60
PAINTS = 20
CASES_DONE = 5000
CASES_WAITING = 200


def pages() -> None:
    """Worklist, case page and board over thousands of cases: server time by the test client's clock, first paint in Chromium."""
    from playwright.sync_api import sync_playwright

    from tests.builders.night import furnish_night, furnish_years, name_house
    from tests.web.conftest import BASE, close_house, make_house
    from tests.web.walk import ARGUMENTS, furnish, served, sign_in

    with _folder() as folder:
        house = make_house(folder)
        name_house(house)
        shown = {page.name: page for page in furnish(house, body=True)}
        furnish_night(house, clock.now())
        furnish_years(house.engine, clock.now(), done=CASES_DONE, waiting=CASES_WAITING)
        looked_at = [shown[name] for name in ("worklist", "case", "coordination")]
        with served(house) as address, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
            for page in looked_at:
                client = house.signed_in(str(page.person))

                def ask(_: int, path: str = page.path, client: FlaskClient = client) -> None:
                    answer = client.get(path, base_url=BASE)
                    if answer.status_code != 200:
                        raise RuntimeError(f"{path}: {answer.status_code}")

                _ms(ask, 3)
                server = _ms(ask, PAGES)
                context = browser.new_context(base_url=address, ignore_https_errors=True)
                sheet = context.new_page()
                sign_in(sheet, house, str(page.person))
                paints = []
                for _ in range(PAINTS):
                    sheet.goto(page.path)
                    paints.append(sheet.evaluate(FIRST_PAINT))
                context.close()
                tell(
                    "pages", page=page.name, cases=CASES_DONE + CASES_WAITING, asked=PAGES, server_ms=p95(server),
                    paints=PAINTS, first_contentful_paint_ms=p95(paints),
                )  # fmt: skip
            browser.close()
        close_house(house)


#: The browser may report it a moment after the load event.
FIRST_PAINT = """() => new Promise((done) => new PerformanceObserver((list, self) => {
  const found = list.getEntriesByName("first-contentful-paint")[0];
  if (found) { self.disconnect(); done(found.startTime); }
}).observe({ type: "paint", buffered: true }))"""


BENCHES: dict[str, Callable[[], None]] = {
    "deidentification": deidentification,
    "originals": originals,
    "report_pdf": report_pdf,
    "c_store": c_store,
    "round_trip": round_trip,
    "streams": streams,
    "pages": pages,
}


if __name__ == "__main__":
    for name in sys.argv[1:] or list(BENCHES):
        BENCHES[name]()
