"""A small centre for tests: real HTTPS, real client certificates, everything kept in memory."""

import hashlib
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydicom import dcmread

from teleread.dicom.multipart import iter_parts
from teleread.wire.critical import CriticalAcknowledgement, CriticalNotice
from teleread.wire.enrolment import EnrolmentAnswer, EnrolmentRequest, OneTimeCode, ca_fingerprint
from teleread.wire.heartbeat import Heartbeat, HeartbeatAnswer
from teleread.wire.manifest import ManifestAnswer, MissingInstance, StudyManifest
from teleread.wire.packages import PackageList, ReportPackage
from teleread.wire.receipts import PackageEvent

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Authority:
    """A certificate authority for tests."""

    name: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        subject = _name(self.name)
        self.certificate = (
            _builder(subject, subject, self.key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .add_extension(_key_usage(ca=True), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def issue(self, name: str, public_key: Any, *, server: bool = False) -> str:
        """Return a certificate for a key, in PEM."""
        builder = (
            _builder(_name(name), self.certificate.subject, public_key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        if server:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
            )
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(subject: x509.Name, issuer: x509.Name, public_key: Any) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(BEGIN)
        .not_valid_after(BEGIN + timedelta(days=3650))
    )


def key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Return a private key in PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@dataclass
class FakeCentre:
    """What the centre has, and how it misbehaves.

    `failures` are answered before anything else, in order: a status, or None for a cut line.
    `refuse` maps a digest to the failure reason its instance gets; `unread` has the digests of parts whose
    UID it cannot read. `no_pdf` has the status that stands for a package's PDF. `broken_packages` stand in its list before the others. `manifest_answer` changes its
    answer to the manifest of the study that is the key. `findings` are critical ones that wait for a doctor's word, as JSON.
    """

    authority: Authority = field(default_factory=lambda: Authority("centre"))
    stored: dict[tuple[str, str], bytes] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    manifests: list[StudyManifest] = field(default_factory=list)
    packages: dict[str, tuple[ReportPackage, bytes]] = field(default_factory=dict)
    odd_outcome: str = ""
    no_pdf: dict[str, int] = field(default_factory=dict)
    broken_packages: list[Any] = field(default_factory=list)
    manifest_answer: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[str, PackageEvent]] = field(default_factory=list)
    findings: dict[str, Any] = field(default_factory=dict)
    acknowledgements: list[tuple[str, CriticalAcknowledgement]] = field(default_factory=list)
    beats: list[Heartbeat] = field(default_factory=list)
    failures: list[int | None] = field(default_factory=list)
    refuse: dict[str, int] = field(default_factory=dict)
    unread: set[str] = field(default_factory=set)
    whole_request_refused_for: set[str] = field(default_factory=set)
    lie_about_digests: bool = False
    codes: set[str] = field(default_factory=set)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def new_code(self) -> str:
        """Return a one-time code for a new gateway."""
        code = str(OneTimeCode(secret="0123456789", ca_fingerprint=ca_fingerprint(self.authority.der)))
        self.codes.add(code)
        return code

    def store(self, body: BytesIO, boundary: str) -> tuple[int, dict[str, Any]]:
        parts = [_whole(part) for part in iter_parts(body, boundary)]
        if any(hashlib.sha256(data).hexdigest() in self.whole_request_refused_for for data in parts):
            return 400, {"error": "invalid_input"}
        stored, failed = [], []
        for data in parts:
            digest = hashlib.sha256(data).hexdigest()
            ds = dcmread(BytesIO(data), stop_before_pixels=True)
            uid = str(ds.SOPInstanceUID)
            item = {
                "00081155": {"vr": "UI", "Value": [uid]},
                "00090010": {"vr": "LO", "Value": ["TELEREAD"]},
                "00091001": {"vr": "LO", "Value": ["f" * 64 if self.lie_about_digests else digest]},
            }
            if digest in self.unread:
                item["00081155"] = {"vr": "UI"}
            if digest in self.refuse:
                failed.append(item | {"00081197": {"vr": "US", "Value": [self.refuse[digest]]}})
                continue
            others = any(known == uid and other != digest for known, other in self.stored)
            outcome = "ALREADY_STORED" if (uid, digest) in self.stored else "CONFLICT" if others else "STORED"
            self.stored[uid, digest] = data
            self.counts[digest] = self.counts.get(digest, 0) + 1
            outcome = "WHATEVER" if digest == self.odd_outcome else outcome
            stored.append(item | {"00091002": {"vr": "CS", "Value": [outcome]}})
        document = {}
        if stored:
            document["00081199"] = {"vr": "SQ", "Value": stored}
        if failed:
            document["00081198"] = {"vr": "SQ", "Value": failed}
        return (200 if not failed else 202 if stored else 409), document

    def manifest(self, manifest: StudyManifest) -> ManifestAnswer:
        self.manifests.append(manifest)
        missing = tuple(
            MissingInstance(sop_instance_uid=one.sop_instance_uid, sha256=one.sha256)
            for one in manifest.instances
            if (one.sop_instance_uid, one.sha256) not in self.stored
        )
        state = "complete" if manifest.closed and not missing else "receiving"
        return ManifestAnswer(missing=missing, state=state, case_number="4MZ09D89")

    def event_names(self, package_id: str) -> list[str]:
        return [event.event for known, event in self.events if known == package_id]

    def enrol(self, request: EnrolmentRequest) -> EnrolmentAnswer | None:
        if request.code not in self.codes:
            return None
        self.codes.remove(request.code)
        csr = x509.load_pem_x509_csr(request.csr_pem.encode())
        assert csr.is_signature_valid
        return EnrolmentAnswer(
            certificate_pem=self.authority.issue("north", csr.public_key()),
            ca_pem=self.authority.pem,
            signing_ca_pem=self.authority.pem,
            gateway_url=self.url,
            facility_code="north",
            facility_name="北病院",
            gateway_name="box",
            quiet_seconds=30,
        )


def _whole(part: Any) -> bytes:
    pieces = []
    while piece := part.read(1 << 16):
        pieces.append(bytes(piece))
    return b"".join(pieces)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    centre: FakeCentre

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline().strip(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, status: int, content: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _json(self, document: Any, status: int = 200) -> None:
        self._answer(status, json.dumps(document).encode())

    def _serve(self) -> None:
        body = self._body()
        centre = self.centre
        connection = self.connection
        assert isinstance(connection, ssl.SSLSocket)
        known = connection.getpeercert() is not None
        with centre.lock:
            if centre.failures and not self.path.endswith(("ca.pem", "enrol")):
                status = centre.failures.pop(0)
                if status is None:
                    self.close_connection = True
                    connection.close()
                else:
                    self._json({"error": "unavailable"}, status)
                return
            if self.path == "/gateway/v1/ca.pem":
                self._answer(200, centre.authority.pem.encode(), "application/x-pem-file")
            elif self.path == "/gateway/v1/enrol":
                answer = centre.enrol(EnrolmentRequest.from_json(json.loads(body)))
                self._json(answer.to_json() if answer else {"error": "not_allowed"}, 200 if answer else 403)
            elif not known:
                self._json({"error": "not_allowed"}, 403)
            else:
                self._serve_gateway(centre, body)

    def _serve_gateway(self, centre: FakeCentre, body: bytes) -> None:
        step = self.path.strip("/").split("/")
        if self.path == "/dicom-web/studies":
            header = Message()
            header["Content-Type"] = self.headers["Content-Type"]
            boundary = header.get_param("boundary")
            assert header.get_content_type() == "multipart/related"
            assert header.get_param("type") == "application/dicom"
            status, document = centre.store(BytesIO(body), str(boundary))
            self._json(document, status)
        elif step[-1] == "manifest":
            answer = centre.manifest(StudyManifest.from_json(json.loads(body))).to_json()
            self._json(answer | centre.manifest_answer.get(step[-2], {}))
        elif step[-1] == "packages":
            waiting = tuple(package for package, _ in centre.packages.values())
            document = PackageList(packages=waiting).to_json()
            self._json({"packages": centre.broken_packages + document["packages"]})
        elif step[-1] == "pdf" and step[-2] in centre.no_pdf:
            self._json({"error": "trouble"}, centre.no_pdf[step[-2]])
        elif step[-1] == "pdf":
            self._answer(200, centre.packages[step[-2]][1], "application/pdf")
        elif step[-1] == "events":
            event = PackageEvent.from_json(json.loads(body))
            centre.events.append((step[-2], event))
            if event.event in {"delivered", "gave_up", "identity_doubt"}:
                centre.packages.pop(step[-2], None)
            self._json({})
        elif "critical" in step:
            self._serve_critical(centre, step, body)
        elif step[-1] == "heartbeat":
            centre.beats.append(Heartbeat.from_json(json.loads(body)))
            self._json(HeartbeatAnswer(now=datetime.now(UTC)).to_json())
        else:
            self._json({"error": "not_found"}, 404)

    def _serve_critical(self, centre: FakeCentre, step: list[str], body: bytes) -> None:
        if step[-1] == "critical":
            self._json({"findings": list(centre.findings.values())})
            return
        message = CriticalAcknowledgement.from_json(json.loads(body))
        notice = centre.findings.pop(step[-2], None)
        if notice is None:
            self._json({"error": "not_found"}, 404)
            return
        centre.acknowledgements.append((step[-2], message))
        self._json(CriticalNotice.from_json(notice | {"state": "acknowledged"}).to_json())

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the names that http.server calls


@contextmanager
def running(centre: FakeCentre, folder: Path, *, port: int = 0) -> Iterator[FakeCentre]:
    """Serve the centre on a free port of 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "server.pem").write_text(centre.authority.issue("127.0.0.1", key.public_key(), server=True))
    (folder / "server.key").write_text(key_pem(key))
    (folder / "ca.pem").write_text(centre.authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    context.load_verify_locations(folder / "ca.pem")
    # Optional, because this one listener is the people's and the gateways' in one.
    context.verify_mode = ssl.CERT_OPTIONAL
    handler = type("Handler", (_Handler,), {"centre": centre})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    centre.url = f"https://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield centre
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def client_context(centre: FakeCentre, folder: Path) -> ssl.SSLContext:
    """Return the TLS context of an enrolled gateway."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    (folder / "client.pem").write_text(centre.authority.issue("north", key.public_key()))
    (folder / "client.key").write_text(key_pem(key))
    context = ssl.create_default_context(cadata=centre.authority.pem)
    context.load_cert_chain(folder / "client.pem", folder / "client.key")
    return context
