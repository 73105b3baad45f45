"""Many recordings at once, each with a user who types: what the recorders take of a processor."""

from __future__ import annotations

import os
import select
import time
from contextlib import ExitStack, suppress
from pathlib import Path

from tests.bench import journal
from tests.bench.contestants import CONTESTANTS, OURS, RELAY, SCRIPT, TLOG
from tests.bench.figures.echo import open_cat
from tests.bench.results import Result, Sizes
from tests.bench.terminal import CHUNK, Login

NAMES = (OURS, TLOG, SCRIPT, RELAY)
KEYS_PER_SECOND = 5


def measure(sizes: Sizes) -> list[Result]:
    """Ours against the target."""
    values = {}
    for name in NAMES:
        journal.empty()
        values[name] = _cores(name, sizes)
    return [
        Result(
            f"{sizes.many_recordings} recordings, {KEYS_PER_SECOND} keys a second each",
            "cores",
            values,
            "ours",
            values[OURS],
            0.5,
        )
    ]


def _cores(name: str, sizes: Sizes) -> float:
    with ExitStack() as stack:
        logins = [stack.enter_context(open_cat(name)) for _ in range(sizes.many_recordings)]
        recorders = CONTESTANTS[name].recorders()
        before, began = _run_times(recorders), time.monotonic()
        _type_into(logins, began + sizes.many_seconds)
        after = _run_times(recorders)
        used = sum(after[pid] - before[pid] for pid in after)
        cores = used / (time.monotonic() - began)
        for login in logins:
            login.type(b"\n\x04")  # script outlives a terminal that hangs up within a line
            login.read_all()
        return cores


def _type_into(logins: list[Login], end: float) -> None:
    """Type into one after the other, evenly, and read what they show."""
    epoll = select.epoll()
    for login in logins:
        epoll.register(login.master, select.EPOLLIN)
    pause = 1 / KEYS_PER_SECOND / len(logins)
    due, number = time.monotonic(), 0
    while due < end:
        for fd, _ in epoll.poll(max(0.0, due - time.monotonic())):
            os.read(fd, CHUNK)
        while due <= time.monotonic():
            logins[number % len(logins)].type(b"x")
            number += 1
            due += pause
    epoll.close()


def _run_times(pids: list[int]) -> dict[int, float]:
    """Give the seconds that processes have run, exact: first field of schedstat (sched-stats.rst).

    Without those that have ended: the recorder has short-lived children besides its workers.
    """
    times = {}
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):
            text = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii")
            times[pid] = int(text.split()[0]) / 1e9
    return times
