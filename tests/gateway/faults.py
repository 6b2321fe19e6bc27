"""System calls that fail, one at a time: what a broken disk or a power cut does to the durable layer."""

import errno
import os
from collections.abc import Callable

import pytest

from gateway import durable

#: What a promise of durability rests on; `unlink` only tidies up.
_COUNTED = ("open", "write", "fsync", "rename")


FAULTS = {
    "input/output error": OSError(errno.EIO, "Input/output error"),
    "disk full": OSError(errno.ENOSPC, "No space left on device"),
    "read-only": OSError(errno.EROFS, "Read-only file system"),
}


class PowerCut(BaseException):
    """The process ends here."""


class SystemCalls:
    """Counts the calls of the durable layer and lets number `at` fail; -1 lets all of them through.

    After a power cut every further call is one too: a process that is gone tidies nothing up.
    """

    def __init__(
        self, patch: pytest.MonkeyPatch, at: int, fault: BaseException, *, after: bool = False
    ) -> None:
        self.names: list[str] = []
        self._at = at
        self._fault = fault
        self._after = after
        self._is_dead = False
        for name in _COUNTED:
            patch.setattr(os, name, self._wrapped(name, getattr(os, name)))
        patch.setattr(os, "unlink", self._wrapped("unlink", os.unlink, counted=False))
        patch.setattr(durable, "commit", self._wrapped("commit", durable.commit))

    def _wrapped(
        self, name: str, real: Callable[..., object], *, counted: bool = True
    ) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            if self._is_dead:
                raise PowerCut
            if not counted:
                return real(*args, **kwargs)
            self.names.append(name)
            if len(self.names) - 1 != self._at:
                return real(*args, **kwargs)
            self._is_dead = isinstance(self._fault, PowerCut)
            if self._after:
                real(*args, **kwargs)
            raise self._fault

        return call
