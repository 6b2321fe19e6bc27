"""Administration: the first run, facilities, gateways, users, the audit log."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flask import Blueprint, Response, redirect, render_template, request, url_for

from teleread import clock
from teleread.dicomweb.context import actor, centre
from teleread.domain.access import PERSONS_ROLES
from teleread.errors import InvalidInput
from teleread.services import accounts, audit, facilities, factors
from teleread.services import first_run as first_run_steps
from teleread.storage.session import transaction
from teleread.web.account import qr_code
from teleread.web.i18n import TEXTS, text
from teleread.web.views.layout import language
from teleread.web.views.times import ZONE, moment

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from teleread.services.accounts import NewUser
    from teleread.storage.models.facilities import Gateway
    from teleread.storage.models.records import AuditRecord

blueprint = Blueprint("admin", __name__, url_prefix="/admin")

#: A gateway that was silent for longer is shown as silent (ui.md, section 6).
SILENT = timedelta(minutes=5)
#: From so few days on a certificate's end is a warning.
CERTIFICATE_DAYS = 30
ROWS_SHOWN = 200
ROWS_EXPORTED = 100_000


def _gateway(one: Gateway, at: datetime) -> dict[str, object]:
    days = (one.certificate_not_after - at).days if one.certificate_not_after else None
    return {
        "facility": one.facility.name,
        "facility_code": one.facility.code,
        "name": one.name,
        "version": one.version,
        "queue": one.queue,
        "held": one.held,
        "revoked": one.revoked_at is not None,
        "days": days,
        "ends_soon": days is not None and days <= CERTIFICATE_DAYS,
        "last_seen": moment(one.last_seen_at) if one.last_seen_at else None,
        "live": one.revoked_at is None and one.last_seen_at is not None and at - one.last_seen_at <= SILENT,
    }


def _page(status: int = 200, *, problem: InvalidInput | None = None, code: str = "") -> ResponseReturnValue:
    at = clock.now()
    with transaction(centre().engine, writes=False) as session:
        found = {
            "facilities": facilities.list_facilities(session, actor=actor()),
            "gateways": [_gateway(one, at) for one in facilities.list_gateways(session, actor=actor())],
            "steps": first_run_steps.steps(session, centre().settings, actor=actor()),
        }
    page = render_template(
        "admin.html", problem=problem, invitation=code, centre_url=centre().settings.public_url, **found
    )
    return page, status


@blueprint.get("")
def admin() -> ResponseReturnValue:
    """Show facilities and gateways."""
    return _page()


@blueprint.get("/first-run")
def first_run() -> ResponseReturnValue:
    """Show the way from nothing to the first report, and how far it has been gone."""
    with transaction(centre().engine, writes=False) as session:
        found = first_run_steps.steps(session, centre().settings, actor=actor())
    return render_template("admin_first_run.html", steps=found)


@blueprint.post("/facilities")
def add_facility() -> ResponseReturnValue:
    """Register a facility."""
    quiet = request.form.get("quiet_seconds", "")
    try:
        with transaction(centre().engine) as session:
            facilities.add_facility(
                session,
                code=request.form.get("code", "").strip(),
                name=request.form.get("name", ""),
                language=request.form.get("language", "ja"),
                quiet_seconds=int(quiet) if quiet.isascii() and quiet.isdigit() and len(quiet) < 6 else 0,
                actor=actor(),
                at=clock.now(),
            )
    except InvalidInput as error:
        return _page(400, problem=error)
    return redirect(url_for("admin.admin"), 303)


@blueprint.post("/gateways")
def invite() -> ResponseReturnValue:
    """Make a one-time code for a gateway and show it once."""
    try:
        with transaction(centre().engine) as session:
            code = facilities.invite_gateway(
                session,
                facility_code=request.form.get("facility_code", ""),
                name=request.form.get("name", "").strip(),
                settings=centre().settings,
                actor=actor(),
                at=clock.now(),
            )
    except InvalidInput as error:
        return _page(400, problem=error)
    return _page(code=code)


@blueprint.post("/gateways/revoke")
def revoke() -> ResponseReturnValue:
    """Accept a gateway's certificate no more."""
    with transaction(centre().engine) as session:
        facilities.revoke_gateway(
            session,
            facility_code=request.form.get("facility_code", ""),
            name=request.form.get("name", ""),
            actor=actor(),
            at=clock.now(),
        )
    return redirect(url_for("admin.admin"), 303)


def _users_page(
    status: int = 200, *, problem: InvalidInput | None = None, new: NewUser | None = None
) -> ResponseReturnValue:
    with transaction(centre().engine, writes=False) as session:
        people = [
            {
                "username": one.username,
                "display_name": one.display_name,
                "roles": one.roles,
                "facility": one.facility.name if one.facility else None,
                "facility_code": one.facility.code if one.facility else "",
                "active": one.is_active,
                "keys": len(factors.keys_of(session, one.id)),
                "codes": factors.recovery_codes_left(session, one.id),
                "is_self": one.username == actor().name,
            }
            for one in accounts.list_users(session, actor=actor())
        ]
        places = facilities.list_facilities(session, actor=actor())
    page = render_template(
        "admin_users.html",
        users=people,
        facilities=places,
        roles=sorted(PERSONS_ROLES),
        problem=problem,
        new=new,
        picture=qr_code(new.totp_uri) if new else "",
    )
    return page, status


@blueprint.get("/users")
def users() -> ResponseReturnValue:
    """Show who has an account."""
    return _users_page()


@blueprint.post("/users")
def add_user() -> ResponseReturnValue:
    """Make an account; password and secret are shown once, and the password has to be changed at the first sign-in."""
    try:
        with transaction(centre().engine) as session:
            new = accounts.create_user(
                session,
                username=request.form.get("username", "").strip(),
                display_name=request.form.get("display_name", ""),
                roles=request.form.getlist("roles"),
                facility_code=request.form.get("facility_code") or None,
                language=request.form.get("language", "ja"),
                licence_number=request.form.get("licence_number", "").strip(),
                password_is_initial=True,
                actor=actor(),
                at=clock.now(),
            )
    except InvalidInput as error:
        return _users_page(400, problem=error)
    return _users_page(new=new)


@blueprint.post("/users/<username>/<any(disable,enable,roles,reset):act>")
def change_user(username: str, act: str) -> ResponseReturnValue:
    """Close or open an account, give it other roles, or replace what its owner signs in with."""
    new = None
    try:
        with transaction(centre().engine) as session:
            if act == "disable":
                accounts.deactivate_user(session, username, actor=actor(), at=clock.now())
            elif act == "enable":
                accounts.activate_user(session, username, actor=actor(), at=clock.now())
            elif act == "roles":
                accounts.change_roles(
                    session,
                    username,
                    request.form.getlist("roles"),
                    facility_code=request.form.get("facility_code") or None,
                    actor=actor(),
                    at=clock.now(),
                )
            else:
                new = accounts.reset_factors(session, username, actor=actor(), at=clock.now())
    except InvalidInput as error:
        return _users_page(400, problem=error)
    return _users_page(new=new) if new else redirect(url_for("admin.users"), 303)


def _day(name: str) -> datetime | None:
    text = request.args.get(name, "")
    if not text:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=ZONE)
    except ValueError:
        day = None
    # Days at the very ends of the calendar cannot be moved to another zone.
    if day is None or not 1900 < day.year < 9000:
        raise InvalidInput(name, "has to be a date such as 2026-11-24")
    return day.astimezone(UTC)


def _wanted() -> audit.AuditFilter:
    until = _day("until")
    return audit.AuditFilter(
        since=_day("since"),
        until=until + timedelta(days=1) if until else None,
        who=request.args.get("who", "").strip(),
        act=request.args.get("act", "").strip(),
        case_number=request.args.get("case", "").replace(" ", "").strip().upper(),
    )


def words_or(key: str, code: str) -> str:
    """Return the words of a code; the code itself where it has none yet."""
    return text(language(), key) if key in TEXTS else code


def _audit_page(*, records: int | None = None, faults: int = 0) -> str:
    with transaction(centre().engine, writes=False) as session:
        rows, count = audit.search(session, _wanted(), actor=actor(), limit=ROWS_SHOWN)
    shown = [
        {
            "at": moment(row.at),
            "who": row.actor_name,
            "role": words_or(f"role.{row.actor_role}", row.actor_role),
            "words": words_or(f"act.{row.act}", row.act),
            "act": row.act,
            "case_number": row.case_number,
            "from_where": row.from_where,
        }
        for row in rows
    ]
    return render_template(
        "admin_audit.html", rows=shown, count=count, records=records, faults=faults, asked=request.args
    )


@blueprint.get("/audit")
def audit_search() -> ResponseReturnValue:
    """Search the audit log."""
    return _audit_page()


@blueprint.post("/audit")
def check_audit() -> ResponseReturnValue:
    """Walk the whole audit chain and say what was found."""
    here = centre()
    with transaction(here.engine, writes=False) as session:
        newest = audit.newest(session, actor=actor(), limit=1)
        faults = audit.verify_chain(session, here.settings.audit_key())
    return _audit_page(records=newest[0].sequence if newest else 0, faults=len(faults))


_COLUMNS = ("sequence", "at", "actor_kind", "actor_name", "actor_role", "from_where", "act", "case_number")


def _cell(row: AuditRecord, name: str) -> str:
    value = getattr(row, name)
    text = value.isoformat() if isinstance(value, datetime) else "" if value is None else str(value)
    # A spreadsheet would run what begins so.
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


@blueprint.get("/audit.csv")
def audit_export() -> ResponseReturnValue:
    """Return what a search finds as CSV; that it was taken out is recorded too."""
    with transaction(centre().engine) as session:
        rows, count = audit.search(session, _wanted(), actor=actor(), limit=ROWS_EXPORTED)
        if count > len(rows):
            raise InvalidInput("since", f"finds {count} records; at most {ROWS_EXPORTED} leave at once")
        audit.record(session, actor=actor(), at=clock.now(), act="audit.export", detail={"rows": count})
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    writer.writerows([_cell(row, name) for name in _COLUMNS] for row in rows)
    headers = {"Content-Disposition": f'attachment; filename="audit-{count}-rows.csv"'}
    return Response("\ufeff" + text.getvalue(), mimetype="text/csv", headers=headers)
