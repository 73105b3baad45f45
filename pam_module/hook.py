"""The pam_exec hook: decide at login whether it is recorded, and write the decision down.

Runs as root in every login, between the account's check and the shell: what is raised here locks
somebody out, so every way out is one of two statements in ``main``. Standard library only, and of
that as little as can be: this budget is milliseconds. What pam_exec passes: pam_exec(8).

Only when a session is opened. When one is closed, pam_exec passes the user's variables too, as
Debian's pam_env reads them from ~/.pam_environment: LD_PRELOAD among them, which is the user's
code run by root. So the recorder is told of each login that is to be recorded, and looks at what
became of it when the PAM application has ended; tickets are removed by later hooks.
"""

from __future__ import annotations

import os
import sys
import time

from sessionwrap import (
    accounts,
    decisions,
    handshake,
    journal_protocol,
    login_entry,
    message_ids,
    overlay_question,
    paths,
    scope,
    shells,
    tickets,
    unheard,
)
from sessionwrap.errors import LoginRefused, SessionwrapError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pam_module.call import Items

PAM_SUCCESS = 0
PAM_SESSION_ERR = 14
"""Exit status that refuses the login; pam_exec makes PAM_SYSTEM_ERR of any that is not 0."""

ANSWER_SECONDS = 2
"""How long the recorder may take to say that it is there."""
GROUP_SECONDS = 12
"""How long the groups of a user may take: longer than the overlay waits for them. Whom it could
see to be out of scope must not be in scope here, for want of the groups."""
DIVERSIONS = (b"SYSTEMD_BYPASS_USERDB=", b"SYSTEMD_ONLY_USERDB=")
"""Variables with which the caller of su or sudo makes NSS pass the overlay over."""
PTS_MAJOR = 136
"""Major number of the terminals that recordings run on (devices.txt of the kernel)."""
MAX_ENVIRONMENT = 8 << 20
"""Bytes; more is more than execve(2) takes (6 MiB: three quarters of the largest stack limit)."""


def main(items: Items) -> None:
    """Answer one call of pam_exec and exit with its status."""
    try:
        _tidy()
        open_session(items)
    except LoginRefused as refusal:
        print(f"sessionwrap: {refusal}", flush=True)
        status = PAM_SESSION_ERR
    except Exception as error:  # a fault of ours: said, and nobody passes unrecorded by it
        status = _fault(items, error)
    else:
        status = PAM_SUCCESS
    if items.look_up:
        items.look_up.end()
    # Straight out: nothing to clean up, and the interpreter's own end costs milliseconds.
    os._exit(status)


def _tidy() -> None:
    """Do what earlier logins have left over."""
    try:
        tickets.sweep()
        if unheard.waits() and not _recorder_problem(handshake.PING):
            unheard.send()
    except OSError as error:
        # Nothing of this login's: a later one does it.
        print(f"sessionwrap: {error}", file=sys.stderr, flush=True)


def open_session(items: Items) -> None:
    """Decide, write the ticket, and make sure that recording will happen.

    Raises LoginRefused where the login may not pass.
    """
    rules = decisions.Rules()
    if rules.mistake is not None:
        _alert_mistake(items, str(rules.mistake))
    if rules.leaves_out(items.service):
        return
    try:
        look_up = items.look_up or accounts.LookUp(items.user)  # again, where it was not possible
        account = look_up.answer(GROUP_SECONDS if rules.may_want_groups() else 0)
    except OSError as error:
        _pass_unknown(items, *rules.decide_unknown(items.user), str(error))
        return
    if account is None:
        # PAM services may know users that NSS does not.
        _pass_unknown(items, *rules.decide_unknown(items.user), f"there is no user {items.user!r}")
        return
    decision, policy = rules.decide(account, items.service)
    if items.becomes_root and decision.record and _is_within_recording(items.application):
        decision = scope.Decision(False, "root in a terminal that is being recorded", "", 0)
    ticket = make_ticket(items, account, decision, policy)
    problem = ""
    try:
        os.makedirs(paths.TICKETS_DIR, mode=0o755, exist_ok=True)
        tickets.write(ticket)
    except OSError as error:
        problem = f"the decision to record cannot be written down: {error}"
    if not decision.record:
        outcome = login_entry.OUT_OF_SCOPE
    else:
        problem = problem or why_not(items, account, ticket)
        outcome = _outcome(ticket, problem)
    _log(login_entry.fields(ticket, outcome, problem), problem)
    if outcome == login_entry.REFUSED:
        raise LoginRefused(
            f"this login must be recorded, but {problem}. Please tell an administrator."
        )


def _pass_unknown(items: Items, decision: scope.Decision, policy: str, problem: str) -> None:
    """Let a user pass of whom nothing but the name is known, if the policy lets them."""
    if not decision.record:
        return
    what = "was refused" if policy == scope.STRICT else "goes on, as the failure policy says"
    text = f"A login of {items.user} by {items.service} {what}: {problem}"
    _log(journal_protocol.not_recorded_fields(text, items.user, items.service))
    if policy == scope.STRICT:
        raise LoginRefused(f"{problem}. Please tell an administrator.")


def _alert_mistake(items: Items, mistake: str) -> None:
    text = (
        f"{mistake}. Until this is mended everybody is recorded but root and system accounts. "
        f"This was the login of {items.user}"
    )
    fields = {"SESSIONWRAP_USER": items.user, "SESSIONWRAP_SERVICE": items.service}
    _log(journal_protocol.alert_fields(message_ids.ALERT_CONFIG, text, fields))


def make_ticket(
    items: Items, account: accounts.Account, decision: scope.Decision, policy: str
) -> tickets.Ticket:
    """Give the ticket of this login."""
    _, start = tickets.parent_and_start(items.application)
    return tickets.Ticket(
        record=decision.record,
        rule=decision.rule,
        user=account.name,
        uid=account.uid,
        shell=shells.real_shell(account.name, account.base_shell),
        service=items.service,
        rhost=items.rhost,
        tty=items.tty,
        policy=policy,
        session=tickets.session_of(os.getpid()),
        pid=items.application,
        start=start,
        time=int(time.time()),
    )


def why_not(items: Items, account: accounts.Account, ticket: tickets.Ticket) -> str:
    """Say why this login would not be recorded; "" where all is well."""
    if shells.is_no_login(account.shell):
        return ""  # nobody gets a shell here
    return _launch_problem(items, account, ticket) or _recorder_problem(
        handshake.login(ticket.name)
    )


def _launch_problem(items: Items, account: accounts.Account, ticket: tickets.Ticket) -> str:
    """Say why the login program would not start our login shell."""
    if not shells.is_login_shell(account.shell):
        return (
            f"the login shell of {account.name} is {account.shell or 'not set'}, not "
            f"{paths.LOGIN_SHELL} (`sessionwrap doctor {account.name}` finds out why)"
        )
    if accounts.has_cache():
        return (
            "nscd caches users, and may have told the login program another shell "
            "(`enable-cache passwd no` in /etc/nscd.conf)"
        )
    if shells.is_login_shell(account.base_shell):
        return ""  # no overlay comes into it
    return _overlay_problem(items, account, ticket)


def _overlay_problem(items: Items, account: accounts.Account, ticket: tickets.Ticket) -> str:
    """Say why the login program may have been told another shell than ours."""
    if _is_diverted(ticket.pid):
        return "the caller's environment passes the user database over (SYSTEMD_BYPASS_USERDB)"
    try:
        # A directory may know the user by more names than one: any was asked for, perhaps.
        names = {account.name, items.user}
        if not all(overlay_question.is_sure(name, ticket.start) for name in names):
            return "the user database was changed or restarted meanwhile: log in once more"
        if items.service not in tickets.OF_CALLER:
            return ""
        if overlay_question.is_sure(account.name, ticket.start, pid=ticket.pid):
            return ""
    except OSError as error:
        return f"the user database does not answer: {error}"
    by = "by its caller, who sets its limits and can stop it?"
    return f"{items.service} was kept from asking the user database, or from its answer ({by})"


def _recorder_problem(question: bytes) -> str:
    """Say why no recording can be made, or none that is kept; "" where all is well.

    ``question`` is a PING, or tells the recorder of this login.
    """
    try:
        kind, text = ask_recorder(question)
    except (OSError, SessionwrapError) as error:
        return f"the recorder does not answer: {error}"
    return "" if kind == handshake.OK else text


def _is_diverted(application: int) -> bool:
    """Tell whether the PAM application looks users up past the overlay.

    su and sudo run with the variables of their caller, and systemd's NSS module heeds these two
    even there.
    """
    with open(f"/proc/{application}/environ", "rb") as file:
        environment = file.read(MAX_ENVIRONMENT)
    return len(environment) == MAX_ENVIRONMENT or any(
        entry.startswith(DIVERSIONS) for entry in environment.split(b"\0")
    )


def _is_within_recording(pid: int) -> bool:
    """Tell whether a process or one that it comes from is on a terminal that is being recorded."""
    for _ in range(tickets.MAX_ANCESTORS):
        device = tickets.terminal_of(pid)
        if os.major(device) == PTS_MAJOR:
            link = f"{paths.SPOOL_DIR}/pts-{os.minor(device)}"  # recorder/running.py makes them
            if os.path.islink(link):
                return True
        pid, _start = tickets.parent_and_start(pid)
        if pid <= 1:
            break
    return False


def ask_recorder(question: bytes, path: str = paths.RECORDER_SOCKET) -> tuple[bytes, str]:
    """Give the recorder's answer: kind, and the reason where it is REFUSED."""
    sock = handshake.connect(path, ANSWER_SECONDS)
    try:
        sock.send(question)
        return handshake.parse_reply(sock.recv(handshake.MAX_FRAME), 0)
    finally:
        sock.close()


def _outcome(ticket: tickets.Ticket, problem: str) -> str:
    """Say what becomes of a login that is to be recorded; raise the alert where there is one."""
    if not problem:
        return login_entry.RECORDED
    refused = ticket.policy == scope.STRICT
    what = "was refused" if refused else "goes on unrecorded, as the failure policy says"
    text = (
        f"A login of {ticket.user} by {ticket.service} {what}: it must be recorded, but {problem}"
    )
    fields = journal_protocol.not_recorded_fields(text, ticket.user, ticket.service, ticket.name)
    _log(fields, problem)
    return login_entry.REFUSED if refused else login_entry.PASSED


def _log(fields: dict[str, str], problem: str = "") -> None:
    """Log an entry, and once more when the journal is back, if it does not keep it now."""
    try:
        unheard.log(fields, is_kept=problem not in (handshake.NOT_KEPT, handshake.NO_ROOM))
    except OSError as error:
        print(f"sessionwrap: {fields['MESSAGE']}: {error}", file=sys.stderr, flush=True)


def _fault(items: Items, error: Exception) -> int:
    text = f"The hook failed for {items.user}: {type(error).__name__}: {error}"
    _log(journal_protocol.not_recorded_fields(text, items.user, items.service))
    if not _must_be_recorded(items.user):
        return PAM_SUCCESS
    print("sessionwrap: this login cannot be recorded. Please tell an administrator.", flush=True)
    print(f"sessionwrap: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    return PAM_SESSION_ERR


def _must_be_recorded(user: str) -> bool:
    """Tell whether the rules forbid an unrecorded login, as far as the name says; in doubt so."""
    try:
        decision, policy = decisions.Rules().decide_unknown(user)
    except Exception:  # the fault may be there
        return user != "root"
    return decision.record and policy == scope.STRICT
