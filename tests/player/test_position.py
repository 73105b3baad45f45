"""Places in a recording."""

from __future__ import annotations

import pytest

from sessionwrap.player.position import END, parse_position


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("start", 0),
        ("end", END),
        ("5", 5_000),
        ("5.25", 5_250),
        ("5.", 5_000),
        ("90", 90_000),
        ("1:05", 65_000),
        ("1:00:00.001", 3_600_001),
    ],
)
def test_a_position_is_read(text: str, milliseconds: int) -> None:
    assert parse_position(text) == milliseconds


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4", "-1", "1e3", ":5", "5:", "٣"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected start, end or"):
        parse_position(text)
