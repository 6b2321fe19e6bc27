"""The supervisor keeps children running and leaves none behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from teleread.supervisor import Child, Supervisor, python

SLEEPER = python("-c", "import time\nwhile True: time.sleep(1)")

PARENT = """
import sys, time
from pathlib import Path
from teleread.supervisor import Child, Supervisor, python
s = Supervisor(lambda line: None)
s.start([Child("sleeper", python("-c", "import time\\nwhile True: time.sleep(1)"), {}, Path(sys.argv[1]))])
while s.process_id("sleeper") is None: time.sleep(0.01)
print(s.process_id("sleeper"), flush=True)
time.sleep(600)
"""


def _until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)


def _lives(process_id: int) -> bool:
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _child(tmp_path: Path, name: str = "sleeper", command: list[str] = SLEEPER) -> Child:
    return Child(name, command, dict(os.environ), tmp_path / f"{name}.log")


def test_a_killed_child_is_started_again(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    supervisor.start([_child(tmp_path)])
    try:
        _until(lambda: supervisor.process_id("sleeper") is not None)
        first = supervisor.process_id("sleeper")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        _until(lambda: supervisor.process_id("sleeper") not in {None, first})
        assert supervisor.starts("sleeper") == 2
        assert any("sleeper ended with -9" in line for line in said)
    finally:
        supervisor.stop()


def test_temporary_files_of_a_killed_child_are_gone_when_it_starts_again(tmp_path: Path) -> None:
    command = python(
        "-c", "import os, tempfile, time\nopen(tempfile.mkstemp()[1]).close()\nwhile True: time.sleep(1)"
    )
    scratch = tmp_path / "tmp" / "sleeper"
    child = Child("sleeper", command, dict(os.environ), tmp_path / "log", scratch=scratch)
    supervisor = Supervisor(lambda _line: None)
    supervisor.start([child])
    try:
        _until(lambda: scratch.is_dir() and any(scratch.iterdir()))
        (left,) = scratch.iterdir()
        first = supervisor.process_id("sleeper")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        _until(lambda: supervisor.starts("sleeper") == 2 and any(scratch.iterdir()))
        assert [path != left for path in scratch.iterdir()] == [True]
    finally:
        supervisor.stop()


def test_stopping_leaves_no_child(tmp_path: Path) -> None:
    supervisor = Supervisor(lambda _line: None)
    supervisor.start([_child(tmp_path, "one"), _child(tmp_path, "two")])
    _until(lambda: None not in {supervisor.process_id("one"), supervisor.process_id("two")})
    ids = [supervisor.process_id("one"), supervisor.process_id("two")]
    supervisor.stop()
    assert not [pid for pid in ids if pid is not None and _lives(pid)]


def test_a_child_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    stubborn = python(
        "-c",
        "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(600)",
    )
    supervisor = Supervisor(lambda _line: None)
    supervisor.start([_child(tmp_path, "stubborn", stubborn)])
    _until(lambda: (tmp_path / "stubborn.log").exists() and (tmp_path / "stubborn.log").read_text() == "up\n")
    process_id = supervisor.process_id("stubborn")
    supervisor.stop(seconds=0.5)
    assert process_id is not None
    assert not _lives(process_id)


def test_no_child_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        process_id = int(parent.stdout.readline())
        assert _lives(process_id)
        parent.kill()
    _until(lambda: not _lives(process_id))
