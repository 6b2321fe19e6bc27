"""The event streams and the people's listener on ports of their own, in threads, over the house's database."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flask import Flask
from werkzeug.serving import make_server

from teleread.settings import ServerSettings
from teleread.up import free_port
from teleread.web.app import create_app
from teleread.web.events import Hub
from teleread.web.events_serve import server
from tests.web.conftest import House


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@dataclass
class Streams:
    """Both listeners, and what the streams' process holds."""

    settings: ServerSettings
    app: Flask
    hub: Hub

    @property
    def url(self) -> str:
        return self.settings.events_url


def settings_with_ports(house: House) -> ServerSettings:
    people, events = free_port(), free_port()
    return dataclasses.replace(
        house.settings,
        port=people,
        events_port=events,
        public_url=f"https://127.0.0.1:{people}",
        events_url=f"https://127.0.0.1:{events}",
    )


@contextmanager
def streams_of(house: House) -> Iterator[Streams]:
    settings = settings_with_ports(house)
    app = create_app(settings, engine=house.engine)
    certificate = (str(settings.server_certificate), str(settings.server_key))
    people = make_server("127.0.0.1", settings.port, app, threaded=True, ssl_context=certificate)
    events = server(settings, house.engine, port=settings.events_port)
    threads = [threading.Thread(target=people.serve_forever), threading.Thread(target=events.run)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: events.started)
        yield Streams(settings, app, events.config.app.hub)
    finally:
        events.should_exit = True
        people.shutdown()
        for thread in threads:
            thread.join()
        people.server_close()
        app.extensions["teleread"].renderer.close()
