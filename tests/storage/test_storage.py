"""Blobs, transactions, outbox and schema."""

import errno
import io
import os
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text

from teleread.errors import InvalidInput, NotFound, OutOfSpace
from teleread.jobs import JobName
from teleread.storage import outbox, schema
from teleread.storage.blobs import BlobStore
from teleread.storage.durable import write_file
from teleread.storage.models.records import OutboxRow
from teleread.storage.models.registry import metadata
from teleread.storage.session import make_engine
from tests.builders.centre import Place
from tests.builders.databases import Cluster

HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def test_content_is_kept_under_its_digest_once(blobs: BlobStore, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"hello")
    for given in (b"hello", io.BytesIO(b"hello"), source):
        assert blobs.put(given) == (HELLO, 5)
    assert blobs.read(HELLO) == b"hello"
    assert blobs.path(HELLO) == tmp_path / "blobs" / "2c" / "f2" / HELLO
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == [blobs.path(HELLO)]


def test_a_part_is_taken_over(blobs: BlobStore) -> None:
    part = blobs.new_part()
    part.write_bytes(b"hello")
    assert blobs.adopt(part) == (HELLO, 5)
    assert not part.exists()


def test_spoiled_content_is_told_and_mended_when_it_comes_again(blobs: BlobStore) -> None:
    blobs.put(b"hello")
    path = blobs.path(HELLO)
    path.chmod(0o600)
    path.write_bytes(b"jello")
    assert not blobs.verify(HELLO)
    blobs.put(b"hello")
    assert blobs.verify(HELLO)


def test_a_digest_never_becomes_a_path_by_itself(blobs: BlobStore) -> None:
    for name in ("../../etc/passwd", "", "A" * 64, "0" * 63, "0" * 63 + "/"):
        with pytest.raises(InvalidInput):
            blobs.path(name)
    with pytest.raises(NotFound):
        blobs.path("0" * 64)


def test_a_full_disk_has_a_name(blobs: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutOfSpace):
        blobs.put(b"hello")
    monkeypatch.undo()
    assert not blobs.verify(HELLO)


def test_a_file_is_written_whole_and_not_over_another(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert write_file(path, b"one", replace=False)
    assert not write_file(path, b"two", replace=False)
    assert path.read_bytes() == b"one"
    assert path.stat().st_mode & 0o777 == 0o600
    assert write_file(path, b"two")
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_row_is_due_until_it_is_done(place: Place) -> None:
    at = place.at
    with place.session() as session:
        row_id = outbox.request_job(session, JobName.RENDER_REPORT, 7, at=at).id

    def due(seconds: float) -> list[int]:
        with place.session(writes=False) as session:
            return [row.id for row in outbox.due(session, at=at + timedelta(seconds=seconds))]

    assert due(0) == [row_id]
    with place.session() as session:
        outbox.mark_enqueued(session, row_id, at=at)
    assert due(1) == []
    assert due(5) == [row_id], "the queue has lost it"
    with place.session() as session:
        assert outbox.mark_started(session, row_id, at=at) == 7
        outbox.mark_failed(session, row_id, "unavailable")
    assert due(0) == []
    assert due(1) == [row_id]
    for _ in range(9):
        with place.session() as session:
            outbox.mark_started(session, row_id, at=at)
    assert due(59) == []
    assert due(60) == [row_id], "it is never given up"
    with place.session() as session:
        outbox.mark_done(session, row_id, at=at)
        assert outbox.mark_started(session, row_id, at=at) is None
    assert due(9999) == []


def test_a_transaction_that_fails_leaves_no_request(place: Place) -> None:
    def act() -> None:
        with place.session() as session:
            outbox.request_job(session, JobName.RENDER_REPORT, 7, at=place.at)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        act()
    with place.session() as session:
        assert session.scalar(select(OutboxRow.id)) is None


def test_a_naive_time_is_refused(place: Place) -> None:
    with pytest.raises(Exception, match="naive"), place.session() as session:
        outbox.request_job(session, JobName.RENDER_REPORT, 7, at=place.at.replace(tzinfo=None))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.sqlite3'}"
    found: Cluster = request.getfixturevalue("cluster")
    return found.empty()


def test_the_migrations_make_what_the_models_say_and_can_be_undone(empty_url: str) -> None:
    engine = make_engine(empty_url)
    schema.upgrade(engine)
    schema.upgrade(engine)
    assert schema.revision_of(engine) == schema.newest_revision()
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    with engine.execution_options(teleread_writes=True).connect() as connection, connection.begin():
        command.downgrade(schema.configuration(connection), "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    engine.dispose()


def test_sqlite_is_set_up_to_survive_a_power_cut(small_place: Place) -> None:
    with small_place.session() as session:
        pragmas = [
            session.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == ["wal", 2, 1]
