"""The acceptor's half of the DICOM upper layer (PS3.8 Section 9.3): bytes from a socket, in order, within limits.

pynetdicom reads a whole PDU into memory, whatever length the peer announces, and hands it from thread to
thread by polling. Here one thread reads one connection through one buffer of fixed size: what an association
costs is known before it begins, and a long data set goes to the disk as it comes. Association requests and
their answers are still read and written by pynetdicom's PDU classes. See docs/adr/0012.
"""

import socket
import struct
import time
from dataclasses import dataclass
from enum import IntEnum


class PDUType(IntEnum):
    """PS3.8 Section 9.3.1."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    P_DATA_TF = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class AbortReason(IntEnum):
    """PS3.8 Table 9-26, of the service provider."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    INVALID_PARAMETER = 6


HEADER = struct.Struct(">BxL")
_PDV = struct.Struct(">LBB")

#: Bytes of an item's length, context and control header, PS3.8 Section 9.3.5.1 and Annex E.2.
PDV_HEADER_BYTES = _PDV.size

RELEASE_RP = HEADER.pack(PDUType.RELEASE_RP, 4) + bytes(4)

_BUFFER_BYTES = 256 * 1024


class Ended(Exception):  # noqa: N818 - it is no error of anybody's
    """The connection is gone, or the peer has aborted."""


class Violation(Exception):  # noqa: N818 - the word of the standard
    """The peer does not keep to the protocol or to our limits; the answer is an A-ABORT with `reason`."""

    def __init__(self, reason: AbortReason, what: str) -> None:
        super().__init__(what)
        self.reason = reason
        self.what = what


def abort(reason: AbortReason) -> bytes:
    """Return an A-ABORT PDU of the service provider (PS3.8 Section 9.3.8)."""
    return HEADER.pack(PDUType.ABORT, 4) + bytes([0, 0, 2, reason])


def reject(result: int, source: int, reason: int) -> bytes:
    """Return an A-ASSOCIATE-RJ PDU (PS3.8 Section 9.3.4)."""
    return HEADER.pack(PDUType.ASSOCIATE_RJ, 4) + bytes([0, result, source, reason])


@dataclass(frozen=True)
class Titles:
    """Who calls whom, from the fixed fields of an A-ASSOCIATE-RQ (PS3.8 Table 9-11)."""

    called: str
    calling: str

    @classmethod
    def of(cls, request: bytes | bytearray) -> "Titles":
        """Return the titles of a whole request of 74 bytes or more."""
        called, calling = request[10:26], request[26:42]
        return cls(*(part.decode("latin-1").strip(" \0") for part in (called, calling)))


@dataclass(frozen=True)
class PDV:
    """The header of a presentation data value; `size` is the number of its bytes that follow."""

    context_id: int
    is_command: bool
    is_last: bool
    size: int


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long a connection may be silent or slow, in seconds.

    A message that has begun may not pause for `pause_seconds`, and after `grace_seconds` it has to have come
    at `slowest_bytes_per_second` on average. Between messages a sender may be silent for `idle_seconds`.
    """

    idle_seconds: float = 300.0
    pause_seconds: float = 30.0
    grace_seconds: float = 30.0
    slowest_bytes_per_second: float = 1024.0


class Line:
    """One connection: what it brings, through a buffer of fixed size, and what is sent back in one write."""

    def __init__(self, connection: socket.socket, *, pdu_bytes: int, patience: Patience) -> None:
        self._socket = connection
        self._pdu_bytes = pdu_bytes
        self._patience = patience
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._at = self._end = 0
        self._received = 0
        self._began_at: float | None = None

    def send(self, data: bytes) -> None:
        """Send a whole PDU."""
        try:
            self._socket.sendall(data)
        except OSError as problem:
            raise Ended from problem

    def wait(self) -> None:
        """Wait for the first byte of what comes next, for as long as a sender may be silent."""
        self._began_at = None
        self._socket.settimeout(self._patience.idle_seconds)
        if self._at == self._end:
            self._fill()
        self._socket.settimeout(self._patience.pause_seconds)
        self._began_at = time.monotonic()
        self._received = 0

    def header(self) -> tuple[int, int]:
        """Return type and length of the next PDU."""
        kind, length = HEADER.unpack(self.exactly(HEADER.size))
        if not PDUType.ASSOCIATE_RQ <= kind <= PDUType.ABORT:
            raise Violation(AbortReason.UNRECOGNIZED_PDU, "no PDU of the standard")
        if length > self._pdu_bytes:
            raise Violation(AbortReason.INVALID_PARAMETER, "a PDU beyond the limit")
        return kind, length

    def pdv(self, rest: int) -> PDV:
        """Return the next item's header; `rest` is what the PDU has left."""
        if rest < PDV_HEADER_BYTES:
            raise Violation(AbortReason.INVALID_PARAMETER, "an item without its header")
        size, context_id, control = _PDV.unpack(self.exactly(PDV_HEADER_BYTES))
        if not 2 <= size <= rest - 4:
            raise Violation(AbortReason.INVALID_PARAMETER, "an item longer than its PDU")
        return PDV(context_id, bool(control & 1), bool(control & 2), size - 2)

    def exactly(self, count: int) -> bytes:
        """Return `count` bytes, of which there may be 64 KiB at most."""
        while self._end - self._at < count:
            if self._at:
                rest = self._end - self._at
                self._buffer[:rest] = bytes(self._buffer[self._at : self._end])
                self._at, self._end = 0, rest
            self._fill()
        found = bytes(self._buffer[self._at : self._at + count])
        self._at += count
        return found

    def some(self, most: int) -> memoryview:
        """Return between 1 and `most` bytes; they are good until the next call."""
        if self._at == self._end:
            self._fill()
        found = self._buffer[self._at : min(self._end, self._at + most)]
        self._at += len(found)
        return found

    def skip(self, count: int) -> None:
        """Read over bytes."""
        while count:
            count -= len(self.some(count))

    def _fill(self) -> None:
        if self._at == self._end:
            self._at = self._end = 0
        try:
            count = self._socket.recv_into(self._buffer[self._end :])
        except TimeoutError:
            raise Violation(AbortReason.NOT_SPECIFIED, "silent for too long") from None
        except OSError as problem:
            raise Ended from problem
        if not count:
            raise Ended
        self._end += count
        self._received += count
        if self._began_at is not None:
            took = time.monotonic() - self._began_at
            patience = self._patience
            if (
                took > patience.grace_seconds
                and self._received < (took - patience.grace_seconds) * patience.slowest_bytes_per_second
            ):
                raise Violation(AbortReason.NOT_SPECIFIED, "too slow")
