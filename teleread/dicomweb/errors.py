"""The error tree as HTTP: one table for DICOMweb, the gateway interface and the pages."""

from __future__ import annotations

from teleread.errors import (
    IdentityLeak,
    Incomplete,
    InvalidInput,
    NotAllowed,
    NotFound,
    NotSignedIn,
    OutOfSpace,
    ReauthenticationFailed,
    StateChangedMeanwhile,
    TelereadError,
    TransitionNotAllowed,
    Unavailable,
)

#: Status by class; a subclass takes the nearest ancestor's (architecture, section 8).
HTTP_STATUS: dict[type[TelereadError], int] = {
    NotFound: 404,
    NotAllowed: 403,
    NotSignedIn: 401,
    ReauthenticationFailed: 403,
    InvalidInput: 400,
    TransitionNotAllowed: 409,
    StateChangedMeanwhile: 409,
    Incomplete: 409,
    IdentityLeak: 422,
    OutOfSpace: 507,
    Unavailable: 503,
    TelereadError: 500,
}

#: Seconds that a caller is asked to wait when the centre says 503 or 507.
RETRY_AFTER_SECONDS = {503: 5, 507: 60}


def http_status(error: TelereadError) -> int:
    """Return the HTTP status for an error of the tree."""
    return next(HTTP_STATUS[kind] for kind in type(error).__mro__ if kind in HTTP_STATUS)


def error_body(error: TelereadError) -> dict[str, str]:
    """Return the JSON body: `error` (stable code), `message`, and `field` where one is to blame."""
    body = {"error": error.code, "message": error.message}
    if isinstance(error, InvalidInput):
        body["field"] = error.field
    return body


def error_headers(status: int) -> dict[str, str]:
    """Return the headers that go with a status: how long to wait, or how to sign in."""
    headers = {}
    if status in RETRY_AFTER_SECONDS:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS[status])
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="teleread"'
    return headers
