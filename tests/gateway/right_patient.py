"""Reports and patients by chance, and every way to mix them up; for the tests and the trial."""

import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gateway.reidentify import check_right_patient
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
        "study_date": "20261123",
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
        **{name: value for name, value in content.items() if name not in {"sections", "study_date"}},
    )
    identity = PatientIdentity(
        patient_name=rand.choice(["=佐藤^花子", "=鈴木^一郎"]),
        patient_id=str(number),
        sex=content["sex"],
        age=content["age"],
        birth_date=_birth_date(rand, content["age"]),
        study_date="20261123",
    )
    vault = VaultStudy(content["pseudonym"], content["study_instance_uid"], content["accession"], identity)
    return package, content, vault


def _birth_date(rand: random.Random, age: str) -> str:
    """A birth date that fits the age; sometimes none, and sometimes one that contradicts it, as headers do."""
    years = {"067Y": 1959, "068Y": 1958, "006M": 2026, "": 1970}[age]
    return rand.choice(["", f"{years}0514", "19000101"])


def one_character_changed(rand: random.Random, text: str) -> str:
    if not text:
        return rand.choice(CROCKFORD)
    position = rand.randrange(len(text))
    return text[:position] + chr(ord(text[position]) ^ (1 << rand.randrange(4))) + text[position + 1 :]


def crossed_and_refused(pairs: int, seed: int = 10_000) -> tuple[int, int]:
    """Return how many of the wrong ones would bear a name, and how many of the right ones would not."""
    rand = random.Random(seed)  # noqa: S311
    reports = [report(rand, number) for number in range(1000)]
    crossed = refused = 0
    for _ in range(pairs):
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
    return crossed, refused
