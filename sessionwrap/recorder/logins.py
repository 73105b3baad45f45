"""Nobody unseen: each login that is to be recorded is held against what was recorded of it.

The hook tells of the login; its PAM application is watched by a pidfd. When that has ended, a
child looks for the recordings in the journal. A login of sshd may have no shell at all (`ssh -N`),
nor may one on a display, so one that has asked for nothing is looked at while it lasts. So is one
that has asked for commands alone: what a command does is not recorded, and it can open a terminal.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Final

from sessionwrap import entries, journal_protocol, message_ids, paths, tickets
from sessionwrap.entries import LOGGED, PREFIX
from sessionwrap.errors import TicketError
from sessionwrap.logins import DESKTOPS
from sessionwrap.model import Recording
from sessionwrap.recorder import child, confirm, running

MAX_LOGINS_OF_USER: Final = 400
"""More than one user can have recordings; each costs a descriptor."""
LOOK_SECONDS: Final = (2.0, 8.0, 60.0)
"""When a login that has no terminal yet is looked at; the last again and again. Two looks in a
row must find the same process: a login shell may just be about to ask."""
REST: Final = 20
"""The service does nothing else while it looks, and a user can have many logins and processes: so
it rests that many times as long afterwards.
"""
SETTLE_SECONDS: Final = 20.0
"""How long the journal may take to have the end of a recording whose worker has gone."""
MAX_PROCESSES: Final = 65536
COMM_LENGTH: Final = 15
"""Characters of a program's name that the kernel keeps (proc(5))."""
SHELLS: Final = frozenset(
    ("ash", "bash", "csh", "dash", "fish", "ksh", "ksh93", "mksh", "rbash", "sh", "tcsh", "zsh")
)
"""Names of shells, besides that of the user's own; programs like expect(1) open terminals for
others."""


class Login:
    """A login that is to be recorded, while its PAM application runs."""

    def __init__(self, ticket: tickets.Ticket) -> None:
        self.ticket = ticket
        self.asked = False
        """Whether a login shell of it has asked for a recording, if only of a command."""
        self.has_terminal = False
        """Whether one was asked for a terminal: other terminals may be shown on that (tmux)."""
        self.reported = False
        self.suspects: dict[int, str] = {}
        self.looks = 0
        self.look_at = time.monotonic() + LOOK_SECONDS[0]


class Logins:
    """The logins that go on. ``watch`` and ``unwatch`` are told of pidfds; ``fork`` runs a check
    in a child.
    """

    def __init__(
        self,
        watch: Callable[[int, Callable[[int], None]], None],
        unwatch: Callable[[int], None],
        fork: Callable[[Callable[[], None]], int],
    ) -> None:
        self._watch = watch
        self._unwatch = unwatch
        self._fork = fork
        self._logins: dict[int, Login] = {}
        self._rests_until = 0.0

    def add(self, name: str) -> None:
        """Watch the login of a ticket; OSError or TicketError where it is none that goes on."""
        ticket = tickets.read(f"{paths.TICKETS_DIR}/{name}")
        if ticket is None or not ticket.record:
            raise TicketError(f"there is no ticket {name} that says to record")
        if any(one.ticket.name == name for one in self._logins.values()):
            return  # a PAM application that opens one session after another
        if sum(one.ticket.uid == ticket.uid for one in self._logins.values()) >= MAX_LOGINS_OF_USER:
            raise TicketError(f"{MAX_LOGINS_OF_USER} logins of this user go on, which is the limit")
        pidfd = os.pidfd_open(ticket.pid)
        if not tickets.is_running(ticket):
            os.close(pidfd)
            raise TicketError(f"the login of ticket {name} is over")
        self._logins[pidfd] = Login(ticket)
        self._watch(pidfd, self._on_end)

    def adopt(self) -> None:
        """Watch those that an earlier recorder was told of; the journal knows which have asked."""
        for name in os.listdir(paths.TICKETS_DIR):
            try:
                self.add(name)
            except (OSError, TicketError):
                continue  # over, or not to be recorded
        names = [login.ticket.name for login in self._logins.values()]
        heard = child.answer_of(lambda: heard_of(names)) if names else None
        for login in self._logins.values():
            login.asked = heard is None or login.ticket.name in heard
            login.has_terminal = heard is None or heard.get(login.ticket.name, False)

    def asked(self, pid: int, uid: int, *, has_terminal: bool) -> None:
        """Note that a process asks for a recording, of a terminal or of a command: whichever login
        it belongs to.
        """
        session = tickets.session_of(pid)
        for login in self._logins.values():
            ticket = login.ticket
            if (
                ticket.uid == uid
                and ticket.session == session
                and (ticket.service not in tickets.OF_CALLER or _is_started_by(ticket.pid, pid))
            ):
                login.asked = True
                login.has_terminal = login.has_terminal or has_terminal

    @property
    def due(self) -> float | None:
        """When ``look`` is to be called next, on the monotonic clock; None: not before a login."""
        times = [login.look_at for login in self._logins.values() if _is_looked_at(login)]
        return max(min(times), self._rests_until) if times else None

    def look(self, now: float) -> None:
        """Look at the logins that have no terminal: does one have a shell all the same?"""
        if now < self._rests_until:
            return
        due = [one for one in self._logins.values() if _is_looked_at(one) and one.look_at <= now]
        if not due:
            return
        begun = time.monotonic()
        found = find_programs(due)
        ended = time.monotonic()
        self._rests_until = ended + (ended - begun) * REST
        for login in due:
            login.looks += 1
            login.look_at = now + LOOK_SECONDS[min(login.looks, len(LOOK_SECONDS) - 1)]
            before, login.suspects = login.suspects, found[login.ticket.name]
            lasting = [why for pid, why in login.suspects.items() if before.get(pid) == why]
            if lasting:
                login.reported = True
                _alert(login.ticket, lasting[0])

    def _on_end(self, pidfd: int) -> None:
        login = self._logins.pop(pidfd)
        self._unwatch(pidfd)
        os.close(pidfd)
        if login.asked:
            self._fork(lambda: settle(login.ticket))
        elif not login.reported:
            _nothing_asked(login)


def _is_started_by(application: int, pid: int) -> bool:
    """Tell whether a PAM application started a process: only root's are between the two."""
    try:
        for _ in range(tickets.MAX_ANCESTORS):
            pid, _start = tickets.parent_and_start(pid)
            if pid == application:
                return True
            if pid <= 1 or os.stat(f"/proc/{pid}").st_uid != 0:
                break
    except OSError:
        pass  # one has ended meanwhile
    return False


def _is_looked_at(login: Login) -> bool:
    return not login.has_terminal and not login.reported


def _nothing_asked(login: Login) -> None:
    ticket = login.ticket
    may_have_none = ticket.service == "sshd" or _is_on_display(ticket)
    if login.suspects or not may_have_none:
        _alert(ticket, "its shell has asked for no recording")
        return
    text = f"A login of {ticket.user} by {ticket.service} has ended, and no shell of it was seen"
    journal_protocol.log(
        {
            **fields_of(ticket, "no shell was seen"),
            "MESSAGE": text,
            "MESSAGE_ID": message_ids.NO_SHELL,
            "PRIORITY": "5",
            "SYSLOG_IDENTIFIER": entries.IDENTIFIER,
        }
    )


def _is_on_display(ticket: tickets.Ticket) -> bool:
    """Tell a desktop's login. Display managers name their display (pam_set_item(3), PAM_TTY), or,
    as GDM and SDDM do, the virtual terminal that it is on.
    """
    return ticket.tty.startswith(":") or ticket.service in DESKTOPS


def find_programs(of: list[Login]) -> dict[str, dict[int, str]]:
    """Give what should have asked for a recording, by the name of each login and the pids: for a
    person, why.
    """
    found: dict[str, dict[int, str]] = {login.ticket.name: {} for login in of}
    wanted: dict[int, dict[int, list[Login]]] = {}
    for login in of:
        ticket = login.ticket
        wanted.setdefault(ticket.uid, {}).setdefault(ticket.session, []).append(login)
    for name in os.listdir("/proc")[:MAX_PROCESSES]:
        if not name.isdigit():
            continue
        pid = int(name)
        try:
            sessions = wanted.get(os.stat(f"/proc/{name}").st_uid)
            logins = sessions.get(tickets.session_of(pid)) if sessions else None
            if not logins:
                continue
            with open(f"/proc/{name}/comm", encoding="utf-8", errors="replace") as file:
                command = file.read(64).strip()
            fields = tickets.stat_fields(pid)
        except OSError:
            continue  # it has ended
        session, terminal = int(fields[3]), int(fields[4])
        for login in logins:
            if login.asked:
                why = _why_on_terminal(login.ticket, command, terminal) if session == pid else ""
            else:
                why = _why_silent(login.ticket, command, terminal)
            if why:
                found[login.ticket.name][pid] = why
    return found


def _why_silent(ticket: tickets.Ticket, command: str, terminal: int) -> str:
    """Suspect a program of a login that has asked for nothing.

    sshd's own process has the user's uid too, and so has the one that systemd keeps to close the
    PAM session. A desktop is no shell: there only programs on a terminal count.
    """
    of_the_system = command.startswith("(sd-pa") or (
        not terminal and (_is_on_display(ticket) or command.startswith("sshd"))
    )
    return "" if of_the_system else f"{command} runs in it and has asked for no recording"


def _why_on_terminal(ticket: tickets.Ticket, command: str, terminal: int) -> str:
    """Suspect who leads a session, in a login that has asked for commands alone."""
    is_shell = command in SHELLS or command == ticket.shell.rpartition("/")[2][:COMM_LENGTH]
    if not terminal or not is_shell or running.recording_on(terminal):
        return ""
    return f"{command} runs on /dev/pts/{os.minor(terminal)}, which is not recorded"


def settle(ticket: tickets.Ticket) -> None:
    """Hold a login that is over against the journal; an alert where something is missing.

    In a process of its own: it waits for the workers' last words.
    """
    if not confirm.is_readable():
        return  # the workers have said so
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        found = recordings_of(ticket.name)
        open_ends = [rec for rec, one in found.items() if not _is_over(one)]
        # What outlives the login, in tmux say, can go on for days.
        if any(running.wait_for_worker(rec) for rec in open_ends):
            deadline = time.monotonic() + SETTLE_SECONDS
        elif (found and not open_ends) or time.monotonic() > deadline:
            break
        select.poll().poll(500)  # the journal has no event for what does not come
    if not found:
        _alert(ticket, "nothing of it is recorded")
    missing = [rec for rec, one in found.items() if not one.complete and one.reason != LOGGED]
    if missing:
        _alert(ticket, f"incomplete: {', '.join(missing)}")


def recordings_of(login: str) -> dict[str, Recording]:
    """Give the recordings of a login by their ids, as the last entry of each tells."""
    found: dict[str, Recording] = {}
    with confirm.reader_of(f"{PREFIX}LOGIN={login}") as reader:
        while reader._next():
            entry: dict[str, object] = reader._get_all()
            fields = {
                name: value.decode(errors="replace")
                for name, value in entry.items()
                if isinstance(value, bytes)  # ours stand once in an entry; others may be lists
                and (name.startswith(PREFIX) or name == "MESSAGE_ID")
            }
            if fields.get("MESSAGE_ID") not in (message_ids.START, message_ids.END):
                continue
            recording = entries.parse(fields, verified=True)
            if _is_over(recording) or recording.rec not in found:
                found[recording.rec] = recording
    return found


def _is_over(recording: Recording) -> bool:
    return recording.end is not None or recording.reason == LOGGED


def heard_of(logins: list[str]) -> dict[str, bool]:
    """Give those logins of which a login shell has asked for a recording, and whether for one of a
    terminal; all, and so, where the journal cannot be read.
    """
    if not confirm.is_readable():
        return dict.fromkeys(logins, True)
    found = {login: recordings_of(login).values() for login in logins}
    return {
        login: any(one.kind != entries.COMMAND for one in recordings)
        for login, recordings in found.items()
        if recordings
    }


def _alert(ticket: tickets.Ticket, why: str) -> None:
    journal_protocol.alert(
        message_ids.ALERT_UNSEEN,
        f"A login of {ticket.user} by {ticket.service} was to be recorded, but {why}",
        fields_of(ticket, why),
    )


def fields_of(ticket: tickets.Ticket, why: str) -> dict[str, str]:
    """Give the fields of an entry about a login; ``why`` says what is missing of it."""
    return {
        f"{PREFIX}LOGIN": ticket.name,
        f"{PREFIX}USER": ticket.user,
        f"{PREFIX}UID": str(ticket.uid),
        f"{PREFIX}SERVICE": ticket.service,
        f"{PREFIX}WHY": why,
    }
