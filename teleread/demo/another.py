"""`make study`: the PACS of a running demo sends another study, of another invented patient, for a person to read."""

from __future__ import annotations

import argparse
import json
import secrets
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from teleread.demo.study import Patient, write_study
from teleread.supervisor import python

#: Written into the demo's folder when it is up: where its gateway listens.
READY = "ready.json"

#: The facility's wall clock: modalities write local time without a zone.
FACILITY_ZONE = ZoneInfo("Asia/Tokyo")

_FAMILY = (("MIHONZAKI", "見本崎", "みほんざき"), ("REIDA", "例田", "れいだ"), ("KASOUJIMA", "仮想島", "かそうじま"))  # fmt: skip
_GIVEN = (
    ("HARUKA", "春香", "はるか", "F"),
    ("SHIRO", "四郎", "しろう", "M"),
    ("MIDORI", "緑", "みどり", "F"),
)


def invented_patient() -> Patient:
    """Return a person that there is not, with names in the three groups."""
    family, given = secrets.choice(_FAMILY), secrets.choice(_GIVEN)
    number = secrets.randbelow(10_000)
    return Patient(
        name="=".join(f"{family[group]}^{given[group]}" for group in range(3)),
        patient_id=f"KK-{number:04}-{secrets.randbelow(10_000):04}",
        birth_date="19640229",
        sex=given[3],
        age="062Y",
        accession_number=f"KH{secrets.randbelow(10**10):010}",
    )


def write_ready(data: Path, *, gateway: str, called: str, calling: str) -> None:
    """Say in the demo's folder that it is up, and where studies go."""
    (data / READY).write_text(json.dumps({"gateway": gateway, "called": called, "calling": calling}))


def facility_time() -> datetime:
    """Return the time on the facility's wall, without a zone, as a modality writes it."""
    return datetime.now(FACILITY_ZONE).replace(tzinfo=None)


def main(arguments: list[str] | None = None) -> int:
    """Send one more study to the gateway of a running demo."""
    parser = argparse.ArgumentParser(prog="make study", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("demo-data"))
    chosen = parser.parse_args(arguments)
    try:
        ready = json.loads((chosen.data / READY).read_text())
    except FileNotFoundError:
        parser.error(f"no demo is up in {chosen.data}: start `make demo` first, or name its folder by DATA=")
    folder = chosen.data / "studies" / secrets.token_hex(4)
    files = write_study(folder, facility_time(), invented_patient())
    sent = subprocess.run(
        python(
            "-m", "teleread.demo.pacs", "send", "--to", f"{ready['called']}@{ready['gateway']}",
            "--ae-title", ready["calling"], "--patience", "60", str(folder),
        ),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )  # fmt: skip
    answered = sum(json.loads(line)["outcome"] == "sent" for line in sent.stdout.splitlines())
    print(f"the PACS has sent {answered} of {len(files)} instances; the case appears in the worklist")
    return 0 if sent.returncode == 0 and answered == len(files) else 1


if __name__ == "__main__":
    sys.exit(main())
