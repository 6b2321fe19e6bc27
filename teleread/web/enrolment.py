"""How a new gateway gets its certificate: it has none yet, so it comes to the people's listener."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify, request

from teleread import clock
from teleread.dicomweb.context import centre
from teleread.services import facilities
from teleread.storage.session import transaction
from teleread.web.gate import from_where
from teleread.wire.enrolment import EnrolmentRequest

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("enrolment", __name__, url_prefix="/gateway/v1")


@blueprint.get("/ca.pem")
def ca_certificate() -> ResponseReturnValue:
    """Return the centre's CA certificate; the gateway believes it by the fingerprint in its code."""
    return Response(centre().settings.ca_certificate.read_bytes(), content_type="application/x-pem-file")


@blueprint.post("/enrol")
def enrol() -> ResponseReturnValue:
    """Exchange a one-time code and a certificate request for a certificate."""
    message = EnrolmentRequest.from_json(request.get_json(force=True))
    here = centre()
    with transaction(here.engine) as session:
        found = facilities.enrol(
            session, message, settings=here.settings, at=clock.now(), from_where=from_where()
        )
    return jsonify(found.to_json())
