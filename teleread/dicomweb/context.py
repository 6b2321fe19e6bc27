"""What every request needs of the running centre, and who is asking.

The application puts one `Centre` into its extensions; routes of the pages, of DICOMweb and of the
gateway interface take it from there. Nothing here is shared between processes: a worker process
of the web server builds its own engine after it was forked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from flask import current_app, g

from teleread.errors import NotSignedIn

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from teleread.dicom.frames import FrameRenderer
    from teleread.domain.access import Actor
    from teleread.services.viewing import ViewLog
    from teleread.settings import ServerSettings
    from teleread.storage.blobs import BlobStore

EXTENSION = "teleread"


@dataclass(frozen=True)
class Centre:
    """The parts of a running centre that routes use."""

    settings: ServerSettings
    engine: Engine
    blobs: BlobStore
    renderer: FrameRenderer
    views: ViewLog


def centre() -> Centre:
    """Return the centre that serves the present request."""
    return cast("Centre", current_app.extensions[EXTENSION])


def actor() -> Actor:
    """Return who is asking; the gate has checked the right to the route before.

    Raises
    ------
    NotSignedIn
        If the request came through a door that needs nobody.
    """
    found = g.get("actor")
    if found is None:
        raise NotSignedIn
    return cast("Actor", found)
