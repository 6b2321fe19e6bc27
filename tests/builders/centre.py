"""A centre without its web pages: database, blobs, secrets, certificates, and people to act in it."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from teleread.domain.access import Actor, system_actor
from teleread.domain.identifiers import pseudonym_for, replacement_uid
from teleread.rendering.context import ReportContent
from teleread.services import accounts, delivery, facilities, ingest, reading, reporting, signing
from teleread.services.accounts import NewUser, actor_of
from teleread.settings import ServerSettings
from teleread.storage import pki
from teleread.storage.blobs import BlobStore
from teleread.storage.models.facilities import Gateway
from teleread.storage.models.readings import Reading
from teleread.storage.models.reports import SignAuthorisation
from teleread.storage.session import open_engine, transaction
from teleread.up import prepare
from teleread.wire.manifest import HeldCount, ManifestInstance, StudyManifest
from teleread.wire.packages import ReportPackage
from teleread.wire.receipts import InstanceReceipt
from tests.builders.datasets import ct_slice, encoded

BEGINNING = datetime(2026, 5, 11, 1, 15, tzinfo=UTC)
OPERATOR = system_actor("test")
KEY = b"k" * 32
SECTIONS = {"findings": "右下葉に8 mmの結節。", "impression": "肺結節。3か月後の再検を推奨。"}


@dataclass
class Person:
    """A user with what is needed to sign in, and a clock for one-time codes."""

    new: NewUser
    actor: Actor

    def code(self, at: datetime) -> str:
        """Return the one-time code of that moment."""
        return pyotp.TOTP(self.new.totp_secret).at(at)


@dataclass
class Place:
    """A centre with one facility; time stands still unless a test moves it."""

    settings: ServerSettings
    engine: Engine
    blobs: BlobStore
    at: datetime = BEGINNING
    facility_id: int = 0
    gateway: Actor = field(default=OPERATOR)

    def wait(self, **duration: float) -> datetime:
        """Let time pass."""
        self.at += timedelta(**duration)
        return self.at

    def session(self, *, writes: bool = True) -> Any:
        """Return a transaction to be used in a with statement."""
        return transaction(self.engine, writes=writes)

    def person(self, username: str, *roles: str, facility_code: str | None = None) -> Person:
        """Make a user."""
        with self.session() as session:
            new = accounts.create_user(
                session,
                username=username,
                display_name=f"名前 {username}",
                roles=roles,
                facility_code=facility_code,
                licence_number="123456" if "reader" in roles else "",
                actor=OPERATOR,
                at=self.at,
            )
            return Person(new, actor_of(new.user))

    def facility(self, code: str) -> Actor:
        """Register a facility with an enrolled gateway, and return the gateway."""
        with self.session() as session:
            made = facilities.add_facility(
                session, code=code, name=f"{code} 病院", actor=OPERATOR, at=self.at
            )
            box = Gateway(
                facility_id=made.id,
                name="gw1",
                certificate_sha256=secrets.token_hex(32),
                certificate_not_after=self.at + timedelta(days=800),
                created_at=self.at,
            )
            session.add(box)
            session.flush()
            digest = box.certificate_sha256
        with self.session() as session:
            return facilities.gateway_by_certificate(session, digest, at=self.at, from_where="192.0.2.1")

    def keys(self) -> pki.SigningKeys:
        """Return the readers' keys."""
        return pki.SigningKeys(self.settings.signing, self.settings.pki, self.settings.reader_keys_key())

    def store(self, data: bytes, *, gateway: Actor | None = None) -> InstanceReceipt:
        """Store the bytes of one instance."""
        part = self.blobs.new_part()
        part.write_bytes(data)
        try:
            return ingest.store_instance(
                self.engine, self.blobs, part, actor=gateway or self.gateway, at=self.at
            )
        finally:
            part.unlink(missing_ok=True)

    def send(self, study: "CleanStudy", *, gateway: Actor | None = None) -> str:
        """Store a whole study with its manifest, and return the case number."""
        for data in study.files:
            assert self.store(data, gateway=gateway).is_stored
        with self.session() as session:
            answer = ingest.receive_manifest(
                session, study.manifest(), actor=gateway or self.gateway, at=self.at
            )
        assert answer.state == "complete", answer
        assert answer.case_number is not None
        return answer.case_number

    def write(self, case_number: str, reader: Person, sections: dict[str, str] | None = None) -> int:
        """Claim a case and write its report; return the draft's revision."""
        with self.session() as session:
            reading.claim(session, case_number, actor=reader.actor, at=self.at)
            base = reporting.draft(session, case_number, actor=reader.actor).revision
            return reporting.save_draft(
                session, case_number, sections or SECTIONS, base, actor=reader.actor, at=self.at
            )

    def review(self, case_number: str, reader: Person, revision: int, **more: Any) -> signing.RenderingView:
        """Ask for the page and let the worker make it."""
        with self.session() as session:
            rendering_id = signing.request_review(
                session, case_number, revision, actor=reader.actor, at=self.at, **more
            )
            row_id = signing._rendering_of(session, case_number, rendering_id, reader.actor).id
        signing.render_rendering(self.engine, self.blobs, row_id, at=self.at)
        with self.session() as session:
            return signing.rendering(session, rendering_id, actor=reader.actor, case_number=case_number)

    def sign(self, case_number: str, reader: Person, page: signing.RenderingView) -> signing.SignedReport:
        """Sign what was reviewed, with a code that was not used before."""
        self.wait(seconds=60)
        assert page.pdf_sha256
        return signing.authorise_and_sign(
            self.engine,
            case_number,
            page.rendering_id,
            page.pdf_sha256,
            reader.new.password,
            reader.code(self.at),
            seen_pages=page.pages or 0,
            actor=reader.actor,
            at=self.at,
        )

    def package(self, case_number: str, reader: Person) -> ReportPackage:
        """Write, review and sign a case's report, let the worker put the signature under it, and return its package."""
        self.sign(case_number, reader, self.review(case_number, reader, self.write(case_number, reader)))
        with self.session() as session:
            authorisation_id = session.scalar(
                select(SignAuthorisation.id).order_by(SignAuthorisation.id.desc()).limit(1)
            )
        assert authorisation_id is not None
        signing.sign_version(self.engine, self.blobs, authorisation_id, keys=self.keys(), at=self.at)
        with self.session() as session:
            (found,) = delivery.packages_for(session, actor=self.gateway)
            return found

    def reading(self, session: Session, case_number: str) -> Reading:
        """Return the row of a case."""
        return reading.reading_of(session, case_number, actor=OPERATOR)


@dataclass(frozen=True)
class CleanStudy:
    """A de-identified study as a gateway sends it."""

    study_instance_uid: str
    pseudonym: str
    files: tuple[bytes, ...]
    listed: tuple[ManifestInstance, ...]

    def manifest(self, **changes: Any) -> StudyManifest:
        """Return the closed manifest, with changes."""
        message = StudyManifest(
            study_instance_uid=self.study_instance_uid,
            pseudonym=self.pseudonym,
            sex="F",
            modalities=("CT",),
            study_date="20260511",
            study_time="101500",
            age="067Y",
            study_description="CT CHEST",
            accession="A123456789ABC",
            revision=1,
            closed=True,
            instances=self.listed,
            held=(),
            first_received_at=BEGINNING,
            last_received_at=BEGINNING,
            evidence="quiet 30 s, no open association",
        )
        return replace(message, **changes)


def clean_study(patient: str = "TR-1", number: int = 1, slices: int = 3, **changes: Any) -> CleanStudy:
    """Return a study of a patient; the same arguments give the same study."""
    import hashlib

    pseudonym = pseudonym_for("", patient, KEY)
    study_uid = replacement_uid(f"1.2.{number}", KEY)
    series_uid = replacement_uid(f"1.2.{number}.1", KEY)
    files, listed = [], []
    for slice_number in range(1, slices + 1):
        sop_uid = replacement_uid(f"1.2.{number}.1.{slice_number}", KEY)
        data = encoded(clean_slice(slice_number, pseudonym, study_uid, series_uid, sop_uid, **changes))
        files.append(data)
        listed.append(
            ManifestInstance(
                sop_instance_uid=sop_uid,
                series_instance_uid=series_uid,
                sop_class_uid="1.2.840.10008.5.1.4.1.1.2",
                sha256=hashlib.sha256(data).hexdigest(),
                size=len(data),
            )
        )
    return CleanStudy(study_uid, pseudonym, tuple(files), tuple(listed))


def clean_slice(
    number: int, pseudonym: str, study_uid: str, series_uid: str, sop_uid: str, **changes: Any
) -> Any:
    """Return one slice without identity."""
    values = {
        "patient_id": pseudonym,
        "PatientName": pseudonym,
        "PatientBirthDate": "",
        "PatientAge": "067Y",
        "StudyInstanceUID": study_uid,
        "SeriesInstanceUID": series_uid,
        "SOPInstanceUID": sop_uid,
        "AccessionNumber": "A123456789ABC",
        "ReferringPhysicianName": "",
        "SpecificCharacterSet": "ISO_IR 192",
    }
    return ct_slice(number, **(values | changes))


def held(reason: str, count: int = 1) -> HeldCount:
    """Return a line of a manifest about what the facility holds back."""
    return HeldCount(reason=reason, sop_class_uid="1.2.840.10008.5.1.4.1.1.7", count=count)


def make_place(folder: Path, database_url: str = "") -> Place:
    """Lay a centre in a folder and register one facility."""
    env = {"TELEREAD_DATA": str(folder), "TELEREAD_REDIS_URL": "redis://127.0.0.1:1"}
    if database_url:
        env["TELEREAD_DATABASE_URL"] = database_url
    settings = ServerSettings.from_env(env)
    prepare(settings)
    place = Place(settings, open_engine(settings), BlobStore(settings.blobs))
    place.gateway = place.facility("clinic")
    place.facility_id = place.gateway.facility_id or 0
    return place


def contents(versions: Iterable[Any]) -> list[ReportContent]:
    """Return what was signed."""
    return [ReportContent.from_json(version.content) for version in versions]
