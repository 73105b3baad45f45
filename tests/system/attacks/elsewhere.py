"""Run su or sudo in a recorded terminal and have it show another user's shell on one of ours.

`streams`: its standard streams are a pty of ours, its controlling terminal is the recorded one.
`devpts`: its standard streams are the recorded terminal, and what controls it is a pty of a devpts
instance of our own, with the same number. Says whether the shell there is carol's.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import socket
import sys
import tempfile
import termios

CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
TIOCGPTN, TIOCSPTLCK = 0x80045430, 0x40045431
PROMPT = b"ready$ "


def same_number_elsewhere(wanted: int, to_parent: socket.socket) -> None:
    """Pass the master and the slave of a pty that has the number ``wanted`` in another instance."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    directory = tempfile.mkdtemp()
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{uid} {uid} 1"),
        ("gid_map", f"{gid} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    if libc.mount(b"devpts", directory.encode(), b"devpts", 0, b"newinstance,ptmxmode=0666"):
        raise OSError(ctypes.get_errno(), "mount")
    while True:
        master = os.open(f"{directory}/ptmx", os.O_RDWR | os.O_NOCTTY)
        number = array.array("i", [0])
        fcntl.ioctl(master, TIOCGPTN, number)
        if number[0] == wanted:
            break
    fcntl.ioctl(master, TIOCSPTLCK, array.array("i", [0]))
    slave = os.open(f"{directory}/{wanted}", os.O_RDWR | os.O_NOCTTY)
    socket.send_fds(to_parent, [b"x"], [master, slave])


def pty_of_another_instance() -> tuple[int, int]:
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        same_number_elsewhere(os.minor(os.fstat(0).st_rdev), theirs)
        os._exit(0)
    _, (master, slave), _, _ = socket.recv_fds(ours, 1, 2)
    return master, slave


def start(how: str, command: list[str], slave: int) -> None:
    """Become the command, on the terminals that ``how`` says."""
    if how == "devpts":
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    else:
        for fd in (0, 1, 2):
            os.dup2(slave, fd)
    os.execvp(command[0], command)


def main() -> None:
    how, command = sys.argv[1], sys.argv[2:]
    master, slave = pty_of_another_instance() if how == "devpts" else os.openpty()
    if os.fork() == 0:
        start(how, command, slave)
    os.close(slave)
    seen = b""
    answers = [(b"Password: ", b"secret\n"), (PROMPT, b"id -un\n"), (b"\r\n" + PROMPT, b"exit\n")]
    if how == "devpts":
        del answers[0]
    while True:
        try:
            seen += os.read(master, 4096)
        except OSError:
            break
        if answers and seen.endswith(answers[0][0]):
            os.write(master, answers.pop(0)[1])
    print("it said carol" if b"\r\ncarol\r\n" in seen else seen)


main()
