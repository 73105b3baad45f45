"""The login's entry in utmp(5) follows its terminal, so that `who am i` and write(1) find it.

The login program noted the outer terminal; who(1) looks for the one that it runs on. While the
recording pty takes the outer terminal's place it does so here too: the same entry, another line.
"""

from __future__ import annotations

import fcntl
import os
from typing import Final

PATH: Final = "/run/utmp"
_USER_PROCESS: Final = (7).to_bytes(2, "little")
_LINE: Final = slice(8, 40)
_RECORD_BYTES: Final = {"x86_64": 384, "i686": 384, "ppc64le": 384, "aarch64": 400, "riscv64": 400}
"""By machine: glibc keeps 32-bit times in it where a 32-bit ABI had them (bits/utmp.h)."""
_MAX_BYTES: Final = 4 << 20


def move_line(old: str, new: str, path: str = PATH) -> bool:
    """Write ``new`` for ``old`` (device paths) in a login's entry; tells whether there was one.

    A convenience, so nothing waits for it: no utmp, no right to write it, or somebody who holds
    a lock on it (every user can) mean False.
    """
    size = _RECORD_BYTES.get(os.uname().machine)
    if size is None:
        return False
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as glibc's pututxline does, and freed so
        data = os.read(fd, _MAX_BYTES)
        for start in range(0, len(data) - size + 1, size):
            record = data[start : start + size]
            if record[:2] == _USER_PROCESS and record[_LINE] == _line(old):
                return os.pwrite(fd, _line(new), start + _LINE.start) == len(_line(new))
        return False
    except OSError:
        return False
    finally:
        os.close(fd)


def _line(device: str) -> bytes:
    return device.removeprefix("/dev/").encode()[:32].ljust(32, b"\0")
