"""The DICOM listener: C-ECHO and C-STORE for the facility's known senders.

Nothing is decoded on the way in. pynetdicom writes each fragment of the data set into the spool's `.part`
file as it arrives; the answer 0x0000 is given when `Spool.accept()` has returned.
"""

import json
import logging
import socket
import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from pynetdicom import AE, _config, dimse_messages, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from gateway.settings import GatewaySettings
from gateway.spool import Arrival, PartFile, Spool
from teleread.errors import OutOfSpace

_log = logging.getLogger(__name__)

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700  # PS3.4 Table B.2-1, Refused: Out of Resources
PROCESSING_FAILURE = 0x0110  # PS3.7 Section C.5.7

# PS3.8 Table 9-21: result 1 (rejected permanent), source 1 (service user), and the reason.
REJECTIONS: dict[str, tuple[int, int, int]] = {
    "called_ae_not_known": (0x01, 0x01, 0x07),
    "calling_ae_not_known": (0x01, 0x01, 0x03),
    "address_not_known": (0x01, 0x01, 0x03),
}


class AuditLog:
    """One JSON line an event; what a stranger sent is kept printable and short."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def write(self, act: str, at: datetime, **details: str) -> None:
        """Append a line."""
        line = {"at": at.isoformat(), "act": act}
        line |= {key: ascii(value)[1:-1][:64] for key, value in details.items()}
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


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


class StorageSCP:
    """The gateway's application entity. `port` is the one that was bound (the setting may be 0)."""

    def __init__(self, settings: GatewaySettings, spool: Spool, *, now: Callable[[], datetime]) -> None:
        self._settings = settings
        self._spool = spool
        self._now = now
        self._audit = AuditLog(spool.layout.logs / "audit.log")
        self._open: dict[int, int] = {}
        self._guard = threading.Lock()
        _receive_into(spool)
        ae = AE(ae_title=settings.ae_title)
        ae.maximum_associations = settings.maximum_associations
        ae.maximum_pdu_size = 128 * 1024
        ae.add_supported_context(Verification)
        server = ae.start_server(
            (settings.bind_address, settings.port),
            block=False,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, _send_at_once),
                (evt.EVT_REQUESTED, self._on_request),
                (evt.EVT_ESTABLISHED, self._on_established),
                (evt.EVT_C_ECHO, _on_echo),
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_RELEASED, self._on_end),
                (evt.EVT_ABORTED, self._on_end),
                (evt.EVT_CONN_CLOSE, self._on_end),
            ],
        )
        self._server = cast("ThreadedAssociationServer", server)
        self.port: int = self._server.server_address[1]

    def close(self) -> None:
        """Stop listening and end the open associations."""
        for association in self._server.active_associations:
            association.abort()
        self._server.shutdown()

    def _on_request(self, event: evt.Event) -> None:
        association = event.assoc
        request = cast("A_ASSOCIATE", association.requestor.primitive)
        called, calling = str(request.called_ae_title), str(request.calling_ae_title)
        address = str(association.requestor.address)
        reason = rejection(self._settings, called=called, calling=calling, address=address)
        if reason is None:
            return
        association.acse.send_reject(*REJECTIONS[reason])
        self._audit.write(
            "association_rejected",
            self._now(),
            reason=reason,
            called=called,
            calling=calling,
            address=address,
        )
        association.kill()

    def _on_established(self, event: evt.Event) -> None:
        requestor = event.assoc.requestor
        number = self._spool.opened(str(requestor.ae_title).strip(), str(requestor.address), at=self._now())
        with self._guard:
            self._open[id(event.assoc)] = number

    def _on_end(self, event: evt.Event) -> None:
        with self._guard:
            number = self._open.pop(id(event.assoc), None)
        if number is not None:
            self._spool.closed(number, at=self._now())

    def _on_store(self, event: evt.Event) -> int:
        request = cast("C_STORE", event.request)
        part = cast("PartFile", request._dataset_file)
        with self._guard:
            number = self._open.get(id(event.assoc))
        arrival = Arrival(
            sop_instance_uid=str(request.AffectedSOPInstanceUID),
            sop_class_uid=str(request.AffectedSOPClassUID),
            transfer_syntax_uid=str(event.context.transfer_syntax),
            association_id=number,
        )
        try:
            self._spool.accept(part, arrival, at=self._now())
        except OutOfSpace:
            _log.error("C-STORE refused with 0xA700: the disk is full")
            return OUT_OF_RESOURCES
        except (OSError, sqlite3.Error) as problem:
            _log.error("C-STORE answered with 0x0110: %s", type(problem).__name__)
            return PROCESSING_FAILURE
        return SUCCESS


def _on_echo(_: evt.Event) -> int:
    return SUCCESS


def _send_at_once(event: evt.Event) -> None:
    set_no_delay(event.assoc)


def set_no_delay(association: Any) -> None:
    """Turn Nagle's algorithm off for an association.

    An answer is two small writes; without this the second waits for the peer's delayed acknowledgement,
    about 40 ms an instance.
    """
    connection = association.dul.socket.socket
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _receive_into(spool: Spool) -> None:
    # pynetdicom reads these switches from its module when a fragment arrives. Unrestricted: any storage
    # class, private and future ones too, in the transfer syntax that the sender prefers; it is not ours to
    # lose an object because its class is new. The file it opens for the fragments becomes the spool's.
    _config.STORE_RECV_CHUNKED_DATASET = True
    _config.UNRESTRICTED_STORAGE_SERVICE = True
    _config.LOG_HANDLER_LEVEL = "none"
    dimse_messages.NamedTemporaryFile = lambda **_: spool.part()  # type: ignore[attr-defined,assignment]
