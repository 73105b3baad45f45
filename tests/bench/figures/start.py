"""Start: from exec of the login shell until the real shell shows its first word."""

from __future__ import annotations

import time

from tests.bench.contestants import CONTESTANTS, OURS, PLAIN, RELAY, SCRIPT, TLOG, WINDOW
from tests.bench.results import Result, Sizes
from tests.bench.rounds import interleave, medians, over, ratio

NAMES = (OURS, WINDOW, TLOG, SCRIPT, RELAY, PLAIN)
MARKER = "-BEGIN-"


def measure(sizes: Sizes) -> list[Result]:
    """Compare with tlog; the table shows what each takes over the plain shell."""
    samples = interleave(NAMES, sizes.starts, started_in)
    extra = over(samples, PLAIN)
    taken = medians(extra)
    return [
        Result(
            "start, over the plain shell",
            "ms",
            taken,
            "ours / tlog",
            ratio(extra, OURS, TLOG),
            1.0,
            f"the plain shell takes {medians(samples)[PLAIN]:.1f} ms",
        ),
        Result(
            "start without a ticket",
            "ms",
            {OURS: taken[WINDOW], TLOG: taken[TLOG]},
            "ours / tlog",
            ratio(extra, WINDOW, TLOG),
            1.0,
            "a terminal window of no login: the recorder looks the account and the rules up",
        ),
    ]


def started_in(name: str) -> float:
    """Give the milliseconds until the shell's first word is shown."""
    with CONTESTANTS[name].run(f"echo {MARKER}") as login:
        login.read_until(MARKER.encode())
        taken = time.monotonic_ns() - login.start
        login.read_all()
    return taken / 1e6
