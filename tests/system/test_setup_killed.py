"""`setup` and `unsetup` killed anywhere, or run at the same time, leave nothing half done."""

from __future__ import annotations

import random
import subprocess
import time

import pytest
from host import Host

from tests.system.helpers import gets_in, ssh
from tests.system.test_setup import state, unsetup


@pytest.mark.parametrize("verb", ["setup", "unsetup"])
def test_killed_at_any_point_it_can_be_run_again(host: Host, verb: str) -> None:
    other = {"setup": "unsetup", "unsetup": "setup"}[verb]
    host.run(["sessionwrap", "unsetup"])
    undone = state(host)
    host.run(["sessionwrap", "setup"])
    done = state(host)
    goal = done if verb == "setup" else undone
    moments = random.Random(3)  # noqa: S311 # the same moments each time
    for _ in range(6):
        host.run(["sessionwrap", other])
        began = time.monotonic()
        _kill_after(host, verb, moments.uniform(0.1, 1.5))
        assert time.monotonic() - began < 30
        assert ssh(host, "root", "true").returncode == 0
        host.run(["sessionwrap", verb])
        assert state(host) == goal
        assert host.run(["sessionwrap", verb]).stdout in (
            "everything is in place\n",
            "nothing of setup is in place\n",
        )
    assert gets_in(host, "alice")


def _kill_after(host: Host, verb: str, seconds: float) -> None:
    """Run a verb and kill it and what it has started; dpkg and apt would do the same."""
    words = ["timeout", "--signal=KILL", f"{seconds:.2f}", "sessionwrap", verb]
    subprocess.run(host.command(words), capture_output=True, timeout=60, check=False)


STEPS = ("Users", "Units", "Sshd", "NameService", "DebianPam")
KILLED = """
import os, signal, sys
from sessionwrap.setup import steps
verb, name, method, when = sys.argv[1:]
step = getattr(steps, name)
done = getattr(step, method)
def killed(self):
    if when == "after": done(self)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(step, method, killed)
from sessionwrap.commands import main
sys.argv[1:] = [verb]
main()
"""


KILLED_WRITING = """
import os, signal, sys
path, rename = sys.argv[1], os.rename
def killed(new, old):
    if path in old: os.kill(os.getpid(), signal.SIGKILL)
    rename(new, old)
os.rename = killed
from sessionwrap.commands import main
sys.argv[1:] = ["setup"]
main()
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_between_any_two_steps_it_goes_on_from_there_or_back(host: Host, when: str) -> None:
    states = {"setup": state(host)}
    unsetup(host)
    states["unsetup"] = state(host)
    for verb, other, method, names in (
        ("setup", "unsetup", "do", STEPS[1:]),
        ("unsetup", "setup", "undo", STEPS[:0:-1]),
    ):
        for name in names:
            for then in (verb, other):
                killed(host, verb, name, method, when)
                assert gets_in(host, "bob")
                assert ssh(host, "root", "true").returncode == 0
                host.run(["sessionwrap", then])
                assert state(host) == states[then]
                host.run(["sessionwrap", other])
        host.run(["sessionwrap", verb])


def killed(host: Host, *words: str) -> None:
    done = host.run(["python3", "-c", KILLED, *words], check=False)
    assert done.returncode in (-9, 137), done


@pytest.mark.parametrize("then", ["setup", "unsetup"])
def test_killed_while_it_writes_a_file_nothing_is_left_of_it(host: Host, then: str) -> None:
    there = state(host)
    unsetup(host)
    states = {"setup": there, "unsetup": state(host)}
    for path in ("/etc/nsswitch.conf", "/var/lib/sessionwrap/setup.json", "service.d/"):
        done = host.run(["python3", "-c", KILLED_WRITING, path], check=False)
        assert done.returncode in (-9, 137), done
        host.run(["sessionwrap", then])
        assert state(host) == states[then]
        unsetup(host)
        left = host.run(["find", "/etc", "/var/lib/sessionwrap", "/run/sessionwrap"]).stdout
        assert ".sessionwrap-new" not in left
        assert "setup.json" not in left


def test_of_two_at_once_one_waits_for_the_other(host: Host) -> None:
    there = state(host)
    for verb in ("unsetup", "setup"):
        runs = [
            subprocess.Popen(
                host.command(["sessionwrap", verb]),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for _ in range(3)
        ]
        said = sorted(run.communicate(timeout=120)[0] for run in runs)
        assert [run.returncode for run in runs] == [0, 0, 0], said
        nothing = ("everything is in place\n", "nothing of setup is in place\n")
        assert len([text for text in said if text in nothing]) == 2, said
    assert state(host) == there
