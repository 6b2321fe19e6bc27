"""Serves the images' viewer: one page a case, and the files of the build that `viewer_setup` laid."""

from __future__ import annotations

import functools
import mimetypes
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Blueprint, Response, abort, render_template, request, send_from_directory, url_for

from teleread import clock
from teleread.dicomweb.context import actor, centre
from teleread.domain.identifiers import check_uid
from teleread.domain.viewing import Shown
from teleread.errors import InvalidInput, NotFound, Unavailable
from teleread.services import case_images
from teleread.storage.session import transaction
from teleread.web import viewer_setup
from teleread.web.i18n import texts
from teleread.web.views.layout import language

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flask.typing import ResponseReturnValue
    from sqlalchemy.orm import Session

    from teleread.web.viewer_setup import Build

blueprint = Blueprint("viewer", __name__, url_prefix="/viewer")


def _policy(rules: Mapping[str, str]) -> str:
    return "; ".join(f"{name} {value}" for name, value in rules.items())


#: The viewer's page. No inline script and no function made from a text; its decoders are WebAssembly. Its styles
#: come as attributes and elements of their own, so that only styles may be inline.
PAGE_POLICY = _policy(
    {
        "default-src": "'none'",
        "script-src": "'self' 'wasm-unsafe-eval'",
        "worker-src": "'self'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "connect-src": "'self'",
        "font-src": "'self'",
        "frame-ancestors": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "object-src": "'none'",
    }
)

#: A worker takes the policy of its own answer, so every file has one.
FILE_POLICY = _policy(
    {"default-src": "'none'", "script-src": "'self' 'wasm-unsafe-eval'", "connect-src": "'self'"}
)

#: The decoders of HTJ2K, JPEG-LS and JPEG make functions from texts in their worker; it can reach nothing but us.
DECODER_POLICY = _policy(
    {
        "default-src": "'none'",
        "script-src": "'self' 'unsafe-eval' 'wasm-unsafe-eval'",
        "connect-src": "'self'",
    }
)

#: Names of files change with their content: their folder is named by what they are made from.
_FOR_EVER = "public, max-age=31536000, immutable"

#: Our own scripts in the viewer, in the order they are needed.
_OWN_SCRIPTS = ("viewer/texts.js", "viewer/bridge.js", "viewer/mode.js", "viewer/config.js")

#: No screen shows more studies at a time.
_STUDIES_LIMIT = 64

_LANGUAGES = {"ja": "ja-JP", "en": "en-US"}

mimetypes.add_type("application/wasm", ".wasm")
mimetypes.add_type("font/woff2", ".woff2")
mimetypes.add_type("text/javascript", ".js")


@functools.cache
def laid_build() -> Build:
    """Return the build that this process serves; a new one is served after a restart."""
    try:
        return viewer_setup.read_build()
    except FileNotFoundError as error:
        raise Unavailable("the viewer has not been set up: run `make setup`") from error


@dataclass(frozen=True)
class ViewerView:
    """The viewer in the page of a case: its address, and what it may show."""

    url: str
    study: str
    studies: tuple[str, ...]
    frames: int
    texts: dict[str, str]


def view(session: Session, case_number: str) -> ViewerView | None:
    """Return the viewer for the page of a case, or None where the set-up has laid none."""
    try:
        laid_build()
    except Unavailable:
        return None
    found = case_images.case_images(session, case_number, actor=actor())
    own = found.study_instance_uid
    url = url_for("viewer.page", StudyInstanceUIDs=own, case=found.case_number, lng=_LANGUAGES[language()])
    return ViewerView(url, own, found.studies, found.frames, texts(language(), "viewer."))


def is_on_the_page(session: Session, case_number: str) -> bool:
    """Say whether the page of this case has a viewer in it: one is laid, and there is something to show."""
    try:
        laid_build()
        return case_images.case_images(session, case_number, actor=actor()).frames > 0
    except (NotFound, Unavailable):
        return False


def shown_of_form(form: Mapping[str, str], *, required: bool) -> tuple[Shown, bool] | None:
    """Return what the case page says its viewer shows, and whether doubts were confirmed.

    Parameters
    ----------
    required : bool
        The page of this case has a viewer. Without one None is returned when the form has no such fields.

    Raises
    ------
    InvalidInput
        The fields are missing, a number is none, or there are more studies than a screen can show.
    """
    if "shown_answered" not in form:
        if required:
            raise InvalidInput("shown_answered", "has to say what the viewer shows")
        return None
    failed = form.get("shown_failed", "0")
    if not failed.isascii() or not failed.isdigit() or len(failed) > 9:
        raise InvalidInput("shown_failed", "has to be a whole number")
    studies = form.get("shown_studies", "").split()
    if len(studies) > _STUDIES_LIMIT:
        raise InvalidInput("shown_studies", f"may name {_STUDIES_LIMIT} studies at most")
    for uid in studies:
        check_uid(uid, field="shown_studies")
    shown = Shown(form["shown_answered"] == "1", frozenset(studies), int(failed))
    return shown, form.get("shown_confirmed") == "1"


def _framed(page: str, status: int = 200) -> Response:
    answer = Response(page, status=status, content_type="text/html; charset=utf-8")
    answer.headers["Content-Security-Policy"] = PAGE_POLICY
    answer.headers["X-Frame-Options"] = "SAMEORIGIN"
    return answer


@blueprint.get("/viewer")
def page() -> ResponseReturnValue:
    """Show the images of a case; the address names it and its study, and neither may be another."""
    build = laid_build()
    asked = [uid for part in request.args.getlist("StudyInstanceUIDs") for uid in part.split(",")]
    with transaction(centre().engine) as session:
        found = case_images.case_images(session, request.args.get("case", ""), actor=actor())
        if not asked or asked[0] != found.study_instance_uid or not set(asked) <= set(found.studies):
            raise NotFound("there is no such study in this case")
        case_images.record_opening(session, found, actor=actor(), at=clock.now())
    return _framed(
        render_template(
            "viewer.html",
            build=build,
            files=url_for("viewer.file", build=build.name, name=build.bundle).removesuffix(build.bundle),
            own_scripts=_OWN_SCRIPTS,
            found=found,
            root=f"{request.script_root}/dicom-web/cases/{found.case_number}",
            viewer_language=_LANGUAGES[language()],
        )
    )


@blueprint.get("/notfoundstudy")
def not_found() -> ResponseReturnValue:
    """Say that a study is not there: the viewer's own route for a study that the search did not find."""
    return _framed(render_template("viewer_not_found.html"), 404)


@functools.cache
def _names(build: str) -> frozenset[str]:
    return frozenset(path.name for path in (viewer_setup.FOLDER / build).iterdir())


@blueprint.get("/<build>/<name>")
def file(build: str, name: str) -> ResponseReturnValue:
    """Return a file of the build, compressed where the browser reads that."""
    laid = laid_build()
    if build != laid.name or name not in _names(build) or name.endswith(".gz"):
        abort(404)
    packed = f"{name}.gz" in _names(build)
    compressed = packed and request.accept_encodings.quality("gzip") > 0
    answer = send_from_directory(
        viewer_setup.FOLDER / build,
        f"{name}.gz" if compressed else name,
        mimetype=mimetypes.guess_type(name)[0] or "text/plain",
        etag=False,
    )
    if compressed:
        answer.headers["Content-Encoding"] = "gzip"
    if packed:
        answer.vary.add("Accept-Encoding")
    answer.headers["Cache-Control"] = _FOR_EVER
    answer.headers["Content-Security-Policy"] = DECODER_POLICY if name == laid.decode_worker else FILE_POLICY
    return answer
