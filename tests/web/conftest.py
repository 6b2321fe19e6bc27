"""A centre with a real database and real services, and browsers for each role."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyotp
import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from teleread import clock
from teleread.domain.access import Actor, Role, system_actor
from teleread.errors import Unavailable
from teleread.services import accounts, facilities, ingest
from teleread.settings import ServerSettings
from teleread.storage.models.facilities import Gateway
from teleread.storage.session import transaction
from teleread.up import prepare
from teleread.web import viewer
from teleread.web.app import create_app
from teleread.web.security import COOKIE
from teleread.wire.manifest import HeldCount, ManifestInstance, StudyManifest

WORKER = """
import sys
from sqlalchemy import select
from teleread import clock
from teleread.services import signing
from teleread.settings import ServerSettings
from teleread.storage.blobs import BlobStore
from teleread.storage.models.reports import Rendering
from teleread.storage.session import open_engine, transaction

settings = ServerSettings.from_env({"TELEREAD_DATA": sys.argv[1]})
engine = open_engine(settings)
with transaction(engine, writes=False) as session:
    waiting = list(session.scalars(select(Rendering.id).where(Rendering.pdf_sha256.is_(None))))
for rendering in waiting:
    signing.render_rendering(engine, BlobStore(settings.blobs), rendering, at=clock.now())
"""

BASE = "https://localhost"
PASSWORD = "correct horse battery"
SYSTEM = system_actor("test")


def ct_file(study_uid: str, number: int, *, pseudonym: str, description: str = "CHEST") -> bytes:
    """Return one de-identified CT slice with a bright square in it."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = f"{study_uid}.1.{number}"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID = study_uid
    dataset.SeriesInstanceUID = f"{study_uid}.1"
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PatientName = dataset.PatientID = pseudonym
    dataset.PatientSex, dataset.PatientAge = "F", "067Y"
    dataset.PatientIdentityRemoved = "YES"
    dataset.StudyDate, dataset.StudyTime = "20261123", "162000"
    dataset.StudyDescription, dataset.SeriesDescription = description, description
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "CT", 2, number
    dataset.Rows = dataset.Columns = 64
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.RescaleIntercept, dataset.RescaleSlope = 0, 1
    dataset.WindowCenter, dataset.WindowWidth = 40, 400
    pixels = np.full((64, 64), -1000, np.int16)
    pixels[16:48, 16:48] = 40 + number
    dataset.PixelData = pixels.tobytes()
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@dataclass
class House:
    """The centre under test."""

    app: Flask
    settings: ServerSettings
    secrets: dict[str, str]
    gateways: dict[str, Actor]
    studies: int = 0

    @property
    def engine(self) -> Any:
        return self.app.extensions["teleread"].engine

    @property
    def blobs(self) -> Any:
        return self.app.extensions["teleread"].blobs

    def person(self, name: str, roles: list[str], facility: str | None = None, language: str = "en") -> None:
        with transaction(self.engine) as session:
            made = accounts.create_user(
                session,
                username=name,
                display_name=f"Dr {name}",
                roles=roles,
                facility_code=facility,
                language=language,
                licence_number="000000",
                password=PASSWORD,
                actor=SYSTEM,
                at=clock.now(),
            )
        self.secrets[name] = made.totp_secret

    def gateway(self, facility: str) -> Actor:
        if facility not in self.gateways:
            with transaction(self.engine) as session:
                made = facilities.add_facility(
                    session,
                    code=facility,
                    name=f"{facility} clinic",
                    actor=SYSTEM,
                    at=clock.now(),
                    language="en",
                )
                box = Gateway(facility_id=made.id, name="box", created_at=clock.now())
                session.add(box)
                session.flush()
                self.gateways[facility] = Actor(
                    kind="gateway",
                    name=f"{facility}/box",
                    role=Role.GATEWAY,
                    facility_id=made.id,
                    gateway_id=box.id,
                )
        return self.gateways[facility]

    def study(
        self,
        facility: str = "midori",
        *,
        slices: int = 3,
        description: str = "CHEST",
        missing: int = 0,
        held: tuple[HeldCount, ...] = (),
    ) -> str:
        """Send a study as the facility's gateway, whole unless some are `missing`, and return its case number."""
        self.studies += 1
        uid = f"2.25.{10**20 + self.studies}"
        pseudonym = "C36PV-4K2M7"
        actor = self.gateway(facility)
        listed = []
        for number in range(1, slices + 1):
            part = self.blobs.new_part()
            part.write_bytes(ct_file(uid, number, pseudonym=pseudonym, description=description))
            size = part.stat().st_size
            receipt = ingest.store_instance(self.engine, self.blobs, part, actor=actor, at=clock.now())
            assert receipt.outcome == "stored"
            listed.append(
                ManifestInstance(
                    sop_instance_uid=receipt.sop_instance_uid,
                    series_instance_uid=f"{uid}.1",
                    sop_class_uid=CTImageStorage,
                    sha256=receipt.sha256,
                    size=size,
                )
            )
        listed += [
            replace(listed[0], sop_instance_uid=f"{uid}.9.{number}", sha256="0" * 64)
            for number in range(1, missing + 1)
        ]
        manifest = StudyManifest(
            study_instance_uid=uid,
            pseudonym=pseudonym,
            sex="F",
            modalities=("CT",),
            study_date="20261123",
            study_time="162000",
            age="067Y",
            study_description=description,
            accession="",
            revision=1,
            closed=True,
            instances=tuple(listed),
            held=held,
            first_received_at=clock.now(),
            last_received_at=clock.now(),
            evidence="quiet 30 s, no open association",
        )
        with transaction(self.engine) as session:
            answer = ingest.receive_manifest(session, manifest, actor=actor, at=clock.now())
        assert answer.state == ("receiving" if missing else "complete")
        assert answer.case_number is not None
        return answer.case_number

    def client(self) -> FlaskClient:
        return self.app.test_client()

    def code(self, name: str) -> str:
        """Return a one-time code that was not used yet: the step after the last one used, made to count again."""
        with transaction(self.engine) as session:
            from teleread.storage.models.accounts import User

            user = session.query(User).filter_by(username=name).one()
            user.totp_step = 0
        return pyotp.TOTP(self.secrets[name]).now()

    def signed_in(self, name: str) -> FlaskClient:
        """Return a browser in which the person has signed in by the form."""
        client = self.client()
        token = csrf(client, "/sign-in")
        answer = client.post(
            "/sign-in",
            base_url=BASE,
            data={"username": name, "password": PASSWORD, "totp": self.code(name), "csrf_token": token},
        )
        assert answer.status_code == 303, answer.text
        return client

    def render(self) -> None:
        """Do what the worker does, and as the worker in a process of its own: make every rendering that waits."""
        subprocess.run([sys.executable, "-c", WORKER, str(self.settings.data)], check=True, timeout=120)


def csrf(client: FlaskClient, path: str) -> str:
    """Return the token in a page's head."""
    text = client.get(path, base_url=BASE).text
    return text.split('name="csrf-token" content="')[1].split('"')[0]


@pytest.fixture
def without_the_viewer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pages show the centre's own pictures, as they do where no viewer was laid."""

    def missing() -> None:
        raise Unavailable("not laid")

    monkeypatch.setattr(viewer, "laid_build", missing)


def make_house(data: Path) -> House:
    """Lay a centre with two facilities and a person of each role."""
    settings = ServerSettings.from_env({"TELEREAD_DATA": str(data), "TELEREAD_LANGUAGE": "en"})
    prepare(settings)
    app = create_app(settings)
    app.testing = False
    made = House(app, settings, {}, {})
    made.gateway("midori")
    made.gateway("kita")
    made.person("reader", ["reader"])
    made.person("second", ["reader"])
    made.person("coordinator", ["coordinator"])
    made.person("admin", ["administrator"])
    made.person("midori", ["facility"], "midori")
    made.person("kita", ["facility"], "kita")
    return made


def close_house(house: House) -> None:
    house.app.extensions["teleread"].renderer.close()
    house.engine.dispose()


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = make_house(tmp_path_factory.mktemp("centre"))
    yield made
    close_house(made)


@pytest.fixture(scope="package")
def browsers() -> dict[str, FlaskClient]:
    """Browsers that tests share, by the name of who has signed in."""
    return {}


@pytest.fixture
def reader(house: House, browsers: dict[str, FlaskClient]) -> FlaskClient:
    """A browser in which the reader is signed in; other tests end all sessions of a person at times."""
    known = browsers.get("reader")
    if known is None or known.get("/worklist", base_url=BASE).status_code != 200:
        known = browsers["reader"] = house.signed_in("reader")
    return known


__all__ = ["BASE", "COOKIE", "PASSWORD", "House", "csrf"]
