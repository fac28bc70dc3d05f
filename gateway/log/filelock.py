"""One process owns the log file: an advisory lock beside it, held while the process lives."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from gateway.contracts.errors import LogLocked


class FileLock:
    """The lock `<file>.lock`. The system releases it when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        """Takes the lock. Raises LogLocked when another has it, OSError when the folder cannot be written."""
        lock = path.with_name(path.name + ".lock")
        self._descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip()
            os.close(self._descriptor)
            raise LogLocked(
                f"the log file {path} belongs to another process{f' ({holder})' if holder else ''}: "
                "stop it first, or give this one a log of its own"
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"pid {os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Gives the lock back. The file stays: removing it could take a lock from under a third process."""
        os.close(self._descriptor)
