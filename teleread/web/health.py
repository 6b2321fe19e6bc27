"""A sign of life for the supervisor: the database answers."""

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue
from sqlalchemy import text

from teleread.dicomweb.context import centre

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> ResponseReturnValue:
    """Answer 200 when this process can ask the database."""
    with centre().engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    return jsonify({"ok": True})
