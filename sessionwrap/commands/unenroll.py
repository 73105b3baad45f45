"""``sessionwrap unenroll``: these users start their own shell again."""

from __future__ import annotations

import click

from sessionwrap import enrolment

EPILOG = """
\b
Example:
  sessionwrap unenroll alice bob
"""


@click.command(epilog=EPILOG)
@click.argument("users", metavar="USER...", nargs=-1, required=True)
def command(users: tuple[str, ...]) -> None:
    """Give local users exactly the shell back that they had before `enroll`. Only root may.

    A shell that was set by other means meanwhile stays.
    """
    for line in enrolment.unenroll(users):
        click.echo(line)
