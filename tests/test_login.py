from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sessionwrap import paths
from sessionwrap.login import is_login_shell, shell_of_sssd, starts_mosh

ROOT, ALICE = 0, 1000
NEW: dict[bytes, bytes] = {b"HOME": b"/home/alice"}
IN_A_SHELL = NEW | {b"SHLVL": b"1"}


@pytest.mark.parametrize("name", ["sshd", "sshd-session", "login"])
def test_a_login_program_wants_a_login_shell(name: str) -> None:
    assert is_login_shell([], NEW, name, ROOT, [name])
    assert is_login_shell([], IN_A_SHELL, name, ALICE, [name])  # sshd's SetEnv can say anything


def test_a_command_over_ssh_is_no_login_shell() -> None:
    assert not is_login_shell([b"-c", b"id"], NEW, "sshd", ALICE, ["sshd"])


@pytest.mark.parametrize(
    "command",
    [
        ["su", "-", "bob"],
        ["su", "-l", "bob"],
        ["su", "--login", "bob"],
        ["su", "bob", "-"],
        ["su", "-lc", "id", "bob"],
        ["su", "-s", "/bin/sh", "-", "bob"],
        ["runuser", "-l", "bob"],
        ["sudo", "-i"],
        ["sudo", "-iu", "bob"],
        ["sudo", "-u", "bob", "-i"],
        ["sudo", "--login", "-u", "bob"],
    ],
)
def test_su_and_sudo_that_ask_for_a_login_shell_get_one(command: list[str]) -> None:
    assert is_login_shell([], IN_A_SHELL, command[0], ROOT, command)
    assert is_login_shell([b"-c", b"id"], NEW, command[0], ROOT, command)


@pytest.mark.parametrize(
    "command",
    [
        ["su", "bob"],
        ["su", "-c", "-l", "bob"],
        ["su", "-s", "-", "bob"],
        ["su", "bob", "--", "-l"],
        ["sudo", "-s"],
        ["sudo", "-u", "-i", "-s"],
        ["sudo", "-nu", "bob", "-s"],
        ["runuser", "bob"],
    ],
)
def test_su_and_sudo_that_do_not_ask_for_a_login_shell_get_none(command: list[str]) -> None:
    assert not is_login_shell([], NEW, command[0], ROOT, command)


@pytest.mark.parametrize("name", ["xterm", "cockpit-bridge", "gnome-terminal-"])
@pytest.mark.parametrize("env", [NEW, IN_A_SHELL])
def test_a_terminal_window_starts_no_login_shell(name: str, env: dict[bytes, bytes]) -> None:
    assert not is_login_shell([], env, name, ALICE, [name])


def test_another_program_of_root_starts_a_login_shell_in_a_new_environment() -> None:
    assert is_login_shell([], NEW, "systemd", ROOT, ["/sbin/init"])
    assert not is_login_shell([], IN_A_SHELL, "systemd", ROOT, ["/sbin/init"])


@pytest.mark.parametrize("name", ["tmux: server", "mosh-server"])
def test_tmux_and_mosh_start_login_shells(name: str) -> None:
    assert is_login_shell([], IN_A_SHELL, name, ALICE, [name])
    assert not is_login_shell([b"-c", b"top"], IN_A_SHELL, name, ALICE, [name])


def test_the_program_that_started_us_is_known_by_name_uid_and_command_line() -> None:
    program = "from sessionwrap.login import parent; print(*parent())"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    name = Path("/proc/self/comm").read_text().rstrip("\n")
    words = Path("/proc/self/cmdline").read_text().split("\0")
    assert done.stdout == f"{name} {os.geteuid()} {words}\n"


MOSH = b"mosh-server 'new' '-c' '256' '-s' '-l' 'LANG=C.UTF-8'"
REMOTE = b'sh -c \'[ -n "$SSH_CONNECTION" ] && printf "MOSH %s" "$SSH_CONNECTION" ; '


@pytest.mark.parametrize("command", [MOSH, REMOTE + MOSH.replace(b"'", b"'\\''") + b"'"])
def test_mosh_is_known_by_the_command_that_starts_its_server(command: bytes) -> None:
    with_command = command.replace(b"C.UTF-8", b"C.UTF-8' '--' 'top")
    quoted = command.replace(b"C.UTF-8", b"C.UTF-8'\\'' '\\''--'\\'' '\\''top")
    assert starts_mosh([b"-c", command])
    assert not starts_mosh([b"-c", command], with_command=True)
    assert starts_mosh([b"-c", with_command], with_command=True)
    assert starts_mosh([b"-c", quoted], with_command=True)


@pytest.mark.parametrize(
    "args",
    [
        [],
        [b"-c"],
        [MOSH],
        [b"-c", b"ls -- /"],
        [b"-c", b"", MOSH],
        [b"-c", b"pgrep mosh-server; git checkout -- file"],
    ],
)
def test_another_command_is_not_taken_for_mosh(args: list[bytes]) -> None:
    assert not starts_mosh(args)
    assert not starts_mosh(args, with_command=True)


SSSD = {b"TLOG_REC_SESSION_SHELL": b"/bin/sh"}


def test_the_shell_that_sssd_names_is_started_under_the_name_that_sssd_knows() -> None:
    assert shell_of_sssd("/usr/bin/tlog-rec-session", SSSD) == "/bin/sh"
    assert shell_of_sssd("/usr/bin/tlog-rec-session", {}) == ""


def test_what_sssd_named_for_one_user_is_nothing_to_another_ones_login_shell() -> None:
    assert shell_of_sssd(paths.LOGIN_SHELL, SSSD) == ""


@pytest.mark.parametrize(
    "shell",
    [
        b"",
        b"sh",
        b"/nonexistent",
        b"/etc/passwd",
        b"/bin",
        b"/bin/\xff",
        paths.LOGIN_SHELL.encode(),
    ],
)
def test_a_shell_of_sssd_that_cannot_be_started_is_passed_over(shell: bytes) -> None:
    assert shell_of_sssd(paths.SSSD_LOGIN_SHELL, {b"TLOG_REC_SESSION_SHELL": shell}) == ""
