"""Asks a DICOM peer whether it answers: C-ECHO (PS3.7 Section 9.1.5), with the time it took or the reason."""

import socket
import time
from dataclasses import dataclass

from pynetdicom import AE, _config
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from gateway.settings import PACSTarget

_SECONDS = 5.0


@dataclass(frozen=True)
class Echo:
    """What came back: `outcome` is a key of the words without its prefix; `milliseconds` from request to answer."""

    outcome: str
    milliseconds: int | None = None


def echo(peer: PACSTarget, calling_ae: str) -> Echo:
    """Return whether a peer answers C-ECHO, and how fast."""
    _config.LOG_HANDLER_LEVEL = "none"
    try:
        # pynetdicom leaves its socket open when nobody answers; so it is first asked whether somebody does.
        socket.create_connection((peer.host, peer.port), timeout=_SECONDS).close()
    except OSError:
        return Echo("no_connection")
    ae = AE(ae_title=calling_ae)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = _SECONDS
    ae.add_requested_context(Verification)
    association = ae.associate(peer.host, peer.port, ae_title=peer.ae_title)
    if not association.is_established:
        return Echo("rejected" if association.is_rejected else "no_connection")
    try:
        began = time.monotonic()
        answer = association.send_c_echo()
        took = round((time.monotonic() - began) * 1000)
    finally:
        association.release()
    if "Status" not in answer:
        return Echo("no_answer")
    return Echo("fine" if int(answer.Status) == 0 else "failed", took)
