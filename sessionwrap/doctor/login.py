"""A login of the user who was named, but for the password: what becomes of it is looked at."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from typing import IO, Any, Final, NamedTuple

from sessionwrap import accounts, decisions, handshake, login_entry, message_ids, paths, shells
from sessionwrap import tickets as ticket_files
from sessionwrap.doctor import storage
from sessionwrap.doctor.finding import Finding, bad, fine, look
from sessionwrap.errors import SessionwrapError, TicketError
from sessionwrap.readers.journal import JournalReader, Place
from sessionwrap.scope import Decision
from sessionwrap.setup import programs, steps
from sessionwrap.tickets import Ticket

SERVICE: Final = "sshd"
"""The PAM service of the session, where the host has it; otherwise the next one."""
SECONDS: Final = 40
"""How long PAM may take; a slow directory takes its time."""
MAX_SAID: Final = 1 << 16
"""Bytes, or characters, that are read of what the program that opens the session says."""
ENTRY_SECONDS: Final = 5.0
"""How long the hook's entry may take to be in the journal."""
ENVIRONMENT = {"PATH": programs.PATH, "LC_ALL": "C.UTF-8"}
"""Of the program that opens the session; nothing of the caller's."""
PREFIX: Final = "sessionwrap: "
"""What the hook's words to the user begin with."""
SPOOLS: Final = "/run"
NO_SPOOL: Final = f"{SPOOLS} is full"
SPOOL_BYTES: Final = 1 << 20
"""Bytes free below which a recording may find no room for its first bytes."""
_INSTALL_PAM: Final = (
    # Debian 12's and EPEL 9's need six and do not say so.
    "apt-get install python3-pampy python3-six"
    if programs.is_there("apt-get")
    else "dnf install python3-pam python3-six"
)
RESTART: Final = "systemctl restart sessionwrapd.socket sessionwrapd.service"


class Session(NamedTuple):
    """What PAM said: its code and the words for it, and what the modules told the user.

    ``denied`` is why the account may not log in; "" where it may.
    """

    code: int
    reason: str
    messages: tuple[str, ...]
    denied: str = ""


class Seen(NamedTuple):
    """All that was seen of the login; None: it was not there.

    ``outcome`` and ``why`` are those of the hook's entry (login_entry.py), ``recorder`` is why the
    recorder cannot record now, "" where it can.
    """

    service: str
    session: Session
    ticket: Ticket | None
    outcome: str | None
    why: str
    login_shell: str
    recorder: str


def judge(user: str, expected: Decision, seen: Seen) -> list[Finding]:
    """Hold what was seen against what the rules say of this user."""
    causes = [
        *_judge_ticket(user, expected, seen),
        *_judge_shell(user, expected, seen),
        *_judge_recorder(seen),
    ]
    findings = [*_judge_session(user, seen, causes[0].mend if causes else ""), *causes]
    if not findings:
        is_ = "would be" if seen.session.denied else "is"
        is_not = "would not be" if seen.session.denied else "is not"
        does = is_ if expected.record else is_not
        what = f"a login of {user} by {seen.service} {does} recorded: {expected.rule}"
        findings = [fine(what)]
    return [*_judge_account(user, seen), *findings]


def _judge_account(user: str, seen: Seen) -> list[Finding]:
    if not seen.session.denied:
        return []
    return [
        look(
            f"PAM's account stage refuses logins of {user} by {seen.service}: "
            f"{seen.session.denied}",
            "this user cannot log in: expired, /etc/nologin, or an access rule. Where that goes by "
            "the address of the client, a real login may pass",
        )
    ]


def _judge_session(user: str, seen: Seen, mend: str) -> list[Finding]:
    """Say what became of the login; ``mend`` is what mends its cause, "" where it is not known."""
    said = " ".join(text.strip() for text in seen.session.messages if text.startswith(PREFIX))
    mend = mend or "journalctl -t sessionwrap -p crit -n 1 --no-pager -x"
    if seen.session.code:
        said = said.removeprefix(PREFIX) or seen.session.reason
        what = f"a login of {user} by {seen.service} is refused: {said}"
        return [bad(what, "this user cannot log in", mend)]
    if seen.outcome == login_entry.PASSED:
        what = f"a login of {user} by {seen.service} goes on unrecorded: {seen.why}"
        why = "it must be recorded; the failure policy lets it pass all the same"
        return [bad(what, why, mend)]
    return []


def _judge_recorder(seen: Seen) -> list[Finding]:
    if not seen.recorder:
        return []
    why = "who must be recorded cannot log in, or is not recorded"
    mend = _for_room(seen) or RESTART
    return [bad(f"no recording can be made: {seen.recorder}", why, mend)]


def _for_room(seen: Seen) -> str:
    """Give the command that shows what fills the disk, where that is the recorder's problem."""
    disks = {handshake.NO_ROOM: storage.place_of_journal(), NO_SPOOL: SPOOLS}
    return storage.what_is_large(disks[seen.recorder]) if seen.recorder in disks else ""


def _judge_ticket(user: str, expected: Decision, seen: Seen) -> list[Finding]:
    if seen.ticket is None:
        why = "without a ticket nobody knows what was decided on the login"
        what = f"the hook wrote no ticket for the login of {user}"
        return [bad(what, why, _for_room(seen) or "sessionwrap setup")]
    if bool(seen.ticket.record) != expected.record:
        return [
            bad(
                f"the hook decided otherwise than the rules say: {seen.ticket.rule}, "
                f"not {expected.rule}",
                "hook and `sessionwrap explain` see other groups or other rules",
                f"sessionwrap explain {user}",
            )
        ]
    if seen.outcome is None:
        return [
            bad(
                f"the journal has no entry of the login of {user}",
                "logins that are not recorded, and alerts, are then lost too",
                "systemctl restart systemd-journald",
            )
        ]
    return []


def _judge_shell(user: str, expected: Decision, seen: Seen) -> list[Finding]:
    ours = shells.is_login_shell(seen.login_shell)
    if shells.is_no_login(seen.login_shell):
        return [
            look(
                f"{user} has the shell {seen.login_shell}", "nothing of such a user can be recorded"
            )
        ]
    if expected.record and not ours:
        return [
            bad(
                f"{user} has the shell {seen.login_shell}, not {paths.LOGIN_SHELL}",
                "the login shell is what starts a recording",
                "sessionwrap setup",
            )
        ]
    return []


# The host


def look_at(user: str) -> list[Finding]:
    """Open a session for ``user``, look at what happens, and close it.

    NotFoundError: no such user. SessionwrapError: it could not be tried.
    """
    if os.path.exists(steps.ROOT_DROPIN):
        # NSS answers for root as it does to sshd.
        name, _, value = steps.ROOT_VARIABLE.partition("=")
        os.environ[name] = ENVIRONMENT[name] = value
    rules = decisions.Rules()
    account = accounts.look_up(user)
    if account is None:
        accounts.find_user(user)  # says so
        raise SessionwrapError(f"{user} comes and goes: NSS has them only sometimes")
    service = SERVICE if _has(SERVICE) else "login"
    expected, _ = rules.decide(account, service)
    if rules.leaves_out(service):
        return [fine(f"logins by {service} are left out, as exclude_services says")]
    since = time.time()
    with tempfile.TemporaryFile("w+", errors="backslashreplace") as said:
        child = _open_session(service, user, said)
        try:
            seen = _see(child, account, service, since)
        finally:
            _end(child)
        if seen is None:
            said.seek(0)
            return [_not_tried(said.read(MAX_SAID))]
    return judge(user, expected, seen)


def _open_session(service: str, user: str, said: IO[str]) -> subprocess.Popen[str]:
    """Start the program that opens it; what it says on stderr goes to ``said``.

    Not to a pipe: a program that PAM started may hold that open for ever.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-m", "sessionwrap.doctor.pam_session", service, user],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=said,
        text=True,
        errors="backslashreplace",
        env=ENVIRONMENT,
        cwd="/",
    )


def _see(
    child: subprocess.Popen[str], account: accounts.Account, service: str, since: float
) -> Seen | None:
    """Look at the login while its session is open; None: the child said nothing of it."""
    told = _told(child)
    if told is None:
        child.kill()
        return None
    session = Session(told["code"], told["reason"], tuple(told["messages"]), told["denied"])
    try:
        ticket = ticket_files.find(child.pid, account.uid)
    except (OSError, TicketError):
        ticket = None
    if ticket is not None and ticket.pid != child.pid:
        ticket = None  # the login that doctor itself was called in
    outcome, why = _entry(ticket.name, since) if ticket else (None, "")
    return Seen(service, session, ticket, outcome, why, account.shell, _recorder_problem())


def _told(child: subprocess.Popen[str]) -> dict[str, Any] | None:
    """Wait for the child's line of JSON; None where it does not come, or is something else."""
    assert child.stdout
    deadline = time.monotonic() + SECONDS
    line = b""
    while not line.endswith(b"\n") and len(line) < MAX_SAID:
        left = max(0, deadline - time.monotonic())
        ready, _, _ = select.select([child.stdout], [], [], left)
        part = os.read(child.stdout.fileno(), MAX_SAID) if ready else b""
        if not part:
            break
        line += part
    try:
        told = json.loads(line)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None


def _end(child: subprocess.Popen[str]) -> None:
    """Close the session. What PAM has started and is still there is not waited for."""
    assert child.stdin
    assert child.stdout
    with contextlib.suppress(OSError):  # it has gone already
        child.stdin.close()
    try:
        child.wait(SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    child.stdout.close()


def _not_tried(said: str) -> Finding:
    last = said.strip().rpartition("\n")[2]
    why = "only a session through the real PAM stack shows that the rules hold"
    if "ModuleNotFoundError" in last:
        what = f"no session was opened: python-pam is not installed ({last})"
        return bad(what, why, _INSTALL_PAM)
    return bad(f"no session was opened: {last or 'PAM did not answer'}", why)


def _has(service: str) -> bool:
    from sessionwrap.doctor import pam

    return pam.read_stack(service) is not None


def _entry(login: str, since: float) -> tuple[str | None, str]:
    """Wait for the hook's entry of a login: what became of it and why; None: it did not come."""
    deadline = time.monotonic() + ENTRY_SECONDS
    with JournalReader(Place()) as reader:
        reader.add_match(f"MESSAGE_ID={message_ids.LOGIN}")
        reader.add_match(f"SESSIONWRAP_LOGIN={login}")
        reader.seek_realtime(since - 60)
        while not reader.step():
            left = deadline - time.monotonic()
            if left <= 0:
                return None, ""
            reader.wait(left)
        fields = reader.fields()
    return tuple(
        fields.get(f"SESSIONWRAP_{name}", b"").decode("utf-8", "replace")
        for name in ("OUTCOME", "WHY")
    )


def _recorder_problem() -> str:
    try:
        sock = handshake.connect(paths.RECORDER_SOCKET, 5)
        try:
            sock.send(handshake.PING)
            kind, text = handshake.parse_reply(sock.recv(handshake.MAX_FRAME), 0)
        finally:
            sock.close()
    except (OSError, SessionwrapError) as error:
        return f"the recorder does not answer ({error})"
    if kind != handshake.OK:
        return text
    return NO_SPOOL if shutil.disk_usage(SPOOLS).free < SPOOL_BYTES else ""
