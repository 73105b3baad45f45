"""The list of recordings, of a journal that has many."""

from __future__ import annotations

import os
import subprocess
import time
from statistics import median

from tests.bench import journal
from tests.bench.contestants import OURS
from tests.bench.errors import BenchError
from tests.bench.results import Result, Sizes

RECORDINGS = 10_000
NEWEST = 50


def measure(sizes: Sizes) -> list[Result]:
    """All of them, and the newest."""
    journal.add_stored()
    everything = [_seconds(["sessionwrap", "list"], RECORDINGS) for _ in range(sizes.lists)]
    newest = [_seconds(["sessionwrap", "list", "-n", str(NEWEST)], NEWEST) for _ in everything]
    return [
        _result(f"list of {RECORDINGS} recordings", median(everything), 2.0),
        _result(f"list of the newest {NEWEST} of them", median(newest), 0.3),
    ]


def _result(figure: str, seconds: float, target: float) -> Result:
    return Result(figure, "s", {OURS: seconds}, "ours", seconds, target)


def _seconds(argv: list[str], least: int) -> float:
    before = time.monotonic()
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True, env=dict(os.environ))
    taken = time.monotonic() - before
    if (lines := done.stdout.count(b"\n")) < least:
        raise BenchError(f"{' '.join(argv)} printed {lines} lines, expected {least}")
    return taken
