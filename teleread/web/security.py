"""Headers of every answer, and the cookie.

One cookie exists beside those for language, theme and known browsers: it holds a random token and nothing else.
Before sign-in the token ties a form to the browser that asked for it; sign-in replaces it by the
token of the session that the centre keeps, so no token survives the step (session fixation).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import current_app, g
from flask.sessions import SessionInterface, SessionMixin

if TYPE_CHECKING:
    from flask import Flask, Request, Response

COOKIE = "__Host-teleread"

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "frame-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}


def content_security_policy(events_origin: str = "") -> str:
    """Return the policy of our pages; scripts may talk to us and, where it is another origin, to the streams."""
    rows = _POLICY | {"connect-src": f"'self' {events_origin}".strip()}
    return "; ".join(f"{name} {value}" for name, value in rows.items())


CONTENT_SECURITY_POLICY = content_security_policy()


# The browser shows a PDF with a page of its own inside the answer; that page needs its styles and
# the object itself. Nothing but our own pages may frame it.
PDF_SECURITY_POLICY = (
    "default-src 'self'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'"
)

HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": (
        "camera=(), microphone=(), geolocation=(), payment=(), usb=(), "
        "publickey-credentials-get=(self), publickey-credentials-create=(self)"
    ),
    "Strict-Transport-Security": "max-age=31536000",
    # A reading terminal keeps no images and no text when the tab is closed.
    "Cache-Control": "no-store",
}


class TokenSession(dict[str, Any], SessionMixin):
    """Flask's session object: its only lasting content is the token of the cookie."""

    def __init__(self, token: str, *, is_new: bool, key: bytes) -> None:
        super().__init__()
        self.token = token
        self.new = is_new
        self.changed = False
        #: What the centre calls the session that the token opens, once the gate has looked; forms are tied to it.
        self.name: str | None = None
        self._key = key

    def replace_token(self, token: str | None, *, same_session: bool = False) -> None:
        """Give the browser another token: at sign-in the session's, at sign-out a fresh one.

        After a step that asked for both factors again the session stays `same_session`: forms that are open in other
        tabs stay good.
        """
        self.token = token or secrets.token_urlsafe(32)
        self.changed = True
        if not same_session:
            self.name = None
            self.clear()
            g.pop("csrf_token", None)

    def __contains__(self, name: object) -> bool:
        return name == "csrf_token" or super().__contains__(name)

    def __getitem__(self, name: str) -> Any:
        if name == "csrf_token":
            if self.new:
                self.changed = True
            tied_to = self.name if self.name is not None else self.token
            return hmac.new(self._key, b"csrf\0" + tied_to.encode(), hashlib.sha256).hexdigest()
        return super().__getitem__(name)


class TokenSessions(SessionInterface):
    """Reads and writes the one cookie; the session's data stay in the centre's database."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def open_session(self, app: Flask, request: Request) -> TokenSession:  # noqa: ARG002
        token = request.cookies.get(COOKIE, "")
        if 20 <= len(token) <= 200 and token.isascii():
            return TokenSession(token, is_new=False, key=self._key)
        return TokenSession(secrets.token_urlsafe(32), is_new=True, key=self._key)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:  # noqa: ARG002
        if isinstance(session, TokenSession) and session.changed:
            response.set_cookie(COOKIE, session.token, secure=True, httponly=True, samesite="Lax", path="/")
            response.vary.add("Cookie")


def _device_mac(key: bytes, username: str, nonce: str) -> str:
    text = f"device\0{username}\0{nonce}".encode("utf-8", "surrogatepass")
    return hmac.new(key, text, hashlib.sha256).hexdigest()


def device_cookie(key: bytes, username: str) -> tuple[str, str]:
    """Return name and value of the cookie by which a browser proves later that this person signed in with it."""
    nonce = secrets.token_urlsafe(12)
    return _device_cookie_name(key, username), f"{nonce}.{_device_mac(key, username, nonce)}"


def _device_cookie_name(key: bytes, username: str) -> str:
    # One for each person of a shared terminal; the name does not tell whose.
    return f"__Host-known-{_device_mac(key, username, '')[:12]}"


def device_of(request: Request, key: bytes, username: str) -> str:
    """Return the name of the browser if this person signed in with it before, else an empty text."""
    value = request.cookies.get(_device_cookie_name(key, username), "")
    nonce, _, mac = value.partition(".")
    is_ours = hmac.compare_digest(mac.encode("utf-8", "replace"), _device_mac(key, username, nonce).encode())
    return nonce if nonce and is_ours else ""


def add_headers(response: Response) -> Response:
    """Put the security headers on an answer; a route may have set a stricter or fitting one itself."""
    response.headers.setdefault("Content-Security-Policy", current_app.config["PAGE_POLICY"])
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def safe_next(target: str | None) -> str | None:
    r"""Return a path of our own site to go to after sign-in, or None.

    Browsers read `//host`, `/\host` and a tab or line feed within as another site, so only a plain
    path that starts with one slash passes.
    """
    if not target or not target.startswith("/") or target.startswith("//"):
        return None
    if "\\" in target or any(ord(character) < 33 or ord(character) == 127 for character in target):
        return None
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return None
    return target
