"""Which study an order asks for."""

from hypothesis import given
from hypothesis import strategies as st

from teleread.domain.orders import Match, OrderFacts, StudyFacts, best, match

STUDY = StudyFacts(
    pseudonym="C36PV-4K2M7",
    study_instance_uid="2.25.1",
    accession="A1",
    modalities=("CT",),
    study_date="20261123",
)


def order(**changes: str) -> OrderFacts:
    return OrderFacts(**{"pseudonym": "C36PV-4K2M7", **changes})


def test_the_studys_own_uid_is_the_strongest_sign() -> None:
    found = match(order(study_instance_uid="2.25.1", modality="MR"), STUDY)
    assert found == Match(3, ("pseudonym", "study_instance_uid"), ("modality",))


def test_the_accession_number_is_enough_with_the_patient() -> None:
    assert match(order(accession="A1"), STUDY).strength == 2


def test_modality_and_day_are_enough_with_the_patient_but_neither_alone() -> None:
    assert match(order(modality="CT", study_date="20261123"), STUDY).strength == 1
    assert match(order(modality="CT"), STUDY).strength == 0
    assert match(order(study_date="20261123"), STUDY).strength == 0


def test_another_uid_or_accession_number_is_another_study() -> None:
    assert match(order(study_instance_uid="2.25.2", accession="A1"), STUDY).strength == 0
    assert match(order(accession="A2", modality="CT", study_date="20261123"), STUDY).strength == 0


@given(st.sampled_from(["", "2.25.1"]), st.sampled_from(["", "A1"]), st.sampled_from(["", "CT"]))
def test_another_patient_never_fits(uid: str, accession: str, modality: str) -> None:
    facts = OrderFacts("XXXXX-XXXXX", accession, uid, modality, "20261123")
    found = match(facts, STUDY)
    assert found.strength == 0
    assert "pseudonym" in found.reasons_against


def test_of_two_equally_strong_matches_neither_is_taken() -> None:
    assert best([(1, Match(2, (), ())), (2, Match(2, (), ()))]) is None
    assert best([(1, Match(2, (), ())), (2, Match(3, (), ()))]) == 2
    assert best([(1, Match(0, (), ()))]) is None
