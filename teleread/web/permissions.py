"""Which door leads to a route, and which action of the role table opens it. What has no row stays shut.

`check_table` runs at the start of the application and in a test: a route without a row, or a row
without a route, stops it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from teleread.domain.access import Action

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask import Flask


class Door(Enum):
    """How the one who asks is known."""

    OPEN = "nobody needs to be known"
    OPEN_FORM = "nobody needs to be known, but the form must come from our own page"
    SESSION = "a person's session"
    SESSION_OR_TOKEN = "a person's session, or a bearer token"  # noqa: S105 - words, not a secret
    CERTIFICATE = "a gateway's client certificate"


@dataclass(frozen=True)
class Rule:
    """One row: the door, and the action that the actor's roles must allow (None: any signed-in actor)."""

    door: Door
    action: Action | None = None


_PERSON = Door.SESSION
_DICOMWEB = Door.SESSION_OR_TOKEN

#: Listener of people and DICOMweb clients.
PEOPLE_ROUTES: dict[str, Rule] = {
    "static": Rule(Door.OPEN),
    "health.healthz": Rule(Door.OPEN),
    "fonts.font": Rule(Door.OPEN),
    "auth.sign_in": Rule(Door.OPEN_FORM),
    "auth.key_question": Rule(Door.OPEN_FORM),
    "auth.sign_out": Rule(_PERSON),
    "auth.lock": Rule(_PERSON),
    "auth.session_lives": Rule(_PERSON),
    "auth.preferences": Rule(Door.OPEN_FORM),
    "auth.home": Rule(_PERSON),
    "styleguide.styleguide": Rule(_PERSON),
    "worklist.worklist": Rule(_PERSON, Action.SEE_WORKLIST),
    "worklist.keep_view": Rule(_PERSON, Action.SEE_WORKLIST),
    "worklist.drop_view": Rule(_PERSON, Action.SEE_WORKLIST),
    # Each piece of news has its own action, which the service looks at.
    "live.changes": Rule(_PERSON),
    "readings.case": Rule(_PERSON, Action.SEE_CASE),
    "readings.frame": Rule(_PERSON, Action.SEE_IMAGES),
    "readings.claim": Rule(_PERSON, Action.CLAIM),
    "readings.release": Rule(_PERSON, Action.RELEASE),
    "reports.save_draft": Rule(_PERSON, Action.WRITE_REPORT),
    "reports.request_review": Rule(_PERSON, Action.SIGN_REPORT),
    "reports.review": Rule(_PERSON, Action.SIGN_REPORT),
    "reports.review_pdf": Rule(_PERSON, Action.SIGN_REPORT),
    "reports.sign": Rule(_PERSON, Action.SIGN_REPORT),
    "reports.signed": Rule(_PERSON, Action.SEE_CASE),
    "reports.signed_pdf": Rule(_PERSON, Action.READ_REPORT),
    "facilities.status": Rule(_PERSON, Action.SEE_STATUS),
    "coordination.coordination": Rule(_PERSON, Action.COORDINATE),
    "coordination.assign": Rule(_PERSON, Action.ASSIGN),
    "coordination.release": Rule(_PERSON, Action.RELEASE),
    "coordination.retry": Rule(_PERSON, Action.MOVE_DELIVERY),
    "coordination.accept": Rule(_PERSON, Action.ACCEPT_INCOMPLETE),
    "coordination.board": Rule(_PERSON, Action.COORDINATE),
    "contacts.facilities": Rule(_PERSON, Action.MANAGE_CONTACTS),
    "contacts.facility": Rule(_PERSON, Action.MANAGE_CONTACTS),
    "contacts.save": Rule(_PERSON, Action.MANAGE_CONTACTS),
    "critical.page": Rule(_PERSON, Action.NOTIFY_CRITICAL),
    "critical.raise_finding": Rule(_PERSON, Action.RAISE_CRITICAL),
    "critical.attempt": Rule(_PERSON, Action.NOTIFY_CRITICAL),
    "critical.withdraw": Rule(_PERSON, Action.RAISE_CRITICAL),
    "critical.close": Rule(_PERSON, Action.CLOSE_CRITICAL),
    "critical.acknowledge": Rule(_PERSON, Action.ACKNOWLEDGE_CRITICAL),
    "admin.admin": Rule(_PERSON, Action.MANAGE_FACILITIES),
    "admin.first_run": Rule(_PERSON, Action.MANAGE_FACILITIES),
    "admin.add_facility": Rule(_PERSON, Action.MANAGE_FACILITIES),
    "admin.invite": Rule(_PERSON, Action.MANAGE_FACILITIES),
    "admin.revoke": Rule(_PERSON, Action.MANAGE_FACILITIES),
    "admin.users": Rule(_PERSON, Action.MANAGE_USERS),
    "admin.add_user": Rule(_PERSON, Action.MANAGE_USERS),
    "admin.change_user": Rule(_PERSON, Action.MANAGE_USERS),
    "admin.audit_search": Rule(_PERSON, Action.SEE_AUDIT),
    "admin.audit_export": Rule(_PERSON, Action.SEE_AUDIT),
    "admin.check_audit": Rule(_PERSON, Action.SEE_AUDIT),
    "account.account": Rule(_PERSON, Action.MANAGE_OWN_ACCOUNT),
    "account.password": Rule(_PERSON, Action.MANAGE_OWN_ACCOUNT),
    "account.key_question": Rule(_PERSON, Action.MANAGE_OWN_ACCOUNT),
    "account.add_key": Rule(_PERSON, Action.MANAGE_OWN_ACCOUNT),
    "account.remove_key": Rule(_PERSON, Action.MANAGE_OWN_ACCOUNT),
    "account.recovery": Rule(_PERSON, Action.MANAGE_OWN_ACCOUNT),
    "account.app": Rule(_PERSON, Action.MANAGE_OWN_ACCOUNT),
    "account.end_session": Rule(_PERSON, Action.MANAGE_OWN_ACCOUNT),
    "enrolment.ca_certificate": Rule(Door.OPEN),
    "enrolment.enrol": Rule(Door.OPEN),
    "qido.studies": Rule(_DICOMWEB, Action.SEE_IMAGES),
    "qido.series": Rule(_DICOMWEB, Action.SEE_IMAGES),
    "qido.instances": Rule(_DICOMWEB, Action.SEE_IMAGES),
    "stow.store": Rule(_DICOMWEB, Action.STORE_INSTANCES),
    "wado.study": Rule(_DICOMWEB, Action.SEE_IMAGES),
    "wado.series": Rule(_DICOMWEB, Action.SEE_IMAGES),
    "wado.instance": Rule(_DICOMWEB, Action.SEE_IMAGES),
    "wado.metadata": Rule(_DICOMWEB, Action.SEE_IMAGES),
    "wado.frames": Rule(_DICOMWEB, Action.SEE_IMAGES),
    "wado.bulk": Rule(_DICOMWEB, Action.SEE_IMAGES),
    "wado.rendered": Rule(_DICOMWEB, Action.SEE_IMAGES),
    # The viewer's code is the same for everybody and is no secret; the page that starts it is.
    "viewer.file": Rule(Door.OPEN),
    "viewer.not_found": Rule(_PERSON),
    "viewer.page": Rule(_PERSON, Action.SEE_IMAGES),
    "case_root.studies": Rule(_PERSON, Action.SEE_IMAGES),
    "case_root.series": Rule(_PERSON, Action.SEE_IMAGES),
    "case_root.metadata": Rule(_PERSON, Action.SEE_IMAGES),
    "case_root.frames": Rule(_PERSON, Action.SEE_IMAGES),
    "case_root.bulk": Rule(_PERSON, Action.SEE_IMAGES),
    "case_root.rendered": Rule(_PERSON, Action.SEE_IMAGES),
}

#: Listener that requires a client certificate.
GATEWAY_ROUTES: dict[str, Rule] = {
    "health.healthz": Rule(Door.CERTIFICATE),
    "stow.store": Rule(Door.CERTIFICATE, Action.STORE_INSTANCES),
    "gateway_api.manifest": Rule(Door.CERTIFICATE, Action.SEND_MANIFEST),
    "gateway_api.order": Rule(Door.CERTIFICATE, Action.SEND_ORDER),
    "gateway_api.study": Rule(Door.CERTIFICATE, Action.SEE_STATUS),
    "gateway_api.packages": Rule(Door.CERTIFICATE, Action.COLLECT_PACKAGES),
    "gateway_api.package_pdf": Rule(Door.CERTIFICATE, Action.COLLECT_PACKAGES),
    "gateway_api.package_event": Rule(Door.CERTIFICATE, Action.MOVE_DELIVERY),
    "gateway_api.critical": Rule(Door.CERTIFICATE, Action.ACKNOWLEDGE_CRITICAL),
    "gateway_api.critical_acknowledgement": Rule(Door.CERTIFICATE, Action.ACKNOWLEDGE_CRITICAL),
    "gateway_api.heartbeat": Rule(Door.CERTIFICATE, Action.SEND_MANIFEST),
}

TABLES: dict[str, dict[str, Rule]] = {"people": PEOPLE_ROUTES, "gateway": GATEWAY_ROUTES}


def check_table(app: Flask, table: Mapping[str, Rule]) -> None:
    """Stop the start when a route has no row, or a row no route.

    Raises
    ------
    RuntimeError
        With the names of the endpoints in question.
    """
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
    shut, dangling = endpoints - table.keys(), table.keys() - endpoints
    if shut or dangling:
        raise RuntimeError(
            f"permissions: routes without a row {sorted(shut)}, rows without a route {sorted(dangling)}"
        )
