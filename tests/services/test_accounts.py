"""Signing in: two factors, once, not too often; sessions and tokens that end."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from teleread.errors import InvalidInput, NotAllowed, NotSignedIn, ReauthenticationFailed
from teleread.services import accounts, audit
from teleread.storage.models.accounts import User
from tests.builders.centre import OPERATOR, Person, Place

HERE = "192.0.2.7"


@pytest.fixture
def reader(place: Place) -> Person:
    return place.person("reader1", "reader")


def sign_in(place: Place, reader: Person, password: str | None = None, code: str | None = None) -> str:
    return accounts.authenticate(
        place.engine,
        "reader1",
        password if password is not None else reader.new.password,
        code if code is not None else reader.code(place.at),
        at=place.at,
        from_where=HERE,
    )


def who(place: Place, token: str) -> accounts.SignedIn | None:
    with place.session() as session:
        return accounts.session_user(session, token, at=place.at, from_where=HERE)


def test_a_reader_signs_in_and_out(place: Place, reader: Person) -> None:
    token = sign_in(place, reader)
    found = who(place, token)
    assert found is not None
    assert (found.username, found.actor.role, found.actor.from_where) == ("reader1", "reader", HERE)
    with place.session() as session:
        accounts.end_session(session, token, at=place.at)
    assert who(place, token) is None
    assert who(place, "") is None


def test_a_one_time_code_is_good_once(place: Place, reader: Person) -> None:
    code = reader.code(place.at)
    sign_in(place, reader)
    with pytest.raises(NotSignedIn):
        sign_in(place, reader, code=code)
    place.wait(seconds=30)
    with pytest.raises(NotSignedIn):
        sign_in(place, reader, code=code)
    assert sign_in(place, reader)


@pytest.mark.parametrize(
    ("password", "code"), [("wrong", None), (None, "000000"), (None, ""), ("", ""), (None, "１２")]
)
def test_whatever_is_wrong_the_answer_is_the_same(
    place: Place, reader: Person, password: str | None, code: str | None
) -> None:
    with pytest.raises(NotSignedIn) as refused:
        sign_in(place, reader, password, code)
    with pytest.raises(NotSignedIn) as unknown:
        accounts.authenticate(place.engine, "nobody", "x", "000000", at=place.at, from_where=HERE)
    assert (refused.value.code, refused.value.message) == (unknown.value.code, unknown.value.message)


def test_ten_refusals_close_an_account_and_trying_on_does_not_keep_it_closed(
    place: Place, reader: Person
) -> None:
    for _ in range(10):
        with pytest.raises(NotSignedIn):
            sign_in(place, reader, password="wrong")
    with pytest.raises(NotSignedIn):
        sign_in(place, reader)
    for _ in range(14):
        place.wait(minutes=1)
        with pytest.raises(NotSignedIn):
            sign_in(place, reader)
    place.wait(minutes=1, seconds=1)
    assert sign_in(place, reader)


def test_refusals_at_signing_count_too(place: Place, reader: Person) -> None:
    for _ in range(10):
        with pytest.raises(ReauthenticationFailed):
            accounts.reauthenticate(
                place.engine, reader.new.user.id, "x", "000000", at=place.at, from_where=HERE
            )
    with pytest.raises(NotSignedIn):
        sign_in(place, reader)


def test_an_unknown_name_costs_as_many_hashes_as_a_known_one(
    small_place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_place.person("reader1", "reader")
    checked: list[str] = []
    verify = accounts._password_fits
    monkeypatch.setattr(
        accounts, "_password_fits", lambda kept, given: (checked.append(kept), verify(kept, given))[1]
    )
    for name in ("reader1", "nobody"):
        with pytest.raises(NotSignedIn):
            accounts.authenticate(
                small_place.engine, name, "wrong", "000000", at=small_place.at, from_where=HERE
            )
    known, unknown = checked
    # Same algorithm, memory, passes and lanes: the hash is what the time goes into.
    assert known.split("$")[:4] == unknown.split("$")[:4]
    assert known != unknown


def test_a_session_ends_when_nobody_is_there_and_in_any_case(place: Place, reader: Person) -> None:
    token = sign_in(place, reader)
    place.wait(minutes=14, seconds=59)
    assert who(place, token)
    place.wait(minutes=14, seconds=59)
    assert who(place, token)
    place.wait(minutes=15)
    assert who(place, token) is None
    place.wait(minutes=1)
    token = sign_in(place, reader)
    for _ in range(72):
        assert who(place, token)
        place.wait(minutes=10)
    assert who(place, token) is None


def test_a_closed_account_is_out_at_once(place: Place, reader: Person) -> None:
    token = sign_in(place, reader)
    with place.session() as session:
        accounts.deactivate_user(session, "reader1", actor=OPERATOR, at=place.at)
    assert who(place, token) is None
    place.wait(minutes=1)
    with pytest.raises(NotSignedIn):
        sign_in(place, reader)


def test_neither_password_nor_unknown_names_are_recorded(place: Place, reader: Person) -> None:
    with pytest.raises(NotSignedIn):
        accounts.authenticate(
            place.engine, "my-password", "hunter2hunter2", "1", at=place.at, from_where=HERE
        )
    sign_in(place, reader)
    with place.session() as session:
        records = audit.newest(session, actor=OPERATOR)
        text = " ".join(f"{one.actor_name} {one.act} {one.detail}" for one in records)
    assert "sign_in.refused" in text
    assert "sign_in " in text
    assert "my-password" not in text
    assert "hunter2" not in text


def test_a_token_opens_its_scope_until_it_ends(place: Place) -> None:
    with place.session() as session:
        text = accounts.create_token(
            session, name="viewer", scopes=["dicomweb.read"], expires_at=place.at + timedelta(days=1),
            actor=OPERATOR, at=place.at, facility_code="clinic",
        )  # fmt: skip
        actor = accounts.token_actor(session, text, at=place.at, from_where=HERE)
        assert actor is not None
        assert (actor.kind, actor.facility_id, actor.scopes) == (
            "token",
            place.facility_id,
            {"dicomweb.read"},
        )
        assert accounts.token_actor(session, text + "x", at=place.at, from_where=HERE) is None
        assert accounts.token_actor(session, text, at=place.at + timedelta(days=1), from_where=HERE) is None
        accounts.revoke_token(session, "viewer", actor=OPERATOR, at=place.at)
        assert accounts.token_actor(session, text, at=place.at, from_where=HERE) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"roles": []},
        {"roles": ["gateway"]},
        {"roles": ["facility"]},
        {"roles": ["reader"], "facility_code": "clinic"},
        {"roles": ["facility", "reader"], "facility_code": "clinic"},
        {"username": "Reader One"},
        {"username": "reader1"},
        {"display_name": " "},
        {"password": "short"},
        {"language": "fr"},
    ],
)
def test_a_user_that_makes_no_sense_is_not_made(
    place: Place, reader: Person, changes: dict[str, object]
) -> None:
    values: dict[str, object] = {"username": "reader9", "display_name": "九", "roles": ["reader"]}
    with pytest.raises(InvalidInput), place.session() as session:
        accounts.create_user(session, **(values | changes), actor=OPERATOR, at=place.at)  # type: ignore[arg-type]


def test_a_reader_makes_no_users(place: Place, reader: Person) -> None:
    with pytest.raises(NotAllowed), place.session() as session:
        accounts.create_user(
            session, username="reader2", display_name="二", roles=["reader"], actor=reader.actor, at=place.at
        )


def test_the_database_alone_does_not_give_the_one_time_codes_away(place: Place, reader: Person) -> None:
    with place.session() as session:
        stored = session.scalar(select(User.totp_secret).where(User.username == "reader1"))
    assert stored is not None
    assert reader.new.totp_secret not in stored
