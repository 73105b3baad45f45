"""The recording pty comes in the place of the user's terminal.

The second half of the handover. Afterwards nothing of ours is left in the user's processes, but for
a parent that waits where there must be one. Runs with the user's rights; standard library only.
"""

from __future__ import annotations

import _signal as signal  # the module `signal` makes enums of everything: milliseconds
import _socket
import fcntl
import posix as os  # what the module `os` is made of, which takes most of a millisecond more
import termios

from sessionwrap import handshake

TIOCGSID = 0x5429
"""asm-generic/ioctls.h; termios has no name for it."""
DRAIN_SECONDS = 5
"""How long a terminal that outlives us is waited for, until its last output is on it."""


def take(
    sock: _socket.socket,
    slave: int,
    env: dict[bytes, bytes],
    mode: bytes,
    saved: list[object] | None,
) -> None:
    """Go on in the recording pty, in this process or in a child.

    ``saved`` are the attributes of a terminal that is to be given back, None of any other.
    """
    terminals = _terminals()
    if mode != handshake.GUEST:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # sent to who gives a terminal up
        fcntl.ioctl(0, termios.TIOCNOTTY)
    if mode != handshake.LEADER:
        _fork_and_wait(slave, sock, saved)
    _take(slave, terminals)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if b"SSH_TTY" in env:
        env[b"SSH_TTY"] = os.ttyname(0).encode()
    sock.send(handshake.TAKEN)


def _terminals() -> list[int]:
    """Give the descriptors that are the terminal on fd 0, by whatever name it was opened.

    Streams that are something else stay what they are: `su -c CMD >file` keeps its file. A
    terminal opened as /dev/tty has that device's number, but only what controls this session
    has its TIOCGSID (tty_ioctl(4)).
    """
    device = os.fstat(0).st_rdev
    is_controlling = _controls_session(0)
    found = []
    for fd in [int(name) for name in os.listdir("/proc/self/fd")]:
        try:
            same = os.fstat(fd).st_rdev == device or (is_controlling and _controls_session(fd))
        except OSError:
            continue  # the one that listdir itself read from
        if same and os.isatty(fd):
            found.append(fd)
    return found


def _controls_session(fd: int) -> bool:
    try:
        fcntl.ioctl(fd, TIOCGSID, bytes(4))
    except OSError:
        return False
    return True


def _take(slave: int, terminals: list[int]) -> None:
    """Make the recording pty the controlling terminal and put it where the old one was."""
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in terminals:
        os.dup2(slave, fd)
    os.close(slave)
    os.tcsetpgrp(0, os.getpid())


def _fork_and_wait(slave: int, sock: _socket.socket, saved: list[object] | None) -> None:
    """Go on as a child that leads a session of its own; the parent waits and ends as it does.

    ``saved`` are the attributes of a terminal that is to be given back. The parent holds nothing
    that the user could take from it: its terminal is closed, or the process is closed to ptrace.
    """
    child = os.fork()
    if child == 0:
        os.setsid()
        return
    os.close(slave)
    if saved is None:
        null = os.open("/dev/null", os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
    else:
        _close_to_ptrace()
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)

    def forward_winch(_number: int, _frame: object) -> None:
        try:
            sock.send(handshake.WINCH)
        except OSError:
            return  # the worker has gone; the child is about to learn it

    signal.signal(signal.SIGWINCH, forward_winch)
    _, status = os.waitpid(child, 0)
    signal.signal(signal.SIGWINCH, signal.SIG_IGN)
    _wait_for_last_output(sock)
    if saved is not None:
        _give_back(saved)
    _end_like(status)


def _close_to_ptrace() -> None:
    import ctypes  # slow, and only `su` and its like come here

    ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE (prctl(2))


def _wait_for_last_output(sock: _socket.socket) -> None:
    """Wait until the worker has let go of the terminal: all output is on it then."""
    handshake.limit_time(sock, DRAIN_SECONDS)
    try:
        # A job that was left in the background keeps the recording pty open.
        sock.send(handshake.ENDED)
        sock.recv(1)  # nothing is ever sent: the end of it is what we wait for
    except OSError:
        return  # it takes too long, or the worker was killed


def _give_back(saved: list[object]) -> None:
    """See that the terminal is as it was: the worker did all this, unless it was killed."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        os.set_blocking(0, True)
        fcntl.ioctl(0, termios.TIOCNXCL)
        termios.tcsetattr(0, termios.TCSADRAIN, saved)  # type: ignore[arg-type]  # tcgetattr's own
    except (OSError, termios.error):
        return  # the terminal has gone


def _end_like(status: int) -> None:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
