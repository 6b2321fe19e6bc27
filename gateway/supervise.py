"""Keeps the processes of the gateway running: one that ends is started again."""

import logging
import subprocess
import sys
import threading
import time
from pathlib import Path

_log = logging.getLogger(__name__)

ROLES = ("receive", "work")
_LONGEST_PAUSE_SECONDS = 10.0
_GOOD_LIFE_SECONDS = 30.0
_END_SECONDS = 15.0


def run(data: Path, stop: threading.Event, *, console: bool = False) -> None:
    """Run the child processes until `stop` is set, then end them."""
    roles = (*ROLES, "console") if console else ROLES
    threads = [threading.Thread(target=_keep, args=(role, data, stop), name=role) for role in roles]
    for thread in threads:
        thread.start()
    stop.wait()
    for thread in threads:
        thread.join()


def _keep(role: str, data: Path, stop: threading.Event) -> None:
    pause = 0.0
    while not stop.wait(pause):
        began = time.monotonic()
        child = subprocess.Popen(
            [sys.executable, "-m", "gateway.main", role, "--data", str(data), "--supervised"],
            # Its standard input ends when this process does, however it does.
            stdin=subprocess.PIPE,
            # A Ctrl-C at the terminal is for the supervisor, which then ends its children in order.
            start_new_session=True,
        )
        _log.info("%s started as process %d", role, child.pid)
        while not stop.is_set() and child.poll() is None:
            stop.wait(0.1)
        if stop.is_set():
            _end(child)
            return
        lived = time.monotonic() - began
        pause = 0.1 if lived > _GOOD_LIFE_SECONDS else min(max(pause * 2, 0.1), _LONGEST_PAUSE_SECONDS)
        _log.error("%s ended with %s; starting it again", role, child.returncode)


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.terminate()
    if child.stdin is not None:
        child.stdin.close()
    try:
        child.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
