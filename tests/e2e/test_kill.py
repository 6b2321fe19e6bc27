"""kill -9 of gateway, web, worker and Redis on the way: the report still comes home, once.

Four seeded points here; `make trials` strikes twenty.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from teleread.demo.road import Road
from tests.e2e.kills import VICTIMS, chosen, travel

pytestmark = [pytest.mark.e2e, pytest.mark.centre, pytest.mark.xdist_group("kill"), pytest.mark.timeout(400)]

#: About how long an undisturbed trip takes on two busy cores; kills are spread over it.
TRIP_SECONDS = 12.0


@pytest.fixture(scope="module")
def road() -> Iterator[Road]:
    with tempfile.TemporaryDirectory(prefix="teleread-kill-") as folder:
        road = Road(Path(folder), print, workers=1)
        try:
            road.start_centre()
            road.add_people(len(VICTIMS))
            road.start_facility()
            yield road
        finally:
            road.stop()


@pytest.mark.parametrize(("number", "part"), list(enumerate(VICTIMS)))
def test_the_report_comes_home_once_though_a_part_is_killed_on_the_way(
    road: Road, number: int, part: str
) -> None:
    outcome = travel(road, number, chosen(1000 + number, part, TRIP_SECONDS))
    assert outcome.struck
    assert outcome.failures == []
    assert outcome.home == 1
