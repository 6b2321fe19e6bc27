"""The listener for gateways, as it runs: gunicorn, TLS, client certificates, streamed uploads."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.critical import AcknowledgementSender, CriticalBook, CriticalWatch
from gateway.link import CentreLink
from gateway.spool import Spool
from teleread import clock
from teleread.domain.access import Actor, system_actor
from teleread.domain.critical import READ_BACK, Method, Told
from teleread.errors import TransitionNotAllowed
from teleread.services import critical, facilities
from teleread.settings import ServerSettings
from teleread.storage.session import open_engine, transaction
from teleread.up import prepare
from tests.builders.centre import clean_study
from tests.gateway.facility import layout_of, settings_of
from tests.web.conftest import ct_file

SYSTEM = system_actor("test")
STUDY = "2.25.987654321"


@dataclass
class Running:
    """A centre's two listeners, and the folder of a gateway that has enrolled."""

    settings: ServerSettings
    people: str
    gateway: str
    box: Path

    def client(self, *, certificate: str | None = "client") -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.settings.ca_certificate))
        if certificate:
            context.load_cert_chain(self.box / f"{certificate}.pem", self.box / f"{certificate}.key")
        return httpx.Client(base_url=self.gateway, verify=context, trust_env=False, timeout=60)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _csr(name: str) -> tuple[str, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return request.public_bytes(serialization.Encoding.PEM).decode(), pem


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    port = int(url.rpartition(":")[2])
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail(log.read_text())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("listener")
    ports = {"people": _free_port(), "gateway": _free_port()}
    settings = ServerSettings.from_env(
        {
            "TELEREAD_DATA": str(folder / "data"),
            "TELEREAD_PORT": str(ports["people"]),
            "TELEREAD_GATEWAY_PORT": str(ports["gateway"]),
        }
    )
    prepare(settings)
    engine = open_engine(settings)
    with transaction(engine) as session:
        facilities.add_facility(session, code="midori", name="Midori", actor=SYSTEM, at=clock.now())
        code = facilities.invite_gateway(
            session, facility_code="midori", name="box", settings=settings, actor=SYSTEM, at=clock.now()
        )
    engine.dispose()
    processes = []
    for listener, port in ports.items():
        log = folder / f"{listener}.log"
        with log.open("wb") as output:
            command = [sys.executable, "-m", "teleread.web.serve", "--listener", listener]
            processes.append(
                subprocess.Popen(
                    [*command, "--data", str(settings.data), "--port", str(port)],
                    stdout=output,
                    stderr=output,
                    env={
                        **os.environ,
                        "TELEREAD_GATEWAY_PORT": str(ports["gateway"]),
                        "TELEREAD_LOG_LEVEL": "DEBUG",
                    },
                )
            )
        _wait_for(f"https://127.0.0.1:{port}", processes[-1], log)
    made = Running(
        settings,
        f"https://127.0.0.1:{ports['people']}",
        f"https://127.0.0.1:{ports['gateway']}",
        folder,
    )
    try:
        csr, key = _csr("box")
        context = ssl.create_default_context(cafile=str(settings.ca_certificate))
        with httpx.Client(base_url=made.people, verify=context, trust_env=False, timeout=60) as people:
            assert people.get("/gateway/v1/ca.pem").text == settings.ca_certificate.read_text()
            body = {"code": code, "csr_pem": csr, "gateway_version": "test", "protocol": 1}
            answer = people.post("/gateway/v1/enrol", json=body)
            assert answer.status_code == 200, answer.text
            again = people.post("/gateway/v1/enrol", json=body)
            assert again.status_code == 403
        (folder / "client.pem").write_text(answer.json()["certificate_pem"])
        (folder / "client.key").write_bytes(key)
        yield made
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)


def _body(files: list[bytes], boundary: str = "b0undary", end: bytes | None = None) -> bytes:
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    parts = b"".join(head + file + b"\r\n" for file in files)
    return parts + (f"--{boundary}--\r\n".encode() if end is None else end)


HEADERS = {
    "Content-Type": 'multipart/related; type="application/dicom"; boundary=b0undary',
    "Accept": "application/dicom+json",
}


def _store(client: httpx.Client, files: list[bytes]) -> httpx.Response:
    return client.post("/dicom-web/studies", content=_body(files), headers=HEADERS)


def test_a_client_without_a_certificate_is_refused_in_the_handshake(running: Running) -> None:
    with running.client(certificate=None) as client, pytest.raises(httpx.HTTPError):
        client.get("/gateway/v1/packages")


def test_a_certificate_of_another_authority_is_refused(running: Running) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "midori/box")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(clock.now())
        .not_valid_after(clock.now().replace(year=clock.now().year + 1))
        .sign(key, hashes.SHA256())
    )
    (running.box / "forged.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (running.box / "forged.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    with running.client(certificate="forged") as client, pytest.raises(httpx.HTTPError):
        client.get("/gateway/v1/packages")


def test_stored_instances_are_receipted_by_the_digest_of_their_bytes(running: Running) -> None:
    files = [ct_file(STUDY, number, pseudonym="C36PV-4K2M7") for number in (1, 2)]
    with running.client() as client:
        first = _store(client, files)
        second = _store(client, files)
    assert first.status_code == 200, first.text
    told = {
        item["00081155"]["Value"][0]: (item["00091001"]["Value"][0], item["00091002"]["Value"][0])
        for item in first.json()["00081199"]["Value"]
    }
    assert told == {
        f"{STUDY}.1.{number}": (hashlib.sha256(file).hexdigest(), "STORED")
        for number, file in zip((1, 2), files, strict=True)
    }
    outcomes = {item["00091002"]["Value"][0] for item in second.json()["00081199"]["Value"]}
    assert outcomes == {"ALREADY_STORED"}


def test_other_bytes_under_a_known_uid_are_kept_and_said_to_conflict(running: Running) -> None:
    with running.client() as client:
        _store(client, [ct_file(STUDY, 5, pseudonym="C36PV-4K2M7")])
        answer = _store(client, [ct_file(STUDY, 5, pseudonym="C36PV-4K2M7", description="OTHER")])
    assert answer.status_code == 202
    (item,) = answer.json()["00081199"]["Value"]
    assert item["00091002"]["Value"] == ["CONFLICT"]


def test_a_file_that_still_names_a_patient_is_refused_and_not_kept(running: Running) -> None:
    with running.client() as client:
        answer = _store(client, [ct_file(STUDY, 9, pseudonym="YAMADA^TARO")])
    assert answer.status_code == 409
    (item,) = answer.json()["00081198"]["Value"]
    assert item["00091002"]["Value"] == ["REFUSED"]
    kept = b"".join(path.read_bytes() for path in running.settings.blobs.rglob("*") if path.is_file())
    assert b"YAMADA" not in kept


def test_what_is_not_dicom_is_refused_as_a_whole(running: Running) -> None:
    with running.client() as client:
        answer = _store(client, [b"hello"])
        assert answer.status_code == 400
        assert answer.json()["error"] == "not_dicom"
        wrong = client.post("/dicom-web/studies", content=b"x", headers={"Content-Type": "application/dicom"})
        assert wrong.status_code == 400
    assert not list((running.settings.blobs / "parts").glob("*"))


def test_a_body_that_ends_early_asks_to_be_sent_again(running: Running) -> None:
    file = ct_file(STUDY, 6, pseudonym="C36PV-4K2M7")
    with running.client() as client:
        answer = client.post("/dicom-web/studies", content=_body([file], end=b"")[:-100], headers=HEADERS)
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers


def test_manifest_status_packages_and_heartbeat_are_answered(running: Running) -> None:
    uid = "2.25.555"
    file = ct_file(uid, 1, pseudonym="C36PV-4K2M7")
    now = clock.now().isoformat()
    manifest = {
        "study_instance_uid": uid,
        "pseudonym": "C36PV-4K2M7",
        "sex": "F",
        "modalities": ["CT"],
        "study_date": "20261123",
        "study_time": "",
        "age": "067Y",
        "study_description": "CHEST",
        "accession": "",
        "revision": 1,
        "closed": True,
        "instances": [
            {
                "sop_instance_uid": f"{uid}.1.1",
                "series_instance_uid": f"{uid}.1",
                "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
                "sha256": hashlib.sha256(file).hexdigest(),
                "size": len(file),
            }
        ],
        "held": [],
        "first_received_at": now,
        "last_received_at": now,
        "evidence": "quiet",
        "protocol": 1,
    }
    with running.client() as client:
        before = client.put(f"/gateway/v1/studies/{uid}/manifest", json=manifest).json()
        assert [one["sop_instance_uid"] for one in before["missing"]] == [f"{uid}.1.1"]
        _store(client, [file])
        after = client.put(f"/gateway/v1/studies/{uid}/manifest", json=manifest).json()
        assert after["missing"] == []
        assert after["state"] == "complete"
        status = client.get(f"/gateway/v1/studies/{uid}").json()
        assert status["case_number"] == after["case_number"]
        assert status["display_status"] == "ready"
        assert client.get("/gateway/v1/studies/2.25.404").status_code == 404
        assert client.put("/gateway/v1/studies/2.25.1/manifest", json=manifest).status_code == 400
        assert client.put(f"/gateway/v1/studies/{uid}/manifest", content=b"{").status_code == 400
        assert client.get("/gateway/v1/packages").json() == {"packages": []}
        assert client.get("/gateway/v1/packages/none/pdf").status_code == 404
        beat = {
            "version": "1",
            "queue": 0,
            "held": 0,
            "disk_free_bytes": 1,
            "clock": now,
            "certificate_not_after": now,
            "protocol": 1,
        }
        assert "now" in client.post("/gateway/v1/heartbeat", json=beat).json()
        assert client.get("/worklist").status_code == 404


def test_a_doctor_s_word_at_the_box_reaches_the_centre(running: Running, tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "box")
    spool = Spool(layout_of(settings))
    context = ssl.create_default_context(cafile=str(running.settings.ca_certificate))
    context.load_cert_chain(running.box / "client.pem", running.box / "client.key")
    link, book = CentreLink(running.gateway, context), CriticalBook(spool)
    watch = CriticalWatch(spool, link, now=clock.now)
    study = clean_study("TR-7", 77, slices=1)
    coordinator = Actor(kind="user", name="coord", role="coordinator")
    with running.client() as client:
        _store(client, list(study.files))
    case_number = link.put_manifest(study.manifest()).case_number or ""
    engine = open_engine(running.settings)
    try:
        with transaction(engine) as session:
            critical_id = critical.raise_finding(
                session, case_number, "1", "出血", actor=coordinator, at=clock.now()
            )
        assert watch.work() == 1
        assert (book.open().unconfirmed, book.finding(critical_id).notice.pseudonym) == (1, study.pseudonym)
        with pytest.raises(TransitionNotAllowed):
            book.acknowledge(critical_id, handed_to="", person="例示 五郎", account="goro", at=clock.now())
        call = Told("例示 五郎", Method.PHONE, clock.now(), frozenset(READ_BACK))
        with transaction(engine) as session:
            critical.record_told(session, critical_id, call, actor=coordinator, at=clock.now())
        watch.work()
        book.acknowledge(critical_id, handed_to="", person="例示 五郎", account="goro", at=clock.now())
        assert AcknowledgementSender(settings, spool, link, now=clock.now).work() == 1
        watch.work()
        assert (book.open().unconfirmed, book.open().waiting) == (0, 0)
        with transaction(engine, writes=False) as session:
            (found,) = critical.of_case(session, case_number, actor=coordinator, at=clock.now())
    finally:
        engine.dispose()
        link.close()
        spool.close()
    assert (found.state, found.acknowledged_by) == ("acknowledged", "例示 五郎 (goro)")


def test_a_large_body_is_streamed_and_not_held_in_memory(running: Running) -> None:
    import psutil

    size = 64 * 1024 * 1024

    def body() -> Iterator[bytes]:
        yield b"--b0undary\r\nContent-Type: application/dicom\r\n\r\n" + bytes(128) + b"XXXX"
        for _ in range(size // (1 << 20)):
            yield bytes(1 << 20)
        yield b"\r\n--b0undary--\r\n"

    def memory() -> int:
        here = psutil.Process()
        found = [one for one in here.children(recursive=True) if "gateway" in " ".join(one.cmdline())]
        return sum(one.memory_info().rss for one in found)

    with running.client() as client:
        client.get("/gateway/v1/packages")
        before = memory()
        answer = client.post("/dicom-web/studies", content=body(), headers=HEADERS, timeout=60)
        assert answer.status_code == 400
        assert memory() - before < 24 * 1024 * 1024


def test_a_revoked_certificate_is_refused_at_the_next_request(running: Running) -> None:
    with running.client() as client:
        assert client.get("/gateway/v1/packages").status_code == 200
        engine = open_engine(running.settings)
        with transaction(engine) as session:
            facilities.revoke_gateway(
                session, facility_code="midori", name="box", actor=SYSTEM, at=clock.now()
            )
        engine.dispose()
        answer = client.get("/gateway/v1/packages")
    assert answer.status_code == 403
    assert answer.json()["error"] == "certificate_revoked"
