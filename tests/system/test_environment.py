"""What a user puts into the environment runs in nothing of ours: not as root, not before us."""

from __future__ import annotations

import subprocess

import pytest
from host import TIMEOUT, Host

from tests.system.helpers import (
    command,
    login,
    logout,
    ssh,
    sync_journal,
    wait_for_end,
    wait_for_logout,
)

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
    wait_for_logout(host, "alice")
    sync_journal(host)
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
    wait_for_logout(host, "bob")
    found = ssh(host, "bob", "ls /run/sessionwrap/tickets").stdout.split()
    assert len(found) == 1, "more than its own"


def test_variables_of_the_user_do_not_reach_the_login_shell_or_root(host: Host) -> None:
    preload = "LD_PRELOAD{0}/home/alice/none.so\nLD_DEBUG{0}files\nLD_DEBUG_OUTPUT{0}/var/tmp/ld\n"
    host.run(["mkdir", "-p", "/home/alice/.ssh"])
    plant(host, "/home/alice/.pam_environment", preload.format(" DEFAULT="))
    plant(host, "/home/alice/.ssh/environment", preload.format("="))
    sent = ("PYTHONPATH=/home/alice", "PYTHONINSPECT=1", "LD_PRELOAD=/x.so", "LC_ALL=\x1b[c")
    options = [f"-oSetEnv={item}" for item in sent]
    done = subprocess.run(
        host.ssh_command("alice", "env; ls -l /proc/$$/fd", options=["-tt", *options]),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    for word in (b"LD_PRELOAD", b"preload", b"PYTHON"):
        assert word not in done.stdout + done.stderr
    assert b"SHELL=/bin/bash\r\n" in done.stdout
    wait_for_logout(host, "alice")
    by_root = host.run(["find", "/var/tmp", "-user", "root", "-name", "ld.*"]).stdout  # noqa: S108 # the host's
    assert by_root == "", "root ran with the variables of a user"
    (recording,) = wait_for_end(host)
    assert recording["command"].startswith("env; ls -l")


def test_a_users_rc_file_does_not_run_before_the_recording(host: Host) -> None:
    host.run(["mkdir", "-p", "/home/alice/.ssh"])
    plant(host, "/home/alice/.ssh/rc", "touch /home/alice/rc-ran\n")
    with login(host, "alice") as terminal:
        assert "No such file" in command(terminal, "ls /home/alice/rc-ran")
        logout(terminal)
