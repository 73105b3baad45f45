"""Play to this terminal, then write down all that the terminal has answered.

Arguments: the file to write to, and the command that plays. The last thing asked is ours.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tty

ASK_STATUS, STATUS = b"\x1b[5n", b"\x1b[0n"

tty.setraw(0)
done = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL, check=False)
os.write(1, b"\x18\x1b\\" + ASK_STATUS)
answers = b""
while not answers.endswith(STATUS):
    answers += os.read(0, 4096)
with open(sys.argv[1] + ".new", "w", encoding="ascii") as file:
    file.write(f"{done.returncode} {answers.removesuffix(STATUS).hex()}\n")
os.rename(sys.argv[1] + ".new", sys.argv[1])
