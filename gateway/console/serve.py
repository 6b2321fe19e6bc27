"""Serves the console over TLS, with gunicorn: one process, several threads."""

import os
import signal
import ssl
import sys
import threading
from collections.abc import Callable
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from gateway.console.certificate import certificate_path, ensure_certificate, key_path
from gateway.layout import Layout
from gateway.settings import GatewaySettings
from teleread import clock

_THREADS = 8

# A picture of a large image, or one de-identification of a released file, may take this long.
_TIMEOUT_SECONDS = 330


class Server(BaseApplication):
    """gunicorn, configured by arguments; the site is built in the process that serves it."""

    def __init__(self, settings: GatewaySettings, options: dict[str, Any]) -> None:
        self._settings = settings
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        """Take over the options; an unknown name stops the start."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Build the site."""
        from gateway.console.app import create_app
        from gateway.console.box import open_console

        return create_app(open_console(self._settings))


def _modern_tls(_config: object, default_context: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    context = default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _options(settings: GatewaySettings, layout: Layout) -> dict[str, Any]:
    return {
        "bind": f"{settings.console_address}:{settings.console_port}",
        "worker_class": "gthread",
        "workers": 1,
        "threads": _THREADS,
        "timeout": _TIMEOUT_SECONDS,
        "graceful_timeout": 10,
        "keepalive": 15,
        "certfile": os.fspath(certificate_path(layout)),
        "keyfile": os.fspath(key_path(layout)),
        "ssl_context": _modern_tls,
        "control_socket_disable": True,
        "proc_name": "teleread-gateway-console",
        "forwarded_allow_ips": "",
        "loglevel": "error",
        "errorlog": os.fspath(layout.logs / "console-server.log"),
    }


def _end_with_supervisor() -> None:
    # The supervisor holds the other end of standard input; the system closes it even after kill -9.
    # Read without Python's buffer: its lock would be held by this thread when the interpreter ends.
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def serve(settings: GatewaySettings, *, supervised: bool) -> None:
    """Serve until SIGTERM, or until the supervisor is gone."""
    layout = Layout(settings.data)
    ensure_certificate(layout, settings.console_address, settings.facility_name, at=clock.now())
    if supervised:
        threading.Thread(target=_end_with_supervisor, daemon=True).start()
    Server(settings, _options(settings, layout)).run()
