"""Try to reach the terminals of ours that are not the one that we were given; print what worked.

Arguments: pids of processes of ours to look into.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import termios

BYTE = b"x"


def outer_terminals() -> list[str]:
    """Give the ptys that are ours and are not the one on fd 0."""
    own = os.ttyname(0)
    names = [f"/dev/pts/{name}" for name in os.listdir("/dev/pts") if name.isdigit()]
    return [name for name in names if name != own and os.stat(name).st_uid == os.getuid()]


def opens(path: str) -> None:
    """Open a terminal in every way; say what is not refused as busy."""
    for flags in (os.O_RDWR, os.O_RDONLY, os.O_WRONLY | os.O_NONBLOCK, os.O_RDWR | os.O_NOCTTY):
        try:
            os.close(os.open(path, flags))
        except OSError as error:
            if error.errno != errno.EBUSY:
                print(f"opening {path} gave {error.strerror}")
        else:
            print(f"opened {path}")


def holders(outer: list[str]) -> None:
    """Look through the descriptors of every process for a terminal that is not to be had."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            names = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for name in names:
            try:
                target = os.readlink(f"/proc/{pid}/fd/{name}")
            except OSError:
                continue  # the one that listdir itself had
            if target in outer or target == "/dev/ptmx":
                print(f"process {pid} has {target}")


def pushes_input() -> None:
    """TIOCSTI must reach no more than the recording pty, which /dev/tty is."""
    terminal = os.open("/dev/tty", os.O_RDWR)
    if os.major(os.fstat(0).st_rdev) != 136 or os.ttyname(terminal) != "/dev/tty":
        print("this is no pty")
    current = fcntl.ioctl(terminal, 0x80045432, bytes(4))  # TIOCGDEV: the device behind /dev/tty
    if int.from_bytes(current, sys.byteorder) & 0xFF != os.minor(os.fstat(0).st_rdev) & 0xFF:
        print("/dev/tty is another terminal than fd 0")
    os.close(terminal)


def main() -> None:
    """Try everything."""
    outer = outer_terminals()
    print(f"found {len(outer)}")
    for path in outer:
        opens(path)
        try:
            os.chmod(path, 0o666)  # noqa: S103 # an attack
        except OSError as error:
            print(f"chmod gave {error.strerror}")
        opens(path)
    holders(outer)
    pushes_input()
    fcntl.ioctl(0, termios.TIOCNXCL)  # of the recording pty; the outer one does not hear of it
    for path in outer:
        opens(path)
    print("tried")


main()
