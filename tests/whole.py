"""How much of a long list a test walks: a fixed sample in `make test`, all of it in `make trials`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

#: Set by `make trials ONLY=pages`.
WHOLE = os.environ.get("TELEREAD_WHOLE") == "1"

T = TypeVar("T")


def every(step: int, all_of_them: Sequence[T]) -> Sequence[T]:
    """Return each step-th of the values, or all of them in a trial."""
    return all_of_them if WHOLE else all_of_them[::step]
