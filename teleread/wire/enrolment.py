"""How a new gateway and the centre come to trust each other, by one line that a person carries."""

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated

from teleread.errors import InvalidInput
from teleread.wire.message import PROTOCOL, Message, is_text

_CODE = re.compile(r"([0-9A-HJKMNP-TV-Z]{10})-([0-9a-f]{32})")
_PEM_LIMIT = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class OneTimeCode:
    """The line that the centre prints for a new gateway: a secret and the centre's CA fingerprint.

    The fingerprint is half of a SHA-256 (128 bits): the gateway takes the CA certificate from a line it
    cannot trust yet, and believes it only when the digests agree.
    """

    secret: str
    ca_fingerprint: str

    @classmethod
    def parse(cls, text: str) -> "OneTimeCode":
        """Return the parts of a code as typed; case and blanks do not matter."""
        head, _, tail = "".join(text.split()).partition("-")
        found = _CODE.fullmatch(f"{head.upper()}-{tail.lower()}")
        if found is None:
            raise InvalidInput("code", "this is not a one-time code")
        return cls(secret=found[1], ca_fingerprint=found[2])

    def __str__(self) -> str:
        return f"{self.secret}-{self.ca_fingerprint}"

    def names(self, ca_der: bytes) -> bool:
        """Tell whether the CA certificate (DER) is the one that the code names."""
        return ca_fingerprint(ca_der) == self.ca_fingerprint


def ca_fingerprint(ca_der: bytes) -> str:
    """Return the first 128 bits of the SHA-256 of a certificate's DER, in hexadecimal."""
    return hashlib.sha256(ca_der).hexdigest()[:32]


@dataclass(frozen=True, kw_only=True)
class EnrolmentRequest(Message):
    """A gateway asks for its certificate; the private key stays on the box."""

    code: Annotated[str, is_text(80)]
    csr_pem: Annotated[str, is_text(_PEM_LIMIT)]
    gateway_version: str
    protocol: int = PROTOCOL


@dataclass(frozen=True, kw_only=True)
class EnrolmentAnswer(Message):
    """The client certificate, whom to trust, and what the centre knows of the facility.

    `ca_pem` is the CA of the centre's TLS certificates, `signing_ca_pem` the one of readers' signatures.
    """

    certificate_pem: Annotated[str, is_text(_PEM_LIMIT)]
    ca_pem: Annotated[str, is_text(_PEM_LIMIT)]
    signing_ca_pem: Annotated[str, is_text(_PEM_LIMIT)]
    gateway_url: str
    facility_code: str
    facility_name: str
    gateway_name: str
    quiet_seconds: int
    protocol: int = PROTOCOL
