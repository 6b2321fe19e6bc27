"""The object store: content-addressed files. Whatever `put` or `adopt` returned a digest for is durable."""

import errno
import hashlib
import os
import secrets
from pathlib import Path
from typing import BinaryIO, Protocol

from teleread.domain.identifiers import check_sha256
from teleread.errors import NotFound, OutOfSpace
from teleread.storage.durable import make_folder, sync_folder

_CHUNK = 1 << 20


class Blobs(Protocol):
    """What services ask of an object store; files today, S3 some day."""

    def put(self, source: "Path | BinaryIO | bytes") -> tuple[str, int]: ...
    def adopt(self, part: Path) -> tuple[str, int]: ...
    def open(self, sha256: str) -> BinaryIO: ...
    def path(self, sha256: str) -> Path: ...
    def read(self, sha256: str) -> bytes: ...
    def verify(self, sha256: str) -> bool: ...


class BlobStore:
    """Files below `root`, named ``aa/bb/<sha256>`` by their content.

    Parameters
    ----------
    root : Path
        Made when it is not there. New content is written in ``root/parts`` first and never seen half.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._parts = root / "parts"

    def new_part(self) -> Path:
        """Return a fresh path on the same file system, for content that is on its way in; then call `adopt`."""
        try:
            make_folder(self._parts)
        except OSError as error:
            raise _as_out_of_space(error) from error
        return self._parts / f"{secrets.token_hex(12)}.part"

    def put(self, source: Path | BinaryIO | bytes) -> tuple[str, int]:
        """Copy content into the store and return its SHA-256 and size once it is durable.

        Raises
        ------
        OutOfSpace
            The disk or the quota is full; nothing was stored.
        """
        part = self.new_part()
        try:
            with part.open("wb") as target:
                if isinstance(source, bytes):
                    target.write(source)
                elif isinstance(source, Path):
                    with source.open("rb") as stream:
                        _copy(stream, target)
                else:
                    _copy(source, target)
            return self.adopt(part)
        except OSError as error:
            raise _as_out_of_space(error) from error
        finally:
            part.unlink(missing_ok=True)

    def adopt(self, part: Path) -> tuple[str, int]:
        """Take over a file that lies on the store's file system; it is gone from its place afterwards.

        The digest is made from what a second reading of the file gives, after it was synced.
        """
        try:
            with part.open("rb") as stream:
                os.fsync(stream.fileno())
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
                size = stream.tell()
            target = self._place(digest)
            make_folder(target.parent)
            if target.exists() and self.verify(digest):
                part.unlink()
            else:
                part.replace(target)
                target.chmod(0o400)
            sync_folder(target.parent)
        except OSError as error:
            raise _as_out_of_space(error) from error
        return digest, size

    def path(self, sha256: str) -> Path:
        """Return where the content lies, or raise NotFound."""
        path = self._place(sha256)
        if not path.is_file():
            raise NotFound("this content is not in the store")
        return path

    def open(self, sha256: str) -> BinaryIO:
        """Open the content for reading, or raise NotFound."""
        return self.path(sha256).open("rb")

    def read(self, sha256: str) -> bytes:
        """Return the whole content, or raise NotFound."""
        return self.path(sha256).read_bytes()

    def verify(self, sha256: str) -> bool:
        """Say whether the content is there and still has its digest."""
        try:
            with self._place(sha256).open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest() == sha256
        except FileNotFoundError:
            return False

    def _place(self, sha256: str) -> Path:
        check_sha256(sha256)
        return self._root / sha256[:2] / sha256[2:4] / sha256


def _copy(source: BinaryIO, target: BinaryIO) -> None:
    while chunk := source.read(_CHUNK):
        target.write(chunk)


def _as_out_of_space(error: OSError) -> Exception:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return OutOfSpace("the disk of the object store is full")
    return error
