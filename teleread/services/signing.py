"""From a draft to a signed report: the exact page first, then the reader's leave for its digest, then the signature.

The web process never signs: it writes down that this person, authenticated again, allows the signature of this one
digest. The worker signs that digest and nothing else.
"""

import hashlib
import logging
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, Engine, select, update
from sqlalchemy.orm import Session

from teleread.domain.access import Action, Actor, require, system_actor
from teleread.domain.identifiers import check_sha256
from teleread.domain.reporting import SigningFacts, canonical_digest, clean_sections, signing_obstacles
from teleread.domain.workflow import Who
from teleread.errors import (
    Incomplete,
    InvalidInput,
    NotAllowed,
    NotFound,
    StateChangedMeanwhile,
    TransitionNotAllowed,
    Unavailable,
)
from teleread.jobs import JobName
from teleread.rendering.context import ReportContent
from teleread.rendering.report_pdf import render_in_child
from teleread.rendering.signature import sign_report
from teleread.services import accounts, audit, workflow
from teleread.services.factors import KeyAnswer
from teleread.services.reading import reading_of
from teleread.services.reporting import draft_of, require_holder
from teleread.storage.blobs import Blobs
from teleread.storage.locks import lock, lock_study
from teleread.storage.models.accounts import User
from teleread.storage.models.deliveries import Delivery
from teleread.storage.models.readings import Reading
from teleread.storage.models.records import OutboxRow
from teleread.storage.models.reports import Rendering, ReportVersion, SignAuthorisation
from teleread.storage.models.studies import Instance
from teleread.storage.outbox import request_job
from teleread.storage.pki import SigningKeys
from teleread.storage.session import transaction

_log = logging.getLogger(__name__)

#: After this many tries a page that cannot be made is given up, and its reader is told.
RENDER_TRIES = 5

_SYSTEM = frozenset({Who.SYSTEM})
_WORKER = frozenset({Who.WORKER})

#: Signature reasons as a PDF reader shows them.
_REASON = {"ja": "読影報告書の確定", "en": "Final radiology report"}


@dataclass(frozen=True)
class RenderingView:
    """What became of a rendering: ``pending``, ``ready`` or ``failed``."""

    rendering_id: str
    case_number: str
    state: str
    pdf_sha256: str | None
    pages: int | None
    missing_glyphs: str
    failure: str
    revision: int
    is_signed: bool
    signed_at: datetime | None


@dataclass(frozen=True)
class SignedReport:
    """The answer to a signature."""

    case_number: str
    version: int
    status: str
    signed_at: datetime
    already_signed: bool


def request_review(
    session: Session,
    case_number: str,
    revision: int,
    *,
    actor: Actor,
    at: datetime,
    centre_name: str = "teleread",
    acknowledge_images: bool = False,
    incomplete_reason: str = "",
) -> str:
    """Ask for the exact page of the draft and return the rendering's id.

    Parameters
    ----------
    revision : int
        Revision of the draft that the reader wants to sign.
    acknowledge_images : bool
        The reader has seen the images that came after the case was opened.
    incomplete_reason : str
        Why a study that is not complete is signed as final all the same; printed nowhere, recorded.

    Raises
    ------
    StateChangedMeanwhile
        The draft has another revision by now.
    Incomplete
        Something stands against signing; the code is the first of `signing_obstacles`.
    """
    require(actor, Action.SIGN_REPORT)
    reading = reading_of(session, case_number, actor=actor)
    require_holder(reading, actor)
    assert actor.user_id is not None  # noqa: S101 - require_holder has seen to it; this is for the type checker
    draft = draft_of(session, reading)
    if draft.revision != revision:
        raise StateChangedMeanwhile("the text was changed since this page was opened", code="stale_draft")
    if acknowledge_images and reading.seen_revision != reading.study.revision:
        reading.seen_revision = reading.study.revision
        reading.images_added = False
        audit.record(
            session,
            actor=actor,
            at=at,
            act="reading.acknowledge_images",
            case_number=reading.case_number,
            detail={"revision": reading.study.revision},
        )
    _refuse_obstacles(draft, reading, incomplete_reason)
    signer = session.get_one(User, actor.user_id)
    content = _content(session, reading, draft, signer, at=at, centre_name=centre_name).to_json()
    rendering = Rendering(
        public_id=secrets.token_urlsafe(16).replace("-", "a").replace("_", "b"),
        report_version_id=draft.id,
        revision=revision,
        study_revision=reading.study.revision,
        incomplete_reason=incomplete_reason.strip(),
        content=content,
        content_sha256=canonical_digest(content),
        requested_by=actor.user_id,
        requested_at=at,
    )
    session.add(rendering)
    session.flush()
    request_job(session, JobName.RENDER_REPORT, rendering.id, at=at)
    audit.record(
        session,
        actor=actor,
        at=at,
        act="report.review",
        case_number=reading.case_number,
        detail={"revision": revision, "content_sha256": rendering.content_sha256},
    )
    return rendering.public_id


def _refuse_obstacles(draft: ReportVersion, reading: Reading, incomplete_reason: str) -> None:
    facts = SigningFacts(
        sections=clean_sections(draft.sections),
        study_state=reading.study.state,
        study_revision=reading.study.revision,
        seen_revision=reading.seen_revision,
        # A coordinator has accepted it with a reason, or the reader gives one.
        incomplete_reason=incomplete_reason,
    )
    obstacles = signing_obstacles(facts)
    if obstacles:
        raise Incomplete(
            f"this report cannot be signed yet: {', '.join(obstacles)}", code=obstacles[0].replace(":", ".")
        )


def _content(
    session: Session, reading: Reading, draft: ReportVersion, signer: User, *, at: datetime, centre_name: str
) -> ReportContent:
    study, order = reading.study, reading.order
    images = session.scalars(
        select(Instance.id).where(Instance.study_id == study.id, Instance.is_current, Instance.has_pixels)
    ).all()
    return ReportContent(
        case_number=reading.case_number,
        facility_name=reading.facility.name,
        department=order.department,
        doctor=order.doctor,
        study_instance_uid=study.study_instance_uid,
        pseudonym=study.pseudonym,
        sections=clean_sections(draft.sections),
        study_date=study.study_date,
        study_time=study.study_time,
        modality="/".join(study.modalities),
        examination=study.study_description,
        accession=study.accession,
        image_count=len(images),
        priority=order.priority,
        sex=study.sex,
        age=study.age,
        version=draft.version,
        kind=draft.kind,
        corrects_version=draft.version - 1 if draft.kind != "report" else 0,
        status="final",
        signer_name=signer.display_name,
        signer_licence=signer.licence_number,
        signer_title=signer.title,
        signed_at_text=at.isoformat(timespec="seconds"),
        language=reading.facility.language,
        centre_name=centre_name,
    )


def _rendering_of(session: Session, case_number: str | None, rendering_id: str, actor: Actor) -> Rendering:
    require(actor, Action.SIGN_REPORT)
    found = session.scalar(select(Rendering).where(Rendering.public_id == rendering_id))
    if found is None or found.requested_by != actor.user_id:
        raise NotFound("there is no such rendering")
    reading = found.version.reading
    if case_number is not None and reading_of(session, case_number, actor=actor).id != reading.id:
        raise NotFound("there is no such rendering")
    return found


def rendering(
    session: Session, rendering_id: str, *, actor: Actor, case_number: str | None = None
) -> RenderingView:
    """Return how a rendering stands; only for the reader who asked for it."""
    found = _rendering_of(session, case_number, rendering_id, actor)
    state = "ready" if found.pdf_sha256 else "failed" if found.failure else "pending"
    return RenderingView(
        rendering_id=found.public_id,
        case_number=found.version.reading.case_number,
        state=state,
        pdf_sha256=found.pdf_sha256,
        pages=found.pages,
        missing_glyphs=found.missing_glyphs,
        failure=found.failure,
        revision=found.revision,
        is_signed=found.version.status != "draft",
        signed_at=found.version.signed_at,
    )


def rendering_pdf(
    session: Session, blobs: Blobs, rendering_id: str, *, actor: Actor, case_number: str | None = None
) -> bytes:
    """Return the exact unsigned page, or raise NotFound while there is none."""
    found = _rendering_of(session, case_number, rendering_id, actor)
    if found.pdf_sha256 is None:
        raise NotFound("this rendering is not ready")
    return blobs.read(found.pdf_sha256)


def authorise_and_sign(  # noqa: PLR0917 - the form's fields, in its order
    engine: Engine,
    case_number: str,
    rendering_id: str,
    pdf_sha256: str,
    password: str,
    totp: str,
    *,
    seen_pages: int,
    actor: Actor,
    at: datetime,
    key: KeyAnswer | None = None,
) -> SignedReport:
    """Sign what the reader has seen.

    Takes the engine, not a session: the password is checked outside of any transaction. The version becomes final,
    the reading completed, the order reported, and the worker is asked to put the signature under the PDF.

    Parameters
    ----------
    pdf_sha256 : str
        Digest of the page that was shown; another one than the rendering's is refused.
    seen_pages : int
        How many pages the reader says to have looked at: all of them, or nothing is signed.
    key : KeyAnswer, optional
        What a security key answered; the one-time code is not looked at then.

    Raises
    ------
    TransitionNotAllowed
        This version is signed already, by another rendering or person.
    StateChangedMeanwhile
        Text or study changed since the rendering: it has to be reviewed again.
    Incomplete
        The PDF is not there yet, not all its pages were looked at, or something else stands against signing.
    ReauthenticationFailed
        Password or second factor was refused.
    """
    check_sha256(pdf_sha256, field="pdf_sha256")
    with transaction(engine, writes=False) as session:
        signed = _already_signed(
            session, _rendering_of(session, case_number, rendering_id, actor), pdf_sha256
        )
        if signed is not None:
            return signed
        found = _rendering_of(session, case_number, rendering_id, actor)
        _refuse_stale(found, pdf_sha256, actor)
        if seen_pages != found.pages:
            raise Incomplete("not all pages were looked at", code="pages_unseen")
    if actor.user_id is None:
        raise NotAllowed("only a person can sign")
    accounts.reauthenticate(
        engine, actor.user_id, password, totp, at=at, from_where=actor.from_where, key=key
    )
    with transaction(engine) as session:
        found = _rendering_of(session, case_number, rendering_id, actor)
        study = found.version.reading.study
        # First the study's, as ingest does: an image that is coming in now is waited for, and then seen.
        lock_study(session, study.facility_id, study.study_instance_uid)
        lock(session, f"report {found.version.reading.order_id}")
        session.refresh(found.version)
        session.refresh(found.version.reading)
        session.refresh(found.version.reading.study)
        # Two clicks at once: the second finds the first one's signature.
        signed = _already_signed(session, found, pdf_sha256)
        if signed is not None:
            return signed
        _refuse_stale(found, pdf_sha256, actor)
        return _sign(session, found, actor=actor, at=at)


def _already_signed(session: Session, found: Rendering, pdf_sha256: str) -> SignedReport | None:
    version = found.version
    if version.status == "draft":
        return None
    given = session.scalar(select(SignAuthorisation).where(SignAuthorisation.report_version_id == version.id))
    if (
        given is None
        or given.rendering_id != found.id
        or given.pdf_sha256 != pdf_sha256
        or version.signed_at is None
    ):
        raise TransitionNotAllowed("this version of the report is signed already", code="already_signed")
    return SignedReport(
        version.reading.case_number, version.version, version.status, version.signed_at, already_signed=True
    )


def _refuse_stale(found: Rendering, pdf_sha256: str, actor: Actor) -> None:
    version, reading = found.version, found.version.reading
    require_holder(reading, actor)
    if found.pdf_sha256 is None:
        raise Incomplete("the page is not ready yet", code="rendering_pending")
    if found.pdf_sha256 != pdf_sha256:
        raise InvalidInput("pdf_sha256", "is not the digest of the page that was shown", code="other_digest")
    if found.revision != version.revision:
        raise StateChangedMeanwhile("the text was changed since this page was made", code="stale_draft")
    if canonical_digest(found.content) != found.content_sha256:
        raise InvalidInput("rendering", "its content was changed in the database", code="content_changed")
    if found.study_revision != reading.study.revision:
        raise Incomplete("images came after this page was made; look at them first", code="images_added")
    _refuse_obstacles(version, reading, found.incomplete_reason)


def _sign(session: Session, found: Rendering, *, actor: Actor, at: datetime) -> SignedReport:
    version, reading = found.version, found.version.reading
    order = reading.order
    assert found.pdf_sha256 is not None  # noqa: S101 - _refuse_stale has seen to it; this is for the type checker
    assert actor.user_id is not None  # noqa: S101 - as above
    authorisation = SignAuthorisation(
        report_version_id=version.id,
        rendering_id=found.id,
        user_id=actor.user_id,
        pdf_sha256=found.pdf_sha256,
        given_at=at,
    )
    session.add(authorisation)
    for older in session.scalars(
        select(ReportVersion).where(
            ReportVersion.report_id == version.report_id, ReportVersion.status.in_(("preliminary", "final"))
        )
    ):
        workflow.apply(session, older, "supersede", actor=actor, at=at, as_who=_SYSTEM)
    workflow.apply(
        session,
        version,
        "sign",
        actor=actor,
        at=at,
        reason=found.incomplete_reason,
        content=found.content,
        content_sha256=found.content_sha256,
        signed_at=at,
        signed_by=actor.user_id,
    )
    workflow.apply(session, reading, "report_signed", actor=actor, at=at, as_who=_SYSTEM)
    workflow.apply(session, order, "report_signed", actor=actor, at=at, as_who=_SYSTEM)
    delivery = Delivery(
        public_id=secrets.token_hex(16),
        facility_id=reading.facility_id,
        report_version_id=version.id,
        attempts=0,
        created_at=at,
    )
    workflow.start(session, delivery, actor=actor, at=at)
    session.flush()
    request_job(session, JobName.SIGN_REPORT, authorisation.id, at=at)
    audit.record(
        session,
        actor=actor,
        at=at,
        act="report.sign",
        case_number=reading.case_number,
        detail={
            "version": version.version,
            "content_sha256": found.content_sha256,
            "pdf_sha256": found.pdf_sha256,
        },
    )
    return SignedReport(reading.case_number, version.version, "final", at, already_signed=False)


def signed_pdf(session: Session, blobs: Blobs, case_number: str, *, actor: Actor) -> bytes:
    """Return the newest signed PDF of a case under the pseudonym, or raise NotFound while there is none."""
    require(actor, Action.READ_REPORT)
    reading = reading_of(session, case_number, actor=actor)
    sha256 = session.scalar(
        select(ReportVersion.pdf_sha256)
        .where(ReportVersion.reading_id == reading.id, ReportVersion.pdf_sha256.is_not(None))
        .order_by(ReportVersion.version.desc())
        .limit(1)
    )
    if sha256 is None:
        raise NotFound("there is no signed report of this case yet")
    return blobs.read(sha256)


def render_rendering(engine: Engine, blobs: Blobs, rendering_id: int, *, at: datetime) -> None:
    """Make the page that was asked for; the worker's side. A second run finds the work done.

    A content that cannot be set becomes a failure that the reader sees, and so does one that failed at every one of
    `RENDER_TRIES` tries. Before that, what may pass (time, memory) is raised, and the job comes back.
    """
    with transaction(engine, writes=False) as session:
        found = session.get(Rendering, rendering_id)
        if found is None or found.pdf_sha256 is not None or found.failure:
            return
        content = found.content
        tries = session.scalar(
            select(OutboxRow.attempts).where(
                OutboxRow.job == JobName.RENDER_REPORT, OutboxRow.subject_id == rendering_id
            )
        )
    values: dict[str, Any]
    try:
        rendered = render_in_child(ReportContent.from_json(content))
    except InvalidInput as error:
        values = {"failure": error.code}
    except Unavailable as error:
        if (tries or 0) < RENDER_TRIES:
            raise
        _log.error("rendering %d is given up: %s", rendering_id, error.message)
        values = {"failure": error.code}
    else:
        sha256, _ = blobs.put(rendered.pdf)
        if sha256 != rendered.sha256:
            raise InvalidInput("pdf", "changed on its way to the store")
        values = {
            "pdf_sha256": sha256,
            "pages": rendered.pages,
            "missing_glyphs": "".join(rendered.missing_glyphs),
        }
    with transaction(engine) as session:
        session.execute(
            update(Rendering)
            .where(Rendering.id == rendering_id, Rendering.pdf_sha256.is_(None), Rendering.failure == "")
            .values(done_at=at, **values)
        )


def sign_version(
    engine: Engine,
    blobs: Blobs,
    authorisation_id: int,
    *,
    keys: SigningKeys,
    at: datetime,
    tsa_url: str | None = None,
) -> None:
    """Sign the one digest that an authorisation names; the worker's side. A second run finds the work done.

    Raises
    ------
    InvalidInput
        The stored page does not have the digest that was authorised: nothing is signed.
    """
    with transaction(engine, writes=False) as session:
        given = session.get(SignAuthorisation, authorisation_id)
        if given is None or given.used_at is not None:
            return
        user, version = given.user, given.version
        language = version.reading.facility.language
    page = blobs.read(given.pdf_sha256)
    if hashlib.sha256(page).hexdigest() != given.pdf_sha256:
        raise InvalidInput("pdf", "the stored page is not the one that was authorised", code="page_changed")
    key = keys.of(user.id, user.display_name, user.licence_number, at=at)
    signed = sign_report(
        page,
        key_pem=key.key_pem,
        passphrase=keys.passphrase(user.id),
        certificate_pem=key.certificate_pem,
        ca_pem=keys.ca_pem(),
        reason=_REASON[language],
        name=user.display_name,
        tsa_url=tsa_url,
    )
    sha256 = hashlib.sha256(signed).hexdigest()
    actor = system_actor("sign_report")
    with transaction(engine) as session:
        used = cast(
            "CursorResult[Any]",
            session.execute(
                update(SignAuthorisation)
                .where(SignAuthorisation.id == authorisation_id, SignAuthorisation.used_at.is_(None))
                .values(used_at=at)
                .execution_options(synchronize_session=False)
            ),
        )
        if used.rowcount != 1:
            return
        version = session.get_one(ReportVersion, version.id)
        version.pdf_sha256 = sha256
        session.flush()
        _release_deliveries(session, version, actor=actor, at=at)
        audit.record(
            session,
            actor=actor,
            at=at,
            act="report.seal",
            case_number=version.reading.case_number,
            facility_id=version.reading.facility_id,
            detail={"version": version.version, "page_sha256": given.pdf_sha256, "pdf_sha256": sha256},
        )
        session.flush()
        # Last, yet before the commit: durable before a row names it, and no file of a try that was refused. Each
        # signature has other bytes.
        stored, _ = blobs.put(signed)
        if stored != sha256:
            raise InvalidInput("pdf", "changed on its way to the store")


def _release_deliveries(session: Session, version: ReportVersion, *, actor: Actor, at: datetime) -> None:
    # An addendum adds to what came before: both have to arrive. A correction takes its place.
    if version.kind != "addendum":
        older = select(ReportVersion.id).where(
            ReportVersion.report_id == version.report_id, ReportVersion.version < version.version
        )
        for delivery in session.scalars(
            select(Delivery).where(
                Delivery.report_version_id.in_(older), Delivery.state.in_(("pending", "ready", "failed"))
            )
        ):
            workflow.apply(session, delivery, "supersede", actor=actor, at=at)
    # A newer version may have been faster and taken the place of this one's delivery.
    for delivery in session.scalars(
        select(Delivery).where(Delivery.report_version_id == version.id, Delivery.state == "pending")
    ):
        workflow.apply(session, delivery, "package_built", actor=actor, at=at, as_who=_WORKER)
