"""What a report says, and how it is put into words for the page.

`ReportContent` is everything that the signed PDF shows and nothing else: no identity (the centre has none), no clock
(the time of review is an input). The same content gives the same page.
"""

import re
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta, timezone
from typing import Any

from teleread.domain.reporting import KINDS, SECTIONS, canonical_bytes, canonical_digest
from teleread.errors import InvalidInput

LANGUAGES = ("ja", "en")
STATUSES = ("final", "preliminary")

_JAPAN = timezone(timedelta(hours=9), "JST")

# key -> (Japanese, English)
WORDS: dict[str, tuple[str, str]] = {
    "title_report": ("画像診断報告書", "Diagnostic imaging report"),
    "title_addendum": ("画像診断報告書（追記）", "Diagnostic imaging report – addendum"),
    "title_correction": ("画像診断報告書（訂正）", "Diagnostic imaging report – correction"),
    "case_number": ("症例番号", "Case number"),
    "status_final": ("確定", "Final"),
    "status_preliminary": ("仮報告", "Preliminary"),
    "version": ("第{}版", "version {}"),
    "corrects": ("第{}版を訂正", "corrects version {}"),
    "adds_to": ("第{}版に追記", "adds to version {}"),
    "patient_name": ("氏名", "Name"),
    "patient_kana": ("フリガナ", "Name as pronounced"),
    "patient_id": ("患者ID", "Patient ID"),
    "birth_date": ("生年月日", "Date of birth"),
    "sex_age": ("性別・年齢", "Sex, age"),
    "sex_M": ("男", "M"),
    "sex_F": ("女", "F"),
    "sex_O": ("その他", "Other"),
    "age_Y": ("{}歳", "{} y"),
    "age_M": ("{}か月", "{} mo"),
    "age_W": ("{}週", "{} wk"),
    "age_D": ("{}日", "{} d"),
    "facility": ("依頼施設", "Facility"),
    "department_doctor": ("依頼科・依頼医", "Doctor"),
    "study_time": ("検査日時", "Study time"),
    "priority": ("優先度", "Priority"),
    "examination": ("検査", "Exam"),
    "accession_number": ("受付番号", "Accession"),
    "images": ("画像", "Images"),
    "image_count": ("{}枚", "{}"),
    "pseudonym": ("仮名", "Pseudonym"),
    "priority_stat": ("緊急", "STAT"),
    "priority_urgent": ("至急", "Urgent"),
    "priority_routine": ("通常", "Routine"),
    "priority_screening": ("健診", "Screening"),
    "clinical_question": ("検査目的", "Question"),
    "technique": ("検査方法", "Technique"),
    "comparison": ("比較", "Comparison"),
    "findings": ("所見", "Findings"),
    "impression": ("診断", "Impression"),
    "recommendation": ("推奨", "Advice"),
    "signer_final": ("読影医（確定）", "Reader (final)"),
    "signer_preliminary": ("読影医（仮報告）", "Reader (preliminary)"),
    "licence_number": ("医籍登録番号 {}", "Medical licence {}"),
    "signed_final": ("確定 {}", "Final {}"),
    "signed_preliminary": ("仮報告 {}", "Preliminary {}"),
    "signatures": ("電子署名（検証は署名パネルで）", "Signatures (verify in the signature panel)"),
    "signature_reader": ("読影医", "Reader"),
    "signature_reader_kind": ("PAdES・以後は欄の記入のみ可", "PAdES, form filling only"),
    "signature_facility": ("依頼施設", "Facility"),
    "content_digest": ("内容のSHA-256", "SHA-256 of the content"),
    "qr_caption": ("内容の照合", "Compare content"),
    "qr_alternative": (
        "症例番号、版、内容のSHA-256を収めた二次元コード",
        "Two-dimensional code with case number, version and SHA-256 of the content",
    ),
    "missing": (
        "〓は書体にない文字です：{}。添付のreport.jsonに元の文字があります。",
        "〓 stands for a character that the typeface lacks: {}. The attached report.json has the original.",
    ),
    "filled_at_facility": ("施設で記入", "Filled in at the facility"),
    "foot": (
        "氏名・患者ID・生年月日・受付番号は依頼施設内で記入されます。最終的な診療上の判断は主治医が行います。",
        "Name, patient ID, date of birth and accession number are filled in at the facility. Clinical decisions rest with the treating physician.",
    ),
    "page": ("{} / {} 頁", "page {} / {}"),
    "subject": ("症例番号 {}", "Case {}"),
}


def words(language: str) -> dict[str, str]:
    """The printed words in one language, by key."""
    column = LANGUAGES.index(language)
    return {key: texts[column] for key, texts in WORDS.items()}


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """One report version as it is signed.

    Attributes
    ----------
    case_number : str
        8 characters, without the space that the page prints.
    study_date, study_time : str
        DICOM DA and TM of the study, or "".
    accession, pseudonym, study_instance_uid : str
        As the centre knows them: pseudonyms and a replaced UID.
    sex, age : str
        DICOM CS and AS ("067Y"), or "".
    image_count : int
        Instances that the reader could see.
    priority : str
        "stat", "urgent", "routine", "screening".
    sections : dict
        Text by the keys of `SECTIONS`; plain text, line breaks kept; empty ones are not printed.
    version : int
        From 1.
    kind : str
        "report", "addendum" or "correction".
    corrects_version : int
        For an addendum or a correction: the version that it refers to; 0 for a report.
    status : str
        "final" or "preliminary".
    signed_at_text : str
        Time of review. ISO 8601 with an offset is printed as local time in the report's language; any other text as is.
    signer_licence : str
        Number of the reader's licence, or "".
    signer_title : str
        What stands beside the reader's role, as a board certification, or "".
    language : str
        "ja" or "en": of the printed words, not of the sections.
    """

    case_number: str
    facility_name: str
    study_instance_uid: str
    pseudonym: str
    sections: dict[str, str] = field(default_factory=dict)
    department: str = ""
    doctor: str = ""
    study_date: str = ""
    study_time: str = ""
    modality: str = ""
    examination: str = ""
    accession: str = ""
    image_count: int = 0
    priority: str = "routine"
    sex: str = ""
    age: str = ""
    version: int = 1
    kind: str = "report"
    corrects_version: int = 0
    status: str = "final"
    signer_name: str = ""
    signer_licence: str = ""
    signer_title: str = ""
    signed_at_text: str = ""
    language: str = "ja"
    centre_name: str = ""

    def __post_init__(self) -> None:
        for name, allowed in (("language", LANGUAGES), ("status", STATUSES), ("kind", KINDS)):
            if getattr(self, name) not in allowed:
                raise InvalidInput(name, f"must be one of {', '.join(allowed)}")
        unknown = sorted(set(self.sections) - set(SECTIONS))
        if unknown:
            raise InvalidInput("sections", f"unknown: {', '.join(unknown)}")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; the sections in the order of the page."""
        content = asdict(self)
        content["sections"] = {key: self.sections[key] for key in SECTIONS if key in self.sections}
        return content

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ReportContent":
        """Read back what `to_json` wrote; fields of a newer version are ignored.

        Raises
        ------
        InvalidInput
            A field is missing or of the wrong type.
        """
        known = {entry.name: entry for entry in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        for name, value in values.items():
            wanted = {"sections": dict, "image_count": int, "version": int, "corrects_version": int}.get(
                name, str
            )
            if not isinstance(value, wanted):
                raise InvalidInput(name, f"must be {wanted.__name__}")
        for name in ("case_number", "facility_name", "study_instance_uid", "pseudonym"):
            if name not in values:
                raise InvalidInput(name, "is missing")
        return cls(**values)

    def canonical_json(self) -> bytes:
        """The bytes of the attachment `report.json`."""
        return canonical_bytes(self.to_json())

    def digest(self) -> str:
        """SHA-256 of the canonical content, as printed on the page."""
        return canonical_digest(self.to_json())


def age_text(age: str, language: str) -> str:
    """DICOM AS ("067Y") as people say it; anything else as it is."""
    match = re.fullmatch(r"(\d{1,3})([DWMY])", age)
    return words(language)[f"age_{match[2]}"].format(int(match[1])) if match else age


def study_time_text(date: str, time: str, language: str) -> str:
    """DICOM DA and TM as date and time of day; what cannot be read is left out."""
    day = re.fullmatch(r"(\d{4})(\d{2})(\d{2})", date)
    clock = re.match(r"(\d{2})(\d{2})", time)
    parts = []
    if day:
        year, month, number = (int(part) for part in day.groups())
        parts.append(
            f"{year}年{month}月{number}日" if language == "ja" else f"{year:04}-{month:02}-{number:02}"
        )
    if clock:
        parts.append(f"{clock[1]}:{clock[2]}")
    return " ".join(parts)


def moment_text(moment: str, language: str) -> str:
    """An ISO 8601 time with offset as Japanese local time with its zone; any other text unchanged."""
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    if at.tzinfo is None:
        return moment
    local = at.astimezone(_JAPAN)
    if language == "ja":
        return f"{local.year}年{local.month}月{local.day}日 {local:%H:%M}（JST）"
    return f"{local:%Y-%m-%d %H:%M} JST"
