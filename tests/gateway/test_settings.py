"""The gateway's settings are checked when they are read."""

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.settings import GatewaySettings, KnownSender, PACSTarget
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
