"""The watch over logins, without a journal: real processes, and tickets in a directory."""

from __future__ import annotations

import fcntl
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sessionwrap import paths, tickets
from sessionwrap.errors import TicketError
from sessionwrap.recorder.logins import LOOK_SECONDS, REST, Login, Logins, find_programs

TIOCGPTN = 0x80045430
"""asm-generic/ioctls.h; termios has no name for it: the number of a pty."""
CHILD = "import subprocess; subprocess.run(['/bin/sh', '-c', 'echo; read line'])"


class Loop:
    """Stands for the service's loop: who is watched, and what is to be run in a child."""

    def __init__(self) -> None:
        self.handlers: dict[int, Callable[[int], None]] = {}
        self.work: list[Callable[[], None]] = []

    def watch(self, fd: int, handler: Callable[[int], None]) -> None:
        self.handlers[fd] = handler

    def unwatch(self, fd: int) -> None:
        del self.handlers[fd]

    def fork(self, work: Callable[[], None]) -> int:
        self.work.append(work)
        return 1

    def end_all(self) -> None:
        for fd, handler in list(self.handlers.items()):
            handler(fd)


@contextmanager
def application() -> Iterator[int]:
    """Run a process that stands for a PAM application; give its pid."""
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as process:
        yield process.pid
        assert process.stdin
        process.stdin.close()


@pytest.fixture
def loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loop:
    monkeypatch.setattr(paths, "TICKETS_DIR", str(tmp_path))
    return Loop()


def logins_of(loop: Loop) -> Logins:
    return Logins(loop.watch, loop.unwatch, loop.fork)


def write_ticket(
    pid: int, *, record: bool = True, start: int | None = None, service: str = "sshd"
) -> tickets.Ticket:
    _, begun = tickets.parent_and_start(pid)
    texts = dict.fromkeys(("rule", "user", "shell", "rhost", "tty", "policy"), "x")
    ticket = tickets.Ticket(
        **texts,
        service=service,
        record=record,
        uid=os.getuid(),
        session=tickets.session_of(os.getpid()),
        pid=pid,
        start=begun if start is None else start,
        time=1,
    )
    tickets.write(ticket, paths.TICKETS_DIR)
    return ticket


def test_a_login_that_goes_on_is_looked_at_until_it_has_asked(loop: Loop) -> None:
    logins = logins_of(loop)
    assert logins.due is None
    with application() as pid:
        logins.add(write_ticket(pid).name)
        assert logins.due == pytest.approx(time.monotonic() + LOOK_SECONDS[0], abs=0.5)
        logins.asked(os.getpid(), os.getuid(), has_terminal=True)
        assert logins.due is None
        loop.end_all()
    assert loop.handlers == {}
    assert len(loop.work) == 1  # it is held against the journal


def test_a_login_that_has_asked_for_commands_alone_is_looked_at_until_it_has_a_terminal(
    loop: Loop,
) -> None:
    logins = logins_of(loop)
    with application() as pid:
        logins.add(write_ticket(pid).name)
        logins.asked(os.getpid(), os.getuid(), has_terminal=False)
        assert logins.due is not None
        logins.asked(os.getpid(), os.getuid(), has_terminal=True)
        assert logins.due is None
        logins.asked(os.getpid(), os.getuid(), has_terminal=False)
        assert logins.due is None
        loop.end_all()
    assert len(loop.work) == 1


@contextmanager
def on_a_terminal(*argv: str) -> Iterator[tuple[int, str]]:
    """Run a program that leads the session on a new pty; give its pid and the terminal's path."""
    pid, master = pty.fork()
    if pid == 0:
        os.execv(argv[0], argv)
    try:
        os.read(master, 1)  # what it says when it runs
        number = int.from_bytes(fcntl.ioctl(master, TIOCGPTN, bytes(4)), sys.byteorder)
        yield pid, f"/dev/pts/{number}"
    finally:
        os.close(master)
        os.waitpid(pid, 0)


@pytest.mark.usefixtures("loop")
@pytest.mark.parametrize(
    ("argv", "is_suspect"),
    [
        (("/bin/sh", "-c", "echo; read line"), True),
        (("/usr/bin/python3", "-ISc", "print(flush=True); input()"), False),
        (("/usr/bin/python3", "-ISc", CHILD), False),
    ],
)
def test_a_shell_that_leads_a_terminal_is_suspect_in_a_login_of_commands(
    argv: tuple[str, ...], is_suspect: bool
) -> None:
    with application() as pid, on_a_terminal(*argv) as (leader, terminal):
        login = Login(write_ticket(pid))
        login.asked = True
        found = find_programs([login])[login.ticket.name]
    why = f"sh runs on {terminal}, which is not recorded"
    assert found.get(leader) == (why if is_suspect else None)
    assert (why in found.values()) == is_suspect


def test_a_question_of_another_user_or_session_is_not_of_this_login(loop: Loop) -> None:
    logins = logins_of(loop)
    with application() as pid:
        logins.add(write_ticket(pid).name)
        logins.asked(os.getpid(), os.getuid() + 1, has_terminal=True)
        assert logins.due is not None
        logins.asked(os.getpid(), os.getuid(), has_terminal=True)
        loop.end_all()


def test_many_silent_logins_and_processes_do_not_keep_the_service_from_answering(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    logins = logins_of(loop)
    now = time.monotonic()
    looks: list[int] = []

    def slow_look(of: list[Login]) -> dict[str, dict[int, str]]:
        nonlocal now
        now += 3.0
        looks.append(len(of))
        return {login.ticket.name: {} for login in of}

    monkeypatch.setattr("sessionwrap.recorder.logins.find_programs", slow_look)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    with application() as pid, application() as other, application() as third:
        logins.add(write_ticket(pid).name)
        logins.add(write_ticket(other).name)
        now += LOOK_SECONDS[0]
        logins.add(write_ticket(third).name)
        logins.look(now)
        assert looks == [2], "one look for all that are due"
        assert logins.due == now + REST * 3.0
        logins.look(now + LOOK_SECONDS[0])
        assert looks == [2], "the others have their turn between"
        logins.look(now + REST * 3.0)
        assert looks == [2, 3]
        logins.asked(os.getpid(), os.getuid(), has_terminal=True)
        loop.end_all()


@pytest.mark.parametrize("service", ["su", "sudo-i"])
def test_what_su_and_sudo_did_not_start_asks_for_itself_alone(loop: Loop, service: str) -> None:
    logins = logins_of(loop)
    words = ["/bin/sh", "-c", "exec 3<&0; cat <&3 & echo $!; wait"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as su:
        assert su.stdin
        assert su.stdout
        child = int(su.stdout.readline())
        logins.add(write_ticket(su.pid, service=service).name)
        logins.asked(os.getpid(), os.getuid(), has_terminal=True)
        assert logins.due is not None
        logins.asked(child, os.getuid(), has_terminal=True)
        assert logins.due is None
        su.stdin.close()
        loop.end_all()


@pytest.mark.parametrize("name", ["1-2-3-4", "../elsewhere"])
def test_a_ticket_that_is_not_there_is_one_named_error(loop: Loop, name: str) -> None:
    with pytest.raises(TicketError, match="no ticket"):
        logins_of(loop).add(name)


def test_a_login_that_is_not_recorded_or_is_over_is_not_watched(loop: Loop) -> None:
    logins = logins_of(loop)
    with application() as pid:
        with pytest.raises(TicketError, match="says to record"):
            logins.add(write_ticket(pid, record=False).name)
        with pytest.raises(TicketError, match="is over"):
            logins.add(write_ticket(pid, start=1).name)
    assert loop.handlers == {}


def test_more_logins_than_the_limit_are_refused(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sessionwrap.recorder.logins.MAX_LOGINS_OF_USER", 1)
    logins = logins_of(loop)
    with application() as pid, application() as other:
        logins.add(write_ticket(pid).name)
        with pytest.raises(TicketError, match="limit"):
            logins.add(write_ticket(other).name)
        logins.asked(os.getpid(), os.getuid(), has_terminal=True)
        loop.end_all()
