"""``sessionwrap report``: what became of each login, and what is to be looked at."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import sys
import time

import click

from sessionwrap.commands import output, report_text, table
from sessionwrap.commands.options import TIMES, Where, reads_journal, say_if_unverified
from sessionwrap.errors import MessageError, SessionwrapError
from sessionwrap.logins import Alert
from sessionwrap.model import Recording
from sessionwrap.readers import journal
from sessionwrap.readers.logins import Logins
from sessionwrap.reporting import Period, Present, Report, Row, report
from sessionwrap.tickets import parent_and_start
from sessionwrap.times import TimeType

SOMETHING_TO_LOOK_AT = 1
"""The exit status."""
DEFAULT_SECONDS = 24 * 3600
SETTLE_SECONDS = 1.0
"""How long the last entries of a process that has just gone may take into the journal."""
_FOREVER = 1 << 63
_BOOT_ID = "/proc/sys/kernel/random/boot_id"

EPILOG = f"""
\b
To be looked at are logins with an incomplete recording, those that should have been recorded
and were not, went on unrecorded or were refused, alerts, and entries that cannot be read.
A login is in the period if it, or a recording of it, began or ended in it.
{TIMES}\b
--json prints one object; sessionwrap-report(1) tells its fields.
\b
Exit status:
  0  nothing to look at
  1  something to look at
  2  wrong usage
  3  the journal cannot be read on: no report
  4  no such journal
  5  the caller may not read the journal: no report
\b
Examples:
  sessionwrap report
  sessionwrap report --since yesterday --until today
  sessionwrap report --user alice --since -7d --verbose
  sessionwrap report --json | jq -r '.logins[] | select(.look) | .user'
"""


@click.command(epilog=EPILOG)
@click.option(
    "-S",
    "--since",
    type=TimeType(),
    metavar="TIME",
    help="The start of the period.  [default: 24 hours ago]",
)
@click.option("-U", "--until", type=TimeType(), metavar="TIME", help="Its end.  [default: now]")
@click.option("--user", metavar="NAME", help="Only this user's logins, and alerts about them.")
@click.option("-v", "--verbose", is_flag=True, help="List the logins that are fine too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@reads_journal
@click.pass_context
def command(
    ctx: click.Context,
    *,
    since: int | None,
    until: int | None,
    user: str | None,
    verbose: bool,
    as_json: bool,
    where: Where,
) -> None:
    """Say what became of each login of the last 24 hours, and what is to be looked at.

    A login is recorded, or it is said why not. Only what root and the recorder wrote is taken for
    a fact; alerts of anybody else are shown as not verified.
    """
    now = time.time_ns() // 1000
    period = Period(
        now - DEFAULT_SECONDS * 1_000_000 if since is None else since,
        _FOREVER if until is None else until,
    )
    if period.since >= period.until:
        raise click.UsageError("expected --since to be before --until")
    elsewhere = bool(where.place.directory)
    try:
        logins = Logins(where.place, where.recorder, period)
        found = _settled(logins, user, where.place, "" if elsewhere else _this_boot())
        begins = logins.begins()
    except SessionwrapError as error:
        if error.exit_code != SOMETHING_TO_LOOK_AT:
            raise
        raise MessageError(str(error)) from error
    say_if_unverified(where)
    until = now if until is None else until
    if as_json:
        sys.stdout.write(json.dumps(_as_json(found, until, begins)) + "\n")
    else:
        on_screen = sys.stdout.isatty()
        style = report_text.Style(
            width=shutil.get_terminal_size().columns if on_screen else None,
            colour=on_screen and not os.environ.get("NO_COLOR"),
            verbose=verbose,
            options=_options(where),
            name_of=_nobody if elsewhere else _name_of,
        )
        lines = report_text.lines(found, until, begins, style)
        sys.stdout.writelines(line + "\n" for line in lines)
    ctx.exit(SOMETHING_TO_LOOK_AT if found.look else 0)


def _settled(logins: Logins, user: str | None, place: journal.Place, boot: str) -> Report:
    """Read and report, again while a process has gone whose last entry may be on its way.

    ``boot`` is the one whose processes can be asked for, "" where the journal is of elsewhere.
    """

    def state(of_boot: str, recording: Recording) -> str:
        return table.state(recording, lambda rec: of_boot == boot and output.is_running(rec))

    present = Present(state, lambda key: key.boot == boot and _is_open(key.name))

    def read() -> Report:
        logins.read()
        return report(logins.facts(), logins.period, present, user)

    found = read()
    deadline = time.monotonic() + SETTLE_SECONDS
    with journal.JournalReader(place) as watch:
        while any(row.unsure and row.key.boot == boot for row in found.rows):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            watch.wait(left)
            found = read()
    return found


def _this_boot() -> str:
    with open(_BOOT_ID, encoding="ascii") as file:
        return file.read().strip().replace("-", "")


def _is_open(name: str) -> bool:
    """Tell whether the PAM application that a login's name ends with is there."""
    try:
        _, _, pid, start = name.split("-")
        return parent_and_start(int(pid))[1] == int(start)
    except (OSError, ValueError):
        return False


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return ""


def _nobody(_uid: int) -> str:
    return ""


def _options(where: Where) -> report_text.Options:
    """Give the options that the commands to look further need to read the same journal."""
    directory, namespace = where.place
    both = [*(("-D", directory) if directory else ())]
    ours = [*both, *(("-N", namespace) if namespace else ())]
    theirs = [*both, *((f"--namespace={namespace}",) if namespace else ())]
    if where.given is not None:
        ours += ["--recorder-uid", str(where.given)]
    return report_text.Options(tuple(ours), tuple(theirs))


def _as_json(found: Report, until: int, begins: int | None) -> dict[str, object]:
    return {
        "since": output.iso(found.period.since),
        "since_us": found.period.since,
        "until": output.iso(until),
        "until_us": until,
        "journal_begins": None if begins is None else output.iso(begins),
        "journal_begins_us": begins,
        "look": found.look,
        "counts": found.counts(),
        "logins": [_login(row) for row in found.rows],
        "alerts": [_alert(alert) for alert in found.alerts],
    }


def _login(row: Row) -> dict[str, object]:
    return {
        "login": row.key.name,
        "boot": row.key.boot,
        "time": output.iso(row.time),
        "time_us": row.time,
        "user": row.user,
        "uid": row.uid,
        "service": row.service,
        "rhost": row.rhost,
        "tty": row.tty,
        "session": row.session,
        "outcome": row.outcome,
        "rule": row.rule,
        "policy": row.policy,
        "category": row.category,
        "look": row.look,
        "why": row.why,
        "recordings": [_recording(*one) for one in zip(row.recordings, row.states, strict=True)],
        "alerts": [_alert(alert) for alert in row.alerts],
    }


def _recording(recording: Recording, state: str) -> dict[str, object]:
    return {
        "rec": recording.rec,
        "kind": recording.kind,
        "command": recording.command,
        "parent": recording.parent,
        "start": output.iso(recording.start),
        "start_us": recording.start,
        "end": None if recording.end is None else output.iso(recording.end),
        "end_us": recording.end,
        "reason": recording.reason,
        "state": state,
        "complete": recording.complete,
        "lost": recording.lost,
    }


def _alert(alert: Alert) -> dict[str, object]:
    return {
        "verified": alert.verified,
        "writer_uid": alert.uid,
        "message_id": alert.message_id,
        "message": alert.message,
        "user": alert.user,
        "service": alert.service,
        "login": alert.key.name,
        "boot": alert.key.boot,
        "rec": alert.rec,
        "count": alert.number,
        "first": output.iso(alert.first),
        "first_us": alert.first,
        "last": output.iso(alert.last),
        "last_us": alert.last,
    }
