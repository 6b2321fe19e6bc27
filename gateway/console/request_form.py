"""The request form: what was typed, what is wrong with it, and the message that may leave.

Left of the wall (`IDENTITY`) stays on the box; right of it (`TRAVELS`) goes to the centre, looked through first.
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from gateway.console.scrub import Mark, identity_of_form, marks_in
from gateway.console.search import folded
from gateway.dates import as_day, parse_date
from teleread.dicom.deid.identity import PatientIdentity
from teleread.domain.turnaround import Priority
from teleread.errors import InvalidInput
from teleread.wire.orders import LONG_TEXT, OrderNotice

IDENTITY = ("patient_id", "name", "kana", "birth_date", "sex", "accession")
TRAVELS = (
    "modality",
    "body_part",
    "examination",
    "contrast",
    "study_date",
    "priority",
    "clinical_question",
    "history",
    "department",
    "responsible_doctor",
    "callback_phone",
)
FIELDS = (*IDENTITY, *TRAVELS)

REQUIRED = (
    "patient_id",
    "name",
    "kana",
    "birth_date",
    "sex",
    "modality",
    "body_part",
    "contrast",
    "priority",
    "clinical_question",
    "responsible_doctor",
    "callback_phone",
)

MODALITIES = ("CT", "MR", "CR", "DX", "MG", "US", "NM", "PT", "XA", "RF", "OT")
CHOICES: dict[str, tuple[str, ...]] = {
    "sex": ("F", "M", "O"),
    "modality": MODALITIES,
    "contrast": ("none", "with"),
    "priority": tuple(Priority),
}

# Longest texts in characters: of DICOM's VR for what goes into a header, of the message for the rest.
LIMITS: dict[str, int] = {
    "patient_id": 64,
    "name": 64,
    "kana": 64,
    "birth_date": 32,
    "accession": 16,
    "body_part": 64,
    "examination": 64,
    "study_date": 32,
    "clinical_question": LONG_TEXT,
    "history": LONG_TEXT,
    "department": 64,
    "responsible_doctor": 64,
    "callback_phone": 32,
}
LONG = frozenset({"clinical_question", "history"})

_FREE_TEXT = ("body_part", "examination", "clinical_question", "history")
_OF_STAFF = ("department", "responsible_doctor", "callback_phone")

# Typed on a Japanese keyboard these come out at full width; they mean the same.
_NARROW = frozenset({"patient_id", "accession", "callback_phone", "birth_date", "study_date"})


@dataclass(frozen=True)
class CheckedForm:
    """What a form says: its values, the problems by field (keys of the words), and where it names the patient."""

    values: Mapping[str, str]
    problems: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, tuple[Mark, ...]] = field(default_factory=dict)
    birth_date: str = ""
    study_date: str = ""

    @property
    def may_leave(self) -> bool:
        """Whether nothing is missing and nothing names the patient."""
        return not self.problems and not self.marks


def values_of(typed: Mapping[str, str]) -> dict[str, str]:
    """Return the form's own fields out of what was posted, tidied; anything else is dropped."""
    values = {}
    for name in FIELDS:
        text = typed.get(name, "").replace("\r\n", "\n").replace("\0", "")
        if name in _NARROW:
            text = unicodedata.normalize("NFKC", text)
        values[name] = text.strip() if name in LONG else " ".join(text.split())
    return values


def check(values: Mapping[str, str], *, today: date, known: tuple[PatientIdentity, ...] = ()) -> CheckedForm:
    """Return the form with everything that is wrong with it.

    Parameters
    ----------
    values : mapping
        Of `values_of`.
    today : date
        Nobody is born after it.
    known : tuple of PatientIdentity
        What images of this patient have said: romaji, phone and address are on no form.
    """
    problems = {name: problem for name in FIELDS if (problem := _problem(name, values[name]))}
    days = {"birth_date": "", "study_date": ""}
    for name in days:
        if values[name] and name not in problems:
            try:
                days[name] = parse_date(values[name], field=name)
            except InvalidInput as problem:
                problems[name] = f"problem.{problem.code}"
    born = as_day(days["birth_date"])
    if born is not None and born > today:
        problems["birth_date"] = "problem.future"
    identity = identity_of_form(
        name=values["name"],
        kana=values["kana"],
        patient_id=values["patient_id"],
        birth_date=days["birth_date"],
        accession=values["accession"],
    )
    marks = {name: found for name in _FREE_TEXT if (found := marks_in(values[name], identity, known))}
    for name in _OF_STAFF:
        # A doctor may share the patient's family name; the whole name there is the patient's.
        text = folded(values[name])
        if any(whole and whole in text for whole in (folded(values["name"]), folded(values["kana"]))):
            marks[name] = (Mark(0, len(values[name]), values[name]),)
    return CheckedForm(values, problems, marks, birth_date=days["birth_date"], study_date=days["study_date"])


def _problem(name: str, text: str) -> str:
    if not text:
        return "problem.missing" if name in REQUIRED else ""
    if name in CHOICES and text not in CHOICES[name]:
        return "problem.choice"
    return "problem.too_long" if len(text) > LIMITS.get(name, LONG_TEXT) else ""


def notice_of(
    form: CheckedForm,
    *,
    order_id: str,
    pseudonym: str,
    accession: str,
    study_instance_uid: str,
    requested_at: datetime,
) -> OrderNotice:
    """Return the message that leaves; the form has to be one that may."""
    if not form.may_leave:
        raise InvalidInput("form", "something is missing, or names the patient", code="identity_left")
    values = form.values
    return OrderNotice(
        order_id=order_id,
        pseudonym=pseudonym,
        accession=accession,
        study_instance_uid=study_instance_uid,
        study_date=form.study_date,
        modality=values["modality"],
        body_part=values["body_part"],
        examination=values["examination"],
        contrast=values["contrast"],
        priority=values["priority"],
        clinical_question=values["clinical_question"],
        history=values["history"],
        department=values["department"],
        responsible_doctor=values["responsible_doctor"],
        callback_phone=values["callback_phone"],
        requested_at=requested_at,
    )
