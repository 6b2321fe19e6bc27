"""Reports, completeness, due times, worklist, access: the rules as functions of their arguments."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleread.domain.access import ALLOWED, Action, Actor, Role, allows, require, require_tenant, system_actor
from teleread.domain.completeness import judge
from teleread.domain.reporting import (
    SECTIONS,
    SigningFacts,
    canonical_bytes,
    canonical_digest,
    clean_sections,
    signing_obstacles,
)
from teleread.domain.turnaround import Priority, due_at, is_breached, stalled_before
from teleread.domain.workflow import STATES, Machine
from teleread.domain.worklist import display_status, sort_key
from teleread.errors import InvalidInput, NotAllowed, NotFound

NOW = datetime(2026, 5, 11, tzinfo=UTC)
GOOD = {"findings": "n.p.", "impression": "n.p."}


def facts(**changes: object) -> SigningFacts:
    values = {"sections": GOOD, "study_state": "complete", "study_revision": 1, "seen_revision": 1}
    return SigningFacts(**(values | changes))  # type: ignore[arg-type]


def test_a_whole_report_of_a_complete_study_may_be_signed() -> None:
    assert signing_obstacles(facts()) == ()


@pytest.mark.parametrize(
    ("changes", "obstacle"),
    [
        ({"sections": {"findings": " \n ", "impression": "x"}}, "section_empty:findings"),
        ({"sections": {"findings": "x"}}, "section_empty:impression"),
        ({"study_revision": 2}, "images_added"),
        ({"study_state": "receiving"}, "study_incomplete"),
        ({"study_state": "incomplete"}, "study_incomplete"),
        ({"study_state": "quarantined", "incomplete_reason": "urgent"}, "study_quarantined"),
    ],
)
def test_what_stands_against_signing_is_named(changes: dict[str, object], obstacle: str) -> None:
    assert signing_obstacles(facts(**changes)) == (obstacle,)


def test_an_incomplete_study_may_be_signed_with_a_reason() -> None:
    assert signing_obstacles(facts(study_state="incomplete", incomplete_reason="stroke")) == ()


@pytest.mark.parametrize("value", ["\0", "\x1b", "\x7f", "\ud800", 7, None, "x" * 20_001])
def test_what_is_no_text_of_a_report_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput):
        clean_sections({"findings": value})


def test_an_unknown_section_is_refused_without_repeating_it() -> None:
    with pytest.raises(InvalidInput) as refused:
        clean_sections({"山田花子": ""})
    assert "山田" not in str(refused.value)


@given(st.dictionaries(st.sampled_from(SECTIONS), st.text(st.characters(exclude_categories=("Cc", "Cs")))))
def test_cleaning_twice_is_cleaning_once(sections: dict[str, str]) -> None:
    once = clean_sections(sections)
    assert tuple(once) == SECTIONS
    assert clean_sections(once) == once


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), json_values))
def test_a_content_has_one_digest_whatever_its_order(content: dict[str, object]) -> None:
    backwards = dict(reversed(content.items()))
    assert canonical_digest(content) == canonical_digest(backwards)
    assert canonical_bytes(content).decode()


LISTED = [("1.2", "a"), ("1.3", "b")]


@pytest.mark.parametrize(
    ("listed", "is_closed", "stored", "reason"),
    [
        (None, True, {}, "no_manifest"),
        (LISTED, True, {"1.2": {"a"}}, "missing"),
        (LISTED, True, {"1.2": {"a"}, "1.3": {"x"}}, "missing"),
        (LISTED, False, {"1.2": {"a"}, "1.3": {"b"}}, "manifest_open"),
        (LISTED, True, {"1.2": {"a"}, "1.3": {"b"}, "1.4": {"c"}}, "unlisted"),
        ([], True, {}, "nothing_readable"),
        (LISTED, True, {"1.2": {"a"}, "1.3": {"b"}}, "met"),
        (LISTED, True, {"1.2": {"a", "other"}, "1.3": {"b"}}, "met"),
    ],
)
def test_a_manifest_is_met_only_by_every_listed_copy(
    listed: list[tuple[str, str]] | None, is_closed: bool, stored: dict[str, set[str]], reason: str
) -> None:
    verdict = judge(listed, is_closed=is_closed, stored=stored)
    assert (verdict.reason, verdict.is_met) == (reason, reason == "met")


def test_a_stat_case_is_due_before_a_routine_one() -> None:
    assert due_at("stat", NOW) < due_at("urgent", NOW) < due_at("routine", NOW) < due_at("screening", NOW)


def test_a_promise_is_broken_by_a_late_signature_and_by_none() -> None:
    due = NOW + timedelta(hours=1)
    assert not is_breached(due, NOW)
    assert is_breached(due, NOW + timedelta(hours=2))
    assert not is_breached(due, NOW + timedelta(hours=2), NOW)
    assert not is_breached(None, NOW)


def test_a_study_is_not_stalled_before_its_manifest_can_have_come() -> None:
    assert NOW - stalled_before(NOW, 30) > timedelta(seconds=60)


@pytest.mark.parametrize("reading", STATES[Machine.READING])
@pytest.mark.parametrize("study", STATES[Machine.STUDY])
def test_every_pair_of_states_has_a_word(study: str, reading: str) -> None:
    assert display_status(study, reading)


def test_the_word_follows_the_report_home() -> None:
    assert display_status("complete", "completed", "final", "ready") == "final"
    assert display_status("complete", "completed", "final", "delivered") == "delivered"
    assert display_status("complete", "completed", "final", "acknowledged") == "acknowledged"
    assert display_status("complete", "completed", "final", "ready", version=2) == "addended"
    assert display_status("quarantined", "completed", "final", "ready") == "held"
    for report in ("final", "superseded"):
        assert display_status("complete", "completed", report, "held") == "delivery_held"
        assert display_status("complete", "completed", report, "failed") == "delivery_failed"


def test_the_list_is_sorted_by_priority_then_due_then_age() -> None:
    rows = [(p.value, NOW + timedelta(hours=h), NOW) for p in Priority for h in (2, 1)]
    ordered = sorted(rows, key=lambda row: sort_key(*row))
    assert [row[0] for row in ordered[:2]] == ["stat", "stat"]
    assert ordered[0][1] < ordered[1][1]


def test_every_action_has_somebody_and_every_role_of_the_table_exists() -> None:
    assert set(ALLOWED) == set(Action)
    assert all(ALLOWED.values())


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("action", list(Action))
def test_a_role_may_what_the_table_says_and_nothing_else(role: Role, action: Action) -> None:
    actor = Actor(kind="user", name="x", role=role)
    assert allows(actor, action) == (role in ALLOWED[action])
    if role not in ALLOWED[action]:
        with pytest.raises(NotAllowed):
            require(actor, action)


def test_a_token_does_what_its_scopes_open_and_nothing_else() -> None:
    reads = Actor(kind="token", name="t", role=Role.CLIENT, scopes=frozenset({"dicomweb.read"}))
    assert [action for action in Action if allows(reads, action)] == [Action.SEE_IMAGES]
    nothing = Actor(kind="token", name="t", role=Role.CLIENT)
    assert not any(allows(nothing, action) for action in Action)


def test_another_tenants_thing_is_not_found() -> None:
    actor = Actor(kind="user", name="x", role=Role.FACILITY, facility_id=1)
    require_tenant(actor, 1)
    with pytest.raises(NotFound):
        require_tenant(actor, 2)
    require_tenant(system_actor("x"), 2)
