"""Rules of critical findings: nothing counts as told without its read-back, and nobody is forgotten."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleread.domain.critical import (
    CHANNELS,
    CLOCK_MARGIN,
    LIMITS,
    READ_BACK,
    Category,
    Contact,
    Method,
    Told,
    category_of,
    channel,
    check_told,
    contacts_of,
    deadline,
    escalates_at,
    is_late,
    minutes_left,
    next_contact,
)
from teleread.domain.workflow import STATES, Machine
from teleread.errors import InvalidInput

RAISED = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
NOW = RAISED + timedelta(minutes=20)
HEARD = frozenset(READ_BACK)


def test_each_category_has_its_clocks_and_a_worse_one_never_has_longer_ones() -> None:
    assert set(LIMITS) == set(Category)
    limits = [LIMITS[one] for one in Category]
    for worse, better in pairwise(limits):
        assert worse.notify < better.notify
        assert worse.acknowledge < better.acknowledge
        assert worse.repeat < better.repeat
    for bad in ("", "0", "4", "1 ", "一"):
        with pytest.raises(InvalidInput):
            category_of(bad)


@given(
    heard=st.frozensets(st.sampled_from(READ_BACK)),
    person=st.text(max_size=100),
    minutes=st.integers(-60, 60),
)
def test_told_counts_only_with_everything_read_back_to_a_named_person_at_a_possible_time(
    heard: frozenset[str], person: str, minutes: int
) -> None:
    told = Told(person, Method.PHONE, NOW + timedelta(minutes=minutes), heard)
    good = (
        heard == HEARD
        and 0 < len(person.strip()) <= 80
        and RAISED - CLOCK_MARGIN <= told.at <= NOW + CLOCK_MARGIN
    )
    if good:
        check_told(told, raised_at=RAISED, now=NOW)
    else:
        with pytest.raises(InvalidInput):
            check_told(told, raised_at=RAISED, now=NOW)


def test_what_was_not_read_back_is_named_first() -> None:
    for missing in READ_BACK:
        with pytest.raises(InvalidInput) as refused:
            check_told(Told("", Method.PHONE, NOW, HEARD - {missing}), raised_at=RAISED, now=NOW)
        assert (refused.value.field, refused.value.code) == (missing, "not_read_back")


@given(
    category=st.sampled_from(list(Category)),
    state=st.sampled_from(STATES[Machine.CRITICAL_FINDING]),
    later=st.timedeltas(timedelta(), timedelta(days=10)),
)
def test_a_clock_runs_exactly_while_somebody_has_still_to_be_told_or_to_take_note(
    category: Category, state: str, later: timedelta
) -> None:
    due = deadline(category, state, RAISED, None if state == "raised" else NOW)
    assert (due is not None) == (state in {"raised", "notified"})
    assert is_late(due, RAISED + later) == (due is not None and RAISED + later > due)
    left = minutes_left(due, RAISED + later)
    assert (left is None) == (due is None)
    if due is not None and left is not None:
        assert (left < 0) == is_late(due, RAISED + later)


@given(
    category=st.sampled_from(list(Category)),
    looks=st.lists(st.timedeltas(timedelta(seconds=1), timedelta(minutes=50)), min_size=1, max_size=60),
)
def test_what_stays_late_escalates_again_and_again_and_never_more_often_than_the_category_says(
    category: Category, looks: list[timedelta]
) -> None:
    due = deadline(category, "raised", RAISED, None)
    assert due is not None
    at, escalated, times = RAISED, None, []
    for pause in looks:
        at += pause
        if at > escalates_at(category, due, escalated):
            escalated = at
            times.append(at)
    assert all(one > due for one in times)
    assert all(b - a > LIMITS[category].repeat for a, b in pairwise(times))
    assert bool(times) == (at > due)


def test_the_doctors_clock_escalates_anew_though_the_callers_clock_did_before() -> None:
    due = NOW + LIMITS[Category.MINUTES].acknowledge
    assert escalates_at("1", due, NOW - timedelta(minutes=1)) == due


@given(no_answers=st.integers(0, 40), count=st.integers(0, 6))
def test_after_no_answer_comes_the_next_contact_until_all_were_called(no_answers: int, count: int) -> None:
    own = [Contact(f"contact {number}", str(number)) for number in range(count)]
    contacts = contacts_of("Dr. A", "2210", "surgery", own)
    assert contacts[0] == Contact("Dr. A", "2210", "surgery")
    called = [next_contact(contacts, no_answers + number) for number in range(len(contacts))]
    assert sorted(one.name for one in called if one) == sorted(one.name for one in contacts)
    assert contacts_of("", "", "", []) == ()
    assert next_contact((), no_answers) is None


@given(round_number=st.integers(1, 100))
def test_a_round_tries_every_channel_once_and_the_next_one_begins_another_way(round_number: int) -> None:
    steps = [channel(round_number, step) for step in range(len(CHANNELS))]
    assert set(steps) == set(CHANNELS)
    assert channel(round_number, len(CHANNELS)) is None
    assert channel(round_number + 1, 0) != channel(round_number, 0)
    assert channel(1, 0) == "mail"
