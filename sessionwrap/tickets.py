"""Tickets: what the hook decided for a login, in /run/sessionwrap/tickets.

This file owns their names, their text and who may write them. A ticket is found by what the
kernel says of a process: the PAM application among its ancestors, or its audit session. Every
user may read them (they say what who(1) says); root writes them. Standard library only and few
imports: every login waits for this.
"""

from __future__ import annotations

import posix as os  # what the module `os` is made of, which takes most of a millisecond more
from _stat import S_ISREG

from sessionwrap import paths
from sessionwrap.errors import TicketError

OF_CALLER = ("su", "su-l", "sudo", "sudo-i")
"""PAM services of programs that anybody starts, with limits and quotas of their own: these can be
such that NSS cannot ask the overlay, and the program starts the user's own shell."""
MAX_BYTES = 8192
UNSET_SESSION = 4294967295
"""What /proc/PID/sessionid says where pam_loginuid never ran (proc(5))."""
MAX_ANCESTORS = 64
MAX_SWEPT = 32

_TEXTS = ("rule", "user", "shell", "service", "rhost", "tty", "policy")
_NUMBERS = ("record", "uid", "session", "pid", "start", "time")


class Ticket:
    """The decision for one login.

    ``record`` says whether, ``rule`` by which rule; ``shell`` is the user's real shell ("" when
    unknown); ``pid`` and ``start`` (clock ticks after boot, field 22 of /proc/PID/stat) name the
    PAM application; ``time`` is in seconds since the epoch.
    """

    __slots__ = (*_TEXTS, *_NUMBERS)

    record: int
    rule: str
    user: str
    uid: int
    shell: str
    service: str
    rhost: str
    tty: str
    policy: str
    session: int
    pid: int
    start: int
    time: int

    def __init__(self, **values: str | int) -> None:
        for name in _TEXTS:
            setattr(self, name, _printable(str(values[name])))
        for name in _NUMBERS:
            setattr(self, name, int(values[name]))

    @property
    def name(self) -> str:
        """What the login is called: the name of the ticket's file."""
        return _name(self.session, self.uid, self.pid, self.start)

    def __repr__(self) -> str:
        return f"Ticket({', '.join(f'{n}={getattr(self, n)!r}' for n in self.__slots__)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ticket) and serialize(self) == serialize(other)

    __hash__ = None  # type: ignore[assignment]  # compared in tests, never a key


def serialize(ticket: Ticket) -> bytes:
    """Give the text of a ticket: a line `name=value` for each value."""
    lines = [f"{name}={getattr(ticket, name)}" for name in (*_TEXTS, *_NUMBERS)]
    return "\n".join([*lines, ""]).encode("utf-8", "surrogateescape")


def parse(data: bytes) -> Ticket:
    """Read the text of a ticket; TicketError where it is not exactly one."""
    if len(data) > MAX_BYTES:
        raise TicketError(f"a ticket has {len(data)} bytes, expected {MAX_BYTES} at most")
    values: dict[str, str | int] = {}
    for line in data.decode("utf-8", "surrogateescape").split("\n")[:-1]:
        name, equals, value = line.partition("=")
        if not equals or name in values:
            raise TicketError(f"a ticket has the line {line[:80]!r}, expected name=value, once")
        if name in _NUMBERS:
            if not (value.isascii() and value.isdigit() and len(value) < 20):
                raise TicketError(f"{name} is {value[:40]!r} in a ticket, expected a number")
            values[name] = int(value)
        else:
            values[name] = value
    if sorted(values) != sorted((*_TEXTS, *_NUMBERS)):
        raise TicketError(f"a ticket has the names {sorted(values)}")
    return Ticket(**values)


def write(ticket: Ticket, directory: str = paths.TICKETS_DIR) -> None:
    """Put a ticket in its place, whole or not at all; OSError where that fails."""
    temporary = f"{directory}/.{os.getpid()}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    try:
        os.fchmod(fd, 0o644)  # whatever umask the login program left us
        data = serialize(ticket)
        if len(data) > MAX_BYTES or os.write(fd, data) != len(data):
            raise OSError(f"a ticket of {len(data)} bytes could not be written")
        os.rename(temporary, f"{directory}/{ticket.name}")
    except OSError:
        os.unlink(temporary)
        raise
    finally:
        os.close(fd)


def sweep(directory: str = paths.TICKETS_DIR) -> None:
    """Remove tickets of logins that are over: their PAM application has gone.

    A few at a time, beginning anywhere, so that a login never waits for thousands; in time all
    are seen. A ticket that was left is never mistaken for another's: the kernel gives no audit
    session id twice, and a pid with a start time only once.
    """
    names = os.listdir(directory)
    first = os.getpid() % (len(names) or 1)
    for name in (names[first:] + names[:first])[:MAX_SWEPT]:
        path = f"{directory}/{name}"
        try:
            ticket = read(path)
            if ticket is not None and not is_running(ticket):
                os.unlink(path)
        except (OSError, TicketError):
            continue  # another hook was faster, or is just writing it


def find(pid: int, uid: int, directory: str = paths.TICKETS_DIR) -> Ticket | None:
    """Find the ticket of the login that process ``pid`` of user ``uid`` belongs to.

    That of the nearest PAM application among its ancestors (`su` inside a login is nearer than
    sshd); for a process whose ancestors have gone, as tmux', the first of its audit session.
    None where the hook never saw that login. TicketError where the file is not what the hook
    writes: then nobody can say what was decided.
    """
    session = session_of(pid)
    for _ in range(MAX_ANCESTORS):
        try:
            parent, start = parent_and_start(pid)
        except OSError:
            break  # the process has gone, and its ancestors are not known
        ticket = read(f"{directory}/{_name(session, uid, pid, start)}")
        if ticket is not None:
            return ticket
        if parent <= 1:
            break
        pid = parent
    return None if session == UNSET_SESSION else _first_of_session(session, uid, directory)


def _first_of_session(session: int, uid: int, directory: str) -> Ticket | None:
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return None  # the hook has never run
    prefix = f"{session}-{uid}-"
    found = [read(f"{directory}/{name}") for name in names if name.startswith(prefix)]
    return min(
        (ticket for ticket in found if ticket), key=lambda ticket: ticket.start, default=None
    )


def session_of(pid: int) -> int:
    """Give the audit session of a process; UNSET_SESSION without one or without audit."""
    try:
        return int(_slurp(f"/proc/{pid}/sessionid", 32))
    except (OSError, ValueError):
        return UNSET_SESSION


def parent_and_start(pid: int) -> tuple[int, int]:
    """Give (parent's pid, start time in clock ticks) of a process: proc(5), fields 4 and 22.

    OSError when there is no such process.
    """
    fields = stat_fields(pid)
    return int(fields[1]), int(fields[19])


def terminal_of(pid: int) -> int:
    """Give the device number of a process' controlling terminal, 0 without one: proc(5), field 7.

    OSError when there is no such process.
    """
    return int(stat_fields(pid)[4])


def stat_fields(pid: int) -> list[bytes]:
    """Give the fields of /proc/PID/stat from the third on (proc(5)). OSError."""
    # The command's name, in brackets, may hold anything: fields count from the last bracket.
    return _slurp(f"/proc/{pid}/stat", 4096).rpartition(b")")[2].split()


def is_running(ticket: Ticket) -> bool:
    """Tell whether the PAM application of a login still runs."""
    try:
        return parent_and_start(ticket.pid)[1] == ticket.start
    except OSError:
        return False


def _name(session: int, uid: int, pid: int, start: int) -> str:
    return f"{session}-{uid}-{pid}-{start}"


def read(path: str) -> Ticket | None:
    """Read a ticket's file; None where there is none, TicketError where it is not root's."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TicketError(f"{path}: {error.strerror}") from error
    try:
        status = os.fstat(fd)
        if not S_ISREG(status.st_mode) or status.st_uid != 0:
            raise TicketError(f"{path} is not a file of root's")
        return parse(os.read(fd, MAX_BYTES + 1))
    finally:
        os.close(fd)


def _slurp(path: str, limit: int) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, limit)
    finally:
        os.close(fd)


def _printable(text: str) -> str:
    # A remote host name or tty comes from outside: no line break may become a second line.
    return "".join(c if c.isprintable() or "\udc80" <= c <= "\udcff" else "?" for c in text)[:1024]
