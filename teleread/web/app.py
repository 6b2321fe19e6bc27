"""The Flask application of the centre: one for people and DICOMweb clients, one for gateways."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from flask import Flask
from flask_login import LoginManager

from teleread import resources
from teleread.dicom.frames import FrameRenderer
from teleread.dicomweb import case_root, qido, stow, wado
from teleread.dicomweb.context import EXTENSION, Centre
from teleread.services.viewing import ViewLog
from teleread.storage.blobs import BlobStore
from teleread.storage.session import open_engine
from teleread.web import (
    account,
    admin,
    auth,
    contacts,
    coordination,
    critical,
    enrolment,
    errors,
    events,
    facilities,
    fonts,
    gate,
    gateway_api,
    health,
    live,
    permissions,
    readings,
    reports,
    security,
    styleguide,
    viewer,
    worklist,
)
from teleread.web.views import layout

if TYPE_CHECKING:
    from flask import Blueprint
    from sqlalchemy import Engine

    from teleread.settings import ServerSettings

#: Pages take texts, never images: ten thousand characters a section fit many times.
PEOPLE_BODY_LIMIT = 1024 * 1024

BLUEPRINTS: dict[str, tuple[Blueprint, ...]] = {
    "people": (
        health.blueprint,
        auth.blueprint,
        account.blueprint,
        worklist.blueprint,
        live.blueprint,
        readings.blueprint,
        reports.blueprint,
        facilities.blueprint,
        coordination.blueprint,
        contacts.blueprint,
        critical.blueprint,
        admin.blueprint,
        enrolment.blueprint,
        fonts.blueprint,
        styleguide.blueprint,
        qido.blueprint,
        wado.blueprint,
        stow.blueprint,
        case_root.blueprint,
        viewer.blueprint,
    ),
    "gateway": (health.blueprint, stow.blueprint, gateway_api.blueprint),
}


def create_app(
    settings: ServerSettings,
    *,
    listener: Literal["people", "gateway"] = "people",
    engine: Engine | None = None,
) -> Flask:
    """Return the application for one listener.

    Call it in the process that serves: the engine is not to be carried over a fork.

    Parameters
    ----------
    settings : ServerSettings
        Checked settings of the centre.
    listener : str
        ``people`` (pages, DICOMweb, enrolment) or ``gateway`` (client certificate required).
    engine : Engine, optional
        For tests; built from the settings otherwise.
    """
    app = Flask(
        "teleread.web",
        static_folder="static" if listener == "people" else None,
        template_folder=os.fspath(resources.templates_folder() / "web"),
    )
    key = settings.session_key()
    app.config.update(
        SECRET_KEY=key,
        WTF_CSRF_CHECK_DEFAULT=False,  # the gate decides, after it has asked who is there
        WTF_CSRF_TIME_LIMIT=None,  # the token is bound to the cookie, and a report may take an hour
        WTF_CSRF_SSL_STRICT=False,  # the gate looks at Sec-Fetch-Site instead of the Referer
        MAX_CONTENT_LENGTH=PEOPLE_BODY_LIMIT if listener == "people" else None,
        MAX_FORM_MEMORY_SIZE=PEOPLE_BODY_LIMIT,
        TEMPLATES_AUTO_RELOAD=False,
        ONLY_JSON=listener == "gateway",
        EVENTS_ADDRESS=live.address(settings.events_url),
        PAGE_POLICY=security.content_security_policy(events.origin_of(settings.events_url)),
    )
    app.session_interface = security.TokenSessions(key)
    engine = engine if engine is not None else open_engine(settings)
    app.extensions[EXTENSION] = Centre(
        settings=settings,
        engine=engine,
        blobs=BlobStore(settings.blobs),
        renderer=FrameRenderer(),
        views=ViewLog(engine),
    )
    gate.csrf.init_app(app)
    gate.install(app, listener)
    if listener == "people":
        logins = LoginManager(app)
        logins.session_protection = None
        logins.request_loader(auth.load_person)
    for blueprint in BLUEPRINTS[listener]:
        app.register_blueprint(blueprint)
    errors.install(app)
    layout.install(app)
    app.after_request(security.add_headers)
    permissions.check_table(app, permissions.TABLES[listener])
    return app
