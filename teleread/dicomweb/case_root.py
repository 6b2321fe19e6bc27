"""A DICOMweb root for each case: the viewer of a case finds the studies of this case there, and nothing else.

The viewer is a program of others and asks for more than it was told to, all studies of a patient ID for one. So
the limit is here: below `/dicom-web/cases/<case_number>` the searches and retrievals of `qido` and `wado` run
within the case's facility and for the case's own studies.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, g, request

from teleread.dicomweb import qido, wado
from teleread.dicomweb.context import actor, centre
from teleread.errors import NotFound
from teleread.services import case_images
from teleread.storage.session import transaction

if TYPE_CHECKING:
    from teleread.services.case_images import CaseImages

blueprint = Blueprint("case_root", __name__, url_prefix="/dicom-web/cases/<case_number>")


@blueprint.url_value_preprocessor
def _take_case_number(_: str | None, values: dict[str, Any] | None) -> None:
    g.case_number = (values or {}).pop("case_number", "")


@blueprint.before_request
def _narrow() -> None:
    """Let the request see the studies of its case only; runs after the gate."""
    with transaction(centre().engine, writes=False) as session:
        found = case_images.case_images(session, g.case_number, actor=actor())
    asked = (request.view_args or {}).get("study_uid")
    if asked is not None and asked not in found.studies:
        raise NotFound("there is no such study in this case")
    g.case_images = found
    g.dicomweb_root = f"/dicom-web/cases/{found.case_number}"
    # The same Study Instance UID may have come from two facilities; only the case's own is meant.
    g.actor = dataclasses.replace(actor(), facility_id=found.facility_id)


@blueprint.get("/studies")
def studies() -> Response:
    """Search among the studies of the case."""
    found: CaseImages = g.case_images
    return qido.studies("\\".join(found.studies))


blueprint.add_url_rule("/studies/<study_uid>/series", view_func=qido.series)
for _place in ("", "/series/<series_uid>", "/series/<series_uid>/instances/<sop_uid>"):
    blueprint.add_url_rule(f"/studies/<study_uid>{_place}/metadata", view_func=wado.metadata)
_INSTANCE = "/studies/<study_uid>/series/<series_uid>/instances/<sop_uid>"
blueprint.add_url_rule(f"{_INSTANCE}/frames/<numbers>", view_func=wado.frames)
blueprint.add_url_rule(f"{_INSTANCE}/bulk/<path:place>", view_func=wado.bulk)
blueprint.add_url_rule(f"{_INSTANCE}/rendered", view_func=wado.rendered)
