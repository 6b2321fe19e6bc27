"""The gate before every route: who asks, by which door, and whether the table of permissions lets them in."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from flask import g, request, session
from flask_wtf.csrf import CSRFError, CSRFProtect

from teleread import clock
from teleread.dicomweb.context import centre
from teleread.domain import access
from teleread.domain.sessions import Ending
from teleread.errors import InvalidInput, NotAllowed, NotSignedIn, PasswordIsInitial, Unavailable
from teleread.services import accounts, facilities
from teleread.storage.session import transaction
from teleread.web.permissions import TABLES, Door, Rule

if TYPE_CHECKING:
    from flask import Flask

    from teleread.domain.access import Actor
    from teleread.web.security import TokenSession

csrf = CSRFProtect()

#: Sent with what a page asks by itself: an open list must not keep a person signed in who has left.
BACKGROUND_HEADER = "Teleread-Background"
#: Whoever has a password that somebody else has seen goes nowhere else before choosing another.
INITIAL_PASSWORD_ROUTES = frozenset(
    {"account.account", "account.password", "auth.sign_out", "auth.lock", "auth.session_lives"}
)

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


def from_where() -> str:
    """Return the address that the request came from."""
    return request.remote_addr or "unknown"


def session_token() -> str:
    """Return the token of the cookie."""
    return cast("TokenSession", session).token


def _session_user(*, writes: bool) -> accounts.SignedIn | None:
    settings = centre().settings
    with transaction(centre().engine, writes=writes) as db:
        return accounts.session_user(
            db,
            session_token(),
            at=clock.now(),
            from_where=from_where(),
            idle=timedelta(seconds=settings.idle_seconds),
            absolute=timedelta(seconds=settings.absolute_seconds),
            note=BACKGROUND_HEADER not in request.headers,
        )


def _by_session() -> bool:
    try:
        # Almost always a mere look: taking the write lock for each image would make uploads wait.
        found = _session_user(writes=False)
    except Unavailable:
        # The note that the person is there met another writer; with the lock taken first it cannot.
        found = _session_user(writes=True)
    if found is None:
        return False
    g.person, g.actor = found, found.actor
    cast("TokenSession", session).name = found.session_name
    return True


def _not_signed_in() -> NotSignedIn:
    with transaction(centre().engine, writes=False) as db:
        ended = accounts.how_it_ended(db, session_token())
    if ended is not None and ended[0] is Ending.ELSEWHERE:
        return NotSignedIn("the person signed in in another browser", code="signed_in_elsewhere")
    return NotSignedIn("the session has ended, or nobody is signed in")


def _by_token() -> bool:
    kind, _, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not text:
        return False
    with transaction(centre().engine, writes=False) as db:
        g.actor = accounts.token_actor(db, text.strip(), at=clock.now(), from_where=from_where())
    return g.actor is not None


def peer_certificate() -> bytes | None:
    """Return the DER of the client's certificate, from the TLS socket that gunicorn hands on."""
    socket: Any = request.environ.get("gunicorn.socket")
    read = getattr(socket, "getpeercert", None)
    return cast("bytes | None", read(binary_form=True)) if read else None


def _by_certificate() -> Actor:
    certificate = peer_certificate()
    if certificate is None:
        raise NotAllowed("this listener is for gateways with a client certificate", code="no_certificate")
    digest = hashlib.sha256(certificate).hexdigest()
    with transaction(centre().engine, writes=False) as db:
        return facilities.gateway_by_certificate(db, digest, at=clock.now(), from_where=from_where())


def _check_csrf() -> None:
    """Refuse a change that did not come from a page of ours: the token must be the cookie's."""
    if request.method in _SAFE_METHODS:
        return
    if request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}:
        raise InvalidInput("csrf_token", "the request came from another site", code="csrf")
    try:
        csrf.protect()
    except CSRFError as error:
        raise InvalidInput("csrf_token", "the form is not from this browser's page", code="csrf") from error


def _pass(rule: Rule) -> None:
    if rule.door is Door.OPEN:
        return
    if rule.door is Door.OPEN_FORM:
        # Who is signed in anyway is known to these pages too, without being asked for.
        _by_session()
        _check_csrf()
        return
    if rule.door is Door.CERTIFICATE:
        g.actor = _by_certificate()
    elif rule.door is Door.SESSION_OR_TOKEN and _by_token():
        pass
    elif _by_session():
        _check_csrf()
        if g.person.password_is_initial and request.endpoint not in INITIAL_PASSWORD_ROUTES:
            raise PasswordIsInitial
    else:
        raise _not_signed_in()
    if rule.action is not None:
        access.require(g.actor, rule.action)


def install(app: Flask, listener: str) -> None:
    """Put the gate before every request of the application."""
    table = TABLES[listener]

    @app.before_request
    def gate() -> None:
        if request.endpoint is not None:
            _pass(table[request.endpoint])
        elif listener == "people":
            # The page that says "no such page" keeps the way back for who is signed in.
            _by_session()
