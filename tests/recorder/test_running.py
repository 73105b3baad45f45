"""What running recordings say of their ptys: real ones, and processes that they control."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionwrap import paths
from sessionwrap.recorder import running


@pytest.fixture
def pty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    monkeypatch.setattr(paths, "SPOOL_DIR", str(tmp_path))
    master, slave = os.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def asked(listener: socket.socket, master: int, *, may_lose: bool = False) -> tuple[int, bool]:
    """Give what the worker of `rec` answers."""
    listener.setblocking(True)
    worker = threading.Thread(
        target=running.answer, args=(listener, master), kwargs={"may_lose": may_lose}
    )
    worker.start()
    try:
        return running._ask("rec")
    finally:
        worker.join()


def test_a_worker_says_which_session_its_pty_controls(pty: tuple[int, int]) -> None:
    master, slave = pty

    def take() -> None:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    with running.listen("rec") as listener:
        assert asked(listener, master, may_lose=True) == (0, True)
        with subprocess.Popen(["/bin/cat"], stdin=slave, preexec_fn=take) as leader:  # noqa: PLW1509
            assert asked(listener, master) == (leader.pid, False)
            leader.terminate()
        assert asked(listener, master) == (0, False)
    running.unlink_pty("/dev/pts/0", "rec")
    with pytest.raises(FileNotFoundError):
        running._ask("rec")


def test_who_waits_for_a_worker_goes_on_when_it_has_ended() -> None:
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as worker:
        rec = running.recording_id(worker.pid)
        waited: list[bool] = []
        waiting = threading.Thread(target=lambda: waited.append(running.wait_for_worker(rec)))
        waiting.start()
        wait_until_polling(waiting)
        assert waited == []
        worker.communicate()
        waiting.join()
    assert waited == [True]
    assert not running.wait_for_worker(rec)


def wait_until_polling(thread: threading.Thread) -> None:
    """Wait until a thread of ours is in poll(2)."""
    deadline = time.monotonic() + 30
    while "poll" not in Path(f"/proc/self/task/{thread.native_id}/wchan").read_text():
        assert time.monotonic() < deadline
        os.sched_yield()
