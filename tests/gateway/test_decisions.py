"""What the facility's people decide about held instances, by command."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.deidentify import Deidentifier
from gateway.keys import GatewayKeys
from gateway.main import main
from gateway.spool import Arrival, Spool
from gateway.vault import Vault
from tests.gateway.facility import file_bytes, instance, layout_of, settings_of

AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
WHO = ["--reason", "looked at it", "--by", "sato"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A gateway that holds 1 (burned in), 2 (no patient ID) and 3 (another birth date, burned in)."""
    settings = settings_of(tmp_path)
    settings.write()
    layout = layout_of(settings)
    keys = GatewayKeys.make(layout)
    spool, vault = Spool(layout), Vault(layout.vault_database, keys.vault)
    for ds in (
        instance(1, BurnedInAnnotation="YES"),
        instance(2, PatientID=""),
        instance(3, BurnedInAnnotation="YES", PatientBirthDate="19700101"),
    ):
        part = spool.part()
        part.write(file_bytes(ds))
        spool.accept(part, Arrival("", "", ""), at=AT)
    deidentifier = Deidentifier(spool, vault, keys, now=lambda: AT, processes=1)
    deidentifier.work()
    deidentifier.close()
    vault.close()
    spool.close()
    return tmp_path


def states(data: Path) -> list[tuple[str, str]]:
    spool = Spool(layout_of(settings_of(data)))
    rows = spool.connection.execute("SELECT state, reason FROM item ORDER BY id").fetchall()
    spool.close()
    return [(row["state"], row["reason"]) for row in rows]


def last_event(data: Path) -> tuple[str, str, str]:
    spool = Spool(layout_of(settings_of(data)))
    row = spool.connection.execute("SELECT event, actor, reason FROM event ORDER BY id DESC").fetchone()
    spool.close()
    return tuple(row)


@pytest.mark.parametrize(
    ("decision", "state", "reason"),
    [("retry", "received", ""), ("discard", "discarded", "burned_in"), ("release_as_is", "clean", "")],
)
def test_a_decision_moves_the_instance_and_names_who_and_why(
    data: Path, decision: str, state: str, reason: str
) -> None:
    assert states(data)[0] == ("held", "burned_in")
    assert main(["held", decision, "1", *WHO, "--data", str(data)]) == 0
    assert states(data)[0] == (state, reason)
    assert last_event(data) == (decision, "sato", "looked at it")
    assert [path.name for path in (data / "spool" / "clean").iterdir()] == (
        ["1.dcm"] if state == "clean" else []
    )


def test_a_decision_asks_for_who_and_why_and_for_something_held(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["held", "discard", "1", "--by", "sato", "--data", str(data)]) == 1
    assert main(["held", "discard", "1", "--reason", "x", "--data", str(data)]) == 1
    assert main(["held", "discard", *WHO, "--data", str(data)]) == 1
    assert main(["held", "discard", "99", *WHO, "--data", str(data)]) == 1
    assert states(data)[0] == ("held", "burned_in")
    assert main(["held", "discard", "1", *WHO, "--data", str(data)]) == 0
    assert main(["held", "retry", "1", *WHO, "--data", str(data)]) == 1
    capsys.readouterr()
    assert main(["held", "--json", "--data", str(data)]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["number"] for row in rows] == [2, 3]
    # Who decides has to be able to look at it.
    assert all(Path(row["path"]).is_file() for row in rows)
    assert main(["held", "--language", "en", "--data", str(data)]) == 0
    assert all(row["path"] in out for out in [capsys.readouterr().out] for row in rows)
    assert main(["status", "--data", str(data)]) == 0
    assert "2 held, 1 discarded" in capsys.readouterr().out


def test_what_a_look_at_the_image_does_not_answer_stays_held(data: Path) -> None:
    assert main(["held", "release_as_is", "2", *WHO, "--data", str(data)]) == 1
    assert main(["held", "release_as_is", "1", *WHO, "--data", str(data)]) == 0
    assert main(["held", "release_as_is", "3", *WHO, "--data", str(data)]) == 1
    assert [state for state, _ in states(data)] == ["clean", "held", "held"]
    assert [path.name for path in (data / "spool" / "clean").iterdir()] == ["1.dcm"]
