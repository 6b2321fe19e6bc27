"""Enrolment: the box believes only the centre that the code names, and a code serves once."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from gateway.enrol import Choices, enrol
from gateway.keys import GatewayKeys
from gateway.layout import Layout
from gateway.link import CentreLink
from gateway.settings import GatewaySettings, KnownSender, PACSTarget
from teleread import clock
from teleread.errors import InvalidInput, NotAllowed, Unavailable
from teleread.wire.heartbeat import Heartbeat
from tests.gateway.centre import FakeCentre, running

AT = datetime(2026, 11, 23, tzinfo=UTC)
CHOICES = Choices(
    ae_title="BOX",
    port=11113,
    known_senders=(KnownSender("PACS", "127.0.0.1"),),
    pacs=(PACSTarget("PACS", "127.0.0.1", 104),),
)


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[FakeCentre]:
    with running(FakeCentre(), tmp_path / "centre") as centre:
        yield centre


def test_an_enrolled_box_has_its_settings_and_may_speak(tmp_path: Path, centre: FakeCentre) -> None:
    data = tmp_path / "box"
    settings = enrol(centre.url, centre.new_code().lower(), data, CHOICES, at=AT)
    assert GatewaySettings.from_file(data) == settings
    assert (settings.facility_name, settings.ae_title, settings.quiet_seconds) == ("北病院", "BOX", 30)
    link = CentreLink.open(settings, Layout(data))
    heartbeat = Heartbeat(
        version="1", queue=0, held=0, disk_free_bytes=1, clock=clock.now(), certificate_not_after=AT
    )
    assert link.beat(heartbeat).now.tzinfo is not None
    link.close()
    for path in (data / "keys").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name


def test_the_private_key_never_leaves_the_box(tmp_path: Path, centre: FakeCentre) -> None:
    data = tmp_path / "box"
    enrol(centre.url, centre.new_code(), data, CHOICES, at=AT)
    certificate = x509.load_pem_x509_certificate((data / "keys" / "client.pem").read_bytes())
    assert certificate.issuer == centre.authority.certificate.subject
    assert b"PRIVATE KEY" in (data / "keys" / "client.key").read_bytes()


def test_a_code_of_another_centre_is_not_spent_here(tmp_path: Path, centre: FakeCentre) -> None:
    with running(FakeCentre(), tmp_path / "other") as other:
        code = other.new_code()
        with pytest.raises(InvalidInput):
            enrol(centre.url, code, tmp_path / "box", CHOICES, at=AT)
        assert not (tmp_path / "box" / "gateway.toml").exists()
        enrol(other.url, code, tmp_path / "box", CHOICES, at=AT)


def test_a_code_serves_once(tmp_path: Path, centre: FakeCentre) -> None:
    code = centre.new_code()
    enrol(centre.url, code, tmp_path / "box", CHOICES, at=AT)
    with pytest.raises(NotAllowed):
        enrol(centre.url, code, tmp_path / "second", CHOICES, at=AT)
    assert not (tmp_path / "second" / "gateway.toml").exists()


def test_enrolling_again_keeps_the_keys_of_the_facility(tmp_path: Path, centre: FakeCentre) -> None:
    data = tmp_path / "box"
    enrol(centre.url, centre.new_code(), data, CHOICES, at=AT)
    keys, seal = GatewayKeys.load(Layout(data)), (data / "keys" / "seal.crt").read_bytes()
    enrol(centre.url, centre.new_code(), data, CHOICES, at=AT)
    assert GatewayKeys.load(Layout(data)) == keys
    assert (data / "keys" / "seal.crt").read_bytes() == seal


def test_nobody_at_the_address_and_plain_http_are_said_so(tmp_path: Path, centre: FakeCentre) -> None:
    with pytest.raises(Unavailable):
        enrol("https://127.0.0.1:1", centre.new_code(), tmp_path / "box", CHOICES, at=AT)
    with pytest.raises(InvalidInput):
        enrol("http://127.0.0.1:1", centre.new_code(), tmp_path / "box", CHOICES, at=AT)


def test_a_missing_or_broken_key_stops_the_start_with_its_name(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "box")
    layout.make()
    GatewayKeys.make(layout)
    (layout.keys / "uid.key").write_text("short")
    with pytest.raises(InvalidInput, match=r"uid\.key"):
        GatewayKeys.load(layout)
