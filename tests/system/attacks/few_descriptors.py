"""Leave a program few descriptors. Arguments: how many it can open, and what to run."""

from __future__ import annotations

import os
import resource
import sys

LIMIT = 64


def main() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))
    few = int(sys.argv[1])
    try:
        while True:
            os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)
    except OSError:
        pass  # there are no more
    os.closerange(LIMIT - few, LIMIT)
    os.execvp(sys.argv[2], sys.argv[2:])


main()
