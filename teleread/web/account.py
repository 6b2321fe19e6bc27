"""A person's own page: password, second factors, sessions, and how the pages look."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import segno
from flask import Blueprint, Response, g, redirect, render_template, request, url_for

from teleread import clock
from teleread.dicomweb.context import actor, centre
from teleread.errors import InvalidInput, NotFound, ReauthenticationFailed
from teleread.services import accounts, factors
from teleread.storage.session import transaction
from teleread.web.auth import half_width, key_answer, renew_token, site, start_session
from teleread.web.gate import from_where, session_token
from teleread.web.views.times import moment

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("account", __name__, url_prefix="/account")


def _page(status: int = 200, *, problem: str | None = None, **shown_once: object) -> ResponseReturnValue:
    here = centre()
    at = clock.now()
    with transaction(here.engine, writes=False) as db:
        user = accounts.person_of(db, actor())
        keys = factors.keys_of(db, user.id)
        sessions = accounts.sessions_of(
            db,
            user.id,
            at=at,
            idle=timedelta(seconds=here.settings.idle_seconds),
            absolute=timedelta(seconds=here.settings.absolute_seconds),
        )
        page = render_template(
            "account.html",
            problem=problem,
            user={
                "username": user.username,
                "is_initial": user.password_is_initial,
                "password_changed": moment(user.password_changed_at),
            },
            keys=[
                {
                    "id": key.id,
                    "name": key.name,
                    "added": moment(key.created_at),
                    "used": moment(key.last_used_at),
                }
                for key in keys
            ],
            keys_offered=site() is not None,
            codes_left=factors.recovery_codes_left(db, user.id),
            sessions=[
                {
                    "id": one.id,
                    "from_where": one.from_where,
                    "since": moment(one.created_at),
                    "seen": moment(one.last_seen_at),
                    "current": one.id == g.person.session_id,
                }
                for one in sessions
            ],
            sizes=accounts.SIZES,
            done=request.args.get("done", ""),
            **shown_once,
        )
    return page, status


def _ask_for_both() -> None:
    """Have password and second factor checked again; afterwards the session has another token."""
    accounts.reauthenticate(
        centre().engine,
        g.person.user_id,
        request.form.get("password", ""),
        half_width(request.form.get("totp", "")),
        at=clock.now(),
        from_where=from_where(),
        key=key_answer(),
    )
    renew_token()


def _refused(error: InvalidInput | ReauthenticationFailed) -> ResponseReturnValue:
    if isinstance(error, ReauthenticationFailed):
        return _page(403, problem="account.refused")
    return _page(400, problem=f"account.{error.code}" if error.code in PROBLEMS else "error.400.title")


#: Codes of refusals that the page has words for.
PROBLEMS = frozenset(
    {
        "password_short",
        "password_long",
        "password_name",
        "password_common",
        "password_same",
        "key_refused",
        "keys_many",
    }
)


@blueprint.get("")
def account() -> ResponseReturnValue:
    """Show what the account has."""
    return _page()


@blueprint.post("/password")
def password() -> ResponseReturnValue:
    """Change the password; every session ends, and this browser gets a new one."""
    new = request.form.get("new", "")
    if new != request.form.get("again", ""):
        return _page(400, problem="account.password_differs")
    try:
        with transaction(centre().engine, writes=False) as db:
            accounts.check_new_password(db, new, actor=actor())
        _ask_for_both()
        with transaction(centre().engine) as db:
            token = accounts.change_password(db, new, actor=actor(), at=clock.now())
    except (InvalidInput, ReauthenticationFailed) as error:
        return _refused(error)
    start_session(token)
    return redirect(url_for("account.account", done="password"), 303)


@blueprint.post("/keys/question")
def key_question() -> ResponseReturnValue:
    """Ask the browser for a new security key, after both factors were given."""
    here = site()
    if here is None:
        raise NotFound("security keys need a host name")
    _ask_for_both()
    with transaction(centre().engine) as db:
        user = accounts.person_of(db, actor())
        question = factors.begin_key(db, user, session_token(), site=here, at=clock.now())
    return Response(question, mimetype="application/json")


@blueprint.post("/keys")
def add_key() -> ResponseReturnValue:
    """Keep the key that the browser made."""
    answer = key_answer()
    if answer is None:
        return _page(400, problem="account.key_refused")
    try:
        with transaction(centre().engine) as db:
            factors.add_key(db, answer, request.form.get("name", ""), actor=actor(), at=clock.now())
    except InvalidInput as error:
        return _refused(error)
    return redirect(url_for("account.account", done="key"), 303)


@blueprint.post("/keys/<int:key_id>/remove")
def remove_key(key_id: int) -> ResponseReturnValue:
    """Forget a key."""
    try:
        _ask_for_both()
    except ReauthenticationFailed as error:
        return _refused(error)
    with transaction(centre().engine) as db:
        factors.remove_key(db, key_id, actor=actor(), at=clock.now())
    return redirect(url_for("account.account", done="key_removed"), 303)


@blueprint.post("/recovery")
def recovery() -> ResponseReturnValue:
    """Make ten recovery codes and show them once."""
    try:
        _ask_for_both()
    except ReauthenticationFailed as error:
        return _refused(error)
    with transaction(centre().engine) as db:
        codes = factors.make_recovery_codes(db, actor=actor(), at=clock.now())
    return _page(codes=codes)


@blueprint.post("/app")
def app() -> ResponseReturnValue:
    """Tie another authenticator app to the account and show its secret once."""
    try:
        _ask_for_both()
    except ReauthenticationFailed as error:
        return _refused(error)
    with transaction(centre().engine) as db:
        secret, uri = accounts.replace_totp(db, actor=actor(), at=clock.now())
    return _page(secret=secret, picture=qr_code(uri))


@blueprint.post("/sessions/<int:session_id>/end")
def end_session(session_id: int) -> ResponseReturnValue:
    """End one of the own sessions."""
    with transaction(centre().engine) as db:
        accounts.end_one_session(db, session_id, actor=actor(), at=clock.now())
    return redirect(url_for("account.account", done="session"), 303)


def qr_code(uri: str) -> str:
    """Return a code for the authenticator app's camera, as SVG without a style of its own."""
    return str(segno.make(uri, error="m").svg_inline(scale=4, dark="#000", light="#fff"))
