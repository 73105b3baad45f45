from __future__ import annotations

import pytest

from sessionwrap import paths
from sessionwrap.login import is_login_shell, shell_of_sssd

NEW: dict[bytes, bytes] = {b"HOME": b"/home/alice"}
IN_A_SHELL = NEW | {b"SHLVL": b"1"}


@pytest.mark.parametrize("name", ["sshd", "sshd-session", "login"])
def test_a_login_program_wants_a_login_shell(name: str) -> None:
    assert is_login_shell([], NEW, name, [name])
    assert is_login_shell([], IN_A_SHELL, name, [name])  # sshd's SetEnv can say anything


def test_a_command_over_ssh_is_no_login_shell() -> None:
    assert not is_login_shell([b"-c", b"id"], NEW, "sshd", ["sshd"])


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
    assert is_login_shell([], IN_A_SHELL, command[0], command)
    assert is_login_shell([b"-c", b"id"], NEW, command[0], command)


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
    assert not is_login_shell([], NEW, command[0], command)


def test_a_terminal_window_starts_no_login_shell() -> None:
    assert not is_login_shell([], IN_A_SHELL, "xterm", ["xterm"])


def test_tmux_starts_login_shells_in_its_panes() -> None:
    assert is_login_shell([], IN_A_SHELL, "tmux: server", ["tmux"])
    assert not is_login_shell([b"-c", b"top"], IN_A_SHELL, "tmux: server", ["tmux"])


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
