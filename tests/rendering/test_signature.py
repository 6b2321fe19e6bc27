"""The reader's signature: certifying, form filling allowed, any changed byte found."""

import random
from datetime import UTC, datetime

import pytest

from teleread.errors import InvalidInput
from teleread.rendering.context import ReportContent
from teleread.rendering.report_pdf import render_report
from teleread.rendering.signature import (
    KeyAndCertificate,
    check_signatures,
    issue_reader_certificate,
    make_ca,
    sign_report,
)

pytestmark = pytest.mark.centre

NOW = datetime.now(UTC)
CONTENT = ReportContent(
    case_number="4MZ09D83",
    facility_name="あさひ岬クリニック",
    study_instance_uid="2.25.17",
    pseudonym="C36PV-4K2M7",
    sections={"findings": "異常なし。", "impression": "異常なし。"},
)


@pytest.fixture(scope="module")
def authority() -> KeyAndCertificate:
    return make_ca("Example CA", at=NOW, organisation="Example centre", passphrase=b"ca secret")


@pytest.fixture(scope="module")
def reader(authority: KeyAndCertificate) -> KeyAndCertificate:
    return issue_reader_certificate(
        "例示 太郎", authority, at=NOW, serial_text="000000", passphrase=b"secret", ca_passphrase=b"ca secret"
    )


@pytest.fixture(scope="module")
def rendered() -> bytes:
    return render_report(CONTENT).pdf


def signed(
    pdf: bytes, reader: KeyAndCertificate, authority: KeyAndCertificate, passphrase: bytes = b"secret"
) -> bytes:
    return sign_report(
        pdf,
        key_pem=reader.key_pem,
        passphrase=passphrase,
        certificate_pem=reader.certificate_pem,
        ca_pem=authority.certificate_pem,
        reason="確定",
        name="例示 太郎",
    )


def test_a_signed_report_is_valid_and_begins_with_the_rendering(
    rendered: bytes, reader: KeyAndCertificate, authority: KeyAndCertificate
) -> None:
    pdf = signed(rendered, reader, authority)
    assert pdf.startswith(rendered)
    [verdict] = check_signatures(pdf, authority.certificate_pem)
    assert (verdict.field, verdict.signer) == ("reader_signature", "例示 太郎")
    assert verdict.valid
    assert verdict.coverage == "whole_file"


def test_any_changed_byte_is_found(
    rendered: bytes, reader: KeyAndCertificate, authority: KeyAndCertificate
) -> None:
    pdf = signed(rendered, reader, authority)
    rand = random.Random(7)  # noqa: S311
    for position in rand.sample(range(len(pdf)), 40):
        changed = bytearray(pdf)
        changed[position] ^= 1 << rand.randrange(8)
        try:
            verdicts = check_signatures(bytes(changed), authority.certificate_pem)
        except InvalidInput:
            continue
        assert not [verdict for verdict in verdicts if verdict.valid and verdict.coverage == "whole_file"], (
            position
        )


def test_an_authority_that_is_not_trusted_makes_it_invalid(
    rendered: bytes, reader: KeyAndCertificate, authority: KeyAndCertificate
) -> None:
    other = make_ca("Example CA", at=NOW, organisation="Example centre")
    [verdict] = check_signatures(signed(rendered, reader, authority), other.certificate_pem)
    assert verdict.intact
    assert not verdict.trusted
    assert not verdict.valid


def test_an_unsigned_report_has_no_verdict(rendered: bytes, authority: KeyAndCertificate) -> None:
    assert check_signatures(rendered, authority.certificate_pem) == []


def test_a_wrong_passphrase_or_a_foreign_certificate_signs_nothing(
    rendered: bytes, reader: KeyAndCertificate, authority: KeyAndCertificate
) -> None:
    with pytest.raises(InvalidInput):
        signed(rendered, reader, authority, passphrase=b"guess")
    other = issue_reader_certificate("別人", authority, at=NOW, ca_passphrase=b"ca secret")
    mixed = KeyAndCertificate(reader.key_pem, other.certificate_pem)
    with pytest.raises(InvalidInput):
        signed(rendered, mixed, authority)


def test_what_is_no_pdf_is_refused(authority: KeyAndCertificate) -> None:
    for nonsense in (b"", b"%PDF-1.7", b"\0" * 3000):
        with pytest.raises(InvalidInput):
            check_signatures(nonsense, authority.certificate_pem)


def test_the_key_is_not_readable_without_its_passphrase(reader: KeyAndCertificate) -> None:
    assert b"ENCRYPTED PRIVATE KEY" in reader.key_pem
