"""A file as a sink: one line a message, several recordings side by side."""

from __future__ import annotations

import fcntl
import os
import stat

from sessionwrap.errors import SinkError
from sessionwrap.model import Head
from sessionwrap.settings import Settings


class FileSink:
    """Appends whole lines, or nothing: a line that does not fit is taken back."""

    def __init__(self, _head: Head, settings: Settings) -> None:
        self._path = settings.text("file.path")
        self._fd = -1

    def write(self, message: bytes, _number: int) -> bool:
        """Take one message; see ``sinks.Sink``. A file is never busy."""
        line = message + b"\n"
        try:
            if self._fd < 0:
                self._open()
            # Other workers write here too. The kernel ends the lock with whoever holds it.
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            try:
                size = os.fstat(self._fd).st_size
                if os.write(self._fd, line) != len(line):
                    os.ftruncate(self._fd, size)
                    raise SinkError(f"{self._path}: no space for a message")
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        except OSError as error:
            self.close()
            raise SinkError(f"{self._path}: {error.strerror}") from error
        return True

    def fileno(self) -> int:
        """Give -1: a file is never waited for."""
        return -1

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self._path, flags | os.O_NONBLOCK, 0o600)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise SinkError(f"{self._path} is not a regular file")
        self._fd = fd
