"""Looking at images and reports is recorded: once for each series, person and hour, not once for each frame."""

import threading
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from teleread.domain.access import Actor
from teleread.services import audit
from teleread.storage.locks import lock
from teleread.storage.models.readings import Reading
from teleread.storage.models.records import AuditRecord
from teleread.storage.models.studies import Instance
from teleread.storage.session import transaction

VIEW_SERIES = "series.view"
VIEW_REPORT = "report.view"
QUERY = "images.query"

#: What one process remembers of what is recorded already; more is looked up in the log again.
_REMEMBERED = 10_000


class ViewLog:
    """Records that a person or a client was given images of a series.

    Parameters
    ----------
    engine : Engine
        A record is a transaction of its own, committed before anything is shown.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._recorded: set[tuple[str, str, int, datetime]] = set()

    def note(self, instances: Iterable[Instance], *, actor: Actor, at: datetime) -> None:
        """Record the series of `instances`, each unless it was in this hour for this actor.

        Parameters
        ----------
        instances : iterable of Instance
            With series and study loaded.

        Raises
        ------
        Unavailable
            It cannot be recorded; then nothing is to be shown.
        """
        hour = at.replace(minute=0, second=0, microsecond=0)
        series = {(actor.kind, actor.name, one.series_id, hour): one for one in instances}
        wanted = {key: one for key, one in series.items() if key not in self._recorded}
        if not wanted:
            return
        with transaction(self._engine) as session:
            # Another process of the web server may be doing the same.
            lock(session, f"views {actor.kind} {actor.name}")
            known = set(
                session.scalars(
                    select(AuditRecord.detail["series"].as_string()).where(
                        AuditRecord.act == VIEW_SERIES,
                        AuditRecord.actor_kind == actor.kind,
                        AuditRecord.actor_name == actor.name,
                        AuditRecord.at >= hour,
                    )
                )
            )
            for one in wanted.values():
                if one.series.series_instance_uid in known:
                    continue
                audit.record(
                    session,
                    actor=actor,
                    at=at,
                    act=VIEW_SERIES,
                    case_number=session.scalar(
                        select(Reading.case_number).where(Reading.study_id == one.study_id).limit(1)
                    ),
                    facility_id=one.study.facility_id,
                    detail={"series": one.series.series_instance_uid},
                )
        with self._lock:
            if len(self._recorded) > _REMEMBERED:
                self._recorded.clear()
            self._recorded.update(wanted)

    def note_query(self, level: str, found: int, *, actor: Actor, at: datetime) -> None:
        """Record that somebody searched among all studies: at which level, and how much was found.

        What was searched for is not written down: a client may search for anything, names too.
        """
        with transaction(self._engine) as session:
            audit.record(session, actor=actor, at=at, act=QUERY, detail={"level": level, "found": found})


def note_report(session: Session, case_number: str, *, actor: Actor, at: datetime) -> None:
    """Record that a signed report was given out, in the transaction that looks it up."""
    audit.record(session, actor=actor, at=at, act=VIEW_REPORT, case_number=case_number)
