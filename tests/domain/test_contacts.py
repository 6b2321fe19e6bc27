"""The ladder of a facility: what an entry needs, its order, and whom a message reaches."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleread.domain.contacts import NOBODY, ladder_of, receivers
from teleread.domain.critical import Contact
from teleread.errors import InvalidInput

DUTY = Contact("当直医", "03-1234-5678", "救急", "duty@clinic.example")


def test_entries_are_tidied_put_in_order_and_empty_lines_left_out() -> None:
    wide = Contact(
        "  時間外　受付 ", "０３（１２３４）５６７８　内線２２", "", " Ｎｉｇｈｔ＠clinic.example ", True
    )
    assert ladder_of([("2", DUTY), ("", NOBODY), ("１", wide)]) == (
        Contact("時間外 受付", "03(1234)5678 内線22", "", "Night@clinic.example", True),
        DUTY,
    )
    assert ladder_of([]) == ()


@pytest.mark.parametrize(
    ("position", "changes", "field", "code"),
    [
        ("1", {"name": " "}, "name_2", "missing"),
        ("1", {"phone": ""}, "phone_2", "missing"),
        ("1", {"phone": "内線"}, "phone_2", "no_phone"),
        ("1", {"phone": "0" * 41}, "phone_2", "too_long"),
        ("1", {"name": "名" * 81}, "name_2", "too_long"),
        ("1", {"name": "当直\u202e医"}, "name_2", "unprintable"),
        ("1", {"mail": "duty"}, "mail_2", "no_mail"),
        ("1", {"mail": "a@b.example, c@d.example"}, "mail_2", "no_mail"),
        ("1", {"mail": "a@b.example\nBcc: c@d"}, "mail_2", "unprintable"),
        ("1", {"mail": "受付@clinic.example"}, "mail_2", "no_mail"),
        ("", {}, "position_2", "no_number"),
        ("0", {}, "position_2", "no_number"),
        ("一", {}, "position_2", "no_number"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(
    position: str, changes: dict[str, str], field: str, code: str
) -> None:
    wrong = Contact(**{"name": "受付", "phone": "2200", "department": "", "mail": "", **changes})
    with pytest.raises(InvalidInput) as refused:
        ladder_of([("1", DUTY), (position, wrong)])
    assert (refused.value.field, refused.value.code) == (field, code)


def test_nobody_stands_there_twice_and_one_at_most_is_the_second() -> None:
    with pytest.raises(InvalidInput) as refused:
        ladder_of([("1", DUTY), ("2", DUTY)])
    assert refused.value.code == "twice"
    with pytest.raises(InvalidInput, match="one person"):
        ladder_of([(str(n), Contact(f"n{n}", "22", is_second=True)) for n in (1, 2)])
    with pytest.raises(InvalidInput) as refused:
        ladder_of([(str(n), Contact(f"n{n}", "22")) for n in range(1, 12)])
    assert refused.value.code == "too_many"


@given(count=st.integers(0, 10), second=st.integers(0, 12), escalations=st.integers(0, 30))
def test_each_escalation_reaches_one_more_and_the_second_person_is_always_among_them(
    count: int, second: int, escalations: int
) -> None:
    ladder = [Contact(f"n{n}", str(n), is_second=n == second) for n in range(count)]
    reached = receivers(ladder, escalations)
    assert len(set(reached)) == len(reached)
    if escalations == 0:
        assert reached == ()
        return
    assert set(ladder[:escalations]) <= set(reached)
    assert all(one in reached for one in ladder if one.is_second)
    assert len(reached) <= escalations + 1
    assert set(receivers(ladder, escalations)) <= set(receivers(ladder, escalations + 1))
