"""Who is measured: programs that start an interactive shell, and how to find their processes."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from sessionwrap import paths
from tests.bench import relay, terminal

RECORDED = "alice"
UNRECORDED = "bob"

OURS = "ours"
WINDOW = "window"
"""Ours in a terminal window that belongs to no login: there is no ticket."""
TLOG = "tlog"
SCRIPT = "script"
RELAY = "relay"
PLAIN = "plain"
"""Nothing between: the shell alone."""


class Process(NamedTuple):
    """A process: pid, real uid, and its command line."""

    pid: int
    uid: int
    command: bytes


def _ours(process: Process) -> bool:
    return process.uid == pwd.getpwnam(paths.RECORDER_USER).pw_uid


class Contestant(NamedTuple):
    """``argv`` starts it; ``is_recorder`` knows the processes that relay. With ``hook`` the PAM
    hook has written a ticket before, as it does in every login.
    """

    argv: tuple[str, ...]
    is_recorder: Callable[[Process], bool]
    hook: bool = False

    def run(self, command: str) -> terminal.Login:
        """Start it on a terminal, as the recorded user; its shell runs ``command``."""
        return terminal.start(RECORDED, self.argv, command, hook=self.hook)

    def recorders(self) -> list[int]:
        """Give the pids of its processes that relay, a service among them."""
        return [process.pid for process in processes() if self.is_recorder(process)]


CONTESTANTS = {
    PLAIN: Contestant(("/bin/bash",), lambda _: False),
    OURS: Contestant((paths.LOGIN_SHELL,), _ours, hook=True),
    WINDOW: Contestant((paths.LOGIN_SHELL,), _ours),
    TLOG: Contestant(
        ("/usr/bin/tlog-rec-session",),
        lambda process: process.command.startswith(b"/usr/bin/tlog-rec-session\0"),
    ),
    SCRIPT: Contestant(
        ("/usr/bin/script", "--quiet", "--log-out", "/dev/shm/typescript"),  # noqa: S108
        lambda process: process.command.startswith(b"/usr/bin/script\0"),
    ),
    RELAY: Contestant(
        ("/usr/bin/python3", "-IS", relay.__file__),
        lambda process: relay.__file__.encode() in process.command.split(b"\0"),
    ),
}


def processes() -> list[Process]:
    """List the processes of the host."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    command = file.read()
                found.append(Process(int(name), os.stat(f"/proc/{name}").st_uid, command))
    return found
