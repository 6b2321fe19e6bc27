"""Facilities and their gateways: registration, enrolment, certificates, signs of life."""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from teleread.domain.access import Action, Actor, Role, require
from teleread.domain.identifiers import CROCKFORD, check_code
from teleread.domain.turnaround import Priority
from teleread.errors import InvalidInput, NotAllowed, NotFound
from teleread.services import audit
from teleread.settings import ServerSettings
from teleread.storage import pki
from teleread.storage.models.facilities import Facility, Gateway
from teleread.wire.enrolment import EnrolmentAnswer, EnrolmentRequest, OneTimeCode, ca_fingerprint
from teleread.wire.heartbeat import Heartbeat, HeartbeatAnswer

CODE_LIFE = timedelta(hours=24)
_SECRET_LENGTH = 10


def add_facility(
    session: Session,
    *,
    code: str,
    name: str,
    actor: Actor,
    at: datetime,
    language: str = "ja",
    quiet_seconds: int = 30,
    priority: str = "routine",
) -> Facility:
    """Register a referring hospital or clinic.

    Raises
    ------
    InvalidInput
        The code is taken, or a value is not allowed.
    """
    require(actor, Action.MANAGE_FACILITIES)
    check_code(code, field="code")
    if not name.strip():
        raise InvalidInput("name", "is empty")
    if language not in {"ja", "en"}:
        raise InvalidInput("language", "has to be ja or en")
    if not 1 <= quiet_seconds <= 3600:
        raise InvalidInput("quiet_seconds", "has to be from 1 to 3600")
    if priority not in set(Priority):
        raise InvalidInput("priority", f"has to be of {', '.join(Priority)}")
    if session.scalar(select(Facility.id).where(Facility.code == code)) is not None:
        raise InvalidInput("code", "is taken")
    facility = Facility(
        code=code,
        name=name.strip(),
        language=language,
        quiet_seconds=quiet_seconds,
        priority=priority,
        created_at=at,
    )
    session.add(facility)
    session.flush()
    audit.record(
        session, actor=actor, at=at, act="facility.add", facility_id=facility.id, detail={"facility": code}
    )
    return facility


def list_facilities(session: Session, *, actor: Actor) -> list[Facility]:
    """Return all facilities for those who manage them."""
    require(actor, Action.MANAGE_FACILITIES)
    return list(session.scalars(select(Facility).order_by(Facility.code)))


def list_gateways(session: Session, *, actor: Actor) -> list[Gateway]:
    """Return all gateways for those who manage them."""
    require(actor, Action.MANAGE_FACILITIES)
    return list(session.scalars(select(Gateway).order_by(Gateway.facility_id, Gateway.name)))


def invite_gateway(
    session: Session, *, facility_code: str, name: str, settings: ServerSettings, actor: Actor, at: datetime
) -> str:
    """Return a one-time code for a gateway, good for 24 hours; an unused older one is void.

    Inviting a name that is enrolled already is how a box is replaced: its certificate counts until the new one has
    been issued.
    """
    require(actor, Action.MANAGE_FACILITIES)
    check_code(name, field="name")
    facility = session.scalar(select(Facility).where(Facility.code == facility_code))
    if facility is None:
        raise NotFound("there is no such facility")
    gateway = session.scalar(select(Gateway).where(Gateway.facility_id == facility.id, Gateway.name == name))
    if gateway is None:
        gateway = Gateway(facility_id=facility.id, name=name, created_at=at)
        session.add(gateway)
    secret = "".join(secrets.choice(CROCKFORD) for _ in range(_SECRET_LENGTH))
    gateway.code_sha256 = _digest(secret)
    gateway.code_expires_at = at + CODE_LIFE
    gateway.code_used_at = None
    audit.record(
        session, actor=actor, at=at, act="gateway.invite", facility_id=facility.id, detail={"gateway": name}
    )
    return str(OneTimeCode(secret=secret, ca_fingerprint=ca_fingerprint(pki.ca_der(settings.pki))))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def enrol(
    session: Session, request: EnrolmentRequest, *, settings: ServerSettings, at: datetime, from_where: str
) -> EnrolmentAnswer:
    """Exchange a one-time code and a certificate request for the gateway's client certificate.

    Raises
    ------
    NotAllowed
        The code is unknown, used or too old; the answer does not tell which.
    InvalidInput
        Code or request are malformed. The code is not used up by that.
    """
    code = OneTimeCode.parse(request.code)
    gateway = session.scalar(
        select(Gateway).where(Gateway.code_sha256 == _digest(code.secret)).with_for_update()
    )
    if (
        gateway is None
        or gateway.code_expires_at is None
        or gateway.code_used_at
        or at >= gateway.code_expires_at
    ):
        raise NotAllowed("this one-time code is not good (any more); ask for a new one", code="code_refused")
    facility = gateway.facility
    certificate = pki.issue_gateway_certificate(
        request.csr_pem, f"{facility.code}/{gateway.name}", settings.pki, at=at
    )
    gateway.code_used_at = at
    gateway.certificate_sha256 = pki.certificate_sha256(certificate)
    gateway.certificate_not_after = certificate.not_valid_after_utc
    gateway.revoked_at = None
    gateway.version = request.gateway_version
    session.flush()
    audit.record(
        session,
        actor=_actor(gateway, from_where),
        at=at,
        act="gateway.enrol",
        detail={"gateway": gateway.name, "certificate": gateway.certificate_sha256},
    )
    return EnrolmentAnswer(
        certificate_pem=pki.certificate_pem(certificate),
        ca_pem=settings.ca_certificate.read_text(),
        signing_ca_pem=settings.signing_ca_certificate.read_text(),
        gateway_url=settings.gateway_url,
        facility_code=facility.code,
        facility_name=facility.name,
        gateway_name=gateway.name,
        quiet_seconds=facility.quiet_seconds,
    )


def _actor(gateway: Gateway, from_where: str) -> Actor:
    return Actor(
        kind="gateway",
        name=f"{gateway.facility.code}/{gateway.name}",
        role=Role.GATEWAY,
        facility_id=gateway.facility_id,
        gateway_id=gateway.id,
        from_where=from_where,
    )


def gateway_by_certificate(session: Session, der_sha256: str, *, at: datetime, from_where: str) -> Actor:
    """Return the gateway whose certificate this is; asked on every request.

    Raises
    ------
    NotAllowed
        Unknown, revoked or expired.
    """
    gateway = session.scalar(select(Gateway).where(Gateway.certificate_sha256 == der_sha256))
    if gateway is None or gateway.certificate_not_after is None:
        raise NotAllowed("this certificate is not known here", code="certificate_unknown")
    if gateway.revoked_at is not None:
        raise NotAllowed("this certificate is revoked", code="certificate_revoked")
    if at >= gateway.certificate_not_after:
        raise NotAllowed("this certificate has expired", code="certificate_expired")
    return _actor(gateway, from_where)


def revoke_gateway(session: Session, *, facility_code: str, name: str, actor: Actor, at: datetime) -> None:
    """Stop accepting a gateway's certificate, from the next request on, and void its one-time code."""
    require(actor, Action.MANAGE_FACILITIES)
    gateway = session.scalar(
        select(Gateway).join(Gateway.facility).where(Facility.code == facility_code, Gateway.name == name)
    )
    if gateway is None:
        raise NotFound("there is no such gateway")
    gateway.revoked_at = at
    gateway.code_sha256 = None
    audit.record(
        session,
        actor=actor,
        at=at,
        act="gateway.revoke",
        facility_id=gateway.facility_id,
        detail={"gateway": name, "certificate": gateway.certificate_sha256},
    )


def heartbeat(session: Session, message: Heartbeat, *, actor: Actor, at: datetime) -> HeartbeatAnswer:
    """Note how a gateway is; answer with the centre's clock."""
    gateway = session.get(Gateway, actor.gateway_id) if actor.gateway_id is not None else None
    if gateway is None:
        raise NotAllowed("only a gateway has a heartbeat")
    gateway.last_seen_at = at
    gateway.version = message.version
    gateway.queue = message.queue
    gateway.held = message.held
    gateway.disk_free_bytes = message.disk_free_bytes
    if message.alarm != gateway.alarm:
        gateway.alarm = message.alarm
        audit.record(
            session,
            actor=actor,
            at=at,
            act="gateway.alarm" if message.alarm else "gateway.alarm_ended",
            facility_id=gateway.facility_id,
            detail={"gateway": gateway.name, "alarm": message.alarm},
        )
    gateway.clock_skew_seconds = (message.clock - at).total_seconds()
    return HeartbeatAnswer(now=at)
