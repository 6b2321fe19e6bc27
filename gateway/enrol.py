"""Enrolment: a code that a person carries, a key that never leaves the box, a certificate in return."""

import ssl
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.durable import write_file
from gateway.keys import GatewayKeys
from gateway.layout import Layout
from gateway.seal import Seal
from gateway.settings import GatewaySettings, KnownSender, PACSTarget
from teleread import __version__
from teleread.errors import InvalidInput, NotAllowed, Unavailable
from teleread.wire.enrolment import EnrolmentAnswer, EnrolmentRequest, OneTimeCode

_TIMEOUT = 30.0


@dataclass(frozen=True, kw_only=True)
class Choices:
    """What the facility decides at enrolment; the file `gateway.toml` has them afterwards."""

    ae_title: str = "TELEREAD"
    port: int = 11112
    known_senders: tuple[KnownSender, ...] = ()
    pacs: tuple[PACSTarget, ...] = ()
    deliver_folder: Path | None = None
    quiet_seconds: float | None = None
    console_address: str = "127.0.0.1"
    console_port: int = 0


def enrol(url: str, code_text: str, data: Path, choices: Choices, *, at: datetime) -> GatewaySettings:
    """Enrol this box at the centre and write its keys and settings.

    The centre's CA certificate comes over a line that nobody vouches for yet, so it is believed only when it
    has the fingerprint in the code; the secret half of the code goes out after that.

    Raises
    ------
    InvalidInput
        The code is not one, or the centre is not the one that the code names.
    NotAllowed
        The centre does not take the code: used, expired or mistyped.
    Unavailable
        Nobody answers at the address.
    """
    code = OneTimeCode.parse(code_text)
    url = url.rstrip("/")
    if not url.startswith("https://"):
        raise InvalidInput("url", "only https goes out of the facility")
    layout = Layout(data.absolute())
    layout.make()
    ca_pem = _fetch_ca(url, code)
    key = ec.generate_private_key(ec.SECP256R1())
    answer = _ask(url, code, ca_pem, _csr(key))
    # Kept from here on, settings last: without them the box counts as not enrolled.
    GatewayKeys.make(layout)
    if not (layout.keys / "seal.crt").exists():
        Seal.make(answer.facility_name, answer.facility_code, at=at).save(layout.keys)
    write_file(
        layout.keys / "client.key",
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    )
    write_file(layout.keys / "client.pem", answer.certificate_pem.encode("ascii"))
    write_file(layout.keys / "centre-ca.pem", ca_pem.encode("ascii"))
    write_file(layout.keys / "signing-ca.pem", answer.signing_ca_pem.encode("ascii"))
    settings = GatewaySettings(
        data=layout.data,
        ae_title=choices.ae_title,
        port=choices.port,
        known_senders=choices.known_senders,
        pacs=choices.pacs,
        deliver_folder=(choices.deliver_folder or layout.data / "delivered").absolute(),
        centre_url=url,
        gateway_url=answer.gateway_url,
        facility_code=answer.facility_code,
        facility_name=answer.facility_name,
        gateway_name=answer.gateway_name,
        console_address=choices.console_address,
        console_port=choices.console_port,
        quiet_seconds=float(choices.quiet_seconds or answer.quiet_seconds),
    )
    settings.write()
    return settings


def _fetch_ca(url: str, code: OneTimeCode) -> str:
    unverified = ssl.create_default_context()
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    with httpx.Client(verify=unverified, timeout=_TIMEOUT, trust_env=False) as client:
        try:
            response = client.get(f"{url}/gateway/v1/ca.pem")
        except httpx.HTTPError as problem:
            raise Unavailable(f"nobody answers at the address: {type(problem).__name__}") from None
    try:
        certificate = x509.load_pem_x509_certificate(response.content)
    except ValueError:
        raise InvalidInput("url", "this is no teleread centre") from None
    if not code.names(certificate.public_bytes(serialization.Encoding.DER)):
        raise InvalidInput("code", "the centre at this address is not the one that the code names")
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _csr(key: ec.EllipticCurvePrivateKey) -> str:
    # The name is the centre's to give; what counts in the request is the key.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "teleread gateway")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM).decode("ascii")


def _ask(url: str, code: OneTimeCode, ca_pem: str, csr_pem: str) -> EnrolmentAnswer:
    request = EnrolmentRequest(code=str(code), csr_pem=csr_pem, gateway_version=__version__)
    context = ssl.create_default_context(cadata=ca_pem)
    with httpx.Client(verify=context, timeout=_TIMEOUT, trust_env=False) as client:
        try:
            response = client.post(f"{url}/gateway/v1/enrol", json=request.to_json())
        except httpx.HTTPError as problem:
            raise Unavailable(f"the centre did not answer: {type(problem).__name__}") from None
    if 400 <= response.status_code < 500:
        raise NotAllowed("the centre does not take this code; ask for a new one")
    if response.status_code != 200:
        raise Unavailable(f"the centre answered {response.status_code}")
    return EnrolmentAnswer.from_json(response.json())
