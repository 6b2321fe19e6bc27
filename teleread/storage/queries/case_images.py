"""The instances of one case, as its page shows them. A quarantined or rejected study shows none."""

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, contains_eager

from teleread.errors import NotFound
from teleread.storage.models.studies import Instance, Series, Study

_HIDDEN = ("quarantined", "rejected", "archived")


def _shown(study_id: int) -> Select[Instance]:
    return (
        select(Instance)
        .join(Instance.series)
        .join(Study, Study.id == Instance.study_id)
        .options(contains_eager(Instance.series))
        .where(Instance.study_id == study_id, Instance.is_current, Study.state.not_in(_HIDDEN))
        .order_by(Series.series_number, Series.id, Instance.instance_number, Instance.id)
    )


def instances_of(session: Session, study_id: int) -> list[Instance]:
    """Return the current instances by series and instance number, with their series."""
    return list(session.scalars(_shown(study_id)))


def instance_of(session: Session, study_id: int, sop_instance_uid: str) -> Instance:
    """Return one current instance of the study, or raise NotFound."""
    found = session.scalar(_shown(study_id).where(Instance.sop_instance_uid == sop_instance_uid))
    if found is None:
        raise NotFound("there is no such instance in this case")
    return found
