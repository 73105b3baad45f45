"""``sessionwrap setup``: all that makes the rules hold on this host."""

from __future__ import annotations

import os

import click

from sessionwrap.errors import AccessError
from sessionwrap.setup.steps import steps

EPILOG = """
\b
Examples:
  sessionwrap setup --dry-run
  sessionwrap setup
  sessionwrap doctor alice
"""


@click.command(epilog=EPILOG)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def command(dry_run: bool) -> None:
    """Make the rules hold on this host: services, nsswitch.conf, the PAM hook.

    What is in place already is left alone, so this can be run again. `sessionwrap unsetup`
    takes back exactly what was done.
    """
    require_root()
    done = False
    for step in steps():
        for sentence in step.plan():
            click.echo(sentence)
            done = True
        if not dry_run and step.plan():
            step.do()
    if not done:
        click.echo("everything is in place")


def require_root() -> None:
    """Raise AccessError unless root calls."""
    if os.geteuid() != 0:
        raise AccessError("only root may do this")
