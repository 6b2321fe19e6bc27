"""Questions about studies, series and instances: what QIDO-RS searches, WADO-RS sends and the case page shows.

Every question takes the tenant: `facility_id` None sees all facilities (people of the centre), any other
value its own only. A quarantined or rejected study is not there for anybody, and of an instance only the
current bytes are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import contains_eager

from teleread.dicom.attributes import Level
from teleread.dicom.matching import Kind, Match
from teleread.errors import InvalidInput, NotFound
from teleread.storage.models.readings import Reading
from teleread.storage.models.studies import Instance, Series, Study

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

#: States in which nothing of a study is shown.
HIDDEN_STATES = ("quarantined", "rejected", "archived")

#: Keywords that have a column of their own; any other indexed attribute is looked up in the row's JSON.
_COLUMNS: dict[str, Any] = {
    "StudyInstanceUID": Study.study_instance_uid,
    "PatientID": Study.pseudonym,
    "PatientName": Study.pseudonym,
    "PatientSex": Study.sex,
    "StudyDate": Study.study_date,
    "StudyTime": Study.study_time,
    "AccessionNumber": Study.accession,
    "StudyDescription": Study.study_description,
    "SeriesInstanceUID": Series.series_instance_uid,
    "Modality": Series.modality,
    "SeriesNumber": Series.series_number,
    "SeriesDescription": Series.series_description,
    "SOPInstanceUID": Instance.sop_instance_uid,
    "SOPClassUID": Instance.sop_class_uid,
    "InstanceNumber": Instance.instance_number,
}
_NUMBERS = frozenset({"SeriesNumber", "InstanceNumber"})
_TABLES: dict[Level, Any] = {Level.STUDY: Study, Level.SERIES: Series, Level.INSTANCE: Instance}


def _column(match: Match) -> Any:
    attribute = match.attribute
    if attribute.keyword in _COLUMNS:
        return _COLUMNS[attribute.keyword]
    if attribute.vr == "SQ":
        raise InvalidInput(attribute.keyword, "cannot be searched for", code="not_searchable")
    value = _TABLES[attribute.level].attributes[attribute.key]["Value"][0]
    return (value["Alphabetic"] if attribute.vr == "PN" else value).as_string()


def _condition(expression: Any) -> ColumnElement[bool]:
    # Columns are looked up by name, so the type checker cannot see what they compare to.
    return cast("ColumnElement[bool]", expression)


def _predicate(match: Match) -> ColumnElement[bool]:
    column = _column(match)
    if match.kind is Kind.RANGE:
        least, most = match.values
        # A shorter end means the whole of what it names: 1030 ends with 10:30:59.
        return and_(column != "", column >= least, func.substr(column, 1, len(most)) <= most)
    if match.kind is Kind.WILDCARD:
        # PS3.4 C.2.2.2.4; the signs of LIKE are taken literally.
        literal = match.values[0].replace("!", "!!").replace("%", "!%").replace("_", "!_")
        return _condition(column.ilike(literal.replace("*", "%").replace("?", "_"), escape="!"))
    if match.attribute.keyword in _NUMBERS:
        if not all(value.lstrip("-").isdigit() and len(value) <= 9 for value in match.values):
            raise InvalidInput(match.attribute.keyword, "has to be a whole number", code="bad_number")
        return _condition(column.in_([int(value) for value in match.values]))
    if match.attribute.vr == "PN":
        return func.lower(column) == match.values[0].lower()
    return _condition(column.in_(match.values))


def _of_level(matches: Sequence[Match], *levels: Level) -> list[ColumnElement[bool]]:
    return [_predicate(match) for match in matches if match.attribute.level in levels]


def _of_tenant(facility_id: int | None) -> list[ColumnElement[bool]]:
    seen: list[ColumnElement[bool]] = [Study.state.not_in(HIDDEN_STATES)]
    if facility_id is not None:
        seen.append(Study.facility_id == facility_id)
    return seen


def _below(matches: Sequence[Match]) -> list[ColumnElement[bool]]:
    """Return what a study's series have to answer: Modality stands for Modalities in Study there."""
    wanted = _of_level(matches, Level.SERIES)
    if any(match.attribute.level is Level.INSTANCE for match in matches):
        raise InvalidInput("query", "asks a study for an attribute of instances", code="wrong_level")
    return [select(Series.id).where(Series.study_id == Study.id, *wanted).exists()] if wanted else []


def find_studies(
    session: Session, facility_id: int | None, matches: Sequence[Match], *, limit: int, offset: int = 0
) -> list[tuple[Study, int, int]]:
    """Return studies that match, newest first, each with its numbers of series and of instances."""
    statement = (
        select(Study, func.count(Instance.series_id.distinct()), func.count(Instance.id))
        .join(Instance, and_(Instance.study_id == Study.id, Instance.is_current))
        .where(*_of_tenant(facility_id), *_of_level(matches, Level.STUDY), *_below(matches))
        .group_by(Study.id)
        .order_by(Study.last_received_at.desc(), Study.id)
        .limit(limit)
        .offset(offset)
    )
    return [(study, series, instances) for study, series, instances in session.execute(statement)]


def find_series(
    session: Session, facility_id: int | None, matches: Sequence[Match], *, limit: int, offset: int = 0
) -> list[tuple[Series, int]]:
    """Return series that match, in the order of their numbers, each with its number of instances."""
    statement = (
        select(Series, func.count(Instance.id))
        .join(Study, Study.id == Series.study_id)
        .join(Instance, and_(Instance.series_id == Series.id, Instance.is_current))
        .where(*_of_tenant(facility_id), *_of_level(matches, Level.STUDY, Level.SERIES))
        .group_by(Series.id, Study.id)
        .order_by(Series.study_id, Series.series_number, Series.series_instance_uid)
        .options(contains_eager(Series.study))
        .limit(limit)
        .offset(offset)
    )
    return [(series, instances) for series, instances in session.execute(statement)]


def _instances(facility_id: int | None, matches: Sequence[Match]) -> Select[Instance]:
    return (
        select(Instance)
        .join(Series, Series.id == Instance.series_id)
        .join(Study, Study.id == Instance.study_id)
        .where(
            Instance.is_current,
            *_of_tenant(facility_id),
            *_of_level(matches, *Level),
        )
        .order_by(
            Series.series_number,
            Series.series_instance_uid,
            Instance.instance_number,
            Instance.sop_instance_uid,
        )
        .options(contains_eager(Instance.series), contains_eager(Instance.study))
    )


def find_instances(
    session: Session, facility_id: int | None, matches: Sequence[Match], *, limit: int, offset: int = 0
) -> Sequence[Instance]:
    """Return instances that match, in the order of series number and instance number."""
    return session.scalars(_instances(facility_id, matches).limit(limit).offset(offset)).all()


def all_instances(
    session: Session,
    facility_id: int | None,
    study_instance_uid: str,
    series_instance_uid: str | None = None,
    sop_instance_uid: str | None = None,
) -> Sequence[Instance]:
    """Return every instance of a study, of a series, or the one named, in the order of their numbers.

    Raises
    ------
    NotFound
        There is none, or none of this tenant's.
    InvalidInput
        Two facilities have sent a study of this UID: what belongs to two patients is not shown as one.
    """
    statement = _instances(facility_id, ()).where(Study.study_instance_uid == study_instance_uid)
    if series_instance_uid is not None:
        statement = statement.where(Series.series_instance_uid == series_instance_uid)
    if sop_instance_uid is not None:
        statement = statement.where(Instance.sop_instance_uid == sop_instance_uid)
    found = session.scalars(statement).all()
    if not found:
        raise NotFound("there is no such study, series or instance")
    if len({instance.study_id for instance in found}) > 1:
        raise InvalidInput("study", "is known from more than one facility", code="ambiguous_study")
    return found


def instances_of_case(session: Session, case_number: str, facility_id: int | None) -> Sequence[Instance]:
    """Return the pictures of a case in the order of their numbers: of its own study row, whatever UID it has."""
    return session.scalars(_of_case(case_number, facility_id)).all()


def instance_of_case(
    session: Session, case_number: str, sop_instance_uid: str, facility_id: int | None
) -> Instance:
    """Return one picture of a case, or raise NotFound."""
    found = session.scalar(
        _of_case(case_number, facility_id).where(Instance.sop_instance_uid == sop_instance_uid)
    )
    if found is None:
        raise NotFound("the case has no such image")
    return found


def _of_case(case_number: str, facility_id: int | None) -> Select[Instance]:
    of_case = select(Reading.study_id).where(Reading.case_number == case_number).scalar_subquery()
    return _instances(facility_id, ()).where(Study.id == of_case, Instance.has_pixels)
