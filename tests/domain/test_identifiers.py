"""Case numbers find slips of the tongue; pseudonyms and UIDs are stable and fit their VR."""

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleread.domain.identifiers import (
    CROCKFORD,
    accession_pseudonym,
    check_ae_title,
    check_case_number,
    check_pseudonym,
    check_uid,
    format_case_number,
    new_case_number,
    pseudonym_for,
    replacement_uid,
)
from teleread.errors import InvalidInput

KEY = b"k" * 32
numbers = st.integers(0, 2**35 - 1).map(
    lambda seed: new_case_number(lambda n, left=[seed]: left.append(left[-1] // n) or left[-2] % n)
)


def is_good(text: str) -> bool:
    try:
        check_case_number(text)
    except InvalidInput:
        return False
    return True


@given(numbers)
def test_a_case_number_is_accepted_however_it_is_written(number: str) -> None:
    assert check_case_number(number) == number
    assert check_case_number(f" {format_case_number(number).lower()} ") == number
    assert check_case_number(number.replace("0", "o").replace("1", "l").replace("-", "")) == number


@given(numbers)
def test_every_single_wrong_character_is_found(number: str) -> None:
    for place in range(8):
        for character in set(CROCKFORD) - {number[place]}:
            assert not is_good(number[:place] + character + number[place + 1 :])


@given(numbers)
def test_every_exchange_of_two_characters_is_found(number: str) -> None:
    for left in range(8):
        for right in range(left + 1, 8):
            if number[left] != number[right]:
                wrong = list(number)
                wrong[left], wrong[right] = wrong[right], wrong[left]
                assert not is_good("".join(wrong))


@pytest.mark.parametrize("text", ["", "1234567", "123456789", "U2345678", "........", "١٢٣٤٥٦٧٨"])
def test_what_is_no_case_number_is_refused(text: str) -> None:
    assert not is_good(text)


def test_random_case_numbers_are_good() -> None:
    assert all(is_good(new_case_number(secrets.randbelow)) for _ in range(1000))


@given(st.text(), st.text())
def test_a_pseudonym_is_stable_and_has_its_form(issuer: str, patient_id: str) -> None:
    pseudonym = pseudonym_for(issuer, patient_id, KEY)
    assert pseudonym == pseudonym_for(issuer, patient_id, KEY) == check_pseudonym(pseudonym)
    assert pseudonym != pseudonym_for(issuer, patient_id, KEY, counter=1)
    assert pseudonym != pseudonym_for(issuer, patient_id, b"x" * 32)


def test_issuer_and_id_are_not_simply_joined() -> None:
    assert pseudonym_for("AB", "C", KEY) != pseudonym_for("A", "BC", KEY)


@given(st.text())
def test_a_replacement_uid_is_a_uid_under_the_root_of_uuids(original: str) -> None:
    uid = replacement_uid(original, KEY)
    assert check_uid(uid, field="uid").startswith("2.25.")
    assert len(uid) <= 44
    value = int(uid[5:])
    assert (value >> 76) & 0xF == 8
    assert (value >> 62) & 0b11 == 0b10


@given(st.text(), st.text())
def test_an_accession_pseudonym_fits_sh(issuer: str, number: str) -> None:
    assert len(accession_pseudonym(issuer, number, KEY)) == 13


@pytest.mark.parametrize(
    "value", ["", "1", "1.02", "1..2", ".1", "1.", "1.2.a", "1." + "2" * 63, "1.2\n", "../1.2"]
)
def test_what_is_no_uid_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput):
        check_uid(value, field="StudyInstanceUID")


@pytest.mark.parametrize("value", ["", "   ", "A" * 17, "A\\B", "Ａ", "A\n"])
def test_what_is_no_ae_title_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput):
        check_ae_title(value)


def test_spaces_around_an_ae_title_do_not_count() -> None:
    assert check_ae_title(" PACS ") == "PACS"
