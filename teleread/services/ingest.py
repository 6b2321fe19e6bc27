"""Instances and manifests come in; a study is complete when everything that was announced is here."""

import hashlib
import secrets
from collections import defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from teleread.dicom.attributes import IndexedInstance, read_index
from teleread.domain.access import Action, Actor, require, same_tenant, system_actor
from teleread.domain.completeness import Verdict, judge
from teleread.domain.identifiers import check_pseudonym, new_case_number
from teleread.domain.turnaround import due_at, stalled_before
from teleread.domain.workflow import Who
from teleread.errors import InvalidInput, NotAllowed, NotFound
from teleread.services import audit, orders, workflow
from teleread.storage.blobs import Blobs
from teleread.storage.locks import lock_study
from teleread.storage.models.facilities import Facility
from teleread.storage.models.orders import Order
from teleread.storage.models.readings import Reading
from teleread.storage.models.studies import Instance, Series, Study
from teleread.storage.session import transaction
from teleread.wire.manifest import ManifestAnswer, MissingInstance, StudyManifest
from teleread.wire.receipts import InstanceReceipt

_SYSTEM = frozenset({Who.SYSTEM})
_GATEWAY = frozenset({Who.GATEWAY})

#: Readings that nobody will touch any more.
_DONE = ("completed", "cancelled")

_TRIES = 3


def store_instance(
    engine: Engine, blobs: Blobs, part: Path, *, actor: Actor, at: datetime
) -> InstanceReceipt:
    """Store one instance durably and say what became of it.

    Takes the engine, not a session: the bytes are durable before the row that speaks of them is written. Storing the
    same bytes again changes nothing. Other bytes under a known UID are kept beside the first, which stay current.

    Parameters
    ----------
    part : Path
        File as received, on the blob store's file system (`BlobStore.new_part`); it is taken over.

    Returns
    -------
    InstanceReceipt
        `sha256` is of the bytes as they lie on the disk. ``refused`` stores nothing; its reason is a stable code.
        The UID is empty when the file could not be read that far.
    """
    require(actor, Action.STORE_INSTANCES)
    if actor.facility_id is None:
        raise NotAllowed("instances can only be stored for a facility")
    try:
        index = read_index(part)
    except InvalidInput as error:
        return _refuse(engine, part, "", error.code, actor=actor, at=at)
    reason = _why_not_deidentified(index)
    if reason:
        return _refuse(engine, part, index.sop_instance_uid, reason, actor=actor, at=at)
    refusal = _known_refusal(engine, index, actor.facility_id)
    if refusal:
        return _refuse(engine, part, index.sop_instance_uid, refusal, actor=actor, at=at)
    sha256, size = blobs.adopt(part)
    for attempt in range(_TRIES):
        try:
            with transaction(engine) as session:
                return _store_row(session, index, sha256, size, actor=actor, at=at)
        except IntegrityError:
            # The same UID came in twice at once under two studies; the second look finds the first one's row.
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("not reached")


def _known_refusal(engine: Engine, index: IndexedInstance, facility_id: int) -> str:
    # Asked before the bytes are taken over, so that what is refused leaves no file; `_store_row` asks again.
    with transaction(engine, writes=False) as session:
        study = session.scalar(
            select(Study).where(
                Study.facility_id == facility_id, Study.study_instance_uid == index.study_instance_uid
            )
        )
        return _refusal(study, index) if study is not None else ""


def _refusal(study: Study, index: IndexedInstance) -> str:
    if study.pseudonym != index.patient_id:
        return "other_patient"
    return f"study_{study.state}" if study.state in {"rejected", "archived"} else ""


def _why_not_deidentified(index: IndexedInstance) -> str:
    # The gateway has verified this; the centre believes only what it can see. A birth date or a name that is not the
    # pseudonym never gets as far as the disk.
    try:
        check_pseudonym(index.patient_id)
    except InvalidInput:
        return "not_deidentified"
    birth_date = index.study_attributes.get("00100030", {}).get("Value")
    if index.patient_name not in {"", index.patient_id} or birth_date:
        return "not_deidentified"
    return ""


def _refuse(
    engine: Engine, part: Path, sop_instance_uid: str, reason: str, *, actor: Actor, at: datetime
) -> InstanceReceipt:
    with part.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    with transaction(engine) as session:
        audit.record(
            session, actor=actor, at=at, act="instance.refused", detail={"reason": reason, "sha256": sha256}
        )
    return InstanceReceipt(sop_instance_uid=sop_instance_uid, sha256=sha256, outcome="refused", reason=reason)


def _store_row(
    session: Session, index: IndexedInstance, sha256: str, size: int, *, actor: Actor, at: datetime
) -> InstanceReceipt:
    def receipt(outcome: str, reason: str = "") -> InstanceReceipt:
        return InstanceReceipt(
            sop_instance_uid=index.sop_instance_uid, sha256=sha256, outcome=outcome, reason=reason
        )

    facility_id = actor.facility_id
    study = _study(session, index.study_instance_uid, index.patient_id, actor=actor, at=at)
    refusal = _refusal(study, index)
    if refusal:
        audit.record(
            session,
            actor=actor,
            at=at,
            act="instance.refused",
            detail={"reason": refusal, "sha256": sha256, "study": study.study_instance_uid},
        )
        return receipt("refused", refusal)
    copies = list(
        session.scalars(
            select(Instance).where(
                Instance.facility_id == facility_id, Instance.sop_instance_uid == index.sop_instance_uid
            )
        )
    )
    if any(copy.sha256 == sha256 for copy in copies):
        return receipt("already_stored")
    if not copies:
        # A copy with other bytes adds no image: nobody has to look again, and the study's facts stay.
        _reopen_for_instance(session, study, actor=actor, at=at)
        _fill_study(study, index, at)
    series = _series(session, study, index)
    session.add(
        Instance(
            facility_id=facility_id,
            study_id=study.id,
            series_id=series.id,
            sop_instance_uid=index.sop_instance_uid,
            sop_class_uid=index.sop_class_uid,
            transfer_syntax_uid=index.transfer_syntax_uid,
            sha256=sha256,
            size=size,
            has_pixels=index.has_pixels,
            instance_number=index.instance_number,
            rows=index.rows,
            columns=index.columns,
            number_of_frames=index.number_of_frames,
            is_current=not copies,
            conflict=bool(copies),
            attributes=index.instance_attributes,
            received_at=at,
        )
    )
    session.flush()
    if copies:
        audit.record(
            session,
            actor=actor,
            at=at,
            act="instance.conflict",
            detail={
                "sop_instance_uid": index.sop_instance_uid,
                "sha256": sha256,
                "current": copies[0].sha256,
            },
        )
    if _may_be_met(session, study):
        complete_if_met(session, study, actor=actor, at=at)
    return receipt("conflict" if copies else "stored", "other_bytes" if copies else "")


def _study(session: Session, study_instance_uid: str, pseudonym: str, *, actor: Actor, at: datetime) -> Study:
    lock_study(session, actor.facility_id, study_instance_uid)
    study = session.scalar(
        select(Study).where(
            Study.facility_id == actor.facility_id, Study.study_instance_uid == study_instance_uid
        )
    )
    if study is None:
        study = Study(
            facility_id=actor.facility_id,
            study_instance_uid=study_instance_uid,
            pseudonym=check_pseudonym(pseudonym),
            revision=1,
            modalities=[],
            manifest_revision=0,
            first_received_at=at,
            last_received_at=at,
            attributes={},
        )
        workflow.start(session, study, actor=actor, at=at)
        reading = _open_case(session, study, actor=actor, at=at)
        audit.record(
            session,
            actor=actor,
            at=at,
            act="study.receive",
            case_number=reading.case_number,
            detail={"study": study_instance_uid},
        )
    return study


def _open_case(session: Session, study: Study, *, actor: Actor, at: datetime) -> Reading:
    # Nobody sent an order: the study itself is the request, with the facility's usual priority.
    facility = session.get_one(Facility, study.facility_id)
    order = Order(
        facility_id=study.facility_id,
        study_id=study.id,
        accession=study.accession,
        priority=facility.priority,
        made_from_study=True,
        created_at=at,
    )
    workflow.start(session, order, actor=actor, at=at)
    workflow.apply(
        session, order, "study_matched", actor=actor, at=at, as_who=_SYSTEM, reason="made from the study"
    )
    return _new_reading(session, study, order, "primary", actor=actor, at=at)


def _new_reading(
    session: Session, study: Study, order: Order, kind: str, *, actor: Actor, at: datetime
) -> Reading:
    case_number = new_case_number(secrets.randbelow)
    while session.scalar(select(Reading.id).where(Reading.case_number == case_number)) is not None:
        case_number = new_case_number(secrets.randbelow)
    reading = Reading(
        case_number=case_number,
        facility_id=study.facility_id,
        order_id=order.id,
        study_id=study.id,
        kind=kind,
        seen_revision=study.revision,
        images_added=False,
        created_at=at,
    )
    workflow.start(session, reading, actor=actor, at=at)
    return reading


def _series(session: Session, study: Study, index: IndexedInstance) -> Series:
    series = session.scalar(
        select(Series).where(
            Series.study_id == study.id, Series.series_instance_uid == index.series_instance_uid
        )
    )
    if series is None:
        series = Series(
            study_id=study.id,
            series_instance_uid=index.series_instance_uid,
            modality=index.modality,
            series_number=index.series_number,
            series_description=index.series_description,
            attributes=index.series_attributes,
        )
        session.add(series)
        session.flush()
    return series


def _fill_study(study: Study, index: IndexedInstance, at: datetime) -> None:
    study.last_received_at = max(study.last_received_at, at)
    if index.modality and index.modality not in study.modalities:
        study.modalities = sorted({*study.modalities, index.modality})
    # The first instance that has a value gives it; a later one never takes it away.
    study.sex = study.sex or index.sex
    study.age = study.age or index.age
    study.study_date = study.study_date or index.study_date
    study.study_time = study.study_time or index.study_time
    study.study_description = study.study_description or index.study_description
    study.accession = study.accession or index.accession
    if not study.attributes:
        study.attributes = index.study_attributes


def _reopen_for_instance(session: Session, study: Study, *, actor: Actor, at: datetime) -> None:
    if study.state == "incomplete":
        workflow.apply(session, study, "instance_received", actor=actor, at=at, as_who=_GATEWAY)
    elif study.state == "complete":
        workflow.apply(
            session,
            study,
            "instance_received",
            actor=actor,
            at=at,
            as_who=_GATEWAY,
            revision=Study.revision + 1,
        )
        _tell_readers(session, study, actor=actor, at=at)


def _tell_readers(session: Session, study: Study, *, actor: Actor, at: datetime) -> None:
    readings = list(session.scalars(select(Reading).where(Reading.study_id == study.id)))
    open_ones = [reading for reading in readings if reading.state not in _DONE]
    for reading in open_ones:
        if reading.state in {"assigned", "in_progress", "on_hold"}:
            reading.images_added = True
    if not open_ones and any(reading.state == "completed" for reading in readings):
        # What is signed stays as it is; whether the new images change anything is for a person to say.
        _new_reading(session, study, readings[0].order, "addendum", actor=actor, at=at)
    session.flush()


#: Event of a study of which the facility holds more back than before; its reason is how many in all.
HELD_BACK = "held_back"


def _held_count(manifest: dict[str, Any] | None) -> int:
    return sum(int(one["count"]) for one in manifest["held"]) if manifest else 0


def receive_manifest(
    session: Session, manifest: StudyManifest, *, actor: Actor, at: datetime
) -> ManifestAnswer:
    """Take what the gateway says of a study; answer what is missing here.

    An older revision than the stored one changes nothing and is answered from the newer.

    Raises
    ------
    InvalidInput
        The study is known under another pseudonym (code ``other_patient``).
    """
    require(actor, Action.SEND_MANIFEST)
    study = _study(session, manifest.study_instance_uid, manifest.pseudonym, actor=actor, at=at)
    if study.pseudonym != manifest.pseudonym:
        raise InvalidInput("pseudonym", "this study belongs to another patient here", code="other_patient")
    if manifest.revision >= study.manifest_revision:
        held, before = _held_count(manifest.to_json()), _held_count(study.manifest)
        if held > before:
            # The facility holds images back: who waits for the study hears of it now, not when it is complete.
            workflow.tell(session, study, HELD_BACK, actor=actor, at=at, reason=str(held))
        study.manifest = manifest.to_json()
        study.manifest_revision = manifest.revision
        study.sex = manifest.sex or study.sex
        study.age = manifest.age or study.age
        study.study_date = manifest.study_date or study.study_date
        study.study_time = manifest.study_time or study.study_time
        study.study_description = manifest.study_description or study.study_description
        study.accession = manifest.accession or study.accession
        study.modalities = sorted({*study.modalities, *manifest.modalities})
        session.flush()
    orders.match_waiting(session, study, actor=actor, at=at)
    verdict = complete_if_met(session, study, actor=actor, at=at)
    return ManifestAnswer(
        missing=tuple(
            MissingInstance(sop_instance_uid=uid, sha256=sha256) for uid, sha256 in verdict.missing
        ),
        state=study.state,
        case_number=case_number_of(session, study),
    )


def case_number_of(session: Session, study: Study) -> str | None:
    """Return the number of the study's first case."""
    return session.scalar(
        select(Reading.case_number).where(Reading.study_id == study.id).order_by(Reading.id).limit(1)
    )


def _verdict(session: Session, study: Study) -> Verdict:
    if study.manifest is None:
        return judge(None, is_closed=False, stored={})
    stored: defaultdict[str, set[str]] = defaultdict(set)
    for uid, sha256 in session.execute(
        select(Instance.sop_instance_uid, Instance.sha256).where(Instance.study_id == study.id)
    ):
        stored[uid].add(sha256)
    listed = [(item["sop_instance_uid"], item["sha256"]) for item in study.manifest["instances"]]
    return judge(listed, is_closed=study.manifest["closed"], stored=stored)


def _may_be_met(session: Session, study: Study) -> bool:
    # Most instances are not the last one, and counting is cheaper than comparing.
    if study.manifest is None or not study.manifest["closed"]:
        return False
    stored = session.scalar(
        select(func.count(Instance.sop_instance_uid.distinct())).where(Instance.study_id == study.id)
    )
    return (stored or 0) >= len(study.manifest["instances"])


def complete_if_met(session: Session, study: Study, *, actor: Actor, at: datetime) -> Verdict:
    """Compare manifest and store; if all is here, the study is complete and its cases are ready to be read."""
    verdict = _verdict(session, study)
    if verdict.is_met and study.state in {"receiving", "incomplete"}:
        workflow.apply(session, study, "manifest_met", actor=actor, at=at, as_who=_SYSTEM, completed_at=at)
        audit.record(
            session,
            actor=actor,
            at=at,
            act="study.complete",
            case_number=case_number_of(session, study),
            detail={"study": study.study_instance_uid, "revision": study.revision},
        )
        _make_ready(session, study, "inputs_ready", actor=actor, at=at)
    return verdict


def _make_ready(session: Session, study: Study, event: str, *, actor: Actor, at: datetime) -> None:
    for reading in session.scalars(
        select(Reading).where(Reading.study_id == study.id, Reading.state == "waiting")
    ):
        workflow.apply(
            session,
            reading,
            event,
            actor=actor,
            at=at,
            as_who=_SYSTEM,
            due_at=due_at(reading.order.priority, at),
            seen_revision=study.revision,
        )


def accept_as_is(session: Session, case_number: str, reason: str, *, actor: Actor, at: datetime) -> None:
    """Let an incomplete study be read as it is; the reader sees the reason."""
    require(actor, Action.ACCEPT_INCOMPLETE)
    if not reason.strip():
        raise InvalidInput("reason", "is needed")
    reading = session.scalar(select(Reading).where(Reading.case_number == case_number))
    if reading is None or not same_tenant(actor, reading.facility_id):
        raise NotFound("there is no such case")
    study = reading.study
    if session.scalar(select(func.count()).select_from(Instance).where(Instance.study_id == study.id)) == 0:
        raise InvalidInput("case_number", "nothing readable has arrived of this study")
    workflow.apply(
        session,
        study,
        "accept_as_is",
        actor=actor,
        at=at,
        reason=reason,
        completed_at=at,
        incomplete_note=reason,
    )
    audit.record(session, actor=actor, at=at, act="study.accept_as_is", case_number=case_number)
    _make_ready(session, study, "inputs_ready", actor=actor, at=at)


def sweep_stalled(session: Session, *, at: datetime) -> int:
    """Mark studies of which nothing has come for long, and which are not all here; return how many.

    A study of which the facility holds everything back ends here too: a coordinator sees it, nobody can read it.
    """
    actor = system_actor("sweep")
    stalled = 0
    for study in session.scalars(select(Study).where(Study.state == "receiving")):
        if study.last_received_at < stalled_before(at, study.facility.quiet_seconds):
            verdict = _verdict(session, study)
            workflow.apply(session, study, "stalled", actor=actor, at=at, reason=verdict.reason)
            stalled += 1
    return stalled


def study_of(session: Session, study_instance_uid: str, *, actor: Actor) -> Study:
    """Return the tenant's study of this UID, or raise NotFound."""
    found = select(Study).where(Study.study_instance_uid == study_instance_uid)
    if actor.facility_id is not None:
        found = found.where(Study.facility_id == actor.facility_id)
    study = session.scalars(found.order_by(Study.id)).first()
    if study is None:
        raise NotFound("there is no such study")
    return study
