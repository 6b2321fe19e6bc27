"""`make trials`: the promised figures at their full size, a JSON line each."""

import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import pydicom

from teleread.demo.road import Road
from teleread.supervisor import python
from tests.e2e.identity import leaks
from tests.e2e.kills import VICTIMS, chosen, travel, travel_struck
from tests.gateway.test_logs import run_over, tokens_in
from tests.trials.pixels import pixels
from tests.trials.test_deidentify_shared import SHARED, samples

KILLS = 20

#: Readers for each kill: a trip that was over before its kill is made again.
TRIES = 3


def kills() -> bool:
    """kill -9 of gateway, web, worker and Redis at 20 random points: each report comes home once."""
    with tempfile.TemporaryDirectory(prefix="teleread-trials-") as folder:
        road = Road(Path(folder), lambda line: sys.stderr.write(line + "\n"))
        try:
            road.start_centre()
            road.add_people(1 + KILLS * TRIES)
            road.start_facility()
            calm = travel(road, KILLS * TRIES)
            outcomes = [
                travel_struck(
                    road,
                    range(n * TRIES, (n + 1) * TRIES),
                    chosen(n, list(VICTIMS)[n % len(VICTIMS)], calm.seconds),
                )
                for n in range(KILLS)
            ]
        finally:
            road.stop()
    for outcome in outcomes:
        told = {"part": outcome.struck, "seconds": round(outcome.seconds, 1), "home": outcome.home}
        print(json.dumps({"trial": "kill", **told, "failures": outcome.failures}), flush=True)
    good = sum(o.on_the_way and o.home == 1 and not o.failures for o in outcomes)
    print(
        json.dumps(
            {"trial": "kills", "points": KILLS, "home_once": good, "calm_seconds": round(calm.seconds, 1)}
        )
    )
    return good == KILLS


def shared_input() -> bool:
    """The demo over every public sample: each file stored, held or ignored; nothing of a patient at the centre."""
    if not SHARED.is_dir():
        print(json.dumps({"trial": "input", "missing": "the folder of public samples beside this checkout"}))
        return False
    with tempfile.TemporaryDirectory(prefix="teleread-trials-") as folder:
        done = subprocess.run(
            python("-m", "teleread.demo.demo", "--once", "--data", f"{folder}/demo", "--input", str(SHARED)),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        told = json.loads(done.stdout.splitlines()[-1])
        found = sorted(leaks(Path(told["centre_data"]), _identities(SHARED)))
    studies = told["studies"]
    files = sum(path.is_file() for path in SHARED.rglob("*"))
    sent, stored = (sum(study[f"instances_{what}"] for study in studies) for what in ("sent", "stored"))
    held: Counter[str] = Counter()
    for study in studies:
        held.update(study["instances_held"])
    home = sum(study["report_dicom"] is not None for study in studies)
    adds_up = sent + told["ignored_files"] == files and stored + held.total() == sent
    print(
        json.dumps(
            {
                "trial": "input",
                "exit_status": done.returncode,
                "files": files,
                "sent": sent,
                "stored": stored,
                "held": dict(held),
                "ignored": told["ignored_files"],
                "adds_up": adds_up,
                "reports_home": home,
                "identity_found_at_the_centre": found,
            }
        ),
        flush=True,
    )
    return done.returncode == 0 and adds_up and not found


def _identities(folder: Path) -> dict[str, bytes]:
    """Return the original UIDs, and the patients' IDs and names where they are long enough to be no accident."""
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                ds = pydicom.dcmread(path, stop_before_pixels=True)
            except (
                OSError,
                ValueError,
                AttributeError,
                NotImplementedError,
                pydicom.errors.InvalidDicomError,
            ):
                continue
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
            uid = str(ds.get(keyword, ""))
            if uid.count(".") >= 6:
                found[f"{keyword} of {path.name}"] = uid.encode("ascii")
        raw = ds.get_item("PatientName")
        words = [str(ds.get("PatientID", "")).encode("utf-8")]
        if raw is not None and isinstance(raw.value, bytes):
            words += [word for group in raw.value.strip().split(b"=") for word in group.split(b"^")]
        for word in words:
            if len(word) >= 8:
                found[f"identity {len(found)} of {path.name}"] = word
    return found


def deidentification() -> bool:
    """Every public sample through the de-identification alone, judged by independent code and by dciodvfy."""
    done = subprocess.run(
        python("-m", "pytest", "-q", "tests/trials/test_deidentify_shared.py", "-rs"),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    summary = done.stdout.strip().splitlines()[-1]
    print(
        json.dumps({"trial": "deidentification", "exit_status": done.returncode, "pytest": summary}),
        flush=True,
    )
    return done.returncode == 0 and "skipped" not in summary


def logs() -> bool:
    """Every public sample through a box that logs at DEBUG: no word of a patient in any log."""
    files = samples()
    with tempfile.TemporaryDirectory(prefix="teleread-trials-") as folder:
        warnings.simplefilter("ignore")
        taken, said = run_over(files, Path(folder))
        # Words of a patient that are words of a log's own lines ("debug", "error") are told, not counted away.
        wanted = {token for path in files for token in tokens_in(path)}
        found = sorted(token.decode("utf-8", "replace") for token in wanted if token in said)
    told = {"files": len(files), "taken": taken, "bytes": len(said), "tokens": len(wanted), "found": found}
    print(json.dumps({"trial": "logs", **told}, ensure_ascii=False), flush=True)
    return bool(files) and not found


#: Tests that walk a sample of a long list in `make test`.
LONG = (
    "tests/web/test_pages_browser.py::test_axe_finds_no_serious_fault_on_any_page_in_either_theme",
    "tests/web/test_pages_browser.py::test_fifty_hostile_texts_are_shown_as_text_and_run_nowhere",
    "tests/services/test_factors.py::test_of_a_thousand_guesses_ten_an_account_and_fifty_an_address_are_looked_at",
)


def pages() -> bool:
    """Every page in both themes for axe, every hostile text, every guess."""
    done = subprocess.run(
        python("-m", "pytest", "-q", *LONG),
        env={**os.environ, "TELEREAD_WHOLE": "1", "CI": "true"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    summary = done.stdout.strip().splitlines()[-1]
    print(json.dumps({"trial": "pages", "exit_status": done.returncode, "pytest": summary}), flush=True)
    return done.returncode == 0


TRIALS = {
    "deidentification": deidentification,
    "input": shared_input,
    "kills": kills,
    "logs": logs,
    "pages": pages,
    "pixels": pixels,
}


if __name__ == "__main__":
    wanted = sys.argv[1:] or list(TRIALS)
    results = [TRIALS[name]() for name in wanted]  # all of them run, also after a failure
    sys.exit(0 if all(results) else 1)
