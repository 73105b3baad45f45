"""Whatever way a user in scope logs in: the terminal is recorded, and all else is as ever."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from host import Host

from sessionwrap.recording_pty import DRAIN_SECONDS
from tests.system import ways
from tests.system.helpers import alerts, command, login, logout, played, recordings, ssh, workers

_ELSEWHERE = "/usr/local/share/elsewhere.py"
WAYS = {
    "sshd": ways.SSH,
    "console": ways.CONSOLE,
    "su by root": ways.SU_BY_ROOT,
    "su by bob": ways.SU_BY_BOB,
    "sudo by bob": ways.SUDO_BY_BOB,
    "machinectl shell": ways.MACHINECTL,
    "systemd-run": ways.SYSTEMD_RUN,
}


@pytest.fixture
def ready(host: Host) -> Host:
    """Give a host on which everybody has a password, and alice and bob may use sudo."""
    ways.prepare(host, "alice", "carol")
    return host


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_who_is_in_wheel_is_recorded_and_has_the_shell_of_always(
    ready: Host, way: ways.Way
) -> None:
    ways.check(ready, way, "alice")
    assert alerts(ready) == []


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_who_is_not_in_wheel_has_the_same_shell_and_nothing_of_ours(
    ready: Host, way: ways.Way
) -> None:
    ready.run(["gpasswd", "--delete", "alice", "wheel"])
    with way.open(ready, "alice") as terminal:
        facts = ways.facts(terminal)
        assert ways.leave(terminal) == way.status
    # machinectl runs `SHELL -l`; the login shell makes of that what it is.
    name = "/bin/bash" if way is ways.MACHINECTL else "-bash"
    assert facts == ways.Facts("alice", facts.tty, name, "/bin/bash", "yes", facts.session, 0)
    assert recordings(ready) == []
    assert ("alice", way.service, "out_of_scope") in ways.login_entries(ready)
    assert alerts(ready) == []


def test_a_command_over_ssh_is_logged_and_its_streams_and_status_are_its_own(ready: Host) -> None:
    done = ssh(ready, "alice", "tty; cat; exit 3", stdin=b"\x00\xff")
    assert (done.returncode, done.stdout) == (3, b"not a tty\n\x00\xff")
    ready.wait_until(lambda: workers(ready) == [])
    (entry,) = recordings(ready)
    assert (entry["user"], entry["service"], entry["kind"]) == ("alice", "sshd", "command")
    assert alerts(ready) == []


def test_su_within_a_recorded_terminal_is_an_entry_and_no_second_recording(ready: Host) -> None:
    with login(ready, "alice") as terminal:
        outer = ways.facts(terminal)
        terminal.sendline("su - carol")
        ways.give_password(terminal)
        inner = ways.facts(terminal)
        assert ways.leave(terminal) == 3
        logout(terminal)
    recording, nested = ways.settled(ready, 1)
    assert inner == ways.Facts("carol", outer.tty, "-bash", "/bin/bash", "yes", outer.session, 0)
    assert (nested["user"], nested["service"], nested["kind"]) == ("carol", "su-l", "nested")
    assert (nested["parent"], nested["tty"]) == (recording["rec"], outer.tty)
    assert (recording["user"], recording["parent"]) == ("alice", "")
    assert b"carol " + outer.tty.encode() in played(ready, recording["rec"])
    assert alerts(ready) == []


def test_a_job_left_in_the_background_holds_nobody_up_who_leaves_su(ready: Host) -> None:
    with login(ready, "bob") as terminal:
        terminal.sendline("su - alice")
        ways.give_password(terminal)
        command(terminal, "sleep 60 & seq 1 50000")
        began = time.monotonic()
        assert ways.leave(terminal) == 3
        took = time.monotonic() - began
        logout(terminal)
    (recording,) = ways.settled(ready, 1)
    assert took < DRAIN_SECONDS
    assert (recording["reason"], recording["complete"]) == ("exited", True)
    assert b"logout\r\n" in played(ready, recording["rec"])


def test_who_may_lose_nothing_is_not_within_a_recording_that_may(ready: Host) -> None:
    ready.write("/etc/sessionwrap/conf.d/p.conf", "[failure_policy]\nbest_effort_users = alice\n")
    with login(ready, "alice") as terminal:
        terminal.sendline("su - carol")
        ways.give_password(terminal)
        assert ways.facts(terminal).user == "carol"
        ways.leave(terminal)
        logout(terminal)
    outer, inner = ways.settled(ready, 2)
    assert (outer["user"], inner["user"]) == ("alice", "carol")
    assert (inner["kind"], inner["parent"]) == ("terminal", outer["rec"])
    assert alerts(ready) == []


@pytest.mark.parametrize("setting", ["use_pty", "!use_pty"])
def test_sudo_in_a_recorded_terminal_is_an_entry_and_no_second_recording(
    ready: Host, setting: str
) -> None:
    ready.write("/etc/sudoers.d/pty", f"Defaults {setting}\n", 0o440)
    with login(ready, "alice") as terminal:
        outer = ways.facts(terminal)
        terminal.sendline("sudo -iu carol")
        terminal.expect_exact("ready$ ")
        inner = ways.facts(terminal)
        assert ways.leave(terminal) == 3
        logout(terminal)
    recording, nested = ways.settled(ready, 1)
    assert (inner.tty == outer.tty) == (setting == "!use_pty")
    assert inner == ways.Facts("carol", inner.tty, "-bash", "/bin/bash", "yes", outer.session, 0)
    assert (nested["user"], nested["service"], nested["kind"]) == ("carol", "sudo-i", "nested")
    assert (nested["parent"], nested["tty"]) == (recording["rec"], inner.tty)
    assert (recording["user"], recording["parent"]) == ("alice", "")
    assert b"carol " + inner.tty.encode() in played(ready, recording["rec"])
    assert ("carol", "sudo-i", "recorded") in ways.login_entries(ready)
    assert alerts(ready) == []


@pytest.mark.parametrize(
    "line", ["sudo su -P - carol", "script -qc 'su - carol'", "script -qc 'sudo -iu carol'"]
)
def test_a_terminal_opened_within_a_recorded_one_is_a_recording_that_names_its_parent(
    ready: Host, line: str
) -> None:
    with login(ready, "alice") as terminal:
        terminal.sendline(line)
        if terminal.expect_exact(["ready$ ", "Password: "]):
            terminal.sendline(ways.PASSWORD)
            terminal.expect_exact("ready$ ")
        facts = ways.facts(terminal)
        ways.leave(terminal)
        logout(terminal)
    outer, inner = ways.settled(ready, 2)
    assert (inner["user"], inner["kind"], inner["tty"]) == ("carol", "terminal", facts.tty)
    assert (inner["parent"], outer["parent"]) == (outer["rec"], "")
    assert (facts.name, facts.login_shell) == ("-bash", "yes")
    shown = f"carol {facts.tty}".encode()
    assert shown in played(ready, inner["rec"])
    assert shown in played(ready, outer["rec"])
    assert alerts(ready) == []


def test_a_terminal_opened_within_that_of_sudo_is_a_recording_of_its_own(ready: Host) -> None:
    with login(ready, "alice") as terminal:
        terminal.sendline("sudo -iu carol")
        terminal.expect_exact("ready$ ")
        terminal.sendline("script -qc sessionwrap-shell /dev/null")
        terminal.expect_exact("ready$ ")
        facts = ways.facts(terminal)
        ways.leave(terminal)
        ways.leave(terminal)
        logout(terminal)
    outer, nested, inner = ways.settled(ready, 2)
    assert [one["kind"] for one in (outer, nested, inner)] == ["terminal", "nested", "terminal"]
    assert (inner["user"], inner["tty"]) == ("carol", facts.tty)
    assert inner["parent"] == nested["parent"] == outer["rec"]
    assert alerts(ready) == []


@pytest.mark.parametrize(
    ("how", "line"), [("devpts", "sudo -iu carol"), ("streams", "su -P - carol")]
)
def test_what_su_or_sudo_show_on_another_terminal_than_the_recorded_one_is_recorded(
    ready: Host, how: str, line: str
) -> None:
    ready.copy_in(Path(__file__).parent / "attacks/elsewhere.py", _ELSEWHERE)
    with login(ready, "alice") as terminal:
        assert command(terminal, f"python3 {_ELSEWHERE} {how} {line}") == "it said carol\r\n"
        logout(terminal)
    outer, inner = ways.settled(ready, 2)
    assert (inner["user"], inner["kind"], inner["parent"]) == ("carol", "terminal", outer["rec"])
    assert b"id -un\r\ncarol" in played(ready, inner["rec"])
    assert b"id -un\r\ncarol" not in played(ready, outer["rec"])
    assert alerts(ready) == []


def test_root_by_sudo_is_seen_in_the_recording_of_the_terminal(ready: Host) -> None:
    with login(ready, "alice") as terminal:
        terminal.sendline("sudo -i")
        terminal.expect_exact("ready$ ")
        assert command(terminal, "id -un") == "root\r\n"
        assert ways.leave(terminal) == 3
        logout(terminal)
    (recording,) = ways.settled(ready, 1)
    assert b"id -un\r\nroot\r\n" in played(ready, recording["rec"])
    assert ("root", "sudo-i", "out_of_scope") in ways.login_entries(ready)
    assert alerts(ready) == []


def test_a_program_that_root_starts_as_the_user_without_the_login_shell_is_an_alert(
    ready: Host,
) -> None:
    line = "systemd-run -q --pty --uid=USER -p PAMName=login /bin/bash"
    with ways.through(line, "root")(ready, "alice") as terminal:
        (entry,) = ready.wait_for_entries("PRIORITY=2", "SYSLOG_IDENTIFIER=sessionwrap")
        assert ways.leave(terminal) == 3
        logout(terminal)
    assert entry["MESSAGE"] == (
        "A login of alice by login was to be recorded, but bash runs in it and has asked for no "
        "recording"
    )
    assert recordings(ready) == []


def test_a_job_of_cron_is_left_alone(ready: Host) -> None:
    job = "@reboot (id -un; echo $SHELL; tty) >ran; mv ran done\n"
    ready.run(["crontab", "-u", "alice", "-"], input=job)
    ready.run(["rm", "-f", "/run/crond.reboot"])  # what tells cron that it has been running
    ready.run(["systemctl", "restart", "cron.service"])
    ready.wait_until(lambda: ready.run(["ls", "/home/alice/done"], check=False).returncode == 0)
    assert ready.run(["cat", "/home/alice/done"]).stdout == "alice\n/bin/sh\nnot a tty\n"
    assert recordings(ready) == []
    assert ways.login_entries(ready) == []
    assert alerts(ready) == []


def test_what_a_user_manager_runs_is_left_alone(ready: Host) -> None:
    unit = "[Service]\nType=oneshot\nExecStart=sh -c '(id -un; tty; echo $$SHELL) >~/ran'\n"
    ready.write("/etc/systemd/user/job.service", unit)
    # As a unit: since systemd 257 logind answers no caller from outside the host's cgroups.
    ready.run(["systemd-run", "-q", "--wait", "loginctl", "enable-linger", "alice"])
    running = ["systemctl", "is-active", "user@1000.service"]
    ready.wait_until(lambda: ready.run(running, check=False).returncode == 0)
    start = ["systemctl", "--user", "start", "job.service"]
    ready.run(["env", "XDG_RUNTIME_DIR=/run/user/1000", *start], user="alice")
    assert ready.run(["cat", "/home/alice/ran"]).stdout == (
        "alice\nnot a tty\n/usr/bin/sessionwrap-shell\n"
    )
    assert recordings(ready) == []
    assert ways.login_entries(ready) == []
    assert alerts(ready) == []
