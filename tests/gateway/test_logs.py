"""Every log of a box at DEBUG, over real files: no word of a patient, and one line an event."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from gateway import daemon
from gateway.keys import GatewayKeys
from gateway.scp import StorageSCP
from gateway.spool import Arrival, Spool
from gateway.vault import Vault
from teleread import clock
from teleread.logs import OneLine
from tests.gateway.console_box import _Inline
from tests.gateway.facility import instance, layout_of, send, settings_of

FILES = sorted(path for path in (Path(__file__).parents[1] / "data" / "dicom").iterdir() if path.is_file())
_NAMING = (
    "PatientName",
    "OtherPatientNames",
    "ReferringPhysicianName",
    "PatientID",
    "AccessionNumber",
    "PatientBirthDate",
)


@pytest.fixture
def loud() -> Iterator[None]:
    """Let the gateway log everything it has, and put the loggers back afterwards."""
    ours, root = logging.getLogger("gateway"), logging.getLogger()
    before = (list(ours.handlers), ours.level, ours.propagate, list(root.handlers), root.level)
    yield
    for handler in ours.handlers:
        if handler not in before[0]:
            handler.close()
    ours.handlers[:], ours.level, ours.propagate, root.handlers[:], root.level = before
    logging.getLogger("gateway").setLevel(before[1])


def tokens_in(path: Path) -> set[bytes]:
    """Return what names the patient of a file, by pydicom's view and in any encoding that a log could have."""
    found: set[str] = set()
    dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True)
    for keyword in _NAMING:
        try:
            value = str(dataset.get(keyword, "") or "")
        except Exception:  # noqa: BLE001, S112 - a broken value is looked for as little as it can be read
            continue
        element = dataset.get_item(keyword)
        raw = element.value if element is not None else b""
        # As the bytes say it: some of these files are broken on purpose.
        value = raw.decode("utf-8", "ignore") if isinstance(raw, bytes) else str(raw or "")
        parts = re.split(r"[\^=\s,.]+", value) if keyword.endswith(("Name", "Names")) else [value]
        found |= {part for part in parts if len(part) >= (5 if part.isascii() else 2)}
    return {
        part.encode(encoding, "ignore") for part in found for encoding in ("utf-8", "cp932", "euc_jp")
    } - {b""}


def run_over(files: list[Path], data: Path) -> tuple[int, bytes]:
    """Receive, de-identify and look at every file; return how many were taken, and all logs of the box."""
    settings = settings_of(data)
    layout = layout_of(settings)
    keys = GatewayKeys.make(layout)
    daemon.set_up_logging(layout, "run")
    logging.getLogger("gateway").setLevel(logging.DEBUG)
    spool = Spool(layout)
    vault = Vault(layout.vault_database, keys.vault)
    scp = StorageSCP(settings, spool, now=clock.now)
    logging.getLogger("gateway").debug("a line, so that a silent log cannot pass")
    try:
        send(scp.port, instance(1))
        for path in files:
            part = spool.part()
            part.write(path.read_bytes())
            spool.accept(part, Arrival("", "", "", None), at=clock.now())
        worker = _Inline(spool, vault, keys, now=clock.now)
        while worker.work():
            pass
        taken = int(
            spool.connection.execute("SELECT count(*) FROM item WHERE state != 'received'").fetchone()[0]
        )
    finally:
        scp.close()
        spool.close()
        vault.close()
    return taken, b"".join(path.read_bytes() for path in sorted(layout.logs.iterdir()) if path.is_file())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("loud")
def test_no_word_of_a_patient_of_any_real_file_is_in_any_log(tmp_path: Path) -> None:
    taken, said = run_over(FILES, tmp_path)
    assert taken >= len(FILES) - 5
    assert b"a silent log cannot pass" in said
    wanted = {token for path in FILES for token in tokens_in(path)} | {"山田".encode(), b"Yamada", b"0012345"}
    assert len(wanted) > 40
    assert [token for token in wanted if token in said] == []


def test_no_text_can_begin_a_line_of_its_own_or_steer_a_terminal() -> None:
    evil = "x\r\n2026-11-23 INFO root signed in\x1b[2J\x00\u2028\x9b1m"
    record = logging.LogRecord("gateway", logging.WARNING, "", 0, "refused %s", (evil,), None)
    record.exc_text = "Traceback\nValueError: two\nlines"
    line = OneLine("%(levelname)s %(message)s").format(record)
    assert line.startswith(
        "WARNING refused x\\x0d\\x0a2026-11-23 INFO root signed in\\x1b[2J\\x00\\x2028\\x9b1m"
    )
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028]", line)


@pytest.mark.usefixtures("loud")
def test_the_box_writes_its_logs_in_that_form(tmp_path: Path) -> None:
    layout = layout_of(settings_of(tmp_path))
    daemon.set_up_logging(layout, "run")
    logging.getLogger("gateway.scp").error("from %s", "EVIL\nAE\x1b")
    assert (layout.logs / "run.log").read_text().count("\n") == 1
