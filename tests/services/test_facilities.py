"""Enrolment: one code, one certificate, and the certificate is the facility."""

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from sqlalchemy import select

from teleread.errors import InvalidInput, NotAllowed
from teleread.services import coordination, facilities
from teleread.storage import pki
from teleread.storage.models.records import AuditRecord
from teleread.wire.enrolment import EnrolmentAnswer, EnrolmentRequest, OneTimeCode
from teleread.wire.heartbeat import Heartbeat
from tests.builders.centre import OPERATOR, Place

HERE = "192.0.2.7"


def request_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody/else")])
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def invite(place: Place) -> str:
    with place.session() as session:
        return facilities.invite_gateway(
            session, facility_code="clinic", name="gw2", settings=place.settings, actor=OPERATOR, at=place.at
        )


def enrol(place: Place, code: str, csr_pem: str | None = None) -> EnrolmentAnswer:
    csr_pem = csr_pem or request_of(ec.generate_private_key(ec.SECP256R1()))
    with place.session() as session:
        return facilities.enrol(
            session,
            EnrolmentRequest(code=code, csr_pem=csr_pem, gateway_version="0.1"),
            settings=place.settings,
            at=place.at,
            from_where=HERE,
        )


def digest(answer: EnrolmentAnswer) -> str:
    return pki.certificate_sha256(x509.load_pem_x509_certificate(answer.certificate_pem.encode()))


def test_a_code_gives_a_certificate_that_is_the_facility(place: Place) -> None:
    code = invite(place)
    assert OneTimeCode.parse(code).names(pki.ca_der(place.settings.pki))
    answer = enrol(place, code)
    certificate = x509.load_pem_x509_certificate(answer.certificate_pem.encode())
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(answer.ca_pem.encode()))
    assert certificate.subject.rfc4514_string() == "CN=clinic/gw2"
    with place.session() as session:
        actor = facilities.gateway_by_certificate(session, digest(answer), at=place.at, from_where=HERE)
    assert (actor.facility_id, actor.name) == (place.facility_id, "clinic/gw2")


def test_a_code_is_good_once_and_for_a_day(place: Place) -> None:
    code = invite(place)
    enrol(place, code)
    with pytest.raises(NotAllowed):
        enrol(place, code)
    code = invite(place)
    place.wait(hours=24)
    with pytest.raises(NotAllowed):
        enrol(place, code)


def test_a_newer_code_voids_the_older(place: Place) -> None:
    older, newer = invite(place), invite(place)
    with pytest.raises(NotAllowed):
        enrol(place, older)
    assert enrol(place, newer)


def test_a_bad_request_does_not_use_up_the_code(place: Place) -> None:
    code = invite(place)
    for csr_pem in ("nonsense", request_of(rsa.generate_private_key(65537, 2048))):
        with pytest.raises(InvalidInput):
            enrol(place, code, csr_pem)
    assert enrol(place, code)


def test_a_revoked_unknown_or_expired_certificate_is_nobody(place: Place) -> None:
    answer = enrol(place, invite(place))
    with place.session() as session:
        for sha256, at in (("0" * 64, place.at), (digest(answer), place.at.replace(year=2030))):
            with pytest.raises(NotAllowed):
                facilities.gateway_by_certificate(session, sha256, at=at, from_where=HERE)
        facilities.revoke_gateway(session, facility_code="clinic", name="gw2", actor=OPERATOR, at=place.at)
    with place.session() as session, pytest.raises(NotAllowed):
        facilities.gateway_by_certificate(session, digest(answer), at=place.at, from_where=HERE)


def test_an_alarm_of_a_heartbeat_leads_the_board_and_is_recorded_once(place: Place) -> None:
    coordinator = place.person("coord", "coordinator")
    answer = enrol(place, invite(place))
    with place.session() as session:
        actor = facilities.gateway_by_certificate(session, digest(answer), at=place.at, from_where=HERE)

    def beat(alarm: str) -> list[str]:
        message = Heartbeat(
            version="1",
            queue=0,
            held=0,
            disk_free_bytes=10**12,
            clock=place.at,
            certificate_not_after=place.at,
            alarm=alarm,
        )
        with place.session() as session:
            facilities.heartbeat(session, message, actor=actor, at=place.at)
        with place.session() as session:
            return [one.alarm for one in coordination.gateways(session, actor=coordinator.actor, at=place.at)]

    assert beat("leak_check_failed")[0] == "leak_check_failed"
    beat("leak_check_failed")
    assert "leak_check_failed" not in beat("")
    with place.session() as session:
        acts = session.scalars(select(AuditRecord.act).where(AuditRecord.act.like("gateway.alarm%"))).all()
    assert sorted(acts) == ["gateway.alarm", "gateway.alarm_ended"]
