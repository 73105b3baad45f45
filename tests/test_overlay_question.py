from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap import overlay_question
from sessionwrap.overlay import varlink

NOW = int(time.clock_gettime(time.CLOCK_BOOTTIME) * overlay_question.TICKS) + 10**9
"""A start, in clock ticks, that nothing is later than."""


@contextmanager
def answering(path: str, *parts: bytes) -> Iterator[list[varlink.Call]]:
    """Listen as the overlay does, take one call, answer in ``parts``, hang up."""
    calls: list[varlink.Call] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            call, buffer = None, b""
            while call is None:
                buffer += connection.recv(4096)
                call = varlink.parse_call(buffer)
            calls.append(call)
            for part in parts:
                connection.sendall(part)

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield calls
        thread.join()


def test_the_answers_are_byte_for_byte_those_of_the_service() -> None:
    assert overlay_question.SURE == varlink.SURE
    assert overlay_question.UNSURE == varlink.UNSURE


@pytest.mark.parametrize(("answer", "sure"), [(varlink.SURE, True), (varlink.UNSURE, False)])
def test_the_service_is_asked_in_its_own_words(tmp_path: Path, answer: bytes, sure: bool) -> None:
    path = str(tmp_path / "socket")
    with answering(path, answer[:5], answer[5:]) as calls:
        assert overlay_question.is_sure("alice", NOW, path) is sure
    (call,) = calls
    assert call.method == varlink.IS_SURE
    asked = {"userName": "alice", "since": NOW / overlay_question.TICKS}
    assert call.parameters == asked
    os.unlink(path)
    with answering(path, answer) as calls:
        assert overlay_question.is_sure("alice", NOW, path, pid=4321) is sure
    assert calls[0].parameters == {**asked, "pid": 4321}


@given(name=st.text(max_size=60))
def test_any_name_arrives_as_it_is(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = str(tmp_path_factory.mktemp("s") / "socket")
    with answering(path, varlink.SURE) as calls:
        assert overlay_question.is_sure(name, NOW, path)
    expected = name.encode("utf-8", "replace").decode()
    assert calls[0].parameters["userName"] == expected


@pytest.mark.parametrize(
    "answer", [varlink.NO_METHOD, varlink.reply({"sure": 1}), varlink.reply({}), b"\0"]
)
def test_only_one_answer_means_sure(tmp_path: Path, answer: bytes) -> None:
    path = str(tmp_path / "socket")
    with answering(path, answer):
        assert not overlay_question.is_sure("alice", NOW, path)


@pytest.mark.parametrize("answer", [b"", b"half an answ", b"x" * 5000])
def test_half_an_answer_and_one_without_an_end_are_errors(tmp_path: Path, answer: bytes) -> None:
    path = str(tmp_path / "socket")
    with answering(path, answer), pytest.raises(OSError, match="does not answer"):
        overlay_question.is_sure("alice", NOW, path)


def test_no_overlay_and_a_dead_one_are_errors(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with pytest.raises(FileNotFoundError):
        overlay_question.is_sure("alice", NOW, path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
    with pytest.raises(ConnectionRefusedError):
        overlay_question.is_sure("alice", NOW, path)


def test_who_began_before_the_socket_was_there_is_not_sure_and_nobody_is_asked(
    tmp_path: Path,
) -> None:
    path = tmp_path / "socket"
    before = int((time.clock_gettime(time.CLOCK_BOOTTIME) - 1) * overlay_question.TICKS)
    path.touch()
    assert not overlay_question.is_sure("alice", before, str(path))


def test_a_file_is_changed_by_writing_and_by_moving_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    later = int((began + 3600) * overlay_question.TICKS)
    earlier = int((began - 1) * overlay_question.TICKS)
    assert overlay_question.was_changed(str(path), earlier)
    assert not overlay_question.was_changed(str(path), later)
    os.utime(path, (0, 0))  # the time that a user can set is not the one that is looked at
    assert overlay_question.was_changed(str(path), earlier)
