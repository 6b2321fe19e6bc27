"""The one list of periodic work, and the loop that runs it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine

from teleread.services import accounts, critical, ingest
from teleread.storage.session import transaction


@dataclass(frozen=True)
class Periodic:
    """Something that is done again and again.

    Parameters
    ----------
    every : timedelta
        From the end of one run to the beginning of the next.
    """

    name: str
    every: timedelta
    run: Callable[[Engine, datetime], None]


def _sweep_stalled(engine: Engine, at: datetime) -> None:
    with transaction(engine) as session:
        ingest.sweep_stalled(session, at=at)


def _sweep_critical(engine: Engine, at: datetime) -> None:
    with transaction(engine) as session:
        critical.sweep(session, at=at)


def _purge_sessions(engine: Engine, at: datetime) -> None:
    with transaction(engine) as session:
        accounts.purge_sessions(session, at=at)


PERIODIC: tuple[Periodic, ...] = (
    Periodic("sweep_stalled", timedelta(seconds=5), _sweep_stalled),
    Periodic("sweep_critical", timedelta(seconds=5), _sweep_critical),
    Periodic("purge_sessions", timedelta(hours=1), _purge_sessions),
)


class Schedule:
    """Knows when each piece of periodic work is due next; everything is due at the start."""

    def __init__(self, periodic: tuple[Periodic, ...] = PERIODIC) -> None:
        self._periodic = periodic
        self._next: dict[str, datetime] = {}

    def run_due(self, engine: Engine, *, at: datetime) -> list[str]:
        """Run what is due and return its names."""
        done = []
        for one in self._periodic:
            if one.name not in self._next or at >= self._next[one.name]:
                one.run(engine, at)
                self._next[one.name] = at + one.every
                done.append(one.name)
        return done
