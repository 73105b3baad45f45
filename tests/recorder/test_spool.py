from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionwrap.errors import SpoolError
from sessionwrap.model import INPUT, OUTPUT, WINDOW, Event, Winsize
from sessionwrap.recorder.spool import EVENT, HEADER_BYTES, MIN_BANK_BYTES, Spool

EVENTS = [Event(0, WINDOW, b"80x24"), Event(5, OUTPUT, b"$ "), Event(9, INPUT, b"\xff")]


def make(directory: Path, name: str = "rec") -> Spool:
    return Spool.create(str(directory), name, MIN_BANK_BYTES, {"who": "alice"})


def put_all(spool: Spool, events: list[Event]) -> None:
    for event in events:
        assert spool.put(*event)


def test_what_was_put_in_is_there_for_another_process(tmp_path: Path) -> None:
    spool = make(tmp_path)
    put_all(spool, EVENTS)
    found = Spool.open(spool.path)
    assert found.meta == {"who": "alice"}
    assert found.events(0, found.fill) == EVENTS
    assert (found.next_id, found.sent, found.limit, found.winsize) == (1, 0, 0, None)
    found.close()
    spool.close()


def test_only_its_maker_may_read_it(tmp_path: Path) -> None:
    spool = make(tmp_path)
    assert Path(spool.path).stat().st_mode & 0o777 == 0o600
    spool.close()


def test_what_a_killed_process_put_in_is_there(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        put_all(make(tmp_path), EVENTS)
        os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    found = Spool.open(str(tmp_path / "rec.spool"))
    assert found.events(0, found.fill) == EVENTS
    found.close()


def test_an_event_that_was_not_committed_is_not_there(tmp_path: Path) -> None:
    spool = make(tmp_path)
    place = spool.room(100)
    assert place is not None
    place[:] = b"x" * 100
    assert spool.events(0, spool.fill) == []
    spool.commit(1, OUTPUT, 40)
    assert spool.events(0, spool.fill) == [Event(1, OUTPUT, b"x" * 40)]
    del place
    spool.close()


def test_a_full_bank_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    spool = make(tmp_path)
    big = Event(0, OUTPUT, b"x" * (MIN_BANK_BYTES - EVENT.size))
    put_all(spool, [big])
    assert spool.room(1) is None
    assert not spool.put(1, OUTPUT, b"y")
    assert spool.events(0, spool.fill) == [big]
    spool.close()


def test_advancing_forgets_what_was_sent_and_keeps_the_rest_and_what_came_since(
    tmp_path: Path,
) -> None:
    spool = make(tmp_path)
    put_all(spool, EVENTS)
    end = spool.fill
    spool.set_limit(end)
    spool.set_sent(2)
    later = Event(12, OUTPUT, b"later")
    put_all(spool, [later])
    spool.advance(3, Winsize(80, 24), [EVENTS[2]], end)
    for seen in (spool, Spool.open(spool.path)):
        assert seen.events(0, seen.fill) == [EVENTS[2], later]
        assert (seen.next_id, seen.sent, seen.limit) == (3, 0, 0)
        assert seen.winsize == Winsize(80, 24)
        assert seen.first_time() == EVENTS[2].time
        seen.close()


def test_the_memory_of_a_backlog_is_given_back(tmp_path: Path) -> None:
    spool = Spool.create(str(tmp_path), "rec", 8 << 20, {})
    for number in range(1500):
        assert spool.put(number, OUTPUT, b"x" * 4095)
    used = Path(spool.path).stat().st_blocks
    spool.advance(2, None, [], spool.fill)
    assert Path(spool.path).stat().st_blocks < used / 10
    spool.close()


@settings(max_examples=200)
@given(st.binary(max_size=400), st.integers(0, 300))
def test_any_file_is_a_spool_or_one_named_error(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, place: int
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    spool = make(directory)
    put_all(spool, EVENTS)
    spool.close()
    with open(spool.path, "r+b") as file:
        file.seek(place)
        file.write(junk)
    try:
        found = Spool.open(spool.path)
        try:
            found.events(0, found.fill)
        finally:
            found.close()
    except SpoolError as error:
        assert spool.path in str(error)


@pytest.mark.parametrize("size", [0, 10, HEADER_BYTES, HEADER_BYTES + 2 * MIN_BANK_BYTES])
def test_a_file_without_a_header_is_no_spool(tmp_path: Path, size: int) -> None:
    path = tmp_path / "x.spool"
    path.write_bytes(bytes(size))
    with pytest.raises(SpoolError):
        Spool.open(str(path))


def test_where_there_is_no_room_for_one_that_is_said_and_nothing_is_left(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HEADER_BYTES, hard))
    try:
        with pytest.raises(SpoolError, match="File too large"):
            make(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SpoolError, match="No such file"):
        make(tmp_path / "gone")


def test_metadata_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpoolError):
        Spool.create(str(tmp_path), "rec", MIN_BANK_BYTES, {"x": "y" * HEADER_BYTES})
    assert list(tmp_path.iterdir()) == []
