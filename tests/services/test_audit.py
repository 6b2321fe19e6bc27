# ruff: noqa: S608 - the statements are our own, and meant to do harm
"""The audit log: nothing changes it unseen."""

import random
import shutil
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.exc import DBAPIError

from teleread.errors import Unavailable
from teleread.services import audit
from teleread.storage.models.records import AuditRecord, WorkflowEvent
from teleread.storage.session import make_engine, transaction
from tests.builders.centre import OPERATOR, Place, clean_study

RECORDS = 120


@pytest.fixture
def chain(small_place: Place) -> Place:
    for number in range(RECORDS // 4):
        with small_place.session() as session:
            for part in range(4):
                audit.record(
                    session,
                    actor=OPERATOR,
                    at=small_place.wait(seconds=1),
                    act="test.act",
                    case_number="4MZ09D83",
                    detail={"number": number, "part": part},
                )
    small_place.engine.dispose()
    return small_place


COLUMNS = {
    "at": "'2026-05-12 00:00:00.000000'",
    "actor_name": "'mallory'",
    "actor_kind": "'robot'",
    "actor_role": "'nobody'",
    "from_where": "'203.0.113.9'",
    "act": "'nothing'",
    "case_number": "NULL",
    "facility_id": "4711",
    "detail": "'{\"number\": -1}'",
}


def tampered(place: Place, copy: Path, statement: str) -> bool:
    """Do something to a copy of the database, with its triggers taken away, and say whether it is found."""
    source = place.settings.data / "teleread.sqlite3"
    with sqlite3.connect(source) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    shutil.copyfile(source, copy)
    with sqlite3.connect(copy) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        assert connection.execute(statement).rowcount > 0
    connection.close()
    engine = make_engine(f"sqlite:///{copy}")
    with transaction(engine, writes=False) as session:
        faults = audit.verify_chain(session, place.settings.audit_key())
    engine.dispose()
    copy.unlink()
    return bool(faults)


def test_one_changed_or_removed_record_is_found_a_hundred_times_of_a_hundred(
    chain: Place, tmp_path: Path
) -> None:
    with chain.session() as session:
        assert audit.verify_chain(session, chain.settings.audit_key()) == []
        last = audit.newest(session, actor=OPERATOR, limit=1)[0].sequence
    dice = random.Random(7)  # noqa: S311 - chooses what to spoil, nothing secret
    statements = [f"DELETE FROM audit_record WHERE sequence = {last}"]
    statements += [
        f"UPDATE audit_record SET {column} = {value} WHERE sequence = {last}"
        for column, value in COLUMNS.items()
    ]
    while len(statements) < 100:
        sequence = dice.randint(1, last)
        if dice.random() < 0.4:
            statements.append(f"DELETE FROM audit_record WHERE sequence = {sequence}")
        else:
            column = dice.choice(sorted(COLUMNS))
            if column == "case_number" and sequence < 3:
                continue  # those records name no case anyway
            statements.append(
                f"UPDATE audit_record SET {column} = {COLUMNS[column]} WHERE sequence = {sequence}"
            )
    assert [one for one in statements if not tampered(chain, tmp_path / "copy.sqlite3", one)] == []


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM audit_record WHERE sequence > 50",
        "DELETE FROM audit_record",
        "DELETE FROM audit_head",
        "UPDATE audit_head SET sequence = sequence - 1",
        "UPDATE audit_head SET mac = sha256",
    ],
)
def test_a_cut_chain_and_a_forged_head_are_found(chain: Place, tmp_path: Path, statement: str) -> None:
    assert tampered(chain, tmp_path / "copy.sqlite3", statement)


@pytest.mark.parametrize("model", [AuditRecord, WorkflowEvent])
def test_the_database_refuses_to_change_or_remove_a_record(place: Place, model: type) -> None:
    place.send(clean_study())
    column = "act" if model is AuditRecord else "event"
    for statement in (update(model).values({column: "x"}), delete(model)):
        with pytest.raises(DBAPIError, match="append-only"), place.session() as session:
            session.execute(statement)
    with place.session() as session:
        assert session.execute(text(f"SELECT count(*) FROM {model.__tablename__}")).scalar()
        assert audit.verify_chain(session, place.settings.audit_key()) == []


def test_the_head_cannot_be_removed(place: Place) -> None:
    with pytest.raises(DBAPIError), place.session() as session:
        session.execute(text("DELETE FROM audit_head"))


def test_what_cannot_be_recorded_does_not_happen(place: Place) -> None:
    deaf = make_engine(place.engine.url.render_as_string(hide_password=False))

    def act() -> None:
        with transaction(deaf) as session:
            session.execute(text("UPDATE facility SET name = 'x'"))
            audit.record(session, actor=OPERATOR, at=place.at, act="test")

    with pytest.raises(Unavailable):
        act()
    deaf.dispose()
    with place.session() as session:
        assert session.execute(text("SELECT name FROM facility")).scalar() == "clinic 病院"


def test_an_act_that_fails_leaves_no_record(place: Place) -> None:
    with place.session() as session:
        before = audit.newest(session, actor=OPERATOR, limit=1)[0].sequence

    def act() -> None:
        with place.session() as session:
            audit.record(session, actor=OPERATOR, at=place.at, act="test")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        act()
    with place.session() as session:
        assert audit.newest(session, actor=OPERATOR, limit=1)[0].sequence == before
