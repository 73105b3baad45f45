"""A real socket stands for that of journald."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sessionwrap import unheard

FIELDS = {"MESSAGE": "bob got in", "PRIORITY": "2"}


@contextmanager
def journal(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.setblocking(False)
        yield sock
    path.unlink()


def received(sock: socket.socket) -> list[str]:
    """Give the MESSAGE of each entry that has come."""
    found: list[str] = []
    while True:
        try:
            data = sock.recv(65536)
        except BlockingIOError:
            return found
        found += [line[8:].decode() for line in data.split(b"\n") if line.startswith(b"MESSAGE=")]


def test_an_entry_that_the_journal_takes_is_not_kept(tmp_path: Path) -> None:
    kept = str(tmp_path / "kept")
    with journal(tmp_path / "j") as sock:
        unheard.log(FIELDS, kept, str(tmp_path / "j"))
        assert received(sock) == ["bob got in"]
    assert not unheard.waits(kept)


def test_what_the_journal_did_not_take_is_sent_later_in_order_once_with_its_time(
    tmp_path: Path,
) -> None:
    kept, path = str(tmp_path / "kept"), str(tmp_path / "j")
    for number in range(3):
        unheard.log({"MESSAGE": f"alert {number}"}, kept, path)
    assert unheard.waits(kept)
    unheard.send(kept, path)  # still away
    with journal(tmp_path / "j") as sock:
        unheard.send(kept, path)
        texts = received(sock)
        assert [text[:7] for text in texts] == ["alert 0", "alert 1", "alert 2"]
        assert all("(said late: it was 2" in text for text in texts)
        assert not unheard.waits(kept)
        unheard.send(kept, path)
        assert received(sock) == []


def test_what_is_known_not_to_be_kept_is_said_now_and_later(tmp_path: Path) -> None:
    kept, path = str(tmp_path / "kept"), str(tmp_path / "j")
    with journal(tmp_path / "j") as sock:
        unheard.log(FIELDS, kept, path, is_kept=False)
        assert received(sock) == ["bob got in"]
        unheard.send(kept, path)
        assert received(sock)[0].startswith("bob got in (said late")


def test_only_root_reads_what_is_kept(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    unheard.log(FIELDS, str(kept), str(tmp_path / "j"))
    assert kept.stat().st_mode & 0o777 == 0o700
    (entry,) = kept.iterdir()
    assert entry.stat().st_mode & 0o777 == 0o600


def test_a_journal_whose_queue_is_full_gets_the_rest_another_time(tmp_path: Path) -> None:
    kept, path = str(tmp_path / "kept"), str(tmp_path / "j")
    for number in range(20):
        unheard.log({"MESSAGE": f"alert {number:02}", "X": "x" * 30000}, kept, path)
    with journal(tmp_path / "j") as sock:
        texts = []
        while unheard.waits(kept):
            unheard.send(kept, path)
            some = received(sock)
            assert some
            texts += [text[:8] for text in some]
    assert texts == [f"alert {number:02}" for number in range(20)]


def test_there_is_a_bound_and_the_last_entry_says_that_more_were_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unheard, "MAX_ENTRIES", 3)
    kept, path = str(tmp_path / "kept"), str(tmp_path / "j")
    for number in range(5):
        unheard.log({"MESSAGE": f"alert {number}"}, kept, path)
    assert len(os.listdir(kept)) == 3
    with journal(tmp_path / "j") as sock:
        unheard.send(kept, path)
        assert ["dropped" in text for text in received(sock)] == [False, False, True]


def test_an_entry_that_could_not_be_kept_as_a_whole_is_an_error_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (32, hard))
    try:
        with pytest.raises(OSError, match="as a whole"):
            unheard.log(FIELDS, str(tmp_path / "kept"), str(tmp_path / "away"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not unheard.waits(str(tmp_path / "kept"))
