"""A login that is not recorded: what the login shell adds to it, and that nothing stays."""

from __future__ import annotations

import time

from sessionwrap import paths
from tests.bench import terminal
from tests.bench.contestants import CONTESTANTS, OURS, PLAIN, UNRECORDED, processes
from tests.bench.errors import BenchError
from tests.bench.figures.start import MARKER
from tests.bench.results import Result, Sizes
from tests.bench.rounds import interleave, medians, over

SHELLS = {OURS: paths.LOGIN_SHELL, PLAIN: "/bin/bash"}


def measure(sizes: Sizes) -> list[Result]:
    """Ours over the plain shell, with the ticket that the hook has written."""
    samples = interleave((OURS, PLAIN), sizes.starts, _started_in)
    values = medians(over(samples, PLAIN))
    return [
        Result("a login that is not recorded", "ms", values, "ours", values[OURS], 10.0),
        Result("processes left in it", "", {OURS: (left := _left())}, "ours", left, 0.0),
    ]


def _started_in(name: str) -> float:
    with terminal.start(UNRECORDED, [SHELLS[name]], f"echo {MARKER}", hook=True) as login:
        login.read_until(MARKER.encode())
        taken = time.monotonic_ns() - login.start
        login.read_all()
    return taken / 1e6


def _left() -> float:
    """Count our processes while such a login lasts, beside those that are always there."""
    resident = {process.pid for process in processes() if b"sessionwrap" in process.command}
    resident |= set(CONTESTANTS[OURS].recorders())
    command = f"echo {MARKER}; read line"
    with terminal.start(UNRECORDED, [SHELLS[OURS]], command, hook=True) as login:
        login.read_until(MARKER.encode())
        found = processes()
        shell = [process for process in found if process.pid == login.pid]
        ours = [process for process in found if b"sessionwrap" in process.command]
        workers = set(CONTESTANTS[OURS].recorders()) - resident
        login.type(b"\n")
        login.read_all()
    if not shell or shell[0].command.rstrip(b"\0") != b"bash":
        raise BenchError(f"expected a shell in place of the login shell, found {shell}")
    return float(len({process.pid for process in ours} - resident | workers))
