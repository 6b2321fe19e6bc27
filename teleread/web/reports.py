"""Writing, reviewing and signing a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response, g, jsonify, redirect, render_template, request, url_for

from teleread import clock
from teleread.dicomweb.context import actor, centre
from teleread.errors import (
    Incomplete,
    InvalidInput,
    NotFound,
    ReauthenticationFailed,
    StateChangedMeanwhile,
    TransitionNotAllowed,
)
from teleread.rendering import characters
from teleread.services import case_images, factors, reading, reporting, signing, viewing
from teleread.storage.session import transaction
from teleread.web import viewer
from teleread.web.auth import half_width, key_answer, renew_token, site
from teleread.web.errors import wants_json
from teleread.web.i18n import texts
from teleread.web.readings import case_page
from teleread.web.security import PDF_SECURITY_POLICY
from teleread.web.views.cases import CaseRow, case_number_of, case_row
from teleread.web.views.layout import language
from teleread.web.views.times import clock_time, moment

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

blueprint = Blueprint("reports", __name__, url_prefix="/cases/<case_number>")


def pdf_answer(pdf: bytes) -> Response:
    """Return a PDF that the browser shows inside our own page and nowhere else."""
    answer = Response(pdf, content_type="application/pdf")
    answer.headers["Content-Security-Policy"] = PDF_SECURITY_POLICY
    answer.headers["X-Frame-Options"] = "SAMEORIGIN"
    answer.headers["Content-Disposition"] = "inline"
    return answer


def _view(case_number: str) -> tuple[reading.CaseView, CaseRow]:
    at = clock.now()
    with transaction(centre().engine) as session:
        found = reading.case_view(session, case_number, actor=actor(), at=at)
    return found, case_row(found.row, language=language(), at=at)


@blueprint.post("/draft")
def save_draft(case_number: str) -> ResponseReturnValue:
    """Save the draft on the revision it was written on; a newer one is answered with what it holds."""
    document = request.get_json()
    if not isinstance(document, dict) or not isinstance(document.get("sections"), dict):
        raise InvalidInput("sections", "has to be an object of texts")
    base_revision = document.get("base_revision")
    if not isinstance(base_revision, int) or isinstance(base_revision, bool):
        raise InvalidInput("base_revision", "has to be a whole number")
    at = clock.now()
    try:
        with transaction(centre().engine) as session:
            revision = reporting.save_draft(
                session, case_number, document["sections"], base_revision, actor=actor(), at=at
            )
    except StateChangedMeanwhile as error:
        body: dict[str, object] = {"error": error.code, "message": error.message}
        if isinstance(error.newest, reporting.DraftView):
            newest = error.newest
            body |= {
                "revision": newest.revision,
                "newest": {
                    "revision": newest.revision,
                    "sections": newest.sections,
                    "saved": clock_time(newest.saved_at),
                },
            }
        return jsonify(body), 409
    missing = {
        name: " ".join(found)
        for name, written in document["sections"].items()
        if isinstance(written, str) and (found := characters.missing(written))
    }
    return jsonify(
        {"revision": revision, "saved_at": at.isoformat(), "saved": clock_time(at), "missing": missing}
    )


#: What stands against signing, by the code of the refusal → the text above the report.
_OBSTACLES = {
    "section_empty": "review.required_missing",
    "images_added": "review.images_added",
    "study_incomplete": "review.study_incomplete",
    "study_quarantined": "review.study_quarantined",
    "other_study_shown": "viewer.other_study",
    "viewer_silent": "viewer.doubt_silent",
    "study_not_shown": "viewer.doubt_not_shown",
    "images_failed": "viewer.doubt_failed_some",
}


@blueprint.post("/review")
def request_review(case_number: str) -> ResponseReturnValue:
    """Ask for the exact PDF of one revision of the draft."""
    revision = request.form.get("revision", "")
    if not revision.isascii() or not revision.isdigit() or len(revision) > 9:
        raise InvalidInput("revision", "has to be a whole number")
    try:
        with transaction(centre().engine) as session:
            has_viewer = viewer.is_on_the_page(session, case_number)
            told = viewer.shown_of_form(request.form, required=has_viewer)
            if told is not None:
                shown, confirmed = told
                case_images.check_shown(
                    session, case_number, shown, confirmed=confirmed, actor=actor(), at=clock.now()
                )
            rendering_id = signing.request_review(
                session,
                case_number,
                int(revision),
                actor=actor(),
                at=clock.now(),
                centre_name=centre().settings.centre_name,
                acknowledge_images="acknowledge_images" in request.form,
                incomplete_reason=request.form.get("incomplete_reason", "")[:500],
            )
    except (Incomplete, StateChangedMeanwhile, TransitionNotAllowed) as error:
        if wants_json():
            raise
        return case_page(case_number, _OBSTACLES.get(error.code.split(".")[0], "case.changed"), 409)
    return redirect(url_for("reports.review", case_number=case_number, rendering_id=rendering_id), 303)


def _review_page(
    case_number: str, rendering_id: str, problem: str | None = None, status: int = 200
) -> ResponseReturnValue:
    with transaction(centre().engine, writes=False) as session:
        rendering = signing.rendering(session, rendering_id, actor=actor(), case_number=case_number)
        has_key = site() is not None and bool(factors.keys_of(session, g.person.user_id))
    if wants_json():
        body = {
            "state": rendering.state,
            "pdf_sha256": rendering.pdf_sha256,
            "pages": rendering.pages,
            "missing_glyphs": rendering.missing_glyphs,
            "failure": rendering.failure,
            "is_signed": rendering.is_signed,
            "signed": moment(rendering.signed_at)[-5:] if rendering.signed_at else "",
        }
        return jsonify(body), status
    if rendering.is_signed:
        return redirect(url_for("reports.signed", case_number=case_number), 303)
    found, case = _view(case_number)
    digest = (rendering.pdf_sha256 or "").upper()
    page = render_template(
        "review.html",
        case=case,
        rendering=rendering,
        version=len(found.versions) + 1,
        pdf_url=url_for("reports.review_pdf", case_number=case_number, rendering_id=rendering_id),
        digest_groups=" ".join(digest[at : at + 4] for at in range(0, len(digest), 4)),
        problem=problem,
        keys=has_key,
        texts=texts(language(), "sign.") | texts(language(), "review."),
        here=url_for("reports.review", case_number=case_number, rendering_id=rendering_id),
    )
    return page, status


@blueprint.get("/review/<rendering_id>")
def review(case_number: str, rendering_id: str) -> ResponseReturnValue:
    """Show the exact PDF; the signature can be given when it is there."""
    return _review_page(case_number, rendering_id)


@blueprint.get("/review/<rendering_id>/pdf")
def review_pdf(case_number: str, rendering_id: str) -> ResponseReturnValue:
    """Return the exact PDF that would be signed."""
    here = centre()
    with transaction(here.engine, writes=False) as session:
        pdf = signing.rendering_pdf(session, here.blobs, rendering_id, actor=actor(), case_number=case_number)
    return pdf_answer(pdf)


@blueprint.post("/sign")
def sign(case_number: str) -> ResponseReturnValue:
    """Take the reader's signature for one digest, with the password and a second factor."""
    rendering_id = request.form.get("rendering_id", "")
    seen = request.form.get("seen_pages", "")
    try:
        signed_report = signing.authorise_and_sign(
            centre().engine,
            case_number,
            rendering_id,
            request.form.get("pdf_sha256", ""),
            request.form.get("password", ""),
            half_width(request.form.get("totp", "")),
            seen_pages=int(seen) if seen.isascii() and seen.isdigit() and len(seen) < 6 else 0,
            key=key_answer(),
            actor=actor(),
            at=clock.now(),
        )
    except (Incomplete, ReauthenticationFailed, StateChangedMeanwhile) as error:
        if wants_json():
            raise
        if isinstance(error, Incomplete):
            unseen = error.code == "pages_unseen"
            return _review_page(
                case_number, rendering_id, "review.pages_unseen" if unseen else "review.changed", 409
            )
        if isinstance(error, ReauthenticationFailed):
            return _review_page(case_number, rendering_id, "review.refused", 403)
        return _review_page(case_number, rendering_id, "review.changed", 409)
    renew_token()
    if wants_json():
        return jsonify(
            {
                "state": signed_report.status,
                "version": signed_report.version,
                "signed_at": signed_report.signed_at.isoformat(),
                "already_signed": signed_report.already_signed,
            }
        )
    return redirect(url_for("reports.signed", case_number=case_number), 303)


@blueprint.get("/signed")
def signed(case_number: str) -> ResponseReturnValue:
    """Show the newest signed version and where it is on its way."""
    found, case = _view(case_number)
    # The version and the PDF of this very case; an addendum has a case of its own.
    newest = next(
        (
            version
            for version in found.versions
            if version.signed_at is not None and version.case_number == found.row.case_number
        ),
        None,
    )
    if newest is None:
        raise NotFound("there is no signed report of this case")
    if wants_json():
        return jsonify(
            {
                "state": newest.status,
                "version": newest.version,
                "pdf_ready": newest.pdf_sha256 is not None,
                "pdf_sha256": newest.pdf_sha256,
                "delivery": newest.delivery_state,
            }
        )
    page = render_template(
        "signed.html",
        case=case,
        report={
            "signer": newest.signer,
            "signed": moment(newest.signed_at),
            "version": newest.version,
            "delivery_key": f"delivery.{newest.delivery_state}" if newest.delivery_state else None,
            "pdf_url": url_for("reports.signed_pdf", case_number=case_number) if newest.pdf_sha256 else None,
        },
    )
    return page, 200


@blueprint.get("/signed/pdf")
def signed_pdf(case_number: str) -> ResponseReturnValue:
    """Return the newest signed PDF, under the pseudonym."""
    here = centre()
    with transaction(here.engine) as session:
        pdf = signing.signed_pdf(session, here.blobs, case_number, actor=actor())
        viewing.note_report(session, case_number_of(case_number), actor=actor(), at=clock.now())
    return pdf_answer(pdf)
