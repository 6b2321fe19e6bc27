"""What a person or a program sees when something is refused."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING

from flask import current_app, jsonify, redirect, render_template, request, url_for
from werkzeug.exceptions import HTTPException

from teleread.dicomweb.errors import error_body, error_headers, http_status
from teleread.domain.identifiers import CROCKFORD
from teleread.errors import InvalidInput, NotSignedIn, PasswordIsInitial, TelereadError

if TYPE_CHECKING:
    from flask import Flask
    from flask.typing import ResponseReturnValue

log = logging.getLogger(__name__)

#: Stable codes for answers that come from the framework, not from our error tree.
HTTP_CODES = {
    400: "bad_request",
    401: "not_signed_in",
    403: "not_allowed",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "state_changed_meanwhile",
    411: "length_required",
    413: "too_large",
    415: "unsupported_media_type",
    431: "too_large",
    500: "server_fault",
}

#: Statuses whose page has words of its own in the table of texts (`error.<status>`).
_WORDED = {400, 401, 403, 404, 409, 413, 500, 503, 507}


def wants_json() -> bool:
    """Say whether the one who asks reads JSON: programs' paths always, pages when asked for."""
    if (
        current_app.config["ONLY_JSON"]
        or request.path.startswith(("/dicom-web/", "/gateway/"))
        or request.is_json
    ):
        return True
    accepted = request.accept_mimetypes
    return accepted["application/json"] > accepted["text/html"]


def _page(status: int, *, field: str | None = None, number: str | None = None) -> str:
    name = f"error.{status}" if status in _WORDED else "error.other"
    if status == 404 and not request.path.startswith("/cases/"):
        name = "error.no_page"
    return render_template("error.html", status=status, text_key=name, field=field, number=number)


def _answer_tree(error: TelereadError) -> ResponseReturnValue:
    status = http_status(error)
    headers = error_headers(status)
    if status >= 500:
        log.warning("%s %s answered %s: %s", request.method, request.endpoint, status, error.code)
    if wants_json():
        return jsonify(error_body(error)), status, headers
    if isinstance(error, NotSignedIn):
        # A form that was sent cannot be sent again by a redirect; its page can be opened again.
        here = request.full_path.rstrip("?") if request.method == "GET" else None
        return redirect(url_for("auth.sign_in", next=here if here != "/" else None), 303)
    if isinstance(error, PasswordIsInitial):
        return redirect(url_for("account.account"), 303)
    return _page(status, field=error.field if isinstance(error, InvalidInput) else None), status, headers


def _answer_http(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    if status < 400:
        return error
    if wants_json():
        body = {"error": HTTP_CODES.get(status, "http_error"), "message": error.name}
        return jsonify(body), status, error_headers(status)
    return _page(status), status, error_headers(status)


def _answer_fault(error: Exception) -> ResponseReturnValue:
    # The number ties what the person reads to the line in the log; the text of the exception may
    # quote data, so only its place is logged.
    number = "E-" + "".join(CROCKFORD[secrets.randbelow(32)] for _ in range(6))
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "unknown"
    log.error("fault %s: %s in %s at %s", number, type(error).__name__, request.endpoint, place)
    if wants_json():
        return jsonify({"error": "server_fault", "message": number}), 500
    return _page(500, number=number), 500


def install(app: Flask) -> None:
    """Tell the application how to answer each kind of error."""
    app.register_error_handler(TelereadError, _answer_tree)
    app.register_error_handler(HTTPException, _answer_http)
    app.register_error_handler(Exception, _answer_fault)
