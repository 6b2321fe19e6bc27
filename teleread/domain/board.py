"""Signs of life: when a gateway counts as silent, and a disk as nearly full."""

from datetime import datetime, timedelta

#: A gateway says that it is there twice a minute; a few that are missing may be the line, a quarter of an hour is not.
SILENT_AFTER = timedelta(minutes=3)
LOST_AFTER = timedelta(minutes=15)

#: Less free space than this does not hold a busy night's studies.
LITTLE_SPACE_BYTES = 10 * 1024**3


def sign_of_life(last_seen_at: datetime | None, now: datetime) -> str:
    """Return ``fine``, ``silent``, ``lost`` or ``never``."""
    if last_seen_at is None:
        return "never"
    if now - last_seen_at > LOST_AFTER:
        return "lost"
    return "silent" if now - last_seen_at > SILENT_AFTER else "fine"
