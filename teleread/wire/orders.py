"""The facility's request to read a study, without the patient's identity."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from teleread.wire.message import PROTOCOL, DateText, Message, OptionalUID, is_at_most, is_one_of, is_text

CONTRASTS = ("", "none", "with")

# A reader scrolls through this much; a paste of a whole record is an accident.
LONG_TEXT = 10_000


@dataclass(frozen=True, kw_only=True)
class OrderNotice(Message):
    """One request; sent again it changes nothing, with a later `requested_at` it replaces the earlier one.

    `order_id` is made on the box. `accession` is the pseudonym of the accession number, or empty;
    `study_instance_uid` the centre's UID where the facility asked from a study that it has sent. `study_date` is
    the day of the examination (VR DA, PS3.5 Table 6.2-1), empty when it is not known. Who the doctor is and how to
    call back are facts about the facility's staff, meant to be read at the centre.
    """

    order_id: Annotated[str, is_text(32)]
    pseudonym: Annotated[str, is_text(16)]
    accession: Annotated[str, is_at_most(16)]
    study_instance_uid: OptionalUID
    study_date: DateText
    modality: Annotated[str, is_text(16)]
    body_part: Annotated[str, is_at_most(64)]
    examination: Annotated[str, is_at_most(64)]
    contrast: Annotated[str, is_one_of(*CONTRASTS)]
    priority: Annotated[str, is_text(16)]
    clinical_question: Annotated[str, is_text(LONG_TEXT)]
    history: Annotated[str, is_at_most(LONG_TEXT)]
    department: Annotated[str, is_at_most(64)]
    responsible_doctor: Annotated[str, is_text(64)]
    callback_phone: Annotated[str, is_text(32)]
    requested_at: datetime
    protocol: int = PROTOCOL


@dataclass(frozen=True, kw_only=True)
class OrderAnswer(Message):
    """What the centre made of a request.

    `outcome` is ``matched`` with the case it belongs to, or ``waiting`` for its study.
    """

    outcome: Annotated[str, is_one_of("matched", "waiting")]
    case_number: str | None = None
