"""``sessionwrap doctor``: is everything in place that makes the rules hold."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections import Counter
from typing import Final

import click

from sessionwrap import accounts
from sessionwrap.commands.setup import require_root
from sessionwrap.doctor import checks
from sessionwrap.doctor.finding import BAD, FINE, LOOK, Finding
from sessionwrap.player.safety import visible

EPILOG = """
\b
Examples:
  sessionwrap doctor alice
  sessionwrap doctor
  sessionwrap doctor alice --json | jq -r '.findings[] | select(.severity == "bad") | .mend'
"""

WIDTH: Final = 100
"""Cells of a line at most, a narrower terminal has its own; commands to copy are not broken."""
_COLOURS: Final = {BAD: "red", LOOK: "yellow", FINE: "green"}


@click.command(epilog=EPILOG)
@click.argument("user", required=False, default="")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def command(ctx: click.Context, user: str, as_json: bool) -> None:
    """Look whether everything is in place that makes the rules hold on this host.

    For USER a session is opened through the real PAM stack, looked at, and closed again; nobody
    has to log in, and no password is asked for. Nothing is changed. Each finding is `bad`
    (mend it), `look` (look at it and decide) or `fine`, with why it matters and the command
    that mends it.

    The exit status is 0 when nothing is bad, else 1.
    """
    require_root()
    if user:
        accounts.find_user(user)
    found = []
    for topic, findings in checks.run(user):
        found += [(topic, finding) for finding in findings]
        if findings and not as_json:
            _show(topic, findings)
    counts = Counter(finding.severity for _, finding in found)
    if as_json:
        entries = [{"topic": topic, **finding._asdict()} for topic, finding in found]
        click.echo(json.dumps({"user": user, "bad": counts[BAD], "findings": entries}))
    else:
        click.echo(_summary(counts))
    ctx.exit(1 if counts[BAD] else 0)


def _show(topic: str, findings: list[Finding]) -> None:
    click.secho(topic, bold=True)
    for finding in findings:
        mark = click.style(f"{finding.severity:4}", fg=_COLOURS[finding.severity])
        click.echo(f"  {mark}  {_wrapped(visible(finding.what))}")
        if finding.why:
            click.echo(f"        why:  {_wrapped(visible(finding.why), 14)}")
        if finding.mend:
            # On one line, however long: it is there to be copied.
            click.echo(f"        mend: {visible(finding.mend)}")
    sys.stdout.flush()


def _wrapped(text: str, indent: int = 8) -> str:
    width = max(40, min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)) - indent
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)


def _summary(counts: Counter[str]) -> str:
    if not counts[BAD] and not counts[LOOK]:
        return "everything is in place"
    bad = f"{counts[BAD]} bad" if counts[BAD] else "nothing is bad"
    return f"{bad}; {counts[LOOK]} to look at" if counts[LOOK] else bad
