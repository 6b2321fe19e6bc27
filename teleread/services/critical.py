"""Critical findings: raise, tell somebody and hear it back, take note; and the messages to the centre's own people."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from teleread.domain import critical as rules
from teleread.domain.access import Action, Actor, allows, require, require_tenant, system_actor
from teleread.domain.contacts import receivers
from teleread.domain.critical import Contact, Told
from teleread.domain.workflow import Who
from teleread.errors import NotFound, TransitionNotAllowed
from teleread.jobs import JobName
from teleread.services import audit, contacts, delivery, reading, workflow
from teleread.storage import outbox
from teleread.storage.locks import lock
from teleread.storage.models.accounts import User
from teleread.storage.models.critical import CriticalAlert, CriticalAttempt, CriticalFinding
from teleread.wire.critical import CriticalAcknowledgement, CriticalNotice

_NAMED_DOCTOR = frozenset({Who.NAMED_DOCTOR})
_SYSTEM = system_actor("critical")

#: A facility sees what it took note of for as long as it may still look for it on its page.
_SHOWN_TO_FACILITY = ("raised", "notified", "acknowledged")


@dataclass(frozen=True)
class AttemptView:
    """A call, as the pages list it."""

    person: str
    method: str
    outcome: str
    at: datetime
    by: str


@dataclass(frozen=True)
class AlertView:
    """The newest message to the centre's own people."""

    channel: str
    outcome: str
    at: datetime
    round: int


@dataclass(frozen=True)
class FindingView:
    """A critical finding, and what the one who looks may do with it."""

    critical_id: str
    case_number: str
    facility_name: str
    state: str
    category: str
    text: str
    raised_by: str
    raised_at: datetime
    notified_at: datetime | None
    told: str
    acknowledged_at: datetime | None
    acknowledged_by: str
    due_at: datetime | None
    is_late: bool
    contacts: tuple[Contact, ...]
    next_contact: Contact | None
    attempts: tuple[AttemptView, ...]
    escalations: int
    alert: AlertView | None
    may_notify: bool
    may_withdraw: bool
    may_acknowledge: bool
    may_close: bool


@dataclass(frozen=True)
class AlertMessage:
    """What a message says, and whom it goes to beside the coordinators.

    `key` is the same each time the same step is tried. `receivers` are people of the facility, whose language is `language`.
    """

    key: str
    channel: str
    case_number: str
    category: str
    priority: str
    minutes_left: int
    receivers: tuple[Contact, ...] = ()
    language: str = "ja"


def raise_finding(
    session: Session, case_number: str, category: str, text: str, *, actor: Actor, at: datetime
) -> str:
    """Note a critical finding of a case, ask for the first message, and return the finding's id."""
    require(actor, Action.RAISE_CRITICAL)
    case = reading.reading_of(session, case_number, actor=actor)
    finding = CriticalFinding(
        public_id=secrets.token_hex(12),
        facility_id=case.facility_id,
        reading_id=case.id,
        category=rules.category_of(category),
        text=rules.required("text", text, rules.TEXT_LIMIT),
        raised_by=actor.name,
        raised_at=at,
    )
    workflow.start(session, finding, actor=actor, at=at)
    _record(session, finding, "critical.raise", actor, at, category=finding.category)
    _ask(session, finding, round_number=1, step=0, at=at)
    return finding.public_id


def record_told(session: Session, critical_id: str, told: Told, *, actor: Actor, at: datetime) -> None:
    """Note that a person was told and read everything back; the doctor's clock begins with the first one.

    Raises
    ------
    InvalidInput
        Something was not read back, nobody is named, or the time cannot be.
    """
    finding = _to_notify(session, critical_id, actor)
    rules.check_told(told, raised_at=finding.raised_at, now=at)
    _attempt(session, finding, told, "told", actor=actor, at=at)
    if finding.state == "raised":
        workflow.apply(session, finding, "notified", actor=actor, at=at, notified_at=at)
    _record(session, finding, "critical.told", actor, at, method=told.method)


def record_no_answer(
    session: Session, critical_id: str, told: Told, *, actor: Actor, at: datetime
) -> Contact | None:
    """Note a call that nobody answered, and return who is to be called now."""
    finding = _to_notify(session, critical_id, actor)
    rules.required("person", told.person, rules.NAME_LIMIT)
    rules.check_moment(told.at, raised_at=finding.raised_at, now=at)
    _attempt(session, finding, told, "no_answer", actor=actor, at=at)
    _record(session, finding, "critical.no_answer", actor, at, method=told.method)
    return rules.next_contact(_contacts(session, finding), _no_answers(_attempts(session, finding)))


def _to_notify(session: Session, critical_id: str, actor: Actor) -> CriticalFinding:
    require(actor, Action.NOTIFY_CRITICAL)
    finding = _finding(session, critical_id, actor)
    if finding.state not in rules.OPEN:
        raise TransitionNotAllowed("this critical finding is not open any more")
    return finding


def _attempt(
    session: Session, finding: CriticalFinding, told: Told, outcome: str, *, actor: Actor, at: datetime
) -> None:
    session.add(
        CriticalAttempt(
            finding_id=finding.id,
            person=told.person.strip(),
            method=told.method,
            outcome=outcome,
            heard_case_number="case_number" in told.heard,
            heard_sex="sex" in told.heard,
            heard_examination_time="examination_time" in told.heard,
            at=told.at,
            by=actor.name,
            recorded_at=at,
        )
    )
    session.flush()


def acknowledge(session: Session, critical_id: str, *, actor: Actor, at: datetime) -> None:
    """Take note as the facility's person who is signed in here; a second time changes nothing."""
    require(actor, Action.ACKNOWLEDGE_CRITICAL)
    person = session.get(User, actor.user_id) if actor.user_id is not None else None
    if person is None:
        raise NotFound("there is no such critical finding")
    _acknowledge(session, critical_id, f"{person.display_name} ({person.username})", actor=actor, at=at)


def acknowledge_at_gateway(
    session: Session, critical_id: str, message: CriticalAcknowledgement, *, actor: Actor, at: datetime
) -> CriticalNotice:
    """Take note as a person who is signed in at the facility's own box, which vouches for it."""
    require(actor, Action.ACKNOWLEDGE_CRITICAL)
    said_at = message.acknowledged_at
    detail = {"at_gateway": said_at.isoformat()} if said_at is not None else {}
    return _notice(
        session,
        _acknowledge(
            session, critical_id, f"{message.person} ({message.account})", actor=actor, at=at, detail=detail
        ),
    )


def _acknowledge(
    session: Session,
    critical_id: str,
    person: str,
    *,
    actor: Actor,
    at: datetime,
    detail: Mapping[str, object] | None = None,
) -> CriticalFinding:
    finding = _finding(session, critical_id, actor)
    if finding.state in {"acknowledged", "closed"}:
        return finding
    workflow.apply(
        session,
        finding,
        "acknowledge",
        actor=actor,
        at=at,
        as_who=_NAMED_DOCTOR,
        acknowledged_at=at,
        acknowledged_by=person,
    )
    _record(session, finding, "critical.acknowledge", actor, at, person=person, **(detail or {}))
    delivery.close_order(session, finding.reading.order, actor=actor, at=at)
    return finding


def close(session: Session, critical_id: str, outcome: str, *, actor: Actor, at: datetime) -> None:
    """Note what follows from a finding that was acknowledged, or why nothing does."""
    require(actor, Action.CLOSE_CRITICAL)
    finding = _finding(session, critical_id, actor)
    outcome = rules.required("outcome", outcome, rules.NOTE_LIMIT)
    workflow.apply(session, finding, "close", actor=actor, at=at, reason=outcome, outcome=outcome)
    _record(session, finding, "critical.close", actor, at)


def withdraw(session: Session, critical_id: str, reason: str, *, actor: Actor, at: datetime) -> None:
    """Take back a finding that was raised in error, before anybody was told."""
    require(actor, Action.RAISE_CRITICAL)
    finding = _finding(session, critical_id, actor)
    reason = rules.required("reason", reason, rules.NOTE_LIMIT)
    workflow.apply(session, finding, "withdraw", actor=actor, at=at, reason=reason, outcome=reason)
    _record(session, finding, "critical.withdraw", actor, at)
    delivery.close_order(session, finding.reading.order, actor=actor, at=at)


# What pages and gateways are shown


def of_case(session: Session, case_number: str, *, actor: Actor, at: datetime) -> list[FindingView]:
    """Return the critical findings of a case, the newest first."""
    require(actor, Action.SEE_CASE)
    case = reading.reading_of(session, case_number, actor=actor)
    return [
        _view(session, one, actor, at)
        for one in session.scalars(
            select(CriticalFinding)
            .where(CriticalFinding.reading_id == case.id)
            .order_by(CriticalFinding.id.desc())
        )
    ]


def of_board(session: Session, *, actor: Actor, at: datetime) -> list[FindingView]:
    """Return the open critical findings, by the time that their clock ends."""
    require(actor, Action.COORDINATE)
    found = session.scalars(select(CriticalFinding).where(CriticalFinding.state.in_(rules.OPEN)))
    views = [_view(session, one, actor, at) for one in found]
    return sorted(views, key=lambda view: (view.due_at or at, view.raised_at))


def of_facility(session: Session, *, actor: Actor, at: datetime) -> list[FindingView]:
    """Return a facility's own critical findings that are not closed, the newest first."""
    require(actor, Action.SEE_STATUS)
    asked = (
        select(CriticalFinding)
        .where(CriticalFinding.state.in_(_SHOWN_TO_FACILITY))
        .order_by(CriticalFinding.id.desc())
    )
    if actor.facility_id is not None:
        asked = asked.where(CriticalFinding.facility_id == actor.facility_id)
    return [_view(session, one, actor, at) for one in session.scalars(asked)]


def notices(session: Session, *, actor: Actor) -> list[CriticalNotice]:
    """Return what a gateway's facility has still to take note of, the oldest first."""
    require(actor, Action.ACKNOWLEDGE_CRITICAL)
    found = session.scalars(
        select(CriticalFinding)
        .where(CriticalFinding.facility_id == actor.facility_id, CriticalFinding.state.in_(rules.OPEN))
        .order_by(CriticalFinding.id)
    )
    return [_notice(session, one) for one in found]


def _notice(session: Session, finding: CriticalFinding) -> CriticalNotice:
    study = finding.reading.study
    due = rules.deadline(finding.category, finding.state, finding.raised_at, finding.notified_at)
    return CriticalNotice(
        critical_id=finding.public_id,
        case_number=finding.reading.case_number,
        study_instance_uid=study.study_instance_uid,
        pseudonym=study.pseudonym,
        category=finding.category,
        text=finding.text,
        state=finding.state,
        raised_at=finding.raised_at,
        told=_told(_attempts(session, finding)),
        notified_at=finding.notified_at,
        acknowledge_by=due if finding.state == "notified" else None,
        acknowledged_at=finding.acknowledged_at,
        acknowledged_by=finding.acknowledged_by,
        responsible_doctor=finding.reading.order.doctor[:64],
        callback_phone=finding.reading.order.callback_phone[:32],
    )


def _view(session: Session, finding: CriticalFinding, actor: Actor, at: datetime) -> FindingView:
    attempts = _attempts(session, finding)
    to_call = _contacts(session, finding)
    due = rules.deadline(finding.category, finding.state, finding.raised_at, finding.notified_at)
    alert = session.scalar(
        select(CriticalAlert)
        .where(CriticalAlert.finding_id == finding.id)
        .order_by(CriticalAlert.round.desc(), CriticalAlert.step.desc())
        .limit(1)
    )
    is_open = finding.state in rules.OPEN
    return FindingView(
        critical_id=finding.public_id,
        case_number=finding.reading.case_number,
        facility_name=finding.facility.name,
        state=finding.state,
        category=finding.category,
        text=finding.text,
        raised_by=finding.raised_by,
        raised_at=finding.raised_at,
        notified_at=finding.notified_at,
        told=_told(attempts),
        acknowledged_at=finding.acknowledged_at,
        acknowledged_by=finding.acknowledged_by,
        due_at=due,
        is_late=rules.is_late(due, at),
        contacts=to_call,
        next_contact=rules.next_contact(to_call, _no_answers(attempts)) if is_open else None,
        attempts=tuple(AttemptView(one.person, one.method, one.outcome, one.at, one.by) for one in attempts),
        escalations=finding.escalations,
        alert=AlertView(alert.channel, alert.outcome, alert.finished_at or alert.asked_at, alert.round)
        if alert is not None
        else None,
        may_notify=is_open and allows(actor, Action.NOTIFY_CRITICAL),
        may_withdraw=finding.state == "raised"
        and actor.user_id is not None
        and finding.reading.assignee_id == actor.user_id
        and allows(actor, Action.RAISE_CRITICAL),
        may_acknowledge=finding.state == "notified" and allows(actor, Action.ACKNOWLEDGE_CRITICAL),
        may_close=finding.state == "acknowledged" and allows(actor, Action.CLOSE_CRITICAL),
    )


def _finding(session: Session, critical_id: str, actor: Actor) -> CriticalFinding:
    lock(session, f"critical {critical_id}")
    finding = session.scalar(select(CriticalFinding).where(CriticalFinding.public_id == critical_id))
    if finding is None:
        raise NotFound("there is no such critical finding")
    require_tenant(actor, finding.facility_id, "critical finding")
    return finding


def _attempts(session: Session, finding: CriticalFinding) -> Sequence[CriticalAttempt]:
    return session.scalars(
        select(CriticalAttempt).where(CriticalAttempt.finding_id == finding.id).order_by(CriticalAttempt.id)
    ).all()


def _no_answers(attempts: Sequence[CriticalAttempt]) -> int:
    return sum(one.outcome == "no_answer" for one in attempts)


def _told(attempts: Sequence[CriticalAttempt]) -> str:
    return next((one.person for one in reversed(attempts) if one.outcome == "told"), "")


def _contacts(session: Session, finding: CriticalFinding) -> tuple[Contact, ...]:
    order = finding.reading.order
    own = contacts.of_facility(session, finding.facility_id)
    return rules.contacts_of(order.doctor, order.callback_phone, order.department, own)


def _record(
    session: Session, finding: CriticalFinding, act: str, actor: Actor, at: datetime, **detail: object
) -> None:
    audit.record(
        session,
        actor=actor,
        at=at,
        act=act,
        case_number=finding.reading.case_number,
        facility_id=finding.facility_id,
        detail={"critical": finding.public_id, **detail},
    )


# Messages to the centre's own people


def _ask(session: Session, finding: CriticalFinding, *, round_number: int, step: int, at: datetime) -> bool:
    """Ask for a step's message; False when the round has no such step."""
    channel = rules.channel(round_number, step)
    if channel is None:
        return False
    alert = CriticalAlert(finding_id=finding.id, round=round_number, step=step, channel=channel, asked_at=at)
    session.add(alert)
    session.flush()
    outbox.request_job(session, JobName.SEND_CRITICAL_ALERT, alert.id, at=at)
    return True


def begin_alert(session: Session, alert_id: int, *, at: datetime) -> AlertMessage | None:
    """Note that a message is about to go out and return what it says; None when it is not needed any more.

    A worker that dies between this and `finish_alert` leaves the step undone: the next one sends the same message
    again, under the same key, so that the receiver can tell.
    """
    alert = session.get_one(CriticalAlert, alert_id, with_for_update=True)
    if alert.outcome:
        return None
    finding = alert.finding
    due = rules.deadline(finding.category, finding.state, finding.raised_at, finding.notified_at)
    left = rules.minutes_left(due, at)
    if left is None:
        alert.outcome, alert.finished_at = "not_needed", at
        return None
    alert.tried_at = at
    return AlertMessage(
        key=f"{finding.public_id}-{alert.round}-{alert.step}",
        channel=alert.channel,
        case_number=finding.reading.case_number,
        category=finding.category,
        priority=finding.reading.order.priority,
        minutes_left=left,
        receivers=receivers(contacts.of_facility(session, finding.facility_id), finding.escalations),
        language=finding.facility.language,
    )


def finish_alert(session: Session, alert_id: int, *, answered: bool, detail: str, at: datetime) -> None:
    """Note what the channel said; where it did not take the message, the next step is asked for at once.

    Parameters
    ----------
    detail : str
        A code, such as ``accepted`` or ``timeout``; no address and no text of the other side.
    """
    alert = session.get_one(CriticalAlert, alert_id, with_for_update=True)
    if alert.outcome:
        return
    alert.outcome = "answered" if answered else "failed"
    alert.detail, alert.finished_at = detail, at
    finding = alert.finding
    _record(
        session,
        finding,
        f"critical.message_{alert.outcome}",
        _SYSTEM,
        at,
        channel=alert.channel,
        round=alert.round,
        code=detail,
    )
    if not answered and finding.state in rules.OPEN:
        _ask(session, finding, round_number=alert.round, step=alert.step + 1, at=at)


def sweep(session: Session, *, at: datetime) -> int:
    """Escalate what is late, and begin rounds of messages anew that reached nobody; return how many rounds began."""
    found = session.scalars(
        select(CriticalFinding)
        .where(CriticalFinding.state.in_(rules.OPEN))
        .order_by(CriticalFinding.id)
        .with_for_update(skip_locked=True)
    ).all()
    return sum(_sweep_one(session, finding, at) for finding in found)


def _sweep_one(session: Session, finding: CriticalFinding, at: datetime) -> bool:
    newest = session.scalar(
        select(func.max(CriticalAlert.round)).where(CriticalAlert.finding_id == finding.id)
    )
    due = rules.deadline(finding.category, finding.state, finding.raised_at, finding.notified_at)
    if due is not None and at > rules.escalates_at(finding.category, due, finding.escalated_at):
        workflow.apply(
            session,
            finding,
            "escalate",
            actor=_SYSTEM,
            at=at,
            escalations=finding.escalations + 1,
            escalated_at=at,
        )
    elif not _reached_nobody(session, finding, newest or 0, at):
        return False
    return _ask(session, finding, round_number=(newest or 0) + 1, step=0, at=at)


def hurry(session: Session, reading_id: int, *, at: datetime) -> int:
    """Start the ladder at once for a case whose report does not come home; return for how many findings.

    Nobody at the facility can read the report then, so that nothing but a person's voice brings the finding there.
    """
    found = session.scalars(
        select(CriticalFinding)
        .where(CriticalFinding.reading_id == reading_id, CriticalFinding.state.in_(rules.OPEN))
        .order_by(CriticalFinding.id)
        .with_for_update()
    ).all()
    for finding in found:
        newest = session.scalar(
            select(func.max(CriticalAlert.round)).where(CriticalAlert.finding_id == finding.id)
        )
        workflow.apply(
            session,
            finding,
            "escalate",
            actor=_SYSTEM,
            at=at,
            reason="report_not_home",
            escalations=finding.escalations + 1,
            escalated_at=at,
        )
        _record(session, finding, "critical.hurry", _SYSTEM, at)
        _ask(session, finding, round_number=(newest or 0) + 1, step=0, at=at)
    return len(found)


def _reached_nobody(session: Session, finding: CriticalFinding, round_number: int, at: datetime) -> bool:
    steps = session.scalars(
        select(CriticalAlert).where(
            CriticalAlert.finding_id == finding.id, CriticalAlert.round == round_number
        )
    ).all()
    return len(steps) == len(rules.CHANNELS) and all(
        one.outcome == "failed" and one.finished_at is not None and at >= one.finished_at + rules.RETRY_ROUND
        for one in steps
    )
