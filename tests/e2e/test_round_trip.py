"""`make demo`'s own program, run once with every process real; then its account is checked from outside."""

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from asn1crypto import pem
from asn1crypto import x509 as asn1_x509
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.validation import SignatureCoverageLevel, validate_pdf_signature
from pyhanko.sign.validation.status import PdfSignatureStatus
from pyhanko_certvalidator import ValidationContext

from teleread.demo.study import Patient
from teleread.supervisor import python
from tests.e2e.identity import leaks, needles

pytestmark = [pytest.mark.e2e, pytest.mark.centre]

PATIENT = Patient()


@dataclass(frozen=True)
class Travelled:
    """The demo's account, and the study as the modality wrote it."""

    told: dict[str, Any]
    exit_status: int
    source: list[pydicom.Dataset]

    @property
    def study(self) -> dict[str, Any]:
        """Return the account of the one study."""
        study: dict[str, Any] = self.told["studies"][0]
        return study

    @property
    def pdf(self) -> bytes:
        """Return the delivered PDF."""
        return Path(self.study["report_pdf"]).read_bytes()


@pytest.fixture(scope="module")
def travelled() -> Iterator[Travelled]:
    with tempfile.TemporaryDirectory(prefix="teleread-e2e-") as folder:
        data = Path(folder) / "demo"
        done = subprocess.run(
            python("-m", "teleread.demo.demo", "--once", "--data", str(data)),
            # What the centre's data folder holds includes its logs: they are searched for identity too.
            env={**os.environ, "TELEREAD_LOG_LEVEL": "DEBUG"},
            capture_output=True,
            text=True,
            timeout=280,
            check=False,
        )
        assert done.stdout, done.stderr
        source = [pydicom.dcmread(path) for path in sorted((data / "study").iterdir())]
        yield Travelled(json.loads(done.stdout.splitlines()[-1]), done.returncode, source)


def test_the_demo_succeeds_and_accounts_for_every_file(travelled: Travelled) -> None:
    assert travelled.exit_status == 0
    assert travelled.told["ok"] is True
    assert travelled.told["ignored_files"] == 0
    assert len(travelled.told["studies"]) == 1
    study = travelled.study
    assert (study["instances_sent"], study["instances_stored"], study["instances_held"]) == (40, 40, {})
    moments = [study["ms"][name] for name in ("received", "uploaded", "listed", "signed", "delivered")]
    # Each is noted by a watcher of its own: a machine under load may note two of them in another order.
    assert all(isinstance(at, int) and at > 0 for at in moments)


def test_the_report_lies_in_the_pacs_in_the_original_study_under_the_original_name(
    travelled: Travelled,
) -> None:
    report = pydicom.dcmread(travelled.study["report_dicom"])
    original = travelled.source[0]
    assert report.SOPClassUID == "1.2.840.10008.5.1.4.1.1.104.1"
    assert report.StudyInstanceUID == original.StudyInstanceUID == travelled.study["facility_study_uid"]
    assert report.PatientID == PATIENT.patient_id
    assert report.PatientName.original_string == original.PatientName.original_string
    assert report.PatientBirthDate == PATIENT.birth_date
    assert report.AccessionNumber == PATIENT.accession_number
    assert report.EncapsulatedDocument[: len(travelled.pdf)] == travelled.pdf


def test_one_report_came_home(travelled: Travelled) -> None:
    lines = (Path(travelled.told["pacs_data"]) / "index.jsonl").read_text().splitlines()
    assert len(lines) == 1


@pytest.mark.poppler
def test_the_delivered_pdf_shows_name_kana_id_birth_date_and_case_number(travelled: Travelled) -> None:
    text = subprocess.run(
        ["pdftotext", "-layout", travelled.study["report_pdf"], "-"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    plain = "".join(text.split())
    _alphabetic, ideographic, phonetic = PATIENT.name.split("=")
    for word in (*ideographic.split("^"), *phonetic.split("^"), PATIENT.patient_id, PATIENT.accession_number):
        assert word in plain, word
    assert "1957" in plain
    case_number = travelled.study["case_number"]
    assert case_number in plain


def test_the_whole_data_folder_of_the_centre_holds_no_identity_in_any_encoding(travelled: Travelled) -> None:
    wanted = needles(PATIENT, travelled.source)
    assert len(wanted) > 70
    folder = Path(travelled.told["centre_data"])
    assert (folder / "teleread.sqlite3").exists()
    assert [path for path in (folder / "blobs").rglob("*") if path.is_file()]
    assert list((folder / "redis").rglob("*.aof"))
    assert list(leaks(folder, wanted)) == []


def test_the_search_for_identity_does_find_it_at_the_facility(travelled: Travelled) -> None:
    """The needle works: in what the modality wrote, the same search finds it."""
    folder = Path(travelled.told["centre_data"]).parent / "study"
    found = {leak.partition(": ")[2] for leak in leaks(folder, needles(PATIENT, travelled.source))}
    assert {
        "name 架空川 in iso2022_jp",
        "romaji KAKUUGAWA in ascii",
        "patient ID in ascii",
        "birth date 19570314 in utf-8",
    } <= found


@pytest.mark.poppler
def test_no_pdf_at_the_centre_shows_the_name_in_its_text(travelled: Travelled) -> None:
    blobs = [path for path in (Path(travelled.told["centre_data"]) / "blobs").rglob("*") if path.is_file()]
    pdfs = [path for path in blobs if path.read_bytes().startswith(b"%PDF")]
    assert pdfs
    for path in pdfs:
        text = subprocess.run(["pdftotext", path, "-"], capture_output=True, text=True, check=True).stdout
        assert not [word for word in ("架空川", "霧之助", "かくうがわ", PATIENT.patient_id) if word in text]


def _trusted(travelled: Travelled) -> ValidationContext:
    centre = Path(travelled.told["centre_data"]) / "pki" / "signing-ca.pem"
    reader = PdfFileReader(BytesIO(travelled.pdf))
    roots = [asn1_x509.Certificate.load(pem.unarmor(centre.read_bytes())[2])]
    # The facility's seal is of the facility's own authority: what a validator there is given.
    keys = Path(travelled.told["gateway_data"]) / "keys"
    for path in (*keys.glob("*.pem"), *keys.glob("*.crt")):
        for kind, _, der in pem.unarmor(path.read_bytes(), multiple=True):
            certificate = asn1_x509.Certificate.load(der) if kind == "CERTIFICATE" else None
            if certificate is not None and certificate.ca and certificate.self_issued:
                roots.append(certificate)
    assert len(reader.embedded_signatures) == 2
    return ValidationContext(trust_roots=roots, allow_fetching=False)


def _verdicts(travelled: Travelled, pdf: bytes) -> list[PdfSignatureStatus]:
    context = _trusted(travelled)
    return [validate_pdf_signature(each, context) for each in PdfFileReader(BytesIO(pdf)).embedded_signatures]


def test_an_outside_validator_finds_both_signatures_of_the_delivered_pdf_valid(travelled: Travelled) -> None:
    reader, facility = _verdicts(travelled, travelled.pdf)
    assert reader.bottom_line, reader.pretty_print_details()
    assert reader.modification_level in {ModificationLevel.FORM_FILLING, ModificationLevel.LTA_UPDATES}
    assert reader.modification_level is ModificationLevel.FORM_FILLING
    assert facility.bottom_line, facility.pretty_print_details()
    assert facility.coverage is SignatureCoverageLevel.ENTIRE_FILE


def test_one_changed_byte_of_the_delivered_pdf_is_found(travelled: Travelled) -> None:
    pdf = bytearray(travelled.pdf)
    position = pdf.index(b"stream") + 40
    pdf[position] ^= 1
    reader, facility = _verdicts(travelled, bytes(pdf))
    assert not reader.intact
    assert not facility.intact


def test_the_reader_s_bytes_are_the_beginning_of_the_delivered_file(travelled: Travelled) -> None:
    """The facility only appended: what the reader signed is there, byte for byte, and the centre keeps it by digest."""
    signature = PdfFileReader(BytesIO(travelled.pdf)).embedded_signatures[0]
    start, length, after, rest = (int(n) for n in signature.byte_range)
    assert start == 0
    assert length < after
    digest = hashlib.sha256(travelled.pdf[: after + rest]).hexdigest()
    blobs = Path(travelled.told["centre_data"]) / "blobs"
    assert [path for path in blobs.rglob("*") if path.name.startswith(digest)]


def test_nothing_that_the_demo_started_is_left(travelled: Travelled) -> None:
    data = str(Path(travelled.told["centre_data"]).parent)
    left = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if data in command:
                left.append(command)
    assert left == []
