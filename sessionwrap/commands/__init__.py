"""The command line. A verb is one module with a click command called ``command``, and one line
in ``VERBS``; its module is imported when the verb is called, not before.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any, Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from sessionwrap.errors import SessionwrapError

PROGRAM: Final = "sessionwrap"
COMPLETE_VARIABLE: Final = "_SESSIONWRAP_COMPLETE"

VERBS: Final[dict[str, tuple[str, str]]] = {
    "list": ("list_recordings", "List recordings."),
    "report": ("report", "Say what became of each login, and what is to be looked at."),
    "play": ("play", "Replay a recording."),
    "explain": ("explain", "Say whether a user is recorded, and by which rule."),
    "check": ("check", "Check the configuration files."),
    "doctor": ("doctor", "Look whether everything is in place."),
    "setup": ("setup", "Make the rules hold on this host."),
    "unsetup": ("unsetup", "Take back what setup did."),
    "enroll": ("enroll", "Make sessionwrap-shell the shell of local users."),
    "unenroll": ("unenroll", "Give local users their own shell back."),
}

EPILOG: Final = """
\b
Examples:
  sessionwrap list --user alice --since yesterday
  sessionwrap play REC
  sessionwrap explain alice
  sessionwrap check
  sessionwrap doctor alice
\b
Exit status:
  0    done
  1    could not be done
  2    wrong usage, or a configuration file is not right
  3    a stored message is not of the format
  4    no such recording, file or user
  5    the caller may not do this
  130  interrupted
  141  the reader of the output went away
\b
Completion for the shell, here for bash (zsh and fish alike):
  sessionwrap --completion bash > /etc/bash_completion.d/sessionwrap
"""


class VerbGroup(click.Group):
    """Imports a verb when it is called, and turns our errors into one line and an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 # click's signature
        return list(VERBS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 # click's signature
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"{__name__}.{VERBS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 # click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(verb, text) for verb, (_, text) in VERBS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        verbs = [
            CompletionItem(verb, help=text)
            for verb, (_, text) in VERBS.items()
            if verb.startswith(incomplete)
        ]
        return verbs + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except SessionwrapError as error:
            click.echo(f"{PROGRAM}: {error}", err=True)
            ctx.exit(error.exit_code)
        except BrokenPipeError:
            # The interpreter flushes once more when it ends: that must not fail again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(141)
        except KeyboardInterrupt:
            ctx.exit(130)
        return result


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from importlib import metadata

    try:
        version = metadata.version(PROGRAM)
    except metadata.PackageNotFoundError:
        version = "(a checkout, not installed)"
    click.echo(f"{PROGRAM} {version}")
    ctx.exit()


def _print_completion(ctx: click.Context, _: click.Parameter, shell: str | None) -> None:
    completion = get_completion_class(shell) if shell else None
    if completion is None or ctx.resilient_parsing:
        return
    click.echo(completion(cli, {}, PROGRAM, COMPLETE_VARIABLE).source())
    ctx.exit()


@click.group(
    cls=VerbGroup,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--completion",
    type=click.Choice(["bash", "zsh", "fish"]),
    expose_value=False,
    is_eager=True,
    callback=_print_completion,
    help="Print the completion of this shell and exit.",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Print the version and exit.",
)
def cli() -> None:
    """Record terminal sessions: list them, replay them, say who is recorded.

    `sessionwrap COMMAND --help` tells more of each command.
    """


def main() -> None:
    """Run the command line and end the process with its exit status."""
    cli(prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE)
