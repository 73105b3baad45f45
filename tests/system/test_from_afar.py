"""Programs that open a terminal on this host for a user who is elsewhere: mosh, Cockpit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from host import TIMEOUT, Host
from images import Image

from tests.system import ways
from tests.system.helpers import PROMPT, alerts, closed_on_error, played, recordings, workers

if TYPE_CHECKING:
    import pexpect

_COCKPIT = "/usr/local/share/cockpit.py"
# mosh shows what has changed on a screen: what the shell says is for the recording alone.
SAY = "echo I am $(id -un) in $0 of $SHELL, $(shopt -q login_shell && echo login shell)"


@pytest.fixture
def host(from_afar_image: Image) -> Iterator[Host]:
    """Boot a host with mosh and Cockpit, on which everybody has a password."""
    with Host(from_afar_image) as booted:
        ways.prepare(booted, "alice")
        booted.copy_in(Path(__file__).parent / "cockpit.py", _COCKPIT)
        yield booted


def spawn(host: Host, *argv: str) -> pexpect.spawn[str]:
    """Start a client on a terminal. The caller closes it."""
    import pexpect  # fails where it is missing, and not where this file is only read

    words = host.command(argv, env={"TERM": "xterm-256color"})
    return pexpect.spawn(
        words[0], words[1:], timeout=TIMEOUT, dimensions=(24, 120), encoding="utf-8", echo=False
    )


def mosh(host: Host, user: str, *command: str) -> pexpect.spawn[str]:
    """Log a user in by mosh; ``command`` is what mosh starts instead of the shell."""
    return spawn(host, "mosh", "--predict=never", f"{user}@127.0.0.1", *command)


def by_mosh(host: Host, user: str) -> None:
    """Log a user in by mosh, who lets the shell say what it is and leaves."""
    import pexpect

    with mosh(host, user) as terminal:
        terminal.expect_exact(PROMPT)
        terminal.sendline(SAY)
        terminal.expect_exact(PROMPT)
        terminal.sendline("exit")
        terminal.expect(pexpect.EOF)


def cockpit(host: Host, user: str) -> pexpect.spawn[str]:
    """Give a terminal of Cockpit's at the prompt."""
    terminal = spawn(host, "python3", _COCKPIT, user)
    with closed_on_error(terminal):
        terminal.expect_exact(PROMPT)
    return terminal


def test_a_login_by_mosh_is_recorded_with_its_shell_as_always(host: Host) -> None:
    by_mosh(host, "alice")
    starting, terminal = ways.settled(host, 2)
    assert "mosh-server" in starting["command"]
    assert (terminal["user"], terminal["service"], terminal["rhost"]) == (
        "alice",
        "sshd",
        "127.0.0.1",
    )
    assert (terminal["kind"], terminal["parent"], terminal["complete"]) == ("terminal", "", True)
    assert b"\nI am alice in -bash of /bin/bash, login shell\r\n" in played(host, terminal["rec"])
    assert alerts(host) == []


def test_who_is_out_of_scope_has_mosh_and_nothing_of_ours(host: Host) -> None:
    by_mosh(host, "bob")
    assert recordings(host) == []
    assert workers(host) == []
    assert alerts(host) == []


def test_a_command_of_mosh_which_starts_no_login_shell_is_refused(host: Host) -> None:
    import pexpect

    with mosh(host, "alice", "touch", "ran") as terminal:
        terminal.expect_exact("mosh starts a command without the login shell: leave the command")
        terminal.expect(pexpect.EOF)
    assert host.run(["ls", "/home/alice"]).stdout == ""
    (alert,) = alerts(host)
    assert alert.startswith("A shell of alice was refused: this login must be recorded, but mosh")


def test_under_best_effort_a_command_of_mosh_is_an_alert(host: Host) -> None:
    import pexpect

    host.write("/etc/sessionwrap/conf.d/p.conf", "[failure_policy]\npolicy = best_effort\n")
    with mosh(host, "alice", "touch", "ran") as terminal:
        terminal.expect(pexpect.EOF)
    assert host.run(["ls", "/home/alice"]).stdout == "ran\n"
    (alert,) = alerts(host)
    assert alert.startswith("A shell of alice goes on unrecorded, as the failure policy says: this")


def test_a_terminal_of_cockpit_is_recorded_and_no_login_shell(host: Host) -> None:
    with cockpit(host, "alice") as terminal:
        facts = ways.facts(terminal)
        assert ways.leave(terminal) == 3
    *_, recording = ways.settled(host, 1)
    session = facts.session
    assert facts == ways.Facts("alice", recording["tty"], "bash", "/bin/bash", "no", session, 0)
    assert (recording["user"], recording["service"]) == ("alice", "cockpit")
    assert (recording["kind"], recording["complete"]) == ("terminal", True)
    assert b"echo $(id -un)" in played(host, recording["rec"])
    assert alerts(host) == []


def test_who_is_out_of_scope_has_cockpit_and_nothing_of_ours(host: Host) -> None:
    with cockpit(host, "bob") as terminal:
        facts = ways.facts(terminal)
        assert ways.leave(terminal) == 3
    assert facts.login_shell == "no"
    assert recordings(host) == []
    assert alerts(host) == []


def test_who_opens_no_terminal_in_cockpit_is_no_alert(host: Host) -> None:
    words = ["python3", _COCKPIT, "alice", "--no-terminal"]
    assert host.run(words).returncode == 0
    host.wait_until(lambda: workers(host) == [])
    assert ("alice", "cockpit", "recorded") in ways.login_entries(host)
    assert [recording["kind"] for recording in recordings(host)] == ["command"]
    assert alerts(host) == []
