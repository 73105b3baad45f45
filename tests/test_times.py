"""Times on the command line."""

from __future__ import annotations

import time

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionwrap.times import TimeType, parse_time


def local(year: int, month: int, day: int, hour: int) -> int:
    """Microseconds since the epoch of an hour in the local time zone."""
    return int(time.mktime((year, month, day, hour, 0, 0, 0, 0, -1))) * 1_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23 10:00:00", local(2026, 11, 23, 10)),
        ("2026-11-23", local(2026, 11, 23, 0)),
        ("Mon 2026-11-23 10:00", local(2026, 11, 23, 10)),
        ("2026-11-23 10:00:00.25 UTC", 1_795_428_000_250_000),
        ("@1395716396", 1_395_716_396_000_000),
    ],
)
def test_a_time_is_read_as_journalctl_reads_it(text: str, expected: int) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("now", 0), ("-1h", -3600), ("+5min", 300), ("2 hours ago", -7200)],
)
def test_a_time_may_be_relative(text: str, seconds: int) -> None:
    assert abs(parse_time(text) / 1e6 - time.time() - seconds) < 5


@pytest.mark.parametrize("text", ["today", "yesterday", "tomorrow"])
def test_days_have_names(text: str) -> None:
    assert time.localtime(parse_time(text) // 1_000_000)[3:6] == (0, 0, 0)


@pytest.mark.parametrize("text", ["", "soon", "--help", "-h", "10:00\n", "@" + "9" * 40, "x" * 999])
def test_anything_else_is_a_usage_error_that_says_what_was_expected(text: str) -> None:
    with pytest.raises(click.BadParameter, match="expected a time as journalctl takes it"):
        TimeType().convert(text, None, None)


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=30))
def test_no_text_is_a_traceback(text: str) -> None:
    try:
        assert parse_time(text) >= 0
    except ValueError as error:
        assert "expected a time" in str(error)
