"""Event streams: who may listen, to what, until when, and from where."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from teleread import clock
from teleread.services import accounts, reading
from teleread.storage.models.accounts import User
from teleread.storage.session import transaction
from teleread.web import events
from teleread.web.security import COOKIE
from tests.web.conftest import BASE, SYSTEM, House, csrf
from tests.web.streams import Streams, streams_of, until


@pytest.fixture(scope="module")
def streams(house: House) -> Iterator[Streams]:
    with streams_of(house) as made:
        yield made


@pytest.fixture
def people(house: House, request: pytest.FixtureRequest) -> Any:
    """Return a maker of people who are only this test's."""

    def made(role: str, facility: str | None = None) -> str:
        name = f"{role}{abs(hash(request.node.name)) % 10**8}"
        house.person(name, [role], facility)
        return name

    return made


def token_of(client: Any) -> str:
    cookie = client.get_cookie(COOKIE, domain="localhost")
    assert cookie is not None
    return cookie.value


def token(house: House, name: str) -> str:
    return token_of(house.signed_in(name))


@contextmanager
def listening(streams: Streams, token: str, **headers: str) -> Iterator[Iterator[tuple[str, dict[str, Any]]]]:
    """Open a stream and yield its events."""
    timeout = httpx.Timeout(20, read=20)
    with (
        httpx.Client(verify=False, timeout=timeout) as client,  # noqa: S501 - the certificate of the test's own centre
        client.stream(
            "GET",
            f"{streams.url}/events",
            headers={"Cookie": f"{COOKIE}={token}", "Origin": streams.settings.public_url} | headers,
        ) as answer,
    ):
        if answer.status_code != 200:
            raise httpx.HTTPStatusError(
                str(answer.status_code), request=answer.request, response=httpx.Response(answer.status_code)
            )
        assert answer.headers["access-control-allow-origin"] == streams.settings.public_url
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        if line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def changes(found: Iterator[tuple[str, dict[str, Any]]], case_number: str) -> list[dict[str, Any]]:
    """Return the first news about a case."""
    for name, data in found:
        if name == "change" and any(one.get("case") == case_number for one in data["changes"]):
            return [one for one in data["changes"] if one.get("case") == case_number]
    raise AssertionError("the stream ended without the news")


def claim(house: House, case_number: str, name: str) -> None:
    with transaction(house.engine) as session:
        user = session.query(User).filter_by(username=name).one()
        reading.claim(session, case_number, actor=accounts.actor_of(user), at=clock.now())


def refused(streams: Streams, token: str, **headers: str) -> int:
    with pytest.raises(httpx.HTTPStatusError) as told, listening(streams, token, **headers):
        pass
    return told.value.response.status_code


def test_a_claim_is_told_by_number_state_and_version_and_nothing_else(
    house: House, streams: Streams, people: Any
) -> None:
    name = people("reader")
    number = house.study()
    with listening(streams, token(house, name)) as found:
        assert next(found)[0] == "hello"
        claim(house, number, name)
        (news,) = changes(found, number)
    assert set(news) == {"kind", "case", "state", "version"}
    assert (news["kind"], news["state"]) == ("worklist", "in_progress")


def test_what_came_while_the_line_was_down_is_told_after_the_last_event_id(
    house: House, streams: Streams, people: Any
) -> None:
    name = people("reader")
    mine = token(house, name)
    with listening(streams, mine) as found:
        newest = next(found)[1]["newest"]
    number = house.study()
    with listening(streams, mine, **{"Last-Event-ID": str(newest)}) as found:
        (news,) = changes(found, number)
    assert news["version"] > newest


def test_nobody_listens_without_a_session_or_from_another_origin(
    house: House, streams: Streams, people: Any
) -> None:
    assert refused(streams, "no-such-token-no-such-token") == 401
    mine = token(house, people("reader"))
    assert refused(streams, mine, Origin="https://example.org") == 403
    assert refused(streams, mine, **{"Sec-Fetch-Site": "cross-site"}) == 403
    assert refused(streams, token(house, people("privacy_officer"))) == 403


@pytest.mark.parametrize("how", ["sign_out", "disabled", "role"])
def test_a_stream_ends_with_the_right_to_it(house: House, streams: Streams, people: Any, how: str) -> None:
    name = people("reader")
    client = house.signed_in(name)
    with listening(streams, token_of(client)) as found:
        next(found)
        if how == "sign_out":
            client.post("/sign-out", base_url=BASE, data={"csrf_token": csrf(client, "/worklist")})
        else:
            with transaction(house.engine) as session:
                if how == "disabled":
                    accounts.deactivate_user(session, name, actor=SYSTEM, at=clock.now())
                else:
                    session.query(User).filter_by(username=name).one().roles = ["administrator"]
        number = house.study()
        told = list(found)
    assert told[-1][0] == "end"
    assert not any(one.get("case") == number for _, data in told for one in data.get("changes", ()))


def test_a_facility_hears_of_its_own_cases_only(house: House, streams: Streams, people: Any) -> None:
    with listening(streams, token(house, people("facility", "midori"))) as found:
        next(found)
        other = house.study("kita")
        own = house.study("midori")
        heard = []
        for name, data in found:
            heard += [one.get("case") for one in data.get("changes", ())] if name == "change" else []
            if own in heard:
                break
    assert other not in heard


def test_a_person_opens_only_so_many_streams(
    house: House, streams: Streams, people: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "STREAMS_A_PERSON", 1)
    mine = token(house, people("reader"))
    with listening(streams, mine) as found:
        next(found)
        assert refused(streams, mine) == 429
    until(lambda: not streams.hub.streams)
    with listening(streams, mine) as found:
        assert next(found)[0] == "hello"


def test_an_open_list_does_not_keep_a_person_signed_in(house: House, people: Any) -> None:
    from teleread.storage.models.accounts import UserSession

    client = house.signed_in(people("reader"))
    digest = accounts.token_digest(token_of(client))
    long_ago = clock.now() - 10 * accounts._TOUCH

    def last_seen(**headers: str) -> Any:
        with transaction(house.engine) as session:
            session.query(UserSession).filter_by(token_sha256=digest).one().last_seen_at = long_ago
        assert client.get("/worklist", base_url=BASE, headers=headers).status_code == 200
        with transaction(house.engine, writes=False) as session:
            return session.query(UserSession).filter_by(token_sha256=digest).one().last_seen_at

    assert last_seen(**{"Teleread-Background": "1"}) == long_ago
    assert last_seen() > long_ago


def test_news_on_request_are_the_streams_news(house: House, people: Any) -> None:
    client = house.signed_in(people("facility", "midori"))
    newest = client.get("/live/changes", base_url=BASE).json["newest"]
    other, own = house.study("kita"), house.study("midori")
    told = client.get(f"/live/changes?after={newest}", base_url=BASE).json
    assert {one["case"] for one in told["changes"]} == {own}
    assert other != own
    assert client.get("/live/changes?after=x", base_url=BASE).status_code == 400
    officer = house.signed_in(people("privacy_officer"))
    assert officer.get("/live/changes", base_url=BASE).status_code == 403
