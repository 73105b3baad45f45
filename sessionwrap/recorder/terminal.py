"""What the recorder does to terminals: the recording pty, and the outer terminal while it is ours.

Facts: tty_ioctl(4), pty(7), termios(3).
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from typing import Any

from sessionwrap.model import Winsize

_WINSIZE = struct.Struct("HHHH")

Attributes = list[Any]
"""What termios.tcgetattr gives."""


def get_winsize(fd: int) -> Winsize:
    """Give the size of a terminal; 0x0 where nobody has set one."""
    rows, columns, _, _ = _WINSIZE.unpack(fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    return Winsize(columns, rows)


def name_of(fd: int) -> str:
    """Give the device path of a terminal; "" where it is one of another devpts instance."""
    try:
        return os.ttyname(fd)
    except OSError:
        return ""


def copy_winsize(source: int, target: int) -> Winsize:
    """Give ``target`` the size of ``source``, pixels included; the kernel sends SIGWINCH."""
    raw = fcntl.ioctl(source, termios.TIOCGWINSZ, bytes(8))
    fcntl.ioctl(target, termios.TIOCSWINSZ, raw)
    rows, columns, _, _ = _WINSIZE.unpack(raw)
    return Winsize(columns, rows)


def open_recording_pty(outer: int, attributes: Attributes, uid: int) -> tuple[int, int]:
    """Open a pty like the outer terminal and give its slave to ``uid``: (master, slave).

    The slave keeps the group that devpts gives it (tty), as login programs leave it.
    """
    master, slave = os.openpty()
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    copy_winsize(outer, slave)
    # Mode before owner: afterwards we are not the owner and have no CAP_FOWNER.
    os.fchmod(slave, 0o620)
    os.fchown(slave, uid, -1)
    os.set_blocking(master, False)
    return master, slave


def raw(attributes: Attributes) -> Attributes:
    """Give the attributes of the outer terminal while we relay: every byte passes as it is."""
    changed = [list(part) if isinstance(part, list) else part for part in attributes]
    changed[0] = attributes[0] & ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
        | termios.IXOFF
        | termios.INPCK
    )
    changed[1] = attributes[1] & ~termios.OPOST
    changed[2] = (attributes[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
    changed[3] = attributes[3] & ~(
        termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN
    )
    changed[6][termios.VMIN] = 1
    changed[6][termios.VTIME] = 0
    return changed


class OuterTerminal:
    """The user's own terminal while the recorder has it: raw, and closed to everybody else.

    ``outlives_us``: it belongs to another session, which goes on with it afterwards. Any other
    ends with the login and stays closed to the last: whoever could open it before sshd closes it
    would have an unrecorded line to the client.
    """

    def __init__(self, fd: int, *, outlives_us: bool) -> None:
        self.fd = fd
        self._outlives_us = outlives_us
        self.attributes: Attributes = termios.tcgetattr(fd)
        self._taken = False

    def take(self) -> None:
        """Set it raw and exclusive: from now on only root can open it (EBUSY for others)."""
        self._taken = True
        fcntl.ioctl(self.fd, termios.TIOCEXCL)
        termios.tcsetattr(self.fd, termios.TCSANOW, raw(self.attributes))
        os.set_blocking(self.fd, False)

    def control(self) -> None:
        """Make it our controlling terminal, so that SIGWINCH and hang-ups reach us."""
        fcntl.ioctl(self.fd, termios.TIOCSCTTY, 0)

    def give_back(self) -> None:
        """Undo ``take`` where the terminal is used on; what was written to it stays on its way."""
        if not (self._taken and self._outlives_us):
            return
        self._taken = False
        try:
            os.set_blocking(self.fd, True)
            fcntl.ioctl(self.fd, termios.TIOCNXCL)
            termios.tcsetattr(self.fd, termios.TCSANOW, self.attributes)
        except (OSError, termios.error):
            return  # hung up: there is nobody to give it back to


def hides_typing(fd: int) -> bool:
    """Tell whether the terminal reads lines without showing them, as it does for passwords.

    Not in raw mode: editors and shells switch the echo off too, and show what is typed.
    """
    local = termios.tcgetattr(fd)[3]
    return bool(local & termios.ICANON) and not local & termios.ECHO
