"""The patient's name on the report: the right patient's, readable, and provably the only thing that was added."""

import hashlib
import io
import json
import random
import re
import shutil
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyhanko.pdf_utils import generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature
from pyhanko_certvalidator import ValidationContext

from gateway.keys import GatewayKeys
from gateway.layout import Layout
from gateway.main import main
from gateway.reidentify import (
    DOUBTS,
    IdentityDoubt,
    birth_date_lines,
    identity_fields,
    read_signed_content,
    reidentify,
)
from gateway.seal import Seal, fill_and_seal, read_identity_fields, unprintable
from gateway.vault import Vault, VaultStudy
from teleread.dicom.deid.identity import PatientIdentity
from teleread.domain.reporting import canonical_digest
from teleread.errors import InvalidInput
from teleread.signatures import check_signatures, read_certificates
from teleread.wire.packages import ReportPackage
from tests.gateway.facility import settings_of

DATA = Path(__file__).parents[1] / "data" / "reports"
READER_CA = (DATA / "reader-ca.pem").read_bytes()
AT = datetime(2026, 11, 23, 18, 5, tzinfo=UTC)

IDENTITY = PatientIdentity(
    patient_name="Mihon^Sakurako=見本^桜子=ミホン^サクラコ",
    patient_id="0012-3456",
    birth_date="19590514",
    sex="F",
    age="067Y",
    accession_number="A2611-0457",
    study_instance_uid="1.2.392.200036.9116.1",
    study_date="20261123",
)


@pytest.fixture(scope="module")
def seal() -> Seal:
    return Seal.make("あさひ岬クリニック", "asahi", at=datetime.now(UTC))


def signed_report(name: str) -> tuple[bytes, ReportPackage]:
    pdf = (DATA / f"{name}.pdf").read_bytes()
    content = json.loads((DATA / f"{name}.json").read_text())["content"]
    package = ReportPackage(
        package_id="P-1",
        case_number=content["case_number"],
        study_instance_uid=content["study_instance_uid"],
        pseudonym=content["pseudonym"],
        accession=content["accession"],
        sex=content["sex"],
        age=content["age"],
        version=content["version"],
        kind=content["kind"],
        status=content["status"],
        content_sha256=canonical_digest(content),
        pdf_sha256=hashlib.sha256(pdf).hexdigest(),
        signed_at=AT,
        signer_name=content["signer_name"],
        title="画像診断報告書",
        language=content["language"],
    )
    return pdf, package


def vault_study(package: ReportPackage, identity: PatientIdentity = IDENTITY) -> VaultStudy:
    return VaultStudy(
        pseudonym=package.pseudonym,
        centre_study_uid=package.study_instance_uid,
        accession_pseudonym=package.accession,
        identity=identity,
    )


def name_report(seal: Seal, name: str = "short-ja", identity: PatientIdentity = IDENTITY) -> bytes:
    pdf, package = signed_report(name)
    return reidentify(package, pdf, vault_study(package, identity), seal, READER_CA, at=AT)


def printed_texts(pdf: bytes) -> dict[str, list[str]]:
    """The text of each field as its appearance draws it, decoded by the embedded fonts' own CMaps, a line each."""
    texts = {}
    for reference in PdfFileReader(io.BytesIO(pdf)).root["/AcroForm"]["/Fields"]:
        field = reference.get_object()
        appearance = field["/AP"]["/N"]
        cmaps = {}
        for font_name, font in appearance["/Resources"].get("/Font", {}).items():
            cmap = font.get_object()["/ToUnicode"].data.decode("ascii")
            cmaps[font_name] = {
                code: bytes.fromhex(text).decode("utf-16-be")
                for code, text in re.findall(r"<([0-9a-f]{4})> <([0-9a-f]{4,})>\n", cmap)
            }
        texts[str(field["/T"])] = [
            "".join(cmaps[font_name][code] for code in re.findall("....", codes))
            for font_name, codes in re.findall(
                r"(/F\d) [^<]*<([0-9a-f]*)> Tj", appearance.data.decode("ascii")
            )
        ]
    return texts


def test_an_outside_validator_accepts_both_signatures(seal: Seal) -> None:
    for name in ("short-ja", "long-en"):
        reader = PdfFileReader(io.BytesIO(name_report(seal, name)))
        statuses = [
            validate_pdf_signature(
                signature, ValidationContext(trust_roots=read_certificates(trust), allow_fetching=False)
            )
            for signature, trust in zip(reader.embedded_signatures, (READER_CA, seal.ca_pem), strict=True)
        ]
        assert [status.bottom_line for status in statuses] == [True, True]
        assert [status.modification_level.name for status in statuses] == ["FORM_FILLING", "NONE"]
        assert statuses[0].docmdp_ok
        assert statuses[1].coverage.name == "ENTIRE_FILE"


def test_the_reader_signed_bytes_stay_as_they_are(seal: Seal) -> None:
    pdf, _ = signed_report("short-ja")
    assert name_report(seal).startswith(pdf)


def test_every_page_bears_the_identity(seal: Seal) -> None:
    named = name_report(seal, "long-en")
    texts = printed_texts(named)
    for page in (1, 2):
        assert texts[f"patient_name_page{page}"] == ["見本 桜子"]
        assert texts[f"patient_kana_page{page}"] == ["Mihon Sakurako"]
        assert texts[f"patient_id_page{page}"] == ["0012-3456"]
        assert texts[f"birth_date_page{page}"] == ["1959-05-14"]
        assert texts[f"accession_number_page{page}"] == ["A2611-0457"]
    assert "/NeedAppearances" not in PdfFileReader(io.BytesIO(named)).root["/AcroForm"]


def test_a_japanese_report_gives_kana_honorific_and_era(seal: Seal) -> None:
    texts = printed_texts(name_report(seal))
    assert texts["patient_name_page1"] == ["見本 桜子　様"]
    assert texts["patient_kana_page1"] == ["ミホン サクラコ"]
    assert texts["birth_date_page1"] == ["昭和34年5月14日", "1959-05-14"]
    assert texts["facility_signature"] == ["依頼施設　あさひ岬クリニック　2026-11-24 03:05 JST"]


def test_the_fonts_of_the_fields_are_embedded_subsets(seal: Seal) -> None:
    named = name_report(seal)
    pdf, _ = signed_report("short-ja")
    assert len(named) - len(pdf) < 40_000
    for reference in PdfFileReader(io.BytesIO(named)).root["/AcroForm"]["/Fields"]:
        for font in reference.get_object()["/AP"]["/N"]["/Resources"].get("/Font", {}).values():
            descriptor = font.get_object()["/DescendantFonts"][0]["/FontDescriptor"]
            assert re.fullmatch(r"/[A-Z]{6}\+BIZUDPGothic-(Regular|Bold)", descriptor["/FontName"])
            assert descriptor["/FontFile2"].data[:4] == b"\0\1\0\0"


@pytest.mark.parametrize(
    ("patient_name", "printed"),
    [
        ("=髙﨑^徳=タカサキ^トク", ["髙﨑 徳　様"]),
        ("=森^鷗外=モリ^オウガイ", ["森 鷗外　様"]),
        ("Yamada^Tarou=山田^太郎=ﾔﾏﾀﾞ^ﾀﾛｳ", ["山田 太郎　様"]),
        ("Äneas^Rüdiger", ["Äneas Rüdiger　様"]),
        ("", ["記載なし　様"]),
    ],
)
def test_names_are_printed_as_they_are(seal: Seal, patient_name: str, printed: list[str]) -> None:
    texts = printed_texts(name_report(seal, identity=replace(IDENTITY, patient_name=patient_name)))
    assert texts["patient_name_page1"] == printed


def test_half_width_kana_are_printed_full_width() -> None:
    identity = replace(IDENTITY, patient_name="=山田^太郎=ﾔﾏﾀﾞ^ﾀﾛｳ")
    assert identity_fields(identity, "ja")["patient_kana"] == "ヤマダ タロウ"


def test_a_character_that_the_typeface_lacks_gives_kana_and_says_so(seal: Seal) -> None:
    texts = printed_texts(name_report(seal, identity=replace(IDENTITY, patient_name="=𠮷野^花=ヨシノ^ハナ")))
    assert texts["patient_name_page1"] == ["ヨシノ ハナ　様"]
    assert texts["patient_kana_page1"] == ["〓野 花（〓は書体にない字）"]


def test_a_name_with_nothing_printable_says_to_go_by_the_id(seal: Seal) -> None:
    texts = printed_texts(name_report(seal, identity=replace(IDENTITY, patient_name="שרון^דבורה")))
    assert texts["patient_name_page1"] == ["書体にない文字の氏名：患者IDで照合　様"]
    assert texts["patient_id_page1"] == ["0012-3456"]


def test_an_unprintable_patient_id_holds_the_report(seal: Seal) -> None:
    for patient_id in ("𠮷-1", "12\ufffd4", "12\x1b4"):
        with pytest.raises(IdentityDoubt) as doubt:
            name_report(seal, identity=replace(IDENTITY, patient_id=patient_id))
        assert doubt.value.reason == "not_printable"


def test_the_longest_legal_values_still_fit(seal: Seal) -> None:
    longest = replace(
        IDENTITY,
        patient_name="=" + "齋" * 32 + "^" + "藤" * 31 + "=" + "サ" * 64,
        patient_id="W" * 64,
        accession_number="W" * 16,
    )
    texts = printed_texts(name_report(seal, identity=longest))
    assert "".join(texts["patient_name_page1"]).replace("　様", "").replace(" ", "") == "齋" * 32 + "藤" * 31
    assert "".join(texts["patient_id_page1"]) == "W" * 64
    assert "".join(texts["patient_kana_page1"]) == "サ" * 64


@pytest.mark.parametrize(
    ("birth_date", "japanese"),
    [
        ("20190501", "令和元年5月1日\n2019-05-01"),
        ("20190430", "平成31年4月30日\n2019-04-30"),
        ("19890107", "昭和64年1月7日\n1989-01-07"),
        ("19261225", "昭和元年12月25日\n1926-12-25"),
        ("19120730", "大正元年7月30日\n1912-07-30"),
        ("18730101", "明治6年1月1日\n1873-01-01"),
        ("18000101", "1800-01-01"),
        ("19590000", "19590000"),
        ("", "記載なし"),
    ],
)
def test_birth_dates_in_japanese_eras(birth_date: str, japanese: str) -> None:
    assert birth_date_lines(birth_date, "ja") == japanese


def test_any_changed_byte_of_the_named_report_is_found(seal: Seal) -> None:
    named = name_report(seal)
    rand = random.Random(2611)  # noqa: S311
    own_signature = named.rindex(b"/ByteRange")
    positions = [*rand.sample(range(len(named)), 25), *rand.sample(range(own_signature, len(named)), 25)]
    for position in positions:
        changed = bytearray(named)
        changed[position] ^= 1 << rand.randrange(8)
        assert not stands(bytes(changed), seal), position


def stands(pdf: bytes, seal: Seal) -> bool:
    """Both signatures are valid, as the facility would check them."""
    try:
        verdicts = check_signatures(pdf, READER_CA + seal.ca_pem)
    except InvalidInput:
        return False
    return (
        [verdict.field for verdict in verdicts] == ["reader_signature", "facility_signature"]
        and all(verdict.valid for verdict in verdicts)
        and verdicts[1].coverage == "whole_file"
    )


@pytest.mark.filterwarnings("ignore")
def test_a_locked_field_that_is_changed_afterwards_is_found(seal: Seal) -> None:
    named = name_report(seal)
    assert stands(named, seal)
    writer = IncrementalPdfFileWriter(io.BytesIO(named))
    for reference in writer.root["/AcroForm"]["/Fields"]:
        field = reference.get_object()
        if str(field["/T"]) == "patient_name_page1":
            field["/V"] = generic.TextStringObject("別人 太郎")
            writer.update_container(field)
    target = io.BytesIO()
    writer.write(target)
    facility = next(
        v for v in check_signatures(target.getvalue(), READER_CA + seal.ca_pem) if v.field[0] == "f"
    )
    assert not facility.valid
    assert facility.coverage == "revision"


@pytest.mark.filterwarnings("ignore")
def test_a_page_that_is_changed_afterwards_is_found(seal: Seal) -> None:
    writer = IncrementalPdfFileWriter(io.BytesIO(name_report(seal)))
    writer.add_stream_to_page(0, writer.add_object(generic.StreamObject(stream_data=b"0 0 200 200 re f")))
    target = io.BytesIO()
    writer.write(target)
    assert not any(verdict.valid for verdict in check_signatures(target.getvalue(), READER_CA + seal.ca_pem))


def test_another_pdf_than_the_package_names_is_held(seal: Seal) -> None:
    pdf, package = signed_report("short-ja")
    other, _ = signed_report("long-en")
    for given in (other, pdf[:-1], pdf + b"\n", b"", b"%PDF-1.7\n"):
        with pytest.raises(IdentityDoubt) as doubt:
            reidentify(package, given, vault_study(package), seal, READER_CA, at=AT)
        assert doubt.value.reason == "pdf_changed"


def test_a_pdf_that_cannot_be_read_is_held(seal: Seal) -> None:
    _, package = signed_report("short-ja")
    for given in (b"", b"%PDF-1.7\nnothing", b"\0" * 5000):
        forged = replace(package, pdf_sha256=hashlib.sha256(given).hexdigest())
        with pytest.raises(IdentityDoubt) as doubt:
            reidentify(forged, given, vault_study(package), seal, READER_CA, at=AT)
        assert doubt.value.reason == "pdf_unreadable"


def test_a_report_that_is_already_named_is_not_named_again(seal: Seal) -> None:
    _, package = signed_report("short-ja")
    named = name_report(seal)
    with pytest.raises(IdentityDoubt) as doubt:
        reidentify(
            replace(package, pdf_sha256=hashlib.sha256(named).hexdigest()),
            named,
            vault_study(package),
            seal,
            READER_CA + seal.ca_pem,
            at=AT,
        )
    assert doubt.value.reason == "signature"
    with pytest.raises(InvalidInput):
        fill_and_seal(named, identity_fields(IDENTITY, "ja"), seal, at=AT)


def test_a_signer_whom_the_centre_does_not_vouch_for_is_held(seal: Seal) -> None:
    pdf, package = signed_report("short-ja")
    with pytest.raises(IdentityDoubt) as doubt:
        reidentify(package, pdf, vault_study(package), seal, seal.ca_pem, at=AT)
    assert doubt.value.reason == "signature"


def test_no_reason_and_no_error_names_the_patient(seal: Seal) -> None:
    pdf, package = signed_report("short-ja")
    wrong = replace(vault_study(package), pseudonym="C36PV-00000")
    with pytest.raises(IdentityDoubt) as doubt:
        reidentify(package, pdf, wrong, seal, READER_CA, at=AT)
    assert doubt.value.reason == "pseudonym"
    assert str(doubt.value) == DOUBTS["pseudonym"][1]


def test_the_content_comes_out_of_the_pdf_as_it_was_signed() -> None:
    for name in ("short-ja", "long-en"):
        pdf, package = signed_report(name)
        assert canonical_digest(read_signed_content(pdf)) == package.content_sha256


def test_the_fields_are_read_back_by_page(seal: Seal) -> None:
    fields = read_identity_fields(name_report(seal, "long-en"))
    assert len(fields) == 10
    assert fields["patient_id_page2"] == "0012-3456"


def test_the_seal_survives_on_disk(tmp_path: Path, seal: Seal) -> None:
    seal.save(tmp_path)
    assert Seal.load(tmp_path) == seal
    assert (tmp_path / "seal.key").stat().st_mode & 0o077 == 0
    (tmp_path / "seal.crt").unlink()
    with pytest.raises(InvalidInput):
        Seal.load(tmp_path)


def test_what_the_typeface_lacks_is_known() -> None:
    assert unprintable("髙﨑德鷗外①Ⅱ㎜ 　ﾔﾏﾀﾞ Äß") == ()
    assert unprintable("𠮷野") == ("𠮷",)
    # A variation selector asks for another shape of the same character: to leave it out would change a name.
    assert unprintable("葛\U000e0101") == ("葛\U000e0101",)
    assert unprintable("a\u202eb\ufffd") == ("\u202e", "\ufffd")


def one_byte_changed(times: int) -> tuple[int, dict[str, int]]:
    """Return how many signed reports with one byte changed would bear a name, and why the others do not.

    The package names the changed file's digest, as after an attack on the centre: only the signature is left. A bit that
    turns a hexadecimal digit of the signature itself from a small to a capital letter, or falls into the zeros behind
    it, changes nothing that it says (ISO 32000-2 Section 12.8.1); such reports are counted as ``nothing_changed``.
    """
    rand = random.Random(11)  # noqa: S311
    facility = Seal.make("あさひ岬クリニック", "asahi", at=datetime.now(UTC))
    named, why = 0, Counter[str]()
    for number in range(times):
        pdf, package = signed_report(("short-ja", "long-en")[number % 2])
        place = rand.randrange(len(pdf))
        changed = pdf[:place] + bytes([pdf[place] ^ (1 << rand.randrange(8))]) + pdf[place + 1 :]
        package = replace(package, pdf_sha256=hashlib.sha256(changed).hexdigest())
        try:
            reidentify(package, changed, vault_study(package), facility, READER_CA, at=AT)
        except IdentityDoubt as doubt:
            why[doubt.reason] += 1
        else:
            start, length, rest, _ = PdfFileReader(io.BytesIO(pdf)).embedded_signatures[0].byte_range
            is_in_signature = start + length <= place < rest
            why["nothing_changed"] += is_in_signature
            named += not is_in_signature
    return named, dict(why)


def test_a_broken_stream_in_a_signed_report_is_a_doubt_and_no_crash(seal: Seal) -> None:
    # pyHanko lets zlib's own error through; the report would be tried again for days in place of being held.
    pdf, package = signed_report("short-ja")
    root = PdfFileReader(io.BytesIO(pdf)).root
    stream = root["/Names"]["/EmbeddedFiles"]["/Names"][1]["/EF"]["/F"].encoded_data
    at = pdf.index(stream) + len(stream) // 2
    changed = pdf[:at] + bytes(byte ^ 0xFF for byte in pdf[at : at + 8]) + pdf[at + 8 :]
    package = replace(package, pdf_sha256=hashlib.sha256(changed).hexdigest())
    with pytest.raises(IdentityDoubt):
        reidentify(package, changed, vault_study(package), seal, READER_CA, at=AT)


def test_a_signed_report_with_one_byte_changed_gets_no_name() -> None:
    named, why = one_byte_changed(12)
    assert named == 0
    assert set(why) <= {"signature", "pdf_unreadable", "content_changed", "nothing_changed"}


def test_a_vault_on_a_fresh_machine_names_every_earlier_report(seal: Seal, tmp_path: Path) -> None:
    lost, fresh = Layout(tmp_path / "lost"), Layout(tmp_path / "fresh")
    for layout in (lost, fresh):
        layout.make()
        settings_of(layout.data).write()
    reports = [signed_report(name) for name in ("short-ja", "long-en")]
    with closing(Vault.of(lost, GatewayKeys.make(lost))) as vault:
        vault.link(vault_study(reports[0][1]))
        vault.rotate(lost)
    words = tmp_path / "words"
    words.write_text("three plain words")
    files = [str(tmp_path / "backup"), "--keys", str(tmp_path / "keys"), "--passphrase-file", str(words)]
    assert main(["vault", "backup", *files, "--data", str(lost.data)]) == 0
    shutil.rmtree(lost.data)
    assert main(["vault", "restore", *files, "--data", str(fresh.data)]) == 0
    with closing(Vault.of(fresh, GatewayKeys.load(fresh))) as vault:
        for pdf, package in reports:
            entry = vault.study(package.study_instance_uid)
            named = reidentify(package, pdf, entry, seal, READER_CA, at=AT)
            assert IDENTITY.patient_id in read_identity_fields(named).values()
