"""The schema: brought up to date by Alembic, asked for by `teleread db upgrade` and by every start."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

_MIGRATIONS = Path(__file__).parent / "migrations"

# Two processes that start at once must not both migrate; any number does that nothing else uses.
_MIGRATION_LOCK = 7_345_001


def configuration(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration, bound to a connection."""
    config = Config()
    # A per cent sign in the path would be read as interpolation.
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest revision; does nothing when it is there already."""
    with engine.execution_options(teleread_writes=True).connect() as connection, connection.begin():
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        command.upgrade(configuration(connection), "head")


def revision_of(engine: Engine) -> str | None:
    """Return the revision that the database is at, None for an empty one."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest_revision() -> str | None:
    """Return the revision that this release needs."""
    return ScriptDirectory.from_config(configuration()).get_current_head()
