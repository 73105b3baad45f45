"""What changes while somebody is logging in: sshd has looked the user up, and waits for a password.

A login program asks NSS once. Whatever it was told then, nobody in scope gets an unrecorded shell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pexpect
import pytest
from host import Host

from sessionwrap import message_ids
from tests.system.helpers import PROMPT, alerts, command, logout, recordings, ssh, wait_for_end

PASSWORD = "correct horse"  # noqa: S105 # of throwaway users
BY_PASSWORD = (
    "-o",
    "BatchMode=no",
    "-o",
    "PubkeyAuthentication=no",
    "-o",
    "PreferredAuthentications=password",
)
ONCE_MORE = "the user database was changed or restarted meanwhile: log in once more"


@pytest.fixture
def waiting_host(host: Host) -> Host:
    """Give a host whose users have passwords; carol is under best_effort."""
    for user in ("alice", "bob", "carol"):
        host.run(["chpasswd"], input=f"{user}:{PASSWORD}\n")
    host.write("/etc/sessionwrap/conf.d/p.conf", "[failure_policy]\nbest_effort_users = carol\n")
    return host


@contextmanager
def half_a_login(host: Host, user: str) -> Iterator[pexpect.spawn[str]]:
    """Connect and wait until sshd asks for the password: it knows the user's shell then."""
    with host.spawn_ssh(user, options=BY_PASSWORD) as terminal:
        terminal.expect_exact("password:")
        yield terminal


def authenticate(terminal: pexpect.spawn[str]) -> str:
    """Give the password; give what was shown until the prompt, or until the end: then a "!"."""
    terminal.sendline(PASSWORD)
    got_in = terminal.expect_exact([PROMPT, pexpect.EOF]) == 0
    return (terminal.before or "") + ("" if got_in else "!")


def run(*commands: list[str]) -> Callable[[Host], None]:
    def change(host: Host) -> None:
        for words in commands:
            host.run(words)

    return change


OVERLAY = ["sessionwrap-userdb.socket", "sessionwrap-userdb.service"]
NOTHING = run()
STOP, START = run(["systemctl", "stop", *OVERLAY]), run(["systemctl", "start", *OVERLAY])


@pytest.mark.parametrize(
    ("user", "before", "meanwhile"),
    [
        ("alice", NOTHING, run(["systemctl", "restart", OVERLAY[1]])),
        ("alice", NOTHING, run(["systemctl", "kill", "--signal=KILL", OVERLAY[1]])),
        ("alice", STOP, START),
        ("bob", NOTHING, run(["gpasswd", "--add", "bob", "wheel"])),
        (
            "alice",
            lambda host: host.write(
                "/etc/sessionwrap/conf.d/zz.conf", "[session_recording]\nscope = none\n"
            ),
            run(["rm", "/etc/sessionwrap/conf.d/zz.conf"]),
        ),
        (
            "alice",
            run(["mv", "/run/systemd/userdb/io.sessionwrap.Overlay", "/run/elsewhere"]),
            run(["mv", "/run/elsewhere", "/run/systemd/userdb/io.sessionwrap.Overlay"]),
        ),
        (
            "alice",
            run(["sed", "-i", "/^passwd:/s/systemd//", "/etc/nsswitch.conf"]),
            run(["sed", "-i", "/^passwd:/s/files/systemd files/", "/etc/nsswitch.conf"]),
        ),
    ],
    ids=[
        "overlay restarted",
        "overlay killed",
        "overlay started",
        "user added to the group",
        "scope = none before",
        "socket moved away and back",
        "overlay put into nsswitch.conf",
    ],
)
def test_under_strict_a_login_that_may_have_seen_the_old_state_is_refused_and_the_next_recorded(
    waiting_host: Host,
    user: str,
    before: Callable[[Host], None],
    meanwhile: Callable[[Host], None],
) -> None:
    host = waiting_host
    before(host)
    with half_a_login(host, user) as terminal:
        meanwhile(host)
        shown = authenticate(terminal)
    assert shown.endswith("!")
    assert PROMPT not in shown
    assert ONCE_MORE in shown
    assert recordings(host) == []
    assert any(ONCE_MORE in text for text in alerts(host))
    with half_a_login(host, user) as terminal:
        assert not authenticate(terminal).endswith("!")
        assert command(terminal, "echo recorded now") == "recorded now\r\n"
        logout(terminal)
    (recording,) = wait_for_end(host)
    assert recording["user"] == user
    assert recording["complete"]


def test_under_best_effort_such_a_login_passes_and_an_alert_names_it(waiting_host: Host) -> None:
    host = waiting_host
    STOP(host)
    with half_a_login(host, "carol") as terminal:
        START(host)
        assert not authenticate(terminal).endswith("!")
        assert command(terminal, "echo unseen") == "unseen\r\n"
        logout(terminal)
    assert recordings(host) == []
    matches = (f"MESSAGE_ID={message_ids.ALERT_NOT_RECORDED}", "SESSIONWRAP_USER=carol")
    (alert,) = host.wait_for_entries(*matches)
    assert "goes on unrecorded" in alert["MESSAGE"]
    assert ONCE_MORE in alert["MESSAGE"]


def test_who_is_out_of_scope_gets_in_whatever_happens_to_the_overlay(waiting_host: Host) -> None:
    host = waiting_host
    for change in (run(["systemctl", "restart", OVERLAY[1]]), STOP):
        with half_a_login(host, "bob") as terminal:
            change(host)
            assert not authenticate(terminal).endswith("!")
            logout(terminal)
    assert alerts(host) == []
    assert recordings(host) == []


def test_who_is_taken_out_of_the_group_meanwhile_is_not_recorded(waiting_host: Host) -> None:
    host = waiting_host
    with half_a_login(host, "alice") as terminal:
        host.run(["gpasswd", "--delete", "alice", "wheel"])
        assert not authenticate(terminal).endswith("!")
        assert command(terminal, "echo $0") == "-bash\r\n"
        logout(terminal)
    assert recordings(host) == []
    assert alerts(host) == []
    assert ssh(host, "bob", "-tt", "true").returncode == 0
