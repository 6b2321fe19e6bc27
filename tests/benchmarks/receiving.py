"""C-STORE into the gateway, with and without de-identification beside, and into the peers that are installed, in turn.

Orthanc and dcmtk's storescp write an answer in two pieces and wait for the sender's delayed acknowledgement
between them. To compare with them without that stall, name the source of a shim that sets TCP_NODELAY on
accepted sockets in TELEREAD_BENCH_NODELAY; it is built here and used for them only.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.keys import GatewayKeys
from gateway.layout import Layout
from gateway.spool import Spool
from teleread.supervisor import python
from teleread.up import free_port
from tests.gateway.facility import file_bytes, instance, settings_of

ROUNDS = 3
INSTANCES = 120
ASSOCIATIONS = (1, 4)
SIDE = 512

_GATEWAY_AE = "TELEREAD"
_PEER_AE = "PEER"


class Slices:
    """Makes studies of CT slices of 0.5 MB, each file with UIDs of its own."""

    def __init__(self) -> None:
        noise = np.random.default_rng(20261124)
        fields = {"Rows": SIDE, "Columns": SIDE, "BitsStored": 12, "HighBit": 11}
        self._files = [
            file_bytes(
                instance(
                    1,
                    study_uid="1.2.392.200036.9116.00000000.1",
                    pixels=noise.integers(0, 4096, SIDE * SIDE, dtype=np.uint16).tobytes(),
                    **fields,
                )
            )
            for _ in range(4)
        ]
        self._study = 0

    def write(self, folder: Path, count: int) -> list[Path]:
        """Write a study of `count` slices."""
        folder.mkdir(parents=True)
        self._study += 1
        paths = []
        for number in range(count):
            uid = b"1.2.392.200036.9116.%08d.1" % (self._study * 1000 + number)
            data = self._files[number % len(self._files)].replace(b"1.2.392.200036.9116.00000000.1", uid)
            paths.append(folder / f"{number:04}.dcm")
            paths[-1].write_bytes(data)
        return paths


@dataclass(frozen=True)
class Receiver:
    """Who takes C-STORE: its port, its title, and what it used of the processor so far, in seconds."""

    port: int
    ae_title: str
    cpu_seconds: Callable[[], float]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(value) for value in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def _wait_for_echo(port: int, called: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 60
    echo = ["echoscu", "-aet", "PACS", "-aec", called, "127.0.0.1", str(port)]
    while subprocess.run(echo, capture_output=True, check=False).returncode:
        if time.monotonic() > deadline or process.poll() is not None:
            raise TimeoutError(f"{called} does not answer")
        time.sleep(0.1)


@contextmanager
def _running(arguments: list[str], port: int, called: str, **environment: str) -> Iterator[Receiver]:
    process = subprocess.Popen(
        arguments,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for_echo(port, called, process)
        yield Receiver(port, called, lambda: _cpu_seconds(process.pid))
    finally:
        process.terminate()
        process.wait(timeout=60)


@contextmanager
def gateway(folder: Path) -> Iterator[Receiver]:
    """The gateway's receiving process, as `teleread-gateway run` starts it."""
    port = free_port()
    settings_of(folder, port=port).write()
    with _running(
        python("-m", "gateway.main", "receive", "--data", str(folder)), port, _GATEWAY_AE
    ) as receiver:
        yield receiver


@contextmanager
def deidentifying(folder: Path) -> Iterator[Receiver]:
    """The same with the de-identification at work on what it receives."""
    with gateway(folder) as receiver:
        worker = subprocess.Popen(
            python("-m", "tests.benchmarks.receiving", str(folder)), stdin=subprocess.PIPE
        )
        try:
            yield receiver
        finally:
            worker.terminate()
            worker.wait(timeout=60)


def _deidentify_until_ended(folder: Path) -> None:
    from gateway.daemon import Task, run_task, stopped_by_signals, yield_to_receiving
    from gateway.deidentify import Deidentifier
    from gateway.vault import Vault
    from teleread import clock

    stop = stopped_by_signals(supervised=False)
    yield_to_receiving()
    layout = Layout(folder)
    keys = GatewayKeys.make(layout)
    worker = Deidentifier(Spool(layout), Vault(layout.vault_database, keys.vault), keys, now=clock.now)
    worker.warm_up()
    run_task(Task("de-identification", worker.work), stop)
    worker.close()


@contextmanager
def storescp(folder: Path, **environment: str) -> Iterator[Receiver]:
    """dcmtk's receiver, a process an association; it syncs nothing and keeps no index."""
    folder.mkdir()
    port = free_port()
    command = ["storescp", "--fork", "-od", str(folder), "-aet", _PEER_AE, str(port)]
    with _running(command, port, _PEER_AE, **environment) as receiver:
        yield receiver


@contextmanager
def orthanc(folder: Path, **environment: str) -> Iterator[Receiver]:
    """Debian's Orthanc with its default settings but for names and ports."""
    folder.mkdir()
    port, web = free_port(), free_port()
    settings = {
        "Name": _PEER_AE,
        "DicomAet": _PEER_AE,
        "DicomPort": port,
        "HttpPort": web,
        "RemoteAccessAllowed": False,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with _running(["Orthanc", str(folder / "orthanc.json")], port, _PEER_AE, **environment) as receiver:
        yield receiver


def _send(receiver: Receiver, paths: list[Path], associations: int) -> tuple[float, float]:
    """Send over so many associations at once; return instances and milliseconds of processor an instance."""
    shares = [paths[n::associations] for n in range(associations)]
    before, began = receiver.cpu_seconds(), time.perf_counter()
    senders = [
        subprocess.Popen(
            ["storescu", "-aet", "PACS", "-aec", receiver.ae_title, "127.0.0.1", str(receiver.port)]
            + [str(path) for path in share],
            stdout=subprocess.DEVNULL,
        )
        for share in shares
    ]
    if any([sender.wait() for sender in senders]):  # noqa: C419 - all of them are waited for
        raise RuntimeError("storescu was refused")
    seconds = time.perf_counter() - began
    return len(paths) / seconds, (receiver.cpu_seconds() - before) * 1000 / len(paths)


def _shim(folder: Path) -> dict[str, str] | None:
    source = os.environ.get("TELEREAD_BENCH_NODELAY")
    if not source or shutil.which("gcc") is None:
        return None
    built = folder / "nodelay.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", str(built), source, "-ldl"], check=True)
    return {"LD_PRELOAD": str(built)}


def _receivers(folder: Path, stack: ExitStack) -> tuple[dict[str, Receiver], list[str]]:
    shim = _shim(folder)
    found = {
        "gateway": stack.enter_context(gateway(folder / "gateway")),
        "gateway_deidentifying": stack.enter_context(deidentifying(folder / "deidentifying")),
    }
    missing = [] if shim else ["the shim for peers without their stall: TELEREAD_BENCH_NODELAY"]
    for name, program, start in (("storescp", "storescp", storescp), ("orthanc", "Orthanc", orthanc)):
        if shutil.which(program) is None:
            missing.append(f"{program} of Debian")
            continue
        found[f"{name}_stock"] = stack.enter_context(start(folder / f"{name}-stock"))
        if shim:
            found[f"{name}_fast"] = stack.enter_context(start(folder / f"{name}-fast", **shim))
    return found, missing


#: Ratios of instances a second, ours first, of the same round.
RATIOS = {
    "orthanc_stock": ("gateway", "orthanc_stock"),
    "orthanc_fast": ("gateway", "orthanc_fast"),
    "storescp_fast_without_fsync": ("gateway", "storescp_fast"),
    "deidentifying_beside": ("gateway_deidentifying", "gateway"),
}


def c_store() -> Iterator[dict[str, object]]:
    """Yield, for each number of associations, the rates of all receivers in alternating rounds, and their ratios."""
    if shutil.which("storescu") is None:
        yield {"missing": "dcmtk's storescu"}
        return
    slices = Slices()
    with tempfile.TemporaryDirectory(prefix="teleread-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        receivers, missing = _receivers(folder, stack)
        source = slices.write(folder / "warm-up", 8)
        for receiver in receivers.values():
            _send(receiver, source, 1)
        for associations in ASSOCIATIONS:
            rates: dict[str, list[float]] = {who: [] for who in receivers}
            cpu: dict[str, list[float]] = {who: [] for who in receivers}
            for number in range(ROUNDS):
                order = list(receivers)
                order = order[number % len(order) :] + order[: number % len(order)]
                for who in order:
                    sent = folder / f"{associations}-{number}-{who}"
                    rate, used = _send(receivers[who], slices.write(sent, INSTANCES), associations)
                    rates[who].append(rate)
                    cpu[who].append(used)
                    shutil.rmtree(sent)
            yield {
                "associations": associations,
                "instances": INSTANCES,
                "rounds": ROUNDS,
                "instances_per_second": {
                    who: {
                        "each": [round(one, 1) for one in values],
                        "p50": round(statistics.median(values), 1),
                    }
                    for who, values in rates.items()
                },
                "cpu_ms_an_instance": {
                    who: round(statistics.median(values), 2)
                    for who, values in cpu.items()
                    # Its children that receive at this moment are not counted yet.
                    if not who.startswith("storescp")
                },
                "ratios": {
                    what: round(
                        statistics.median(a / b for a, b in zip(rates[ours], rates[theirs], strict=True)), 2
                    )
                    for what, (ours, theirs) in RATIOS.items()
                    if ours in rates and theirs in rates
                },
                "missing": missing,
            }


if __name__ == "__main__":
    _deidentify_until_ended(Path(sys.argv[1]))
