"""What the recorded user does not manage: to get out of the recording, or at who makes it."""

from __future__ import annotations

import pexpect
import pytest
from host import Host

from tests.system.adversary import attack, become, ended
from tests.system.helpers import (
    PROMPT,
    alerts,
    command,
    login,
    logout,
    played,
    recorder,
    recording_pids,
    ssh,
    wait_for_logout,
    workers,
)


def outer_terminal(terminal: pexpect.spawn[str]) -> str:
    """Give the terminal of sshd in a recorded login."""
    line = 'for t in /dev/pts/[0-9]*; do [ -O $t ] && [ $t != "$(tty)" ] && echo $t; done'
    return command(terminal, line).strip()


def test_recorder_and_workers_cannot_be_signalled_traced_or_read(attacked: Host) -> None:
    pids = [recorder(attacked)]
    with login(attacked, "alice") as terminal:
        pids += recording_pids(attacked)
        assert len(pids) == 2
        line = attack("reach_recorder", "--signals", *pids)
        assert command(terminal, line) == "tried\r\n"
        assert "strace" in command(terminal, "command -v strace")
        traced = command(terminal, f"strace -p {pids[1]}; kill -9 {pids[1]}")
        assert traced.count("Operation not permitted") == 2
        logout(terminal)
    assert ended(attacked)[-1]["complete"]


def test_the_outer_terminal_is_reached_neither_by_name_nor_through_a_process(
    attacked: Host,
) -> None:
    with login(attacked, "alice") as terminal:
        line = attack("reach_terminal")
        assert command(terminal, line) == "found 1\r\ntried\r\n"
        logout(terminal)


def test_the_parent_that_waits_for_a_command_holds_nothing_of_the_outer_terminal(
    attacked: Host,
) -> None:
    script = f"cat /proc/$PPID/comm; ls /proc/$PPID/fd >/dev/null && {attack('reach_terminal')}"
    done = ssh(attacked, "alice", "-tt", script)
    assert done.stdout.split(b"\r\n")[-4:] == [b"sessionwrap-she", b"found 1", b"tried", b""]


def test_the_parent_that_waits_for_su_is_closed_to_its_own_user(attacked: Host) -> None:
    with login(attacked, "bob") as terminal:
        become(terminal, "su - carol")
        assert command(terminal, "cat /proc/$PPID/comm") == "sessionwrap-she\r\n"
        assert command(terminal, attack("reach_recorder", "$PPID")) == "tried\r\n"
        terminal.sendline("exit")
        terminal.expect_exact(PROMPT)
        logout(terminal)


def test_a_shell_that_lets_go_of_its_terminal_does_not_get_the_outer_one(
    attacked: Host,
) -> None:
    for _ in range(4):
        with login(attacked, "alice") as terminal:
            outer = outer_terminal(terminal)
            terminal.sendline("exec " + attack("take_over", outer))
            terminal.expect(pexpect.EOF)
            assert "UNRECORDED" not in (terminal.before or "")
        wait_for_logout(attacked, "alice")  # the next outer terminal is the only one


@pytest.mark.parametrize("redirection", ["2>/dev/tty", ">/dev/tty 2>&1", "3<>/dev/tty 2>&3"])
def test_su_with_streams_moved_still_shows_nothing_unrecorded(
    attacked: Host, redirection: str
) -> None:
    with login(attacked, "bob") as terminal:
        become(terminal, f"su - carol {redirection}")
        shown = command(terminal, "echo to the second >&2; echo to the third >&3")
        assert "to the second" in shown
        terminal.sendline("exit")
        terminal.expect_exact(PROMPT)
        logout(terminal)
    last = ended(attacked)[-1]
    assert last["user"] == "carol"
    assert b"echo to the second" in played(attacked, last["rec"]), "what was typed is missing"
    assert shown.encode() in played(attacked, last["rec"])


def test_who_reads_what_is_typed_past_the_recording_ends_the_session(attacked: Host) -> None:
    before = len(alerts(attacked))
    with login(attacked, "alice") as terminal:
        command(terminal, f"setsid {attack('lurk', 'typed')} </dev/null >lurk 2>&1 &")
        command(terminal, "until grep -q lurking lurk; do sleep .01; done")
        logout(terminal)
    attacked.wait_until(lambda: workers(attacked) == [])
    with attacked.spawn_ssh("alice") as terminal:
        terminal.expect(["being recorded", PROMPT])
        for _ in range(20):
            try:
                terminal.send("secret words\r")
            except OSError:
                break  # the session was ended
        terminal.expect(pexpect.EOF)
    attacked.run(["pkill", "-f", "lurk.py"], check=False)
    last = ended(attacked)[-1]
    assert last["reason"] == "intruded"
    assert not last["complete"]
    assert any("Another process" in line for line in alerts(attacked)[before:])


def test_no_shell_is_left_when_the_worker_was_killed(attacked: Host) -> None:
    survivor = (
        "nohup sh -c 'exec 3>/dev/tty; while (: >/dev/tty); do sleep .1; done; "
        "echo survived >&3 || echo no terminal; exec sleep 300' >survivor 2>/dev/null </dev/null "
        "& disown"
    )
    with login(attacked, "alice") as terminal:
        command(terminal, survivor)
        shown = command(terminal, "sleep 1; echo one second earlier")
        terminal.sendline("sh -c 'echo $((6 * 7)); exec sleep 1000'")
        terminal.expect_exact("42\r\n")
        (worker,) = recording_pids(attacked)
        attacked.run(["kill", "-KILL", str(worker)])
        terminal.expect(pexpect.EOF)
        assert terminal.before is not None
        assert "survived" not in terminal.before
    attacked.wait_until(
        lambda: attacked.run(["pgrep", "-u", "alice", "-x", "bash"], check=False).stdout == ""
    )
    attacked.wait_until(
        lambda: attacked.run(["pgrep", "-u", "alice", "-f", "sleep 1000"], check=False).stdout == ""
    )
    attacked.wait_until(
        lambda: "no terminal" in attacked.run(["cat", "/home/alice/survivor"]).stdout
    )
    last = ended(attacked)[-1]
    assert (last["state"], last["complete"]) == ("abnormal", False)
    assert shown.encode() in played(attacked, last["rec"])
    attacked.run(["pkill", "-u", "alice", "-x", "sleep"])


@pytest.mark.parametrize(
    "line", ["su -s /bin/bash alice", "su -s /bin/bash - alice", "su -P alice"]
)
def test_su_with_another_shell_is_recorded_all_the_same(attacked: Host, line: str) -> None:
    with login(attacked, "bob") as terminal:
        become(terminal, line)
        assert command(terminal, "echo in $(id -un)") == "in alice\r\n"
        terminal.sendline("exit")
        terminal.expect_exact(PROMPT)
        logout(terminal)
    last = ended(attacked)[-1]
    assert (last["user"], last["complete"]) == ("alice", True)
    assert b"in alice\r\n" in played(attacked, last["rec"])


def test_another_shell_is_started_within_the_recording_only(attacked: Host) -> None:
    with login(attacked, "alice") as terminal:
        for line in (
            "sessionwrap-shell -c 'echo $((40 + 2))'",
            "bash -c 'exec -a -bash sessionwrap-shell -c \"echo \\$((40 + 2))\"'",
            "HOME=/nonexistent SHELL=/bin/dash USER=root sessionwrap-shell -c 'echo $((40 + 2))'",
            "newgrp wheel <<<'echo $((40 + 2))'",
            "setsid -w sessionwrap-shell -c 'echo $((40 + 2))' </dev/null",
        ):
            assert "42" in command(terminal, line), line
        refused = command(terminal, "chsh -s /bin/sh </dev/null; getent passwd alice")
        assert "may not change the shell" in refused
        assert refused.endswith(":/usr/bin/sessionwrap-shell\r\n")
        logout(terminal)
    found = ended(attacked)
    (login_,) = [entry for entry in found[-6:] if entry["messages"] and not entry["command"]][-1:]
    assert played(attacked, login_["rec"]).count(b"42") >= 4
    done = ssh(attacked, "alice", "-tt", "/bin/bash --norc -c 'echo another'")
    assert b"another\r\n" in done.stdout
    assert b"another\r\n" in played(attacked, ended(attacked)[-1]["rec"])
