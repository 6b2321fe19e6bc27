"""The facility's secrets: made on the box, kept there, one file each.

The keys for UIDs and pseudonyms are never changed (docs/adr/0008): with others every patient would become a stranger.
The vault's key can be: the database says by which key it is sealed, so that a change that is cut off at any moment
leaves a key that opens it.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from gateway.durable import sync_folder, write_file
from gateway.layout import Layout
from teleread.dicom.deid.encrypted import RecipientKey
from teleread.dicom.deid.profile import FacilityKeys
from teleread.errors import InvalidInput, NotFound

_NAMES = ("uid", "pseudonym", "vault")
_LENGTH = 32

#: Private key and certificate that objects can be sealed for, and the certificates in force: no file, no sealing.
_ATTRIBUTES_KEY, _ATTRIBUTES_CERTIFICATE, _RECIPIENTS = "attributes.key", "attributes.pem", "recipients.pem"

_SHEET = "teleread keys 1"
#: RFC 7914: 64 MiB and about a quarter of a second a guess.
_SCRYPT = {"n": 2**16, "r": 8, "p": 1}
_SHORTEST_PASSPHRASE = 13


def key_id(key: bytes) -> str:
    """Return the name of a key, which tells nothing of it."""
    return hashlib.sha256(b"teleread key\0" + key).hexdigest()[:16]


@dataclass(frozen=True)
class GatewayKeys:
    """Keys of 32 bytes: for replacement UIDs, for pseudonyms, and for the vault's values.

    `other_vault_keys` have been the vault's, or are about to be; `recipients_pem` has the certificates that originals
    are sealed for.
    """

    uid: bytes
    pseudonym: bytes
    vault: bytes
    other_vault_keys: tuple[bytes, ...] = ()
    recipients_pem: bytes = b""

    @property
    def facility(self) -> FacilityKeys:
        """The keys that de-identification uses."""
        return FacilityKeys(
            uid_key=self.uid, pseudonym_key=self.pseudonym, recipients_pem=self.recipients_pem
        )

    @classmethod
    def load(cls, layout: Layout) -> "GatewayKeys":
        """Return the keys of this gateway, or raise InvalidInput naming the one that is missing."""
        recipients = layout.keys / _RECIPIENTS
        uid, pseudonym, vault = (_read(_path(layout, name)) for name in _NAMES)
        return cls(
            uid,
            pseudonym,
            vault,
            other_vault_keys=tuple(_read(path) for path in _other_vault_keys(layout)),
            recipients_pem=recipients.read_bytes() if recipients.exists() else b"",
        )

    @classmethod
    def make(cls, layout: Layout) -> "GatewayKeys":
        """Make the keys that are not there yet, and return them all.

        A key that exists is never replaced: with another key every pseudonym and UID would change, and the
        vault would be closed for ever.
        """
        for name in _NAMES:
            if not _path(layout, name).exists():
                _write(_path(layout, name), secrets.token_bytes(_LENGTH))
        return cls.load(layout)


# The vault's key


def next_vault_key(layout: Layout) -> bytes:
    """Return the key that the vault will have, made durable before anything is sealed with it."""
    path = layout.keys / "vault-next.key"
    if not path.exists():
        _write(path, secrets.token_bytes(_LENGTH))
    return _read(path)


def settle_vault_key(layout: Layout, in_force: bytes) -> None:
    """Give the vault's key its own file, and retire the one before; a key that is in force already changes nothing.

    The retired key stays: backups of its time open with it.
    """
    path, coming = _path(layout, "vault"), layout.keys / "vault-next.key"
    if _read(path) != in_force:
        before = _read(path)
        _write(layout.keys / f"vault-{key_id(before)}.key", before)
        _write(path, in_force)
    if coming.exists() and _read(coming) == in_force:
        coming.unlink()
        sync_folder(layout.keys)


def _other_vault_keys(layout: Layout) -> Iterator[Path]:
    yield from sorted(layout.keys.glob("vault-*.key"))


# The key of the Encrypted Attributes


def seal_originals_for(layout: Layout, recipient: RecipientKey | None, certificates_pem: bytes) -> None:
    """Have originals sealed from now on for these certificates; `recipient`, if given, is the gateway's own."""
    if recipient is not None:
        write_file(layout.keys / _ATTRIBUTES_KEY, recipient.key_pem)
        write_file(layout.keys / _ATTRIBUTES_CERTIFICATE, recipient.certificate_pem)
    write_file(layout.keys / _RECIPIENTS, certificates_pem)


def seal_no_originals(layout: Layout) -> None:
    """Have no originals sealed from now on; the key stays, for what is sealed already."""
    (layout.keys / _RECIPIENTS).unlink(missing_ok=True)
    sync_folder(layout.keys)


def attributes_key(layout: Layout) -> RecipientKey | None:
    """Return the gateway's own key for sealed originals, None when there is none."""
    key, certificate = layout.keys / _ATTRIBUTES_KEY, layout.keys / _ATTRIBUTES_CERTIFICATE
    if not (key.exists() and certificate.exists()):
        return None
    return RecipientKey(key.read_bytes(), certificate.read_bytes())


# The keys on a sheet of their own, for another machine


def sheet_of(layout: Layout, passphrase: str) -> bytes:
    """Return every key that a backup of the vault needs, sealed by a passphrase (scrypt, AES-256-GCM).

    Raises
    ------
    InvalidInput
        The passphrase is shorter than thirteen characters.
    """
    if len(passphrase) < _SHORTEST_PASSPHRASE:
        raise InvalidInput("passphrase", f"has to have {_SHORTEST_PASSPHRASE} characters or more")
    names = [f"{name}.key" for name in _NAMES] + [path.name for path in _other_vault_keys(layout)]
    names += [_ATTRIBUTES_KEY, _ATTRIBUTES_CERTIFICATE, _RECIPIENTS]
    content = {
        name: (layout.keys / name).read_text("ascii") for name in names if (layout.keys / name).exists()
    }
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    sealed = AESGCM(_stretched(passphrase, salt, **_SCRYPT)).encrypt(
        nonce, json.dumps(content).encode("ascii"), _SHEET.encode("ascii")
    )
    document = {
        "format": _SHEET,
        **_SCRYPT,
        **{name: base64.b64encode(value).decode("ascii") for name, value in
           (("salt", salt), ("nonce", nonce), ("sealed", sealed))},
    }  # fmt: skip
    return json.dumps(document, indent=1).encode("ascii") + b"\n"


def keys_on_sheet(sheet: Path, passphrase: str) -> dict[str, str]:
    """Return the key files of a sheet, name -> content.

    Raises
    ------
    NotFound
        There is no such file.
    InvalidInput
        It is no such sheet, or the passphrase is another one.
    """
    try:
        document = json.loads(sheet.read_bytes())
        salt, nonce, sealed = (base64.b64decode(document[name]) for name in ("salt", "nonce", "sealed"))
        # Only what was written here is computed: other figures could take the machine's memory.
        is_ours = document["format"] == _SHEET and {name: document[name] for name in _SCRYPT} == _SCRYPT
    except FileNotFoundError:
        raise NotFound("there is no such file of keys") from None
    except (ValueError, KeyError, TypeError):
        is_ours = False
    if not is_ours:
        raise InvalidInput("keys", "is not a file of keys that `vault backup` wrote")
    try:
        text = AESGCM(_stretched(passphrase, salt, **_SCRYPT)).decrypt(nonce, sealed, _SHEET.encode("ascii"))
    except InvalidTag:
        raise InvalidInput("passphrase", "does not open the keys") from None
    content: dict[str, str] = json.loads(text)
    return content


def take_keys(layout: Layout, content: dict[str, str], *, nothing_linked: bool) -> None:
    """Lay the keys of a sheet into a gateway.

    Raises
    ------
    InvalidInput
        The gateway has another key of the same name and has used it; nothing was changed.
    """
    layout.make()
    for name, text in content.items():
        path = layout.keys / name
        if not nothing_linked and path.exists() and path.read_text("ascii") != text:
            raise InvalidInput(name, "this gateway has used a key of its own: restore into a fresh folder")
    for name, text in content.items():
        if Path(name).name != name:
            raise InvalidInput("keys", "a name in it is not one of a key")
        write_file(layout.keys / name, text.encode("ascii"))


def _stretched(passphrase: str, salt: bytes, *, n: int, r: int, p: int) -> bytes:
    return Scrypt(salt=salt, length=_LENGTH, n=n, r=r, p=p).derive(passphrase.encode("utf-8"))


def _path(layout: Layout, name: str) -> Path:
    return layout.keys / f"{name}.key"


def _write(path: Path, key: bytes) -> None:
    write_file(path, key.hex().encode("ascii"))


def _read(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text("ascii"))
    except (FileNotFoundError, ValueError, UnicodeDecodeError):
        raise InvalidInput(path.name, "this key is missing or broken; restore it from the backup") from None
    if len(key) != _LENGTH:
        raise InvalidInput(path.name, "this key has the wrong length; restore it from the backup")
    return key
