"""What tells whether a file has changed since it was read."""

from __future__ import annotations

import os
from collections.abc import Iterable

Stamps = list[tuple[int, int, int]]


def stamps(paths: Iterable[str]) -> Stamps:
    """Give what changes with each file or directory: (ctime in ns, inode, size), zeros for what
    is not there. Unlike mtime, ctime changes with the mode and the owner too, and cannot be set.
    """
    found: Stamps = []
    for path in paths:
        try:
            status = os.stat(path)
        except OSError:
            found.append((0, 0, 0))
        else:
            found.append((status.st_ctime_ns, status.st_ino, status.st_size))
    return found
