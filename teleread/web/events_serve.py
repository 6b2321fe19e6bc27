"""Run the event streams: `python -m teleread.web.events_serve --data DIR --port N`."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

import uvicorn

from teleread import logs
from teleread.settings import ServerSettings
from teleread.storage.session import open_engine
from teleread.web.events import STREAMS, Application, Hub

if TYPE_CHECKING:
    from sqlalchemy import Engine


def server(settings: ServerSettings, engine: Engine, *, port: int) -> uvicorn.Server:
    """Return the server on the loopback address, with the centre's TLS certificate."""
    return uvicorn.Server(
        uvicorn.Config(
            Application(Hub(engine, settings), settings),
            host="127.0.0.1",
            port=port,
            ssl_certfile=os.fspath(settings.server_certificate),
            ssl_keyfile=os.fspath(settings.server_key),
            http="h11",
            ws="none",
            lifespan="on",
            loop="asyncio",
            access_log=False,
            # As `logs.set_up` has it for every process.
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            backlog=1024,
            # Beyond the streams themselves some room for those that are refused with words.
            limit_concurrency=STREAMS + 100,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=2,
        )
    )


def main(arguments: list[str] | None = None) -> None:
    """Serve the streams until a signal ends the process."""
    parser = argparse.ArgumentParser(prog="teleread.web.events_serve", description=__doc__)
    parser.add_argument("--data", help="data folder of the centre; default: TELEREAD_DATA")
    parser.add_argument("--port", type=int, help="default: the port of the settings")
    chosen = parser.parse_args(arguments)
    environment = dict(os.environ)
    if chosen.data:
        environment["TELEREAD_DATA"] = chosen.data
    settings = ServerSettings.from_env(environment)
    logs.set_up(settings.log_level)
    engine = open_engine(settings)
    try:
        server(settings, engine, port=chosen.port or settings.events_port).run()
    finally:
        engine.dispose()


if __name__ == "__main__":
    main()
