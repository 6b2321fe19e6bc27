"""The facility's secrets: made on the box, kept there, one file each."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from gateway.durable import write_file
from gateway.layout import Layout
from teleread.dicom.deid.profile import FacilityKeys
from teleread.errors import InvalidInput

_NAMES = ("uid", "pseudonym", "vault")
_LENGTH = 32


@dataclass(frozen=True)
class GatewayKeys:
    """Keys of 32 bytes: for replacement UIDs, for pseudonyms, and for the vault's values."""

    uid: bytes
    pseudonym: bytes
    vault: bytes

    @property
    def facility(self) -> FacilityKeys:
        """The keys that de-identification uses."""
        return FacilityKeys(uid_key=self.uid, pseudonym_key=self.pseudonym)

    @classmethod
    def load(cls, layout: Layout) -> "GatewayKeys":
        """Return the keys of this gateway, or raise InvalidInput naming the one that is missing."""
        return cls(*(_read(_path(layout, name)) for name in _NAMES))

    @classmethod
    def make(cls, layout: Layout) -> "GatewayKeys":
        """Make the keys that are not there yet, and return them all.

        A key that exists is never replaced: with another key every pseudonym and UID would change, and the
        vault would be closed for ever.
        """
        for name in _NAMES:
            if not _path(layout, name).exists():
                write_file(_path(layout, name), secrets.token_hex(_LENGTH).encode("ascii"))
        return cls.load(layout)


def _path(layout: Layout, name: str) -> Path:
    return layout.keys / f"{name}.key"


def _read(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text("ascii"))
    except (FileNotFoundError, ValueError, UnicodeDecodeError):
        raise InvalidInput(path.name, "this key is missing or broken; restore it from the backup") from None
    if len(key) != _LENGTH:
        raise InvalidInput(path.name, "this key has the wrong length; restore it from the backup")
    return key
