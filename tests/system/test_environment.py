"""What a user puts into the environment runs in nothing of ours: not as root, not before us."""

from __future__ import annotations

import pytest
from host import Host

from tests.system.helpers import command, login, logout, ssh, wait_for_end

# Any program that heeds one of these says so on stderr, or dies.
MISSING = "/home/alice/none.so"


def plant(host: Host, path: str, lines: str) -> None:
    host.write(path, lines)
    host.run(["chown", "alice:", path])


@pytest.mark.parametrize("name", ["LD_PRELOAD", "LD_AUDIT"])
def test_a_users_pam_environment_loads_nothing_into_the_hook_or_the_login_shell(
    host: Host, name: str
) -> None:
    # Debian 12 lets users set variables so for sshd: pam_env with user_readenv.
    assert "user_readenv=1" in host.run(["cat", "/etc/pam.d/sshd"]).stdout
    plant(host, "/home/alice/.pam_environment", f"{name}={MISSING}\nMARK=seen\n")
    done = ssh(host, "alice", "-tt", f"echo $MARK ${{{name}-unset}}")
    assert b"seen unset\r\n" in done.stdout, "the file is read, and ours alone is not there"
    assert MISSING.encode() not in done.stdout + done.stderr
    wait_for_end(host)
    assert MISSING not in host.run(["journalctl", "-q"]).stdout


def test_the_hook_does_not_run_when_a_session_is_closed(host: Host) -> None:
    line = next(
        line
        for line in host.run(["cat", "/etc/pam.d/common-session"]).stdout.splitlines()
        if "pam-hook" in line
    )
    assert "type=open_session" in line
    session = host.run(["cat", "/etc/pam.d/common-session"]).stdout
    others = [at for at in (session.find("pam_unix"), session.find("pam_systemd")) if at >= 0]
    assert session.index("pam-hook") < min(others), "before modules that may set variables"


def test_the_tickets_of_ended_logins_go_with_the_next_login(host: Host) -> None:
    for _ in range(3):
        ssh(host, "bob", "true")
    found = ssh(host, "bob", "ls /run/sessionwrap/tickets").stdout.split()
    assert len(found) <= 2  # its own, and the one before if sshd is still ending it


def test_a_users_rc_file_does_not_run_before_the_recording(host: Host) -> None:
    host.run(["mkdir", "-p", "/home/alice/.ssh"])
    plant(host, "/home/alice/.ssh/rc", "touch /home/alice/rc-ran\n")
    with login(host, "alice") as terminal:
        assert "No such file" in command(terminal, "ls /home/alice/rc-ran")
        logout(terminal)
