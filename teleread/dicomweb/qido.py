"""QIDO-RS (PS3.18 Section 10.6): search for studies, series and instances."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, g, request

from teleread import clock
from teleread.dicom.attributes import BY_KEYWORD
from teleread.dicom.matching import Query, match_of, parse_query
from teleread.dicomweb.context import actor, centre
from teleread.storage.queries import images
from teleread.storage.session import transaction

if TYPE_CHECKING:
    from collections.abc import Iterable

    from teleread.storage.models.studies import Instance, Series, Study

blueprint = Blueprint("qido", __name__, url_prefix="/dicom-web")

_UTF8 = {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}}


def _root() -> str:
    # Below the root of a case, addresses stay below it.
    return centre().settings.public_url + str(g.get("dicomweb_root", "/dicom-web"))


def _number(value: int) -> dict[str, Any]:
    return {"vr": "IS", "Value": [value]}


def _url(value: str) -> dict[str, Any]:
    return {"vr": "UR", "Value": [value]}


def study_url(study: Study) -> str:
    """Return the address that a study is retrieved from."""
    return f"{_root()}/studies/{study.study_instance_uid}"


def series_url(series: Series) -> str:
    """Return the address that a series is retrieved from."""
    return f"{study_url(series.study)}/series/{series.series_instance_uid}"


def instance_url(instance: Instance) -> str:
    """Return the address that an instance is retrieved from."""
    series = f"{study_url(instance.study)}/series/{instance.series.series_instance_uid}"
    return f"{series}/instances/{instance.sop_instance_uid}"


def _study_item(study: Study, series: int, instances: int) -> dict[str, Any]:
    return study.attributes | {
        "00080056": {"vr": "CS", "Value": ["ONLINE"]},
        "00080061": {"vr": "CS", "Value": sorted(study.modalities)},
        "00081190": _url(study_url(study)),
        "00201206": _number(series),
        "00201208": _number(instances),
    }


def _series_item(series: Series, instances: int) -> dict[str, Any]:
    return series.attributes | {
        "00081190": _url(series_url(series)),
        "0020000D": {"vr": "UI", "Value": [series.study.study_instance_uid]},
        "00201209": _number(instances),
    }


def _instance_item(instance: Instance) -> dict[str, Any]:
    return instance.attributes | {
        "00080056": {"vr": "CS", "Value": ["ONLINE"]},
        "00081190": _url(instance_url(instance)),
        "0020000D": {"vr": "UI", "Value": [instance.study.study_instance_uid]},
        "0020000E": {"vr": "UI", "Value": [instance.series.series_instance_uid]},
    }


def _answer(level: str, items: Iterable[dict[str, Any]]) -> Response:
    body = [dict(sorted((_UTF8 | item).items())) for item in items]
    # Below the root of a case nothing is searched for: the case was opened, and that is recorded.
    if "dicomweb_root" not in g:
        centre().views.note_query(level, len(body), actor=actor(), at=clock.now())
    return Response(json.dumps(body, ensure_ascii=False), content_type="application/dicom+json")


def _query(**fixed: str | None) -> Query:
    asked = parse_query(request.args.items(multi=True))
    keywords = {"study_uid": "StudyInstanceUID", "series_uid": "SeriesInstanceUID"}
    more = [match_of(BY_KEYWORD[keywords[name]], value) for name, value in fixed.items() if value]
    matches = (*asked.matches, *(match for match in more if match is not None))
    return Query(matches, asked.include, asked.include_all, asked.limit, asked.offset)


@blueprint.get("/studies")
def studies(study_uid: str | None = None) -> Response:
    """Search for studies, all or those named."""
    query = _query(study_uid=study_uid)
    with transaction(centre().engine, writes=False) as session:
        found = images.find_studies(
            session, actor().facility_id, query.matches, limit=query.limit, offset=query.offset
        )
        items = [_study_item(*row) for row in found]
    return _answer("studies", items)


@blueprint.get("/series")
@blueprint.get("/studies/<study_uid>/series")
def series(study_uid: str | None = None) -> Response:
    """Search for series, of one study or of all."""
    query = _query(study_uid=study_uid)
    with transaction(centre().engine, writes=False) as session:
        found = images.find_series(
            session, actor().facility_id, query.matches, limit=query.limit, offset=query.offset
        )
        items = [_series_item(*row) for row in found]
    return _answer("series", items)


@blueprint.get("/instances")
@blueprint.get("/studies/<study_uid>/instances")
@blueprint.get("/studies/<study_uid>/series/<series_uid>/instances")
def instances(study_uid: str | None = None, series_uid: str | None = None) -> Response:
    """Search for instances, of one series, one study or of all."""
    query = _query(study_uid=study_uid, series_uid=series_uid)
    with transaction(centre().engine, writes=False) as session:
        found = images.find_instances(
            session, actor().facility_id, query.matches, limit=query.limit, offset=query.offset
        )
        items = [_instance_item(row) for row in found]
    return _answer("instances", items)
