"""What the hook asks the overlay: can this login have been given another shell than ours?

A login program looks a user up once, sometimes long before it starts the shell. If the overlay
was away then, or said that there is no record, the program has the user's own shell, whatever
NSS says now. Standard library only: every login waits for this.
"""

from __future__ import annotations

import os
import time

from sessionwrap import accounts, handshake, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

SECONDS = 2
TICKS = 100
"""Clock ticks a second, of /proc/PID/stat (USER_HZ)."""
WAY = ("/etc/nsswitch.conf",)
"""What leads NSS to the overlay, besides its socket."""
SURE = b'{"parameters": {"sure": true}}\0'
UNSURE = b'{"parameters": {"sure": false}}\0'


def is_sure(
    user: str, start: int, path: str = paths.OVERLAY_SOCKET, *, pid: int | None = None
) -> bool:
    """Ask about a process that began ``start`` clock ticks after boot: it cannot have been told
    that there is no record; with its ``pid``: it was given our record, each time it asked.

    OSError where the overlay does not answer, or is not there.
    """
    if any(was_changed(where, start) for where in (path, *WAY)):
        return False
    # Not json: importing that costs more than the rest of the hook.
    name = "".join(c if c not in '"\\' and c >= " " else f"\\u{ord(c):04x}" for c in user)
    question = f'{{"method": "{accounts.OVERLAY}.IsSure", "parameters": '
    process = "" if pid is None else f', "pid": {pid}'
    question += f'{{"userName": "{name}", "since": {start / TICKS:.2f}{process}}}}}\0'
    sock = handshake.connect(path, SECONDS, handshake.STREAM)
    try:
        sock.sendall(question.encode("utf-8", "replace"))
        return _receive(sock) == SURE
    finally:
        sock.close()


def was_changed(path: str, start: int) -> bool:
    """Tell whether a file was put there, moved or written after ``start``. OSError.

    A time that has not come yet means that the clock was set back: it says nothing.
    """
    now = time.time()
    began = now - (time.clock_gettime(time.CLOCK_BOOTTIME) - start / TICKS)
    return began <= os.stat(path).st_ctime <= now


def _receive(sock: _socket.socket) -> bytes:
    data = b""
    while not data.endswith(b"\0"):
        part = sock.recv(256)
        if not part or len(data) > 1024:
            raise OSError("the user database does not answer")
        data += part
    return data
