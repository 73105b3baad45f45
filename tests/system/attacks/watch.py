"""Play to this terminal, then write down all that the terminal has answered.

Arguments: the file to write to, and the command that plays. The last thing asked is ours: where
the cursor is, at a place that nothing in a recording would put it. What a recording asks may
have the same answer as any shorter question.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tty

ASK_PLACE, PLACE = b"\x1b[23;71H\x1b[6n", b"\x1b[23;71R"

tty.setraw(0)
done = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL, check=False)
os.write(1, b"\x18\x1b\\\x1bc" + ASK_PLACE)
answers = b""
while not answers.endswith(PLACE):
    answers += os.read(0, 4096)
with open(sys.argv[1] + ".new", "w", encoding="ascii") as file:
    file.write(f"{done.returncode} {answers.removesuffix(PLACE).hex()}\n")
os.rename(sys.argv[1] + ".new", sys.argv[1])
