"""The line to the centre, the box itself, and the facility's DICOM peers."""

import shutil
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from gateway.console import certificate, flow
from gateway.console.access import Action
from gateway.console.context import console, needs, record
from gateway.console.lettering import span
from gateway.console.peers import Echo, echo
from gateway.heartbeat import certificate_not_after
from gateway.sending import last_checked_at, last_score
from gateway.watch import contact_of
from teleread.errors import NotFound

blueprint = Blueprint("line", __name__)


# Nobody plans further than this for a disk.
_FAR_DAYS = 365


@dataclass(frozen=True)
class Health:
    """How the box is: bytes and shares, ends of certificates, and the clock."""

    disk_free_bytes: int
    disk_free_percent: int
    full_in: str
    client_not_after: datetime
    client_days: int
    console_not_after: datetime
    console_days: int
    console_fingerprint: str


def _health() -> Health:
    here = console()
    now = here.now()
    disk = shutil.disk_usage(here.layout.data)
    left = flow.disk_full_in(here.spool, disk.free, at=now)
    client = certificate_not_after(here.layout)
    own = certificate.certificate(here.layout).not_valid_after_utc
    return Health(
        disk_free_bytes=disk.free,
        disk_free_percent=disk.free * 100 // disk.total,
        full_in=span(left, "for") if left is not None and left.days < _FAR_DAYS else "",
        client_not_after=client,
        client_days=(client - now).days,
        console_not_after=own,
        console_days=(own - now).days,
        console_fingerprint=certificate.fingerprint(here.layout),
    )


def _page(tested: int | None = None, answer: Echo | None = None) -> str:
    here = console()
    return render_template(
        "line.html",
        health=_health(),
        contact=contact_of(here.spool),
        score=last_score(here.spool),
        checked_at=last_checked_at(here.spool),
        settings=here.settings,
        tested=tested,
        answer=answer,
    )


@blueprint.get("/line")
@needs(Action.SEE)
def line() -> ResponseReturnValue:
    """Show how the line and the box are."""
    return _page()


@blueprint.post("/line/echo")
@needs(Action.TEST_LINK)
def test_peer() -> ResponseReturnValue:
    """Ask a peer of the settings whether it answers."""
    here = console()
    number = request.form.get("peer", "")
    if not (number.isascii() and number.isdigit() and int(number) < len(here.settings.pacs)):
        raise NotFound("there is no such peer")
    peer = here.settings.pacs[int(number)]
    answer = echo(peer, here.settings.ae_title)
    record("peer.echo", peer=peer.ae_title, outcome=answer.outcome)
    return _page(int(number), answer)
