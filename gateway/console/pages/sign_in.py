"""Coming in and going out."""

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from gateway.console.access import Action
from gateway.console.context import console, needs
from gateway.console.lettering import LANGUAGE_COOKIE, THEME_COOKIE, THEMES
from gateway.console.security import replace_token
from teleread.errors import NotSignedIn

blueprint = Blueprint("sign_in", __name__)

_YEAR_SECONDS = 365 * 86400


@blueprint.get("/sign-in")
def form() -> ResponseReturnValue:
    """Ask who it is."""
    if g.person is not None:
        return redirect(url_for("flow.studies"), code=303)
    return render_template("sign_in.html", refused=False, ended="ended" in request.args, username="")


@blueprint.post("/sign-in")
def sign_in() -> ResponseReturnValue:
    """Let somebody in, or say that it did not work."""
    here = console()
    username = request.form.get("username", "")[:64]
    try:
        token = here.accounts.sign_in(
            username,
            request.form.get("password", ""),
            request.form.get("code", ""),
            from_where=request.remote_addr or "",
            at=here.now(),
        )
    except NotSignedIn:
        return render_template("sign_in.html", refused=True, ended=False, username=username), 403
    replace_token(token)
    return redirect(url_for("flow.studies"), code=303)


@blueprint.post("/sign-out")
@needs(Action.SEE)
def sign_out() -> ResponseReturnValue:
    """End the session, and have the browser forget what it kept."""
    here = console()
    here.accounts.sign_out(g.token, at=here.now())
    replace_token()
    response = redirect(url_for("sign_in.form"), code=303)
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


@blueprint.post("/language")
def language() -> ResponseReturnValue:
    """Change language or theme of this browser."""
    # Back to the page, by its path alone: the address is the browser's word.
    back = request.form.get("back", "")
    safe = back.startswith("/") and not back.startswith("//") and "\\" not in back and back.isprintable()
    response = redirect(back if safe else url_for("sign_in.form"), code=303)
    for field, cookie, known in (
        ("language", LANGUAGE_COOKIE, ("ja", "en")),
        ("theme", THEME_COOKIE, THEMES),
    ):
        chosen = request.form.get(field, "")
        if chosen in known:
            response.set_cookie(
                cookie,
                chosen,
                secure=True,
                httponly=True,
                samesite="Strict",
                max_age=_YEAR_SECONDS,
            )
    return response
