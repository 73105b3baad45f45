"""The hook: its whole run as pam_exec starts it, over that of a program that does nothing."""

from __future__ import annotations

import time

from tests.bench.contestants import OURS, RECORDED, UNRECORDED
from tests.bench.results import Result, Sizes
from tests.bench.rounds import interleave, medians, over
from tests.bench.terminal import run_hook

NOTHING = "nothing"
NAMES = (RECORDED, UNRECORDED, NOTHING)


def measure(sizes: Sizes) -> list[Result]:
    """A line for a recorded user, one for another."""
    extra = medians(over(interleave(NAMES, sizes.starts, _run), NOTHING))
    return [
        Result(f"the hook, {kind} user", "ms", {OURS: extra[user]}, "ours", extra[user], 30.0)
        for user, kind in ((RECORDED, "recorded"), (UNRECORDED, "another"))
    ]


def _run(name: str) -> float:
    before = time.monotonic_ns()
    if name == NOTHING:
        run_hook(UNRECORDED, "open_session", "/bin/true")
    else:
        run_hook(name, "open_session")
    taken = time.monotonic_ns() - before
    if name != NOTHING:
        run_hook(name, "close_session")
    return taken / 1e6
