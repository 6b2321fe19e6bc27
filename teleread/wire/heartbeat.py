"""A sign of life from the gateway."""

from dataclasses import dataclass
from datetime import datetime

from teleread.wire.message import PROTOCOL, Message


@dataclass(frozen=True, kw_only=True)
class Heartbeat(Message):
    """How the gateway is: items waiting, items held, free space, its clock, its certificate's end."""

    version: str
    queue: int
    held: int
    disk_free_bytes: int
    clock: datetime
    certificate_not_after: datetime
    protocol: int = PROTOCOL


@dataclass(frozen=True, kw_only=True)
class HeartbeatAnswer(Message):
    """The centre's clock, against which the gateway measures its own."""

    now: datetime
