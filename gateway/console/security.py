"""The door: who comes in, with which token, and the headers of every answer.

One cookie beside those for language: a random token. Before sign-in it ties a form to the browser that
asked for it; sign-in replaces it by the token of the session, so none survives the step.
"""

import hashlib
import hmac
import logging
import secrets

from flask import Flask, Response, abort, current_app, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from gateway.console.access import Action, is_allowed
from gateway.console.context import console
from gateway.console.store import derived
from teleread.errors import (
    InvalidInput,
    NotAllowed,
    NotFound,
    NotSignedIn,
    OutOfSpace,
    StateChangedMeanwhile,
    TelereadError,
    TransitionNotAllowed,
    Unavailable,
)

_log = logging.getLogger("gateway.console")

COOKIE = "__Host-teleread-console"

#: Routes that answer before sign-in. Everything else needs a person, and a mark by `needs`.
OPEN = frozenset({"sign_in.form", "sign_in.sign_in", "sign_in.language", "fonts.font", "static"})

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "font-src": "'self'",
    "connect-src": "'self'",
    "frame-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
_PAGE_POLICY = "; ".join(f"{name} {value}" for name, value in _POLICY.items())

# The browser's own PDF page needs its styles and the object; nothing but our pages may frame it.
_PDF_POLICY = "default-src 'self'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'"

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Strict-Transport-Security": "max-age=31536000",
    # Names are on these pages: nothing stays in the browser when the tab is closed.
    "Cache-Control": "no-store",
}

_STATUS_OF: dict[type[TelereadError], int] = {
    InvalidInput: 400,
    NotAllowed: 403,
    NotFound: 404,
    StateChangedMeanwhile: 409,
    TransitionNotAllowed: 409,
    OutOfSpace: 507,
    Unavailable: 503,
}


def init_app(app: Flask) -> None:
    """Hang the door in."""
    app.before_request(_check)
    app.after_request(_finish)
    app.jinja_env.globals["csrf_token"] = csrf_token
    app.jinja_env.globals["may"] = may
    app.register_error_handler(TelereadError, _told)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _fault)


def csrf_token() -> str:
    """Return the token that a form of this browser has to carry."""
    key = derived(console().store.key, "csrf")
    return hmac.new(key, g.token.encode("ascii"), hashlib.sha256).hexdigest()


def may(action: str) -> bool:
    """Say whether the person who is signed in may do something."""
    return g.person is not None and is_allowed(Action(action), g.person.roles)


def replace_token(token: str | None = None) -> None:
    """Give the browser another token: at sign-in the session's, at sign-out a fresh one."""
    g.token = token or secrets.token_urlsafe(32)
    g.has_new_token = True


def _check() -> ResponseReturnValue | None:
    here = console()
    cookie = request.cookies.get(COOKIE, "")
    usable = 20 <= len(cookie) <= 100 and cookie.isascii()
    g.token = cookie if usable else secrets.token_urlsafe(32)
    g.has_new_token = False
    g.person = None
    if request.endpoint in {"static", "fonts.font"}:
        return None
    # A script that looks for news is not a person at work.
    is_use = request.headers.get("X-Background") is None
    ended = False
    if usable:
        try:
            g.person = here.accounts.person(cookie, at=here.now(), touch=is_use)
        except NotSignedIn as problem:
            ended = problem.code == "session_ended"
    if request.method not in {"GET", "HEAD", "OPTIONS"}:
        given = request.form.get("csrf_token", "") or request.headers.get("X-CSRFToken", "")
        if not usable or not hmac.compare_digest(given.encode(), csrf_token().encode()):
            abort(400, "csrf")
    if request.endpoint is None or request.endpoint in OPEN:
        return None
    if g.person is None:
        if not is_use:
            abort(401)
        return redirect(url_for("sign_in.form", ended=1 if ended else None), code=303)
    action = getattr(current_app.view_functions[request.endpoint], "needs", None)
    if action is None or not is_allowed(action, g.person.roles):
        raise NotAllowed("your role may not do this")
    return None


def _finish(response: Response) -> Response:
    policy = _PDF_POLICY if response.mimetype == "application/pdf" else _PAGE_POLICY
    response.headers["Content-Security-Policy"] = policy
    response.headers["X-Frame-Options"] = "SAMEORIGIN" if response.mimetype == "application/pdf" else "DENY"
    for name, value in _HEADERS.items():
        response.headers[name] = value
    if request.endpoint in {"static", "fonts.font"}:
        response.headers["Cache-Control"] = "no-cache"
        return response
    if g.get("has_new_token") or (COOKIE not in request.cookies and response.mimetype == "text/html"):
        response.set_cookie(COOKIE, g.token, secure=True, httponly=True, samesite="Strict", path="/")
    return response


def _page(status: int, key: str) -> ResponseReturnValue:
    return render_template("problem.html", status=status, key=key), status


def _told(problem: TelereadError) -> ResponseReturnValue:
    status = next((code for kind, code in _STATUS_OF.items() if isinstance(problem, kind)), 500)
    return _page(status, f"problem.{status}")


def _http(problem: HTTPException) -> ResponseReturnValue:
    if problem.response is not None or (problem.code or 500) < 400:
        return problem
    if problem.code == 400 and problem.description == "csrf":
        return _page(400, "problem.csrf")
    known = {400, 404, 405, 413, 401}
    return _page(problem.code or 500, f"problem.{problem.code}" if problem.code in known else "problem.500")


def _fault(problem: Exception) -> ResponseReturnValue:
    # The place and the kind only; the text of an error may quote a patient.
    where = problem.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f"{where.tb_frame.f_code.co_name}:{where.tb_lineno}" if where else "?"
    number = secrets.token_hex(3)
    _log.error("fault %s: %s at %s of %s", number, type(problem).__name__, place, request.endpoint)
    return _page(500, "problem.500")
