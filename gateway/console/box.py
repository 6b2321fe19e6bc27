"""Everything that the console's pages use, opened once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from gateway import decisions, sending, watch
from gateway.console.accounts import Accounts
from gateway.console.names import Names
from gateway.console.store import ConsoleStore
from gateway.critical import CriticalBook
from gateway.decisions import Decisions
from gateway.keys import GatewayKeys
from gateway.layout import Layout
from gateway.orders import OrderBook
from gateway.settings import GatewaySettings
from gateway.spool import Spool
from gateway.vault import Vault
from teleread import clock
from teleread.dicom.frames import FrameRenderer


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
    critical: CriticalBook
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
    vault = Vault.of(layout, keys)
    store = ConsoleStore(layout)
    watch.prepare(spool)
    decisions.prepare(spool)
    sending.prepare(spool)
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
        critical=CriticalBook(spool),
        decisions=Decisions(spool, vault, keys, now=now, profile=settings.deidentification.profile),
        pictures=FrameRenderer(),
        now=now,
    )
