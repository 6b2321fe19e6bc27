"""`make demo`: the whole road before your eyes, from the facility's PACS to the signed report back in it.

Progress goes to standard error, a line a step; the last line of standard output is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyotp

from teleread.demo.another import READY, facility_time, write_ready
from teleread.demo.road import GATEWAY_AE, PACS_AE, Road
from teleread.demo.study import write_study
from teleread.errors import TelereadError
from teleread.supervisor import until_signal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from teleread.demo.reader import ReaderClient
    from teleread.demo.road import Person

#: The file that says: this folder is a demo's, the next demo may empty it.
MARK = ".teleread-demo"

#: A one-time code serves once, and three steps are open at any moment: one to sign in, two to sign. More studies for a
#: reader would wait 30 seconds each.
STUDIES_A_READER = 2
MOST_READERS = 24

#: Nothing moved for so long: the round trip has failed.
PATIENCE_SECONDS = 180.0

SECTIONS = {
    "clinical_question": "咳嗽が続くため精査。",
    "technique": "胸部単純CT(軟部条件・肺野条件)。",
    "comparison": "比較画像なし。",
    "findings": (
        "右肺中葉に径約16 mmの境界明瞭な結節を認める。石灰化や空洞は認めない。\n"
        "その他の肺野に活動性病変を認めない。\n"
        "縦隔・肺門に有意なリンパ節腫大を認めない。胸水・心嚢水の貯留なし。"
    ),
    "impression": "右肺中葉の充実性結節。",
    "recommendation": "3か月後の胸部CTでの経過観察を勧める。",
}

#: For studies that the demo does not know: a text that says nothing about anybody's images.
NEUTRAL_SECTIONS = {
    "clinical_question": "動作確認。",
    "findings": "これは動作確認のための報告書です。画像の所見ではありません。診療には使えません。",
    "impression": "動作確認のみ。",
}

#: What each person of the demo can try by hand, in the order in which the work goes round.
NEXT_BY_HAND = {
    "operator at the console": (
        "see the study and its report with the name under 検査の流れ; send a request with 依頼を作る"
    ),
    "coordinator": "look at every case and assign one",
    "reader1": "claim the next study (`make study` sends one), write, sign",
    "doctor at the console": "open the report that came home",
    "clinic": "follow the state of a case without names, from anywhere",
    "facility-admin at the console": "read under 記録 who saw which name",
}


@dataclass
class StudyAccount:
    """What is known of one study while it travels. Times are milliseconds since 1970, 0 when not reached."""

    facility_study_uid: str
    sent: int = 0
    unanswered: int = 0
    started_ms: int = 0
    listed_ms: int = 0
    signed_ms: int = 0
    gateway: dict[str, Any] = field(default_factory=dict)
    home: list[str] = field(default_factory=list)

    @property
    def stored(self) -> int:
        """Return how many instances the centre has."""
        return int(self.gateway.get("stored", 0))

    @property
    def received(self) -> int:
        """Return how many files the gateway accounts for."""
        return self.stored + sum(self.held.values())

    def take_off(self, count: int) -> None:
        """Forget that `count` files came a second time."""
        from_stored = min(count, self.stored)
        held = self.held
        for reason in held:
            off = min(count - from_stored, held[reason])
            held[reason] -= off
            from_stored += off
        self.gateway |= {
            "stored": self.stored - min(count, self.stored),
            "held": {r: n for r, n in held.items() if n},
        }

    @property
    def held(self) -> dict[str, int]:
        """Return reason → number of instances that stayed at the facility."""
        return {reason: int(count) for reason, count in self.gateway.get("held", {}).items()}

    @property
    def is_stored(self) -> bool:
        """Say whether the centre has anything of the study, so that a report has to come home."""
        return self.stored > 0

    def delivered(self) -> list[dict[str, Any]]:
        """Return the deliveries that have arrived in the PACS."""
        return [d for d in self.gateway.get("deliveries", []) if d.get("report_dicom")]


class RoundTrip:
    """Sends studies, has readers read them, and waits until each report is home."""

    def __init__(
        self,
        road: Road,
        source: Path,
        ended: threading.Event,
        readers: list[Person],
        sections: Mapping[str, str] = SECTIONS,
    ) -> None:
        self._road = road
        self._sections = sections
        self._readers = readers
        self._began_ms = time.time_ns() // 1_000_000
        self._ended = ended
        self._source = source
        self._accounts: dict[str, StudyAccount] = {}
        self._listed: dict[str, int] = {}
        self._signed: dict[str, int] = {}
        self._taken: set[str] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._troubles: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.ignored = 0
        self.failures: list[str] = []

    def run(self) -> None:
        """Do it all; what went wrong is in `failures`."""
        readers = [
            threading.Thread(target=self._read, args=(person,), name=person.sign_in.username, daemon=True)
            for person in self._readers
        ]
        for reader in readers:
            reader.start()
        try:
            self._send()
            self._wait_until_home()
        finally:
            self._over.set()
            for reader in readers:
                reader.join(timeout=30)
        self._check()

    def _send(self) -> None:
        by_hand: list[str] = []
        moved = Counter[str]()
        for fate in self._road.send([self._source]):
            if self._ended.is_set():
                return
            if fate["outcome"] == "ignored":
                self.ignored += 1
                continue
            account = self._account(fate["study_instance_uid"])
            account.sent += 1
            account.unanswered += fate["unanswered"]
            if not account.started_ms:
                account.started_ms = fate["started_ms"] or time.time_ns() // 1_000_000
            moved[fate["outcome"]] += 1
            if fate["outcome"] != "sent":
                by_hand.append(fate["path"])
        self._road.say(
            f"the PACS has sent {moved['sent']} instances of {len(self._accounts)} studies by C-STORE"
            + (f"; {self.ignored} other files ignored" if self.ignored else "")
        )
        if by_hand:
            self._import(by_hand)

    def _import(self, paths: list[str]) -> None:
        """Put in by hand, at the gateway's own door, what no C-STORE can carry."""
        with tempfile.TemporaryDirectory(dir=self._road.data) as folder:
            for number, path in enumerate(paths):
                shutil.copyfile(path, Path(folder) / f"{number:05}")
            self._road.gateway("import", folder, "--all-patients", "--all-files")
        self._road.say(f"{len(paths)} files that C-STORE cannot carry were imported at the gateway")

    def _account(self, facility_study_uid: str) -> StudyAccount:
        return self._accounts.setdefault(facility_study_uid, StudyAccount(facility_study_uid))

    def _wait_until_home(self) -> None:
        last = ""
        moved_at = time.monotonic()
        while True:
            self._raise_troubles()
            # What came before this trip is another's.
            status = [e for e in self._road.gateway_status() if e["first_received_at"] >= self._began_ms]
            told = {entry["facility_study_uid"] or "": entry for entry in status}
            for uid in {*self._accounts, *told}:
                self._account(uid).gateway = told.get(uid, {})
            news = self._progress(status)
            if news != last:
                self._road.say(news)
                last, moved_at = news, time.monotonic()
            if self._is_home():
                # Files are under no study until they have been read: that entry comes and goes.
                self._accounts = {uid: a for uid, a in self._accounts.items() if a.sent or a.gateway}
                return
            if self._ended.is_set():
                self.failures.append("ended by a signal before all was home")
                return
            if time.monotonic() - moved_at > PATIENCE_SECONDS:
                self.failures.append(f"nothing moved for {PATIENCE_SECONDS:.0f} s")
                return
            self._over.wait(0.3)

    def _raise_troubles(self) -> None:
        while not self._troubles.empty():
            trouble = self._troubles.get()
            self._road.say(trouble)
            self.failures.append(trouble)

    def _progress(self, status: Iterable[dict[str, Any]]) -> str:
        entries = list(status)
        parts = (
            ("received", sum(int(e["received"]) for e in entries)),
            ("at the centre", sum(int(e["stored"]) for e in entries)),
            ("held", sum(sum(e["held"].values()) for e in entries)),
        )
        reports = sum(1 for a in self._accounts.values() if a.delivered())
        wanted = sum(1 for a in self._accounts.values() if a.is_stored)
        counts = ", ".join(f"{count} {what}" for what, count in parts)
        return f"instances: {counts}; signed {len(self._signed)}, home {reports} of {wanted} reports"

    def _is_home(self) -> bool:
        accounts = self._accounts.values()
        if any(account.gateway.get("pending") for account in accounts):
            return False
        if sum(int(account.gateway.get("received", 0)) for account in accounts) < sum(
            a.sent for a in accounts
        ):
            return False
        return all(account.delivered() for account in accounts if account.is_stored)

    def _check(self) -> None:
        """Compare with what the PACS itself has filed: each report once, none of a study that was not sent."""
        home = self._road.came_home(since_ms=self._began_ms)
        for account in self._accounts.values():
            uid = account.facility_study_uid
            account.listed_ms = self._listed.get(account.gateway.get("centre_study_uid") or "", 0)
            account.signed_ms = self._signed.get(account.gateway.get("centre_study_uid") or "", 0)
            account.home = home.pop(uid, [])
            if len(account.home) != int(account.is_stored):
                self.failures.append(
                    f"study {account.gateway.get('case_number')}: {len(account.home)} reports in the PACS"
                )
        if home:
            self.failures.append(f"{len(home)} reports of studies that were not sent")
        self._compare_counts()

    def _compare_counts(self) -> None:
        """Have each file in one study's account: the gateway's, which has looked into the files.

        A file whose header the sender could read, and the gateway could not trust, lies there without a study. A file
        whose answer was lost has come twice; the second time is taken off.
        """
        sent = sum(account.sent for account in self._accounts.values())
        for account in self._accounts.values():
            twice = min(account.unanswered, max(0, account.received - account.sent))
            account.take_off(twice)
            account.sent = account.received
        self._accounts = {uid: account for uid, account in self._accounts.items() if account.sent}
        received = sum(account.sent for account in self._accounts.values())
        if sent != received:
            self.failures.append(f"{sent} files were sent, and the gateway accounts for {received}")

    def _read(self, person: Person) -> None:
        """One reader's work, until the round trip is over."""
        client = self._road.reader(person, patience_seconds=PATIENCE_SECONDS)
        try:
            client.sign_in()
            while not self._over.is_set():
                row = self._next_row(client)
                if row is None:
                    self._over.wait(0.2)
                elif client.claim(row["case_number"]):
                    done = client.read_and_sign(row["case_number"], self._sections)
                    self._road.say(f"{person.sign_in.username} has read and signed case {row['case_number']}")
                    with self._lock:
                        self._signed[row["study_instance_uid"]] = done.signed_ms
        except TelereadError as error:
            self._troubles.put(f"{person.sign_in.username}: {error}")
        finally:
            client.close()

    def _next_row(self, client: ReaderClient) -> dict[str, Any] | None:
        rows = client.worklist()
        now = time.time_ns() // 1_000_000
        with self._lock:
            for row in rows:
                if row["state"] != "unassigned" or row["case_number"] in self._taken:
                    continue
                self._listed.setdefault(row["study_instance_uid"], now)
                self._taken.add(row["case_number"])
                return row
        return None

    def studies(self) -> list[dict[str, Any]]:
        """Return the account of every study, as the last line of the demo tells it."""
        return [self._told(account) for account in self._accounts.values()]

    def _told(self, account: StudyAccount) -> dict[str, Any]:
        gateway, delivered = account.gateway, account.delivered()
        moments = {
            "received": gateway.get("last_received_at"),
            "uploaded": gateway.get("uploaded_at"),
            "listed": account.listed_ms,
            "signed": account.signed_ms,
            "delivered": gateway.get("delivered_at"),
        }
        return {
            "facility_study_uid": account.facility_study_uid or None,
            "centre_study_uid": gateway.get("centre_study_uid"),
            "case_number": gateway.get("case_number"),
            "instances_sent": account.sent,
            "instances_stored": account.stored,
            "instances_held": account.held,
            "ms": {name: at - account.started_ms if at else None for name, at in moments.items()},
            "report_dicom": account.home[0] if account.home else None,
            "report_pdf": delivered[0]["report_pdf"] if delivered else None,
        }


def fresh(data: Path) -> Path:
    """Empty the folder of an earlier demo, or refuse one that holds something else."""
    if data.exists():
        if any(data.iterdir()) and not (data / MARK).exists():
            raise SystemExit(f"{data} holds something that is not a demo's; name another folder by DATA=")
        shutil.rmtree(data)
    data.mkdir(parents=True, mode=0o700)
    (data / MARK).touch()
    return data


def _studies_below(source: Path) -> int:
    """Return how many studies the sender will find below a path: so many readers are wanted."""
    from teleread.demo.pacs import Outcome, files_below, look_at

    items = [look_at(path) for path in files_below(source)]
    return len({item.study_instance_uid for item in items if item.outcome is not Outcome.IGNORED})


def _print_sign_ins(road: Road) -> None:
    say = road.say
    say(f"teleread is up: {road.url}   (certificate of its own CA: {road.centre.settings.ca_certificate})")
    say(f"DICOM: send to {GATEWAY_AE}@127.0.0.1:{road.gateway_port} as {PACS_AE}")
    for person in [*road.readers()[:2], *(p for p in road.people if p.role != "reader")]:
        say(_sign_in_line(person, "teleread"))
    say(f"the facility's console, with the patients' names: {road.console_url}   (certificate of its own)")
    for person in road.console_people:
        say(_sign_in_line(person, "teleread gateway"))
    for role, what in NEXT_BY_HAND.items():
        say(f"next, {role}: {what}")
    say("the next study: `make study` in another terminal sends one (with DATA=… if this demo has it)")
    say("Ctrl-C ends all of it")


def _sign_in_line(person: Person, issuer: str) -> str:
    who = person.sign_in
    code = pyotp.TOTP(who.totp_secret).provisioning_uri(name=who.username, issuer_name=issuer)
    return (
        f"{person.role:14} {who.username:14} password {who.password}  TOTP secret {who.totp_secret}  {code}"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(prog="teleread demo", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("demo-data"))
    parser.add_argument(
        "--input", type=Path, help="send the DICOM files below this path, not the built-in study"
    )
    parser.add_argument("--once", action="store_true", help="exit after the round trip")
    parser.add_argument("--port", type=int, help="port of the people's listener")
    chosen = parser.parse_args(arguments)
    began = time.monotonic()

    def say(line: str) -> None:
        sys.stderr.write(f"[{time.monotonic() - began:6.1f} s] {line}\n")
        sys.stderr.flush()

    ended = until_signal()
    if chosen.input is not None and not chosen.input.exists():
        parser.error(f"there is no {chosen.input}")
    data = fresh(chosen.data)
    road = Road(data, say, port=chosen.port, environment=_clean_environment(), workers=os.cpu_count() or 1)
    try:
        source = chosen.input or data / "study"
        if chosen.input is None:
            say(f"made a synthetic chest CT: {len(write_study(source, facility_time()))} instances")
        say("starting the centre: Redis, web, workers")
        road.start_centre()
        road.add_people(max(1, min(MOST_READERS, -(-_studies_below(source) // STUDIES_A_READER))))
        say("starting the facility: PACS and gateway, enrolled with a one-time code")
        road.start_facility()
        sections = SECTIONS if chosen.input is None else NEUTRAL_SECTIONS
        trip = RoundTrip(road, source, ended, road.readers(), sections)
        trip.run()
        for failure in trip.failures:
            say(f"FAILED: {failure}")
        told = {
            "ok": not trip.failures,
            "studies": trip.studies(),
            "ignored_files": trip.ignored,
            "centre_data": str(road.centre_data),
            "gateway_data": str(road.gateway_data),
            "pacs_data": str(road.pacs_data),
        }
        if not chosen.once:
            sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
            sys.stdout.flush()
            road.open_console()
            write_ready(data, gateway=f"127.0.0.1:{road.gateway_port}", called=GATEWAY_AE, calling=PACS_AE)
            _print_sign_ins(road)
            ended.wait()
            say("ending")
    finally:
        (data / READY).unlink(missing_ok=True)
        road.stop()
    say(f"everything that was started has ended; the data stays in {data}")
    if chosen.once:
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    return 0 if told["ok"] else 1


def _clean_environment() -> dict[str, str]:
    """Return the environment without settings of another centre, of which it has its own; logs may be as loud as asked."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("TELEREAD_") or name == "TELEREAD_LOG_LEVEL"
    }


if __name__ == "__main__":
    sys.exit(main())
