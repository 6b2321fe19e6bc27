"""Request and earlier studies of a case: the facility's own words, and never another facility's patient."""

from __future__ import annotations

from teleread.services import case_context
from teleread.storage.models.records import AuditRecord
from teleread.storage.models.studies import Study
from teleread.web.views.times import date_gap
from tests.builders.centre import Place, clean_study


def test_priors_are_the_same_pseudonym_of_the_same_facility_with_their_signed_text(place: Place) -> None:
    reader = place.person("prior-reader", "reader")
    elsewhere = place.facility("elsewhere")
    earlier = place.send(clean_study("TR-77", 701, slices=1))
    own = place.send(clean_study("TR-77", 702, slices=1))
    place.send(clean_study("TR-78", 703, slices=1))
    place.send(clean_study("TR-77", 704, slices=1), gateway=elsewhere)
    with place.session() as session:
        (unsigned,) = case_context.priors(session, own, actor=reader.actor, at=place.at)
        assert (unsigned.case_number, unsigned.sections) == (earlier, {})
    place.package(earlier, reader)
    with place.session() as session:
        (prior,) = case_context.priors(session, own, actor=reader.actor, at=place.at)
        assert prior.case_number == earlier
        assert prior.sections["findings"]
        assert prior.signed_at is not None
        assert [
            one.case_number for one in case_context.priors(session, earlier, actor=reader.actor, at=place.at)
        ] == [own]
    with place.session() as session:
        shown = session.query(AuditRecord).filter_by(act=case_context.PRIORS_SHOWN, case_number=own).one()
        assert shown.detail == {"cases": [earlier]}
        session.query(Study).filter_by(
            id=place.reading(session, earlier).study_id
        ).one().state = "quarantined"
    with place.session() as session:
        assert case_context.priors(session, own, actor=reader.actor, at=place.at) == ()


def test_the_gap_between_two_studies_is_said_in_words() -> None:
    assert date_gap("20260318", "20261123", "ja") == "8か月前"
    assert date_gap("20261123", "20260318", "en") == "8 months later"
    assert date_gap("20261120", "20261123", "en") == "3 days earlier"
    assert date_gap("20261123", "20261123", "ja") == "同じ日"
    assert date_gap("20140101", "20261123", "en") == "12 years earlier"
    assert date_gap("20261399", "20261123", "en") == date_gap("", "20261123", "en") == ""
