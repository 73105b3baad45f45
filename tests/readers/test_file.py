"""Messages of a file."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sessionwrap.codec.message import MAX_LINE
from sessionwrap.errors import MessageError, NotFoundError
from sessionwrap.readers.file import FileMessages
from tests.readers.messages import REC, message, spoken


def texts(source: FileMessages) -> list[str]:
    """The output of all messages that can be read now."""
    found = []
    while (read := source.read()) is not None:
        found.append(read.out_txt)
    return found


def stored(path: Path, *lines: bytes) -> str:
    """A file of these lines; its name is given back."""
    path.write_bytes(b"".join(lines))
    return str(path)


def test_messages_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    source = FileMessages(stored(tmp_path / "f", *spoken("one", "two", "three")), None)
    assert texts(source) == ["one", "two", "three"]
    assert source.ended
    source.close()


def test_the_last_line_needs_no_line_end(tmp_path: Path) -> None:
    source = FileMessages(stored(tmp_path / "f", b"\n", spoken("one")[0].rstrip()), None)
    assert texts(source) == ["one"]
    source.close()


def test_one_of_several_interleaved_recordings_is_chosen(tmp_path: Path) -> None:
    mine, others = spoken("a", "b"), spoken("x", "y", rec="other-1-1")
    path = stored(tmp_path / "f", others[0], mine[0], others[1], mine[1])
    for rec, expected in ((REC, ["a", "b"]), ("other-1-1", ["x", "y"]), (None, ["x", "y"])):
        source = FileMessages(path, rec)
        assert texts(source) == expected
        assert source.others == 2
        source.close()


def test_a_garbage_line_is_an_error_that_names_file_and_line(tmp_path: Path) -> None:
    path = stored(tmp_path / "f", *spoken("one"), b"garbage\n")
    source = FileMessages(path, None)
    assert source.read() is not None
    with pytest.raises(MessageError, match=f"{path}:2: Message is not valid JSON"):
        source.read()
    source.close()


def test_a_lax_reader_names_a_garbage_line_and_goes_on(tmp_path: Path) -> None:
    path = stored(tmp_path / "f", b"garbage\n", *spoken("one"), b"\xff\x00\n", b'{"ver":"3.0"}\n')
    told: list[str] = []
    source = FileMessages(path, None, on_skip=told.append)
    assert texts(source) == ["one"]
    assert [line.split(": ")[0] for line in told] == [f"{path}:{number}" for number in (1, 3, 4)]
    source.close()


def test_a_line_without_end_is_not_kept_in_memory(tmp_path: Path) -> None:
    path = stored(tmp_path / "f", b"x" * (MAX_LINE + 10), b"\n", *spoken("one"))
    told: list[str] = []
    source = FileMessages(path, None, on_skip=told.append)
    assert texts(source) == ["one"]
    assert told == [f"{path}:1: the line is longer than {MAX_LINE} bytes"]
    source.close()


def test_a_followed_file_waits_for_growth_and_for_whole_lines(tmp_path: Path) -> None:
    first, second = spoken("one", "two")
    path = stored(tmp_path / "f", first)
    source = FileMessages(path, None, follow=True)
    assert texts(source) == ["one"]
    assert not source.ended
    assert not select.select([source.fileno()], [], [], 0)[0]
    with open(path, "ab") as file:
        file.write(second[:20])
        file.flush()
        assert select.select([source.fileno()], [], [], 5)[0]
        source.acknowledge()
        assert source.read() is None
        assert not select.select([source.fileno()], [], [], 0)[0]
        file.write(second[20:])
    assert select.select([source.fileno()], [], [], 5)[0]
    source.acknowledge()
    assert texts(source) == ["two"]
    source.close()


def test_a_rewound_file_is_read_again(tmp_path: Path) -> None:
    source = FileMessages(stored(tmp_path / "f", *spoken("one", "two")), None)
    assert texts(source) == ["one", "two"]
    assert source.rewind()
    assert texts(source) == ["one", "two"]
    source.close()


def test_a_pipe_cannot_be_rewound() -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, spoken("one")[0])
    os.close(write_end)
    source = FileMessages(f"/dev/fd/{read_end}", None)
    assert texts(source) == ["one"]
    assert not source.rewind()
    source.close()
    os.close(read_end)


@pytest.mark.parametrize("name", ["missing", "."])
def test_what_is_no_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFoundError, match=str(tmp_path)):
        FileMessages(str(tmp_path / name), None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=40), st.just(message(1, 0, ">1", "a"))), max_size=6))
def test_any_bytes_are_messages_or_one_named_error(tmp_path: Path, parts: list[bytes]) -> None:
    path = stored(tmp_path / "f", *parts)
    source = FileMessages(path, None)
    try:
        texts(source)
    except MessageError as error:
        assert str(error).startswith(f"{path}:")
    finally:
        source.close()
