"""Files that survive a power cut: written, synced, renamed, and the folder synced."""

import os
import secrets
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Make a folder and its parents, durably; one that is there is left as it is."""
    if folder.is_dir():
        return
    make_folder(folder.parent, mode)
    folder.mkdir(mode=mode, exist_ok=True)
    sync_folder(folder.parent)


def write_file(path: Path, content: bytes, *, mode: int = 0o600, replace: bool = True) -> bool:
    """Write a file so that it is there whole or not at all; say whether it was written.

    Parameters
    ----------
    replace : bool
        False leaves a file that is already there as it is, also when two processes try at once.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        if replace:
            part.replace(path)
        else:
            try:
                os.link(part, path)
            except FileExistsError:
                return False
        sync_folder(path.parent)
    finally:
        part.unlink(missing_ok=True)
    return True
