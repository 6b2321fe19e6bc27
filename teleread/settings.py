"""Settings of the centre: read once from the environment by an entry point, checked, frozen, passed on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from teleread.errors import InvalidInput

LANGUAGES = ("ja", "en")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING")

#: A key that a person made up has fewer bytes than this.
_LEAST_KEY = 16


@dataclass(frozen=True)
class ServerSettings:
    """Everything that an operator may set; every value but the data folder has a default.

    Parameters
    ----------
    data : Path
        Folder of database, blobs, secrets, certificates and logs. ``TELEREAD_DATA``.
    database_url : str
        SQLAlchemy URL. ``TELEREAD_DATABASE_URL``; default SQLite in the data folder.
    blobs : Path
        Folder of the object store. ``TELEREAD_BLOBS``.
    redis_url : str
        ``TELEREAD_REDIS_URL``; default a unix socket in the data folder.
    port, gateway_port : int
        Loopback ports of the two listeners. ``TELEREAD_PORT``, ``TELEREAD_GATEWAY_PORT``.
    events_port : int
        Loopback port of the process that holds the event streams. ``TELEREAD_EVENTS_PORT``.
    public_url, gateway_url : str
        How people and gateways reach the listeners. ``TELEREAD_PUBLIC_URL``, ``TELEREAD_GATEWAY_URL``.
    events_url : str
        How browsers reach the event streams: the same host as `public_url`, or its very origin behind a proxy.
        ``TELEREAD_EVENTS_URL``.
    centre_name : str
        Printed on reports. ``TELEREAD_CENTRE_NAME``.
    language : str
        ``ja`` or ``en`` for people who have not chosen. ``TELEREAD_LANGUAGE``.
    idle_seconds, absolute_seconds : int
        Ends of a session: without a request, and in any case. ``TELEREAD_SESSION_IDLE_SECONDS``,
        ``TELEREAD_SESSION_ABSOLUTE_SECONDS``.
    one_session : bool
        Signing in ends the person's sessions in other browsers. ``TELEREAD_ONE_SESSION``, ``1`` or ``0``.
    log_level : str
        Of the centre's own loggers: ``DEBUG``, ``INFO`` or ``WARNING``. ``TELEREAD_LOG_LEVEL``.
    tsa_url : str or None
        RFC 3161 time stamp authority; none by default. ``TELEREAD_TSA_URL``.
    smtp_url : str or None
        Mail server for messages about critical findings, ``smtp://`` or ``smtps://``. ``TELEREAD_SMTP_URL``.
    mail_from : str
        Their sender. ``TELEREAD_MAIL_FROM``.
    coordinators : tuple of str
        Their receivers, separated by commas. ``TELEREAD_COORDINATORS``.
    pager_url : str or None
        Pager or telephone service that takes the same messages as signed JSON. ``TELEREAD_PAGER_URL``.
    pager_key : bytes
        Key of their signature. ``TELEREAD_PAGER_KEY``.
    """

    data: Path
    database_url: str
    blobs: Path
    redis_url: str
    port: int
    gateway_port: int
    events_port: int
    public_url: str
    gateway_url: str
    events_url: str
    centre_name: str
    language: str
    idle_seconds: int
    absolute_seconds: int
    one_session: bool
    log_level: str
    tsa_url: str | None
    smtp_url: str | None
    mail_from: str
    coordinators: tuple[str, ...]
    pager_url: str | None
    pager_key: bytes = field(repr=False)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "ServerSettings":
        """Return the checked settings.

        Raises
        ------
        InvalidInput
            A value is missing or malformed; the message names the variable.
        """
        folder = env.get("TELEREAD_DATA", "")
        if not folder:
            raise InvalidInput("TELEREAD_DATA", "has to name the data folder of the centre")
        data = Path(folder).absolute()
        port = _whole_number(env, "TELEREAD_PORT", 8443, 1, 65535)
        gateway_port = _whole_number(env, "TELEREAD_GATEWAY_PORT", 8444, 1, 65535)
        events_port = _whole_number(env, "TELEREAD_EVENTS_PORT", 8445, 1, 65535)
        public_url = _url(env, "TELEREAD_PUBLIC_URL", f"https://127.0.0.1:{port}")
        language = env.get("TELEREAD_LANGUAGE") or "ja"
        if language not in LANGUAGES:
            raise InvalidInput("TELEREAD_LANGUAGE", "has to be ja or en")
        log_level = env.get("TELEREAD_LOG_LEVEL") or "INFO"
        if log_level not in LOG_LEVELS:
            raise InvalidInput("TELEREAD_LOG_LEVEL", f"has to be one of {', '.join(LOG_LEVELS)}")
        smtp_url = _url(env, "TELEREAD_SMTP_URL", "", ("smtp://", "smtps://")) or None
        coordinators = _addresses(env, "TELEREAD_COORDINATORS", needed=smtp_url is not None)
        pager_url = _url(env, "TELEREAD_PAGER_URL", "") or None
        pager_key = env.get("TELEREAD_PAGER_KEY", "").encode()
        if pager_url and len(pager_key) < _LEAST_KEY:
            raise InvalidInput("TELEREAD_PAGER_KEY", f"needs at least {_LEAST_KEY} bytes")
        return cls(
            data=data,
            database_url=env.get("TELEREAD_DATABASE_URL") or f"sqlite:///{data / 'teleread.sqlite3'}",
            blobs=Path(env.get("TELEREAD_BLOBS") or data / "blobs").absolute(),
            redis_url=env.get("TELEREAD_REDIS_URL") or f"unix://{data / 'redis.sock'}",
            port=port,
            gateway_port=gateway_port,
            events_port=events_port,
            public_url=public_url,
            gateway_url=_url(env, "TELEREAD_GATEWAY_URL", f"https://127.0.0.1:{gateway_port}"),
            # The cookie belongs to a host, whatever the port: the stream is asked for on the people's host.
            events_url=_url(
                env, "TELEREAD_EVENTS_URL", f"https://{urlsplit(public_url).hostname or ''}:{events_port}"
            ),
            centre_name=env.get("TELEREAD_CENTRE_NAME") or "teleread",
            language=language,
            idle_seconds=_whole_number(env, "TELEREAD_SESSION_IDLE_SECONDS", 15 * 60, 1, 12 * 3600),
            absolute_seconds=_whole_number(env, "TELEREAD_SESSION_ABSOLUTE_SECONDS", 12 * 3600, 1, 24 * 3600),
            one_session=_whole_number(env, "TELEREAD_ONE_SESSION", 1, 0, 1) == 1,
            log_level=log_level,
            tsa_url=_url(env, "TELEREAD_TSA_URL", "") or None,
            smtp_url=smtp_url,
            mail_from=_address(env, "TELEREAD_MAIL_FROM", needed=smtp_url is not None),
            coordinators=coordinators,
            pager_url=pager_url,
            pager_key=pager_key,
        )

    @property
    def pki(self) -> Path:
        """Folder of certificates and their keys."""
        return self.data / "pki"

    @property
    def ca_certificate(self) -> Path:
        """PEM file of the centre's CA, which issues the server's and the gateways' certificates."""
        return self.pki / "ca.pem"

    @property
    def signing_ca_certificate(self) -> Path:
        """PEM file of the CA that issues readers' signing certificates."""
        return self.pki / "signing-ca.pem"

    @property
    def server_certificate(self) -> Path:
        """PEM file of the TLS certificate of both listeners."""
        return self.pki / "server.pem"

    @property
    def server_key(self) -> Path:
        """PEM file of the TLS key of both listeners."""
        return self.pki / "server.key"

    @property
    def signing(self) -> Path:
        """Folder of the readers' encrypted signing keys; outside the database."""
        return self.data / "signing"

    @property
    def secrets(self) -> Path:
        """Folder of the keys made at the first start."""
        return self.data / "secrets"

    def session_key(self) -> bytes:
        """Return the key that signs cookies and CSRF tokens."""
        return self._secret("session.key")

    def audit_key(self) -> bytes:
        """Return the key that anchors the head of the audit chain."""
        return self._secret("audit.key")

    def accounts_key(self) -> bytes:
        """Return the key that seals the one-time code secrets in the database."""
        return self._secret("accounts.key")

    def reader_keys_key(self) -> bytes:
        """Return the key from which the passphrases of the readers' keys are derived."""
        return self._secret("reader-keys.key")

    def _secret(self, name: str) -> bytes:
        try:
            return (self.secrets / name).read_bytes()
        except FileNotFoundError:
            raise InvalidInput(
                "TELEREAD_DATA",
                f"the data folder has no secrets/{name}; prepare it first (teleread db upgrade)",
            ) from None


def _whole_number(env: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = env.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise InvalidInput(name, f"has to be a whole number from {least} to {most}")
    return int(text)


def _url(
    env: Mapping[str, str], name: str, default: str, beginnings: tuple[str, ...] = ("https://", "http://")
) -> str:
    text = (env.get(name) or default).rstrip("/")
    if text and not text.startswith(beginnings):
        raise InvalidInput(name, f"has to begin with {beginnings[0]}")
    return text


def _addresses(env: Mapping[str, str], name: str, *, needed: bool) -> tuple[str, ...]:
    found = tuple(one.strip() for one in env.get(name, "").split(",") if one.strip())
    if needed and not found:
        raise InvalidInput(name, "has to name an address")
    if any(one.count("@") != 1 or not one.isprintable() or " " in one for one in found):
        raise InvalidInput(name, "has to hold mail addresses")
    return found


def _address(env: Mapping[str, str], name: str, *, needed: bool) -> str:
    found = _addresses(env, name, needed=needed)
    if len(found) > 1:
        raise InvalidInput(name, "has to be one address")
    return found[0] if found else ""
