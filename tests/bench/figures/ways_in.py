"""What a way in takes longer with us than without, from the call until the user's shell runs.

Without us is the same host after `sessionwrap unsetup`. The shell of the users writes down when it
began and ends. What is added is also held against tlog's start in the same round.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from statistics import median
from typing import Final

from tests.bench.contestants import OURS, PLAIN, TLOG
from tests.bench.errors import BenchError
from tests.bench.figures.start import started_in
from tests.bench.results import Result, Sizes

WITHOUT: Final = "without"
LIMIT: Final = 50.0
"""Milliseconds: what a way in may take longer."""
RATIO_LIMIT: Final = 4.63
"""The same limit on any machine: where it was set, tlog's start took 10.8 ms (50 / 10.8)."""
USERS: Final = {"in scope": ("waysin", ["--groups=wheel"]), "out of scope": ("waysout", [])}
SHELL: Final = "/usr/local/bin/began"
_BEGAN: Final = '#!/bin/sh\nexec date +%s%N >"$HOME/began"\n'
_SSH: Final = ("ssh", "-oLogLevel=ERROR", "-oBatchMode=yes")


def _ways(user: str) -> dict[str, list[str]]:
    address = f"{user}@127.0.0.1"
    return {
        "ssh with a terminal": [*_SSH, "-tt", address],
        "ssh without a terminal": [*_SSH, "-T", address],
        "su -": _on_a_terminal(f"su - {user}"),
        "login": _on_a_terminal(f"login -f {user}"),
    }


def _on_a_terminal(line: str) -> list[str]:
    return ["script", "-qec", line, "/dev/null"]


def measure(sizes: Sizes) -> list[Result]:
    """All ways for each user, a few times in a row, with us and without in turn."""
    taken: dict[tuple[str, str], dict[str, list[float]]] = {}
    of_tlog = []
    with _users():
        for number in range(sizes.rounds):
            of_tlog.append(_start_of_tlog(sizes))
            states = (OURS, WITHOUT) if number % 2 else (WITHOUT, OURS)
            for state in states:
                _run(["sessionwrap", "setup" if state == OURS else "unsetup"])
                for scope, (user, _) in USERS.items():
                    for way, argv in _ways(user).items():
                        _run(argv)  # the first one pays for the change
                        several = [_time(argv, user) for _ in range(sizes.rounds)]
                        of_way = taken.setdefault((way, scope), {OURS: [], WITHOUT: []})
                        of_way[state].append(median(several))
        _run(["sessionwrap", "setup"])
    return [
        result
        for (way, scope), rounds in taken.items()
        for result in _results(f"{way}, user {scope}", rounds, of_tlog)
    ]


def _results(figure: str, rounds: dict[str, list[float]], of_tlog: list[float]) -> list[Result]:
    """Give what is added, and that as a multiple of tlog's start."""
    added = [a - b for a, b in zip(rounds[OURS], rounds[WITHOUT], strict=True)]
    ratio = median(ours / tlog for ours, tlog in zip(added, of_tlog, strict=True))
    ours = {OURS: median(rounds[OURS])}
    note = f"without us {median(rounds[WITHOUT]):.0f} ms; tlog's start {median(of_tlog):.1f} ms"
    return [
        Result(f"{figure}: added", "ms", ours, "ours - without", median(added), LIMIT, note),
        Result(f"{figure}: ratio", "ms", ours, "added / tlog's start", ratio, RATIO_LIMIT),
    ]


def _start_of_tlog(sizes: Sizes) -> float:
    """Give the milliseconds that a shell takes longer to start in tlog than on a bare terminal."""
    pairs = [(started_in(TLOG), started_in(PLAIN)) for _ in range(sizes.rounds)]
    return median(tlog - plain for tlog, plain in pairs)


def _time(argv: list[str], user: str) -> float:
    """Give the milliseconds until the shell ran."""
    before = time.time_ns()
    _run(argv)
    with open(f"/home/{user}/began", encoding="ascii") as file:
        return (int(file.read()) - before) / 1e6


def _run(argv: list[str]) -> None:
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        check=False,
        timeout=60,
        env={**os.environ, "TERM": "xterm", "HOME": "/root"},
    )
    if done.returncode != 0:
        raise BenchError(f"{' '.join(argv)}: {done.returncode} {done.stdout} {done.stderr}")


@contextlib.contextmanager
def _users() -> Iterator[None]:
    with open(SHELL, "w", encoding="ascii") as file:
        file.write(_BEGAN)
    _run(["chmod", "755", SHELL])
    for user, options in USERS.values():
        _run(["useradd", "--create-home", f"--shell={SHELL}", *options, user])
    try:
        yield
    finally:
        for user, _ in USERS.values():
            subprocess.run(
                ["userdel", "--force", "--remove", user], capture_output=True, check=False
            )
