"""`make trials`: the promised figures at their full size, a JSON line each."""

import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pydicom

from teleread.demo.road import Road
from teleread.supervisor import python
from tests.dicom.deid import oracle
from tests.e2e.identity import leaks
from tests.e2e.kills import VICTIMS, chosen, travel, travel_struck
from tests.gateway.right_patient import crossed_and_refused
from tests.gateway.test_logs import run_over, tokens_in
from tests.gateway.test_reidentify import one_byte_changed
from tests.trials.door import door as door_trials
from tests.trials.doors import a_house, guess_times, id_times, statements
from tests.trials.home import home as home_again
from tests.trials.test_deidentify_shared import SHARED, samples
from tests.web.test_logs import a_day

KILLS = 20

#: Where a trial leaves a list that is too long for a line.
REPORTS = Path(__file__).parents[2] / "build" / "trials"

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
            # The centre's data folder holds its logs: what is searched below is searched in them too.
            env={**os.environ, "TELEREAD_LOG_LEVEL": "DEBUG"},
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
    with tempfile.TemporaryDirectory(prefix="teleread-trials-") as folder:
        told = Path(folder) / "figures.jsonl"
        done = subprocess.run(
            python("-m", "pytest", "-q", "tests/trials/test_deidentify_shared.py", "-rs"),
            env={**os.environ, "TELEREAD_FIGURES": str(told)},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        figures: dict[str, object] = {}
        for line in told.read_text(encoding="utf-8").splitlines() if told.exists() else ():
            figures.update(json.loads(line))
    summary = done.stdout.strip().splitlines()[-1]
    print(
        json.dumps(
            {"trial": "deidentification", "exit_status": done.returncode, "pytest": summary, **figures}
        ),
        flush=True,
    )
    return done.returncode == 0 and "skipped" not in summary


def logs() -> bool:
    """Every public sample through a box and a centre that log at DEBUG: no word of a patient, no secret in any log."""
    files = samples()
    with tempfile.TemporaryDirectory(prefix="teleread-trials-") as folder:
        warnings.simplefilter("ignore")
        taken, said = run_over(files, Path(folder))
        # Words of a patient that are words of a log's own lines ("debug", "error") are told, not counted away.
        wanted = {token for path in files for token in tokens_in(path)}
        found = sorted(token.decode("utf-8", "replace") for token in wanted if token in said)
        with a_house() as house:
            centre = a_day(house, files)
        told_there = sorted(
            token.decode("utf-8", "replace") for token in wanted if token in centre.log.encode()
        )
        secrets_there = sum(secret in centre.log for secret in centre.secrets)
    told = {"files": len(files), "taken": taken, "bytes": len(said), "tokens": len(wanted), "found": found}
    told |= {"centre_bytes": len(centre.log), "centre_found": told_there, "centre_secrets": secrets_there}
    print(json.dumps({"trial": "logs", **told}, ensure_ascii=False), flush=True)
    return bool(files) and not found and not told_there and not secrets_there


def profile() -> bool:
    """Every row of PS3.15 Table E.1-1 under every set of options at depth 0, 1 and 3; a report lists each of them."""
    warnings.simplefilter("ignore")
    rows = oracle.table()
    with tempfile.TemporaryDirectory(prefix="teleread-trials-") as folder:
        seen = [
            one
            for options in oracle.OPTION_SETS
            for depth in oracle.DEPTHS
            for one in oracle.walk(Path(folder), options, depth, rows)
        ]
    report = REPORTS / "profile.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    listed = [{**asdict(one), "right": one.right} for one in seen]
    report.write_text(json.dumps(listed, ensure_ascii=False, indent=0), encoding="utf-8")
    wrong = [one for one in listed if not one["right"]]
    wanted = len(rows) * len(oracle.OPTION_SETS) * len(oracle.DEPTHS)
    told = {"rows": len(rows), "option_sets": len(oracle.OPTION_SETS), "depths": list(oracle.DEPTHS)}
    print(
        json.dumps(
            {
                "trial": "profile",
                **told,
                "checked": len(seen),
                "right_percent": round(100 * (len(seen) - len(wrong)) / len(seen), 3),
                "wrong": wrong[:20],
                "report": str(report.relative_to(REPORTS.parents[1])),
            }
        ),
        flush=True,
    )
    return not wrong and len(seen) == wanted


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


def doors() -> bool:
    """Refused sign-ins of known and unknown names, and ids of others and of nobody, take the same time."""
    guesses, ids = guess_times(), id_times()
    print(json.dumps({"trial": "doors", "guesses": guesses, "ids": ids}), flush=True)
    return (
        all(one["difference_percent"] <= 10 for one in guesses.values())
        and ids["routes"] > 0
        and ids["worst"][0]["ms"] <= 20
    )


def sql() -> bool:
    """sqlmap at level 3 over every parameter that a service gets to see: nothing injectable, no answer 5xx."""
    told = statements()
    print(json.dumps({"trial": "sql", **told}), flush=True)
    return bool(told.get("parameters")) and not told["injectable"] and not told["answers_5xx"]


def properties() -> bool:
    """Every property with two thousand examples."""
    done = subprocess.run(
        python("-m", "pytest", "-q", "-m", "hypothesis", "tests", "--ignore=tests/trials", "--timeout=3000"),
        env={**os.environ, "TELEREAD_WHOLE": "1"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    summary = done.stdout.strip().splitlines()[-1]
    print(json.dumps({"trial": "properties", "exit_status": done.returncode, "pytest": summary}), flush=True)
    return done.returncode == 0


PAIRS = 10_000
BYTES = 400


def right_patient() -> bool:
    """Ten thousand pairs, mixed up in every way; and signed reports with one byte changed, wherever it is."""
    crossed, refused = crossed_and_refused(PAIRS)
    named, why = one_byte_changed(BYTES)
    told = {
        "pairs": PAIRS,
        "crossed": crossed,
        "refused": refused,
        "bytes": BYTES,
        "named": named,
        "why": why,
    }
    print(json.dumps({"trial": "right_patient", **told}), flush=True)
    return not (crossed or refused or named)


def home() -> bool:
    """Every public sample home again, by what it carries sealed and by the vault."""
    with tempfile.TemporaryDirectory(prefix="teleread-trials-") as folder:
        return SHARED.is_dir() and home_again(SHARED, Path(folder))


def door() -> bool:
    """The gateway's door: PDU bombs, silent connections, mutants, kill -9, associations by the thousand."""
    of_the_project = Path(__file__).parents[1] / "data" / "dicom"
    found = samples() or [path for path in sorted(of_the_project.iterdir()) if path.is_file()]
    mutated = [path for path in found if path.stat().st_size < 200_000]
    verdicts = []
    for name, good, figures in door_trials(mutated):
        print(json.dumps({"trial": f"door {name}", "good": good, **figures}), flush=True)
        verdicts.append(good)
    return all(verdicts)


TRIALS = {
    "home": home,
    "deidentification": deidentification,
    "door": door,
    "doors": doors,
    "input": shared_input,
    "kills": kills,
    "logs": logs,
    "pages": pages,
    "profile": profile,
    "properties": properties,
    "sql": sql,
    "right_patient": right_patient,
}


if __name__ == "__main__":
    wanted = sys.argv[1:] or list(TRIALS)
    results = [TRIALS[name]() for name in wanted]  # all of them run, also after a failure
    sys.exit(0 if all(results) else 1)
