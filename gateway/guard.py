"""The guard in front of the DICOM listener.

A connection costs a descriptor and a few bytes until its whole A-ASSOCIATE-RQ has come, within a deadline
and a limit of length; one thread watches all of them. Only then are the callers' names looked at, and only a
known sender gets a thread. So nobody who is silent, slow or unknown can take a place from those who send.
"""

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.upper_layer import HEADER, AbortReason, PDUType, Titles, abort

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the guard allows.

    Attributes
    ----------
    first_bytes_seconds, request_seconds : float
        Deadlines, from the connection on, for the first six bytes and for a whole A-ASSOCIATE-RQ.
    goodbye_seconds : float
        How long a refused peer may take to read its refusal and to close.
    request_bytes : int
        Longest A-ASSOCIATE-RQ. 128 presentation contexts with 40 transfer syntaxes each take 250 KiB.
    pdu_bytes : int
        Longest PDU of an association, and never in memory as a whole.
    waiting : int
        Connections without an association, all together.
    waiting_bytes : int
        What has come of their requests, all together.
    waiting_of_sender, waiting_of_stranger : int
        The same for an address that a known sender has, and for any other.
    """

    first_bytes_seconds: float = 5.0
    request_seconds: float = 10.0
    goodbye_seconds: float = 2.0
    request_bytes: int = 256 * 1024
    pdu_bytes: int = 16 * 2**20
    waiting: int = 256
    waiting_bytes: int = 4 * 2**20
    waiting_of_sender: int = 32
    waiting_of_stranger: int = 8


#: Bytes of an A-ASSOCIATE-RQ up to its variable items (PS3.8 Table 9-11).
_FIXED_BYTES = 74
_MOST_AT_ONCE = 64
_TICK_SECONDS = 0.5
_NO_DESCRIPTORS_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Refusal:
    """Why a connection gets no association: the reason for the record, and the PDU to send, if any."""

    reason: str
    pdu: bytes = b""


@dataclass(eq=False)
class _Caller:
    """A connection without an association."""

    connection: socket.socket
    address: str
    is_sender: bool
    since: float
    deadline: float
    request: bytearray = field(default_factory=bytearray)
    wanted: int = HEADER.size
    leaving: bool = False


class Guard:
    """Listens, holds every caller until its request is whole, and lets in or refuses.

    Parameters
    ----------
    address : tuple of str and int
        Where to listen; an IPv4 or IPv6 address and a port, 0 for any.
    sender_addresses : frozenset of str
        The addresses of known senders. They have more room, and nobody else's silence takes it from them.
    judge : callable
        Gets titles and address, returns a Refusal or None. Called in the guard's thread.
    admit : callable
        Gets the connection (blocking, nothing read beyond the request), address, titles and request, and
        owns the connection from then on.
    refused : callable
        Gets a refusal, the address and the titles (None before they are known), for the record.
    """

    def __init__(
        self,
        address: tuple[str, int],
        *,
        limits: Limits,
        sender_addresses: frozenset[str],
        judge: Callable[[Titles, str], Refusal | None],
        admit: Callable[[socket.socket, str, Titles, bytes], None],
        refused: Callable[[Refusal, str, Titles | None], None],
    ) -> None:
        self._limits = limits
        self._sender_addresses = sender_addresses
        self._judge = judge
        self._admit = admit
        self._refused = refused
        self._callers: set[_Caller] = set()
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._listener = socket.create_server(
            address, family=family, backlog=256, dualstack_ipv6=address[0] == "::"
        )
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._deaf_until = 0.0
        self._ending, self._end = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._ending, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="guard", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening and drop whoever waits."""
        if not self._thread.is_alive():
            return
        self._end.send(b"\0")
        self._thread.join()
        for caller in list(self._callers):
            self._drop(caller)
        self._selector.close()
        for one in (self._listener, self._ending, self._end):
            one.close()

    def _run(self) -> None:
        while True:
            try:
                if not self._turn():
                    return
            except Exception as problem:  # noqa: BLE001 - the outer loop of a daemon
                _log.error("guard: %s", type(problem).__name__)
                time.sleep(_TICK_SECONDS)

    def _turn(self) -> bool:
        for key, _ in self._selector.select(_TICK_SECONDS):
            if key.fileobj is self._ending:
                return False
            if key.fileobj is self._listener:
                self._accept()
            else:
                self._hear(key.data)
        now = time.monotonic()
        for caller in [one for one in self._callers if one.deadline < now]:
            self._late(caller)
        if self._deaf_until and self._deaf_until < now:
            self._deaf_until = 0.0
            self._selector.register(self._listener, selectors.EVENT_READ)
        return True

    def _accept(self) -> None:
        for _ in range(_MOST_AT_ONCE):
            try:
                connection, (address, *_) = self._listener.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError as problem:
                # No descriptors: the connection stays in the queue of the system and would wake us at once.
                _log.error("guard: no connection taken: %s", problem.strerror)
                self._selector.unregister(self._listener)
                self._deaf_until = time.monotonic() + _NO_DESCRIPTORS_PAUSE_SECONDS
                return
            self._meet(connection, address.removeprefix("::ffff:"))

    def _meet(self, connection: socket.socket, address: str) -> None:
        is_sender = address in self._sender_addresses
        limits = self._limits
        most = limits.waiting_of_sender if is_sender else limits.waiting_of_stranger
        if sum(caller.address == address for caller in self._callers) >= most or not self._room_for(
            is_sender
        ):
            connection.close()
            self._refused(Refusal("too_many_connections"), address, None)
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        now = time.monotonic()
        caller = _Caller(connection, address, is_sender, now, now + limits.first_bytes_seconds)
        self._callers.add(caller)
        self._selector.register(connection, selectors.EVENT_READ, caller)
        # What a sender says first is usually here already.
        self._hear(caller)

    def _room_for(self, is_sender: bool) -> bool:
        if len(self._callers) < self._limits.waiting:
            return True
        strangers = [caller for caller in self._callers if not caller.is_sender]
        if not (is_sender and strangers):
            return False
        self._drop(min(strangers, key=lambda caller: caller.since))
        return True

    def _hear(self, caller: _Caller) -> None:
        try:
            data = caller.connection.recv(caller.wanted - len(caller.request))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(caller)
            return
        if caller.leaving:
            caller.wanted -= len(data)
            if caller.wanted <= 0:
                self._drop(caller)
            return
        caller.request += data
        if len(caller.request) == HEADER.size == caller.wanted:
            self._size_up(caller)
        elif len(caller.request) == caller.wanted:
            self._decide(caller)
        elif sum(len(one.request) for one in self._callers) > self._limits.waiting_bytes:
            self._refuse(caller, Refusal("too_much_at_once", abort(AbortReason.NOT_SPECIFIED)), None)

    def _size_up(self, caller: _Caller) -> None:
        kind, length = HEADER.unpack(caller.request)
        known = PDUType.ASSOCIATE_RQ <= kind <= PDUType.ABORT
        if kind != PDUType.ASSOCIATE_RQ:
            reason = AbortReason.UNEXPECTED_PDU if known else AbortReason.UNRECOGNIZED_PDU
            self._refuse(caller, Refusal("no_association_request", abort(reason)), None)
        elif not _FIXED_BYTES - HEADER.size <= length <= self._limits.request_bytes:
            refusal = Refusal("request_of_wrong_length", abort(AbortReason.INVALID_PARAMETER))
            self._refuse(caller, refusal, None)
        else:
            caller.wanted = HEADER.size + length
            caller.deadline = caller.since + self._limits.request_seconds
            self._hear(caller)

    def _decide(self, caller: _Caller) -> None:
        titles = Titles.of(caller.request)
        refusal = self._judge(titles, caller.address)
        if refusal is not None:
            self._refuse(caller, refusal, titles)
            return
        self._forget(caller)
        caller.connection.setblocking(True)
        self._admit(caller.connection, caller.address, titles, bytes(caller.request))

    def _late(self, caller: _Caller) -> None:
        if not caller.leaving:
            self._refused(Refusal("request_too_slow"), caller.address, None)
        self._drop(caller)

    def _refuse(self, caller: _Caller, refusal: Refusal, titles: Titles | None) -> None:
        self._refused(refusal, caller.address, titles)
        try:
            caller.connection.send(refusal.pdu)
            # The peer closes when it has read this; closing at once could take it back.
            caller.connection.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(caller)
            return
        caller.request.clear()
        caller.leaving = True
        caller.wanted = self._limits.request_bytes
        caller.deadline = time.monotonic() + self._limits.goodbye_seconds

    def _forget(self, caller: _Caller) -> None:
        self._callers.discard(caller)
        self._selector.unregister(caller.connection)

    def _drop(self, caller: _Caller) -> None:
        if caller in self._callers:
            self._forget(caller)
        caller.connection.close()
