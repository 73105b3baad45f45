from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from pathlib import Path

import pytest

from sessionwrap.recorder import utmp

SIZE = utmp._RECORD_BYTES[os.uname().machine]


def record(line: str, user: str, kind: int = 7) -> bytes:
    """Give an entry of utmp(5)."""
    head = struct.pack("<hxxi32s4s32s", kind, 1234, line.encode(), b"ts/0", user.encode())
    return head.ljust(SIZE, b"\0")


def test_the_entry_of_the_terminal_and_no_other_changes_its_line(tmp_path: Path) -> None:
    path = tmp_path / "utmp"
    before = [record("pts/1", "bob"), record("pts/0", "alice", 8), record("pts/0", "alice")]
    path.write_bytes(b"".join(before))
    assert utmp.move_line("/dev/pts/0", "/dev/pts/17", str(path))
    after = b"".join([*before[:2], record("pts/17", "alice")])
    assert path.read_bytes() == after
    assert utmp.move_line("/dev/pts/17", "/dev/pts/0", str(path))
    assert path.read_bytes() == b"".join(before)


def test_who_reads_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "utmp"
    path.write_bytes(record("pts/0", "alice"))
    utmp.move_line("/dev/pts/0", "/dev/pts/17", str(path))
    assert subprocess.run(["who", path], capture_output=True, text=True, check=True).stdout.split()[
        :2
    ] == ["alice", "pts/17"]


@pytest.mark.parametrize("content", [b"", b"short", bytes(SIZE), os.urandom(SIZE * 2 + 7)])
def test_whatever_else_is_there_stays_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "utmp"
    path.write_bytes(content)
    assert not utmp.move_line("/dev/pts/0", "/dev/pts/17", str(path))
    assert path.read_bytes() == content


def test_without_utmp_nothing_happens(tmp_path: Path) -> None:
    assert not utmp.move_line("/dev/pts/0", "/dev/pts/17", str(tmp_path / "none"))


def test_a_user_who_locks_utmp_makes_nobody_wait(tmp_path: Path) -> None:
    path = tmp_path / "utmp"
    path.write_bytes(record("pts/0", "alice"))
    holder = os.fork()
    if holder == 0:
        with path.open("rb") as file:
            fcntl.lockf(file, fcntl.LOCK_SH)
            (tmp_path / "locked").touch()
            signal_wait()
    while not (tmp_path / "locked").exists():
        os.sched_yield()
    assert not utmp.move_line("/dev/pts/0", "/dev/pts/17", str(path))
    os.kill(holder, 9)
    os.waitpid(holder, 0)


def signal_wait() -> None:
    """Stay until killed."""
    read_end, _ = os.pipe()
    os.read(read_end, 1)
