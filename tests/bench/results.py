"""What a figure gives, and how much work goes into one."""

from __future__ import annotations

from typing import NamedTuple


class Result(NamedTuple):
    """One line of the table.

    ``values`` are medians by contestant, in ``unit``. ``compared`` is what the target bounds:
    "ours" (then ``value`` is ours in ``unit``) or a ratio such as "ours / relay".
    """

    figure: str
    unit: str
    values: dict[str, float]
    compared: str
    value: float
    target: float
    note: str = ""

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return self.value <= self.target


class Sizes(NamedTuple):
    """How much is measured; ``echo_lines`` is how many lines are typed in a round."""

    rounds: int
    bulk_bytes: int
    echo_rounds: int
    echo_lines: int
    starts: int
    memory_recordings: int
    space_bytes: int
    many_recordings: int
    many_seconds: float
    lists: int


FULL = Sizes(
    rounds=7,
    bulk_bytes=50_000_000,
    echo_rounds=12,
    echo_lines=16,
    starts=60,
    memory_recordings=20,
    space_bytes=20_000_000,
    many_recordings=200,
    many_seconds=20.0,
    lists=7,
)
QUICK = Sizes(
    rounds=3,
    bulk_bytes=8_000_000,
    echo_rounds=4,
    echo_lines=6,
    starts=12,
    memory_recordings=20,
    space_bytes=8_000_000,
    many_recordings=60,
    many_seconds=5.0,
    lists=3,
)
