"""``sessionwrap list``: the recordings of a journal."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from itertools import islice

import click

from sessionwrap.commands import output, table
from sessionwrap.commands.options import TIMES, Where, reads_journal, say_if_unverified
from sessionwrap.model import Recording
from sessionwrap.readers.recordings import Query, Recordings
from sessionwrap.times import TimeType

EPILOG = f"""
{TIMES}\b
A narrow terminal shows fewer columns, and ids without the boot id that they begin with;
`sessionwrap play` takes those as well. Output that is not a terminal has all.
\b
--json prints one object per recording and line: rec, host, user, uid, service, rhost, tty,
kind (terminal, command or nested), command, session, start and end (ISO 8601, UTC), start_us and
end_us (microseconds since the epoch), duration (seconds), messages, reason, state
(complete, running, "no end", abnormal or logged), complete, verified, login, parent and lost
(bytes that passed unrecorded). end, end_us and duration are null where no end is stored.
\b
Examples:
  sessionwrap list --user alice --since yesterday
  sessionwrap list -n 50 --reverse
  sessionwrap list --json | jq -r 'select(.verified | not) | .rec'
"""


@click.command(name="list", epilog=EPILOG)
@click.option("--user", metavar="NAME", help="Only this user's.")
@click.option("--host", metavar="NAME", help="Only those of this host.")
@click.option("-S", "--since", type=TimeType(), metavar="TIME", help="Only those begun since.")
@click.option("-U", "--until", type=TimeType(), metavar="TIME", help="Only those begun before.")
@click.option("--verified", is_flag=True, help="Only what the recorder itself wrote.")
@click.option("-n", "--lines", type=click.IntRange(min=0), metavar="N", help="The newest N.")
@click.option("-r", "--reverse", is_flag=True, help="The newest first.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
@reads_journal
def command(
    *,
    user: str | None,
    host: str | None,
    since: int | None,
    until: int | None,
    verified: bool,
    lines: int | None,
    reverse: bool,
    as_json: bool,
    where: Where,
) -> None:
    """List recordings, the newest last.

    VERIFIED says whether the recorder itself wrote what is shown: journald stamps the writer
    of each entry. Whoever else writes one gets a line of its own, which is not verified.
    """
    found = Recordings(where.place, where.recorder, Query(user, host, since, until, verified))
    newest = islice(found, lines)
    rows: Iterable[Recording] = newest if reverse else reversed(list(newest))
    is_running = _is_elsewhere if where.place.directory else output.is_running
    printed = _print_json(rows, is_running) if as_json else _print_table(list(rows), is_running)
    _hint(printed, found.skipped, where)


def _print_json(rows: Iterable[Recording], is_running: table.IsRunning) -> int:
    printed = 0
    for printed, row in enumerate(rows, 1):  # noqa: B007 # the last number is the count
        sys.stdout.write(json.dumps(_as_json(row, is_running)) + "\n")
    return printed


def _as_json(row: Recording, is_running: table.IsRunning) -> dict[str, object]:
    return {
        "rec": row.rec,
        "host": row.host,
        "user": row.user,
        "uid": row.uid,
        "service": row.service,
        "rhost": row.rhost,
        "tty": row.tty,
        "kind": row.kind,
        "command": row.command,
        "session": row.session,
        "start": output.iso(row.start),
        "start_us": row.start,
        "end": None if row.end is None else output.iso(row.end),
        "end_us": row.end,
        "duration": None if row.end is None else (row.end - row.start) / 1e6,
        "messages": row.messages,
        "reason": row.reason,
        "state": table.state(row, is_running),
        "complete": row.complete,
        "verified": row.verified,
        "login": row.login,
        "parent": row.parent,
        "lost": row.lost,
    }


def _print_table(rows: list[Recording], is_running: table.IsRunning) -> int:
    if rows:
        on_screen = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if on_screen else None
        colour = on_screen and not os.environ.get("NO_COLOR")
        sys.stdout.writelines(_lines(table.lines(rows, is_running, width=width, colour=colour)))
    return len(rows)


def _lines(texts: Iterable[str]) -> Iterator[str]:
    return (text + "\n" for text in texts)


def _hint(printed: int, skipped: int, where: Where) -> None:
    if skipped:
        output.say(f"left out {skipped} entries that are not of the form of start and end entries")
    say_if_unverified(where)
    if not printed:
        reason = "" if os.geteuid() == 0 else " that you may read (see the group systemd-journal)"
        output.say(f"no recordings{reason}")


def _is_elsewhere(_rec: str) -> bool:
    return False
