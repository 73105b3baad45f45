"""Start: from exec of the login shell until the real shell shows its first word."""

from __future__ import annotations

import time

from tests.bench.contestants import CONTESTANTS, OURS, PLAIN, RELAY, SCRIPT, TLOG
from tests.bench.results import Result, Sizes
from tests.bench.rounds import interleave, medians, over, ratio

NAMES = (OURS, TLOG, SCRIPT, RELAY, PLAIN)
MARKER = "-BEGIN-"


def measure(sizes: Sizes) -> list[Result]:
    """Compare with tlog; the table shows what each takes over the plain shell."""
    samples = interleave(NAMES, sizes.starts, started_in)
    extra = over(samples, PLAIN)
    return [
        Result(
            "start, over the plain shell",
            "ms",
            medians(extra),
            "ours / tlog",
            ratio(extra, OURS, TLOG),
            1.0,
            f"the plain shell takes {medians(samples)[PLAIN]:.1f} ms",
        )
    ]


def started_in(name: str) -> float:
    """Give the milliseconds until the shell's first word is shown."""
    with CONTESTANTS[name].run(f"echo {MARKER}") as login:
        login.read_until(MARKER.encode())
        taken = time.monotonic_ns() - login.start
        login.read_all()
    return taken / 1e6
