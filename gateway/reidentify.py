"""Puts the patient's name on a report, only when everything says that it is the right patient.

The package, the content inside the signed PDF and the vault each tell which study of which patient the report is about.
They must agree in every point; the reader's signature must be valid over the whole file; and the finished report is read
back before it is handed on. Any doubt holds the report: the wrong patient is worse than a late report.
"""

import hashlib
import io
import json
import re
import struct
import unicodedata
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader

from gateway.seal import IDENTITY_FIELDS, Seal, fill_and_seal, read_identity_fields, unprintable
from gateway.vault import VaultStudy
from teleread.clock import now
from teleread.dicom.deid.identity import PatientIdentity
from teleread.dicom.deid.profile import FacilityKeys
from teleread.domain.doubts import DOUBTS
from teleread.domain.identifiers import accession_pseudonym, pseudonym_for, replacement_uid
from teleread.domain.reporting import canonical_digest
from teleread.errors import InvalidInput, TelereadError
from teleread.signatures import check_signatures
from teleread.wire.packages import ReportPackage

_ATTACHMENT = "report.json"
#: What pyHanko and the libraries below it raise on a file that somebody has changed.
_UNREADABLE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NotImplementedError,
    PdfError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
_GETA = "〓"
_NOT_GIVEN = {"ja": "記載なし", "en": "not given"}
_GAIJI_NOTE = {"ja": "（〓は書体にない字）", "en": " (〓: not in the typeface)"}
_BY_ID = {"ja": "書体にない文字の氏名：患者IDで照合", "en": "Name not in the typeface: go by the ID"}

# First day, name. Japan counts by the Gregorian calendar since Meiji 6 (1873).
_ERAS = (
    (date(2019, 5, 1), "令和"),
    (date(1989, 1, 8), "平成"),
    (date(1926, 12, 25), "昭和"),
    (date(1912, 7, 30), "大正"),
    (date(1873, 1, 1), "明治"),
)
_ERA_YEARS = {"令和": 2018, "平成": 1988, "昭和": 1925, "大正": 1911, "明治": 1867}

# Years in one unit of DICOM AS (PS3.5 6.2).
_AGE_UNITS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}
# Header and birth date may differ by a birthday, or by rounding.
_AGE_TOLERANCE = 1.01


@dataclass(frozen=True)
class Doubt:
    """Why a report may not bear a name: a key of `DOUBTS`."""

    reason: str


class IdentityDoubt(TelereadError):  # noqa: N818 - the word of the glossary and of the workflow table
    """The report is held: `reason` (also the code) is a key of `DOUBTS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(DOUBTS[reason][1], code=reason)
        self.reason = reason


def _age_in_years(age: str) -> float | None:
    match = re.fullmatch(r"(\d{1,3})([DWMY])", age.strip())
    return int(match[1]) * _AGE_UNITS[match[2]] if match else None


def _day(text: str) -> date | None:
    """DICOM DA, or None where it is empty or no date."""
    match = re.fullmatch(r"(\d{4})(\d{2})(\d{2})", text.strip())
    try:
        return date(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        return None


def _known_age(identity: PatientIdentity) -> float | None:
    """Years: from the header's age, else from birth date and study date."""
    age = _age_in_years(identity.age)
    born, studied = _day(identity.birth_date), _day(identity.study_date)
    if age is None and born is not None and studied is not None and studied >= born:
        return (studied - born).days / 365.25
    return age


def _birth_year_differs(signed_content: Mapping[str, Any], identity: PatientIdentity) -> bool:
    """Whether the year of birth by the signed age and study date is not that of the vault's birth date.

    A header whose own age and birth date contradict each other says nothing: its age is what the reader was shown, and
    it is compared by itself.
    """
    born, own_day = _day(identity.birth_date), _day(identity.study_date)
    age, own_age = _age_in_years(str(signed_content.get("age"))), _age_in_years(identity.age)
    day = _day(str(signed_content.get("study_date", ""))) or own_day
    if born is None or age is None or day is None:
        return False
    if own_age is not None and own_day is not None:
        own_years = (own_day - born).days / 365.25
        if abs(own_years - own_age) > _AGE_TOLERANCE:
            return False
    return abs((day - born).days / 365.25 - age) > _AGE_TOLERANCE


def check_right_patient(
    package: ReportPackage, signed_content: Mapping[str, Any], vault_entry: VaultStudy
) -> Doubt | None:
    """Compare what package, signed content and vault say. Pure.

    Parameters
    ----------
    package : ReportPackage
        What the centre says it sent.
    signed_content : mapping
        `report.json` out of the signed PDF.
    vault_entry : VaultStudy
        What the vault knows of the package's study.

    Returns
    -------
    Doubt or None
        The first point in which they differ; None when it is the right patient.
    """
    identity = vault_entry.identity
    told = {name: signed_content.get(name) for name in ("case_number", "pseudonym", "study_instance_uid")}
    sexes = {sex for sex in (package.sex, signed_content.get("sex"), identity.sex.strip()) if sex}
    ages = [_age_in_years(str(age)) for age in (package.age, signed_content.get("age"))]
    known = _known_age(identity)
    age_differs = package.age != signed_content.get("age") or (
        known is not None and any(age is not None and abs(age - known) > _AGE_TOLERANCE for age in ages)
    )
    checks = (
        ("content_changed", canonical_digest(signed_content) != package.content_sha256),
        ("case_number", told["case_number"] != package.case_number),
        (
            "version",
            [signed_content.get(name) for name in ("version", "kind", "status")]
            != [package.version, package.kind, package.status],
        ),
        ("pseudonym", not package.pseudonym == told["pseudonym"] == vault_entry.pseudonym),
        (
            "study",
            not package.study_instance_uid == told["study_instance_uid"] == vault_entry.centre_study_uid,
        ),
        (
            "accession",
            not package.accession == signed_content.get("accession") == vault_entry.accession_pseudonym,
        ),
        ("sex", len(sexes) > 1 or package.sex != signed_content.get("sex")),
        ("age", age_differs),
        ("birth_year", _birth_year_differs(signed_content, identity)),
        ("no_patient_id", not identity.patient_id.strip()),
    )
    return next((Doubt(reason) for reason, differs in checks if differs), None)


def check_vault_entry(entry: VaultStudy, keys: FacilityKeys) -> Doubt | None:
    """Work out anew what the stand-ins of the vault's own patient are. Pure.

    What leaves was named by these keys, so an entry whose identity makes other names is a damaged one, or one that
    somebody put in. A study that kept its UIDs has its own.
    """
    identity = entry.identity
    accession = (
        accession_pseudonym(
            identity.issuer_of_accession_number, identity.accession_number, keys.pseudonym_key
        )
        if identity.accession_number
        else ""
    )
    own_uid = identity.study_instance_uid
    fits = (
        entry.pseudonym
        == pseudonym_for(identity.issuer_of_patient_id, identity.patient_id, keys.pseudonym_key)
        and entry.accession_pseudonym == accession
        and entry.centre_study_uid in {own_uid, replacement_uid(own_uid, keys.uid_key)}
    )
    return None if fits else Doubt("vault_entry")


def read_signed_content(pdf: bytes) -> dict[str, Any]:
    """`report.json` out of a PDF.

    Raises
    ------
    InvalidInput
        The PDF cannot be read, or has not exactly one such attachment.
    """
    try:
        root = PdfFileReader(io.BytesIO(pdf)).root
        entries = root["/Names"]["/EmbeddedFiles"]["/Names"]
        files = [entries[position + 1] for position in range(0, len(entries), 2)]
        if [str(entry["/UF"]) for entry in files] != [_ATTACHMENT]:
            raise InvalidInput("pdf", "must have one attachment, the report's content")
        content = json.loads(files[0]["/EF"]["/F"].data)
    except _UNREADABLE as error:
        raise InvalidInput("pdf", f"cannot be read ({type(error).__name__})") from error
    if not isinstance(content, dict):
        raise InvalidInput("pdf", "has a content that is not an object")
    return content


def _groups(identity: PatientIdentity) -> tuple[str, str, str]:
    """Alphabetic, ideographic and phonetic name as people write them: components parted by a space."""

    def plain(group: str) -> str:
        return " ".join(part for component in group.split("^") if (part := " ".join(component.split())))

    alphabetic, ideographic, phonetic = (plain(group) for group in identity.name_groups)
    return alphabetic, ideographic, _full_width_kana(phonetic)


def _full_width_kana(text: str) -> str:
    """Half-width katakana (JIS X 0201) as full-width; everything else unchanged."""
    return re.sub("[\uff61-\uff9f]+", lambda run: unicodedata.normalize("NFKC", run[0]), text)


def _with_gaps(text: str) -> str:
    """A geta sign for each character that the typeface lacks."""
    for gap in unprintable(text):
        text = text.replace(gap, _GETA)
    return text


def _printed_name(identity: PatientIdentity, language: str) -> tuple[str, str]:
    """The name and the small line above it.

    A name with a character that the typeface lacks is never printed with a box in it. Where the name is known in kana or
    in letters too, that is printed large, and the original above it with a geta sign in each gap. Where it is not, the page
    says so, and to go by the ID: the ID, checked like everything else, is always printed whole, and the DICOM object
    carries the name's own bytes. Holding such a report would not make it any surer, only late.
    """
    alphabetic, ideographic, phonetic = _groups(identity)
    spoken = (alphabetic, phonetic) if language == "en" else (phonetic, alphabetic)
    name = ideographic or alphabetic or phonetic
    if not name:
        return _NOT_GIVEN[language], ""
    if not unprintable(name):
        return name, next(
            (other for other in spoken if other not in {"", name} and not unprintable(other)), ""
        )
    gapped = _with_gaps(name)
    note = gapped + _GAIJI_NOTE[language] if set(gapped) - {_GETA, " "} else ""
    for other in (phonetic, alphabetic):
        if other and not unprintable(other):
            return other, note
    return (gapped, _BY_ID[language]) if note else (_BY_ID[language], "")


def birth_date_lines(birth_date: str, language: str) -> str:
    """A DICOM DA for the report: in Japanese the era's year above ISO 8601, in English ISO 8601 alone."""
    day = _day(birth_date)
    if day is None:
        return _with_gaps(birth_date.strip()) or _NOT_GIVEN[language]
    if language == "ja":
        for first, era in _ERAS:
            if day >= first:
                year = day.year - _ERA_YEARS[era]
                return f"{era}{'元' if year == 1 else year}年{day.month}月{day.day}日\n{day.isoformat()}"
    return day.isoformat()


def identity_fields(identity: PatientIdentity, language: str) -> dict[str, str]:
    """What goes into the fields, by the names of `IDENTITY_FIELDS`.

    Raises
    ------
    IdentityDoubt
        The patient ID cannot be printed whole.
    """
    name, small = _printed_name(identity, language)
    fields = {
        "patient_name": name,
        "patient_kana": small,
        "patient_id": identity.patient_id.strip(),
        "birth_date": birth_date_lines(identity.birth_date, language),
        "accession_number": _with_gaps(identity.accession_number.strip()) or _NOT_GIVEN[language],
    }
    if unprintable(fields["patient_id"]):
        raise IdentityDoubt("not_printable")
    return fields


def _check_finished(named: bytes, signed: bytes, fields: Mapping[str, str], trust_pem: bytes) -> bool:
    """The finished file begins with the signed one, bears exactly the given texts, and both signatures hold."""
    wanted = {name: text.replace("\n", " ") for name, text in fields.items()}
    read = read_identity_fields(named)
    verdicts = check_signatures(named, trust_pem)
    return (
        named.startswith(signed)
        and bool(read)
        and all(text == wanted[name.rpartition("_page")[0]] for name, text in read.items())
        and [verdict.field for verdict in verdicts] == ["reader_signature", "facility_signature"]
        and all(verdict.valid for verdict in verdicts)
        and verdicts[0].later_changes == "form_filling"
        and verdicts[1].coverage == "whole_file"
    )


def reidentify(
    package: ReportPackage,
    pdf: bytes,
    vault_entry: VaultStudy,
    seal: Seal,
    trust_pem: bytes,
    *,
    keys: FacilityKeys | None = None,
    at: datetime | None = None,
) -> bytes:
    """The report with the patient's name on every page, sealed by the facility.

    Parameters
    ----------
    package : ReportPackage
        As collected.
    pdf : bytes
        The PDF that the reader signed.
    vault_entry : VaultStudy
        What the vault knows of `package.study_instance_uid`.
    seal : Seal
        The facility's.
    trust_pem : bytes
        The authority of the centre's readers, as received at enrolment.
    keys : FacilityKeys, optional
        The vault's entry has to be what they make of its patient.
    at : datetime, optional
        Time of sealing; now by default.

    Raises
    ------
    IdentityDoubt
        With the reason; the report must be held.
    """
    if hashlib.sha256(pdf).hexdigest() != package.pdf_sha256:
        raise IdentityDoubt("pdf_changed")
    try:
        verdicts = check_signatures(pdf, trust_pem)
        content = read_signed_content(pdf)
    except InvalidInput:
        raise IdentityDoubt("pdf_unreadable") from None
    if (
        [verdict.field for verdict in verdicts] != ["reader_signature"]
        or not verdicts[0].valid
        or verdicts[0].coverage != "whole_file"
    ):
        raise IdentityDoubt("signature")
    doubt = check_right_patient(package, content, vault_entry)
    if doubt is None and keys is not None:
        doubt = check_vault_entry(vault_entry, keys)
    if doubt is not None:
        raise IdentityDoubt(doubt.reason)
    fields = identity_fields(vault_entry.identity, package.language)
    try:
        named = fill_and_seal(pdf, fields, seal, at=at or now(), language=package.language)
    except InvalidInput as error:
        raise IdentityDoubt("not_printable" if error.code == "not_printable" else "not_filled") from None
    if not _check_finished(named, pdf, fields, trust_pem + b"\n" + seal.ca_pem):
        raise IdentityDoubt("named_report")
    return named


__all__ = [
    "DOUBTS",
    "IDENTITY_FIELDS",
    "Doubt",
    "IdentityDoubt",
    "birth_date_lines",
    "check_right_patient",
    "check_vault_entry",
    "identity_fields",
    "read_signed_content",
    "reidentify",
]
