"""Nobody unseen: a login that is to be recorded is held against what was recorded of it."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator, Sequence

import pexpect
import pytest
from host import Host

from sessionwrap import message_ids
from tests.system.helpers import (
    PROMPT,
    alerts,
    command,
    login,
    logout,
    recording_pids,
    ssh,
    wait_for_end,
    workers,
)

UNSEEN = f"MESSAGE_ID={message_ids.ALERT_UNSEEN}"
NO_SHELL = f"MESSAGE_ID={message_ids.NO_SHELL}"
LOGIN = f"MESSAGE_ID={message_ids.LOGIN}"


def settled(host: Host) -> None:
    """Wait until no login goes on and the recorder has held all of them against the journal."""
    logins = ["pgrep", "-f", "sshd(-session)?: .*(priv|@)"]
    host.wait_until(lambda: host.run(logins, check=False).stdout == "")
    host.wait_until(lambda: workers(host) == [], timeout=40)


def name_of_login(host: Host, user: str) -> str:
    """Give the name of the first login of a user, as the hook wrote it."""
    return host.wait_for_entries(LOGIN, f"SESSIONWRAP_USER={user}")[0]["SESSIONWRAP_LOGIN"]


@contextlib.contextmanager
def forwarding(host: Host, user: str) -> Iterator[subprocess.Popen[bytes]]:
    """Hold an `ssh -N` open: it forwards ports and has no shell."""
    words: Sequence[str] = host.ssh_command(user, options=["-N", "-L", "8022:127.0.0.1:22"])
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as client:
        try:
            name_of_login(host, user)
            yield client
        finally:
            client.terminate()


def test_logins_in_order_raise_no_alert(host: Host) -> None:
    host.run(["chpasswd"], input="carol:carol\n")
    with login(host, "alice") as terminal:
        command(terminal, "echo on a terminal")
        terminal.sendline("su - carol")
        terminal.expect_exact("Password:")
        terminal.sendline("carol")
        terminal.expect_exact(PROMPT)
        assert command(terminal, "id -un") == "carol\r\n"
        terminal.sendline("exit")
        terminal.expect_exact(PROMPT)
        logout(terminal)
    assert ssh(host, "alice", "echo a command").stdout == b"a command\n"
    host.write("/root/file", "a file\n")
    for options in (["-O"], []):  # the old protocol, and sftp-server
        host.run(["scp", "-q", *options, "-o", "BatchMode=yes", "/root/file", "alice@127.0.0.1:"])
    assert host.run(["cat", "/home/alice/file"]).stdout == "a file\n"
    settled(host)
    assert alerts(host) == []
    assert host.run(["journalctl", "-q", NO_SHELL]).stdout == ""
    outcomes = host.wait_for_entries(LOGIN, "SESSIONWRAP_OUTCOME=recorded", count=5)
    assert [entry["SESSIONWRAP_SERVICE"] for entry in outcomes].count("sshd") == 4


def test_a_login_without_a_shell_is_noted_and_is_no_alert(host: Host) -> None:
    with forwarding(host, "alice"):
        name = name_of_login(host, "alice")
    (notice,) = host.wait_for_entries(NO_SHELL)
    assert notice["SESSIONWRAP_LOGIN"] == name
    assert notice["PRIORITY"] == "5"
    assert alerts(host) == []


def test_the_sftp_server_within_sshd_is_noted_and_is_no_alert(host: Host) -> None:
    host.run(["sed", "-i", "s,^Subsystem.*,Subsystem sftp internal-sftp,", "/etc/ssh/sshd_config"])
    host.run(["systemctl", "restart", "ssh"])
    host.write("/root/file", "a file\n")
    host.run(["scp", "-q", "-o", "BatchMode=yes", "/root/file", "alice@127.0.0.1:"])
    assert host.run(["cat", "/home/alice/file"]).stdout == "a file\n"
    host.wait_for_entries(NO_SHELL, f"SESSIONWRAP_LOGIN={name_of_login(host, 'alice')}")
    assert alerts(host) == []


def test_a_killed_worker_is_an_alert_that_names_the_login(host: Host) -> None:
    with login(host, "alice") as terminal:
        command(terminal, "echo seen")
        (worker,) = recording_pids(host)
        host.run(["kill", "-KILL", str(worker)])
        terminal.expect(pexpect.EOF)
    (recording,) = wait_for_end(host)
    (alert,) = host.wait_for_entries(UNSEEN, timeout=40)
    assert alert["SESSIONWRAP_LOGIN"] == name_of_login(host, "alice")
    assert alert["PRIORITY"] == "2"
    assert f"incomplete: {recording['rec']}" in alert["MESSAGE"]


def test_another_shell_on_a_terminal_is_an_alert_while_it_runs(host: Host) -> None:
    with host.spawn_ssh("root") as terminal:
        terminal.sendline("su --shell /bin/bash alice")
        (alert,) = host.wait_for_entries(UNSEEN)
        assert "A login of alice by su was to be recorded, but bash runs in it" in alert["MESSAGE"]
        assert alert["SESSIONWRAP_LOGIN"] == name_of_login(host, "alice")
        terminal.sendline("exit")
        terminal.sendline("exit")
        terminal.expect(pexpect.EOF)
    settled(host)
    assert len(alerts(host)) == 1


def test_another_shell_does_not_hide_behind_a_process_that_asks(host: Host) -> None:
    """One that su started is seen, whatever is recorded beside it in the same login."""
    asks = "script -qc '/usr/bin/sessionwrap-shell -c true' /dev/null"
    with host.spawn_ssh("root") as terminal:
        terminal.sendline("su --shell /bin/bash alice")
        name = name_of_login(host, "alice")
        terminal.sendline(asks)
        (recording,) = wait_for_end(host)
        assert recording["user"] == "alice"
        (alert,) = host.wait_for_entries(UNSEEN)
        assert alert["SESSIONWRAP_LOGIN"] == name
        assert "bash runs in it and has asked for no recording" in alert["MESSAGE"]
        terminal.sendline("exit")
        terminal.sendline("exit")
        terminal.expect(pexpect.EOF)


def test_another_shell_without_a_terminal_is_an_alert_at_the_end(host: Host) -> None:
    assert host.run(["su", "--shell", "/bin/bash", "alice", "-c", "id -un"]).stdout == "alice\n"
    (alert,) = host.wait_for_entries(UNSEEN)
    assert "by su was to be recorded, but its shell has asked for no recording" in alert["MESSAGE"]


def test_a_login_shell_that_was_swapped_after_the_hook_is_an_alert(host: Host) -> None:
    """A launch point that root replaces: all is in place for the hook, and nothing asks."""
    host.run(["cp", "/bin/bash", "/usr/bin/swapped"])
    host.run(["mount", "--bind", "/usr/bin/swapped", "/usr/bin/sessionwrap-shell"])
    with login(host, "alice") as terminal:
        (alert,) = host.wait_for_entries(UNSEEN)
        assert "A login of alice by sshd was to be recorded, but" in alert["MESSAGE"]
        assert "has asked for no recording" in alert["MESSAGE"]
        logout(terminal)


@contextlib.contextmanager
def running(host: Host, user: str, command_line: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command over SSH without a terminal, and leave its stdin open until the end."""
    argv = host.ssh_command(user, command_line)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as client:
        yield client
        assert client.stdin
        client.stdin.close()


def test_a_shell_on_a_terminal_that_a_command_has_opened_is_an_alert_while_it_runs(
    host: Host,
) -> None:
    """script(1) here; editors that work over SSH do the same."""
    with (
        running(host, "alice", "script -qc 'cat' /dev/null"),  # no shell
        running(host, "alice", "script -qc sessionwrap-shell /dev/null"),  # is recorded
        running(host, "carol", "script -qc bash /dev/null") as client,
    ):
        (alert,) = host.wait_for_entries(UNSEEN)
        assert re.fullmatch(
            "A login of carol by sshd was to be recorded, but bash runs on /dev/pts/[0-9]+, which "
            "is not recorded",
            alert["MESSAGE"],
        )
        assert alert["SESSIONWRAP_LOGIN"] == name_of_login(host, "carol")
        assert client.poll() is None
    settled(host)
    assert alerts(host) == [alert["MESSAGE"]]
    shown = host.run(["sessionwrap", "report"], check=False)
    assert (shown.returncode, "which is not recorded" in shown.stdout) == (1, True)


def test_such_a_shell_is_found_by_a_recorder_that_was_restarted_too(host: Host) -> None:
    with running(host, "alice", "script -qc bash /dev/null"), login(host, "carol") as terminal:
        command(terminal, "tmux -f /dev/null new-session -d bash")  # shown here, when attached
        host.wait_for_entries(f"MESSAGE_ID={message_ids.START}", count=2)
        host.run(["systemctl", "restart", "sessionwrapd.service"])
        (alert,) = host.wait_for_entries(UNSEEN)
        assert "A login of alice by sshd was to be recorded, but bash runs" in alert["MESSAGE"]
        command(terminal, "tmux kill-server")
        logout(terminal)
    settled(host)
    assert alerts(host) == [alert["MESSAGE"]]


def test_a_restarted_recorder_still_watches_the_logins_that_go_on(host: Host) -> None:
    with forwarding(host, "carol"), login(host, "alice") as terminal:
        host.run(["systemctl", "stop", "sessionwrapd.service"])
        host.run(["systemctl", "start", "sessionwrapd.service"])
        (worker,) = recording_pids(host)
        host.run(["kill", "-KILL", str(worker)])
        terminal.expect(pexpect.EOF)
    (alert,) = host.wait_for_entries(UNSEEN, timeout=40)
    assert alert["SESSIONWRAP_LOGIN"] == name_of_login(host, "alice")
    assert "incomplete" in alert["MESSAGE"]
    # It had asked for nothing before the restart, nor after it.
    host.wait_for_entries(NO_SHELL, "SESSIONWRAP_USER=carol")
    settled(host)
    assert len(host.run(["journalctl", "-q", "-o", "cat", UNSEEN]).stdout.splitlines()) == 1


def test_a_shell_that_never_asked_is_found_by_a_recorder_that_was_restarted_too(host: Host) -> None:
    host.run(["cp", "/bin/bash", "/usr/bin/swapped"])
    host.run(["mount", "--bind", "/usr/bin/swapped", "/usr/bin/sessionwrap-shell"])
    with login(host, "alice") as terminal:
        host.wait_for_entries(UNSEEN)
        host.run(["systemctl", "restart", "sessionwrapd.service"])
        host.wait_for_entries(UNSEEN, count=2)
        logout(terminal)


@pytest.mark.parametrize(
    ("message_id", "what_to_do"),
    [
        (message_ids.ALERT_UNSEEN, "journalctl SESSIONWRAP_LOGIN="),
        (message_ids.ALERT_NOT_RECORDED, "sessionwrap doctor alice"),
        (message_ids.ALERT_ABNORMAL, "journalctl -u sessionwrapd.service"),
        (message_ids.ALERT_CONFIG, "sessionwrap check"),
    ],
)
def test_journalctl_explains_the_alerts(host: Host, message_id: str, what_to_do: str) -> None:
    if message_id == message_ids.ALERT_CONFIG:
        host.write("/etc/sessionwrap/conf.d/zz.conf", "[session_recording]\nscope = sme\n")
    if message_id == message_ids.ALERT_NOT_RECORDED:
        host.run(["systemctl", "stop", "sessionwrapd.socket", "sessionwrapd.service"])
        ssh(host, "alice", "-tt")
    else:
        with login(host, "alice") as terminal:
            (worker,) = recording_pids(host)
            host.run(["kill", "-KILL", str(worker)])
            terminal.expect(pexpect.EOF)
    host.wait_for_entries(f"MESSAGE_ID={message_id}", timeout=40)
    shown = host.run(["journalctl", "-x", "-q", f"MESSAGE_ID={message_id}"]).stdout
    assert what_to_do in shown
    assert "@" not in shown
