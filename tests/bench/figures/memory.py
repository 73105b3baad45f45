"""Memory: what the recorders of several terminals take together, shared pages counted once."""

from __future__ import annotations

from contextlib import ExitStack

from tests.bench.contestants import CONTESTANTS, OURS, RELAY, SCRIPT, TLOG
from tests.bench.errors import BenchError
from tests.bench.figures.echo import open_cat
from tests.bench.results import Result, Sizes

NAMES = (OURS, TLOG, SCRIPT, RELAY)
SHOWN = b"a line of text on the terminal of a user\n" * 100


def measure(sizes: Sizes) -> list[Result]:
    """Ours against the target; the recorder's service is part of it."""
    values = {name: _megabytes(name, sizes.memory_recordings) for name in NAMES}
    return [
        Result(
            f"memory per recording, {sizes.memory_recordings} at once (PSS)",
            "MB",
            values,
            "ours",
            values[OURS],
            2.0,
        )
    ]


def _megabytes(name: str, count: int) -> float:
    with ExitStack() as stack:
        for _ in range(count):
            login = stack.enter_context(open_cat(name))
            for line in SHOWN.splitlines():
                login.type(line + b"\n")
                login.read_until(b"\r\n" + line + b"\r\n")
        recorders = CONTESTANTS[name].recorders()
        if len(recorders) < count:
            raise BenchError(f"{len(recorders)} recorders of {name}, expected {count}")
        return sum(map(_pss, recorders)) / count / 1e6


def _pss(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    raise BenchError(f"no PSS of process {pid}")
