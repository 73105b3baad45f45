"""Valid and invalid UTF-8 as the Unicode Standard's table 3-7 has it."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap.codec.utf8 import Run, continues, sequences, split

_EDGES = bytes.fromhex("7f 80 8f 90 9f a0 bf c0 c1 c2 df e0 e1 ec ed ee ef f0 f1 f3 f4 f5 ff")


def test_ascii_is_one_run() -> None:
    assert split(b"ls\r\n\x00") == ([Run(b"ls\r\n\x00", 5, True)], b"")


def test_nothing_is_no_run() -> None:
    assert split(b"") == ([], b"")


def test_characters_are_code_points() -> None:
    assert split("aé😀".encode()) == ([Run("aé😀".encode(), 3, True)], b"")


def test_an_encoded_surrogate_is_three_invalid_bytes() -> None:
    assert split(b"\xed\xa0\x80") == ([Run(b"\xed\xa0\x80", 3, False)], b"")


def test_neighbouring_invalid_sequences_join() -> None:
    assert split(b"\xff\xfe\xe2(") == ([Run(b"\xff\xfe\xe2", 3, False), Run(b"(", 1, True)], b"")


def test_a_truncated_sequence_counts_once() -> None:
    runs, _ = split(b"\xe2\x82\xf0\x9f\x98y")
    assert runs == [Run(b"\xe2\x82\xf0\x9f\x98", 2, False), Run(b"y", 1, True)]


@pytest.mark.parametrize("tail", [b"\xc2", b"\xe2", b"\xe2\x82", b"\xf0\x9f\x98", b"\xed\x9f"])
def test_an_incomplete_sequence_at_the_end_is_told_apart(tail: bytes) -> None:
    assert split(b"ab" + tail) == ([Run(b"ab", 2, True)], tail)
    assert split(b"\xff" + tail) == ([Run(b"\xff", 1, False)], tail)
    assert split(tail) == ([], tail)


@pytest.mark.parametrize(
    ("incomplete", "data", "expected"),
    [
        (b"\xe2", b"\x82\xac", True),
        (b"\xe2\x82", b"\xac", True),
        (b"\xe2", b"(", False),
        (b"\xed", b"\xa0", False),
        (b"\xf0\x9f", b"\xff", False),
    ],
)
def test_the_next_byte_goes_on_with_a_sequence_or_breaks_it(
    incomplete: bytes, data: bytes, expected: bool
) -> None:
    assert continues(incomplete, data) is expected


def test_sequences_are_those_of_the_decoder() -> None:
    """Every string of up to four bytes where one begins or ends a range of table 3-7."""
    for length in range(1, 4):
        for letters in itertools.product(_EDGES, repeat=length):
            check_runs(bytes(letters))
    for letters in itertools.product(b"\x80\x90\xbf\xe0\xed\xf0\xf1\xf4", repeat=4):
        check_runs(bytes(letters))


@given(st.binary())
def test_runs_are_the_bytes_in_turn(data: bytes) -> None:
    check_runs(data)


def check_runs(data: bytes) -> None:
    runs, incomplete = split(data)
    assert b"".join(run.data for run in runs) + incomplete == data
    assert all(a.valid != b.valid for a, b in itertools.pairwise(runs))
    for run in runs:
        assert run.data
        assert run.chars == len(run.data.decode("utf-8", "strict" if run.valid else "replace"))
        if not run.valid:
            assert set(run.data.decode("utf-8", "replace")) == {"\ufffd"}
            parts = sequences(run.data)
            assert b"".join(parts) == run.data
            assert all(part.decode("utf-8", "replace") == "\ufffd" for part in parts)
    if incomplete:
        whole = [
            incomplete + rest for rest in (b"\x80", b"\x90", b"\xa0", b"\x80\x80", b"\x90\x80")
        ]
        whole += [incomplete + rest for rest in (b"\xa0\x80", b"\x80\x80\x80", b"\x90\x80\x80")]
        assert any(is_valid(candidate) for candidate in whole)


def is_valid(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
