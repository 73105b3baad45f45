"""Which recordings run, and on which recording pty.

Each worker leaves a link `pts-N` beside the spools that names its recording. So the recorder knows
a terminal that it made itself, when it is passed one.
"""

from __future__ import annotations

import os
from typing import Final

from sessionwrap import paths, tickets
from sessionwrap.recorder.spool import SUFFIX

PTS_MAJOR: Final = 136
"""Major number of Unix98 pty slaves (devices.txt of the kernel)."""


def recording_id(pid: int) -> str:
    """Give the id of the recording that process ``pid`` makes (tlog's form, unique on the host)."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read(64).strip().replace("-", "")
    return f"{boot}-{pid:x}-{tickets.parent_and_start(pid)[1]:x}"


def pid_of(rec: str) -> int | None:
    """Give the pid of the worker that makes a recording; None when it has gone."""
    try:
        pid = int(rec.split("-")[1], 16)
        return pid if recording_id(pid) == rec else None
    except (OSError, ValueError, IndexError):
        return None


def link_pty(slave: int, rec: str) -> None:
    """Note that a recording pty is that of ``rec``."""
    temporary = f"{paths.SPOOL_DIR}/{rec}.pty"
    os.symlink(rec, temporary)
    # A worker that was killed may have left one of that name.
    os.rename(temporary, _link(os.fstat(slave).st_rdev))


def unlink_pty(tty: str, rec: str) -> None:
    """Take the note back, unless the pty (/dev/pts/N) has become another recording's meanwhile."""
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


def recording_of_terminal(terminal: int, pid: int) -> str:
    """Give the recording whose pty ``terminal`` is, if that is what controls process ``pid``."""
    found = os.fstat(terminal)
    try:
        same_instance = found.st_dev == os.stat("/dev/pts").st_dev
        controlling = tickets.terminal_of(pid)
    except OSError:
        return ""
    if not same_instance or controlling != found.st_rdev:
        return ""
    return recording_on(found.st_rdev)


def parent_of(pid: int) -> str:
    """Give the recording that the nearest ancestor of a process runs in; "" where none does."""
    for _ in range(tickets.MAX_ANCESTORS):
        try:
            pid, _ = tickets.parent_and_start(pid)
            if pid <= 1:
                break
            rec = recording_on(tickets.terminal_of(pid))
        except OSError:
            break  # it has gone
        if rec:
            return rec
    return ""


def _link(device: int) -> str:
    return f"{paths.SPOOL_DIR}/pts-{os.minor(device)}"
