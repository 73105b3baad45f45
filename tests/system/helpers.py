"""What system tests do again and again: log in, and look at what was recorded."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from host import TIMEOUT, Host

from sessionwrap import message_ids

if TYPE_CHECKING:
    import pexpect

PROMPT = "ready$ "
"""What the shells of the test users print, and no command does."""
SPARE = "spare-recorder"
"""The name of the recorder's process that waits for the next recording."""
JOURNALD = (
    "systemd-journald.service",
    "systemd-journald.socket",
    "systemd-journald-dev-log.socket",
    "systemd-journald-audit.socket",
)
"""The units to stop so that journald is away and nothing starts it."""


def login(
    host: Host, user: str, *, dimensions: tuple[int, int] = (24, 80), options: tuple[str, ...] = ()
) -> pexpect.spawn[str]:
    """Log in over SSH with a terminal (rows, columns) and wait for the prompt.

    The caller closes what is returned (it is a context manager). ``options`` are ssh's.
    """
    terminal = host.spawn_ssh(user, dimensions=dimensions, options=options)
    with closed_on_error(terminal):
        terminal.expect_exact(PROMPT)
    return terminal


@contextmanager
def closed_on_error(terminal: pexpect.spawn[str]) -> Iterator[None]:
    """Close a terminal when what is done with it fails: who would close it does not get it."""
    try:
        yield
    except BaseException:
        terminal.close(force=True)
        raise


def command(terminal: pexpect.spawn[str], line: str) -> str:
    """Type a command at the prompt, wait for the next prompt, give what was printed between."""
    terminal.sendline(line)
    terminal.expect_exact(PROMPT)
    _, _, output = (terminal.before or "").partition("\n")
    return output


def logout(terminal: pexpect.spawn[str], status: int = 0) -> int:
    """Leave the shell with a status; give the status of the ssh client."""
    import pexpect  # fails where it is missing, and not where this file is only read

    terminal.sendline(f"exit {status}")
    terminal.expect(pexpect.EOF)
    terminal.close()
    return terminal.exitstatus if terminal.exitstatus is not None else -1


def sync_journal(host: Host) -> None:
    """Wait until the journal has all that was sent to it before; journald tells no sender.

    Where journald is not running there is nothing to wait for.
    """
    host.run(["journalctl", "--sync"], check=False)


def pass_a_tick(host: Host) -> None:
    """Wait until who logs in now is younger than what was done before: /proc counts starts in
    ticks of 10 ms, and a login of the same tick is refused once.
    """
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    host.wait_until(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) > before + 0.02)


def recordings(host: Host) -> list[dict[str, Any]]:
    """Give what `sessionwrap list --json` tells, oldest first."""
    sync_journal(host)
    lines = host.run(["sessionwrap", "list", "--json"]).stdout.splitlines()
    return sorted((json.loads(line) for line in lines), key=lambda entry: str(entry["start"]))


def wait_for_end(host: Host, count: int = 1, timeout: float = TIMEOUT) -> list[dict[str, Any]]:
    """Wait until ``count`` recordings have ended (since the boot); give all recordings."""
    host.wait_for_entries(f"MESSAGE_ID={message_ids.END}", count=count, timeout=timeout)
    return recordings(host)


def wait_for_logout(host: Host, user: str) -> None:
    """Wait until sshd has closed a user's sessions: it does so after the client has gone."""
    # sshd names its processes "sshd: alice [priv]", since OpenSSH 9.8 "sshd-session: alice …".
    sessions = ["pgrep", "--full", f"^sshd[a-z-]*: {user}"]
    host.wait_until(lambda: host.run(sessions, check=False).stdout == "")


def has_utmp(host: Host) -> bool:
    """Tell whether logins are noted in utmp. Debian 13 has none: there who(1) asks logind, which
    knows no terminal but the one that the login program opened.
    """
    return host.run(["test", "-e", "/run/utmp"], check=False).returncode == 0


def ssh(
    host: Host, user: str, *args: str, stdin: bytes = b"", timeout: float = TIMEOUT
) -> subprocess.CompletedProcess[bytes]:
    """Run ssh without a terminal of its own; give exactly the bytes that it received."""
    command_line = host.ssh_command(user, *args)
    return subprocess.run(
        command_line, input=stdin, capture_output=True, timeout=timeout, check=False
    )


def gets_in(host: Host, user: str) -> bool:
    """Tell whether a user can log in with a terminal and run a command."""
    done = ssh(host, user, "-tt", "echo got in")
    return done.returncode == 0 and done.stdout.endswith(b"got in\r\n")


def played(host: Host, *recording: str) -> bytes:
    """Give the bytes that `sessionwrap play` writes for a recording (or -i FILE), all at once."""
    words = ["sessionwrap", "play", "--goto=end", *recording]
    done = subprocess.run(host.command(words), capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def messages(host: Host, rec: str) -> list[dict[str, Any]]:
    """Give the messages that the journal has of a recording, as it has them."""
    sync_journal(host)
    lines = host.run(["journalctl", "--output=cat", "--all", f"TLOG_REC={rec}"]).stdout
    # Not splitlines: a message may hold what Unicode calls a line separator.
    return [json.loads(line) for line in lines.split("\n") if line]


def alerts(host: Host) -> list[str]:
    """Give the text of every critical entry of ours in the journal."""
    sync_journal(host)
    words = ["journalctl", "--output=cat", "--priority=crit", "SYSLOG_IDENTIFIER=sessionwrap"]
    return host.run(words).stdout.splitlines()


def as_user(host: Host, user: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the host with the rights of a user, outside any login of theirs."""
    return host.run(["setpriv", f"--reuid={user}", "--clear-groups", "--", *words], check=False)


def recorder(host: Host) -> int:
    """Give the pid of the recorder's service."""
    shown = host.run(["systemctl", "show", "-p", "MainPID", "--value", "sessionwrapd"])
    return int(shown.stdout)


def spare(host: Host) -> int:
    """Wait until a worker waits for the next recording; give its pid."""
    find = ["pgrep", "-x", SPARE]
    host.wait_until(lambda: host.run(find, check=False).returncode == 0)
    return int(host.run(find).stdout)


def workers(host: Host) -> list[int]:
    """Give the pids of all processes of the recorder but the service itself and the spare worker.

    None is left when all recordings have ended and all logins were held against them. While logins
    go on there may be short-lived ones beside the workers: ``recording_pids`` has the workers only.
    """
    show = ["ps", "-u", "sessionwrap", "-o", "pid=,comm="]
    found = [line.split() for line in host.run(show, check=False).stdout.splitlines()]
    service = recorder(host)
    return [int(pid) for pid, name in found if int(pid) != service and name != SPARE]


def recording_pids(host: Host) -> list[int]:
    """Give the pids of the workers that record a terminal now; their spools' names hold them."""
    names = host.run(["ls", "/run/sessionwrap/spool"]).stdout.split()
    return [int(name.split("-")[1], 16) for name in names if name.endswith(".spool")]


def doctor(host: Host, user: str = "alice", timeout: float = 90) -> dict[str, Any]:
    """Give what `doctor --json` prints; its exit status says whether anything is bad."""
    done = host.run(["sessionwrap", "doctor", user, "--json"], check=False, timeout=timeout)
    assert done.stderr == ""
    report: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if report["bad"] else 0)
    return report


def bad(report: dict[str, Any]) -> list[dict[str, str]]:
    """Give the findings of a report that must be mended."""
    found = [finding for finding in report["findings"] if finding["severity"] == "bad"]
    assert len(found) == report["bad"]
    return found
