"""A sender that keeps to the protocol only as far as a test wants it to: PDUs by hand (PS3.8 Section 9.3)."""

import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
EXPLICIT = "1.2.840.10008.1.2.1"

ABORT, REJECT, ACCEPT, RELEASED = 7, 3, 2, 6


def pdu(kind: int, body: bytes) -> bytes:
    """Return a PDU with its true length."""
    return struct.pack(">BxL", kind, len(body)) + body


def item(kind: int, body: bytes) -> bytes:
    """Return an item or sub-item."""
    return struct.pack(">BxH", kind, len(body)) + body


def request(
    *,
    calling: str | bytes = "PACS",
    called: str | bytes = "TELEREAD",
    contexts: Iterable[tuple[str, str]] = ((CT, EXPLICIT), (VERIFICATION, EXPLICIT)),
) -> bytes:
    """Return an A-ASSOCIATE-RQ; the contexts get the numbers 1, 3, 5, …"""

    def title(text: str | bytes) -> bytes:
        return (text if isinstance(text, bytes) else text.encode("latin-1")).ljust(16)[:16]

    body = struct.pack(">HH", 1, 0) + title(called) + title(calling) + bytes(32)
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    for number, (abstract, transfer) in enumerate(contexts):
        inside = item(0x30, abstract.encode()) + item(0x40, transfer.encode())
        body += item(0x20, bytes([2 * number + 1, 0, 0, 0]) + inside)
    return pdu(1, body + item(0x50, item(0x51, struct.pack(">L", 0)) + item(0x52, b"1.2.3")))


def element(number: int, value: bytes) -> bytes:
    """Return an element of a command set."""
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HHL", 0, number, len(value)) + value


def store_request(
    *,
    uid: str | bytes = "1.2.3.4",
    sop_class: str = CT,
    field: int = 1,
    data_set: int = 1,
    message_id: int = 7,
) -> bytes:
    """Return the command set of a C-STORE-RQ, or of another request by its command field."""
    uid = uid if isinstance(uid, bytes) else uid.encode("latin-1")
    body = element(0x0002, sop_class.encode()) + element(0x0100, struct.pack("<H", field))
    body += element(0x0110, struct.pack("<H", message_id)) + element(0x0700, b"\0\0")
    body += element(0x0800, struct.pack("<H", data_set)) + element(0x1000, uid)
    return element(0x0000, struct.pack("<L", len(body))) + body


def pdv(data: bytes, *, command: bool, last: bool, context: int = 1) -> bytes:
    """Return a presentation data value item."""
    return struct.pack(">LBB", len(data) + 2, context, command + 2 * last) + data


def store(data_set: bytes, *, uid: str | bytes = "1.2.3.4", context: int = 1) -> bytes:
    """Return a whole C-STORE request: one PDU for the command, one for the data set."""
    command = pdu(4, pdv(store_request(uid=uid), command=True, last=True, context=context))
    return command + pdu(4, pdv(data_set, command=False, last=True, context=context))


def status_of(answer: bytes) -> int:
    """Return the status of a response's P-DATA-TF body."""
    at = 6
    while at < len(answer):
        _, number, length = struct.unpack_from("<HHL", answer, at)
        if number == 0x0900:
            return int(struct.unpack_from("<H", answer, at + 8)[0])
        at += 8 + length
    raise AssertionError("an answer without a status")


class Sender:
    """A connection to the gateway."""

    def __init__(self, port: int, *, source: str = "127.0.0.1", seconds: float = 20.0) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), seconds, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def read(self, count: int) -> bytes:
        """Return so many bytes, fewer when the other side has closed."""
        found = b""
        while len(found) < count:
            try:
                more = self.socket.recv(count - len(found))
            except ConnectionError:
                more = b""
            if not more:
                break
            found += more
        return found

    def answer(self) -> tuple[int, bytes]:
        """Return type and body of the next PDU; type 0 when the other side has closed."""
        head = self.read(6)
        if len(head) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxL", head)
        return kind, self.read(length)

    def is_closed(self) -> bool:
        """Wait until the other side closes; false when it sends something or the time is over."""
        try:
            return self.read(1) == b""
        except TimeoutError:
            return False

    def associate(self, **changes: object) -> Self:
        """Open an association."""
        self.send(request(**changes))  # type: ignore[arg-type]
        assert self.answer()[0] == ACCEPT
        return self

    def store(self, data_set: bytes, *, uid: str | bytes = "1.2.3.4", context: int = 1) -> int:
        """Send an instance and return the status."""
        self.send(store(data_set, uid=uid, context=context))
        kind, body = self.answer()
        assert kind == 4
        return status_of(body)

    def echo(self) -> int:
        """Verify, and return the status."""
        command = store_request(field=0x30, sop_class=VERIFICATION, data_set=0x0101)
        self.send(pdu(4, pdv(command, command=True, last=True, context=3)))
        return status_of(self.answer()[1])


@contextmanager
def senders(port: int, count: int, *, source: str) -> Iterator[list[Sender]]:
    """Open connections that say nothing."""
    opened = [Sender(port, source=source) for _ in range(count)]
    try:
        yield opened
    finally:
        for one in opened:
            one.socket.close()
