"""Who calls su or sudo, or stops a look-up, cannot keep it from the overlay's answer unseen."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pexpect
import pytest
from host import Host

from sessionwrap import message_ids, paths
from tests.system import ways
from tests.system.adversary import ATTACKS, copy_attacks
from tests.system.helpers import (
    PROMPT,
    alerts,
    command,
    login,
    logout,
    recording_pids,
    recordings,
    ssh,
)

PATIENCE = 45
"""Seconds that systemd's NSS module waits for an answer (varlink's default)."""
POINTS = (
    "connect:delay_exit={}:when=1",  # before the question is sent
    "sendto:delay_exit={}:when=1",
    "/^epoll_p?wait:delay_exit={}:when=2",
    "/^epoll_p?wait:delay_enter={}:when=3",
    "recvfrom:delay_enter={}:when=1",
    "recvfrom:delay_exit={}:when=1",
)
"""Where a look-up is held up, as strace(1) injects it; ours is the first service that is asked."""
LIMITS = range(8, 48)
"""MB of address space: from too little for su to enough for the PAM hook."""


@pytest.mark.parametrize("variable", ["SYSTEMD_BYPASS_USERDB=1", "SYSTEMD_ONLY_USERDB=io.x"])
@pytest.mark.parametrize("line", ["su - alice", "sudo -iu alice", "sudo --login -u alice id"])
def test_a_caller_whose_variables_pass_the_overlay_over_is_refused(
    host: Host, variable: str, line: str
) -> None:
    ways.prepare(host, "alice")
    with login(host, "bob") as terminal:
        terminal.sendline(f"{variable} {line}")
        if line.startswith("su "):
            terminal.expect_exact("Password: ")
            terminal.sendline(ways.PASSWORD)
        terminal.expect_exact(PROMPT)
        assert "must be recorded" in (terminal.before or "")
        assert "uid=1000" not in (terminal.before or "")
        assert command(terminal, "id -un") == "bob\r\n"
        logout(terminal)
    (alert,) = alerts(host)
    assert alert.startswith("A login of alice by su")
    assert "was refused" in alert
    assert recordings(host) == []


def test_a_su_that_was_kept_from_asking_starts_no_shell_that_is_not_recorded(host: Host) -> None:
    """The caller leaves it few descriptors, and another service is asked before ours."""
    ways.prepare(host, "alice")
    copy_attacks(host)
    host.copy_in(Path(__file__).with_name("user_service.py"), "/usr/local/bin/users")
    unit = ["--unit=users", "--property=Type=notify", "--property=NotifyAccess=all"]
    user = json.dumps({"userName": "dan", "uid": 20002, "gid": 100})
    host.run(["systemd-run", *unit, "python3", "/usr/local/bin/users", user])
    became = {few: su_with_few_descriptors(host, few) for few in range(1, 12)}
    assert became[11] == "recorded"
    assert "kept" in became.values()
    assert set(became.values()) <= {"recorded", "kept", "failed"}, became


def su_with_few_descriptors(host: Host, few: int) -> str:
    """Say what became of bob's `su - alice`: recorded, kept from asking and refused, failed (su
    itself) or unrecorded.
    """
    with login(host, "bob") as terminal:
        terminal.sendline(f"exec python3 {ATTACKS}/few_descriptors.py {few} su - alice")
        said = ""
        if terminal.expect_exact(["Password: ", pexpect.EOF]) == 0:
            terminal.sendline(ways.PASSWORD)
            if terminal.expect_exact([PROMPT, pexpect.EOF]) == 0:
                found = "recorded" if recording_pids(host) else "unrecorded"
                terminal.sendline("exit")
                terminal.expect(pexpect.EOF)
                return found
            said = terminal.before or ""
        return "kept" if "was kept from asking the user database" in said else "failed"


def test_a_su_that_lacks_memory_starts_no_shell_that_is_not_recorded(host: Host) -> None:
    ways.prepare(host, "alice")
    su = f"echo {ways.PASSWORD} | prlimit --as={{}}000000 su alice -c 'echo {{}} MB'"
    lines = [f"({su.format(limit, limit)}) 2>/dev/null &" for limit in LIMITS]
    done = ssh(host, "bob", "\n".join([*lines, "wait"]))
    became = done.stdout.split(b"\n")[:-1]
    assert b"47 MB" in became
    assert b"8 MB" not in became
    host.wait_for_entries(f"MESSAGE_ID={message_ids.START}", count=len(became))
    entries = [(entry["user"], entry["kind"]) for entry in recordings(host)]
    assert entries == [("alice", "command")] * len(became)


def test_a_look_up_that_was_stopped_for_long_takes_the_answer_that_is_there(host: Host) -> None:
    """Its caller may stop a su at any time; what comes too late would be no answer."""
    children = {}
    for point in POINTS:
        name = point.partition(":")[0]
        inject = f"inject={point.format(f'{PATIENCE + 5}s')}"
        words = ["strace", "-e", f"trace={name}", "-e", inject, "getent", "passwd", "alice"]
        children[point] = subprocess.Popen(
            host.command(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    for point, child in children.items():
        said, trace = child.communicate(timeout=120)
        assert trace.count("(DELAYED)") == 1, point
        assert said.endswith(f":{paths.LOGIN_SHELL}\n"), point
