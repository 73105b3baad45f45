"""``sessionwrap enroll``: from now on these users start the login shell."""

from __future__ import annotations

import click

from sessionwrap import enrolment, paths

EPILOG = """
\b
Example:
  sessionwrap enroll alice bob
"""


@click.command(epilog=EPILOG)
@click.argument("users", metavar="USER...", nargs=-1, required=True)
def command(users: tuple[str, ...]) -> None:
    """Make sessionwrap-shell the login shell of local users. Only root may.

    The shell that they have is noted, is what sessionwrap-shell starts, and comes back with
    `sessionwrap unenroll`. All users are checked before the first change. Whether a login is
    recorded is still for the scope rules to say.
    """
    for line in enrolment.enroll(users):
        click.echo(line)
    if enrolment.listed_as_login_shell():
        click.echo(
            f"sessionwrap: warning: /etc/shells lists {paths.LOGIN_SHELL}: "
            "users can leave it with chsh; take the line out",
            err=True,
        )
