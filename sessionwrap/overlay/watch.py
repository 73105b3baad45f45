"""Tells for the price of one read(2) whether files may have changed since it was last asked."""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import termios
from collections.abc import Iterable
from typing import Final

# inotify(7), sys/inotify.h
_MODIFY: Final = 0x2
_ATTRIB: Final = 0x4
_MOVED: Final = 0x40 | 0x80
_CREATE: Final = 0x100
_DELETE: Final = 0x200
_SELF: Final = 0x400 | 0x800
_MASK: Final = _MODIFY | _ATTRIB | _MOVED | _CREATE | _DELETE | _SELF
_FLAGS: Final = os.O_NONBLOCK | os.O_CLOEXEC
_NOTHING: Final = bytes(struct.calcsize("i"))
_ROOM: Final = 64 * (struct.calcsize("iIII") + 256)


class Watch:
    """Watches files, and the directories that they are in, for files are mostly replaced.

    Some changes are not seen: of a file on another host, and a mount over a file. Who asks must
    look at the files themselves from time to time.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None)
        self._fd: int = self._libc.inotify_init1(_FLAGS)

    def close(self) -> None:
        """End the watch."""
        if self._fd >= 0:
            os.close(self._fd)

    def add(self, paths: Iterable[str]) -> None:
        """Watch what is there now of ``paths``; a file that was replaced is to be added again."""
        for path in {*paths, *map(os.path.dirname, paths)}:
            self._libc.inotify_add_watch(self._fd, os.fsencode(path), _MASK)

    def may_have_changed(self) -> bool:
        """Tell whether something has happened since; always yes where the kernel has no watch for
        us (fs.inotify.max_user_instances).
        """
        if self._fd >= 0:
            # Asked for first: a read that has nothing to read costs more.
            if fcntl.ioctl(self._fd, termios.FIONREAD, _NOTHING) == _NOTHING:
                return False
            os.read(self._fd, _ROOM)
        return True
