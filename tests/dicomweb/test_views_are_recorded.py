"""Looking at images is in the audit log: once for each series, person and hour."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from teleread import clock
from teleread.services.viewing import ViewLog
from teleread.storage.models.records import AuditRecord
from teleread.storage.session import transaction
from tests.dicomweb.test_dicomweb import ROOT, reader, study_uid, token
from tests.web.conftest import BASE, House
from tests.web.conftest import house as house  # noqa: PLC0414 - the same centre

__all__ = ["reader"]


def views(house: House, uid: str) -> list[tuple[str, str]]:
    with transaction(house.engine, writes=False) as session:
        found = session.scalars(select(AuditRecord).where(AuditRecord.act == "series.view"))
        return [(one.actor_kind, one.actor_name) for one in found if one.detail["series"] == f"{uid}.1"]


def test_many_frames_of_a_series_are_one_view(house: House, reader: FlaskClient) -> None:
    uid = study_uid(house)
    assert reader.get(f"{ROOT}?StudyInstanceUID={uid}", base_url=BASE).status_code == 200
    assert views(house, uid) == []
    base = f"{ROOT}/{uid}/series/{uid}.1"
    for path in (
        f"{base}/metadata",
        f"{base}/instances/{uid}.1.1/frames/1",
        f"{base}/instances/{uid}.1.2",
        base,
    ):
        assert reader.get(path, base_url=BASE).status_code == 200
    assert views(house, uid) == [("user", "reader")]


def test_a_picture_on_the_case_page_is_the_same_view(house: House, reader: FlaskClient) -> None:
    number = house.study()
    rows = reader.get("/worklist", base_url=BASE, headers={"Accept": "application/json"}).json["rows"]
    uid = next(row["study_instance_uid"] for row in rows if row["case_number"] == number)
    for slice_number in (1, 2):
        frame = f"/cases/{number}/frames/{uid}.1.{slice_number}/1"
        assert reader.get(frame, base_url=BASE).status_code == 200
    with transaction(house.engine, writes=False) as session:
        found = session.scalars(select(AuditRecord).where(AuditRecord.case_number == number)).all()
        assert [one.act for one in found].count("series.view") == 1
    assert views(house, uid) == [("user", "reader")]


def test_a_token_is_recorded_by_its_name(house: House) -> None:
    uid = study_uid(house)
    for _ in range(2):
        answer = house.client().get(f"{ROOT}/{uid}/metadata", base_url=BASE, headers=token(house, "midori"))
        assert answer.status_code == 200
    ((kind, name),) = views(house, uid)
    assert kind == "token"
    assert "client-midori" in name


def test_the_next_hour_and_another_process_are_told_apart(
    house: House, reader: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = study_uid(house)
    at = [clock.now().replace(minute=5)]

    def now() -> datetime:
        return at[0]

    assert reader.get("/worklist", base_url=BASE).status_code == 200
    monkeypatch.setattr("teleread.dicomweb.wado.clock", type("Clock", (), {"now": staticmethod(now)}))
    assert reader.get(f"{ROOT}/{uid}/metadata", base_url=BASE).status_code == 200
    # What another process has recorded is in the log; this one remembers nothing.
    centre: Any = house.app.extensions["teleread"]
    monkeypatch.setattr(centre.views, "_recorded", set())
    assert isinstance(centre.views, ViewLog)
    assert reader.get(f"{ROOT}/{uid}/metadata", base_url=BASE).status_code == 200
    assert len(views(house, uid)) == 1
    at[0] += timedelta(hours=1)
    assert reader.get(f"{ROOT}/{uid}/metadata", base_url=BASE).status_code == 200
    assert len(views(house, uid)) == 2


def test_a_look_that_found_nothing_is_no_view(house: House) -> None:
    uid = study_uid(house, "midori")
    headers = token(house, "kita")
    assert house.client().get(f"{ROOT}/{uid}/metadata", base_url=BASE, headers=headers).status_code == 404
    assert views(house, uid) == []


def test_a_search_among_all_studies_is_recorded_without_what_was_searched_for(house: House) -> None:
    study_uid(house)
    headers = token(house, "midori")
    with transaction(house.engine, writes=False) as session:
        before = len(session.scalars(select(AuditRecord).where(AuditRecord.act == "images.query")).all())
    assert house.client().get(f"{ROOT}?PatientName=山田*", base_url=BASE, headers=headers).status_code == 200
    with transaction(house.engine, writes=False) as session:
        found = session.scalars(
            select(AuditRecord).where(AuditRecord.act == "images.query").order_by(AuditRecord.sequence)
        ).all()[before:]
    assert [(one.actor_kind, one.detail) for one in found] == [("token", {"level": "studies", "found": 0})]
