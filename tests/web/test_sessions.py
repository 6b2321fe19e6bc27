"""How a session ends: by idleness, by age, by signing out; and what the sign-in page says then."""

from datetime import datetime, timedelta

import pytest

from teleread import clock
from tests.web.conftest import BASE, House, csrf

EXPIRED = "Your session has ended"


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> list[timedelta]:
    """Return the one entry by which the clock of the centre is ahead."""
    ahead = [timedelta()]
    real = clock.now

    def now() -> datetime:
        return real() + ahead[0]

    monkeypatch.setattr(clock, "now", now)
    return ahead


def test_a_session_ends_after_fifteen_idle_minutes(house: House, later: list[timedelta]) -> None:
    client = house.signed_in("second")
    later[0] = timedelta(minutes=14, seconds=50)
    assert client.get("/worklist", base_url=BASE).status_code == 200
    later[0] += timedelta(minutes=14, seconds=50)
    assert client.get("/worklist", base_url=BASE).status_code == 200
    later[0] += timedelta(minutes=15, seconds=1)
    ended = client.get("/worklist", base_url=BASE)
    assert ended.status_code == 303
    assert ended.headers["Location"] == "/sign-in?next=/worklist"


def test_a_session_ends_after_twelve_hours_of_work(house: House, later: list[timedelta]) -> None:
    client = house.signed_in("second")
    while later[0] < timedelta(hours=11, minutes=50):
        later[0] += timedelta(minutes=10)
        assert client.get("/worklist", base_url=BASE).status_code == 200
    later[0] = timedelta(hours=12, seconds=1)
    assert client.get("/worklist", base_url=BASE).status_code == 303


def test_the_end_of_a_session_is_said_once(house: House, later: list[timedelta]) -> None:
    client = house.signed_in("second")
    later[0] = timedelta(minutes=16)
    place = client.get("/worklist", base_url=BASE).headers["Location"]
    assert EXPIRED in client.get(place, base_url=BASE).text
    assert EXPIRED not in client.get(place, base_url=BASE).text


def test_who_was_never_signed_in_is_not_told_of_an_ended_session(house: House) -> None:
    client = house.client()
    place = client.get("/worklist", base_url=BASE).headers["Location"]
    assert EXPIRED not in client.get(place, base_url=BASE).text


def test_who_signed_out_is_not_told_of_an_ended_session(house: House) -> None:
    client = house.signed_in("second")
    client.post("/sign-out", base_url=BASE, data={"csrf_token": csrf(client, "/worklist")})
    assert EXPIRED not in client.get("/sign-in", base_url=BASE).text
