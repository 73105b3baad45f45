"""Bulk output: a big file on the screen, until all is shown and all is handed to the journal."""

from __future__ import annotations

import os
import time

from tests.bench import journal, text
from tests.bench.contestants import CONTESTANTS, OURS, PLAIN, RELAY, SCRIPT, TLOG
from tests.bench.errors import BenchError
from tests.bench.results import Result, Sizes
from tests.bench.rounds import interleave, medians, ratio

NAMES = (RELAY, OURS, TLOG, SCRIPT, PLAIN)


def measure(sizes: Sizes) -> list[Result]:
    """Compare with the bare relay."""
    path = text.make(sizes.bulk_bytes)

    def show(name: str) -> float:
        journal.empty()
        return shown_in(name, path)

    samples = interleave(NAMES, sizes.rounds, show)
    others = ", ".join(
        f"{name} / relay {ratio(samples, name, RELAY):.2f}" for name in (TLOG, SCRIPT, PLAIN)
    )
    return [
        Result(
            f"bulk output, {sizes.bulk_bytes // 1_000_000} MB",
            "s",
            medians(samples),
            "ours / relay",
            ratio(samples, OURS, RELAY),
            1.35,
            others,
        )
    ]


def shown_in(name: str, path: str) -> float:
    """Give the seconds until the terminal has shown a file and was hung up.

    Recorders let go of the terminal once they have handed everything over.
    """
    with CONTESTANTS[name].run(f"cat {path}") as login:
        count = login.read_all()
        seconds = (time.monotonic_ns() - login.start) / 1e9
    size = os.path.getsize(path)
    if count < size:
        raise BenchError(f"{name}: {count} bytes shown of {size}")
    return seconds
