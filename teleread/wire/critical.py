"""Critical findings on their way to the facility, and the doctor's word that it was taken note of."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from teleread.wire.message import PROTOCOL, Message, UIDText, is_at_most, is_one_of, is_text

CATEGORIES = ("1", "2", "3")
STATES = ("raised", "notified", "acknowledged", "closed")


@dataclass(frozen=True, kw_only=True)
class CriticalNotice(Message):
    """A critical finding of one of the facility's studies, under its pseudonym.

    `told` is the person of the facility who was told and read it back, empty until then; only from then on may it be
    acknowledged, and has to be by `acknowledge_by`. `responsible_doctor` and `callback_phone` are those of the request.
    """

    critical_id: Annotated[str, is_text(64)]
    case_number: Annotated[str, is_text(8)]
    study_instance_uid: UIDText
    pseudonym: Annotated[str, is_text(16)]
    category: Annotated[str, is_one_of(*CATEGORIES)]
    text: str
    state: Annotated[str, is_one_of(*STATES)]
    raised_at: datetime
    told: Annotated[str, is_at_most(80)] = ""
    notified_at: datetime | None = None
    acknowledge_by: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: Annotated[str, is_at_most(200)] = ""
    responsible_doctor: Annotated[str, is_at_most(64)] = ""
    callback_phone: Annotated[str, is_at_most(32)] = ""
    protocol: int = PROTOCOL


@dataclass(frozen=True, kw_only=True)
class CriticalList(Message):
    """The critical findings of a facility that nobody there has taken note of yet."""

    findings: tuple[CriticalNotice, ...]
    protocol: int = PROTOCOL


@dataclass(frozen=True, kw_only=True)
class CriticalAcknowledgement(Message):
    """That a doctor took note: the name and the account under which the box knows the person.

    `acknowledged_at` is when that was, by the box's clock; on a cut line the message comes later.
    """

    person: Annotated[str, is_text(80)]
    account: Annotated[str, is_text(64)]
    acknowledged_at: datetime | None = None
    protocol: int = PROTOCOL
