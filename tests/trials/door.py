"""The gateway's door at full size: bombs, silence, mutants, kills, associations by the thousand. Each yields its figures.

The receiving process is the real one, started as `teleread-gateway run` starts it.
"""

import hashlib
import os
import random
import signal
import sqlite3
import statistics
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gateway.dimse import C_STORE_RQ, Command
from gateway.layout import Layout
from gateway.scp import file_head
from gateway.settings import KnownSender
from teleread.dicom.deid.deidentify import deidentify_file
from teleread.dicom.deid.profile import FacilityKeys
from teleread.supervisor import python
from teleread.up import free_port
from tests.gateway import hostile
from tests.gateway.facility import settings_of
from tests.gateway.wire import CT, Sender, pdu, pdv, request, store, store_request

MIB = 2**20
STRANGER = "127.0.0.2"
BOMBS = 20
SILENT = 200
ECHOS = 100
MUTANTS = 10_000
TALKS = 2_000
KILLS = 100
KILLED_INSTANCES = 5_000
ASSOCIATIONS = 5_000
SOAKED_INSTANCES = 20_000
CROWD = 80


class Receiver:
    """The receiving process of a gateway, and what can be seen of it from outside."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout(folder)
        self.port = free_port()
        known = (KnownSender("PACS", "127.0.0.1"), KnownSender("CT1", "127.0.0.4"))
        settings_of(folder, port=self.port, known_senders=known).write()
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        command = python("-m", "gateway.main", "receive", "--data", str(self.layout.data))
        return subprocess.Popen(command, stdin=subprocess.PIPE)

    def wait(self) -> float:
        """Wait until a C-ECHO is answered, and return the seconds."""
        began = time.monotonic()
        while True:
            try:
                with Sender(self.port, seconds=5) as sender:
                    if sender.associate().echo() == 0:
                        return time.monotonic() - began
            except (OSError, AssertionError):
                pass
            if time.monotonic() - began > 60:
                raise TimeoutError("the gateway does not answer")
            time.sleep(0.02)

    def kill_and_start_again(self) -> None:
        """kill -9, and what the supervisor does then."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = self._start()

    def is_alive(self) -> bool:
        """Whether the process that was started last still runs."""
        return self.process.poll() is None

    def memory(self) -> int:
        """Resident bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def threads(self) -> int:
        """Number of threads."""
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def descriptors(self) -> int:
        """Number of open files."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def rows(self) -> list[tuple[Any, ...]]:
        """The items of the spool: UID and digest."""
        connection = sqlite3.connect(self.layout.spool_database)
        try:
            return connection.execute("SELECT sop_instance_uid, sha256 FROM item").fetchall()
        finally:
            connection.close()

    def stop(self) -> None:
        """End the process in order."""
        self.process.terminate()
        self.process.wait(timeout=60)


@contextmanager
def _receiver() -> Iterator[Receiver]:
    with tempfile.TemporaryDirectory(prefix="teleread-trials-") as folder:
        receiver = Receiver(Path(folder))
        try:
            receiver.wait()
            yield receiver
        finally:
            receiver.stop()


def _send_until_cut(port: int, head: bytes, *, associated: bool) -> tuple[float, int]:
    piece = bytes(256 * 1024)
    sent = 0
    with Sender(port) as bomb:
        if associated:
            bomb.associate()
        bomb.send(head)
        began = time.monotonic()
        try:
            while time.monotonic() - began < 30:
                bomb.send(piece)
                sent += len(piece)
        except OSError:
            pass
        return time.monotonic() - began, sent


def bombs() -> tuple[bool, dict[str, object]]:
    """T-02: connections that announce 4 GiB and send until they are cut, a sender beside them."""
    with _receiver() as receiver, Sender(receiver.port, source="127.0.0.4") as beside:
        beside.associate(calling="CT1")
        assert beside.store(os.urandom(MIB), uid="1.2.0") == 0
        before, most = receiver.memory(), [0]
        over = threading.Event()

        def watch() -> None:
            while not over.wait(0.02):
                most[0] = max(most[0], receiver.memory())

        watching = threading.Thread(target=watch)
        watching.start()
        first = struct.pack(">BxL", 1, 2**32 - 1)
        later = struct.pack(">BxLLBB", 4, 2**32 - 1, 2**32 - 5, 1, 0)
        with ThreadPoolExecutor(BOMBS) as pool:
            tries = [
                pool.submit(_send_until_cut, receiver.port, later if n % 2 else first, associated=bool(n % 2))
                for n in range(BOMBS)
            ]
            answers = [beside.store(os.urandom(MIB), uid=f"1.2.{n}") for n in range(1, 11)]
            cuts = [one.result() for one in tries]
        over.set()
        watching.join()
        grown = (most[0] - before) / MIB
        seconds = max(took for took, _ in cuts)
        good = grown <= 64 and seconds <= 1 and set(answers) == {0} and receiver.is_alive()
        figures = {
            "connections": BOMBS,
            "grown_mib": round(grown, 1),
            "cut_after_seconds_at_most": round(seconds, 2),
            "cut_after_mib_at_most": round(max(sent for _, sent in cuts) / MIB, 1),
            "stored_beside": answers.count(0),
        }
        return good, figures


def silence() -> tuple[bool, dict[str, object]]:
    """T-03: silent connections from one address, renewed when they are cut, for 60 s; C-ECHO from another."""
    with _receiver() as receiver:
        over = threading.Event()
        opened = [0]

        def keep_silent() -> None:
            while not over.is_set():
                try:
                    with Sender(receiver.port, source=STRANGER, seconds=70) as one:
                        opened[0] += 1
                        one.socket.settimeout(0.5)
                        while not over.is_set() and not one.is_closed():
                            pass
                except OSError:
                    pass
                over.wait(0.5)

        with ThreadPoolExecutor(SILENT) as pool:
            for _ in range(SILENT):
                pool.submit(keep_silent)
            times, failed = [], 0
            for _ in range(ECHOS):
                began = time.monotonic()
                try:
                    with Sender(receiver.port, seconds=5) as sender:
                        failed += sender.associate().echo() != 0
                except (OSError, AssertionError):
                    failed += 1
                times.append(time.monotonic() - began)
                over.wait(max(0.0, 60 / ECHOS - times[-1]))
            over.set()
        good = failed <= 1 and max(times) < 2
        figures = {
            "silent": SILENT,
            "opened_in_all": opened[0],
            "echos": ECHOS,
            "failed": failed,
            "echo_seconds": {"p50": round(statistics.median(times), 3), "most": round(max(times), 3)},
        }
        return good, figures


def mutants(files: list[Path]) -> tuple[bool, dict[str, object]]:
    """T-09: mutants of real files by C-STORE, each kept bit by bit and judged; and mutants of the conversation."""
    keys = FacilityKeys(b"u" * 32, b"p" * 32)
    outcomes: dict[str, int] = {}
    changed = unanswered = 0
    with _receiver() as receiver, tempfile.TemporaryDirectory(prefix="teleread-trials-") as folder:
        clean = Path(folder) / "clean.dcm"
        syntaxes = sorted({hostile.taken_apart(path)[0] for path in files})
        with Sender(receiver.port, seconds=60) as sender:
            sender.associate(contexts=[(CT, syntax) for syntax in syntaxes])
            for number, (syntax, data) in enumerate(hostile.mutants(files, MUTANTS, seed=26)):
                context = 2 * syntaxes.index(syntax) + 1
                if sender.store(data, uid=f"1.2.{number}", context=context) != 0:
                    unanswered += 1
                    continue
                head = file_head(Command(C_STORE_RQ, 7, CT, f"1.2.{number}", has_data_set=True), syntax)
                path = receiver.layout.received / f"{hashlib.sha256(head + data).hexdigest()}.dcm"
                if not path.exists() or path.read_bytes() != head + data:
                    changed += 1
                    continue
                result = deidentify_file(path, clean, keys=keys)
                clean.unlink(missing_ok=True)
                outcome = "clean" if result.outcome == "clean" else str(result.reason)
                outcomes[outcome] = outcomes.get(outcome, 0) + 1
                path.unlink()
        chance = random.Random(27)  # noqa: S311 - reproducible, not secret
        talk = request() + store(os.urandom(300)) + store_request()
        for _ in range(TALKS):
            with Sender(receiver.port) as sender:
                try:
                    sender.send(hostile.mutant(talk, chance))
                    sender.socket.shutdown(1)
                    while sender.answer()[0]:
                        pass
                except TimeoutError:
                    unanswered += 1
                except OSError:
                    pass
        receiver.wait()
        good = (
            receiver.is_alive()
            and not changed
            and not unanswered
            and not list(receiver.layout.incoming.iterdir())
        )
        figures = {
            "mutants": MUTANTS, "changed": changed, "unanswered": unanswered, "outcomes": outcomes,
            "mutants_of_the_conversation": TALKS, "process_alive": receiver.is_alive(),
        }  # fmt: skip
        return good, figures


class _Crowd:
    """Sends numbered instances until each has been answered with success, over several associations."""

    def __init__(self, receiver: Receiver, count: int, size: int, seed: int) -> None:
        self._receiver = receiver
        chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
        self.data = {f"1.2.{n}": n.to_bytes(8, "big") + chance.randbytes(size) for n in range(count)}
        self._left = list(self.data)
        self._lock = threading.Lock()
        self.done: list[str] = []

    def run(self, senders: int, each: int) -> None:
        """Send everything; an association ends after `each` instances, or when the gateway does."""
        with ThreadPoolExecutor(senders) as pool:
            for one in [pool.submit(self._send, each) for _ in range(senders)]:
                one.result()

    def _send(self, each: int) -> None:
        while self._left or len(self.done) < len(self.data):
            uid = ""
            try:
                with Sender(self._receiver.port) as sender:
                    sender.associate()
                    for _ in range(each):
                        with self._lock:
                            if not self._left:
                                break
                            uid = self._left.pop()
                        assert sender.store(self.data[uid], uid=uid) == 0
                        self.done.append(uid)
                        uid = ""
                    sender.send(pdu(5, bytes(4)))
                    sender.answer()
            except (OSError, AssertionError, struct.error):
                time.sleep(0.05)
            finally:
                if uid:
                    with self._lock:
                        self._left.append(uid)

    def judge(self) -> dict[str, int]:
        """Compare rows and files with what was sent."""
        rows = self._receiver.rows()
        files = {path.stem: path for path in self._receiver.layout.received.iterdir()}
        by_uid: dict[str, list[str]] = {}
        for uid, sha256 in rows:
            by_uid.setdefault(uid, []).append(sha256)
        changed = 0
        for uid, digests in by_uid.items():
            raw = files[digests[0]].read_bytes() if digests[0] in files else b""
            changed += (
                not raw.endswith(self.data.get(uid, b"?")) or hashlib.sha256(raw).hexdigest() != digests[0]
            )
        return {
            "lost": len(set(self.data) - set(by_uid)),
            "changed": changed,
            "doubled": len(rows) - len(by_uid),
            "files_without_row": len(set(files) - {sha256 for _, sha256 in rows}),
        }


def kills() -> tuple[bool, dict[str, object]]:
    """F-01, receiving: kill -9 at 100 random moments while 4 associations send 5,000 instances."""
    chance = random.Random(1)  # noqa: S311 - reproducible, not secret
    with _receiver() as receiver:
        crowd = _Crowd(receiver, KILLED_INSTANCES, 20_000, seed=2)
        sending = threading.Thread(target=crowd.run, args=(4, 500))
        sending.start()
        ready, while_sending = [], 0
        for number in range(KILLS):
            # The next when so many more were stored: all kills fall into the sending.
            due = KILLED_INSTANCES * (number + chance.random()) / (KILLS + 1)
            while len(crowd.done) < due and sending.is_alive():
                time.sleep(0.001)
            while_sending += sending.is_alive()
            receiver.kill_and_start_again()
            ready.append(receiver.wait())
        sending.join()
        verdict = crowd.judge()
        left = len(list(receiver.layout.incoming.iterdir()))
    good = not any(verdict.values()) and while_sending == KILLS and left == 0
    figures = {
        "kills": KILLS, "while_sending": while_sending, "instances": KILLED_INSTANCES, **verdict, "half_files": left,
        "ready_seconds": {"p50": round(statistics.median(ready), 2), "most": round(max(ready), 2)},
    }  # fmt: skip
    return good, figures


def soak() -> tuple[bool, dict[str, object]]:
    """F-26 and F-22: associations by the thousand; then more senders at once than there are places."""
    with _receiver() as receiver:
        warm = _Crowd(receiver, 400, 2_000, seed=3)
        warm.run(4, 4)
        before = (receiver.memory(), receiver.threads(), receiver.descriptors())
        crowd = _Crowd(receiver, SOAKED_INSTANCES, 2_000, seed=4)
        crowd.data = {f"1.3.{uid[4:]}": data for uid, data in crowd.data.items()}
        crowd._left = list(crowd.data)
        began = time.monotonic()
        crowd.run(4, SOAKED_INSTANCES // ASSOCIATIONS)
        seconds = time.monotonic() - began
        time.sleep(1)
        after = (receiver.memory(), receiver.threads(), receiver.descriptors())
        slope = (after[0] - before[0]) / MIB / (ASSOCIATIONS / 1000)

        def hold(_: int) -> int:
            with Sender(receiver.port, seconds=60) as sender:
                sender.send(request())
                kind = sender.answer()[0]
                if kind == 2:
                    sender.send(pdu(4, pdv(store_request(), command=True, last=True)))
                    held.wait(60)
                return kind

        held = threading.Event()
        with ThreadPoolExecutor(CROWD) as pool:
            crowding = [pool.submit(hold, n) for n in range(CROWD)]
            time.sleep(2)
            crowded = receiver.memory()
            with Sender(receiver.port, source="127.0.0.4") as other:
                beside = other.associate(calling="CT1").store(b"data")
            held.set()
            kinds = [one.result() for one in crowding]
        lost = SOAKED_INSTANCES + 400 + 1 - len(receiver.rows())
        good = slope <= 1 and after[1:] <= (before[1] + 1, before[2] + 2) and lost == 0 and beside == 0
        figures = {
            "associations": ASSOCIATIONS, "instances": SOAKED_INSTANCES, "lost": lost,
            "instances_per_second": round(SOAKED_INSTANCES / seconds, 1), "mib_a_thousand_associations": round(slope, 2),
            "threads": (before[1], after[1]), "descriptors": (before[2], after[2]),
            "crowd": CROWD, "let_in": kinds.count(2), "told_to_come_later_or_closed": CROWD - kinds.count(2),
            "stored_by_another_sender_beside": int(beside == 0),
            "crowd_grown_percent": round((crowded / after[0] - 1) * 100, 1),
        }  # fmt: skip
        return good, figures


def door(files: list[Path]) -> Iterator[tuple[str, bool, dict[str, object]]]:
    """Yield name, verdict and figures of each trial of the door."""
    parts: dict[str, Callable[[], tuple[bool, dict[str, object]]]] = {
        "bombs": bombs,
        "silence": silence,
        "mutants": lambda: mutants(files),
        "kills": kills,
        "soak": soak,
    }
    for name, part in parts.items():
        good, figures = part()
        yield name, good, figures
