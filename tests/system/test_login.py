"""A user who is recorded logs in over SSH and notices nothing but the notice."""

from __future__ import annotations

import pexpect
import pytest
from host import Host

from tests.system.helpers import (
    PROMPT,
    command,
    has_utmp,
    login,
    logout,
    messages,
    played,
    recording_pids,
    recordings,
    ssh,
    wait_for_end,
    workers,
)

DOWN = "\x1b[B"


def test_a_prompt_a_command_and_colours_are_recorded(host: Host) -> None:
    with login(host, "alice") as terminal:
        assert command(terminal, "printf '\\033[31mred\\033[0m\\n'") == "\x1b[31mred\x1b[0m\r\n"
        logout(terminal)
    (recording,) = wait_for_end(host)
    output = played(host, recording["rec"])
    assert b"\x1b[31mred\x1b[0m\r\n" in output
    assert b"Your session is being recorded" in output
    assert (recording["user"], recording["service"]) == ("alice", "sshd")
    assert (recording["rhost"], recording["host"]) == ("127.0.0.1", "host")
    assert recording["complete"]
    assert recording["verified"]


def test_the_recorded_output_is_byte_for_byte_what_the_client_received(host: Host) -> None:
    script = "echo; ls --color=always -la /usr; printf '\\377\\376\\n'; cat /usr/bin/env; tput bel"
    done = ssh(host, "alice", "-tt", f"TERM=xterm; {script}")
    (recording,) = wait_for_end(host)
    assert len(done.stdout) > 40_000
    assert played(host, recording["rec"], "--raw") == done.stdout


@pytest.mark.parametrize("status", [0, 7, 255])
def test_the_exit_status_reaches_the_client(host: Host, status: int) -> None:
    with login(host, "alice") as terminal:
        assert logout(terminal, status) == status
    assert ssh(host, "alice", "-tt", f"exit {status}").returncode == status
    assert len(wait_for_end(host, 2)) == 2


def test_an_editor_works_and_what_it_drew_is_recorded(host: Host) -> None:
    with login(host, "alice") as terminal:
        terminal.sendline("vi note")
        terminal.expect_exact("[New]")
        terminal.send("ihello from vim\x1b:wq\r")
        terminal.expect_exact(PROMPT)
        assert command(terminal, "cat note") == "hello from vim\r\n"
        terminal.sendline("less /etc/passwd")
        terminal.expect_exact("root:x:0:0")
        terminal.send(DOWN + "q")
        terminal.expect_exact(PROMPT)
        logout(terminal)
    (recording,) = wait_for_end(host)
    assert b"hello from vim" in played(host, recording["rec"])


def test_ctrl_c_ctrl_z_fg_and_ctrl_d_do_what_they_do_elsewhere(host: Host) -> None:
    with login(host, "alice") as terminal:
        terminal.sendline("sh -c 'echo $((6 * 7)); exec sleep 1000'")
        terminal.expect_exact("42\r\n")  # by now the job is in the foreground
        terminal.sendintr()
        terminal.expect_exact(PROMPT)
        assert command(terminal, "echo status $?") == "status 130\r\n"
        terminal.sendline("sh -c 'echo $((40 + 2)); exec cat'")
        terminal.expect_exact("42\r\n")  # by now the terminal echoes, and bash reads no more
        terminal.sendline("to be stopped")
        terminal.expect_exact("to be stopped\r\nto be stopped\r\n")
        terminal.sendcontrol("z")
        terminal.expect_exact("Stopped")
        terminal.expect_exact(PROMPT)
        terminal.sendline("fg")
        terminal.expect_exact("exec cat'\r\n")  # as bash names the job that goes on
        terminal.sendline("again")
        terminal.expect_exact("again\r\nagain\r\n")
        terminal.sendcontrol("d")
        terminal.expect_exact(PROMPT)
        terminal.sendcontrol("d")
        terminal.expect(pexpect.EOF)
    assert wait_for_end(host)[0]["complete"]


def test_a_window_resized_midway_is_seen_by_programs_and_recorded(host: Host) -> None:
    with login(host, "alice", dimensions=(24, 80)) as terminal:
        assert command(terminal, "stty size") == "24 80\r\n"
        terminal.sendline("trap 'stty size' WINCH; echo trapped")
        terminal.expect_exact(f"trapped\r\n{PROMPT}")
        terminal.setwinsize(50, 132)
        terminal.expect_exact("50 132")
        logout(terminal)
    (recording,) = wait_for_end(host)
    timing = "".join(message["timing"] for message in messages(host, recording["rec"]))
    assert timing.startswith("=80x24")
    assert "=132x50" in timing


def test_two_terminals_over_one_connection_are_two_complete_recordings(host: Host) -> None:
    control = ("-o", "ControlPath=/tmp/mux", "-o", "ControlPersist=no")
    with login(host, "alice", options=(*control, "-o", "ControlMaster=yes")) as first:
        with login(host, "alice", options=control) as second:
            assert command(second, "echo this is the second") == "this is the second\r\n"
            assert command(first, "echo this is the first") == "this is the first\r\n"
            assert logout(second, 2) == 2
        assert logout(first, 1) == 1
    found = wait_for_end(host, 2)
    assert [recording["complete"] for recording in found] == [True, True]
    assert len({recording["session"] for recording in found}) == 1
    outputs = sorted(played(host, recording["rec"]) for recording in found)
    assert sum(b"this is the first\r\n" in output for output in outputs) == 1
    assert sum(b"this is the second\r\n" in output for output in outputs) == 1


def test_the_users_process_tree_shows_sshd_and_the_shell_and_nothing_of_ours(host: Host) -> None:
    with login(host, "alice") as terminal:
        parents = command(
            terminal,
            "p=$$; while [ $p -gt 1 ]; do cat /proc/$p/comm; p=$(awk '{print $4}' /proc/$p/stat);"
            " done",
        )
        # Since OpenSSH 9.8 the processes of a session are called sshd-session.
        names = [name.removesuffix("-session") for name in parents.split()]
        assert names == ["bash", "sshd", "sshd", "sshd"]
        listed = command(terminal, "ps -u alice -o comm=").split()
        assert "bash" in listed
        assert not [name for name in listed if "sessionwrap" in name or "python" in name]
        open_files = command(terminal, "ls -l /proc/$$/fd")
        assert "recorder" not in open_files
        assert "socket" not in open_files
        logout(terminal)


def test_the_shell_is_what_it_would_be_without_us(host: Host) -> None:
    with login(host, "alice") as terminal:
        assert command(terminal, "echo $0 $SHELL") == "-bash /bin/bash\r\n"
        assert command(terminal, "shopt login_shell").split() == ["login_shell", "on"]
        tty = command(terminal, "tty").strip()
        assert tty.startswith("/dev/pts/")
        assert command(terminal, "echo $SSH_TTY").strip() == tty
        assert command(terminal, "stat -c '%U %G %a' $(tty)") == "alice tty 620\r\n"
        assert command(terminal, "echo ${LC_CTYPE-unset}") == "unset\r\n"
        ignored = command(terminal, "grep SigIgn /proc/self/status").split()[1]
        bob = ssh(host, "bob", "grep SigIgn /proc/self/status").stdout.split()[1].decode()
        assert int(ignored, 16) & 1 << 12 == 0, "SIGPIPE is ignored"
        assert int(ignored, 16) == int(bob, 16)
        logout(terminal)


def test_who_finds_the_user_once_on_the_terminal_that_programs_see(host: Host) -> None:
    with login(host, "alice") as terminal:
        tty = command(terminal, "tty").strip().removeprefix("/dev/")
        found = command(terminal, "who am i").split()[:2]
        assert found == (["alice", tty] if has_utmp(host) else [])
        assert len(command(terminal, "who").splitlines()) == 1
        assert command(terminal, "logname") == "alice\r\n"
        logout(terminal)
    wait_for_end(host)
    host.wait_until(lambda: host.run(["who"]).stdout == "")


def test_a_command_with_a_terminal_is_recorded_with_its_command_line(host: Host) -> None:
    done = ssh(host, "alice", "-tt", "echo $0 $-; shopt login_shell; tty; exit 4")
    assert done.returncode == 4
    assert b"login_shell    \toff" in done.stdout
    (recording,) = wait_for_end(host)
    assert recording["kind"] == "terminal"
    assert recording["command"].startswith("echo $0 $-; shopt")


def test_job_control_tools_and_multiplexers_work_in_a_recorded_login(host: Host) -> None:
    with login(host, "alice") as terminal:
        assert command(terminal, "script -qec 'stty size' /dev/null") == "24 80\r\n"
        terminal.sendline("tmux -f /dev/null new-session 'echo in $TMUX; exec cat'")
        terminal.expect_exact("in /tmp/tmux-1000/default")
        terminal.sendcontrol("d")
        terminal.expect_exact("[exited]")
        terminal.expect_exact(PROMPT)
        assert command(terminal, "sleep 0.1 & wait; echo done").endswith("done\r\n")
        logout(terminal)
    (recording,) = wait_for_end(host)
    assert b"in /tmp/tmux-1000/default" in played(host, recording["rec"])


def test_su_and_sudo_work_in_a_recorded_login(host: Host) -> None:
    host.run(["sh", "-c", "echo 'alice ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/alice"])
    host.run(["sh", "-c", "echo bob:secret | chpasswd"])
    with login(host, "alice") as terminal:
        assert command(terminal, "sudo id -un") == "root\r\n"
        assert command(terminal, "sudo -iu bob pwd") == "/home/bob\r\n"
        terminal.sendline("su - bob")
        terminal.expect_exact("Password: ")
        terminal.sendline("secret")
        terminal.expect_exact(PROMPT)
        assert command(terminal, "id -un; tty").split()[0] == "bob"
        terminal.sendline("exit 5")
        terminal.expect_exact(PROMPT)
        assert command(terminal, "echo status $?") == "status 5\r\n"
        logout(terminal)
    (recording,) = wait_for_end(host)
    output = played(host, recording["rec"])
    assert b"secret" not in output


def test_su_to_a_recorded_user_is_a_recording_of_its_own_in_the_callers_terminal(
    host: Host,
) -> None:
    host.run(["sh", "-c", "echo 'alice ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/alice"])
    with login(host, "alice") as terminal:
        before = command(terminal, "stty -a; tty")
        terminal.sendline("sudo su - carol")
        terminal.expect_exact(PROMPT)
        assert command(terminal, "id -un; echo $0") == "carol\r\n-bash\r\n"
        for rows, columns in ((33, 99), (24, 80)):
            size = f"{rows} {columns}"
            terminal.sendline(f'until [ "$(stty size)" = "{size}" ]; do sleep .01; done; id -un')
            terminal.expect_exact("id -un\r\n")
            terminal.setwinsize(rows, columns)
            terminal.expect_exact(f"carol\r\n{PROMPT}")
        terminal.sendline("sh -c 'echo $((6 * 7)); exec sleep 1000'")
        terminal.expect_exact("42\r\n")
        terminal.sendintr()
        terminal.expect_exact(f"^C\r\n{PROMPT}")
        terminal.sendline("exit 9")
        terminal.expect_exact(PROMPT)
        assert command(terminal, "echo status $?") == "status 9\r\n"
        assert command(terminal, "stty -a; tty") == before, "the terminal was not given back"
        logout(terminal)
    found = wait_for_end(host, 2)
    assert [(each["user"], each["service"], each["complete"]) for each in found] == [
        ("alice", "sshd", True),
        ("carol", "su-l", True),
    ]


def test_after_logout_nothing_is_left(host: Host) -> None:
    with login(host, "alice") as terminal:
        assert len(recording_pids(host)) == 1
        logout(terminal)
    wait_for_end(host)
    host.wait_until(lambda: workers(host) == [])
    assert host.run(["ls", "/run/sessionwrap/spool"]).stdout == ""
    assert [each["complete"] for each in recordings(host)] == [True]
