"""What a look-up of a user costs: with our service, with it stopped, and with /etc/passwd alone.

Many different users are asked for, each once in a round, by a process that times each call. With
10 000 users glibc reads a file of half a megabyte for each question, whoever asks: there the
figure is what we add.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

from sessionwrap import paths
from tests.bench.contestants import OURS
from tests.bench.errors import BenchError
from tests.bench.results import QUICK, Result, Sizes
from tests.bench.rounds import interleave

PASSWD: Final = "/etc/passwd"  # noqa: S105 # a path
GROUP: Final = "/etc/group"
NSSWITCH: Final = "/etc/nsswitch.conf"
RECORDED_GROUP: Final = "wheel"

SIMPLE: Final = "simple"
"""A service of a few lines in the place of ours, see ``simple_userdb``."""
STOPPED: Final = "stopped"
"""systemd's module asks, but our socket is gone."""
FILES: Final = "files"
"""`passwd: files`: as if there were no overlay."""
STATES: Final = (OURS, SIMPLE, STOPPED, FILES)
LIMIT: Final = 300.0
SIMPLE_LIMIT: Final = 1.03
"""The same limit on any machine: where it was set, 300 µs, a simple service took 290."""
COLD_LIMIT: Final = 50.0
"""Milliseconds: what a way in may take longer."""
ASKED: Final = 200
"""Users in scope, and as many out of scope, that are asked for."""
MANY_USERS: Final = 10_000
MANY_GROUPS: Final = 1_000
FIRST_UID: Final = 30_000
_UNITS: Final = ("sessionwrap-userdb.socket", "sessionwrap-userdb.service")
_DROPIN: Final = "/run/systemd/system/sessionwrap-userdb.service.d/bench.conf"
_SIMPLE: Final = f"/usr/bin/python3 -IS {Path(__file__).resolve().parents[1] / 'simple_userdb.py'}"
_USERDBD: Final = ("systemd-userdbd.socket", "systemd-userdbd.service")
_SOCKETS: Final = "/run/systemd/userdb"
_OF_USERDBD: Final = ("DropIn", "Multiplexer", "NameServiceSwitch")

# Each call with its time, then as many of a function that does nothing: what the loop costs.
_ASK: Final = """
import json, os, pwd, sys, time
function, keys, touched = json.load(sys.stdin)
def timed(function, keys):
    taken = []
    for key in keys:
        before = time.perf_counter_ns()
        function(key)
        taken.append(time.perf_counter_ns() - before)
    return taken
for _ in range(300):  # who is asked has just been started
    pwd.getpwnam("daemon")
for path in touched:
    os.utime(path)
taken = timed(getattr(pwd, function), keys)
json.dump([taken, timed(id, keys)], sys.stdout)
"""


class _Users(NamedTuple):
    """Names of those who are asked for. Their uids go up from FIRST_UID, in scope first."""

    recorded: list[str]
    others: list[str]

    @property
    def uids_of_others(self) -> list[int]:
        return [FIRST_UID + len(self.recorded) + n for n in range(len(self.others))]


def measure(sizes: Sizes) -> list[Result]:
    """Without systemd-userdbd, which Debian does not install, then with it; then many users."""
    with _state_restored():
        with _users(0, 0) as users:
            results = _few("", users, sizes)
            _systemctl("start", _USERDBD[0])
            results += _few(", beside systemd-userdbd", users, sizes)[:2]
            _stop_userdbd()
        with _users(MANY_USERS, MANY_GROUPS) as users:
            results += _many(users, sizes)
            _enter(OURS)
            results += _hook(sizes)
    return results


def _few(suffix: str, users: _Users, sizes: Sizes) -> list[Result]:
    """Give the whole cost of a look-up."""
    return [
        *_with_ratio(f"getpwnam, user out of scope{suffix}", users.others, sizes),
        _whole(f"getpwnam, user in scope{suffix}", "getpwnam", users.recorded, sizes),
        _whole(f"getpwuid, user out of scope{suffix}", "getpwuid", users.uids_of_others, sizes),
    ]


def _many(users: _Users, sizes: Sizes) -> list[Result]:
    """Give what we add; in scope nobody reads /etc/passwd, so there it is the whole cost."""
    return [
        _added("getpwnam, 10 000 users, out of scope: added", "getpwnam", users.others, sizes),
        _whole("getpwnam, 10 000 users, in scope", "getpwnam", users.recorded, sizes),
        _added(
            "getpwuid, 10 000 users, out of scope: added", "getpwuid", users.uids_of_others, sizes
        ),
        _cold("getpwnam, 10 000 users, first after a change", users, sizes),
    ]


def _whole(figure: str, function: str, keys: list[str] | list[int], sizes: Sizes) -> Result:
    values, note = _asked(function, keys, sizes)
    return Result(
        figure, "µs", {OURS: median(values[OURS])}, "ours", median(values[OURS]), LIMIT, note
    )


def _with_ratio(figure: str, names: list[str], sizes: Sizes) -> list[Result]:
    """Give the whole cost, and beside the simple service."""
    values, note = _asked("getpwnam", names, sizes)
    ours = {OURS: median(values[OURS])}
    ratio = median(a / b for a, b in zip(values[OURS], values[SIMPLE], strict=True))
    return [
        Result(figure, "µs", ours, "ours", ours[OURS], LIMIT, note),
        Result(f"{figure}: ratio", "µs", ours, "ours / simple", ratio, SIMPLE_LIMIT),
    ]


def _added(figure: str, function: str, keys: list[str] | list[int], sizes: Sizes) -> Result:
    values, note = _asked(function, keys, sizes)
    added = median(values[OURS]) - median(values[FILES])
    return Result(figure, "µs", {OURS: median(values[OURS])}, "ours - files", added, LIMIT, note)


def _asked(
    function: str, keys: list[str] | list[int], sizes: Sizes
) -> tuple[dict[str, list[float]], str]:
    """Give the rounds' medians in each state, and what else was measured, as a sentence."""
    late: list[float] = []
    loops: list[float] = []

    def ask(state: str) -> float:
        _enter(state)
        taken, loop = _ask(function, keys)
        loops.append(median(loop))
        if state == OURS:
            late.append(sorted(taken)[len(taken) * 95 // 100])
        return median(taken)

    values = interleave(STATES, sizes.rounds, ask)
    simple, stopped, files = (median(values[state]) for state in (SIMPLE, STOPPED, FILES))
    note = (
        f"a simple service in the place of ours {simple:.0f} µs, service stopped {stopped:.0f} µs, "
        f"files alone {files:.0f} µs; "
        f"p95 with us {median(late):.0f} µs; the loop itself {median(loops):.1f} µs"
    )
    return values, note


def _hook(sizes: Sizes) -> list[Result]:
    """Measure the hook in a process of its own: a login program that is older than the overlay,
    which was restarted here, is refused.
    """
    quick = ["--quick"] if sizes == QUICK else []
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.measure", *quick, "hook"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode != 0:
        raise BenchError("the hook could not be measured with 10 000 users")
    results = []
    for line in map(json.loads, done.stdout.splitlines()):
        if "result" in line:
            line["result"].pop("met")
            result = Result(**line["result"])
            results.append(result._replace(figure=f"{result.figure}, 10 000 users"))
    return results


def _cold(figure: str, users: _Users, sizes: Sizes) -> Result:
    """Give what the first look-up takes that comes after a change of /etc/group."""
    _enter(OURS)
    taken = []
    for name in users.others[: sizes.rounds]:
        taken.append(_ask("getpwnam", [name], touched=[GROUP])[0][0] / 1e3)
    value = median(taken)
    return Result(figure, "ms", {OURS: value}, "ours", value, COLD_LIMIT)


def _ask(
    function: str, keys: list[str] | list[int], touched: Sequence[str] = ()
) -> tuple[list[float], list[float]]:
    """Give what each call took and what the loop took, in µs; before, ``touched`` are changed."""
    done = subprocess.run(
        ["/usr/bin/python3", "-IS", "-c", _ASK],
        input=json.dumps([function, keys, touched]),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode != 0:
        raise BenchError(f"{function} failed: {done.stderr.strip()[-200:]}")
    taken, loop = json.loads(done.stdout)
    return [ns / 1e3 for ns in taken], [ns / 1e3 for ns in loop]


@contextlib.contextmanager
def _users(extra: int, groups: int) -> Iterator[_Users]:
    """Write the files, until the end: who is asked for stands amid ``extra`` other users."""
    with _kept(PASSWD), _kept(GROUP):
        yield _make_users(extra, groups)


def _make_users(extra: int, groups: int) -> _Users:
    users = _Users([f"recorded{n}" for n in range(ASKED)], [f"other{n}" for n in range(ASKED)])
    crowd = [f"crowd{n}" for n in range(extra)]
    names = [*users.recorded, *users.others]
    lines = [_passwd_line(name, FIRST_UID + n) for n, name in enumerate(names)]
    others = [_passwd_line(name, FIRST_UID + len(names) + n) for n, name in enumerate(crowd)]
    _append(PASSWD, [*others[: extra // 2], *lines, *others[extra // 2 :]])
    members = ["" for _ in range(groups)]
    for number in range(groups):
        in_it = [*crowd[number::groups], *users.others[number % ASKED :: groups]]
        members[number] = f"crew{number}:x:{FIRST_UID + number}:{','.join(in_it)}"
    _append(GROUP, members)
    _add_members(users.recorded)
    return users


def _passwd_line(name: str, uid: int) -> str:
    return f"{name}:x:{uid}:100:{name}:/home/{name}:/bin/bash"


def _append(path: str, lines: list[str]) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))


def _add_members(names: list[str]) -> None:
    with open(GROUP, encoding="utf-8") as file:
        lines = file.read().splitlines()
    for number, line in enumerate(lines):
        if line.startswith(f"{RECORDED_GROUP}:"):
            comma = "" if line.endswith(":") else ","
            lines[number] = f"{line}{comma}{','.join(names)}"
    _write(GROUP, "".join(f"{line}\n" for line in lines))


def _enter(state: str) -> None:
    """Bring the host into one of STATES."""
    with open(NSSWITCH, encoding="utf-8") as file:
        before = file.read()
    sources = "files" if state == FILES else "systemd files"
    lines = [
        f"passwd: {sources}" if line.startswith("passwd:") else line for line in before.splitlines()
    ]
    text = "\n".join(lines) + "\n"
    if text != before:
        _write(NSSWITCH, text)
    service = state if state in (SIMPLE, STOPPED) else OURS
    if service == _service():
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_DROPIN)
    _systemctl("stop", *_UNITS)
    if service == STOPPED:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(paths.OVERLAY_SOCKET)
        return
    if service == SIMPLE:
        _write(_DROPIN, f"[Service]\nType=exec\nWatchdogSec=0\nExecStart=\nExecStart={_SIMPLE}\n")
    _systemctl("daemon-reload")
    _systemctl("reset-failed", *_UNITS)  # it is started often here
    _systemctl("start", *_UNITS)


def _service() -> str:
    """Give which service there is: OURS, SIMPLE or STOPPED."""
    if not os.path.exists(paths.OVERLAY_SOCKET):
        return STOPPED
    return SIMPLE if os.path.exists(_DROPIN) else OURS


@contextlib.contextmanager
def _state_restored() -> Iterator[None]:
    _stop_userdbd()
    with _kept(NSSWITCH):
        yield
        _enter(OURS)
        _systemctl("start", _USERDBD[0])


def _stop_userdbd() -> None:
    _systemctl("stop", *_USERDBD)
    for name in _OF_USERDBD:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{_SOCKETS}/io.systemd.{name}")


@contextlib.contextmanager
def _kept(path: str) -> Iterator[None]:
    """Give a file back its contents at the end."""
    with open(path, encoding="utf-8") as file:
        before = file.read()
    try:
        yield
    finally:
        _write(path, before)


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(f"{path}.new", 0o644)
    os.rename(f"{path}.new", path)


def _systemctl(*words: str) -> None:
    done = subprocess.run(
        ["systemctl", *words], capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode != 0 and words[0] != "reset-failed":
        raise BenchError(f"systemctl {' '.join(words)}: {done.stderr.strip()}")
