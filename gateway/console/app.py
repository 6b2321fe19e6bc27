"""The facility's console: a small site on the box, for people of the facility on its own network."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flask import Flask
from jinja2 import StrictUndefined

from gateway import decisions, watch
from gateway.console import lettering, security
from gateway.console.accounts import Accounts
from gateway.console.names import Names
from gateway.console.pages.registry import blueprints
from gateway.console.store import ConsoleStore
from gateway.decisions import Decisions
from gateway.keys import GatewayKeys
from gateway.layout import Layout
from gateway.orders import OrderBook
from gateway.settings import GatewaySettings
from gateway.spool import Spool
from gateway.vault import Vault
from teleread import clock
from teleread.dicom.frames import FrameRenderer
from teleread.resources import templates_folder

#: The longest form is two texts of 10,000 characters, in percent signs nine bytes each.
FORM_LIMIT_BYTES = 512 * 1024


@dataclass(frozen=True)
class Console:
    """Everything that the pages use."""

    settings: GatewaySettings
    layout: Layout
    spool: Spool
    vault: Vault
    keys: GatewayKeys
    store: ConsoleStore
    accounts: Accounts
    names: Names
    orders: OrderBook
    decisions: Decisions
    pictures: FrameRenderer
    now: Callable[[], datetime]

    def close(self) -> None:
        """Close the databases and end the children."""
        self.pictures.close()
        self.store.close()
        self.spool.close()
        self.vault.close()


def open_console(settings: GatewaySettings, *, now: Callable[[], datetime] = clock.now) -> Console:
    """Open the databases of an enrolled gateway."""
    layout = Layout(settings.data)
    layout.make()
    spool = Spool(layout)
    keys = GatewayKeys.load(layout)
    vault = Vault(layout.vault_database, keys.vault)
    store = ConsoleStore(layout)
    watch.prepare(spool)
    decisions.prepare(spool)
    return Console(
        settings=settings,
        layout=layout,
        spool=spool,
        vault=vault,
        keys=keys,
        store=store,
        accounts=Accounts(store),
        names=Names(vault),
        orders=OrderBook(spool, vault),
        decisions=Decisions(spool, vault, keys, now=now),
        pictures=FrameRenderer(),
        now=now,
    )


def create_app(console: Console) -> Flask:
    """Return the site."""
    app = Flask(
        __name__,
        template_folder=str(templates_folder() / "gateway"),
        static_folder=str(Path(__file__).with_name("static")),
    )
    app.config["MAX_CONTENT_LENGTH"] = FORM_LIMIT_BYTES
    app.config["MAX_FORM_MEMORY_SIZE"] = FORM_LIMIT_BYTES
    app.jinja_env.undefined = StrictUndefined
    app.extensions["console"] = console
    security.init_app(app)
    lettering.init_app(app)
    for blueprint in blueprints():
        app.register_blueprint(blueprint)
    return app
