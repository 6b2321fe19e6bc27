"""A sign of life from the gateway."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from teleread.wire.message import PROTOCOL, Message, is_one_of

#: `leak_check_failed`: a canary of the gateway's own leak check got through, and the gateway sends nothing.
ALARMS = ("", "leak_check_failed")


@dataclass(frozen=True, kw_only=True)
class Heartbeat(Message):
    """How the gateway is: items waiting, items held, free space, its clock, its certificate's end.

    `alarm` is empty, or the word for what a person at the facility has to look at; no field has room for a name.
    """

    version: str
    queue: int
    held: int
    disk_free_bytes: int
    clock: datetime
    certificate_not_after: datetime
    protocol: int = PROTOCOL
    alarm: Annotated[str, is_one_of(*ALARMS)] = ""


@dataclass(frozen=True, kw_only=True)
class HeartbeatAnswer(Message):
    """The centre's clock, against which the gateway measures its own."""

    now: datetime
