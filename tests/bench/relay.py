"""The bare relay: copies between its terminal and a pty of its own, and does nothing else.

The limit of what a relay in Python can do: one poll(2), then reads and writes that never wait.
Usage: python3 -IS relay.py
"""

from __future__ import annotations

import os
import select
import termios
import tty
from fcntl import ioctl

CHUNK = 4096
BURST = 16


def relay(outer: int, master: int) -> None:
    """Copy until the pty or the terminal ends."""
    poll = select.poll()
    poll.register(outer, select.POLLIN)
    poll.register(master, select.POLLIN)
    place = memoryview(bytearray(CHUNK))
    while True:
        for fd, happened in poll.poll():
            if fd == outer:
                data = os.read(outer, CHUNK) if happened & select.POLLIN else b""
                if not data:
                    return
                os.write(master, data)
            elif not copy(master, outer, place):
                return


def copy(master: int, outer: int, place: memoryview) -> bool:
    """Copy a burst of output; false at its end."""
    for _ in range(BURST):
        try:
            count = os.readv(master, [place])
        except BlockingIOError:
            return True
        except OSError:
            return False
        data = place[:count]
        while data:
            try:
                data = data[os.write(outer, data) :]
            except BlockingIOError:
                wait = select.poll()
                wait.register(outer, select.POLLOUT)
                wait.poll()
        if count < CHUNK // 4:
            return True
    return True


def main() -> None:
    """Run a shell in a pty."""
    attributes = termios.tcgetattr(0)
    size = ioctl(0, termios.TIOCGWINSZ, bytes(8))
    master, slave = os.openpty()
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    ioctl(slave, termios.TIOCSWINSZ, size)
    if os.fork() == 0:
        os.close(master)
        os.login_tty(slave)
        os.execv("/bin/bash", ["bash"])
    os.close(slave)
    tty.setraw(0)
    os.set_blocking(0, False)
    os.set_blocking(master, False)
    relay(0, master)


if __name__ == "__main__":
    main()
