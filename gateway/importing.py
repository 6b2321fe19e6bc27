"""Takes files from a disk or a folder: what C-STORE cannot carry, through the same door of the spool."""

import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from gateway.spool import Spool, arrival_of

_CHUNK = 1 << 20


def import_files(path: Path, spool: Spool, *, now: Callable[[], datetime]) -> int:
    """Take a file, or every file below a folder, and return how many are durable in the spool.

    Nothing is judged here; what is not DICOM is held with that reason and counted like everything else.
    """
    taken = 0
    for source in _files(path):
        part = spool.part()
        try:
            with source.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    part.write(chunk)
            spool.accept(part, arrival_of(source), at=now())
        finally:
            part.close()
        taken += 1
    return taken


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    # Links are not followed: a medium could point into the box itself.
    for folder, subfolders, names in os.walk(path):
        subfolders.sort()
        for name in sorted(names):
            file = Path(folder) / name
            if file.is_file() and not file.is_symlink():
                yield file
