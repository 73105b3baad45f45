"""What reaches an auditor's terminal."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap.player.safety import MAX_STRING, Filter, visible


def passed(data: bytes, *, utf8: bool = True) -> bytes:
    """What a filter lets through of the whole of a recording."""
    filter_ = Filter(utf8=utf8)
    return filter_.feed(data) + filter_.flush()


DRAWS = [
    b"plain text\r\n\ttab\b\a",
    "Grüße 日本語 👩‍🚀 é".encode(),
    b"\x1b[m\x1b[0;1;31mred\x1b[38;5;196m\x1b[38;2;1;2;3m\x1b[4:3m\x1b[58:2::1:2:3m",
    b"\x1b[H\x1b[2J\x1b[3J\x1b[K\x1b[10;20H\x1b[5A\x1b[B\x1b[3C\x1b[D\x1b[7G\x1b[4d\x1b[6`",
    b"\x1b[2;20r\x1b[r\x1b[L\x1b[2M\x1b[4P\x1b[@\x1b[3X\x1b[S\x1b[2T\x1b[5b\x1b[g\x1b[Z\x1b[I",
    b"\x1b[?1049h\x1b[?1049l\x1b[?25l\x1b[?25h\x1b[?1h\x1b[?7l\x1b[?12;25h\x1b[?2004h\x1b[?1006h",
    b"\x1b7\x1b8\x1b[s\x1b[u\x1bM\x1bD\x1bE\x1bH\x1bc\x1b=\x1b>\x1b(0lqk\x1b(B\x0e\x0f\x1b)0\x1b#8",
    b'\x1b[2 q\x1b[!p\x1b[1"q\x1b[1;1;2;2;1;5;5;1$v\x1b[65;1;1;9;9$x',
    b"\x1b[4h\x1b[4l\x1b[20h",
]

ACTS = [
    b"\x05",
    b"\x1b[c",
    b"\x1b[0c",
    b"\x1b[>c",
    b"\x1b[=c",
    b"\x1b[5n",
    b"\x1b[6n",
    b"\x1b[?6n",
    b"\x1b[?996n",
    b"\x1b[x",
    b"\x1b[1x",
    b"\x1b[>q",
    b"\x1b[>0q",
    b"\x1b[?2026$p",
    b"\x1b[4$p",
    b"\x1b[18t",
    b"\x1b[21t",
    b"\x1b[8;50;200t",
    b"\x1b[22;0t",
    b"\x1b[i",
    b"\x1b[5i",
    b"\x1b[?4i",
    b"\x1b[2h",
    b"\x1b[12h",
    b"\x1b[?2048h",
    b"\x1b[?2031h",
    b"\x1b[?1001h",
    b"\x1b[?1;2048h",
    b"\x1b[1;2;3;4;5T",
    b"\x1b[>1u",
    b"\x1b[=1;1u",
    b"\x1b[<u",
    b"\x1b[?u",
    b"\x1b[>4;2m",
    b"\x1b[?4m",
    b"\x1b[?1;1;0S",
    b"\x1b[1;1;1;1;1;1*y",
    b"\x1b[1'z",
    b"\x1b['|",
    b'\x1b[61;1"p',
    b"\x1b[1$w",
    b"\x1b[&u",
    b"\x1b[99999999999b",
    b"\x1bZ",
    b"\x1b G",
    b"\x1b%@",
    b"\x1b]0;title\a",
    b"\x1b]2;title\x1b\\",
    b"\x1b]52;c;cm0gLXJm\a",
    b"\x1b]52;c;?\a",
    b"\x1b]4;1;?\x1b\\",
    b"\x1b]10;?\a",
    b"\x1b]11;?\x1b\\",
    b"\x1b]8;;file:///etc/passwd\x1b\\",
    b"\x1b]9;notification\a",
    b"\x1b]50;?\a",
    b"\x1b]1337;File=inline=1:AAAA\a",
    b"\x1b]P1ff0000",
    b"\x1b]R",
    b"\x1bP$qm\x1b\\",
    b"\x1bP+q544e\x1b\\",
    b"\x1bP0;1|17/17;15/7465\x1b\\",
    b"\x1bP1;1;1!z6563686f\x1b\\",
    b"\x1bPq#0;2;0;0;0~~\x1b\\",
    b"\x1b_Gf=24,t=f;L2V0Yy9wYXNzd2Q=\x1b\\",
    b"\x1b^private\x1b\\",
    b"\x1bXstring\x1b\\",
    b"\x1bktitle\x1b\\",
    b"\xc2\x9bc",
    b"\xc2\x9d0;title\xc2\x9c",
    b"\xc2\x90$qm\x1b\\",
    b"\xc2\x9a",
]


@pytest.mark.parametrize("data", DRAWS)
def test_what_only_draws_passes_byte_for_byte(data: bytes) -> None:
    assert passed(data) == data


@pytest.mark.parametrize("data", ACTS)
def test_what_makes_a_terminal_answer_or_act_is_left_out(data: bytes) -> None:
    assert passed(b"before " + data + b"after") == b"before after"


@pytest.mark.parametrize("data", [b"\x1b[\x1b[c", b"\x1b[1\x18\x1b[6n", b"\x1b[;\x1b]52;c;?\a"])
def test_a_sequence_within_a_broken_one_is_seen(data: bytes) -> None:
    assert passed(data) == b""


def test_a_control_character_within_a_sequence_is_obeyed_and_the_sequence_stays_whole() -> None:
    assert passed(b"\x1b[3\r\n1m") == b"\r\n\x1b[31m"
    assert passed(b"\x1b[\n6n") == b"\n"


def test_leaving_something_out_never_joins_what_was_apart() -> None:
    assert passed(b"\xc2\x1b[6n\x9bc") == b"\xc2\xef\xbf\xbdc"
    assert passed(b"\x1b\x05[6n") == b""


def test_bytes_that_are_controls_in_eight_bits_do_not_pass() -> None:
    assert passed(b"a\x9b6nb\x90c") == b"a\xef\xbf\xbd6nb\xef\xbf\xbdc"
    assert passed(b"latin-1 \xe9 stays") == b"latin-1 \xe9 stays"


def test_a_terminal_of_eight_bits_gets_no_such_byte_within_a_character_either() -> None:
    assert passed("Û".encode() + b"\x1b[1m", utf8=False) == b"\xc3?\x1b[1m"


def test_an_unterminated_string_does_not_hide_the_rest() -> None:
    shown = passed(b"\x1b]0;" + b"x" * MAX_STRING + b"visible")
    assert shown.endswith(b"visible")
    assert len(shown) < 20


def test_a_new_sequence_ends_a_string() -> None:
    assert passed(b"\x1bPabc\x1b[31mred") == b"\x1b[31mred"


_PIECES = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(DRAWS + ACTS),
    st.sampled_from(
        [b"\x1b", b"\x1b[", b"\x1b]", b"\x1bP", b"\xc2", b"\x9b", b"\xe2\x82", b"\x9c"]
    ),
    st.text(max_size=4).map(str.encode),
)
_STREAMS = st.lists(_PIECES, max_size=12).map(b"".join)


@given(_STREAMS, st.lists(st.integers(0, 200), max_size=10), st.booleans())
def test_how_the_bytes_are_cut_makes_no_difference(
    data: bytes, cuts: list[int], utf8: bool
) -> None:
    filter_ = Filter(utf8=utf8)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [filter_.feed(data[start:end]) for start, end in itertools.pairwise(places)]
    assert b"".join(parts) + filter_.flush() == passed(data, utf8=utf8)


@given(_STREAMS)
def test_what_passed_once_passes_again_unchanged(data: bytes) -> None:
    once = passed(data)
    assert passed(once) == once


_DANGEROUS = re.compile(
    rb"\x05|\x1b[PX\]^_kZ]|\x1b\[[0-9;]*[cnxti]|\x1b\[[<>=]|\x1b\[[0-9;?]*\$p|\x1b\[\?[0-9;]*[nuS]"
)


@given(_STREAMS)
def test_no_bytes_at_all_get_a_dangerous_sequence_through(data: bytes) -> None:
    shown = passed(data)
    assert not _DANGEROUS.search(shown)
    text = shown.decode("utf-8", "replace")
    assert not any("\x80" <= char <= "\x9f" for char in text)
    assert not re.search(rb"[\x80-\x9f]", re.sub(rb"[\xc2-\xf4][\x80-\xbf]{1,3}", b"", shown))


@given(st.text())
def test_plain_text_passes(text: str) -> None:
    plain = "".join(char for char in text if char.isprintable())
    assert passed(plain.encode()) == plain.encode()


@given(st.text())
def test_visible_text_is_one_printable_line(text: str) -> None:
    assert visible(text).isprintable()


def test_visible_text_shows_controls_as_escapes() -> None:
    assert visible("a\x1b[31m\u202eb\n") == "a\\x1b[31m\\u202eb\\n"
