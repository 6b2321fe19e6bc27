"""Sign-in, sign-out, and where each role begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from flask import Blueprint, Response, g, redirect, render_template, request, session, url_for
from flask_login import UserMixin, current_user

from teleread import clock
from teleread.dicomweb.context import actor, centre
from teleread.domain.access import Action, allows
from teleread.domain.sessions import TOLD
from teleread.errors import NotAllowed, NotFound, NotSignedIn
from teleread.services import accounts, factors
from teleread.services.factors import KeyAnswer, Site
from teleread.storage.session import transaction
from teleread.web.gate import from_where, session_token
from teleread.web.i18n import LANGUAGES
from teleread.web.security import device_cookie, device_of, safe_next
from teleread.web.views.times import clock_time

if TYPE_CHECKING:
    from flask import Request
    from flask.typing import ResponseReturnValue

    from teleread.domain.sessions import Ending
    from teleread.web.security import TokenSession

blueprint = Blueprint("auth", __name__)

#: Where a person begins: the first place whose action their roles allow.
FIRST_PLACES: tuple[tuple[Action, str], ...] = (
    (Action.CLAIM, "worklist.worklist"),
    (Action.COORDINATE, "coordination.coordination"),
    (Action.MANAGE_FACILITIES, "admin.admin"),
    (Action.SEE_STATUS, "facilities.status"),
    (Action.SEE_AUDIT, "admin.audit_search"),
)

PREFERENCE_SECONDS = 365 * 24 * 3600


class Person(UserMixin):  # type: ignore[misc]
    """Flask-Login's view of the signed-in person: what the gate found for this request."""

    def __init__(self, found: accounts.SignedIn) -> None:
        self.found = found

    def get_id(self) -> str:
        """Return the user's name."""
        return self.found.username


def load_person(_: Request) -> Person | None:
    """Return the person that the gate has let in, if any."""
    found = g.get("person")
    return Person(found) if found is not None else None


def _cookie() -> TokenSession:
    return cast("TokenSession", session._get_current_object())  # type: ignore[attr-defined]


def renew_token() -> None:
    """Give the browser another token for its session: both factors were asked for again."""
    with transaction(centre().engine) as db:
        token = accounts.renew_session(db, g.person.session_id)
    _cookie().replace_token(token, same_session=True)


def start_session(token: str) -> None:
    """Give the browser the token of a session that has just begun."""
    _cookie().replace_token(token)


def site() -> Site | None:
    """Return what security keys bind themselves to; None where the centre has no host name but an address."""
    address = urlsplit(centre().settings.public_url)
    host = address.hostname or ""
    if not host or ":" in host or host.rpartition(".")[2].isdigit():
        return None
    return Site(host, f"{address.scheme}://{address.netloc}", centre().settings.session_key())


def key_answer() -> KeyAnswer | None:
    """Return the answer of a security key in this form, if there is one."""
    response, here = request.form.get("key", ""), site()
    return KeyAnswer(response, session_token(), here) if response and here is not None else None


def half_width(text: str) -> str:
    """Return digits as ASCII: a Japanese keyboard may send them full-width, with blanks between."""
    return "".join(text.split()).translate(str.maketrans("０１２３４５６７８９", "0123456789"))


def _how_it_ended() -> tuple[Ending, str] | None:
    """Return why and when this browser's session ended, once: the browser gets a token that stands for nobody."""
    if request.method != "GET" or current_user.is_authenticated:
        return None
    with transaction(centre().engine, writes=False) as db:
        found = accounts.how_it_ended(db, session_token())
    if found is None or found[0] not in TOLD:
        return None
    _cookie().replace_token(None)
    return found[0], clock_time(found[1])


def _sign_in_page(problem: str | None = None, status: int = 200) -> ResponseReturnValue:
    target = safe_next(request.args.get("next"))
    page = render_template(
        "sign_in.html", problem=problem, next=target, ended=_how_it_ended(), keys=site() is not None
    )
    return page, status


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Show the form; take user name, password and one-time code together, so that none is told to be right."""
    if request.method == "GET":
        return _sign_in_page()
    username = request.form.get("username", "")
    secret = centre().settings.session_key()
    try:
        token = accounts.authenticate(
            centre().engine,
            username,
            request.form.get("password", ""),
            half_width(request.form.get("totp", "")),
            from_where=from_where(),
            at=clock.now(),
            device=device_of(request, secret, username),
            key=key_answer(),
            browser=session_token(),
            alone=centre().settings.one_session,
        )
    except NotSignedIn:
        return _sign_in_page("sign_in.refused", 401)
    start_session(token)
    answer = cast("Response", redirect(safe_next(request.args.get("next")) or url_for("auth.home"), 303))
    name, value = device_cookie(secret, username)
    answer.set_cookie(
        name, value, max_age=PREFERENCE_SECONDS, secure=True, httponly=True, samesite="Strict", path="/"
    )
    return answer


@blueprint.post("/sign-in/key")
def key_question() -> ResponseReturnValue:
    """Ask for a security key; the answer is alike for people who have one, have none, or do not exist.

    A form without a user name is one of the person who is signed in and is asked again.
    """
    here = site()
    if here is None:
        raise NotFound("security keys need a host name")
    signed_in = g.get("person")
    username = request.form.get("username", signed_in.username if signed_in else "")
    with transaction(centre().engine) as db:
        question = factors.ask_for_key(db, username, session_token(), site=here, at=clock.now())
    # The challenge is this browser's: its token has to stay the same until the answer.
    _cookie().changed = True
    return Response(question, mimetype="application/json")


@blueprint.get("/session")
def session_lives() -> ResponseReturnValue:
    """Tell an open page that its session lives; else the gate answers 401 and says why."""
    return "", 204


@blueprint.post("/lock")
def lock() -> ResponseReturnValue:
    """Close the session until the person signs in again; the page has hidden itself."""
    with transaction(centre().engine) as db:
        accounts.lock_session(db, session_token(), at=clock.now())
    return "", 204


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End the session at the centre; the browser gets a token that stands for nobody."""
    with transaction(centre().engine) as db:
        accounts.end_session(db, session_token(), at=clock.now())
    _cookie().replace_token(None)
    answer = redirect(url_for("auth.sign_in"), 303)
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    return answer


@blueprint.post("/preferences")
def preferences() -> ResponseReturnValue:
    """Keep language, theme and size of text: with the account of who is signed in, else in the browser."""
    answer = cast("Response", redirect(safe_next(request.form.get("next")) or url_for("auth.sign_in"), 303))
    if current_user.is_authenticated:
        size = request.form.get("size", "")
        with transaction(centre().engine) as db:
            accounts.keep_preferences(
                db,
                actor=actor(),
                language=request.form.get("language", ""),
                theme=request.form.get("theme", ""),
                size=int(size) if size.isascii() and size.isdigit() and len(size) < 4 else 0,
            )
    for name, known in (("language", LANGUAGES), ("theme", accounts.THEMES)):
        value = request.form.get(name)
        if value in known:
            answer.set_cookie(
                f"teleread-{name}",
                value,
                max_age=PREFERENCE_SECONDS,
                secure=True,
                httponly=True,
                samesite="Lax",
            )
    return answer


@blueprint.get("/")
def home() -> ResponseReturnValue:
    """Go to where the person's role begins."""
    if not current_user.is_authenticated:
        raise NotSignedIn("nobody is signed in")
    for action, endpoint in FIRST_PLACES:
        if allows(actor(), action):
            return redirect(url_for(endpoint), 303)
    raise NotAllowed("no page is for this role")
