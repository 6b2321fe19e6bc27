"""Guesses, recovery codes, security keys that answer wrongly, passwords, and sessions that end together."""

import subprocess
import sys
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from teleread.domain.sessions import Ending
from teleread.errors import InvalidInput, NotSignedIn, ReauthenticationFailed, Unavailable
from teleread.services import accounts, audit, facilities, factors, passwords, reading, viewing
from teleread.services.viewing import ViewLog
from teleread.storage.models.facilities import Facility
from teleread.storage.models.records import AuditRecord
from teleread.storage.models.studies import Instance
from teleread.storage.session import make_engine, transaction
from tests.builders.centre import KEY, OPERATOR, Person, Place, clean_study
from tests.whole import WHOLE

HERE = "192.0.2.7"
SITE = factors.Site("centre.example", "https://centre.example", KEY)


@pytest.fixture
def reader(small_place: Place) -> Person:
    return small_place.person("reader1", "reader")


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the hashes that were compared: what guesses cost, and what they can win."""
    compared: list[str] = []
    fits = passwords.fits
    monkeypatch.setattr(passwords, "fits", lambda kept, given: (compared.append(kept), fits(kept, given))[1])
    return compared


def guess(
    place: Place, username: str, *, address: str = HERE, code: str = "000000", device: str = ""
) -> None:
    with pytest.raises(NotSignedIn):
        accounts.authenticate(
            place.engine, username, "wrong", code, at=place.at, from_where=address, device=device
        )


def sign_in(
    place: Place,
    reader: Person,
    code: str | None = None,
    device: str = "",
    browser: str = "",
    *,
    alone: bool = True,
) -> str:
    return accounts.authenticate(
        place.engine,
        "reader1",
        reader.new.password,
        code if code is not None else reader.code(place.at),
        at=place.at,
        from_where=HERE,
        device=device,
        browser=browser,
        alone=alone,
    )


def test_passwords_are_hashed_as_rfc_9106_recommends() -> None:
    look = "from teleread.services import passwords as p; print(p.NOBODYS_HASH); print(p.hash_of('x' * 13))"
    said = subprocess.run([sys.executable, "-c", look], check=True, capture_output=True, text=True).stdout
    # Its second recommended option: 64 MiB, three passes, four lanes.
    assert [line.split("$")[1:4] for line in said.split()] == [["argon2id", "v=19", "m=65536,t=3,p=4"]] * 2


def test_of_a_thousand_guesses_ten_an_account_and_fifty_an_address_are_looked_at(
    small_place: Place, reader: Person, hashes: list[str]
) -> None:
    guesses = 500 if WHOLE else 70
    for number in range(guesses):
        guess(small_place, "reader1", address=f"198.51.100.{number % 250}")
    assert len(hashes) == accounts.FAILURES_ALLOWED == 10
    hashes.clear()
    for number in range(guesses):
        guess(small_place, f"name{number}", address="203.0.113.9")
    assert len(hashes) == accounts.FAILURES_OF_ADDRESS == 50
    # The true user's own browser is not shut out at all, another one not for longer than the window.
    assert sign_in(small_place, reader, device="known")
    small_place.wait(minutes=15, seconds=1)
    assert sign_in(small_place, reader)


def test_a_known_browser_has_a_budget_too(small_place: Place, reader: Person, hashes: list[str]) -> None:
    for _ in range(12):
        guess(small_place, "reader1", device="stolen")
    assert len(hashes) == 10
    with pytest.raises(NotSignedIn):
        sign_in(small_place, reader, device="stolen")


def test_an_unknown_name_costs_the_same_hashes_with_a_recovery_code_too(
    small_place: Place, reader: Person, hashes: list[str]
) -> None:
    counts = []
    for name in ("reader1", "nobody"):
        guess(small_place, name, code="3ABC-DEFG-HJKM")
        counts.append([kept.split("$")[:4] for kept in hashes])
        hashes.clear()
    assert counts[0] == counts[1]
    assert len(counts[0]) == 2


def test_each_recovery_code_works_once_and_new_ones_void_the_old(small_place: Place, reader: Person) -> None:
    with small_place.session() as session:
        codes = factors.make_recovery_codes(session, actor=reader.actor, at=small_place.at)
    assert len(set(codes)) == 10
    assert sign_in(small_place, reader, codes[3].lower().replace("-", " "))
    with pytest.raises(NotSignedIn):
        sign_in(small_place, reader, codes[3])
    with small_place.session() as session:
        assert factors.recovery_codes_left(session, reader.new.user.id) == 9
        factors.make_recovery_codes(session, actor=reader.actor, at=small_place.at)
    with pytest.raises(NotSignedIn):
        sign_in(small_place, reader, codes[4])


@pytest.mark.parametrize(
    "response", ["", "x", "[]", "{}", "null", '{"id": 1}', '{"id": "AAAA", "response": {}}']
)
def test_what_is_no_answer_of_a_key_is_refused(small_place: Place, reader: Person, response: str) -> None:
    with small_place.session() as session:
        factors.ask_for_key(session, "reader1", "browser", site=SITE, at=small_place.at)
    with pytest.raises(ReauthenticationFailed):
        accounts.reauthenticate(
            small_place.engine,
            reader.new.user.id,
            reader.new.password,
            "",
            at=small_place.at,
            from_where=HERE,
            key=factors.KeyAnswer(response, "browser", SITE),
        )
    with small_place.session() as session:
        factors.begin_key(session, reader.new.user, "browser", site=SITE, at=small_place.at)
    with pytest.raises(InvalidInput), small_place.session() as session:
        factors.add_key(
            session,
            factors.KeyAnswer(response, "browser", SITE),
            "key",
            actor=reader.actor,
            at=small_place.at,
        )


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("twelve chars", "password_short"),
        ("x" * 201, "password_long"),
        ("Reader1 is reading", "password_name"),
        ("password123456", "password_common"),
        ("aaaaaaaaaaaaaaaa", "password_common"),
        ("qwertyuiopasdf", "password_common"),
    ],
)
def test_passwords_that_others_would_guess_are_refused(password: str, code: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        passwords.check_password(password, names=("reader1",))
    assert refused.value.code == code
    passwords.check_password("白い犬が 3 quiet lakes", names=("reader1",))


@pytest.mark.parametrize("how", ["sign_out", "disable", "roles", "reset", "password"])
def test_all_sessions_end_at_once(small_place: Place, reader: Person, how: str) -> None:
    tokens = []
    for _ in range(2):
        small_place.wait(minutes=1)
        tokens.append(sign_in(small_place, reader, alone=False))
    at = small_place.at
    with small_place.session() as session:
        if how == "sign_out":
            accounts.end_session(session, tokens[0], at=at)
        elif how == "disable":
            accounts.deactivate_user(session, "reader1", actor=OPERATOR, at=at)
        elif how == "roles":
            accounts.change_roles(session, "reader1", ["coordinator"], actor=OPERATOR, at=at)
        elif how == "reset":
            accounts.reset_factors(session, "reader1", actor=OPERATOR, at=at)
        else:
            accounts.change_password(session, "blue tram over nine hills", actor=reader.actor, at=at)
    with small_place.session() as session:
        for token in tokens:
            assert accounts.session_user(session, token, at=at, from_where=HERE) is None


def test_a_person_has_one_session_and_the_other_browser_is_told_why_it_ended(
    small_place: Place, reader: Person
) -> None:
    def person(token: str) -> accounts.SignedIn | None:
        with small_place.session() as session:
            return accounts.session_user(session, token, at=small_place.at, from_where=HERE)

    def ending(token: str) -> Ending | None:
        with small_place.session() as session:
            found = accounts.how_it_ended(session, token)
        return found[0] if found else None

    first = sign_in(small_place, reader)
    small_place.wait(minutes=1)
    second = sign_in(small_place, reader, browser=first)
    # The same browser again is no other session.
    assert (person(first), ending(first)) == (None, Ending.BY_PERSON)
    small_place.wait(minutes=1)
    third = sign_in(small_place, reader)
    assert (person(second), ending(second)) == (None, Ending.ELSEWHERE)
    there = person(third)
    assert there is not None
    with small_place.session() as session:
        told = accounts.sessions_ended_by(session, there)
        assert [(one.from_where, one.created_at) for one in told] == [
            (HERE, small_place.at - timedelta(minutes=1))
        ]
        accounts.lock_session(session, third, at=small_place.at)
    assert ending(third) == Ending.LOCKED
    small_place.wait(minutes=1)
    fourth = person(sign_in(small_place, reader))
    assert fourth is not None
    with small_place.session() as session:
        # A page that has hidden itself was nobody's open session.
        assert accounts.sessions_ended_by(session, fourth) == []
    assert ending("a token that never was a session's") is None


def test_a_day_of_five_hundred_acts_leaves_five_hundred_records(small_place: Place, reader: Person) -> None:
    """Of every kind that IHE's Audit Trail has: sign-in, query, access, transfer, export, alert, administration."""

    def counts() -> Counter[str]:
        with small_place.session() as session:
            rows = session.execute(select(AuditRecord.act, func.count()).group_by(AuditRecord.act)).all()
        return Counter({act: int(count) for act, count in rows})

    place = small_place
    place.gateway = place.facility("day-clinic")
    case = place.send(clean_study())
    views = ViewLog(place.engine)
    with place.session() as session:
        instance = session.scalars(select(Instance)).first()
        assert instance is not None
        assert instance.series.study is instance.study
    before = counts()
    done: Counter[str] = Counter()
    for _ in range(6):
        place.wait(minutes=16)
        guess(place, "reader1")
        token = sign_in(place, reader, reader.code(place.at))
        with place.session() as session:
            accounts.end_session(session, token, at=place.at)
        done.update(["sign_in.refused", "sign_in", "sign_out"])
    while done.total() < 500:
        number, more = done.total(), {"actor": OPERATOR, "at": place.wait(hours=1)}
        with place.session() as session:
            facilities.add_facility(session, code=f"f{number}", name="F", **more)
            facilities.invite_gateway(
                session, facility_code=f"f{number}", name="box", settings=place.settings, **more
            )
        with place.session() as session:
            facilities.revoke_gateway(session, facility_code=f"f{number}", name="box", **more)
            accounts.create_token(
                session,
                name=f"t{number}",
                scopes=["dicomweb.read"],
                expires_at=place.at + timedelta(days=1),
                **more,
            )
        with place.session() as session:
            accounts.revoke_token(session, f"t{number}", **more)
            reading.case_view(session, case, actor=reader.actor, at=place.at)
            viewing.note_report(session, case, actor=reader.actor, at=place.at)
        views.note_query("studies", 1, actor=reader.actor, at=place.at)
        views.note([instance], actor=reader.actor, at=place.at)
        done.update(["facility.add", "gateway.invite", "gateway.revoke", "token.create", "token.revoke"])
        done.update(["case.open", viewing.VIEW_REPORT, viewing.QUERY, viewing.VIEW_SERIES])
        other = (
            place.send(clean_study(patient=f"P{number}", number=9000 + 10 * number)) if number < 60 else ""
        )
        if other:
            done.update({"study.receive": 1, "study.complete": 1})
    assert counts() - before == done
    assert done.total() >= 500
    with place.session() as session:
        assert audit.verify_chain(session, place.settings.audit_key()) == []


def test_an_act_that_cannot_be_recorded_does_not_happen(small_place: Place) -> None:
    deaf = make_engine(small_place.engine.url.render_as_string(hide_password=False))
    with pytest.raises(Unavailable), transaction(deaf) as session:
        facilities.add_facility(session, code="unheard", name="F", actor=OPERATOR, at=small_place.at)
    deaf.dispose()
    with small_place.session() as session:
        assert session.scalar(select(Facility.id).where(Facility.code == "unheard")) is None
