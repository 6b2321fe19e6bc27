"""The Japanese font for browsers whose system has none: the same files that the report uses."""

from flask import Blueprint, send_file
from flask.typing import ResponseReturnValue

from teleread import resources
from teleread.errors import NotFound

blueprint = Blueprint("fonts", __name__)


@blueprint.get("/fonts/<name>")
def font(name: str) -> ResponseReturnValue:
    """Return one of the two faces."""
    try:
        fonts = resources.report_fonts()
    except FileNotFoundError:
        raise NotFound("this installation has no fonts") from None
    found = {path.name: path for path in (fonts.regular, fonts.bold)}.get(name)
    if found is None:
        raise NotFound("there is no such font")
    return send_file(found, mimetype="font/ttf")
