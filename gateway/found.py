"""What lies in a folder that somebody hands over: every entry counts, none is followed out of it."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Found:
    """An entry of a folder.

    Attributes
    ----------
    path : Path
    name : str
        Relative to the folder, with ``/``; not always text that can be written in UTF-8.
    problem : str
        Why it cannot be read as a file: ``link``, ``no_file`` (a pipe, a device, a socket), ``folder_unreadable``; empty
        for a file.
    """

    path: Path
    name: str
    problem: str = ""


def found_below(folder: Path) -> Iterator[Found]:
    """Yield every file below a folder in the order of names, hidden ones too, and what cannot be taken for one."""
    yield from _below(folder, "")


def _below(folder: Path, prefix: str) -> Iterator[Found]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError:
        yield Found(folder, prefix.rstrip("/") or ".", "folder_unreadable")
        return
    for name in names:
        path = folder / name
        try:
            mode = path.lstat().st_mode
        except OSError:
            yield Found(path, prefix + name, "no_file")
            continue
        # Links are not followed: a medium could point into the box itself.
        if stat.S_ISLNK(mode):
            yield Found(path, prefix + name, "link")
        elif stat.S_ISDIR(mode):
            yield from _below(path, f"{prefix}{name}/")
        else:
            yield Found(path, prefix + name, "" if stat.S_ISREG(mode) else "no_file")
