"""The gateway's settings: one file, read once, checked at the start, frozen."""

import ipaddress
import json
import tomllib
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from gateway.durable import write_file
from teleread.dicom.deid.profile import READING_PROFILE, Profile, profile_of
from teleread.domain.identifiers import check_ae_title
from teleread.errors import InvalidInput

FILE_NAME = "gateway.toml"


@dataclass(frozen=True)
class KnownSender:
    """An AE at the facility that may send: its title and the address it sends from."""

    ae_title: str
    address: str

    @classmethod
    def parse(cls, text: str) -> "KnownSender":
        """Return the sender written as ``TITLE@ADDRESS``."""
        title, at, address = text.rpartition("@")
        if not at:
            raise InvalidInput("known_senders", "write TITLE@ADDRESS")
        return cls(title, address)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ae_title", check_ae_title(self.ae_title, field="known_senders"))
        try:
            object.__setattr__(self, "address", str(ipaddress.ip_address(self.address)))
        except ValueError:
            raise InvalidInput("known_senders", "the address is not an IP address") from None


@dataclass(frozen=True)
class PACSTarget:
    """An AE at the facility that takes reports by C-STORE."""

    ae_title: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "PACSTarget":
        """Return the target written as ``TITLE@HOST:PORT``."""
        title, at, rest = text.rpartition("@")
        host, colon, port = rest.rpartition(":")
        if not (at and colon and port.isascii() and port.isdigit()):
            raise InvalidInput("pacs", "write TITLE@HOST:PORT")
        return cls(title, host.strip("[]"), int(port))

    def __post_init__(self) -> None:
        object.__setattr__(self, "ae_title", check_ae_title(self.ae_title, field="pacs"))
        _check_port(self.port, "pacs")
        if not self.host:
            raise InvalidInput("pacs", "the host is missing")


def _reading_options() -> tuple[str, ...]:
    return tuple(sorted(option.setting for option in READING_PROFILE.options))


@dataclass(frozen=True)
class Deidentification:
    """What the facility decides about the identity that is taken out: the options of PS3.15 E.3, by name or code."""

    options: tuple[str, ...] = field(default_factory=_reading_options)

    def __post_init__(self) -> None:
        if not isinstance(self.options, (list, tuple)):
            raise InvalidInput("deidentification.options", 'write a list, such as ["retain_full_dates"]')
        object.__setattr__(self, "options", tuple(self.options))
        # Contradictions and what is not allowed here are found at the start, not at the first image.
        profile_of(self.options, field="deidentification.options")

    @property
    def profile(self) -> Profile:
        """The profile that these options make."""
        return profile_of(self.options, field="deidentification.options")


@dataclass(frozen=True, kw_only=True)
class GatewaySettings:
    """What the facility decides about its gateway, and what it learned at enrolment.

    `data` is the folder of everything; times are in seconds, `minimum_free_bytes` is the free space below
    which C-STORE is refused with 0xA700, as it is above `high_water_percent` of the disk unless 10 GiB are free;
    `batch_bytes` is the size of an upload request. A sender may be silent for `idle_seconds` between two
    instances of one association. The console listens on `console_address`, an IP address, and `console_port`; 0
    means that there is none.
    """

    data: Path
    ae_title: str
    port: int
    known_senders: tuple[KnownSender, ...]
    pacs: tuple[PACSTarget, ...]
    deliver_folder: Path
    centre_url: str
    gateway_url: str
    facility_code: str
    facility_name: str
    gateway_name: str
    bind_address: str = "127.0.0.1"
    console_address: str = "127.0.0.1"
    console_port: int = 0
    quiet_seconds: float = 30.0
    collect_seconds: float = 2.0
    heartbeat_seconds: float = 30.0
    retry_seconds: float = 1.0
    retry_limit_seconds: float = 300.0
    give_up_hours: float = 72.0
    retention_hours: float = 168.0
    upload_connections: int = 4
    batch_bytes: int = 8 * 1024 * 1024
    minimum_free_bytes: int = 256 * 1024 * 1024
    high_water_percent: float = 90.0
    maximum_associations: int = 50
    maximum_associations_of_sender: int = 25
    idle_seconds: float = 300.0
    deidentification: Deidentification = field(default_factory=Deidentification)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ae_title", check_ae_title(self.ae_title))
        _check_port(self.port, "port")
        _check_port(self.console_port, "console_port")
        try:
            object.__setattr__(self, "console_address", str(ipaddress.ip_address(self.console_address)))
        except ValueError:
            raise InvalidInput("console_address", "is not an IP address") from None
        for name in ("centre_url", "gateway_url"):
            if not getattr(self, name).startswith("https://"):
                raise InvalidInput(name, "only https goes out of the facility")
        for name in (
            "quiet_seconds",
            "collect_seconds",
            "heartbeat_seconds",
            "retry_seconds",
            "idle_seconds",
        ):
            if getattr(self, name) <= 0:
                raise InvalidInput(name, "has to be more than nothing")
        if not 0 < self.high_water_percent <= 100:
            raise InvalidInput("high_water_percent", "is not a share of the disk, up to 100")

    @classmethod
    def from_file(cls, data: Path) -> "GatewaySettings":
        """Return the settings of the gateway whose folder is `data`, or raise InvalidInput."""
        data = data.absolute()
        try:
            document: dict[str, Any] = tomllib.loads((data / FILE_NAME).read_text("utf-8"))
        except FileNotFoundError:
            raise InvalidInput("data", f"there is no {FILE_NAME}; enrol this gateway first") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError):
            raise InvalidInput(FILE_NAME, "this is not TOML") from None
        known = {each.name for each in fields(cls)} - {"data"}
        for name in document:
            if name not in known:
                raise InvalidInput(name, f"{FILE_NAME} knows no such setting")
        try:
            document["known_senders"] = tuple(KnownSender(**sender) for sender in document["known_senders"])
            document["pacs"] = tuple(PACSTarget(**target) for target in document["pacs"])
            document["deliver_folder"] = Path(document["deliver_folder"])
            if "deidentification" in document:
                document["deidentification"] = _deidentification(document["deidentification"])
            return cls(data=data, **document)
        except KeyError as problem:
            raise InvalidInput(str(problem.args[0]), f"missing in {FILE_NAME}") from None
        except TypeError:
            raise InvalidInput(FILE_NAME, "a setting is missing or has the wrong type") from None

    def write(self) -> None:
        """Write the settings to their file."""
        document = asdict(self)
        del document["data"]
        document["deliver_folder"] = str(self.deliver_folder)
        tables = {name: document.pop(name) for name in ("known_senders", "pacs")}
        deidentification = document.pop("deidentification")
        lines = [f"{name} = {_toml(value)}" for name, value in document.items()]
        for name, rows in tables.items():
            inline = ", ".join(
                "{ " + ", ".join(f"{key} = {_toml(value)}" for key, value in row.items()) + " }"
                for row in rows
            )
            lines.append(f"{name} = [{inline}]")
        # Last: what follows a table's header belongs to the table.
        lines += [
            "",
            "[deidentification]",
            *(f"{key} = {_toml(value)}" for key, value in deidentification.items()),
        ]
        write_file(self.data / FILE_NAME, ("\n".join(lines) + "\n").encode("utf-8"))


def _deidentification(document: object) -> Deidentification:
    names = {each.name for each in fields(Deidentification)}
    if not isinstance(document, dict):
        raise InvalidInput("deidentification", "write a table: [deidentification]")
    for name in document:
        if name not in names:
            raise InvalidInput(f"deidentification.{name}", f"{FILE_NAME} knows no such setting")
    return Deidentification(**document)


def _toml(value: object) -> str:
    # A JSON text is a TOML basic string, numbers and truth values are the same in both.
    return json.dumps(value, ensure_ascii=False)


def _check_port(port: object, field: str) -> None:
    if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65535:
        raise InvalidInput(field, "the port is not between 0 and 65535")
