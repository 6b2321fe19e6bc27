"""STOW-RS (PS3.18 Section 10.5): instances come in, part by part, and are answered only when durable."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, request
from werkzeug.http import parse_options_header

from teleread import clock
from teleread.dicom.multipart import iter_parts
from teleread.dicomweb.context import actor, centre
from teleread.errors import InvalidInput, Unavailable
from teleread.services import ingest

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from teleread.dicom.multipart import Part
    from teleread.wire.receipts import InstanceReceipt

blueprint = Blueprint("stow", __name__)

#: Largest instance: (FFFE,E000) items and explicit lengths count 32 bits (PS3.5 Section 7.1).
PART_LIMIT_BYTES = 4 * 1024**3

#: Parts a request may have. A gateway sends batches of some megabytes; more is a mistake or an attack.
PARTS_LIMIT = 2000

_CHUNK = 1 << 20

#: Failure Reason (0008,1197): "cannot understand" of the Storage service, PS3.4 Table B.2-1.
_CANNOT_UNDERSTAND = 0xC000

#: Warning Reason (0008,1196): the instance was stored although its UID is known with other bytes.
_WARNING = 0xB000


def _boundary() -> str:
    kind, options = parse_options_header(request.headers.get("Content-Type"))
    if kind != "multipart/related" or options.get("type", "application/dicom") != "application/dicom":
        raise InvalidInput(
            "Content-Type", 'has to be multipart/related; type="application/dicom"', code="bad_content_type"
        )
    return options.get("boundary", "")


def _spool(part: Part, path: Path) -> None:
    """Write the body of a part to a file; never more than a chunk is in memory."""
    size = 0
    with path.open("wb") as target:
        while chunk := part.read(_CHUNK):
            size += len(chunk)
            if size > PART_LIMIT_BYTES:
                raise InvalidInput("body", f"has a part above {PART_LIMIT_BYTES} bytes", code="too_large")
            target.write(chunk)


def _receive() -> list[InstanceReceipt]:
    here = centre()
    receipts = []
    for number, part in enumerate(iter_parts(request.stream, _boundary())):
        if number >= PARTS_LIMIT:
            raise InvalidInput("body", f"has more than {PARTS_LIMIT} parts", code="too_many_parts")
        kind, _ = parse_options_header(part.headers.get("content-type"))
        if kind != "application/dicom":
            raise InvalidInput("Content-Type", "of a part has to be application/dicom", code="bad_part_type")
        path = here.blobs.new_part()
        try:
            _spool(part, path)
            receipt = ingest.store_instance(here.engine, here.blobs, path, actor=actor(), at=clock.now())
        finally:
            path.unlink(missing_ok=True)
        if not receipt.sop_instance_uid:
            # An answer speaks of instances by their UID, and this part has none that can be read.
            raise InvalidInput(
                "body", f"part {number + 1} is no DICOM file ({receipt.reason})", code="not_dicom"
            )
        receipts.append(receipt)
    return receipts


def _item(receipt: InstanceReceipt) -> dict[str, Any]:
    item: dict[str, Any] = {
        "00081155": {"vr": "UI", "Value": [receipt.sop_instance_uid]},
        "00090010": {"vr": "LO", "Value": ["TELEREAD"]},
        "00091001": {"vr": "LO", "Value": [receipt.sha256]},
        "00091002": {"vr": "CS", "Value": [receipt.outcome.upper()]},
    }
    if receipt.outcome == "refused":
        item["00081197"] = {"vr": "US", "Value": [_CANNOT_UNDERSTAND]}
    elif receipt.outcome == "conflict":
        item["00081196"] = {"vr": "US", "Value": [_WARNING]}
    return dict(sorted(item.items()))


def answer(receipts: Iterable[InstanceReceipt]) -> Response:
    """Return the Store Instances Response: 200 all stored, 202 some with warning or failure, 409 none."""
    receipts = list(receipts)
    stored = [_item(receipt) for receipt in receipts if receipt.is_stored]
    failed = [_item(receipt) for receipt in receipts if not receipt.is_stored]
    body: dict[str, Any] = {}
    if failed:
        body["00081198"] = {"vr": "SQ", "Value": failed}
    if stored:
        body["00081199"] = {"vr": "SQ", "Value": stored}
    if not stored:
        status = 409
    elif failed or any("00081196" in item for item in stored):
        status = 202
    else:
        status = 200
    return Response(json.dumps(body), status=status, content_type="application/dicom+json")


@blueprint.post("/dicom-web/studies")
def store() -> Response:
    """Store the instances of the body; the answer names the digest of each as it lies on the disk."""
    # The limits of pages do not fit here: parts are counted and measured one by one as they stream in.
    request.max_content_length = None
    try:
        return answer(_receive())
    except InvalidInput as error:
        if error.code == "truncated_body":
            # The line broke, or the sender died: what was sent is not at fault, and sending it again helps.
            raise Unavailable("the body ended early; send it again", code=error.code) from error
        raise
