"""Run one listener under gunicorn: `python -m teleread.web.serve --listener people --data DIR --port N`."""

from __future__ import annotations

import argparse
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from teleread import logs
from teleread.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

LISTENERS = ("people", "gateway")

#: Threads a process: a reader's browser fetches several frames at once, gateways upload in parallel.
THREADS = 16

#: A gateway on a thin line may need minutes for one request; a worker that hangs is ended after this.
TIMEOUT_SECONDS = 120


class OneLineLogger(Logger):  # type: ignore[misc]
    """gunicorn's own log, in which a request cannot begin a line or steer a terminal."""

    def setup(self, cfg: Any) -> None:
        """Take over gunicorn's settings, then write as every process of the centre does."""
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(logs.OneLine(self.error_fmt, self.datefmt))


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn, configured by arguments; the application is built in the worker, after the fork."""

    def __init__(self, settings: ServerSettings, listener: str, options: dict[str, Any]) -> None:
        self._settings = settings
        self._listener = listener
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        """Take over the options; an unknown name stops the start."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Build the application in the process that serves it."""
        from teleread.web.app import create_app

        return create_app(self._settings, listener="people" if self._listener == "people" else "gateway")


def _modern_tls(_config: object, default_context: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    context = default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def options(settings: ServerSettings, listener: str, *, port: int, workers: int) -> dict[str, Any]:
    """Return gunicorn's settings for a listener; both speak TLS on the loopback address only."""
    chosen: dict[str, Any] = {
        "bind": f"127.0.0.1:{port}",
        "worker_class": "gthread",
        "workers": workers,
        "threads": THREADS,
        "timeout": TIMEOUT_SECONDS,
        "graceful_timeout": 10,
        "keepalive": 30,
        "certfile": os.fspath(settings.server_certificate),
        "keyfile": os.fspath(settings.server_key),
        "ssl_context": _modern_tls,
        "logger_class": OneLineLogger,
        "control_socket_disable": True,
        "proc_name": f"teleread-{listener}",
        "worker_tmp_dir": "/dev/shm" if Path("/dev/shm").is_dir() else None,  # noqa: S108 - gunicorn's heartbeat file
        "forwarded_allow_ips": "",
    }
    if listener == "gateway":
        chosen |= {"ca_certs": os.fspath(settings.ca_certificate), "cert_reqs": ssl.CERT_REQUIRED}
    return chosen


def main(arguments: list[str] | None = None) -> None:
    """Serve one listener until a signal ends it."""
    parser = argparse.ArgumentParser(prog="teleread.web.serve", description=__doc__)
    parser.add_argument("--listener", choices=LISTENERS, required=True)
    parser.add_argument("--data", help="data folder of the centre; default: TELEREAD_DATA")
    parser.add_argument("--port", type=int, help="default: the port of the settings")
    parser.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args(arguments)
    environment = dict(os.environ)
    if chosen.data:
        environment["TELEREAD_DATA"] = chosen.data
    settings = ServerSettings.from_env(environment)
    logs.set_up(settings.log_level)
    port = chosen.port or (settings.port if chosen.listener == "people" else settings.gateway_port)
    Server(
        settings, chosen.listener, options(settings, chosen.listener, port=port, workers=chosen.workers)
    ).run()


if __name__ == "__main__":
    main()
