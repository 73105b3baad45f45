from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap import handshake
from sessionwrap.errors import HandshakeError


def test_a_request_for_a_terminal_comes_back_as_it_was_sent() -> None:
    frame = handshake.terminal_request(handshake.LEADER, b"xterm-256color")
    assert handshake.parse_request(frame, 1) == (
        handshake.TERMINAL,
        handshake.LEADER,
        "xterm-256color",
    )


def test_a_terminal_without_its_descriptor_is_refused() -> None:
    frame = handshake.terminal_request(handshake.LEADER, b"xterm")
    with pytest.raises(HandshakeError):
        handshake.parse_request(frame, 0)


@pytest.mark.parametrize("frame", [handshake.PING, handshake.COMMAND])
def test_a_descriptor_nobody_asked_for_is_refused(frame: bytes) -> None:
    assert handshake.parse_request(frame, 0)[0] == frame
    with pytest.raises(HandshakeError):
        handshake.parse_request(frame, 1)


def test_a_term_keeps_only_what_terminfo_names_are_made_of() -> None:
    assert handshake.clean_term(b'xterm\x1b]0;"\n-256color+x.y_z\xff') == "xterm0-256color+x.y_z"
    assert len(handshake.clean_term(b"a" * 1000)) == handshake.MAX_TERM


def test_an_answer_with_a_pty_needs_the_pty() -> None:
    frame = handshake.reply(handshake.RECORDED, "/bin/bash")
    assert handshake.parse_reply(frame, 1) == (handshake.RECORDED, "/bin/bash")
    with pytest.raises(HandshakeError):
        handshake.parse_reply(frame, 0)


@pytest.mark.parametrize("shells", [("/bin/bash", "/bin/sh"), ("", "/bin/sh"), ("/bin/zsh", "")])
def test_the_shells_of_an_answer_are_the_users_own_and_that_of_the_settings(
    shells: tuple[str, str],
) -> None:
    frame = handshake.reply(handshake.OK, handshake.shells(*shells))
    assert handshake.parse_shells(handshake.parse_reply(frame, 0)[1]) == shells


def test_the_end_of_the_connection_is_no_answer() -> None:
    with pytest.raises(HandshakeError, match="hung up"):
        handshake.parse_reply(b"", 0)


def test_a_long_reason_is_cut_to_one_frame() -> None:
    assert len(handshake.reply(handshake.REFUSED, "x" * 5000)) == handshake.MAX_FRAME


@given(st.binary(max_size=2000), st.integers(0, 4))
def test_any_bytes_are_a_frame_or_one_named_error(frame: bytes, descriptors: int) -> None:
    for parse in (handshake.parse_request, handshake.parse_reply):
        try:
            parse(frame, descriptors)
        except HandshakeError:
            continue


@given(st.lists(st.integers(0, 2**32), min_size=4, max_size=4))
def test_a_login_comes_back_as_it_was_told(numbers: list[int]) -> None:
    name = "-".join(map(str, numbers))
    frame = handshake.login(name)
    assert handshake.parse_login(frame) == name
    assert handshake.is_question(frame)


@pytest.mark.parametrize(
    "name", ["", "../../etc/passwd", "1-2/3", ".", "1-2-3-4\n", "1-2-é", "٣", "1" * 81, "-", "1 2"]
)
def test_a_login_that_is_no_name_of_a_ticket_is_none(name: str) -> None:
    assert handshake.parse_login(handshake.LOGIN + name.encode()) == ""


@given(st.binary(max_size=200))
def test_what_is_taken_for_a_login_holds_digits_and_dashes_only(frame: bytes) -> None:
    name = handshake.parse_login(frame)
    assert set(name) <= set("0123456789-")
    assert len(name) <= 80
    assert not name or frame == handshake.login(name)


@given(st.binary(max_size=200).filter(lambda frame: frame[:1] != handshake.LOGIN))
def test_no_other_frame_tells_of_a_login(frame: bytes) -> None:
    assert handshake.parse_login(frame) == ""
