"""tmux, screen and terminal windows: what a terminal shows is in the recording of that terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from host import Host

from sessionwrap import message_ids
from sessionwrap.recorder.logins import LOOK_SECONDS
from tests.system import ways
from tests.system.helpers import (
    PROMPT,
    alerts,
    command,
    login,
    logout,
    played,
    recording_pids,
    recordings,
    wait_for_end,
    workers,
)

if TYPE_CHECKING:
    import pexpect

MULTIPLEXERS = {
    "tmux": ("tmux -f /dev/null new-session", "\x02d", "[detached", "tmux attach"),
    "screen": ("screen -c /dev/null", "\x01d", "[detached from", "screen -x"),
}
"""What starts it, the keys that detach, what is said then, and what attaches again."""


def detach(terminal: pexpect.spawn[str], keys: str, said: str) -> None:
    terminal.send(keys)
    terminal.expect_exact(said)
    terminal.expect_exact(PROMPT)


@pytest.mark.parametrize("name", MULTIPLEXERS)
def test_panes_are_in_the_recording_of_whichever_terminal_shows_them(host: Host, name: str) -> None:
    begin, keys, said, attach = MULTIPLEXERS[name]
    with login(host, "alice") as first:
        first.sendline(begin)
        first.expect_exact(PROMPT)
        first.sendline("echo first $((40 + 2))")
        first.expect_exact("first 42")
        detach(first, keys, said)
        with login(host, "alice") as second:
            second.sendline(attach)
            second.expect_exact("first 42")
            second.sendline("echo second $((40 + 3))")
            second.expect_exact("second 43")
            detach(second, keys, said)
            logout(second)
        logout(first)
    ways.settled(host, 2)
    assert host.run(["pgrep", "-u", "alice", "-i", name]).stdout, "no pane has outlived the login"
    with login(host, "alice") as third:
        third.sendline(attach)
        third.expect_exact("second 43")
        third.sendline("echo third $((40 + 4))")
        third.expect_exact("third 44")
        third.sendline("exit")
        third.expect_exact(PROMPT)
        logout(third)
    found = ways.settled(host, 3)
    shown = [played(host, recording["rec"]) for recording in found]
    assert [b"first 42" in output for output in shown] == [True, True, True]
    assert [b"second 43" in output for output in shown] == [False, True, True]
    assert [b"third 44" in output for output in shown] == [False, False, True]
    assert [(one["kind"], one["complete"]) for one in found] == [("terminal", True)] * 3
    assert alerts(host) == []


def test_a_pane_that_starts_the_login_shell_is_a_recording_of_its_own(host: Host) -> None:
    with login(host, "alice") as terminal:
        terminal.sendline("env -u SHELL tmux -f /dev/null new-session")
        terminal.expect_exact("being recorded")
        terminal.expect_exact(PROMPT)
        terminal.sendline("echo pane $((40 + 2)) $0")
        terminal.expect_exact("pane 42 -bash")
        terminal.sendline("exit")
        terminal.expect_exact("[exited]")
        terminal.expect_exact(PROMPT)
        logout(terminal)
    found = ways.settled(host, 2)
    assert [b"pane 42" in played(host, recording["rec"]) for recording in found] == [True, True]
    assert [recording["service"] for recording in found] == ["sshd", "sshd"]
    assert alerts(host) == []


def test_a_pane_that_outlives_its_login_is_held_against_the_journal_when_it_ends(
    host: Host,
) -> None:
    with login(host, "alice") as terminal:
        terminal.sendline("env -u SHELL tmux -f /dev/null new-session")
        terminal.expect_exact("being recorded")
        terminal.expect_exact(PROMPT)
        detach(terminal, "\x02d", "[detached")
        logout(terminal)
    wait_for_end(host)
    (pane,) = recording_pids(host)
    host.wait_until(lambda: len(workers(host)) == 2)  # the pane's, and who waits for it
    assert alerts(host) == []
    host.run(["kill", "-9", str(pane)])
    host.wait_for_entries(f"MESSAGE_ID={message_ids.ALERT_UNSEEN}")
    host.wait_until(lambda: workers(host) == [])
    (cut,) = (one["rec"] for one in recordings(host) if not one["complete"])
    (unseen,) = (text for text in alerts(host) if "was to be recorded" in text)
    assert unseen.endswith(f"but incomplete: {cut}")


@pytest.fixture
def desktop(host: Host) -> Host:
    """Give a host with a display, on which each of alice's shells says which terminal it is on,
    and whether it is a login shell.
    """
    ways.add_display(host)
    login_shell = "$(shopt -q login_shell && echo a login shell)"
    says = f'echo "this is $(tty) {login_shell}"; PROMPT_COMMAND="touch ~/ready-$$"\n'
    host.run(["runuser", "-u", "alice", "--", "sh", "-c", "cat >>~alice/.bashrc"], input=says)
    return host


def windows(host: Host) -> int:
    """Give how many of alice's shells have shown a prompt."""
    return host.run(["ls", "/home/alice"]).stdout.count("ready-")


def test_each_terminal_window_of_a_desktop_is_a_recording_of_its_own(desktop: Host) -> None:
    with ways.desktop(desktop, "alice", "sh", "-c", "xterm & xterm & wait"):
        desktop.wait_until(lambda: windows(desktop) == 2)
        desktop.run(["pkill", "-u", "alice", "xterm"])
    found = ways.settled(desktop, 2)
    about = [(one["user"], one["service"], one["kind"], one["parent"]) for one in found]
    assert about == [("alice", "xdm", "terminal", "")] * 2
    assert [(one["reason"], one["complete"]) for one in found] == [("hangup", True)] * 2
    for one in found:
        assert f"this is {one['tty']} \r\n".encode() in played(desktop, one["rec"])
    assert alerts(desktop) == []


def test_a_window_opened_from_a_recorded_terminal_names_it_as_its_parent(desktop: Host) -> None:
    with login(desktop, "alice") as terminal:
        command(terminal, "SHELL=/usr/bin/sessionwrap-shell DISPLAY=:1 xterm &")
        desktop.wait_until(lambda: windows(desktop) == 2)
        desktop.run(["pkill", "-u", "alice", "xterm"])
        logout(terminal)
    outer, inner = ways.settled(desktop, 2)
    assert (outer["parent"], inner["parent"]) == ("", outer["rec"])
    assert inner["kind"] == "terminal"
    assert alerts(desktop) == []


@pytest.mark.parametrize("service", ways.DISPLAY_MANAGERS)
def test_a_desktop_without_a_terminal_is_noted_and_no_alert(desktop: Host, service: str) -> None:
    seconds = f"{LOOK_SECONDS[0] + 1}"  # longer than until the first look
    with ways.desktop(desktop, "alice", "sleep", seconds, service=service):
        (entry,) = desktop.wait_for_entries(f"MESSAGE_ID={message_ids.NO_SHELL}")
    assert (
        entry["MESSAGE"] == f"A login of alice by {service} has ended, and no shell of it was seen"
    )
    assert recordings(desktop) == []
    assert alerts(desktop) == []
