"""The text of ``sessionwrap report``. Pure: a report in, lines out.

Its texts come from the journal, and some of them anybody may have written: each is made visible.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from sessionwrap import message_ids, reporting
from sessionwrap.commands.table import cell_count, local_time
from sessionwrap.entries import COMMAND, IDENTIFIER, NESTED
from sessionwrap.logins import Alert
from sessionwrap.player.safety import visible
from sessionwrap.reporting import Report, Row

LONGEST: Final = 400
"""Characters of a text; --json has all of it."""
_BOLD, _RED, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[0m"

FEW: Final = 5
"""Texts that are shown of one writer who may have made them up."""
_KNOWN = frozenset(value for name, value in vars(message_ids).items() if name.isupper())

LABELS: Final = {
    reporting.COMPLETE: "recorded",
    reporting.RUNNING: "being recorded",
    reporting.OPEN: "to be recorded, no shell yet",
    reporting.NO_SHELL: "to be recorded, had no shell",
    reporting.OUT_OF_SCOPE: "out of scope",
    reporting.INCOMPLETE: "recorded, but not all of it",
    reporting.UNSEEN: "to be recorded, but unseen",
    reporting.PASSED: "let pass unrecorded",
    reporting.REFUSED: "refused",
}
_OTHER: Final = {
    "alerts": "alerts",
    "unverified": "entries that are not verified",
    "skipped": "entries or files not readable",
}
MADE_UP: Final = "not verified: users may have made these up"


class Options(NamedTuple):
    """What the commands to look further need to read the same journal."""

    sessionwrap: tuple[str, ...] = ()
    journalctl: tuple[str, ...] = ()


class Style(NamedTuple):
    """``width`` is in cells, None for any; ``name_of`` gives the name of a uid, or ""."""

    width: int | None
    colour: bool
    verbose: bool
    options: Options
    name_of: Callable[[int], str]


def lines(found: Report, until: int, begins: int | None, style: Style) -> Iterator[str]:
    """Give the report: a summary, then what is to be looked at; without line ends."""
    yield from _heading(found, until, begins, style)
    yield from _summary(found, style)
    yield from _logins(found, style, look=True)
    verified = [alert for alert in found.alerts if alert.verified]
    if verified:
        yield from _title(_OTHER["alerts"], style)
        for alert in verified:
            yield from _alert(alert, style)
    made_up = [alert for alert in found.alerts if not alert.verified]
    if made_up:
        yield from _title(MADE_UP, style)
        for uid in dict.fromkeys(alert.uid for alert in made_up):
            yield from _unverified(uid, [alert for alert in made_up if alert.uid == uid], style)
    if style.verbose:
        yield from _logins(found, style, look=False)


def _logins(found: Report, style: Style, *, look: bool) -> Iterator[str]:
    for category in reporting.CATEGORIES:
        rows = [row for row in found.rows if row.category == category and row.look == look]
        if rows:
            yield from _title(LABELS[category], style)
            for row in rows:
                yield from _row(row, style)


def _heading(found: Report, until: int, begins: int | None, style: Style) -> Iterator[str]:
    since = found.period.since
    answer = "Something to look at." if found.look else "Nothing to look at."
    period = f"{local_time(since, 'minutes')} to {local_time(until, 'minutes')}:"
    count = len(found.rows)
    text = f"{period} {count} login{'' if count == 1 else 's'}. {answer}"
    yield from _wrapped(text, "", style, code=_BOLD)
    if begins is None or begins > since:
        when = "is empty" if begins is None else f"begins at {local_time(begins, 'minutes')}"
        yield from _wrapped(f"The journal {when}: what was before is not known.", "", style)


def _summary(found: Report, style: Style) -> Iterator[str]:
    counts = found.counts()
    labels = LABELS | _OTHER
    shown = [name for name in labels if counts[name]]
    if shown:
        yield ""
    for name in shown:
        look = name in reporting.TO_LOOK_AT or name in _OTHER
        text = f"{'!' if look else ' '} {counts[name]:5}  {labels[name]}"
        yield f"{_RED}{text}{_PLAIN}" if style.colour and look else text
    if counts["without_login"]:
        yield ""
        text = f"No hook saw the login of {counts['without_login']} of them."
        yield from _wrapped(text, "", style)


def _title(label: str, style: Style) -> Iterator[str]:
    yield ""
    yield from _wrapped(label[0].upper() + label[1:], "", style, code=_BOLD)


def _row(row: Row, style: Style) -> Iterator[str]:
    place = f" from {row.rhost}" if row.rhost else f" on {row.tty}" if row.tty else ""
    no_hook = "" if row.key.name else " (no hook saw the login)"
    when, service = local_time(row.time, "minutes"), row.service or "no service"
    who = f"{when}  {row.user}  {service}{place}{no_hook}"
    yield from _wrapped(f"{who}: {row.why}" if row.why else who, "  ", style)
    for alert in row.alerts:
        if not any(why and why in alert.message for why in row.why.split(reporting.AND)):
            yield from _wrapped(f"{_when(alert)}  alert: {alert.message}", "    ", style)
    for recording in row.recordings:
        if recording.kind == COMMAND:
            yield from _wrapped(f"ran: {recording.command or '(a shell)'}", "    ", style)
        elif recording.kind == NESTED:
            yield from _wrapped(f"within recording {recording.parent}", "    ", style)
        else:
            yield _command(("sessionwrap", "play", *style.options.sessionwrap, recording.rec))
    if row.key.name and (row.look or not row.recordings):
        match = f"SESSIONWRAP_LOGIN={row.key.name}"
        yield _command(("journalctl", *style.options.journalctl, match))


def _alert(alert: Alert, style: Style) -> Iterator[str]:
    yield from _wrapped(f"{_when(alert)}  {alert.message}", "  ", style)
    words = ["journalctl", *style.options.journalctl, "-x", "-t", IDENTIFIER, "-p", "crit"]
    if alert.key.name:
        words.append(f"SESSIONWRAP_LOGIN={alert.key.name}")
    elif alert.message_id:
        words.append(f"MESSAGE_ID={alert.message_id}")
    yield _command(tuple(words))


def _unverified(uid: int | None, told: list[Alert], style: Style) -> Iterator[str]:
    """Give what one writer wrote: a few lines of it, whoever fills the journal."""
    name = "" if uid is None else style.name_of(uid)
    writer = "others" if uid is None else f"uid {uid}"
    number = sum(alert.number for alert in told)
    some = [alert for alert in told if alert.message][:FEW]
    shown = f"wrote {number}, beginning with" if number > len(some) else "wrote"
    yield from _wrapped(f"{writer}{f' ({name})' if name else ''} {shown}:", "  ", style)
    for alert in some:
        yield from _wrapped(f"{_when(alert)}  {alert.message}", "    ", style)
    ids = {alert.message_id for alert in told}
    what = [f"MESSAGE_ID={one}" for one in sorted(ids)] if ids <= _KNOWN else ["-t", IDENTIFIER]
    match = () if uid is None else (f"_UID={uid}",)
    yield _command(("journalctl", *style.options.journalctl, *what, *match))


def _when(alert: Alert) -> str:
    first, last = local_time(alert.first, "minutes"), local_time(alert.last, "minutes")
    return first if alert.number == 1 else f"{first}, {alert.number} times until {last}"


def _command(words: tuple[str, ...]) -> str:
    """Give a line to copy: it is not broken, whatever the width."""
    return f"    {visible(shlex.join(words))}"


def _wrapped(text: str, indent: str, style: Style, *, code: str = "") -> Iterator[str]:
    """Break a text at its spaces, and further lines hang; a word that is too long is broken."""
    text = visible(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")
    for line in _broken(indent + text, indent + "    ", style.width):
        yield f"{code}{line}{_PLAIN}" if code and style.colour else line


def _broken(text: str, hanging: str, width: int | None) -> Iterator[str]:
    if width is not None:
        width = max(width, 20)
        while cell_count(text) > width:
            fits = next(n for n in range(len(text), 0, -1) if cell_count(text[:n]) <= width)
            space = text.rfind(" ", len(text) - len(text.lstrip()), fits + 1)
            cut = space if space > 0 else fits
            yield text[:cut].rstrip()
            text = hanging + text[cut:].lstrip()
    yield text
