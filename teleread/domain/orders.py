"""Which study an order asks for: a rule with its reasons, for and against."""

from dataclasses import dataclass


@dataclass(frozen=True)
class OrderFacts:
    """What an order says about its study; any of it but the pseudonym may be empty.

    `study_date` is a DA (PS3.5 Table 6.2-1); `modality` a term of (0008,0060).
    """

    pseudonym: str
    accession: str = ""
    study_instance_uid: str = ""
    modality: str = ""
    study_date: str = ""


@dataclass(frozen=True)
class StudyFacts:
    """What a study says of itself."""

    pseudonym: str
    study_instance_uid: str
    accession: str = ""
    modalities: tuple[str, ...] = ()
    study_date: str = ""


@dataclass(frozen=True)
class Match:
    """How well an order and a study fit.

    Attributes
    ----------
    strength : int
        3 by the study's own UID, 2 by the accession number, 1 by modality and day, 0 when they do not fit.
    reasons_for, reasons_against : tuple of str
        Names of the facts that agree and that disagree.
    """

    strength: int
    reasons_for: tuple[str, ...]
    reasons_against: tuple[str, ...]


def match(order: OrderFacts, study: StudyFacts) -> Match:
    """Compare an order with a study of the same facility.

    Another pseudonym ends it whatever else agrees: a wrong patient is worse than an order that waits. A fact that
    either side does not tell counts neither way.
    """
    agree: list[str] = []
    disagree: list[str] = []
    told = (
        ("pseudonym", order.pseudonym, study.pseudonym),
        ("study_instance_uid", order.study_instance_uid, study.study_instance_uid),
        ("accession", order.accession, study.accession),
        ("study_date", order.study_date, study.study_date),
    )
    for name, asked, found in told:
        if asked and found:
            (agree if asked == found else disagree).append(name)
    if order.modality and study.modalities:
        (agree if order.modality in study.modalities else disagree).append("modality")
    return Match(_strength(agree, disagree), tuple(agree), tuple(disagree))


def _strength(agree: list[str], disagree: list[str]) -> int:
    if "pseudonym" not in agree or "study_instance_uid" in disagree:
        return 0
    if "study_instance_uid" in agree:
        return 3
    if "accession" in disagree:
        return 0
    if "accession" in agree:
        return 2
    return 1 if {"modality", "study_date"} <= set(agree) else 0


def best(found: list[tuple[int, Match]]) -> int | None:
    """Return the key of the one strongest match; None when there is none, or two are equally strong."""
    fitting = sorted(((one.strength, key) for key, one in found if one.strength), reverse=True)
    if not fitting or (len(fitting) > 1 and fitting[0][0] == fitting[1][0]):
        return None
    return fitting[0][1]
