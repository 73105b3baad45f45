"""What NSS says of an account below the overlay, asked in processes of their own.

A directory may be slow, or hang: then the process that asked it hangs, and nobody else. What a
lookup costs is paid by who asks for that user. No question comes back to us.
"""

from __future__ import annotations

import json
import os
import pwd
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, NoReturn

from sessionwrap import accounts
from sessionwrap.local_accounts import Account
from sessionwrap.overlay import local

MAX_PROCESSES: Final = 32
MAX_ANSWER: Final = 1 << 20
GIVE_UP_SECONDS: Final = 10.0
"""A process that answers nothing for so long is ended. The hook waits a little longer for groups:
it must know them of whom we say that there is no record."""

Key = str | int
"""A user's name, or a uid."""


class Found(NamedTuple):
    """What NSS says: the account, None where there is none, and the names of all its groups, None
    where they are still being looked for.
    """

    account: Account | None
    groups: tuple[str, ...] | None


class Lookup(NamedTuple):
    """A question that a process is at: ``since`` is on the monotonic clock, in seconds."""

    key: Key
    since: float


class Directory:
    """Asks in up to MAX_PROCESSES processes at once, which are started as they are needed.

    ``on_start`` and ``on_end`` are told the descriptor of each process, to poll it.
    """

    def __init__(self, on_start: Callable[[int], None], on_end: Callable[[int], None]) -> None:
        self._on_start = on_start
        self._on_end = on_end
        self._sockets: dict[int, socket.socket] = {}
        self._pids: dict[int, int] = {}
        self._busy: dict[int, Lookup] = {}

    def ask(self, key: Key) -> bool:
        """Have a process look ``key`` up; False where all are busy, or none can be started."""
        idle = [fd for fd in self._sockets if fd not in self._busy]
        if not idle and len(self._sockets) >= MAX_PROCESSES:
            return False
        try:
            fd = idle[0] if idle else self._start()
        except OSError:
            return False  # the machine has no processes left; the next question tries again
        try:
            self._sockets[fd].send(json.dumps(key).encode())
        except OSError:
            self._end(fd)  # it was killed; the next question starts another
            return False
        self._busy[fd] = Lookup(key, time.monotonic())
        return True

    def receive(self, fd: int) -> tuple[Key, Found | None] | None:
        """Read the answer on a descriptor: (key, found), found None where the process has died.

        The account comes first, its groups in a second answer. None where there was no question.
        """
        try:
            data = self._sockets[fd].recv(MAX_ANSWER)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        lookup = self._busy.get(fd)
        if not data:
            self._end(fd)
            return (lookup.key, None) if lookup else None
        if lookup is None:
            return None
        account, groups = json.loads(data)
        if groups is not None:
            del self._busy[fd]
            groups = tuple(groups)
        return lookup.key, Found(Account(*account) if account else None, groups)

    def end_hanging(self) -> list[Key]:
        """End the processes that have been at a question for too long; give the questions."""
        limit = time.monotonic() - GIVE_UP_SECONDS
        late = {fd: lookup.key for fd, lookup in self._busy.items() if lookup.since < limit}
        for fd in late:
            self._end(fd)
        return list(late.values())

    @property
    def oldest(self) -> float | None:
        """When the question was asked that waits longest; None where none waits."""
        return min((lookup.since for lookup in self._busy.values()), default=None)

    def _start(self) -> int:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                pid = os.fork()
            except OSError:
                ours.close()
                raise
            if pid == 0:
                _answer_questions(theirs)
        ours.setblocking(False)
        fd = ours.fileno()
        self._sockets[fd], self._pids[fd] = ours, pid
        self._on_start(fd)
        return fd

    def _end(self, fd: int) -> None:
        self._busy.pop(fd, None)
        self._on_end(fd)
        self._sockets.pop(fd).close()
        os.kill(self._pids[fd], signal.SIGKILL)
        os.waitpid(self._pids.pop(fd), 0)


def _answer_questions(sock: socket.socket) -> NoReturn:
    """Be such a process: ends when the socket does, whatever happens."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        kept = sock.fileno()
        os.closerange(3, kept)
        os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))
        while data := sock.recv(MAX_ANSWER):
            for found in look_up(json.loads(data)):
                sock.send(json.dumps(found).encode("utf-8", "surrogatepass"))
        status = 0
    finally:
        os._exit(status)


def look_up(key: Key) -> Iterator[Found]:
    """Ask NSS, in this process, whose environment it changes, for the account and then its groups;
    an error of a source counts as "not there", as for getpwnam(3).

    So does a user of systemd's user database, who may be in groups all the same: systemd's module
    asks all its services at once and takes the first answer. Ours would come first at one time and
    not at another, and the hook could not tell.
    """
    os.environ["SYSTEMD_BYPASS_USERDB"] = "1"
    try:
        entry = pwd.getpwnam(key) if isinstance(key, str) else pwd.getpwuid(key)
    except (KeyError, ValueError, OSError):
        yield Found(None, ())
        return
    if any(os.path.lexists(f"{directory}/{entry.pw_name}.user") for directory in local.USERDB):
        yield Found(None, ())
        return
    account = Account(
        entry.pw_name, entry.pw_uid, entry.pw_gid, entry.pw_gecos, entry.pw_dir, entry.pw_shell
    )
    yield Found(account, None)
    accounts.bypass_overlay()
    yield Found(account, accounts.groups_of(entry.pw_name, entry.pw_gid))
