"""WADO-RS (PS3.18 Section 10.4): instances, metadata, frames, bulk data and pictures, as they were stored."""

from __future__ import annotations

import itertools
import json
import math
import re
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, request

from teleread import clock
from teleread.dicom.frames import frame_bytes
from teleread.dicom.json_model import dataset_json
from teleread.dicom.multipart import multipart_stream
from teleread.dicom.raw import read_raw
from teleread.dicomweb.context import actor, centre
from teleread.dicomweb.qido import instance_url
from teleread.errors import InvalidInput, NotFound
from teleread.storage.queries import images
from teleread.storage.session import transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from teleread.storage.models.studies import Instance

blueprint = Blueprint("wado", __name__, url_prefix="/dicom-web/studies/<study_uid>")

#: Media type of a frame by its transfer syntax, PS3.18 Table 8.7.3-5; what is not here is uncompressed.
_FRAME_TYPES = {
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx",
    "1.2.840.10008.1.2.4.93": "image/jpx",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}
_FRAMES_LIMIT = 4096


def _found(study_uid: str, series_uid: str | None = None, sop_uid: str | None = None) -> Sequence[Instance]:
    with transaction(centre().engine, writes=False) as session:
        found = images.all_instances(session, actor().facility_id, study_uid, series_uid, sop_uid)
    centre().views.note(found, actor=actor(), at=clock.now())
    return found


def _multipart(parts: Iterable[tuple[Mapping[str, str], Any]], kind: str) -> Response:
    boundary = uuid.uuid4().hex
    return Response(
        multipart_stream(parts, boundary),
        content_type=f'multipart/related; type="{kind}"; boundary={boundary}',
    )


def _retrieve(found: Sequence[Instance]) -> Response:
    # The body is made while it is sent, after the request's context: take the store along.
    blobs = centre().blobs

    def files() -> Iterator[tuple[Mapping[str, str], Any]]:
        for one in found:
            with blobs.open(one.sha256) as file:
                kind = f"application/dicom; transfer-syntax={one.transfer_syntax_uid}"
                yield {"Content-Type": kind}, file

    return _multipart(files(), "application/dicom")


def _one(study_uid: str, series_uid: str, sop_uid: str) -> tuple[Instance, Path]:
    (found,) = _found(study_uid, series_uid, sop_uid)
    return found, centre().blobs.path(found.sha256)


@blueprint.get("")
def study(study_uid: str) -> Response:
    """Return all instances of a study."""
    return _retrieve(_found(study_uid))


@blueprint.get("/series/<series_uid>")
def series(study_uid: str, series_uid: str) -> Response:
    """Return all instances of a series."""
    return _retrieve(_found(study_uid, series_uid))


@blueprint.get("/series/<series_uid>/instances/<sop_uid>")
def instance(study_uid: str, series_uid: str, sop_uid: str) -> Response:
    """Return one instance."""
    return _retrieve(_found(study_uid, series_uid, sop_uid))


@blueprint.get("/metadata")
@blueprint.get("/series/<series_uid>/metadata")
@blueprint.get("/series/<series_uid>/instances/<sop_uid>/metadata")
def metadata(study_uid: str, series_uid: str | None = None, sop_uid: str | None = None) -> Response:
    """Return the DICOM JSON of all instances below, without bulk data."""
    blobs = centre().blobs
    # The body is made after the request's context: addresses and places are taken along.
    places = [(instance_url(one), one.sha256) for one in _found(study_uid, series_uid, sop_uid)]

    def chunks() -> Iterator[str]:
        for number, (url, sha256) in enumerate(places):
            model = dataset_json(blobs.path(sha256), bulk_uri=partial("{}/bulk/{}".format, url))
            yield ("," if number else "[") + json.dumps(model, ensure_ascii=False)
        yield "]"

    return Response(chunks(), content_type="application/dicom+json")


def _frame_part(path: Path, number: int) -> tuple[Mapping[str, str], bytes]:
    body, syntax = frame_bytes(path, number)
    kind = _FRAME_TYPES.get(syntax, "application/octet-stream")
    return {"Content-Type": f"{kind}; transfer-syntax={syntax}"}, body


def _frame_numbers(text: str, one: Instance) -> list[int]:
    if not re.fullmatch(r"[0-9]{1,7}(,[0-9]{1,7})*", text):
        raise InvalidInput("frames", "has to be a list of frame numbers")
    numbers = [int(number) for number in text.split(",")]
    if len(numbers) > _FRAMES_LIMIT:
        raise InvalidInput("frames", f"may name {_FRAMES_LIMIT} frames at most")
    if not all(1 <= number <= one.number_of_frames for number in numbers):
        raise NotFound("the instance has no such frame")
    return numbers


@blueprint.get("/series/<series_uid>/instances/<sop_uid>/frames/<numbers>")
def frames(study_uid: str, series_uid: str, sop_uid: str, numbers: str) -> Response:
    """Return frames undecoded, in the transfer syntax they are stored in."""
    one, path = _one(study_uid, series_uid, sop_uid)
    wanted = _frame_numbers(numbers, one)
    first = _frame_part(path, wanted[0])
    parts = itertools.chain([first], (_frame_part(path, number) for number in wanted[1:]))
    return _multipart(parts, first[0]["Content-Type"].split(";")[0])


@blueprint.get("/series/<series_uid>/instances/<sop_uid>/bulk/<path:place>")
def bulk(study_uid: str, series_uid: str, sop_uid: str, place: str) -> Response:
    """Return a binary value that the metadata only pointed to; pixel data frame by frame."""
    one, path = _one(study_uid, series_uid, sop_uid)
    if place == "7FE00010":
        numbers = range(1, one.number_of_frames + 1)
        first = _frame_part(path, 1)
        parts = itertools.chain([first], (_frame_part(path, number) for number in numbers[1:]))
        return _multipart(parts, first[0]["Content-Type"].split(";")[0])
    value = _bulk_value(path, place)
    return _multipart([({"Content-Type": "application/octet-stream"}, value)], "application/octet-stream")


def _bulk_value(path: Path, place: str) -> bytes:
    """Return the value at a path such as ``54000100/0/54001010``: tags, and item numbers between them."""
    steps = place.split("/")
    raw = read_raw(path)
    elements = raw.elements
    for tag, number in itertools.zip_longest(steps[::2], steps[1::2]):
        element = next((one for one in elements if f"{one.tag:08X}" == tag), None)
        if element is None:
            break
        if number is None:
            return bytes(raw.data[element.value_at : element.value_end])
        if element.items is None or not number.isdigit() or int(number) >= len(element.items):
            break
        elements = element.items[int(number)].elements
    raise NotFound("the instance has no such value")


def window_of_query() -> tuple[float | None, float | None]:
    """Return centre and width of the window that the query names, PS3.18 Section 8.3.5.1.4."""
    center, width = request.args.get("center"), request.args.get("width")
    if request.args.get("window"):
        center, width = [*request.args["window"].split(","), ""][:2]
    if not center or not width:
        return None, None
    try:
        numbers = float(center), float(width)
    except ValueError:
        raise InvalidInput("window", "has to be two numbers") from None
    if not all(math.isfinite(number) for number in numbers) or numbers[1] <= 0:
        raise InvalidInput("window", "has to be a centre and a positive width")
    return numbers


@blueprint.get("/series/<series_uid>/instances/<sop_uid>/rendered")
@blueprint.get("/series/<series_uid>/instances/<sop_uid>/frames/<int:number>/rendered")
def rendered(study_uid: str, series_uid: str, sop_uid: str, number: int = 1) -> Response:
    """Return a frame as PNG, by the file's own window or by the query's."""
    one, path = _one(study_uid, series_uid, sop_uid)
    if not 1 <= number <= one.number_of_frames:
        raise NotFound("the instance has no such frame")
    center, width = window_of_query()
    picture = centre().renderer.render(path, number, center=center, width=width)
    return Response(picture, content_type="image/png")
