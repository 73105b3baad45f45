"""inotify(7) for one file, through the C library: the standard library has no binding."""

from __future__ import annotations

import contextlib
import ctypes
import os

IN_MODIFY = 0x2
_READ_SIZE = 4096


class FileWatch:
    """A descriptor that is readable when the file has been written to.

    OSError where the kernel gives none (its limit of watches, some file systems).
    """

    def __init__(self, path: str) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        if libc.inotify_add_watch(self._fd, os.fsencode(path), IN_MODIFY) < 0:
            errno = ctypes.get_errno()
            os.close(self._fd)
            raise OSError(errno, "inotify_add_watch")

    def fileno(self) -> int:
        """Give the descriptor to poll."""
        return self._fd

    def acknowledge(self) -> None:
        """Take what was reported, so that the descriptor waits again."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._fd, _READ_SIZE):
                pass

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)
