"""The pages of a facility's contacts: empty, kept, refused with nothing lost, and changed by somebody else."""

import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from teleread.web.i18n import TEXTS
from tests.web.conftest import BASE, House, close_house, csrf, make_house

PAGE = "/contacts/midori"
DUTY = {
    "position_1": "1",
    "name_1": "当直医",
    "department_1": "救急",
    "phone_1": "03-1234-5678",
    "mail_1": "duty@midori.example",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    made = make_house(tmp_path_factory.mktemp("contacts"))
    yield made
    close_house(made)


def save(client: FlaskClient, **form: str) -> TestResponse:
    page = client.get(PAGE, base_url=BASE).text
    was = re.search(r'name="was" value="(\w+)"', page)
    rows = re.search(r'name="rows" value="(\d+)"', page)
    assert was is not None
    assert rows is not None
    sent = {"csrf_token": csrf(client, PAGE), "was": was[1], "rows": rows[1], "second": "", **form}
    return client.post(PAGE, base_url=BASE, data=sent)


def test_a_ladder_from_nothing_to_two_people_and_back(place: House) -> None:
    client = place.signed_in("coordinator")
    assert TEXTS["contacts.nobody"][1] in client.get("/contacts", base_url=BASE).text
    assert TEXTS["contacts.none_yet"][1] in client.get(PAGE, base_url=BASE).text
    assert save(client, **DUTY, second="1").status_code == 303
    more = {"position_2": "1", "name_2": "受付 <b>", "phone_2": "２２００", "position_1": "2"}
    assert save(client, **(DUTY | more), second="1").status_code == 303
    page = client.get(PAGE, base_url=BASE).text
    assert page.index("受付 &lt;b&gt;") < page.index("当直医")
    assert 'value="2200"' in page
    assert re.search(r'name="second" value="2"[^>]* checked', page)
    swapped = {key.replace("_1", "_2"): value for key, value in DUTY.items()} | {
        "position_1": "1",
        "name_1": "受付",
        "phone_1": "2200",
        "remove_1": "1",
    }
    assert save(client, **swapped).status_code == 303
    page = client.get(PAGE, base_url=BASE).text
    assert "受付" not in page
    assert "当直医" in page
    listed = client.get("/contacts", base_url=BASE).text
    # Facilities without anybody stand first; this one has somebody now.
    assert listed.index(TEXTS["contacts.nobody"][1]) < listed.index(PAGE)
    assert listed.count(TEXTS["contacts.nobody"][1]) == 1


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [("phone_1", "なし", "no_phone"), ("mail_1", "a@b, c@d", "no_mail"), ("name_1", "", "missing")],
)
def test_a_refused_line_is_named_and_nothing_typed_is_lost(
    place: House, field: str, value: str, problem: str
) -> None:
    client = place.signed_in("admin")
    answer = save(client, **(DUTY | {"department_1": "救急外来です", field: value}))
    assert answer.status_code == 400
    assert TEXTS[f"contacts.problem.{problem}"][1] in answer.text
    assert "救急外来です" in answer.text
    assert re.search(rf'name="{field}"[^>]* aria-invalid="true"', answer.text)
    assert "救急外来です" not in client.get(PAGE, base_url=BASE).text


def test_what_somebody_else_changed_first_is_shown_and_not_overwritten(place: House) -> None:
    client = place.signed_in("coordinator")
    answer = save(client, was="0" * 16, rows="1", position_1="1", name_1="古い人", phone_1="110")
    assert answer.status_code == 409
    assert TEXTS["contacts.changed"][1] in answer.text
    assert "古い人" not in client.get(PAGE, base_url=BASE).text


def test_only_coordinators_and_administrators_come_here(place: House) -> None:
    for name in ("reader", "midori"):
        client = place.signed_in(name)
        for path in ("/contacts", PAGE):
            assert client.get(path, base_url=BASE).status_code == 403
    client = place.signed_in("coordinator")
    assert client.get("/contacts/nowhere", base_url=BASE).status_code == 404
