"""Background jobs: one short function a JobName. The argument is the id of the outbox row, nothing is returned.

RQ runs each of them in a forked child, which builds its own engine. Any of them may run twice; the second run finds the
work done.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Engine

from teleread import clock
from teleread.errors import TelereadError
from teleread.services import critical, signing
from teleread.settings import ServerSettings
from teleread.storage import outbox
from teleread.storage.blobs import BlobStore
from teleread.storage.pki import SigningKeys
from teleread.storage.session import open_engine, transaction
from workers import channels

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workplace:
    """What a job works with."""

    settings: ServerSettings
    engine: Engine
    blobs: BlobStore


def _run(outbox_id: int, work: Callable[[Workplace, int], None]) -> None:
    settings = ServerSettings.from_env(os.environ)
    place = Workplace(settings, open_engine(settings), BlobStore(settings.blobs))
    try:
        with transaction(place.engine) as session:
            subject_id = outbox.mark_started(session, outbox_id, at=clock.now())
        if subject_id is None:
            return
        try:
            work(place, subject_id)
        except TelereadError as error:
            # A report that was signed is never given up: the row stays, and the relay hands it over again.
            _log.error("outbox row %d failed: %s", outbox_id, error.code)
            with transaction(place.engine) as session:
                outbox.mark_failed(session, outbox_id, error.code)
            return
        with transaction(place.engine) as session:
            outbox.mark_done(session, outbox_id, at=clock.now())
    finally:
        place.engine.dispose()


def render_report(outbox_id: int) -> None:
    """Make the exact page that a reader looks at before signing."""
    _run(
        outbox_id,
        lambda place, subject: signing.render_rendering(place.engine, place.blobs, subject, at=clock.now()),
    )


def sign_report(outbox_id: int) -> None:
    """Put the reader's signature under the digest that the reader has authorised."""
    _run(outbox_id, _sign)


def _sign(place: Workplace, authorisation_id: int) -> None:
    settings = place.settings
    keys = SigningKeys(settings.signing, settings.pki, settings.reader_keys_key())
    signing.sign_version(
        place.engine, place.blobs, authorisation_id, keys=keys, at=clock.now(), tsa_url=settings.tsa_url
    )


def send_critical_alert(outbox_id: int) -> None:
    """Send a step's message about a critical finding; what the channel says decides whether the next step follows."""
    _run(outbox_id, _send)


def _send(place: Workplace, alert_id: int) -> None:
    with transaction(place.engine) as session:
        message = critical.begin_alert(session, alert_id, at=clock.now())
    if message is None:
        return
    said = channels.send(message, place.settings, at=clock.now())
    with transaction(place.engine) as session:
        critical.finish_alert(session, alert_id, answered=said.answered, detail=said.code, at=clock.now())
