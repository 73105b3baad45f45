"""Which recordings run, and what they show.

Each worker leaves a link `pts-N` beside the spools that names its recording. So the recorder knows
a terminal that it made itself, when it is passed one. At a socket beside it the worker tells which
session that terminal controls at this moment, for only who holds a master can see that, and whether
it may lose what is shown.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import select
import socket
import struct
from typing import Final, NamedTuple

from sessionwrap import paths, scope, tickets
from sessionwrap.recorder.spool import SUFFIX
from sessionwrap.recording_pty import TIOCGSID

PTS_MAJOR: Final = 136
"""Major number of Unix98 pty slaves (devices.txt of the kernel)."""
ANSWER_SECONDS: Final = 2.0
"""How long another worker may take to say which session its pty controls."""
_SID: Final = struct.Struct("i")
_STATE: Final = struct.Struct("i?")


class _State(NamedTuple):
    """What a worker says of its recording: the session on its pty (0: none), and its policy."""

    session: int
    may_lose: bool


class _Process(NamedTuple):
    """What the kernel says of a process: proc(5). ``terminal`` is a device number, 0 for none;
    ``uid`` is the effective one.
    """

    parent: int
    session: int
    terminal: int
    start: int
    uid: int


def recording_id(pid: int) -> str:
    """Give the id of the recording that process ``pid`` makes (tlog's form, unique on the host)."""
    return f"{_boot_id()}-{pid:x}-{tickets.parent_and_start(pid)[1]:x}"


@functools.cache
def _boot_id() -> str:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read(64).strip().replace("-", "")


def pid_of(rec: str) -> int | None:
    """Give the pid of the worker that makes a recording; None when it has gone."""
    try:
        pid = int(rec.split("-")[1], 16)
        return pid if recording_id(pid) == rec else None
    except (OSError, ValueError, IndexError):
        return None


def wait_for_worker(rec: str) -> bool:
    """Wait until the worker that makes a recording has ended; False where it had before."""
    pid = pid_of(rec)
    try:
        pidfd = os.pidfd_open(pid) if pid is not None else -1
    except ProcessLookupError:
        return False
    if pidfd == -1:
        return False
    try:
        if pid_of(rec) is None:
            return False  # what was opened is another process that was given the pid meanwhile
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.poll()
    finally:
        os.close(pidfd)
    return True


def link_pty(slave: int, rec: str) -> None:
    """Note that a recording pty is that of ``rec``."""
    temporary = f"{paths.SPOOL_DIR}/{rec}.pty"
    os.symlink(rec, temporary)
    # A worker that was killed may have left one of that name.
    os.rename(temporary, _link(os.fstat(slave).st_rdev))


def unlink_pty(tty: str, rec: str) -> None:
    """Take the note back, unless the pty (/dev/pts/N) has become another recording's meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_socket_path(rec))
    link = f"{paths.SPOOL_DIR}/pts-{tty.rpartition('/')[2]}"
    try:
        if os.readlink(link) == rec:
            os.unlink(link)
    except OSError:
        return  # gone already


def recording_on(device: int) -> str:
    """Give the recording that runs on a terminal by its device number; "" where none does."""
    if os.major(device) != PTS_MAJOR:
        return ""
    try:
        rec = os.readlink(_link(device))
    except OSError:
        return ""
    running = os.path.exists(f"{paths.SPOOL_DIR}/{rec}{SUFFIX}") and pid_of(rec) is not None
    return rec if running else ""


def listen(rec: str) -> socket.socket:
    """Open the socket at which other workers ask the one of ``rec``; see ``answer``."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.setblocking(False)
    listener.bind(_socket_path(rec))
    listener.listen()
    return listener


def answer(listener: socket.socket, master: int, *, may_lose: bool) -> None:
    """Tell one who asks which session the slave of ``master`` controls, and ``may_lose``."""
    try:
        connection, _ = listener.accept()
    except OSError:
        return  # gone again
    with connection, contextlib.suppress(OSError):
        try:
            (session,) = _SID.unpack(fcntl.ioctl(master, TIOCGSID, bytes(_SID.size)))
        except OSError:
            session = 0
        connection.send(_STATE.pack(session, may_lose))


def _ask(rec: str) -> _State:
    """Ask the worker of a recording; OSError without an answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asking:
        asking.settimeout(ANSWER_SECONDS)
        asking.connect(_socket_path(rec))
        data = asking.recv(_STATE.size)
    if len(data) != _STATE.size:
        raise ConnectionResetError(f"the worker of {rec} has ended")
    return _State(*_STATE.unpack(data))


def recording_that_shows(terminal: int, pid: int, ticket: tickets.Ticket) -> str:
    """Give the recording that has all that is shown on ``terminal``; "" where none is sure to.

    Only for what controls process ``pid``, whose login has ``ticket``. A recording that may lose
    something is none for a login of which nothing may be lost.
    """
    found = os.fstat(terminal)
    try:
        same_instance = found.st_dev == os.stat("/dev/pts").st_dev
        if not same_instance or tickets.terminal_of(pid) != found.st_rdev:
            return ""
        rec = recording_on(found.st_rdev) or _recording_behind(found.st_rdev, pid, ticket)
        too_lenient = rec and ticket.policy == scope.STRICT and _ask(rec).may_lose
    except OSError:
        return ""
    return "" if too_lenient else rec


def _recording_behind(device: int, pid: int, ticket: tickets.Ticket) -> str:
    """Give the recording that shows a pty which the PAM application opened for this login: sudo's.

    sudo with `use_pty` shows its pty on its own controlling terminal. A process that it forks leads
    the session on that pty and forks the shell (exec_pty.c, exec_monitor.c of sudo). Only who leads
    a session changes what controls it, and these two, which run as root, no user can trace.
    Nothing like it can be said of `su -P`: it shows its pty on its stdin and stdout, whatever they
    are (pty-session.c of util-linux), and the user's own process leads the session.

    A terminal's number says too little: it may be of another devpts instance, which any user can
    mount. So the worker of that recording is asked which session its pty controls. OSError where
    a process or that worker has gone.
    """
    leader = _process(pid).session
    outer = tickets.terminal_of(ticket.pid)
    rec = recording_on(outer)
    if leader == pid or not rec or not ticket.start:
        return ""
    session = _ask(rec).session
    # Only now: what controls a process that leads no session does not change but to nothing.
    application, between, caller = _process(ticket.pid), _process(leader), _process(pid)
    holds = (
        (application.uid, application.start) == (0, ticket.start)
        and (application.session, application.terminal) == (session, outer)
        and (between.uid, between.parent) == (0, ticket.pid)
        and (between.session, between.terminal) == (leader, device)
        and (caller.session, caller.terminal) == (leader, device)
    )
    return rec if holds else ""


def _process(pid: int) -> _Process:
    fields = tickets.stat_fields(pid)
    return _Process(
        parent=int(fields[1]),
        session=int(fields[3]),
        terminal=int(fields[4]),
        start=int(fields[19]),
        uid=os.stat(f"/proc/{pid}").st_uid,
    )


def parent_of(pid: int) -> str:
    """Give the recording that the nearest ancestor of a process runs in; "" where none does."""
    try:
        parent = int(tickets.stat_fields(pid)[1])
        for _ in range(tickets.MAX_ANCESTORS):
            if parent <= 1:
                break
            fields = tickets.stat_fields(parent)
            if rec := recording_on(int(fields[4])):
                return rec
            parent = int(fields[1])
    except OSError:
        pass  # one has gone
    return ""


def _link(device: int) -> str:
    return f"{paths.SPOOL_DIR}/pts-{os.minor(device)}"


def _socket_path(rec: str) -> str:
    return f"{paths.SPOOL_DIR}/{rec}.session"
