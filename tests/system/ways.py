"""Ways to log in on a throwaway host, each up to the prompt of the user's shell.

``prepare`` comes first: passwords, sudo, a prompt for root. Who gets in through another user's
shell comes back to that shell's prompt.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from host import TIMEOUT, Host

from sessionwrap import message_ids
from tests.system.helpers import (
    PROMPT,
    closed_on_error,
    command,
    has_utmp,
    login,
    played,
    recordings,
    sync_journal,
    wait_for_end,
    workers,
)

if TYPE_CHECKING:
    import pexpect

PASSWORD = "secret"  # noqa: S105 # of users of a throwaway host
_CONSOLE = "/usr/local/share/console.py"
_DESKTOP = "/usr/local/share/desktop.py"


class Way(NamedTuple):
    """How a user comes to a shell.

    ``open`` gives the terminal at the prompt of the user's shell. ``service`` is the PAM service;
    ``waits`` how many processes of ours wait for the shell to end (but see ``waiting``); ``status``
    what is seen when the shell has ended with status 3, None where nobody is told; ``who``
    whom `who am i` names (USER is the user) where there is utmp, ""
    where the terminal is nobody's login.
    """

    open: Callable[[Host, str], pexpect.spawn[str]]
    service: str
    waits: int
    status: int | None
    who: str


def prepare(host: Host, *users: str) -> None:
    """Let ``users``, who are local, and bob log in with ``PASSWORD``, alice and bob use sudo."""
    lines = "".join(f"{user}:{PASSWORD}\n" for user in ("bob", *users))
    host.run(["chpasswd"], input=lines)
    host.write("/etc/sudoers.d/tests", "alice,bob ALL=(ALL) NOPASSWD: ALL\n", 0o440)
    host.write("/root/.bashrc", f"PS1='{PROMPT}'\n")
    host.copy_in(Path(__file__).parent / "console.py", _CONSOLE)


def console(host: Host) -> pexpect.spawn[str]:
    """Give a console on which a getty asks who logs in. The caller closes it."""
    import pexpect  # fails where it is missing, and not where this file is only read

    argv = host.command(["python3", _CONSOLE])
    terminal = pexpect.spawn(argv[0], argv[1:], timeout=TIMEOUT, encoding="utf-8", echo=False)
    with closed_on_error(terminal):
        terminal.expect_exact("login: ")
    return terminal


def on_console(host: Host, user: str) -> pexpect.spawn[str]:
    """Log in at a console."""
    terminal = console(host)
    with closed_on_error(terminal):
        terminal.sendline(user)
        give_password(terminal)
    return terminal


def give_password(terminal: pexpect.spawn[str]) -> None:
    """Type the password when it is asked for, and wait for the prompt."""
    terminal.expect_exact("Password: ")
    terminal.sendline(PASSWORD)
    terminal.expect_exact(PROMPT)


def through(line: str, caller: str, *, password: bool = False) -> Callable[..., pexpect.spawn[str]]:
    """Give a way through a shell of ``caller``, who types ``line`` there (USER is the user)."""

    def enter(host: Host, user: str) -> pexpect.spawn[str]:
        terminal = login(host, caller)
        with closed_on_error(terminal):
            terminal.sendline(line.replace("USER", user))
            if password:
                give_password(terminal)
            else:
                terminal.expect_exact(PROMPT)
        return terminal

    return enter


SSH = Way(login, "sshd", 0, 3, "USER")
CONSOLE = Way(on_console, "login", 1, None, "USER")
SU_BY_ROOT = Way(through("su - USER", "root"), "su-l", 1, 3, "root")
SU_BY_BOB = Way(through("su - USER", "bob", password=True), "su-l", 1, 3, "bob")
SUDO_BY_BOB = Way(through("sudo -iu USER", "bob"), "sudo-i", 1, 3, "bob")
MACHINECTL = Way(through("machinectl -q shell USER@.host", "root"), "login", 0, 0, "USER")
SYSTEMD_RUN = Way(
    through("systemd-run -q --pty --uid=USER -p PAMName=login sessionwrap-shell", "root"),
    "login",
    0,
    3,
    "",
)


DISPLAY_MANAGERS = {"xdm": ":1", "gdm-password": "/dev/tty7"}
"""PAM services, and what each says that the terminal is (PAM_TTY)."""


def add_display(host: Host) -> None:
    """Start an X server, display :1, and let `desktop` log users in on it."""
    host.copy_in(Path(__file__).parent / "desktop.py", _DESKTOP)
    for service in DISPLAY_MANAGERS:
        host.write(f"/etc/pam.d/{service}", "session include common-session\n")
    host.run(["systemd-run", "-q", "--unit=xvfb", "Xvfb", ":1", "-ac"])
    display = "/tmp/.X11-unix/X1"  # noqa: S108 # the host's own /tmp
    host.wait_until(lambda: host.run(["test", "-e", display], check=False).returncode == 0)


@contextlib.contextmanager
def desktop(host: Host, user: str, *argv: str, service: str = "xdm") -> Iterator[None]:
    """Log a user in on the display for as long as a command runs, which must be over at the end.

    ``service`` is one of DISPLAY_MANAGERS.
    """
    words = ["python3", _DESKTOP, service, DISPLAY_MANAGERS[service], user, ":1", *argv]
    with subprocess.Popen(host.command(words), stdin=subprocess.DEVNULL) as session:
        try:
            yield
            assert session.wait(TIMEOUT) == 0
        finally:
            session.kill()


class Facts(NamedTuple):
    """What a shell says of itself. ``ours``: programs of ours of any user but the services."""

    user: str
    tty: str
    name: str
    shell: str
    login_shell: str
    session: str
    ours: int


def facts(terminal: pexpect.spawn[str]) -> Facts:
    """Ask a shell, at its prompt, about itself."""
    shown = command(
        terminal,
        "echo $(id -un) $(tty) $0 $SHELL $(shopt -q login_shell && echo yes || echo no) "
        "$(cat /proc/self/sessionid) $(ps -e -o comm= | grep -c sessionwrap-she)",
    )
    user, tty, name, shell, login_shell, session, ours = shown.split()
    return Facts(user, tty, name, shell, login_shell, session, int(ours))


def who_am_i(terminal: pexpect.spawn[str]) -> list[str]:
    """Give user and line of `who am i`; nothing where the terminal is no login's."""
    return command(terminal, "who am i").split()[:2]


def waiting(host: Host, way: Way) -> int:
    """Give how many processes of ours wait for the shell to end."""
    # util-linux's login, Debian 13's, has the shell lead its session; shadow's, Debian 12's, not.
    if way is CONSOLE and "util-linux" in host.run(["login", "--version"], check=False).stdout:
        return 0
    return way.waits


def leave(terminal: pexpect.spawn[str], status: int = 3) -> int | None:
    """End the shell with a status; give the status that its caller saw, None where nobody did."""
    import pexpect

    terminal.sendline(f"exit {status}")
    found = terminal.expect_exact([PROMPT, "login: ", pexpect.EOF])
    if found == 0:
        seen = re.findall(r"\d+", command(terminal, "echo $?"))
        return int(seen[0])
    if found == 1:
        return None
    terminal.close()
    return terminal.exitstatus


def check(host: Host, way: Way, user: str, shell: str = "/bin/bash") -> None:
    """Log a user who is in scope in: all is as it would be without us, and it is recorded."""
    waits = waiting(host, way)
    with way.open(host, user) as terminal:
        found = facts(terminal)
        who = who_am_i(terminal)
        assert leave(terminal) == way.status
    (recording,) = settled(host, 1)
    name = "-" + shell.rpartition("/")[2]
    assert found == Facts(user, recording["tty"], name, shell, "yes", found.session, waits)
    line = recording["tty"].removeprefix("/dev/")
    assert who == ([way.who.replace("USER", user), line] if way.who and has_utmp(host) else [])
    assert (recording["user"], recording["service"]) == (user, way.service)
    assert (recording["kind"], recording["complete"]) == ("terminal", True)
    assert recording["parent"] == ""
    assert b"echo $(id -un)" in played(host, recording["rec"])


def settled(host: Host, count: int) -> list[dict[str, Any]]:
    """Give all recordings, once ``count`` have ended and their logins were held against them."""
    wait_for_end(host, count)
    host.wait_until(lambda: workers(host) == [])
    return recordings(host)


def login_entries(host: Host) -> list[tuple[str, str, str]]:
    """Give (user, service, outcome) of each login that the hook saw, oldest first."""
    sync_journal(host)
    words = ["journalctl", "-q", "-o", "json", f"MESSAGE_ID={message_ids.LOGIN}"]
    found = [json.loads(line) for line in host.run(words).stdout.splitlines()]
    return [
        (entry["SESSIONWRAP_USER"], entry["SESSIONWRAP_SERVICE"], entry["SESSIONWRAP_OUTCOME"])
        for entry in found
    ]
