"""Finds the patient's identity in text that is about to leave the facility."""

from collections.abc import Iterable
from dataclasses import dataclass

from teleread.dicom.deid.identity import PatientIdentity
from teleread.dicom.deid.spelling import folded_with_origin
from teleread.dicom.deid.tokens import tokens_of


@dataclass(frozen=True)
class Mark:
    """Characters `start` to `end` of a text name the patient; `text` are these characters."""

    start: int
    end: int
    text: str


def identity_of_form(
    *, name: str, kana: str, patient_id: str, birth_date: str, accession: str
) -> PatientIdentity:
    """Return what a form says about the patient, for `marks_in`; `birth_date` is a DA or empty."""
    return PatientIdentity(
        patient_name=f"={_as_person_name(name)}={_as_person_name(kana)}",
        patient_id=patient_id,
        birth_date=birth_date,
        accession_number=accession,
    )


def marks_in(
    text: str, identity: PatientIdentity, known: tuple[PatientIdentity, ...] = ()
) -> tuple[Mark, ...]:
    """Return where a text names the patient, in any kana, width, romaji or way to write the birth date.

    `known` is what else is known of the same patient. A word that may be the patient is marked too: a person decides.
    """
    folded, origin = folded_with_origin(text)
    found = []
    for match in tokens_of(identity, known).own_pattern.finditer(folded):
        start, end = origin[match.start()][0], origin[match.end() - 1][1]
        found.append(Mark(start, end, text[start:end]))
    return tuple(found)


def pieces_of(text: str, marks: Iterable[Mark]) -> list[tuple[str, bool]]:
    """Return the text cut at its marks: each piece, and whether it is marked."""
    pieces: list[tuple[str, bool]] = []
    at = 0
    for mark in marks:
        if mark.start > at:
            pieces.append((text[at : mark.start], False))
        pieces.append((text[max(mark.start, at) : mark.end], True))
        at = mark.end
    if at < len(text):
        pieces.append((text[at:], False))
    return pieces


def _as_person_name(text: str) -> str:
    # 「見本　桜子」: the gap between family and given name is a caret in a PN.
    return "^".join(text.replace("=", " ").replace("^", " ").split())
