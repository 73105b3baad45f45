"""``sessionwrap unsetup``: take back what setup did."""

from __future__ import annotations

import click

from sessionwrap.commands.setup import carry_out, require_root
from sessionwrap.setup.steps import steps

EPILOG = """
\b
Examples:
  sessionwrap unsetup --dry-run
  sessionwrap unsetup
"""


@click.command(epilog=EPILOG)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def command(dry_run: bool) -> None:
    """Take back what `sessionwrap setup` did: everybody logs in as before.

    Recordings that run go on to their end, and what was recorded stays.
    """
    require_root()
    pairs = [(step.plan_undo, step.undo) for step in reversed(steps())]
    if not carry_out(pairs, dry_run=dry_run):
        click.echo("nothing of setup is in place")
