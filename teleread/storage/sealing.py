"""Secrets that the database keeps but may not know: a stolen copy of it opens nothing."""

import base64
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from teleread.errors import Unavailable

_NONCE_BYTES = 12


class Sealer:
    """Seals short texts with AES-256-GCM.

    Parameters
    ----------
    key : bytes
        32 bytes, from a file outside the database.
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def seal(self, text: str, *, owner: str) -> str:
        """Return the sealed text as Base64; it opens only for the same owner, so rows cannot be exchanged."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), owner.encode())).decode()

    def open(self, sealed: str, *, owner: str) -> str:
        """Return the text.

        Raises
        ------
        Unavailable
            It was sealed with another key or for another owner, or was changed.
        """
        raw = base64.b64decode(sealed)
        try:
            return self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], owner.encode()).decode()
        except InvalidTag:
            raise Unavailable("a secret of the accounts does not open with this centre's key") from None
