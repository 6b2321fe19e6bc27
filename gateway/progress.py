"""How far a long command is: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections import Counter
from typing import TextIO

_LINE_SECONDS = 5.0
_BAR_SECONDS = 0.1
_WIDTH = 30


class Progress:
    """Counts what became of each file, on standard error. Never says a file's name: it may be a patient's."""

    def __init__(self, total: int, *, stream: TextIO | None = None) -> None:
        self._total = total
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()
        self._counts: Counter[str] = Counter()
        self._told_at = time.monotonic()

    def count(self, word: str) -> None:
        """Note that one more file is done, and what became of it."""
        self._counts[word] += 1
        if time.monotonic() - self._told_at >= (_BAR_SECONDS if self._is_terminal else _LINE_SECONDS):
            self._tell()

    def done(self) -> None:
        """Say the last word."""
        self._tell()
        if self._is_terminal:
            self._stream.write("\n")

    def _tell(self) -> None:
        self._told_at = time.monotonic()
        done = self._counts.total()
        words = ", ".join(f"{number} {word}" for word, number in sorted(self._counts.items()))
        line = f"{done}/{self._total} files" + (f": {words}" if words else "")
        if self._is_terminal:
            filled = _WIDTH * done // max(self._total, 1)
            self._stream.write(f"\r[{'#' * filled}{'.' * (_WIDTH - filled)}] {line}\x1b[K")
        else:
            self._stream.write(line + "\n")
        self._stream.flush()
