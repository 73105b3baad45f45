"""Who calls su or sudo cannot keep it from asking the overlay, or from the answer."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pexpect
import pytest
from host import Host

from sessionwrap import message_ids
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


def test_a_su_that_was_stopped_until_it_waits_no_longer_starts_no_shell(host: Host) -> None:
    """Its caller can do so (kill(2)): here where it has just found that there is no answer yet."""
    trace = "/root/trace"
    words = ["-e", f"inject=recvfrom:delay_exit={PATIENCE + 5}s:when=1", "su", "-", "alice"]
    command_line = host.command(["strace", "-o", trace, "-e", "trace=recvfrom", *words, "-c", "id"])
    service = "sessionwrap-userdb.service"
    host.run(["systemctl", "kill", "--signal=STOP", service])
    with subprocess.Popen(command_line, stdout=subprocess.PIPE, text=True) as su:
        try:
            find = ["grep", "-F", "EAGAIN (Resource temporarily unavailable) (DELAYED)", trace]
            host.wait_until(lambda: host.run(find, check=False).returncode == 0)
            host.run(["systemctl", "kill", "--signal=CONT", service])
            said, _ = su.communicate(timeout=2 * PATIENCE)
        finally:
            su.kill()
    assert "uid=" not in said
    (alert,) = alerts(host)
    assert "was refused" in alert
    assert "was kept from asking the user database, or from its answer" in alert
