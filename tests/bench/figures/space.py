"""Journal space: what the same output takes in the journal's files."""

from __future__ import annotations

from tests.bench import journal, text
from tests.bench.contestants import OURS, TLOG
from tests.bench.figures.bulk import shown_in
from tests.bench.results import Result, Sizes


def measure(sizes: Sizes) -> list[Result]:
    """Compare with tlog."""
    path = text.make(sizes.space_bytes)
    values = {name: _stored(name, path) / sizes.space_bytes for name in (OURS, TLOG)}
    return [
        Result(
            "journal space per MB recorded",
            "MB",
            values,
            "ours / tlog",
            values[OURS] / values[TLOG],
            0.7,
        )
    ]


def _stored(name: str, path: str) -> int:
    journal.empty()
    before = journal.used()
    shown_in(name, path)
    journal.sync()
    return journal.used() - before
