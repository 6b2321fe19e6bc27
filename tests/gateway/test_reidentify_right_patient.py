"""Never the wrong patient: package, signed content and vault are compared in every point."""

import random
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.reidentify import Doubt, check_right_patient
from gateway.vault import VaultStudy
from teleread.dicom.deid.identity import PatientIdentity
from teleread.domain.identifiers import CROCKFORD
from teleread.domain.reporting import canonical_digest
from teleread.wire.packages import ReportPackage

AT = datetime(2026, 11, 23, tzinfo=UTC)
COMPARED = ("case_number", "study_instance_uid", "pseudonym", "accession", "sex", "age", "kind", "status")

Report = tuple[ReportPackage, dict[str, Any], VaultStudy]


def crockford(rand: random.Random, length: int) -> str:
    return "".join(rand.choice(CROCKFORD) for _ in range(length))


def report(rand: random.Random, number: int) -> Report:
    """A right triple. Names, ages and sexes repeat often, as they do in a hospital; identifiers never."""
    pseudonym = crockford(rand, 10)
    content: dict[str, Any] = {
        "case_number": crockford(rand, 8),
        "study_instance_uid": f"2.25.{number + 1}{rand.getrandbits(100)}",
        "pseudonym": f"{pseudonym[:5]}-{pseudonym[5:]}",
        "accession": rand.choice(["", "A" + crockford(rand, 12)]),
        "sex": rand.choice(["F", "M", "O", ""]),
        "age": rand.choice(["067Y", "068Y", "006M", ""]),
        "version": rand.choice([1, 2]),
        "kind": "report",
        "status": "final",
        "sections": {"findings": rand.choice(["No change.", "異常なし"])},
    }
    package = ReportPackage(
        package_id=str(number),
        content_sha256=canonical_digest(content),
        pdf_sha256="0" * 64,
        signed_at=AT,
        signer_name="",
        title="",
        language="ja",
        **{name: value for name, value in content.items() if name != "sections"},
    )
    identity = PatientIdentity(
        patient_name=rand.choice(["=佐藤^花子", "=鈴木^一郎"]),
        patient_id=str(number),
        sex=content["sex"],
        age=content["age"],
        birth_date=rand.choice(["", "19000101"]),
    )
    vault = VaultStudy(content["pseudonym"], content["study_instance_uid"], content["accession"], identity)
    return package, content, vault


def one_character_changed(rand: random.Random, text: str) -> str:
    if not text:
        return rand.choice(CROCKFORD)
    position = rand.randrange(len(text))
    return text[:position] + chr(ord(text[position]) ^ (1 << rand.randrange(4))) + text[position + 1 :]


def test_ten_thousand_pairs_none_crossed_none_refused() -> None:
    rand = random.Random(10_000)  # noqa: S311
    reports = [report(rand, number) for number in range(1000)]
    crossed = refused = 0
    for _ in range(10_000):
        package, content, vault = rand.choice(reports)
        other_package, other_content, other_vault = rand.choice(reports)
        refused += check_right_patient(package, content, vault) is not None
        if other_package.package_id == package.package_id:
            continue
        forged = replace(package, content_sha256=other_package.content_sha256)
        field = rand.choice(COMPARED)
        near = one_character_changed(rand, str(content[field]))
        changed = {**content, field: near}
        wrong = (
            # swapped: any one of the three is another patient's
            (package, content, other_vault),
            (package, other_content, vault),
            (other_package, content, vault),
            # replayed: another report's content with a package made to fit it
            (forged, other_content, vault),
            (forged, other_content, other_vault),
            # one character changed, with and without a digest that was made to fit
            (package, changed, vault),
            (replace(package, content_sha256=canonical_digest(changed)), changed, vault),
            (replace(package, **{field: near}), content, vault),
        )
        crossed += sum(check_right_patient(*each) is None for each in wrong)
    assert (crossed, refused) == (0, 0)


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
        **CONTENT,
    )
    identity = PatientIdentity(
        patient_id="1", patient_name="=見本^桜子", sex="F", age="067Y", birth_date="19590514"
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
    assert {field.name for field in fields(package)} >= set(content)
    for name in content:
        missing = {key: value for key, value in content.items() if key != name}
        assert check_right_patient(package, missing, vault) == Doubt("content_changed")
