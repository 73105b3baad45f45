"""``sessionwrap setup``: all that makes the rules hold on this host."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence

import click

from sessionwrap.errors import AccessError, SessionwrapError
from sessionwrap.setup.steps import alone, steps

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
    if not carry_out([(step.plan, step.do) for step in steps()], dry_run=dry_run):
        click.echo("everything is in place")


def carry_out(
    pairs: Sequence[tuple[Callable[[], list[str]], Callable[[], None]]], *, dry_run: bool
) -> bool:
    """Say what each plan says, and do it unless that is all; tell whether there was anything."""
    said = False
    with contextlib.nullcontext() if dry_run else alone():
        for plan, _ in pairs:
            plan()  # what cannot even be planned fails before anything has changed
        for plan, do in pairs:
            sentences = plan()
            for sentence in sentences:
                click.echo(sentence)
                said = True
            try:
                if sentences and not dry_run:
                    do()
            except OSError as error:
                raise SessionwrapError(f"{error.filename}: {error.strerror}") from error
    return said


def require_root() -> None:
    """Raise AccessError unless root calls."""
    if os.geteuid() != 0:
        raise AccessError("only root may do this")
