"""A console on a throwaway host: a pty that systemd starts a getty on, relayed to stdin and stdout.

Runs in the host as root, and ends when stdin does.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import termios
import tty

# Held open: getty hangs its terminal up, and a pty whose slave nobody has open cannot be read.
master, keep = os.openpty()
name = os.ttyname(keep)
fcntl.ioctl(keep, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
tty.setraw(0)
unit = f"container-getty@{name.rpartition('/')[2]}.service"
subprocess.run(["systemctl", "start", unit], check=True)
poll = select.poll()
poll.register(0, select.POLLIN)
poll.register(master, select.POLLIN)
try:
    while True:
        ready = {fd for fd, _ in poll.poll()}
        if 0 in ready:
            typed = os.read(0, 4096)
            if not typed:
                break
            os.write(master, typed)
        if master in ready:
            try:
                os.write(1, os.read(master, 4096))
            except OSError:  # hung up, as getty does: open again
                os.close(keep)
                keep = os.open(name, os.O_RDWR | os.O_NOCTTY)
finally:
    subprocess.run(["systemctl", "stop", unit], check=False)
