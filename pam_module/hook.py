"""The pam_exec hook: decide at login whether it is recorded, and write the decision down.

Runs as root in every login, between the account's check and the shell: what is raised here locks
somebody out, so every way out is one of two statements in ``main``. Standard library only, and of
that as little as can be: this budget is milliseconds. What pam_exec passes: pam_exec(8).

Only when a session is opened. When one is closed, pam_exec passes the user's variables too, as
Debian's pam_env reads them from ~/.pam_environment: LD_PRELOAD among them, which is the user's
code run by root. So tickets are not removed at the close of their session but by the next hook.
"""

from __future__ import annotations

import os
import pwd
import sys
import time

from sessionwrap import (
    accounts,
    config_files,
    handshake,
    journal_protocol,
    message_ids,
    paths,
    scope,
    shells,
    tickets,
)
from sessionwrap.errors import ConfigError, LoginRefused, SessionwrapError

PAM_SUCCESS = 0
PAM_SESSION_ERR = 14
"""Exit status that refuses the login; pam_exec makes PAM_SYSTEM_ERR of any that is not 0."""

WITHOUT_TERMINAL = ("atd", "cron", "crond", "polkit-1", "systemd-user")
"""PAM services that never have a terminal: nothing of theirs is recorded or refused."""

ANSWER_SECONDS = 2
"""How long the recorder may take to say that it is there."""


class Items:
    """What pam_exec(8) passes in the environment, and who passes it."""

    __slots__ = ("application", "rhost", "service", "tty", "type", "user")

    def __init__(self, environment: os._Environ[str] | dict[str, str], application: int) -> None:
        self.type = environment.get("PAM_TYPE", "")
        self.user = environment.get("PAM_USER", "")
        self.service = environment.get("PAM_SERVICE", "")
        self.rhost = environment.get("PAM_RHOST", "")
        self.tty = environment.get("PAM_TTY", "")
        self.application = application


def main() -> None:
    """Answer one call of pam_exec and exit with its status."""
    items = Items(os.environ, os.getppid())
    try:
        run(items)
    except LoginRefused as refusal:
        print(f"sessionwrap: {refusal}", flush=True)
        status = PAM_SESSION_ERR
    except Exception as error:  # a fault of ours: said, and nobody passes unrecorded by it
        status = _fault(items, error)
    else:
        status = PAM_SUCCESS
    # Straight out: nothing to clean up, and the interpreter's own end costs milliseconds.
    os._exit(status)


def run(items: Items) -> None:
    """Do what the call asks for; raises LoginRefused where the login may not pass."""
    if items.service in WITHOUT_TERMINAL:
        return
    try:
        account = pwd.getpwnam(items.user)
    except KeyError:
        raise LoginRefused(f"there is no user {items.user!r}") from None
    if items.type == "open_session":
        open_session(items, account)
        tickets.sweep()


def open_session(items: Items, account: pwd.struct_passwd) -> None:
    """Decide, write the ticket, and make sure that recording will happen."""
    try:
        rules = scope.parse(config_files.read_scope_files())
    except ConfigError as error:
        if account.pw_uid == 0:
            journal_protocol.alert(message_ids.ALERT_CONFIG, f"{error}. root got in", {})
            return
        journal_protocol.alert(
            message_ids.ALERT_CONFIG,
            f"{error}. The login of {items.user} was refused",
            {"SESSIONWRAP_USER": items.user, "SESSIONWRAP_SERVICE": items.service},
        )
        raise LoginRefused(f"nobody but root can log in until this is mended: {error}") from error
    # The name as NSS has it: a directory may know `ALICE` as alice.
    groups = accounts.groups_of(account.pw_name, account.pw_gid)
    decision = scope.decide(rules, scope.Subject(account.pw_name, groups, items.service))
    ticket = make_ticket(items, account, decision)
    try:
        os.makedirs(paths.TICKETS_DIR, mode=0o755, exist_ok=True)
        tickets.write(ticket)
    except OSError as error:
        if decision.record and account.pw_uid != 0:
            _refuse(items, f"the decision to record cannot be written down: {error}")
    if decision.record and account.pw_uid != 0:
        problem = why_not(account)
        if problem:
            _refuse(items, problem)


def make_ticket(
    items: Items, account: pwd.struct_passwd, decision: scope.Decision
) -> tickets.Ticket:
    """Give the ticket of this login."""
    _, start = tickets.parent_and_start(items.application)
    return tickets.Ticket(
        record=decision.record,
        rule=decision.rule,
        user=account.pw_name,
        uid=account.pw_uid,
        shell=real_shell(account),
        service=items.service,
        rhost=items.rhost,
        tty=items.tty,
        policy=tickets.STRICT,
        session=tickets.session_of(os.getpid()),
        pid=items.application,
        start=start,
        time=int(time.time()),
    )


def real_shell(account: pwd.struct_passwd) -> str:
    """Give the shell that the user would have without us; "" where none works that is known.

    The login shell then looks again, falls back to /bin/sh, and says so.
    """
    if not shells.is_login_shell(account.pw_shell):
        return account.pw_shell
    try:
        shell = shells.lookup(account.pw_name) or ""
    except ConfigError:
        return ""
    return shell if shells.usable(shell) else ""


def why_not(account: pwd.struct_passwd) -> str:
    """Say why this login would not be recorded; "" where all is well."""
    if not shells.is_login_shell(account.pw_shell):
        return (
            f"the login shell of {account.pw_name} is {account.pw_shell or 'not set'} "
            f"(mended by: sessionwrap enroll {account.pw_name})"
        )
    try:
        kind, text = ask_recorder()
    except (OSError, SessionwrapError) as error:
        return f"the recorder does not answer: {error}"
    return "" if kind == handshake.OK else text


def ask_recorder(path: str = paths.RECORDER_SOCKET) -> tuple[bytes, str]:
    """Ask whether a recording can be made now: the answer's kind and reason."""
    sock = handshake.connect(path, ANSWER_SECONDS)
    try:
        sock.send(handshake.PING)
        return handshake.parse_reply(sock.recv(handshake.MAX_FRAME), 0)
    finally:
        sock.close()


def _refuse(items: Items, problem: str) -> None:
    journal_protocol.alert_not_recorded(
        f"A login of {items.user} by {items.service} was refused: it must be recorded, but "
        f"{problem}",
        items.user,
        items.service,
    )
    raise LoginRefused(f"this login must be recorded, but {problem}. Please tell an administrator.")


def _fault(items: Items, error: Exception) -> int:
    journal_protocol.alert(
        message_ids.ALERT_NOT_RECORDED,
        f"The hook failed for {items.user} ({items.type}): {type(error).__name__}: {error}",
        {"SESSIONWRAP_USER": items.user, "SESSIONWRAP_SERVICE": items.service},
    )
    if items.user == "root" or items.type != "open_session":
        return PAM_SUCCESS
    print("sessionwrap: this login cannot be recorded. Please tell an administrator.", flush=True)
    print(f"sessionwrap: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    return PAM_SESSION_ERR
