"""The timing string: strict and bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap.codec import timing
from sessionwrap.codec.timing import Record
from sessionwrap.errors import MessageError


def test_every_record_of_the_format_is_read() -> None:
    assert list(timing.parse("=80x24+161>128<3]2/5[1/1+0>0")) == [
        Record("=", 80, 24),
        Record("+", 161, 0),
        Record(">", 128, 0),
        Record("<", 3, 0),
        Record("]", 2, 5),
        Record("[", 1, 1),
        Record("+", 0, 0),
        Record(">", 0, 0),
    ]


def test_an_empty_string_has_no_records() -> None:
    assert list(timing.parse("")) == []


@pytest.mark.parametrize(
    "wrong",
    [
        *("x", ">", "> 1", ">1 ", "+-1", ">1.5", "]1", "]1/", "[/1", "=80", "=80x", "=x24"),
        *(">1>", "]1x1", "=80/24", ">\uff11", ">1\n", ">1234567890123456", "=65536x1", "=1x99999"),
        *("=123456x1", f"+{timing.MAX_MS + 1}", "]1234567890123456/1", "\x00"),
    ],
)
def test_what_is_not_a_record_is_named(wrong: str) -> None:
    with pytest.raises(MessageError, match='invalid "timing"'):
        list(timing.parse(wrong))


def test_the_largest_values_are_read() -> None:
    text = f"+{timing.MAX_MS}=65535x65535>999999999999999"
    assert [record.first for record in timing.parse(text)] == [timing.MAX_MS, 65535, 10**15 - 1]


@given(st.one_of(st.text(), st.text(alphabet="<>[]+=x/0129 ")))
def test_any_text_gives_records_or_the_error(text: str) -> None:
    try:
        records = list(timing.parse(text))
    except MessageError:
        return
    assert all(0 <= record.first < 10**15 and 0 <= record.second < 10**15 for record in records)


@given(st.integers(1, timing.MAX_MS), st.integers(0, 65535), st.integers(0, 65535))
def test_what_is_written_reads_back(wait: int, width: int, height: int) -> None:
    text = (timing.delay(wait) + timing.winsize(width, height)).decode()
    assert list(timing.parse(text)) == [Record("+", wait, 0), Record("=", width, height)]


@pytest.mark.parametrize("size", [(65536, 1), (1, 65536), (-1, 1), (1, -1)])
def test_a_size_that_no_terminal_has_is_not_written(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="window"):
        timing.winsize(*size)
