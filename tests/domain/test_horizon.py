"""The horizon: time goes across and never back, nothing is left out, late stays with late."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleread.domain.horizon import NOW, STEPS, Point, across, spots

MINUTES = st.integers(-20_000, 20_000)
POINTS = st.lists(
    st.builds(
        Point, case=st.integers(0, 10**6), minutes=MINUTES, used=st.floats(-1, 2), rank=st.integers(0, 3)
    ),
    max_size=60,
    unique_by=lambda one: one.case,
)


@given(one=MINUTES, other=MINUTES)
def test_what_is_due_later_never_stands_further_left(one: int, other: int) -> None:
    assert 0 <= across(one) <= 1
    assert (across(one) <= across(other)) or one > other
    assert (across(one) < NOW) == (one < 0)


def test_the_steps_of_the_axis_are_equally_far_apart() -> None:
    gaps = [across(b) - across(a) for a, b in pairwise(STEPS)]
    assert max(gaps) - min(gaps) < 1e-9
    assert across(15) == pytest.approx((across(0) + across(30)) / 2)


@given(points=POINTS)
def test_every_case_stands_somewhere_once_and_signs_do_not_cover_each_other(points: list[Point]) -> None:
    found = spots(points, near_across=0.02, near_up=0.1)
    assert sorted(case for spot in found for case in spot.cases) == sorted(one.case for one in points)  # type: ignore[type-var]
    late = {one.case: one.minutes < 0 for one in points}
    ranks = {one.case: one.rank for one in points}
    for spot in found:
        assert 0 <= spot.up <= 1
        assert {late[case] for case in spot.cases} == {spot.across < NOW}
        assert ranks[spot.cases[0]] == min(ranks[case] for case in spot.cases)
    for number, one in enumerate(found):
        for other in found[number + 1 :]:
            alike = (one.across < NOW) == (other.across < NOW)
            assert not alike or abs(one.across - other.across) >= 0.02 or abs(one.up - other.up) >= 0.1
