"""The table of all results, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.bench.contestants import OURS, RELAY, SCRIPT, TLOG
from tests.bench.results import Result

_CONTESTANTS = (OURS, TLOG, SCRIPT, RELAY)
_HEADINGS = ("figure", "unit", *_CONTESTANTS, "compared", "value", "target", "met")
_NUMBERS = range(2, 6)


def text(facts: Mapping[str, str], results: Sequence[Result]) -> str:
    """Give a table in Markdown, notes below it and facts above."""
    rows = [_HEADINGS, *map(_row, results)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [f"{name}: {value}" for name, value in facts.items()] + [""]
    lines += [_line(rows[0], widths), "|" + "|".join("-" * (width + 2) for width in widths) + "|"]
    lines += [_line(row, widths) for row in rows[1:]] + [""]
    lines += [f"{result.figure}: {result.note}" for result in results if result.note]
    return "\n".join(lines).rstrip()


def _row(result: Result) -> tuple[str, ...]:
    return (
        result.figure,
        result.unit,
        *(_number(result.values.get(name)) for name in _CONTESTANTS),
        result.compared,
        _number(result.value),
        "none" if result.target == 0 else f"≤ {result.target:g}",
        "yes" if result.met else "no",
    )


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.rjust(width) if place in _NUMBERS else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return f"| {' | '.join(cells)} |"


def _number(value: float | None) -> str:
    """Three digits that count, or a hyphen."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 or value == 0 else f"{value:.3g}"
