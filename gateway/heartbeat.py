"""Tells the centre that the gateway is well, and compares the clocks."""

import logging
import shutil
from collections.abc import Callable
from datetime import datetime

from cryptography import x509

from gateway.layout import Layout
from gateway.link import CentreLink
from gateway.sending import ALARM, stop_of
from gateway.sending import prepare as prepare_sending
from gateway.spool import Spool
from gateway.status import totals_of
from gateway.watch import note_contact, prepare
from teleread import __version__
from teleread.wire.heartbeat import Heartbeat

_log = logging.getLogger(__name__)

CLOCK_TOLERANCE_SECONDS = 60.0


class Heart:
    """Sends a heartbeat each time it is asked to."""

    def __init__(self, spool: Spool, link: CentreLink, *, now: Callable[[], datetime]) -> None:
        self._spool = spool
        self._link = link
        self._now = now
        prepare(spool)
        prepare_sending(spool)
        self._not_after = certificate_not_after(spool.layout)

    def work(self) -> int:
        """Send one heartbeat; log when the clocks are further apart than a minute."""
        totals = totals_of(self._spool)
        answer = self._link.beat(
            Heartbeat(
                version=__version__,
                queue=totals["received"] + totals["clean"],
                held=totals["held"],
                disk_free_bytes=shutil.disk_usage(self._spool.layout.data).free,
                clock=self._now(),
                certificate_not_after=self._not_after,
                alarm=ALARM if stop_of(self._spool) is not None else "",
            )
        )
        ahead = self._now() - answer.now
        note_contact(self._spool, at=self._now(), clock_ahead_ms=round(ahead.total_seconds() * 1000))
        apart = abs(ahead.total_seconds())
        if apart > CLOCK_TOLERANCE_SECONDS:
            _log.error("the clock is %.0f s from the centre's", apart)
        return 0


def certificate_not_after(layout: Layout) -> datetime:
    """Return when the gateway's client certificate ends."""
    pem = (layout.keys / "client.pem").read_bytes()
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc
