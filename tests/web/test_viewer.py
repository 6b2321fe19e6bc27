"""The viewer from the server's side: one case a root, files for ever, policies, and the question before signing."""

from __future__ import annotations

import gzip
import json
import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from teleread.storage.models.records import AuditRecord
from teleread.storage.session import transaction
from teleread.web import viewer, viewer_setup
from teleread.web.permissions import PEOPLE_ROUTES, Door
from tests.builders.pictures import Sent, send
from tests.web.conftest import BASE, House, csrf

laid = pytest.mark.skipif(not viewer_setup.FOLDER.exists(), reason="the viewer is not laid: run `make setup`")


@pytest.fixture(scope="module")
def sent(house: House) -> Sent:
    return send(house, slices=3)


@pytest.fixture(scope="module")
def other(house: House) -> Sent:
    return send(house, slices=2)


def root(case: Sent, rest: str = "") -> str:
    return f"/dicom-web/cases/{case.case_number}/studies{rest}"


def test_the_root_of_a_case_answers_for_its_own_study_only(
    reader: FlaskClient, sent: Sent, other: Sent
) -> None:
    found = client_json(reader, root(sent))
    assert [one["0020000D"]["Value"] for one in found] == [[sent.study_instance_uid]]
    assert client_json(reader, root(sent, "?PatientID=C36PV-4K2M7")) == found
    assert client_json(reader, root(sent, f"?StudyInstanceUID={other.study_instance_uid}")) == []
    foreign = f"/{other.study_instance_uid}"
    for path in ("/series", "/metadata", f"/series/{other.study_instance_uid}.1/metadata"):
        assert reader.get(root(sent, foreign + path), base_url=BASE).status_code == 404
    frame = f"/series/{other.study_instance_uid}.1/instances/{other.study_instance_uid}.1.1/frames/1"
    assert reader.get(root(sent, foreign + frame), base_url=BASE).status_code == 404
    assert reader.get(root(other, foreign + frame), base_url=BASE).status_code == 200


def client_json(client: FlaskClient, path: str) -> list[dict[str, dict[str, list[object]]]]:
    answer = client.get(path, base_url=BASE)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.text)


def test_addresses_below_the_root_of_a_case_stay_below_it(reader: FlaskClient, sent: Sent) -> None:
    text = reader.get(root(sent, f"/{sent.study_instance_uid}/metadata"), base_url=BASE).text
    addresses = re.findall(r'"(https://[^"]+)"', text)
    assert len(addresses) == 3
    assert all(f"/dicom-web/cases/{sent.case_number}/studies/" in one for one in addresses)


def test_one_study_uid_of_two_facilities_stays_two_studies(
    house: House, reader: FlaskClient, sent: Sent
) -> None:
    twin = send(house, slices=2, facility="kita", study_uid=sent.study_instance_uid)
    assert twin.case_number != sent.case_number
    path = f"/{sent.study_instance_uid}/metadata"
    assert len(client_json(reader, root(sent, path))) == 3
    assert len(client_json(reader, root(twin, path))) == 2


def test_images_of_a_case_are_not_stored_and_not_for_everybody(
    house: House, reader: FlaskClient, sent: Sent
) -> None:
    frame = root(
        sent, f"/{sent.study_instance_uid}/series/{sent.study_instance_uid}.1/instances/{sent.study_instance_uid}.1.1/frames/1"
    )  # fmt: skip
    answer = reader.get(frame, base_url=BASE)
    assert answer.headers["Cache-Control"] == "no-store"
    assert b"transfer-syntax=1.2.840.10008.1.2.1" in answer.data[:300]
    for name in ("coordinator", "midori", "admin"):
        assert house.signed_in(name).get(frame, base_url=BASE).status_code == 403
    assert house.client().get(frame, base_url=BASE).status_code == 401


def test_a_hidden_study_is_not_there_for_the_viewer(house: House, reader: FlaskClient) -> None:
    from teleread.storage.models.studies import Study

    case = send(house, slices=1)
    assert reader.get(root(case), base_url=BASE).status_code == 200
    with transaction(house.engine) as session:
        session.scalars(
            select(Study).where(Study.study_instance_uid == case.study_instance_uid)
        ).one().state = "quarantined"
    assert reader.get(root(case), base_url=BASE).status_code == 404
    page = reader.get(f"/cases/{case.case_number}", base_url=BASE).text
    assert "so its images are not shown" in page
    assert "cannot be claimed until the centre has looked into it" in page
    assert "still arriving" not in page
    assert "images to show yet" not in page
    assert "/claim" not in page


@laid
def test_the_page_starts_for_the_study_of_its_case_only(
    house: House, reader: FlaskClient, sent: Sent, other: Sent
) -> None:
    base = f"/viewer/viewer?case={sent.case_number}&StudyInstanceUIDs="
    answer = reader.get(base + sent.study_instance_uid, base_url=BASE)
    assert answer.status_code == 200
    assert f'data-studies="{sent.study_instance_uid}"' in answer.text
    assert answer.headers["Content-Security-Policy"] == viewer.PAGE_POLICY
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert "<script>" not in answer.text
    for studies in (other.study_instance_uid, f"{sent.study_instance_uid},{other.study_instance_uid}", ""):
        assert reader.get(base + studies, base_url=BASE).status_code == 404
    assert reader.get("/viewer/notfoundstudy", base_url=BASE).status_code == 404
    with transaction(house.engine, writes=False) as session:
        both = (sent.case_number, other.case_number)
        opened = select(AuditRecord).where(
            AuditRecord.act == "images.open", AuditRecord.case_number.in_(both)
        )
        assert [one.case_number for one in session.scalars(opened)] == [sent.case_number]


def test_the_page_allows_no_inline_script_and_only_the_decoder_makes_functions() -> None:
    scripts = dict(rule.split(" ", 1) for rule in viewer.PAGE_POLICY.split("; "))["script-src"]
    assert scripts == "'self' 'wasm-unsafe-eval'"
    assert "'unsafe-eval'" not in viewer.FILE_POLICY
    assert "'unsafe-eval'" in viewer.DECODER_POLICY
    assert "'unsafe-inline'" not in viewer.FILE_POLICY + viewer.DECODER_POLICY


@laid
def test_files_of_the_build_are_kept_for_ever_and_come_compressed(house: House) -> None:
    build = viewer_setup.read_build()
    client = house.client()
    for name in (build.bundle, build.styles, build.decode_worker, *build.scripts):
        plain = client.get(f"/viewer/{build.name}/{name}", base_url=BASE)
        packed = client.get(
            f"/viewer/{build.name}/{name}", base_url=BASE, headers={"Accept-Encoding": "gzip"}
        )
        assert plain.status_code == packed.status_code == 200
        assert "immutable" in plain.headers["Cache-Control"]
        assert packed.headers["Content-Encoding"] == "gzip"
        assert packed.headers["Vary"] == "Accept-Encoding"
        assert gzip.decompress(packed.data) == plain.data
        wanted = viewer.DECODER_POLICY if name == build.decode_worker else viewer.FILE_POLICY
        assert plain.headers["Content-Security-Policy"] == wanted
        plain.close()
        packed.close()
    for path in (
        f"{build.name}/{build.bundle}.gz",
        f"{build.name}/index.html",
        f"older/{build.bundle}",
        "local",
        "x/../y",
    ):
        assert client.get(f"/viewer/{path}", base_url=BASE).status_code == 404


def test_the_routes_of_a_case_need_a_persons_session() -> None:
    rules = {name: rule for name, rule in PEOPLE_ROUTES.items() if name.startswith(("case_root.", "viewer."))}
    assert {name for name, rule in rules.items() if rule.door is not Door.SESSION} == {"viewer.file"}


def ask_review(house: House, client: FlaskClient, case: Sent, **form: str) -> int:
    token = csrf(client, f"/cases/{case.case_number}")
    client.post(f"/cases/{case.case_number}/claim", base_url=BASE, data={"csrf_token": token})
    saved = client.post(
        f"/cases/{case.case_number}/draft",
        base_url=BASE,
        headers={"X-CSRFToken": token},
        json={"base_revision": 0, "sections": {"findings": "a", "impression": "b"}},
    )
    revision = saved.json["revision"]
    answer = client.post(
        f"/cases/{case.case_number}/review",
        base_url=BASE,
        data={"csrf_token": token, "revision": str(revision), **form},
    )
    return answer.status_code


def test_no_report_is_reviewed_while_another_study_is_shown(house: House, other: Sent) -> None:
    client = house.signed_in("second")
    case = send(house, slices=1)
    shown = f"{case.study_instance_uid} {other.study_instance_uid}"
    refused = ask_review(
        house, client, case, shown_answered="1", shown_studies=shown, shown_failed="0", shown_confirmed="1"
    )
    assert refused == 409


@pytest.mark.parametrize(
    "form",
    [
        {"shown_answered": "0", "shown_studies": "", "shown_failed": "0"},
        {"shown_answered": "1", "shown_studies": "", "shown_failed": "0"},
        {"shown_answered": "1", "shown_studies": "own", "shown_failed": "2"},
    ],
)
def test_a_doubt_about_the_images_has_to_be_confirmed_and_is_recorded(
    house: House, form: dict[str, str]
) -> None:
    client = house.signed_in("second")
    case = send(house, slices=1)
    told = form | {"shown_studies": case.study_instance_uid if form["shown_studies"] else ""}
    assert ask_review(house, client, case, **told, shown_confirmed="") == 409
    token = csrf(client, f"/cases/{case.case_number}")
    answer = client.post(
        f"/cases/{case.case_number}/review",
        base_url=BASE,
        data={"csrf_token": token, "revision": "1", **told, "shown_confirmed": "1"},
    )
    assert answer.status_code == 303
    with transaction(house.engine, writes=False) as session:
        record = session.scalars(
            select(AuditRecord).where(
                AuditRecord.act == "images.shown", AuditRecord.case_number == case.case_number
            )
        ).one()
        assert len(record.detail["confirmed"]) == 1


@laid
def test_a_review_needs_what_the_viewer_shows(house: House) -> None:
    client = house.signed_in("second")
    assert ask_review(house, client, send(house, slices=1)) == 400
    case = send(house, slices=1)
    shown = {"shown_answered": "1", "shown_studies": case.study_instance_uid, "shown_failed": "0"}
    assert ask_review(house, client, case, **shown) == 303
