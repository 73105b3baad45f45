"""Setting a terminal back after a recording."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sessionwrap.player.modes import ModeTracker


def reset_after(*outputs: bytes) -> bytes:
    """What sets the terminal back after these outputs."""
    tracker = ModeTracker()
    for output in outputs:
        tracker.feed(output)
    return tracker.reset()


def test_plain_text_needs_no_reset() -> None:
    assert reset_after(b"plain\r\n") == b""


def test_what_the_recording_set_back_itself_is_left_alone() -> None:
    assert b"?" not in reset_after(b"\x1b[?1049h\x1b[?25l", b"\x1b[?1049l\x1b[?25h")


def test_what_was_left_changed_is_set_back() -> None:
    reset = reset_after(b"\x1b[?1049h\x1b[?25l\x1b[?1002;1006h\x1b[?2004h\x1b[1;31m")
    for expected in (b"?1049l", b"?25h", b"?1002l", b"?1006l", b"?2004l", b"\x1b[0m"):
        assert expected in reset


@given(st.integers(1, 20))
def test_a_sequence_in_pieces_is_seen(cut: int) -> None:
    output = b"text\x1b[?1049;2004h"
    assert reset_after(output[:cut], output[cut:]) == reset_after(output)
