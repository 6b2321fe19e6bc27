"""The facility's PACS of the demo: a storage SCP that files what it gets, and a sender of files as they are.

A program of its own that shares no code with the gateway, so that each judges the other:

    python -m teleread.demo.pacs serve --folder DIR --ae-title PACS --port N
    python -m teleread.demo.pacs send  --to TELEREAD@127.0.0.1:11112 --ae-title PACS PATH

`serve` writes each object to `DIR/objects/` and one JSON line about it to `DIR/index.jsonl`, both durable before the
success is answered. `send` writes one JSON line a file to standard output: what became of it, and when.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import socket
import struct
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pydicom import config as pydicom_config
from pydicom import dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pynetdicom import AE, AllStoragePresentationContexts, _config, evt
from pynetdicom.dsutils import split_dataset
from pynetdicom.presentation import build_context

if TYPE_CHECKING:
    from pynetdicom.association import Association
    from pynetdicom.events import Event

VERIFICATION = "1.2.840.10008.1.1"

#: An association has at most 128 presentation contexts (PS3.8 Section 9.3.2: odd identifiers from 1 to 255).
CONTEXTS_AN_ASSOCIATION = 128

#: Waits between tries while the receiver is away.
RETRY_SECONDS = 0.5

#: Files this small are no DICOM objects: preamble or not, one element needs eight bytes.
_SHORTEST = 8

#: What a broken file can raise while its header is read.
_UNREADABLE = (
    InvalidDicomError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError,
    NotImplementedError, RecursionError, struct.error, zlib.error,
)  # fmt: skip

_HEADER = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"]


class Outcome(StrEnum):
    """What became of a file."""

    SENT = "sent"
    REFUSED = "refused"
    NOT_CARRIED = "not_carried"
    IGNORED = "ignored"


@dataclass
class Item:
    """One file below the folder to send, and what became of it. Times are milliseconds since 1970."""

    path: str
    outcome: Outcome = Outcome.NOT_CARRIED
    reason: str = ""
    study_instance_uid: str = ""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    transfer_syntax_uid: str = ""
    started_ms: int = 0
    answered_ms: int = 0
    needs_wrapping: bool = False
    unanswered: int = 0

    @property
    def context(self) -> tuple[str, str]:
        """Return the pair that has to be negotiated."""
        return self.sop_class_uid, self.transfer_syntax_uid


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _starts_like_a_dataset(start: bytes) -> bool:
    """Say whether a file without preamble begins with an element of group 0002 or 0008, in either byte order."""
    if len(start) < _SHORTEST:
        return False
    return any(
        struct.unpack(order + "H", start[:2])[0] in (0x0002, 0x0008) and start[2:4] != b"\0\0\0\0"
        for order in "<>"
    )


def look_at(path: Path) -> Item:
    """Return what the sender can tell about a file: ignored when it is not DICOM, else how it would be sent."""
    item = Item(path=os.fspath(path))
    with path.open("rb") as file:
        start = file.read(132)
    has_preamble = start[128:132] == b"DICM"
    if not has_preamble and not _starts_like_a_dataset(start):
        item.outcome, item.reason = Outcome.IGNORED, "not DICOM"
        return item
    try:
        ds = dcmread(path, force=True, stop_before_pixels=True, specific_tags=[*_HEADER])
        meta = getattr(ds, "file_meta", FileMetaDataset())
        item.study_instance_uid = str(ds.get("StudyInstanceUID") or "")
        item.sop_class_uid = str(meta.get("MediaStorageSOPClassUID") or ds.get("SOPClassUID") or "")
        item.sop_instance_uid = str(meta.get("MediaStorageSOPInstanceUID") or ds.get("SOPInstanceUID") or "")
        item.transfer_syntax_uid = str(
            meta.get("TransferSyntaxUID") or _guessed_transfer_syntax(ds.original_encoding)
        )
    except _UNREADABLE:
        item.reason = "the header cannot be read"
        return item
    complete = {Tag(0x0002, 0x0002), Tag(0x0002, 0x0003), Tag(0x0002, 0x0010)} <= set(meta.keys())
    item.needs_wrapping = not (has_preamble and complete)
    if not item.sop_class_uid or not item.sop_instance_uid:
        item.reason = "no SOP class or instance UID"
    elif not all(
        _is_sendable(uid) for uid in (item.sop_class_uid, item.sop_instance_uid, item.transfer_syntax_uid)
    ):
        item.reason = "a UID that C-STORE cannot carry"
    return item


def _is_sendable(uid: str) -> bool:
    return 0 < len(uid) <= 64 and uid.isascii() and all(part.isdigit() for part in uid.split("."))


def _guessed_transfer_syntax(encoding: tuple[bool | None, bool | None]) -> str:
    implicit, little = encoding
    if implicit:
        return str(ImplicitVRLittleEndian)
    return str(ExplicitVRLittleEndian if little else ExplicitVRBigEndian)


def _wrapped(item: Item, folder: Path) -> Path:
    """Write the file's dataset, byte for byte, behind a complete file meta group."""
    data = Path(item.path).read_bytes()
    if data[128:132] != b"DICM":
        data = bytes(128) + b"DICM" + data
    plain = folder / "plain"
    plain.write_bytes(data)
    _meta, offset = split_dataset(plain)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(item.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(item.sop_instance_uid)
    meta.TransferSyntaxUID = UID(item.transfer_syntax_uid)
    head = DicomBytesIO()
    write_file_meta_info(head, meta, enforce_standard=True)
    target = folder / "wrapped.dcm"
    target.write_bytes(bytes(128) + b"DICM" + head.getvalue() + data[offset:])
    return target


def _send_at_once(event: Event) -> None:
    """Turn Nagle's algorithm off: a C-STORE is several small writes, and each would wait for the other side's ACK."""
    channel = event.assoc.dul.socket
    if channel is not None and channel.socket is not None:
        channel.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Sender:
    """Sends files to one application entity until each is answered or patience ends."""

    def __init__(self, ae_title: str, to: str, host: str, port: int, *, patience_seconds: float) -> None:
        self._ae_title, self._to, self._host, self._port = ae_title, to, host, port
        self._patience_seconds = patience_seconds

    def send(self, items: list[Item]) -> Iterator[Item]:
        """Send in order, in as many associations as the contexts need; yield each item when its fate is known."""
        batch: list[Item] = []
        contexts: set[tuple[str, str]] = set()
        for item in items:
            if item.outcome is Outcome.IGNORED or item.reason:
                yield item
                continue
            if len(contexts | {item.context}) > CONTEXTS_AN_ASSOCIATION:
                yield from self._send_batch(batch, contexts)
                batch, contexts = [], set()
            batch.append(item)
            contexts.add(item.context)
        yield from self._send_batch(batch, contexts)

    def _associate(self, contexts: set[tuple[str, str]]) -> Association:
        ae = AE(ae_title=self._ae_title)
        ae.requested_contexts = [build_context(sop_class, syntax) for sop_class, syntax in sorted(contexts)]
        ae.acse_timeout = ae.connection_timeout = 10
        ae.dimse_timeout = 60
        return ae.associate(
            self._host, self._port, ae_title=self._to, evt_handlers=[(evt.EVT_CONN_OPEN, _send_at_once)]
        )

    def _send_batch(self, batch: list[Item], contexts: set[tuple[str, str]]) -> Iterator[Item]:
        waiting = list(batch)
        gives_up = time.monotonic() + self._patience_seconds
        while waiting:
            assoc = self._associate(contexts)
            while waiting and assoc.is_established:
                if not self._send_one(assoc, waiting[0]):
                    waiting[0].unanswered += 1
                    break
                gives_up = time.monotonic() + self._patience_seconds
                yield waiting.pop(0)
            if assoc.is_established:
                assoc.release()
            if waiting and time.monotonic() > gives_up:
                for item in waiting:
                    item.outcome, item.reason = Outcome.REFUSED, "no answer from the receiver"
                yield from waiting
                return
            if waiting:
                time.sleep(RETRY_SECONDS)

    def _send_one(self, assoc: Association, item: Item) -> bool:
        """Send one file; False when it has to be tried again."""
        item.started_ms = item.started_ms or _now_ms()
        accepted = {(str(c.abstract_syntax), str(c.transfer_syntax[0])) for c in assoc.accepted_contexts}
        if item.context not in accepted:
            item.reason = "the receiver does not take this SOP class and transfer syntax"
            return True
        with tempfile.TemporaryDirectory() as folder:
            try:
                path = _wrapped(item, Path(folder)) if item.needs_wrapping else Path(item.path)
                answer = assoc.send_c_store(path)
            except RuntimeError:  # the association broke between the look and the call
                return False
            except _UNREADABLE:
                item.reason = "the file cannot be sent"
                return True
        status = answer.get("Status")
        if status is None or status in range(0xA700, 0xA800):  # no answer, or out of resources
            return False
        item.answered_ms = _now_ms()
        if status == 0x0000 or status in range(0xB000, 0xC000):
            item.outcome = Outcome.SENT
        else:
            item.outcome, item.reason = Outcome.REFUSED, f"status 0x{status:04X}"
        return True


class Archive:
    """Files what the SCP receives."""

    def __init__(self, folder: Path) -> None:
        self._objects = folder / "objects"
        self._objects.mkdir(parents=True, exist_ok=True)
        self._index = folder / "index.jsonl"
        self._lock = threading.Lock()

    def store(self, event: Event) -> int:
        """Answer a C-STORE request: success only when object and index line are durable (PS3.4 Annex B)."""
        data = event.encoded_dataset()
        try:
            ds = event.dataset
            row: dict[str, str | int] = {
                "study_instance_uid": str(ds.get("StudyInstanceUID", "")),
                "patient_id": str(ds.get("PatientID", "")),
            }
        except _UNREADABLE:
            return 0xC000
        # A name from our own digest: no path is ever built from a DICOM value.
        path = self._objects / f"{hashlib.sha256(data).hexdigest()}.dcm"
        request: Any = event.request
        row |= {
            "sop_class_uid": str(request.AffectedSOPClassUID),
            "sop_instance_uid": str(request.AffectedSOPInstanceUID),
            "path": os.fspath(path),
            "at_ms": _now_ms(),
        }
        try:
            with self._lock:
                part = path.with_suffix(".part")
                with part.open("wb") as file:
                    _durably(file, data)
                part.replace(path)
                _sync_folder(self._objects)
                with self._index.open("ab") as file:
                    _durably(file, json.dumps(row).encode() + b"\n")
        except OSError:
            return 0xA700
        return 0x0000


def _durably(file: IO[bytes], data: bytes) -> None:
    file.write(data)
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def index(folder: Path) -> list[dict[str, Any]]:
    """Return what the archive below `folder` has received, in order; a line being written is left out."""
    try:
        text = (folder / "index.jsonl").read_text()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def serve(folder: Path, ae_title: str, port: int) -> None:
    """Listen on loopback until a signal ends the process."""
    archive = Archive(folder)
    ae = AE(ae_title=ae_title)
    for context in AllStoragePresentationContexts:
        ae.add_supported_context(
            str(context.abstract_syntax),
            [
                ExplicitVRLittleEndian,
                ImplicitVRLittleEndian,
                ExplicitVRBigEndian,
                DeflatedExplicitVRLittleEndian,
            ],
        )
    ae.add_supported_context(VERIFICATION)
    ae.maximum_associations = 50
    ae.start_server(
        ("127.0.0.1", port),
        evt_handlers=[(evt.EVT_C_STORE, archive.store), (evt.EVT_CONN_OPEN, _send_at_once)],
    )


def files_below(path: Path) -> list[Path]:
    """Return every regular file at or below `path`, in order of name."""
    if path.is_file():
        return [path]
    return sorted(p for p in path.rglob("*") if p.is_file())


def main(arguments: list[str] | None = None) -> None:
    """Run one of the two sides."""
    parser = argparse.ArgumentParser(prog="teleread.demo.pacs", description=__doc__)
    side = parser.add_subparsers(dest="side", required=True)
    server = side.add_parser("serve")
    server.add_argument("--folder", type=Path, required=True)
    server.add_argument("--port", type=int, required=True)
    sender = side.add_parser("send")
    sender.add_argument("--to", required=True, help="AETITLE@HOST:PORT")
    sender.add_argument(
        "--patience", type=float, default=60.0, help="seconds without any answer before giving up"
    )
    sender.add_argument("path", type=Path, nargs="+")
    for sub in (server, sender):
        sub.add_argument("--ae-title", default="PACS")
    chosen = parser.parse_args(arguments)
    if chosen.side == "serve":
        serve(chosen.folder, chosen.ae_title, chosen.port)
        return
    to, _, address = chosen.to.partition("@")
    host, _, port = address.rpartition(":")
    pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
    _config.STORE_SEND_CHUNKED_DATASET = True
    # Studies one after the other: a modality sends a study, then the next.
    items = sorted(
        (look_at(file) for path in chosen.path for file in files_below(path)),
        key=lambda item: (item.study_instance_uid, item.path),
    )
    peer = Sender(chosen.ae_title, to, host, int(port), patience_seconds=chosen.patience)
    for item in peer.send(items):
        sys.stdout.write(json.dumps(asdict(item)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
