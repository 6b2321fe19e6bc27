"""When to try again."""

import random
from datetime import datetime, timedelta

from gateway.settings import GatewaySettings
from gateway.spool import milliseconds


def next_try(settings: GatewaySettings, attempts: int, *, at: datetime) -> int:
    """Return when to try again after so many failed attempts, in milliseconds since 1970.

    The wait doubles up to a limit. Half of it is chance, so that a hundred facilities do not come back to
    a restarted centre in the same second.
    """
    longest = min(settings.retry_limit_seconds, settings.retry_seconds * 2 ** min(attempts, 20))
    return milliseconds(at + timedelta(seconds=longest * random.uniform(0.5, 1.0)))  # noqa: S311
