"""The package installs, works after it, and leaves nothing behind that locks a user out."""

from __future__ import annotations

import pytest
from host import Host

from tests.system.helpers import as_user, command, login, logout, wait_for_end

UNITS = (
    "sessionwrapd.service",
    "sessionwrapd.socket",
    "sessionwrap-userdb.service",
    "sessionwrap-userdb.socket",
)


def test_the_host_is_in_order_with_the_package_installed(host: Host) -> None:
    assert host.run(["systemctl", "is-system-running"]).stdout == "running\n"
    for unit in UNITS:
        assert host.run(["systemctl", "is-enabled", unit]).stdout == "enabled\n"
        assert host.run(["systemctl", "is-active", unit]).stdout == "active\n"


# The user database begins as root, and its look-ups may need the network.
@pytest.mark.parametrize(
    ("service", "limit"), [("sessionwrapd.service", 2.0), ("sessionwrap-userdb.service", 2.2)]
)
def test_a_service_is_exposed_no_more_than_it_must_be(
    host: Host, service: str, limit: float
) -> None:
    security = host.run(["systemd-analyze", "security", service]).stdout
    line = security.splitlines()[-1]
    assert "Overall exposure level" in line
    assert float(line.partition(": ")[2].split()[0]) <= limit


def test_the_hook_runs_for_logins_and_not_for_cron_and_sudo(host: Host) -> None:
    session = host.run(["cat", "/etc/pam.d/common-session"]).stdout
    assert "pam-hook" in session
    other = host.run(["cat", "/etc/pam.d/common-session-noninteractive"]).stdout
    assert "pam-hook" not in other


def test_nobody_can_leave_the_login_shell_with_chsh(host: Host) -> None:
    # chsh asks /etc/shells about the present shell: who has one that is not there may not change.
    assert "sessionwrap" not in host.run(["cat", "/etc/shells"]).stdout
    host.run(["sh", "-c", "echo alice:secret | chpasswd"])
    words = ["chsh", "-s", "/bin/bash"]
    done = host.run(["setpriv", "--reuid=alice", "--clear-groups", *words], check=False)
    assert done.returncode != 0
    assert "may not change the shell" in done.stderr


def test_an_ordinary_user_may_ask_who_is_recorded(host: Host) -> None:
    done = as_user(host, "bob", "sessionwrap", "explain", "alice")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("alice is recorded: groups = wheel (")


def test_the_journal_explains_a_recording(host: Host) -> None:
    with login(host, "alice") as terminal:
        command(terminal, "id")
        logout(terminal)
    wait_for_end(host)
    shown = host.run(["journalctl", "--catalog", "SYSLOG_IDENTIFIER=sessionwrap"]).stdout
    assert "Subject: Recording of alice has ended" in shown
