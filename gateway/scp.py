"""The DICOM listener: C-ECHO and C-STORE for the facility's known senders.

The guard lets known senders in; each then has a thread that reads its connection. Nothing is decoded on the way
in: each piece of the data set goes into the spool's `.part` file as it arrives; the answer 0x0000 is given when
`Spool.accept()` has returned.
"""

import json
import logging
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from pydicom.uid import UID
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext, build_context, negotiate_unrestricted

from gateway.dimse import C_CANCEL_RQ, C_ECHO_RQ, C_STORE_RQ, Command, NoCommand, answer
from gateway.guard import Guard, Limits, Refusal
from gateway.settings import GatewaySettings
from gateway.spool import Arrival, PartFile, Spool
from gateway.upper_layer import (
    PDV,
    PDV_HEADER_BYTES,
    RELEASE_RP,
    AbortReason,
    Ended,
    Line,
    Patience,
    PDUType,
    Titles,
    Violation,
    abort,
    reject,
)
from teleread.dicom.deid.deidentify import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from teleread.dicom.raw import encode_meta
from teleread.errors import OutOfSpace

_log = logging.getLogger(__name__)

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700  # PS3.4 Table B.2-1, Refused: Out of Resources
CANNOT_UNDERSTAND = 0xC000  # PS3.4 Table B.2-1, Error: Cannot understand
PROCESSING_FAILURE = 0x0110  # PS3.7 Section C.5.7
INVALID_SOP_INSTANCE = 0x0117  # PS3.7 Section C.5.9
SOP_CLASS_NOT_SUPPORTED = 0x0122  # PS3.7 Section C.5.6
UNRECOGNIZED_OPERATION = 0x0211  # PS3.7 Section C.5.20

#: What the people at the sender read beside the status (0000,0902).
COMMENTS = {
    OUT_OF_RESOURCES: "the disk of the gateway is full; send again later",
    CANNOT_UNDERSTAND: "there is no data set",
    PROCESSING_FAILURE: "the gateway cannot write; send again later",
    INVALID_SOP_INSTANCE: "the SOP Instance UID is missing or too long",
    SOP_CLASS_NOT_SUPPORTED: "only storage classes are stored",
    UNRECOGNIZED_OPERATION: "only C-STORE and C-ECHO are answered",
}

# PS3.8 Table 9-21: result, source and reason. 1, 1: rejected permanent by the service user; 2, 3, 2: rejected
# transient by the presentation-related service provider, local limit exceeded.
REJECTIONS: dict[str, tuple[int, int, int]] = {
    "called_ae_not_known": (0x01, 0x01, 0x07),
    "calling_ae_not_known": (0x01, 0x01, 0x03),
    "address_not_known": (0x01, 0x01, 0x03),
    "too_many_associations": (0x02, 0x03, 0x02),
    "too_many_associations_of_sender": (0x02, 0x03, 0x02),
}

_VERIFICATION = "1.2.840.10008.1.1"
_APPLICATION_CONTEXT = UID("1.2.840.10008.3.1.1.1")  # PS3.7 Annex A.2.1
_MAXIMUM_LENGTH = 128 * 1024
_LONGEST_COMMAND_SET = 16 * 1024
_LONGEST_UID = 64
_GOODBYE_SECONDS = 5.0
_GOODBYE_BYTES = 2**20
_END_SECONDS = 10.0


class AuditLog:
    """One JSON line an event; what a stranger sent is kept printable and short.

    Of events that a stranger can make at will, a few an address and minute are written and the rest counted:
    nobody fills the disk with refusals.
    """

    LINES_A_MINUTE = 5
    ADDRESSES = 64

    def __init__(self, path: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._monotonic = monotonic
        self._minute = monotonic()
        self._counts: dict[tuple[str, str], int] = {}

    def write(self, act: str, at: datetime, **details: str) -> None:
        """Append a line."""
        line = {"at": at.isoformat(), "act": act}
        line |= {key: ascii(value)[1:-1][:64] for key, value in details.items()}
        try:
            with self._lock, self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as problem:
            _log.error("audit line not written: %s", problem.strerror)

    def write_sparingly(self, act: str, at: datetime, *, address: str, **details: str) -> None:
        """Append a line, unless there were enough of this act and address in this minute."""
        self.sum_up(at)
        with self._lock:
            # Above so many addresses they share one count, or a stranger with many would have many lines.
            is_counted = (act, address) in self._counts or len(self._counts) < self.ADDRESSES
            counted = (act, address if is_counted else "others")
            self._counts[counted] = self._counts.get(counted, 0) + 1
            enough = self._counts[counted] > self.LINES_A_MINUTE
        if not enough:
            self.write(act, at, address=address, **details)

    def sum_up(self, at: datetime, *, now: bool = False) -> None:
        """After a minute, or `now`, say how many lines were left out, and begin to count anew."""
        with self._lock:
            if not now and self._monotonic() - self._minute < 60:
                return
            self._minute = self._monotonic()
            counts, self._counts = self._counts, {}
        for (act, address), count in counts.items():
            if count > self.LINES_A_MINUTE:
                self.write(f"{act}_again", at, address=address, times=str(count - self.LINES_A_MINUTE))


def rejection(settings: GatewaySettings, *, called: str, calling: str, address: str) -> str | None:
    """Return why an association is refused (a key of REJECTIONS), or None for a known sender."""
    if called.strip() != settings.ae_title:
        return "called_ae_not_known"
    senders = [sender for sender in settings.known_senders if sender.ae_title == calling.strip()]
    if not senders:
        return "calling_ae_not_known"
    if address not in {sender.address for sender in senders}:
        return "address_not_known"
    return None


@dataclass(frozen=True)
class Context:
    """An accepted presentation context."""

    abstract_syntax: str
    transfer_syntax: str


def negotiate(request: bytes) -> tuple[dict[int, Context], bytes]:
    """Return the accepted presentation contexts and the A-ASSOCIATE-AC PDU for an A-ASSOCIATE-RQ.

    Any storage class, private and future ones too, in the transfer syntax that the sender prefers: it is not
    ours to lose an object because its class is new.
    """
    pdu = A_ASSOCIATE_RQ()
    pdu.decode(request)
    wanted = pdu.to_primitive()
    roles = {
        cast("UID", item.sop_class_uid): (item.scu_role, item.scp_role)
        for item in wanted.user_information
        if isinstance(item, SCP_SCU_RoleSelectionNegotiation)
    }
    results, agreed_roles = negotiate_unrestricted(
        wanted.presentation_context_definition_list,
        [build_context(_VERIFICATION)],
        cast("Any", roles),
    )
    accept = A_ASSOCIATE()
    accept.application_context_name = _APPLICATION_CONTEXT
    accept.calling_ae_title = wanted.calling_ae_title
    accept.called_ae_title = wanted.called_ae_title
    accept.result = 0x00
    accept.result_source = 0x01
    accept.presentation_context_definition_results_list = results
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    version = ImplementationVersionNameNotification()
    length.maximum_length_received = _MAXIMUM_LENGTH
    implementation.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    accept.user_information = [length, implementation, version, *agreed_roles]
    answering = A_ASSOCIATE_AC()
    answering.from_primitive(accept)
    return {
        cast("int", one.context_id): _context(one) for one in results if one.result == 0
    }, answering.encode()


def _context(agreed: PresentationContext) -> Context:
    return Context(str(agreed.abstract_syntax), str(agreed.transfer_syntax[0]))


class StorageSCP:
    """The gateway's application entity. `port` is the one that was bound (the setting may be 0)."""

    def __init__(
        self,
        settings: GatewaySettings,
        spool: Spool,
        *,
        now: Callable[[], datetime],
        limits: Limits | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.spool = spool
        self.now = now
        self.limits = limits or Limits()
        self.patience = patience or Patience(idle_seconds=settings.idle_seconds)
        self._settings = settings
        self._audit = AuditLog(spool.layout.logs / "audit.log")
        self._open: set[_Association] = set()
        self._lock = threading.Lock()
        self._guard = Guard(
            (settings.bind_address, settings.port),
            limits=self.limits,
            sender_addresses=frozenset(sender.address for sender in settings.known_senders),
            judge=self._judge,
            admit=self._admit,
            refused=self._on_refusal,
        )
        self.port = self._guard.port

    def close(self) -> None:
        """Stop listening and end the open associations; an instance that has come whole is still answered."""
        self._guard.close()
        with self._lock:
            ending = list(self._open)
        for association in ending:
            association.end()
        for association in ending:
            association.thread.join(_END_SECONDS)
        self._audit.sum_up(self.now(), now=True)

    def _judge(self, titles: Titles, address: str) -> Refusal | None:
        reason = rejection(
            self._settings, called=titles.called, calling=titles.calling, address=address
        ) or self._full(address)
        return None if reason is None else Refusal(reason, reject(*REJECTIONS[reason]))

    def _full(self, address: str) -> str | None:
        with self._lock:
            if len(self._open) >= self._settings.maximum_associations:
                return "too_many_associations"
            same = sum(association.address == address for association in self._open)
        if same >= self._settings.maximum_associations_of_sender:
            return "too_many_associations_of_sender"
        return None

    def _admit(self, connection: socket.socket, address: str, titles: Titles, request: bytes) -> None:
        association = _Association(self, connection, address, titles, request)
        with self._lock:
            self._open.add(association)
        try:
            association.thread.start()
        except RuntimeError:
            # The system has no thread left; the sender tries again.
            self.leave(association)
            connection.close()
            _log.error("an association was dropped: no thread")

    def leave(self, association: "_Association") -> None:
        """Give the association's place to others."""
        with self._lock:
            self._open.discard(association)

    def _on_refusal(self, refusal: Refusal, address: str, titles: Titles | None) -> None:
        named = {} if titles is None else {"called": titles.called, "calling": titles.calling}
        self._audit.write_sparingly(
            "association_rejected", self.now(), address=address, reason=refusal.reason, **named
        )

    def note_violation(self, address: str, titles: Titles, what: str) -> None:
        """Write down that an association was cut off, and why."""
        self._audit.write_sparingly(
            "association_aborted", self.now(), address=address, reason=what, calling=titles.calling
        )


@dataclass
class _Message:
    """A request while its data set arrives; the bytes of one that is not stored are read over."""

    context_id: int
    command: Command
    status: int
    part: PartFile | None = None


class _Association:
    """One sender's association, from its request to its end, in a thread of its own."""

    def __init__(
        self, scp: StorageSCP, connection: socket.socket, address: str, titles: Titles, request: bytes
    ) -> None:
        self.address = address
        self._scp = scp
        self._titles = titles
        self._connection = connection
        self._request = request
        self._line = Line(connection, pdu_bytes=scp.limits.pdu_bytes, patience=scp.patience)
        self._contexts: dict[int, Context] = {}
        self._command = bytearray()
        self._message: _Message | None = None
        self._number: int | None = None
        self._ending = False
        self.thread = threading.Thread(target=self._run, name="association", daemon=True)

    def end(self) -> None:
        """Have the thread end the association, after the answer that is due."""
        self._ending = True
        try:
            self._connection.shutdown(socket.SHUT_RD)
        except OSError:
            return

    def _run(self) -> None:
        try:
            self._serve()
        except Ended:
            if self._ending:
                self._say_last(abort(AbortReason.NOT_SPECIFIED))
        except Violation as violation:
            self._scp.note_violation(self.address, self._titles, violation.what)
            self._say_last(abort(violation.reason))
        except Exception as problem:  # noqa: BLE001 - the outer loop of a thread
            # The kind of the error; its text may quote what was sent.
            _log.error("association ended by %s", type(problem).__name__)
            self._say_last(abort(AbortReason.NOT_SPECIFIED))
        finally:
            self._close()

    def _say_last(self, pdu: bytes) -> None:
        try:
            self._line.send(pdu)
        except Ended:
            return

    def _close(self) -> None:
        if self._message is not None and self._message.part is not None:
            self._message.part.close()
        self._scp.leave(self)
        if self._number is not None:
            try:
                self._scp.spool.closed(self._number, at=self._scp.now())
            except (OutOfSpace, OSError, sqlite3.Error) as problem:
                # Recovery closes it at the next start.
                _log.error("the end of an association was not noted: %s", type(problem).__name__)
        self._linger()

    def _linger(self) -> None:
        # PS3.8 Table 9-10, Sta13: the peer closes. Closing first could take back what it has not read yet.
        # One that sends on and on has no such claim.
        deadline = time.monotonic() + _GOODBYE_SECONDS
        heard = 0
        try:
            self._connection.shutdown(socket.SHUT_WR)
            self._connection.settimeout(_GOODBYE_SECONDS)
            while heard < _GOODBYE_BYTES and time.monotonic() < deadline:
                more = len(self._connection.recv(65536))
                if not more:
                    return
                heard += more
        except OSError:
            return
        finally:
            self._connection.close()

    def _serve(self) -> None:
        self._accept()
        while True:
            if self._message is None and not self._command:
                self._line.wait()
            kind, length = self._line.header()
            if kind == PDUType.P_DATA_TF:
                self._read_data(length)
            elif kind == PDUType.RELEASE_RQ:
                self._line.skip(length)
                self._line.send(RELEASE_RP)
                return
            elif kind == PDUType.ABORT:
                return
            else:
                raise Violation(AbortReason.UNEXPECTED_PDU, "a PDU that is not due")

    def _accept(self) -> None:
        try:
            self._contexts, accepting = negotiate(self._request)
        except Exception as problem:
            # pynetdicom raises whatever its decoding met; the kind is all that may be said.
            what = f"a request that cannot be read ({type(problem).__name__})"
            raise Violation(AbortReason.INVALID_PARAMETER, what) from problem
        self._request = b""
        self._line.send(accepting)

    def _read_data(self, rest: int) -> None:
        while rest:
            pdv = self._line.pdv(rest)
            rest -= PDV_HEADER_BYTES + pdv.size
            if pdv.context_id not in self._contexts:
                raise Violation(AbortReason.INVALID_PARAMETER, "a presentation context that was not accepted")
            if pdv.is_command:
                self._read_command(pdv)
            else:
                self._read_data_set(pdv)

    def _read_command(self, pdv: PDV) -> None:
        if self._message is not None or len(self._command) + pdv.size > _LONGEST_COMMAND_SET:
            raise Violation(AbortReason.INVALID_PARAMETER, "a command that is not due or too long")
        self._command += self._line.exactly(pdv.size)
        if not pdv.is_last:
            return
        try:
            command = Command.decode(self._command)
        except NoCommand as problem:
            raise Violation(AbortReason.INVALID_PARAMETER, "no command set") from problem
        self._command.clear()
        message = self._begin(pdv.context_id, command)
        if command.has_data_set:
            self._message = message
        else:
            self._finish(message)

    def _begin(self, context_id: int, command: Command) -> _Message:
        context = self._contexts[context_id]
        if command.field == C_ECHO_RQ:
            return _Message(context_id, command, SUCCESS)
        if command.field != C_STORE_RQ:
            return _Message(context_id, command, UNRECOGNIZED_OPERATION)
        if context.abstract_syntax == _VERIFICATION:
            return _Message(context_id, command, SOP_CLASS_NOT_SUPPORTED)
        if not 0 < len(command.sop_instance_uid) <= _LONGEST_UID or len(command.sop_class_uid) > _LONGEST_UID:
            return _Message(context_id, command, INVALID_SOP_INSTANCE)
        if not command.has_data_set:
            return _Message(context_id, command, CANNOT_UNDERSTAND)
        part = self._scp.spool.part()
        part.write(file_head(command, context.transfer_syntax))
        return _Message(context_id, command, SUCCESS, part)

    def _read_data_set(self, pdv: PDV) -> None:
        message = self._message
        if message is None or message.context_id != pdv.context_id:
            raise Violation(AbortReason.INVALID_PARAMETER, "a data set that no command announced")
        rest = pdv.size
        if message.part is None:
            self._line.skip(rest)
        else:
            while rest:
                piece = self._line.some(rest)
                message.part.write(piece)
                rest -= len(piece)
        if pdv.is_last:
            self._message = None
            self._finish(message)

    def _finish(self, message: _Message) -> None:
        if message.command.field == C_CANCEL_RQ:
            return
        status = message.status if message.part is None else self._store(message, message.part)
        self._line.send(answer(message.context_id, message.command, status, COMMENTS.get(status, "")))

    def _store(self, message: _Message, part: PartFile) -> int:
        spool, at = self._scp.spool, self._scp.now()
        try:
            if self._number is None:
                self._number = spool.opened(self._titles.calling, self.address, at=at)
            arrival = Arrival(
                sop_instance_uid=message.command.sop_instance_uid,
                sop_class_uid=message.command.sop_class_uid,
                transfer_syntax_uid=self._contexts[message.context_id].transfer_syntax,
                association_id=self._number,
            )
            spool.accept(part, arrival, at=at)
        except OutOfSpace:
            _log.error("C-STORE refused with 0xA700: the disk is full")
            return OUT_OF_RESOURCES
        except (OSError, sqlite3.Error) as problem:
            _log.error("C-STORE answered with 0x0110: %s", type(problem).__name__)
            return PROCESSING_FAILURE
        finally:
            part.close()
        return SUCCESS


def file_head(command: Command, transfer_syntax: str) -> bytes:
    """Return preamble and file meta information (PS3.10 Section 7.1) for a data set that arrives by C-STORE.

    It depends on nothing but the three UIDs: the same data set has the same digest whenever it comes.
    """
    return encode_meta(
        [
            (0x00020001, "OB", b"\x00\x01"),
            (0x00020002, "UI", command.sop_class_uid.encode("latin-1")),
            (0x00020003, "UI", command.sop_instance_uid.encode("latin-1")),
            (0x00020010, "UI", transfer_syntax.encode("latin-1")),
            (0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode("ascii")),
            (0x00020013, "SH", IMPLEMENTATION_VERSION_NAME.encode("ascii")),
        ]
    )


def set_no_delay(association: Any) -> None:
    """Turn Nagle's algorithm off for an association of pynetdicom's, as the one to the facility's PACS.

    A request is two small writes; without this the second waits for the peer's delayed acknowledgement,
    about 40 ms an instance.
    """
    connection = association.dul.socket.socket
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
