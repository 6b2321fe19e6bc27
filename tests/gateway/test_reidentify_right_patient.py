"""Never the wrong patient: package, signed content and vault are compared in every point."""

import random
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.reidentify import Doubt, check_right_patient, check_vault_entry
from gateway.vault import VaultStudy
from teleread.dicom.deid.identity import PatientIdentity
from teleread.dicom.deid.profile import FacilityKeys
from teleread.domain.identifiers import accession_pseudonym, pseudonym_for, replacement_uid
from teleread.domain.reporting import canonical_digest
from teleread.wire.packages import ReportPackage
from tests.gateway.right_patient import AT, Report, crossed_and_refused, one_character_changed, report


def test_of_random_pairs_none_is_crossed_and_none_refused() -> None:
    # All ten thousand: `make trials ONLY=right_patient`.
    assert crossed_and_refused(1500) == (0, 0)


@given(st.integers(0, 2**32), st.sampled_from(["pseudonym", "centre_study_uid", "accession_pseudonym"]))
@settings(max_examples=200, deadline=None)
def test_one_changed_character_in_the_vault_is_a_doubt(seed: int, field: str) -> None:
    rand = random.Random(seed)  # noqa: S311
    package, content, vault = report(rand, seed)
    changed = replace(vault, **{field: one_character_changed(rand, getattr(vault, field))})
    assert check_right_patient(package, content, changed) is not None


CONTENT: dict[str, Any] = {
    "case_number": "4MZ09D89",
    "study_instance_uid": "2.25.1",
    "pseudonym": "C36PV-4K2M7",
    "accession": "A1",
    "sex": "F",
    "age": "067Y",
    "version": 1,
    "kind": "report",
    "status": "final",
    "study_date": "20261123",
}


def right() -> Report:
    package = ReportPackage(
        package_id="1",
        content_sha256=canonical_digest(CONTENT),
        pdf_sha256="0" * 64,
        signed_at=AT,
        signer_name="",
        title="",
        language="ja",
        **{name: value for name, value in CONTENT.items() if name != "study_date"},
    )
    identity = PatientIdentity(
        patient_id="1",
        patient_name="=見本^桜子",
        sex="F",
        age="067Y",
        birth_date="19590514",
        study_date="20261123",
    )
    return package, CONTENT, VaultStudy("C36PV-4K2M7", "2.25.1", "A1", identity)


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("pseudonym", {"pseudonym": "C36PV-4K2M8"}),
        ("study", {"study_instance_uid": "2.25.2"}),
        ("accession", {"accession": ""}),
        ("sex", {"sex": "M"}),
        ("age", {"age": "066Y"}),
        ("case_number", {"case_number": "4MZ09D84"}),
        ("version", {"version": 2}),
        ("version", {"status": "preliminary"}),
        ("version", {"kind": "correction"}),
        ("content_changed", {"content_sha256": "1" * 64}),
    ],
)
def test_each_difference_of_the_package_has_its_reason(reason: str, change: dict[str, Any]) -> None:
    package, content, vault = right()
    assert check_right_patient(package, content, vault) is None
    assert check_right_patient(replace(package, **change), content, vault) == Doubt(reason)


@pytest.mark.parametrize(
    ("reason", "change"),
    [
        ("sex", {"sex": "M"}),
        ("age", {"age": "012Y"}),
        ("age", {"age": "", "study_date": "20261123", "birth_date": "19990101"}),
        ("age", {"age": "", "birth_date": "19610514"}),
        ("birth_year", {"age": "067Y", "birth_date": "19611101", "study_date": "20280601"}),
        ("no_patient_id", {"patient_id": " "}),
    ],
)
def test_each_difference_of_the_identity_has_its_reason(reason: str, change: dict[str, Any]) -> None:
    package, content, vault = right()
    assert check_right_patient(
        package, content, replace(vault, identity=replace(vault.identity, **change))
    ) == Doubt(reason)


@pytest.mark.parametrize(
    "change",
    [
        {"age": "068Y"},
        {"age": "", "birth_date": ""},
        {"age": "", "study_date": "20261123", "birth_date": "19590514"},
        {"sex": ""},
        {"birth_date": "00000000"},
        # A header that contradicts itself: its age is what the reader was shown.
        {"birth_date": "19000101"},
    ],
)
def test_what_the_header_lacks_or_rounds_is_no_difference(change: dict[str, Any]) -> None:
    package, content, vault = right()
    assert (
        check_right_patient(package, content, replace(vault, identity=replace(vault.identity, **change)))
        is None
    )


def test_every_key_of_the_content_is_covered_by_the_digest() -> None:
    package, content, vault = right()
    assert {field.name for field in fields(package)} >= set(content) - {"study_date"}
    for name in content:
        missing = {key: value for key, value in content.items() if key != name}
        assert check_right_patient(package, missing, vault) == Doubt("content_changed")


@pytest.mark.parametrize(
    "change",
    [
        {"pseudonym": "C36PV-4K2M7"},
        {"accession_pseudonym": ""},
        {"centre_study_uid": "2.25.1"},
        {"patient_id": "0012346"},
        {"issuer_of_patient_id": "OTHER"},
        {"accession_number": "A2"},
        {"study_instance_uid": "1.2.4"},
    ],
)
def test_an_entry_of_the_vault_has_to_be_what_the_keys_make_of_its_patient(change: dict[str, str]) -> None:
    keys = FacilityKeys(b"u" * 32, b"p" * 32)
    identity = PatientIdentity(patient_id="0012345", accession_number="A1", study_instance_uid="1.2.3")
    entry = VaultStudy(
        pseudonym_for("", "0012345", keys.pseudonym_key),
        replacement_uid("1.2.3", keys.uid_key),
        accession_pseudonym("", "A1", keys.pseudonym_key),
        identity,
    )
    assert check_vault_entry(entry, keys) is None
    assert check_vault_entry(replace(entry, centre_study_uid="1.2.3"), keys) is None
    assert check_vault_entry(entry, FacilityKeys(b"U" * 32, b"p" * 32)) == Doubt("vault_entry")
    columns = {name: value for name, value in change.items() if hasattr(entry, name)}
    of_patient = {name: value for name, value in change.items() if name not in columns}
    changed = replace(entry, identity=replace(identity, **of_patient), **columns)
    assert check_vault_entry(changed, keys) == Doubt("vault_entry")
