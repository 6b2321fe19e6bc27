"""A reader at the web interface: signs in, claims, writes, looks at the rendering and signs, over HTTPS like a browser."""

from __future__ import annotations

import hashlib
import re
import ssl
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import pyotp

from teleread.errors import StateChangedMeanwhile, Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TOKEN = re.compile(r'name="csrf[-_]token"[^>]*?(?:content|value)="([^"]+)"')

#: Length of a TOTP step (RFC 6238 Section 4.1); the centre takes the step before and after too, each step once.
STEP_SECONDS = 30

#: Answers that say "not now": the part behind is being restarted.
_TRY_AGAIN = frozenset({502, 503, 504})


@dataclass
class SignIn:
    """What a person knows and holds."""

    username: str
    password: str
    totp_secret: str
    last_step: int = field(default=0)

    def one_time_code(self) -> str:
        """Return a code of a step that has not been used yet, waiting for one if need be."""
        while True:
            now = int(time.time()) // STEP_SECONDS
            step = max(self.last_step + 1, now - 1)
            if step <= now + 1:
                self.last_step = step
                return pyotp.TOTP(self.totp_secret).at(step * STEP_SECONDS)
            time.sleep(0.2)


@dataclass(frozen=True)
class Signed:
    """A signature that the centre has taken, and when each step was seen done (milliseconds since 1970)."""

    case_number: str
    pdf_sha256: str
    rendered_ms: int
    signed_ms: int


class ReaderClient:
    """One person's browser.

    Parameters
    ----------
    url : str
        The people's listener.
    ca_certificate : Path
        PEM of the centre's CA; nothing else is trusted.
    sign_in : SignIn
    patience_seconds : float
        How long a part may be away before an act fails.
    """

    def __init__(
        self, url: str, ca_certificate: Path, sign_in: SignIn, *, patience_seconds: float = 60.0
    ) -> None:
        self._who = sign_in
        self._patience_seconds = patience_seconds
        context = ssl.create_default_context(cafile=str(ca_certificate))
        self._pages: dict[str, int] = {}
        self._http = httpx.Client(base_url=url, verify=context, timeout=30.0)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def cookie(self, name: str) -> str:
        """Return a cookie's value."""
        return self._http.cookies[name]

    def _send(self, method: str, path: str, **parts: Any) -> httpx.Response:
        """Send a request, again while the listener is away; every act behind it answers a repetition alike."""
        gives_up = time.monotonic() + self._patience_seconds
        while True:
            try:
                answer = self._http.request(method, path, **parts)
                if answer.status_code not in _TRY_AGAIN:
                    return answer
                why = f"{answer.status_code}"
            except httpx.TransportError as error:
                why = type(error).__name__
            if time.monotonic() > gives_up:
                raise Unavailable(f"{method} {path}: {why}")
            time.sleep(0.1)

    def _token(self, path: str) -> str:
        answer = self._send("GET", path)
        found = _TOKEN.search(answer.text)
        if answer.status_code != httpx.codes.OK or found is None:
            raise Unavailable(f"GET {path} answered {answer.status_code} without a form")
        return found.group(1)

    def sign_in(self) -> None:
        """Sign in with password and one-time code."""
        gives_up = time.monotonic() + self._patience_seconds
        while True:
            form = {
                "username": self._who.username,
                "password": self._who.password,
                "csrf_token": self._token("/sign-in"),
                "totp": self._who.one_time_code(),
            }
            answer = self._send("POST", "/sign-in", data=form, headers=self._headers("/sign-in"))
            if answer.status_code in {httpx.codes.SEE_OTHER, httpx.codes.FOUND}:
                return
            if time.monotonic() > gives_up:
                raise Unavailable(f"sign-in answered {answer.status_code}")

    def _headers(self, path: str) -> dict[str, str]:
        # Flask-WTF asks for a same-origin Referer on TLS, as browsers send it.
        return {"Referer": str(self._http.base_url.join(path)), "Accept": "text/html"}

    def worklist(self) -> list[dict[str, Any]]:
        """Return the rows of the reading list."""
        answer = self._send("GET", "/worklist", headers={"Accept": "application/json"})
        if answer.status_code != httpx.codes.OK:
            self.sign_in()
            answer = self._send("GET", "/worklist", headers={"Accept": "application/json"})
        rows: list[dict[str, Any]] = answer.json()["rows"]
        return rows

    def claim(self, case_number: str) -> bool:
        """Claim a case; False when somebody else has it."""
        path = f"/cases/{case_number}/claim"
        form = {"csrf_token": self._token("/worklist")}
        answer = self._send("POST", path, data=form, headers=self._headers("/worklist"))
        return answer.status_code < httpx.codes.BAD_REQUEST

    def write(self, case_number: str, sections: Mapping[str, str]) -> int:
        """Save the report's text as the editor does; return the revision."""
        page = f"/cases/{case_number}"
        revision = 0
        gives_up = time.monotonic() + self._patience_seconds
        while time.monotonic() < gives_up:
            answer = self._send(
                "POST",
                f"{page}/draft",
                json={"base_revision": revision, "sections": dict(sections)},
                headers={
                    **self._headers(page),
                    "Accept": "application/json",
                    "X-CSRFToken": self._token(page),
                },
            )
            if answer.status_code == httpx.codes.OK:
                return int(answer.json()["revision"])
            if answer.status_code == httpx.codes.CONFLICT:
                revision = _newest_revision(answer, revision)
                continue
            raise Unavailable(f"the draft was answered {answer.status_code}: {answer.text[:200]}")
        raise StateChangedMeanwhile("the draft kept changing")

    def review(self, case_number: str, revision: int) -> tuple[str, str]:
        """Ask for the exact PDF and wait for it; return the rendering's id and the SHA-256 of the bytes seen."""
        page = f"/cases/{case_number}"
        rendering = self._ask_for_review(page, revision)
        where = f"{page}/review/{rendering}"
        gives_up = time.monotonic() + self._patience_seconds
        while True:
            state = self._send("GET", where, headers={"Accept": "application/json"}).json()
            if state["state"] == "ready":
                break
            if state["state"] == "failed" or time.monotonic() > gives_up:
                raise Unavailable(f"the rendering of case {case_number} is {state['state']}")
            time.sleep(0.05)
        pdf = self._send("GET", f"{where}/pdf").content
        seen = hashlib.sha256(pdf).hexdigest()
        if seen != state["pdf_sha256"]:
            raise Unavailable("the PDF shown is not the one that was rendered")
        self._pages[rendering] = state["pages"]
        return rendering, seen

    def _ask_for_review(self, page: str, revision: int) -> str:
        """Return the rendering's id; wait while images still come in, and say what the page asks to be said of them."""
        gives_up = time.monotonic() + self._patience_seconds
        while True:
            # This reader has no screen: it says so, and that it goes on all the same.
            form = {
                "revision": str(revision),
                "csrf_token": self._token(page),
                "shown_answered": "0",
                "shown_confirmed": "1",
            }
            if 'name="acknowledge_images"' in self._send("GET", page).text:
                form["acknowledge_images"] = "yes"
            answer = self._send("POST", f"{page}/review", data=form, headers=self._headers(page))
            if answer.status_code in {httpx.codes.SEE_OTHER, httpx.codes.FOUND}:
                return str(answer.headers["Location"]).rstrip("/").rpartition("/")[2]
            if answer.status_code != httpx.codes.CONFLICT or time.monotonic() > gives_up:
                raise Unavailable(f"review was answered {answer.status_code}")
            time.sleep(0.2)

    def sign(self, case_number: str, rendering: str, pdf_sha256: str) -> None:
        """Sign exactly the digest that was seen, with password and a fresh one-time code.

        Raises
        ------
        StateChangedMeanwhile
            Text or images changed since the review.
        """
        page = f"/cases/{case_number}/review/{rendering}"
        gives_up = time.monotonic() + self._patience_seconds
        while True:
            form = {
                "csrf_token": self._token(page),
                "rendering_id": rendering,
                "pdf_sha256": pdf_sha256,
                "seen_pages": str(self._pages.get(rendering, 0)),
                "password": self._who.password,
                "totp": self._who.one_time_code(),
            }
            headers = {**self._headers(page), "Accept": "application/json"}
            answer = self._send("POST", f"/cases/{case_number}/sign", data=form, headers=headers)
            if answer.status_code in {httpx.codes.OK, httpx.codes.SEE_OTHER, httpx.codes.FOUND}:
                return
            if answer.status_code == httpx.codes.CONFLICT:
                raise StateChangedMeanwhile(f"case {case_number} changed since its review")
            # An answer that was lost leaves its code used: the next step's code settles it.
            if time.monotonic() > gives_up:
                raise Unavailable(
                    f"signing case {case_number} was answered {answer.status_code}: {answer.text[:200]}"
                )

    def read_and_sign(self, case_number: str, sections: Mapping[str, str]) -> Signed:
        """Do a claimed case: write, review, sign."""
        revision = self.write(case_number, sections)
        gives_up = time.monotonic() + self._patience_seconds
        while True:
            rendering, digest = self.review(case_number, revision)
            rendered_ms = time.time_ns() // 1_000_000
            try:
                self.sign(case_number, rendering, digest)
            except StateChangedMeanwhile:
                if time.monotonic() > gives_up:
                    raise
            else:
                return Signed(case_number, digest, rendered_ms, time.time_ns() // 1_000_000)


def _newest_revision(answer: httpx.Response, revision: int) -> int:
    newest = answer.json().get("revision", revision)
    return int(newest)
