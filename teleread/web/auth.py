"""Sign-in, sign-out, and where each role begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from flask import Blueprint, Response, g, redirect, render_template, request, session, url_for
from flask_login import UserMixin, current_user

from teleread import clock
from teleread.dicomweb.context import actor, centre
from teleread.domain.access import Action, allows
from teleread.errors import NotAllowed, NotSignedIn
from teleread.services import accounts
from teleread.storage.session import transaction
from teleread.web.gate import from_where, session_token
from teleread.web.i18n import LANGUAGES
from teleread.web.security import safe_next

if TYPE_CHECKING:
    from flask import Request
    from flask.typing import ResponseReturnValue

    from teleread.web.security import TokenSession

blueprint = Blueprint("auth", __name__)

#: Where a person begins: the first place whose action their roles allow.
FIRST_PLACES: tuple[tuple[Action, str], ...] = (
    (Action.CLAIM, "worklist.worklist"),
    (Action.COORDINATE, "coordination.coordination"),
    (Action.MANAGE_FACILITIES, "admin.admin"),
    (Action.SEE_STATUS, "facilities.status"),
)

THEMES = ("dark", "light")
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


def half_width(text: str) -> str:
    """Return digits as ASCII: a Japanese keyboard may send them full-width, with blanks between."""
    return "".join(text.split()).translate(str.maketrans("０１２３４５６７８９", "0123456789"))


def _has_expired() -> bool:
    """Say whether this browser's session ran out, once: the browser gets a token that stands for nobody."""
    if request.method != "GET" or current_user.is_authenticated:
        return False
    with transaction(centre().engine, writes=False) as db:
        expired = accounts.is_left_over(db, session_token())
    if expired:
        _cookie().replace_token(None)
    return expired


def _sign_in_page(problem: str | None = None, status: int = 200) -> ResponseReturnValue:
    target = safe_next(request.args.get("next"))
    page = render_template("sign_in.html", problem=problem, next=target, expired=_has_expired())
    return page, status


@blueprint.route("/sign-in", methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Show the form; take user name, password and one-time code together, so that none is told to be right."""
    if request.method == "GET":
        return _sign_in_page()
    try:
        token = accounts.authenticate(
            centre().engine,
            request.form.get("username", ""),
            request.form.get("password", ""),
            half_width(request.form.get("totp", "")),
            from_where=from_where(),
            at=clock.now(),
        )
    except NotSignedIn:
        return _sign_in_page("sign_in.refused", 401)
    _cookie().replace_token(token)
    return redirect(safe_next(request.args.get("next")) or url_for("auth.home"), 303)


@blueprint.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End the session at the centre; the browser gets a token that stands for nobody."""
    with transaction(centre().engine) as db:
        accounts.end_session(db, session_token(), at=clock.now())
    _cookie().replace_token(None)
    answer = redirect(url_for("auth.sign_in"), 303)
    answer.headers["Clear-Site-Data"] = '"storage"'
    return answer


@blueprint.post("/preferences")
def preferences() -> ResponseReturnValue:
    """Keep language and theme in the browser."""
    answer = cast("Response", redirect(safe_next(request.form.get("next")) or url_for("auth.sign_in"), 303))
    for name, known in (("language", LANGUAGES), ("theme", THEMES)):
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
