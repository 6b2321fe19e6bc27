"""What gateways call, on the listener that requires their certificate. `wire` says what the messages hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, jsonify, request

from teleread import clock
from teleread.dicomweb.context import actor, centre
from teleread.errors import InvalidInput
from teleread.services import critical as findings
from teleread.services import delivery, facilities, homecoming, ingest, orders, reading
from teleread.storage.session import transaction
from teleread.wire.critical import CriticalAcknowledgement, CriticalList
from teleread.wire.heartbeat import Heartbeat
from teleread.wire.manifest import StudyManifest
from teleread.wire.orders import OrderNotice
from teleread.wire.packages import PackageList
from teleread.wire.receipts import PackageEvent

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("gateway_api", __name__, url_prefix="/gateway/v1")

#: A manifest has about 300 bytes an instance; ten thousand instances fit many times.
MESSAGE_LIMIT_BYTES = 32 * 1024 * 1024


def _document() -> object:
    request.max_content_length = MESSAGE_LIMIT_BYTES
    return request.get_json(force=True)


@blueprint.put("/studies/<study_uid>/manifest")
def manifest(study_uid: str) -> ResponseReturnValue:
    """Take a study's manifest; answer what the centre misses."""
    message = StudyManifest.from_json(_document())
    if message.study_instance_uid != study_uid:
        raise InvalidInput("study_instance_uid", "is not the one of the address")
    with transaction(centre().engine) as session:
        found = ingest.receive_manifest(session, message, actor=actor(), at=clock.now())
    return jsonify(found.to_json())


@blueprint.get("/studies/<study_uid>")
def study(study_uid: str) -> ResponseReturnValue:
    """Answer what has become of a study."""
    with transaction(centre().engine, writes=False) as session:
        found = reading.study_status(session, study_uid, actor=actor(), at=clock.now())
    return jsonify(found.to_json())


@blueprint.put("/orders/<order_id>")
def order(order_id: str) -> ResponseReturnValue:
    """Take a request to read; saying it again changes nothing."""
    message = OrderNotice.from_json(_document())
    if message.order_id != order_id:
        raise InvalidInput("order_id", "is not the one of the address")
    with transaction(centre().engine) as session:
        found = orders.receive_order(session, message, actor=actor(), at=clock.now())
    return jsonify(found.to_json())


@blueprint.get("/packages")
def packages() -> ResponseReturnValue:
    """List the report packages that wait for this facility."""
    with transaction(centre().engine, writes=False) as session:
        found = delivery.packages_for(session, actor=actor())
    return jsonify(PackageList(packages=tuple(found)).to_json())


@blueprint.get("/packages/<package_id>/pdf")
def package_pdf(package_id: str) -> ResponseReturnValue:
    """Return the signed PDF of a package, under the pseudonym."""
    here = centre()
    with transaction(here.engine, writes=False) as session:
        pdf = delivery.package_pdf(session, here.blobs, package_id, actor=actor())
    return Response(pdf, content_type="application/pdf")


@blueprint.post("/packages/<package_id>/events")
def package_event(package_id: str) -> ResponseReturnValue:
    """Note what happened to a package; saying it again changes nothing."""
    message = PackageEvent.from_json(_document())
    with transaction(centre().engine) as session:
        state = homecoming.note_event(session, package_id, message, actor=actor(), at=clock.now())
    return jsonify({"state": state})


@blueprint.get("/critical")
def critical() -> ResponseReturnValue:
    """List the critical findings that the facility has still to take note of."""
    with transaction(centre().engine, writes=False) as session:
        found = findings.notices(session, actor=actor())
    return jsonify(CriticalList(findings=tuple(found)).to_json())


@blueprint.post("/critical/<critical_id>/acknowledgement")
def critical_acknowledgement(critical_id: str) -> ResponseReturnValue:
    """Note that a doctor at the facility took note; saying it again changes nothing."""
    message = CriticalAcknowledgement.from_json(_document())
    with transaction(centre().engine) as session:
        found = findings.acknowledge_at_gateway(session, critical_id, message, actor=actor(), at=clock.now())
    return jsonify(found.to_json())


@blueprint.post("/heartbeat")
def heartbeat() -> ResponseReturnValue:
    """Take a sign of life; answer with the centre's clock."""
    message = Heartbeat.from_json(_document())
    with transaction(centre().engine) as session:
        found = facilities.heartbeat(session, message, actor=actor(), at=clock.now())
    return jsonify(found.to_json())
