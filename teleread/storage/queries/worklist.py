"""The rows of a worklist: readings with their study, facility, newest signed version and its delivery."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Row, Select, and_, func, select
from sqlalchemy.orm import Session, aliased

from teleread.storage.models.accounts import User
from teleread.storage.models.deliveries import Delivery
from teleread.storage.models.facilities import Facility
from teleread.storage.models.orders import Order
from teleread.storage.models.readings import Reading
from teleread.storage.models.reports import Report, ReportVersion
from teleread.storage.models.studies import Instance, Study

CaseRow = Row[Reading, Study, Order, Facility, User | None, ReportVersion | None, Delivery | None, int, int]

_DRAFTS = ("draft", "discarded")


def cases(
    *conditions: ColumnElement[bool], facility_id: int | None
) -> Select[Reading, Study, Order, Facility, User | None, ReportVersion | None, Delivery | None, int, int]:
    """Return the question; a tenant sees its own cases only."""
    # By way of the report, whose number and version are an index; a reading's versions by themselves are not.
    version = aliased(ReportVersion)
    newest = (
        select(func.max(version.version))
        .where(
            version.report_id == Report.id, version.reading_id == Reading.id, version.status.not_in(_DRAFTS)
        )
        .correlate(Reading, Report)
        .scalar_subquery()
    )
    images = (
        select(func.count(Instance.id))
        .where(Instance.study_id == Study.id, Instance.is_current)
        .correlate(Study)
        .scalar_subquery()
    )
    conflicts = (
        select(func.count(Instance.id))
        .where(Instance.study_id == Study.id, Instance.conflict)
        .correlate(Study)
        .scalar_subquery()
    )
    asked = (
        select(Reading, Study, Order, Facility, User, ReportVersion, Delivery, images, conflicts)
        .join(Study, Study.id == Reading.study_id)
        .join(Order, Order.id == Reading.order_id)
        .join(Facility, Facility.id == Reading.facility_id)
        .outerjoin(User, User.id == Reading.assignee_id)
        .outerjoin(Report, Report.order_id == Reading.order_id)
        .outerjoin(
            ReportVersion,
            and_(
                ReportVersion.report_id == Report.id,
                ReportVersion.reading_id == Reading.id,
                ReportVersion.version == newest,
            ),
        )
        .outerjoin(Delivery, Delivery.report_version_id == ReportVersion.id)
        .where(*conditions)
    )
    return asked if facility_id is None else asked.where(Reading.facility_id == facility_id)


def fetch(
    session: Session, *conditions: ColumnElement[bool], facility_id: int | None, limit: int | None
) -> Sequence[CaseRow]:
    """Return the rows, the newest cases first; no limit where every one of them has to be seen."""
    return session.execute(
        cases(*conditions, facility_id=facility_id).order_by(Reading.id.desc()).limit(limit)
    ).all()


def open_or_recent(since: datetime) -> ColumnElement[bool]:
    """Return the condition for cases that are open, or were received after `since`."""
    return Reading.state.not_in(("completed", "cancelled")) | (Reading.created_at >= since)


VersionRow = Row[ReportVersion, User | None, Delivery | None]


def versions(session: Session, order_id: int) -> Sequence[VersionRow]:
    """Return the versions of an order's report that are not drafts, the newest first."""
    return session.execute(
        select(ReportVersion, User, Delivery)
        .join(Report, Report.id == ReportVersion.report_id)
        .outerjoin(User, User.id == ReportVersion.signed_by)
        .outerjoin(Delivery, Delivery.report_version_id == ReportVersion.id)
        .where(Report.order_id == order_id, ReportVersion.status.not_in(_DRAFTS))
        .order_by(ReportVersion.version.desc())
    ).all()
