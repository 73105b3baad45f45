"""A login on a pty: a session leader with its user's rights, started as a login program would.

Who calls is the client at the other end: it types into ``master`` and reads what is shown.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import struct
import termios
import time
from collections.abc import Sequence
from types import TracebackType
from typing import NamedTuple, NoReturn, Self

from tests.bench.errors import BenchError

CHUNK = 65536
BASHRC = 'eval "$BENCH"\nexit\n'
"""~/.bashrc of the users: the interactive shell of a login runs what it finds in ``BENCH``."""
HOOK = "/usr/libexec/sessionwrap/pam-hook"
_STAMP = struct.Struct("<Q")
_WINSIZE = struct.pack("HHHH", 24, 80, 0, 0)


class Login(NamedTuple):
    """A program on a pty: its pid, the pty's master, and when it was started.

    ``start`` is CLOCK_MONOTONIC in nanoseconds just before exec.
    """

    pid: int
    master: int
    start: int

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.end()

    def type(self, data: bytes) -> None:
        """Type something."""
        os.write(self.master, data)

    def read(self) -> bytes:
        """Give what is shown next; b"" once the terminal was hung up at its other end."""
        try:
            return os.read(self.master, CHUNK)
        except OSError:
            return self._read_last()

    def _read_last(self) -> bytes:
        # EIO: nobody has the slave open any more. What was written just before may come after.
        try:
            return os.read(self.master, CHUNK)
        except OSError:
            return b""

    def read_until(self, marker: bytes) -> bytes:
        """Read until ``marker`` was shown; BenchError when the terminal ends before."""
        shown = b""
        while marker not in shown:
            data = self.read()
            if not data:
                raise BenchError(f"a terminal ended before {marker!r}: {shown[-400:]!r}")
            shown += data
        return shown

    def read_all(self) -> int:
        """Read until the terminal ends; gives how many bytes were shown."""
        place = memoryview(bytearray(CHUNK))
        count = 0
        while True:
            try:
                count += os.readv(self.master, [place])
            except OSError:
                return count + len(self._read_last())

    def end(self) -> None:
        """Hang up and wait for the program's end."""
        os.close(self.master)
        os.waitpid(self.pid, 0)


def start(user: str, argv: Sequence[str], command: str, *, hook: bool = False) -> Login:
    """Start a program as ``user`` in an audit session and on a terminal of its own.

    ``command`` is run by the interactive shell that the program starts. With ``hook`` the PAM
    hook is asked first, as sshd's PAM stack would.
    """
    account = pwd.getpwnam(user)
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, _WINSIZE)
    os.fchmod(slave, 0o620)
    os.fchown(slave, account.pw_uid, -1)
    to_parent, from_child = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(account, argv, command, slave=slave, stamps=from_child, hook=hook)
    os.close(slave)
    os.close(from_child)
    stamp = os.read(to_parent, _STAMP.size)
    os.close(to_parent)
    if len(stamp) != _STAMP.size:
        raise BenchError(f"{argv[0]} could not be started")
    return Login(pid, master, _STAMP.unpack(stamp)[0])


def _become(
    account: pwd.struct_passwd,
    argv: Sequence[str],
    command: str,
    *,
    slave: int,
    stamps: int,
    hook: bool,
) -> NoReturn:
    try:
        # What pam_loginuid does: a session of its own (credentials of audit, proc(5)).
        with open("/proc/self/loginuid", "w", encoding="ascii") as file:
            file.write(str(account.pw_uid))
        if hook:
            run_hook(account.pw_name, "open_session")
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        for fd in (0, 1, 2):
            os.dup2(slave, fd)
        os.initgroups(account.pw_name, account.pw_gid)
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
        os.chdir(account.pw_dir)
        env = {
            "BENCH": command,
            "HOME": account.pw_dir,
            "LANG": "C.UTF-8",
            "LOGNAME": account.pw_name,
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            # script starts this, and must not be recorded by ours.
            "SHELL": argv[0] if argv[0] == account.pw_shell else "/bin/bash",
            "SHLVL": "0",  # without one our login shell starts a login shell, which tlog does not
            "TERM": "xterm-256color",
            "USER": account.pw_name,
        }
        os.write(stamps, _STAMP.pack(time.monotonic_ns()))
        os.execve(argv[0], list(argv), env)
    finally:
        os._exit(127)


def run_hook(user: str, kind: str, program: str = HOOK) -> None:
    """Run a program as pam_exec runs the hook; BenchError when its status is not 0."""
    env = {"PAM_TYPE": kind, "PAM_USER": user, "PAM_SERVICE": "sshd", "PAM_TTY": "ssh"}
    pid = os.posix_spawn(program, [program], {**env, "PAM_RHOST": "192.0.2.7"})
    _, status = os.waitpid(pid, 0)
    if status:
        raise BenchError(f"{program} for {user} ended with status {status}")
