"""The Japanese font for browsers whose system has none: the same files that the report uses."""

from flask import Blueprint, abort, send_file
from flask.typing import ResponseReturnValue

from teleread import resources

blueprint = Blueprint("fonts", __name__)

FONT_SECONDS = 30 * 24 * 3600


@blueprint.get("/fonts/<name>")
def font(name: str) -> ResponseReturnValue:
    """Return one of the two faces."""
    fonts = resources.report_fonts()
    found = {path.name: path for path in (fonts.regular, fonts.bold)}.get(name)
    if found is None:
        abort(404)
    answer = send_file(found, mimetype="font/ttf", max_age=FONT_SECONDS)
    answer.headers["Cache-Control"] = f"public, max-age={FONT_SECONDS}"
    return answer
