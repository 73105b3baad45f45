"""alice as the adversary: she does all that her uid can do, and the recorder is as it was before.

What is tried runs in the host, from tests/system/attacks.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from host import Host
from images import Image

from tests.system.helpers import PROMPT, gets_in, recorder, recordings, spare, workers

if TYPE_CHECKING:
    import pexpect

ATTACKS = "/usr/local/share/attacks"
PYTHON = "/usr/bin/python3"
PASSWORD = "secret"  # noqa: S105 # of users of a throwaway host


class Idle(NamedTuple):
    """What the recorder is while nobody is logged in: its pid, and what it has open."""

    pid: int
    descriptors: list[str]


@pytest.fixture(scope="module")
def attackable(installed_image: Image) -> Iterator[tuple[Host, Idle]]:
    """Boot one host for all that leaves nothing behind; nobody has logged in on it yet."""
    with Host(installed_image) as host:
        copy_attacks(host)
        users = ("alice", "bob", "carol")
        host.run(["chpasswd"], input="".join(f"{user}:{PASSWORD}\n" for user in users))
        host.write("/etc/sudoers.d/alice", "alice ALL=(carol) NOPASSWD: ALL\n", 0o440)
        spare(host)
        yield host, Idle(recorder(host), descriptors(host))


@pytest.fixture
def attacked(attackable: tuple[Host, Idle]) -> Iterator[Host]:
    """Give that host; afterwards others can log in and the recorder is as before any login."""
    host, idle = attackable
    yield host
    host.wait_until(lambda: workers(host) == [])
    assert recorder(host) == idle.pid, "the recorder has died"
    host.wait_until(lambda: descriptors(host) == idle.descriptors)
    assert host.run(["ls", "/run/sessionwrap/spool"]).stdout == ""
    assert gets_in(host, "carol")
    host.wait_until(lambda: workers(host) == [])


def copy_attacks(host: Host) -> None:
    """Put the scripts of tests/system/attacks into a host."""
    for script in (Path(__file__).parent / "attacks").glob("*.py"):
        host.copy_in(script, f"{ATTACKS}/{script.name}")


def descriptors(host: Host) -> list[str]:
    """Give what the recorder has open; which pipe or socket it is counts for nothing."""
    listed = host.run(
        ["sh", "-c", f"for f in /proc/{recorder(host)}/fd/*; do readlink $f || :; done"]
    )
    return sorted(re.sub(r"\[\d+\]", "", line) for line in listed.stdout.splitlines())


def attack(script: str, *words: object) -> str:
    """Give the command line of an attack."""
    return " ".join([PYTHON, f"{ATTACKS}/{script}.py", *map(str, words)])


@contextmanager
def attacking(host: Host, user: str, script: str, *words: object) -> Iterator[None]:
    """Let an attack run over ssh, from its first line of output on; it is killed at the end."""
    with holding(host, user, attack(script, *words)):
        try:
            yield
        finally:
            host.run(["pkill", "-KILL", "-u", user, "-x", "python3"])


@contextmanager
def holding(host: Host, user: str, *args: str) -> Iterator[None]:
    """Hold an ssh client open (``args`` as for ssh), from its first line of output on."""
    command_line = host.ssh_command(user, *args)
    with subprocess.Popen(command_line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as client:
        try:
            assert client.stdout
            assert client.stdout.readline(), "it has ended at once"
            yield
        finally:
            client.kill()


def ended(host: Host) -> list[dict[str, Any]]:
    """Give all recordings once no worker is left."""
    host.wait_until(lambda: workers(host) == [])
    return recordings(host)


def become(terminal: pexpect.spawn[str], line: str) -> None:
    """Type an su command and its password."""
    terminal.sendline(line)
    terminal.expect_exact("Password: ")
    terminal.sendline(PASSWORD)
    terminal.expect_exact(PROMPT)
