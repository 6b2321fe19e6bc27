"""Administration, first cut: facilities, gateways with their last sign of life, users, check of the audit trail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Blueprint, render_template

from teleread import clock
from teleread.dicomweb.context import actor, centre
from teleread.services import accounts, audit, facilities
from teleread.storage.session import transaction
from teleread.web.views.times import moment

if TYPE_CHECKING:
    from datetime import datetime

    from flask.typing import ResponseReturnValue

    from teleread.storage.models.accounts import User
    from teleread.storage.models.facilities import Gateway

blueprint = Blueprint("admin", __name__)

#: A gateway that was silent for longer is shown as silent (ui.md, section 6).
SILENT = timedelta(minutes=5)


@dataclass(frozen=True)
class AuditCheck:
    """What the last look at the audit trail found."""

    records: int
    faults: int


def _gateway(one: Gateway, at: datetime) -> dict[str, object]:
    return {
        "facility": one.facility.name,
        "name": one.name,
        "version": one.version,
        "queue": one.queue,
        "held": one.held,
        "revoked": one.revoked_at is not None,
        "last_seen": moment(one.last_seen_at) if one.last_seen_at else None,
        "live": one.revoked_at is None and one.last_seen_at is not None and at - one.last_seen_at <= SILENT,
    }


def _user(one: User) -> dict[str, object]:
    return {
        "username": one.username,
        "display_name": one.display_name,
        "roles": one.roles,
        "facility": one.facility.name if one.facility else None,
        "active": one.is_active,
    }


def _page(check: AuditCheck | None = None) -> str:
    at = clock.now()
    with transaction(centre().engine, writes=False) as session:
        found = {
            "facilities": facilities.list_facilities(session, actor=actor()),
            "gateways": [_gateway(one, at) for one in facilities.list_gateways(session, actor=actor())],
            "users": [_user(one) for one in accounts.list_users(session, actor=actor())],
        }
    return render_template("admin.html", audit=check, **found)


@blueprint.get("/admin")
def admin() -> ResponseReturnValue:
    """Show who and what is registered."""
    return _page()


@blueprint.post("/admin/audit")
def check_audit() -> ResponseReturnValue:
    """Walk the whole audit chain and say what was found."""
    here = centre()
    with transaction(here.engine, writes=False) as session:
        newest = audit.newest(session, actor=actor(), limit=1)
        faults = audit.verify_chain(session, here.settings.audit_key())
    return _page(AuditCheck(newest[0].sequence if newest else 0, len(faults)))
