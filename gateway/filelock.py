"""One process owns a file: an advisory lock beside it, held while the process lives."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path


class FileLock:
    """The lock `<file>.lock`. The system gives it back when the process ends, however it ends."""

    def __init__(self, file: Path, *, locked: Callable[[str], Exception]) -> None:
        """Takes the lock. Raises `locked(holder)` when another has it, `holder` such as " (pid 17)" or empty; OSError
        when the folder cannot be written."""
        path = file.with_name(file.name + ".lock")
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 64, 0).decode(errors="replace").strip()
            self.release()
            raise locked(f" ({holder})" if holder else "") from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"pid {os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Gives the lock back; idempotent. The file stays: to remove it could take a lock from under a third one."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
