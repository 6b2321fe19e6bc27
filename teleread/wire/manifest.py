"""What the gateway says of a study: what it has sent, what it holds back, and whether that is all."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from teleread.wire.message import (
    PROTOCOL,
    SHA256,
    AgeText,
    DateText,
    Message,
    OptionalUID,
    TimeText,
    UIDText,
    is_at_most,
    is_text,
)


@dataclass(frozen=True, kw_only=True)
class ManifestInstance(Message):
    """One instance that the gateway sends: the de-identified object, by its digest."""

    sop_instance_uid: UIDText
    series_instance_uid: UIDText
    sop_class_uid: UIDText
    sha256: SHA256
    size: int


@dataclass(frozen=True, kw_only=True)
class HeldCount(Message):
    """How many instances of one class the facility holds back, and why.

    `sop_class_uid` is empty where the object could not even be read that far.
    """

    reason: Annotated[str, is_text(64)]
    sop_class_uid: OptionalUID
    count: int


@dataclass(frozen=True, kw_only=True)
class StudyManifest(Message):
    """All that the gateway knows of one study, under the centre's UIDs and the pseudonym.

    `closed` says that the facility's quiet time has passed with no open association still sending the
    study; `evidence` says so in words. A late instance raises `revision` and opens the manifest again.
    Dates and times are values of VR DA and TM, `age` of VR AS (PS3.5 Table 6.2-1); each may be empty.
    """

    study_instance_uid: UIDText
    pseudonym: Annotated[str, is_text(16)]
    sex: str
    modalities: tuple[str, ...]
    study_date: DateText
    study_time: TimeText
    age: AgeText
    study_description: str
    accession: str
    revision: int
    closed: bool
    instances: tuple[ManifestInstance, ...]
    held: tuple[HeldCount, ...]
    first_received_at: datetime
    last_received_at: datetime
    evidence: str
    protocol: int = PROTOCOL


@dataclass(frozen=True, kw_only=True)
class MissingInstance(Message):
    """An instance of the manifest that the centre does not have."""

    sop_instance_uid: UIDText
    sha256: SHA256


@dataclass(frozen=True, kw_only=True)
class ManifestAnswer(Message):
    """The centre's answer to a manifest: what to send again, and how people there call the case."""

    missing: tuple[MissingInstance, ...]
    state: str
    case_number: str | None = None


@dataclass(frozen=True, kw_only=True)
class StudyStatus(Message):
    """How far a study is at the centre: its state, its case, and the word that lists show for it.

    `due_at` is the time by which the report was promised, `is_assigned` says whether a reader has the case (not
    who), `pause_reason` why nobody reads on just now; empty while nothing is paused.
    """

    state: str
    case_number: str | None = None
    display_status: str
    due_at: datetime | None = None
    is_assigned: bool = False
    pause_reason: Annotated[str, is_at_most(500)] = ""
