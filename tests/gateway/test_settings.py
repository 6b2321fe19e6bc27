"""The gateway's settings are checked when they are read."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.main import main
from gateway.settings import FILE_NAME, Deidentification, GatewaySettings, KnownSender, PACSTarget
from teleread.errors import InvalidInput
from tests.gateway.facility import settings_of


def test_what_is_written_is_read(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        facility_name='北"病院\\ 1',
        known_senders=(KnownSender("CT 1", "10.0.0.1"), KnownSender("MR", "::1")),
        pacs=(PACSTarget("PACS", "pacs.example", 104),),
    )
    settings.write()
    assert GatewaySettings.from_file(tmp_path) == settings


@pytest.mark.parametrize(
    "change",
    [
        {"ae_title": ""},
        {"ae_title": "A" * 17},
        {"port": 65536},
        {"port": -1},
        {"quiet_seconds": 0},
        {"gateway_url": "http://centre"},
        {"high_water_percent": 0},
        {"high_water_percent": 100.5},
        {"idle_seconds": 0},
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_name(tmp_path: Path, change: dict[str, object]) -> None:
    with pytest.raises(InvalidInput) as caught:
        replace(settings_of(tmp_path), **change)  # type: ignore[arg-type]
    assert caught.value.field == next(iter(change))


@pytest.mark.parametrize("text", ["PACS", "PACS@", "@10.0.0.1", "PACS@host", "A\\B@10.0.0.1"])
def test_a_sender_is_a_title_and_an_ip_address(text: str) -> None:
    with pytest.raises(InvalidInput):
        KnownSender.parse(text)


@pytest.mark.parametrize(
    "text", ["PACS@host", "PACS@host:", "PACS@:104", "PACS@host:x", "PACS@host:70000", "@h:1"]
)
def test_a_pacs_is_a_title_a_host_and_a_port(text: str) -> None:
    with pytest.raises(InvalidInput):
        PACSTarget.parse(text)


@pytest.mark.parametrize(
    "content", ["", "x = [", "unknown_setting = 1", "port = 'x'", b"\xff\xfe".decode("latin-1")]
)
def test_a_file_that_is_not_the_settings_stops_the_start(tmp_path: Path, content: str) -> None:
    (tmp_path / "gateway.toml").write_bytes(content.encode("latin-1"))
    with pytest.raises(InvalidInput):
        GatewaySettings.from_file(tmp_path)


def test_a_missing_setting_is_named(tmp_path: Path) -> None:
    settings_of(tmp_path).write()
    path = tmp_path / "gateway.toml"
    path.write_text("\n".join(line for line in path.read_text().splitlines() if not line.startswith("pacs")))
    with pytest.raises(InvalidInput, match="pacs"):
        GatewaySettings.from_file(tmp_path)


def test_options_of_the_facility_are_written_and_read(tmp_path: Path) -> None:
    chosen = Deidentification(("retain_full_dates", "113112"))
    replace(settings_of(tmp_path), deidentification=chosen).write()
    read = GatewaySettings.from_file(tmp_path)
    assert read.deidentification.profile.codes == ("113100", "113106", "113112")


def test_settings_without_options_are_the_reading_default(tmp_path: Path) -> None:
    settings_of(tmp_path).write()
    text = (tmp_path / FILE_NAME).read_text("utf-8")
    (tmp_path / FILE_NAME).write_text(text[: text.index("[deidentification]")], "utf-8")
    codes = GatewaySettings.from_file(tmp_path).deidentification.profile.codes
    assert codes == ("113100", "113103", "113104", "113105", "113106", "113108", "113109")


@pytest.mark.parametrize(
    ("lines", "field", "words"),
    [
        ('options = ["retain_full_dates", "retain_modified_dates"]', "deidentification.options", "exclude"),
        ('options = ["retain_modified_dates"]', "deidentification.options", "research exports"),
        ('options = "retain_uids"', "deidentification.options", "a list"),
        ('option = ["retain_uids"]', "deidentification.option", "no such setting"),
    ],
)
def test_options_that_cannot_be_stop_the_start_by_their_name(
    tmp_path: Path, lines: str, field: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings_of(tmp_path).write()
    text = (tmp_path / FILE_NAME).read_text("utf-8")
    (tmp_path / FILE_NAME).write_text(text[: text.index("options =")] + lines + "\n", "utf-8")
    with pytest.raises(InvalidInput, match=words) as caught:
        GatewaySettings.from_file(tmp_path)
    assert caught.value.field == field
    assert main(["run", "--data", str(tmp_path)]) == 1
    assert field in capsys.readouterr().err


def test_describe_says_what_this_facility_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "--data", str(tmp_path), "--language", "en"]) == 0
    assert "(0008,0080)\tInstitution Name\tX/Z/D\tremoved" in capsys.readouterr().out
    chosen = Deidentification(("retain_institution_identity",))
    replace(settings_of(tmp_path), deidentification=chosen).write()
    assert main(["describe", "--data", str(tmp_path), "--language", "ja"]) == 0
    told = capsys.readouterr().out
    assert "(0008,0080)\tInstitution Name\tK\t保持" in told
    assert "113112" in told
