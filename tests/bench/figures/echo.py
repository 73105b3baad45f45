"""Keystroke echo: from a byte typed until the terminal shows it, echoed by the inner terminal."""

from __future__ import annotations

import time
from contextlib import ExitStack

from tests.bench.contestants import CONTESTANTS, OURS, PLAIN, RELAY, SCRIPT, TLOG
from tests.bench.errors import BenchError
from tests.bench.results import Result, Sizes
from tests.bench.rounds import interleave, medians, percentile, ratio
from tests.bench.terminal import Login

NAMES = (OURS, TLOG, SCRIPT, RELAY, PLAIN)
LINE = 64
"""Keys in a row: few, so that whatever disturbs one session disturbs the others as well."""
TARGETS = {50: 1.1, 99: 1.3}


def measure(sizes: Sizes) -> list[Result]:
    """Compare with tlog. All sessions are open all the time; a line is typed into each in turn."""
    keys: dict[str, list[int]] = {name: [] for name in NAMES}
    with ExitStack() as stack:
        logins = {name: stack.enter_context(open_cat(name)) for name in NAMES}
        for login in logins.values():
            type_line(login)

        def type_into(name: str) -> float:
            keys[name] += type_line(logins[name])
            return 0.0

        interleave(NAMES, sizes.echo_rounds * sizes.echo_lines, type_into, warm_up=False)
    per_round = sizes.echo_lines * LINE
    return [_result(keys, per_round, percent, target) for percent, target in TARGETS.items()]


def _result(keys: dict[str, list[int]], per_round: int, percent: int, target: float) -> Result:
    samples = {
        name: [
            percentile(all_keys[at : at + per_round], percent) / 1000
            for at in range(0, len(all_keys), per_round)
        ]
        for name, all_keys in keys.items()
    }
    return Result(
        f"keystroke echo, p{percent}",
        "µs",
        medians(samples),
        "ours / tlog",
        ratio(samples, OURS, TLOG),
        target,
        f"relay / tlog {ratio(samples, RELAY, TLOG):.2f}, "
        f"ours / relay {ratio(samples, OURS, RELAY):.2f}, {len(keys[OURS])} keys each",
    )


def open_cat(name: str) -> Login:
    """Start a terminal that echoes, and wait until it does."""
    login = CONTESTANTS[name].run("echo BEGIN; exec cat")
    login.read_until(b"BEGIN\r\n")
    login.type(b"begin\n")  # echoed, then printed by cat
    login.read_until(b"begin\r\nbegin\r\n")
    return login


def type_line(login: Login) -> list[int]:
    """Type a line of keys, each when the last was shown; gives nanoseconds each."""
    taken = []
    clock = time.monotonic_ns
    for _ in range(LINE):
        before = clock()
        login.type(b"x")
        shown = login.read()
        taken.append(clock() - before)
        if shown != b"x":
            raise BenchError(f"a key was echoed as {shown!r}")
    login.type(b"\n")
    login.read_until(b"\r\n" + b"x" * LINE + b"\r\n")  # printed by cat
    return taken
