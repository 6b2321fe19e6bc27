"""kill -9 of gateway, web, worker and Redis on the way: the report still comes home, once.

Four seeded points here; `make trials` strikes twenty.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from teleread.demo.road import Road
from tests.e2e.kills import VICTIMS, chosen, travel_struck

pytestmark = [pytest.mark.e2e, pytest.mark.centre, pytest.mark.timeout(400)]

#: About how long an undisturbed trip takes on two busy cores; kills are spread over it.
TRIP_SECONDS = 8.0

#: Readers for each part: a trip that was over before its kill is made again.
TRIES = 4


@pytest.fixture(scope="module")
def road() -> Iterator[Road]:
    with tempfile.TemporaryDirectory(prefix="teleread-kill-") as folder:
        road = Road(Path(folder), print, workers=1)
        try:
            road.start_centre()
            road.add_people(TRIES * len(VICTIMS))
            road.start_facility()
            yield road
        finally:
            road.stop()


@pytest.mark.parametrize(("number", "part"), list(enumerate(VICTIMS)))
def test_the_report_comes_home_once_though_a_part_is_killed_on_the_way(
    road: Road, number: int, part: str
) -> None:
    readers = range(TRIES * number, TRIES * (number + 1))
    outcome = travel_struck(road, readers, chosen(1000 + number, part, TRIP_SECONDS))
    assert outcome.on_the_way
    assert outcome.failures == []
    assert outcome.home == 1
