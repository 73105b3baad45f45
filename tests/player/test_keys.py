"""The auditor's keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap.player import keys
from sessionwrap.player.keys import Command, KeyParser


def commands(typed: bytes) -> list[Command]:
    """What the keys mean."""
    return list(KeyParser().feed(typed))


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        (b" ", keys.PAUSE),
        (b"p", keys.PAUSE),
        (b"}", keys.FASTER),
        (b"{", keys.SLOWER),
        (b"\x7f", keys.NORMAL_SPEED),
        (b"\x08", keys.NORMAL_SPEED),
        (b".", keys.NEXT_EVENT),
        (b"q", keys.QUIT),
        (b"\x03", keys.QUIT),
    ],
)
def test_each_key_of_tlog_play_is_understood(typed: bytes, name: str) -> None:
    assert commands(typed) == [Command(name)]


@pytest.mark.parametrize(
    ("typed", "position"),
    [
        (b"90G", 90_000),
        (b"1:30G", 90_000),
        (b"2:00:00.5G", 7_200_500),
        (b"G", None),
        (b"::G", None),
    ],
)
def test_a_time_and_g_go_there(typed: bytes, position: int | None) -> None:
    expected = [] if position is None else [Command(keys.GO_TO, position)]
    assert commands(typed) == expected


def test_a_time_that_is_not_finished_is_forgotten() -> None:
    assert commands(b"12p30G") == [Command(keys.PAUSE), Command(keys.GO_TO, 30_000)]


@pytest.mark.parametrize(
    "typed",
    [
        b"\x1b[A\x1bOB\x1b[15~\x1b[1;5C",
        b"\x1b[<0;12;34M\x1b[<0;12;34m",
        b"\x1b[M q.",
        b"\x1b[I\x1b[O",
        b"\x1b[200~quit q . 1G\x1b[201~",
        b"abc\r\n\t\xc3\xa9",
    ],
)
def test_everything_else_that_a_terminal_sends_does_nothing(typed: bytes) -> None:
    assert commands(typed) == []


def test_ctrl_c_quits_after_a_lone_escape() -> None:
    parser = KeyParser()
    assert list(parser.feed(b"\x1b")) == []
    assert list(parser.feed(b"\x03")) == [Command(keys.QUIT)]


def test_q_quits_after_a_lone_escape() -> None:
    parser = KeyParser()
    assert list(parser.feed(b"\x1b")) == []
    assert list(parser.feed(b"q")) == [Command(keys.QUIT)]


@given(st.binary(max_size=60), st.integers(0, 60))
def test_keys_that_arrive_in_pieces_mean_the_same(typed: bytes, cut: int) -> None:
    parser = KeyParser()
    assert [*parser.feed(typed[:cut]), *parser.feed(typed[cut:])] == commands(typed)
