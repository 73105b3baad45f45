"""What a way in takes longer with us than without, from the call until the user's shell runs.

Without us is the same host after `sessionwrap unsetup`. The shell of the users writes down when it
began and ends.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from statistics import median
from typing import Final

from tests.bench.contestants import OURS
from tests.bench.errors import BenchError
from tests.bench.results import Result, Sizes

WITHOUT: Final = "without"
LIMIT: Final = 50.0
"""Milliseconds: what a way in may take longer."""
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
    with _users():
        for number in range(sizes.rounds):
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
    return [_result(way, scope, rounds) for (way, scope), rounds in taken.items()]


def _result(way: str, scope: str, rounds: dict[str, list[float]]) -> Result:
    added = median(a - b for a, b in zip(rounds[OURS], rounds[WITHOUT], strict=True))
    values = {state: median(of_state) for state, of_state in rounds.items()}
    note = f"without us {values[WITHOUT]:.0f} ms"
    figure = f"{way}, user {scope}: added"
    return Result(figure, "ms", {OURS: values[OURS]}, "ours - without", added, LIMIT, note)


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
