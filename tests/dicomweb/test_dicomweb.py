"""QIDO-RS and WADO-RS over the people's listener: who may, what comes back."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from datetime import timedelta

import pydicom
import pytest
from flask.testing import FlaskClient
from PIL import Image

from teleread import clock
from teleread.dicom.multipart import iter_parts
from teleread.services import accounts
from teleread.storage.session import transaction
from tests.web.conftest import BASE, SYSTEM, House, csrf, ct_file
from tests.web.conftest import house as house  # noqa: PLC0414 - the same centre, for this package

ROOT = "/dicom-web/studies"


@pytest.fixture(scope="package")
def reader(house: House) -> Iterator[FlaskClient]:
    return house.signed_in("reader")


def token(house: House, facility: str | None, *scopes: str) -> dict[str, str]:
    with transaction(house.engine) as session:
        text = accounts.create_token(
            session,
            name=f"client-{facility}",
            scopes=scopes or ("dicomweb.read",),
            facility_code=facility,
            expires_at=clock.now() + timedelta(hours=1),
            actor=SYSTEM,
            at=clock.now(),
        )
    return {"Authorization": f"Bearer {text}"}


def study_uid(house: House, facility: str = "midori", **how: object) -> str:
    number = house.study(facility, **how)  # type: ignore[arg-type]
    client = house.signed_in("coordinator")
    rows = client.get("/worklist", base_url=BASE, headers={"Accept": "application/json"}).json["rows"]
    return next(row["study_instance_uid"] for row in rows if row["case_number"] == number)


def test_studies_series_and_instances_are_found(house: House, reader: FlaskClient) -> None:
    uid = study_uid(house, slices=4)
    (study,) = reader.get(f"{ROOT}?StudyInstanceUID={uid}", base_url=BASE).json
    assert study["0020000D"]["Value"] == [uid]
    assert study["00201208"]["Value"] == [4]
    assert study["00080061"]["Value"] == ["CT"]
    (series,) = reader.get(f"{ROOT}/{uid}/series?Modality=CT", base_url=BASE).json
    assert series["00201209"]["Value"] == [4]
    assert reader.get(f"{ROOT}/{uid}/series?Modality=MR", base_url=BASE).json == []
    instances = reader.get(f"{ROOT}/{uid}/instances?limit=2&offset=1", base_url=BASE).json
    assert [item["00200013"]["Value"] for item in instances] == [[2], [3]]
    assert (
        len(reader.get(f"/dicom-web/instances?StudyInstanceUID={uid}&InstanceNumber=3", base_url=BASE).json)
        == 1
    )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("PatientID=C36PV-4K2M7", True),
        ("PatientID=C36PV*", True),
        ("PatientID=C36PV-4K2M_", False),
        ("StudyDate=20261101-20261130", True),
        ("StudyDate=20261124-", False),
        ("StudyTime=1600-1620", True),
        ("ModalitiesInStudy=CT", True),
        ("ModalitiesInStudy=MR", False),
        ("PatientName=c36pv-4k2m7", True),
        ("PatientAge=067Y", True),
    ],
)
def test_matching_follows_the_standard(house: House, reader: FlaskClient, query: str, found: bool) -> None:
    uid = study_uid(house)
    assert bool(reader.get(f"{ROOT}?StudyInstanceUID={uid}&{query}", base_url=BASE).json) is found


def test_a_query_that_cannot_be_understood_is_refused(house: House, reader: FlaskClient) -> None:
    for query in ("Nonsense=1", "InstanceNumber=x", "limit=x"):
        path = "/dicom-web/instances" if "Instance" in query else ROOT
        assert reader.get(f"{path}?{query}", base_url=BASE).status_code == 400, query


def test_instances_come_back_byte_for_byte(house: House, reader: FlaskClient) -> None:
    uid = study_uid(house, slices=3)
    answer = reader.get(f"{ROOT}/{uid}", base_url=BASE)
    boundary = answer.content_type.split("boundary=")[1]
    files = []
    for part in iter_parts(io.BytesIO(answer.data), boundary):
        body = b""
        while chunk := part.read():
            body += chunk
        files.append(body)
    digests = {hashlib.sha256(file).hexdigest() for file in files}
    assert len(digests) == 3
    assert all(house.blobs.verify(digest) for digest in digests)
    assert pydicom.dcmread(io.BytesIO(files[0])).StudyInstanceUID == uid


def test_metadata_points_to_bulk_data_and_frames_are_given(house: House, reader: FlaskClient) -> None:
    uid = study_uid(house)
    models = reader.get(f"{ROOT}/{uid}/metadata", base_url=BASE).json
    assert len(models) == 3
    bulk = models[0]["7FE00010"]["BulkDataURI"]
    assert models[0]["00080005"]["Value"] == ["ISO_IR 192"]
    path = bulk[bulk.index("/dicom-web") :]
    pixels = reader.get(path, base_url=BASE)
    assert len(pixels.data) > 64 * 64 * 2
    sop = models[0]["00080018"]["Value"][0]
    base = f"{ROOT}/{uid}/series/{uid}.1/instances/{sop}"
    assert reader.get(f"{base}/frames/1", base_url=BASE).data.count(b"\r\n--") >= 1
    assert reader.get(f"{base}/frames/2", base_url=BASE).status_code == 404
    assert reader.get(f"{base}/frames/x", base_url=BASE).status_code == 400
    assert reader.get(f"{base}/bulk/00100010/7/00100020", base_url=BASE).status_code == 404
    picture = reader.get(f"{base}/rendered?window=40,400", base_url=BASE)
    image = Image.open(io.BytesIO(picture.data))
    assert image.size == (64, 64)
    assert image.getpixel((32, 32)) > 100
    assert image.getpixel((0, 0)) == 0
    assert reader.get(f"{base}/rendered?window=a,b", base_url=BASE).status_code == 400
    assert reader.get(f"{base}/rendered?window=1,0", base_url=BASE).status_code == 400


def test_without_credentials_the_answer_is_401(house: House) -> None:
    answer = house.client().get(ROOT, base_url=BASE)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    bad = house.client().get(ROOT, base_url=BASE, headers={"Authorization": "Bearer nonsense"})
    assert bad.status_code == 401


def test_a_token_reaches_its_facility_and_nothing_else(house: House) -> None:
    own, other = study_uid(house, "kita"), study_uid(house, "midori")
    client, headers = house.client(), token(house, "kita")
    found = {item["0020000D"]["Value"][0] for item in client.get(ROOT, base_url=BASE, headers=headers).json}
    assert own in found
    assert other not in found
    assert client.get(f"{ROOT}/{own}/metadata", base_url=BASE, headers=headers).status_code == 200
    unknown = client.get(f"{ROOT}/2.25.404/metadata", base_url=BASE, headers=headers)
    for rest in ("", "/metadata", f"/series/{other}.1", f"/series/{other}.1/instances/{other}.1.1/rendered"):
        answer = client.get(f"{ROOT}/{other}{rest}", base_url=BASE, headers=headers)
        assert answer.status_code == 404
        assert answer.json == unknown.json
    assert client.get("/worklist", base_url=BASE, headers=headers).status_code == 303


def test_a_token_for_writing_does_not_read(house: House) -> None:
    headers = token(house, "kita", "dicomweb.write")
    assert house.client().get(ROOT, base_url=BASE, headers=headers).status_code == 403


def test_people_of_a_facility_and_coordinators_see_no_images(house: House) -> None:
    number = house.study("midori")
    for name in ("midori", "coordinator", "admin"):
        client = house.signed_in(name)
        assert client.get(ROOT, base_url=BASE).status_code == 403
        assert client.get(f"/cases/{number}/frames/1.2/1", base_url=BASE).status_code == 403
    assert csrf(house.client(), "/sign-in")


def test_one_uid_from_two_facilities_is_never_shown_as_one_study(house: House, reader: FlaskClient) -> None:
    house.study("midori")
    house.studies -= 1
    house.study("kita")
    uid = f"2.25.{10**20 + house.studies}"
    assert reader.get(f"{ROOT}/{uid}/metadata", base_url=BASE).status_code == 400
    own = house.client().get(f"{ROOT}/{uid}/metadata", base_url=BASE, headers=token(house, "kita"))
    assert len(own.json) == 3


def test_a_token_for_writing_stores_what_is_deidentified_and_nothing_else(house: House) -> None:
    client, headers = house.client(), token(house, "kita", "dicomweb.write")
    headers["Content-Type"] = 'multipart/related; type="application/dicom"; boundary=b'

    def body(pseudonym: str) -> bytes:
        file = ct_file("2.25.777", 1, pseudonym=pseudonym)
        return b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n--b--\r\n"

    named = client.post(ROOT, base_url=BASE, data=body("YAMADA^TARO"), headers=headers)
    assert named.status_code == 409
    stored = client.post(ROOT, base_url=BASE, data=body("C36PV-4K2M7"), headers=headers)
    assert stored.status_code == 200, stored.text
    reading = token(house, "kita", "dicomweb.read") | {"Content-Type": headers["Content-Type"]}
    assert client.post(ROOT, base_url=BASE, data=body("C36PV-4K2M7"), headers=reading).status_code == 403
