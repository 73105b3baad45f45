"""Entries that the journal may not have taken from the hook: kept, and sent with a later login.

An alert must name who got in unrecorded while journald was away or its disk full, too. What is
kept is root's: nobody else can read or forge it. Standard library only: every login waits for this.
"""

from __future__ import annotations

import os
import time
from errno import ENOSPC

from sessionwrap import journal_protocol, paths
from sessionwrap.errors import SinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ENTRIES = 1000
"""What comes beyond that is dropped; the one that is kept last says so."""
MAX_BYTES = 65536
AT_ONCE = 32
"""How many one login sends."""


def log(
    fields: Mapping[str, str],
    directory: str = paths.UNHEARD_DIR,
    journal: str = paths.JOURNAL_SOCKET,
    *,
    is_kept: bool = True,
) -> None:
    """Log an entry, and keep it for later where the journal does not take it, or has no room.

    ``is_kept`` is false where it is known that the journal keeps nothing. OSError where neither
    can be.
    """
    taken = journal_protocol.log(fields, journal)
    if not (taken and is_kept and journal_protocol.has_room()):
        _keep(dict(fields), directory)


def _keep(fields: dict[str, str], directory: str) -> None:
    os.makedirs(directory, mode=0o700, exist_ok=True)
    kept = len(os.listdir(directory))
    if kept >= MAX_ENTRIES:
        return
    dropped = ". Later ones were dropped" if kept == MAX_ENTRIES - 1 else ""
    when = time.strftime("%Y-%m-%d %H:%M:%S %Z")
    fields["MESSAGE"] += f" (said late: it was {when}, and the journal was away or full{dropped})"
    name = f"{directory}/{time.time_ns():020}-{os.getpid()}"
    temporary = f"{directory}/.{os.getpid()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    data = journal_protocol.pack(fields)
    try:
        # Who calls su has a say in how large our files may be (RLIMIT_FSIZE).
        if os.write(fd, data) != len(data):
            raise OSError(ENOSPC, "an entry could not be kept as a whole")
        os.rename(temporary, name)
    except OSError:
        os.unlink(temporary)
        raise
    finally:
        os.close(fd)


def waits(directory: str = paths.UNHEARD_DIR) -> bool:
    """Tell whether there is something to send. OSError."""
    try:
        return bool(os.listdir(directory))
    except FileNotFoundError:
        return False


def send(directory: str = paths.UNHEARD_DIR, journal: str = paths.JOURNAL_SOCKET) -> None:
    """Send what was kept, the oldest first, if the journal takes it now. OSError.

    For who knows that the journal keeps what it takes.
    """
    names = sorted(name for name in os.listdir(directory) if name[0] != ".")
    try:
        sock = journal_protocol.connect(journal)
    except SinkError:
        return
    try:
        for name in names[:AT_ONCE]:
            if not _send_one(sock, f"{directory}/{name}", f"{directory}/.{os.getpid()}"):
                return
    finally:
        sock.close()


def _send_one(sock: journal_protocol.Socket, path: str, claimed: str) -> bool:
    """Send one and forget it; false where the journal does not take it."""
    try:
        os.rename(path, claimed)  # of two hooks only one sends it
    except FileNotFoundError:
        return True
    fd = os.open(claimed, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        sent = journal_protocol.send_as_init(sock, os.read(fd, MAX_BYTES))
    except SinkError:
        sent = False
    finally:
        os.close(fd)
    if sent:
        os.unlink(claimed)
    else:
        os.rename(claimed, path)
    return sent
