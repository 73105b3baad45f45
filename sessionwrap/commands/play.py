"""``sessionwrap play``: replay a recording in the terminal."""

from __future__ import annotations

import locale
import os
from typing import Any

import click

from sessionwrap.commands.options import Where, reads_journal
from sessionwrap.player.clock import FASTEST, SLOWEST
from sessionwrap.player.player import Options, Player
from sessionwrap.player.position import parse_position
from sessionwrap.player.safety import visible
from sessionwrap.player.terminal import Terminal
from sessionwrap.readers.file import FileMessages
from sessionwrap.readers.journal import JournalMessages, resolve
from sessionwrap.readers.source import OnSkip, Source

EPILOG = """
\b
Keys:
  space, p   pause, go on          .         next event
  }, {       twice, half as fast   TIME G    go to TIME, as [[H:]M:]S[.frac]
  Backspace  as fast as recorded   q, ^C     quit
\b
What could make a terminal answer or do something is left out of what is shown: titles,
clipboard, queries, hyperlinks, images. --raw shows it all. Output that is not a terminal
gets the bytes as they were recorded.
\b
Examples:
  sessionwrap play 1f3a-2c81d
  sessionwrap play --speed 4 --max-idle 1 1f3a-2c81d
  sessionwrap play --follow --goto end 1f3a-2c81d
  sessionwrap play -i recording.json --goto 1:30
"""
_UTF8 = frozenset({"UTF-8", "UTF8", "ANSI_X3.4-1968", "US-ASCII", "646"})
"""Character sets that mean a terminal of UTF-8: with none set (LANG=C) it is one all the same."""


class PositionType(click.ParamType):
    """The type of --goto; gives milliseconds from the start of the recording."""

    name = "position"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read the option's value; a usage error where it is not a position."""
        if isinstance(value, int):
            return value
        try:
            return parse_position(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command(epilog=EPILOG)
@click.argument("rec", required=False)
@click.option("-i", "--input", "path", metavar="FILE", help="Read this file, not the journal.")
@click.option("-m", "--match", metavar="REC", help="Which recording of the file; else the first.")
@click.option(
    "-s",
    "--speed",
    type=click.FloatRange(SLOWEST, FASTEST),
    default=1.0,
    help="Play so much faster than recorded (1/16 to 16).",
)
@click.option(
    "-g",
    "--goto",
    type=PositionType(),
    default=0,
    metavar="POSITION",
    help="Begin at start, end or [[H:]M:]S[.frac].",
)
@click.option("-f", "--follow", is_flag=True, help="Wait for more until the recording ends.")
@click.option(
    "--max-idle",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Cut longer pauses down to this.",
)
@click.option("-p", "--paused", is_flag=True, help="Begin paused.")
@click.option("--lax", is_flag=True, help="Leave out what is damaged, and say so.")
@click.option("--raw", is_flag=True, help="Show every recorded byte, the dangerous ones too.")
@reads_journal
@click.pass_context
def command(ctx: click.Context, rec: str | None, where: Where, **options: Any) -> None:
    """Replay recording REC: its id, or the beginning or ending of it that fits no other."""
    _check_usage(rec, options)
    on_skip: OnSkip | None = _say if options["lax"] else None
    follow = options["follow"]
    source = (
        FileMessages(options["path"], options["match"], follow=follow, on_skip=on_skip)
        if options["path"]
        else _journal(rec or "", where, follow=follow, on_skip=on_skip)
    )
    how = Options(
        speed=options["speed"],
        goto=options["goto"],
        max_idle=None if options["max_idle"] is None else int(options["max_idle"] * 1000),
        paused=options["paused"],
        raw=options["raw"],
        utf8=_terminal_is_utf8(),
    )
    terminal = Terminal()
    try:
        with terminal:
            player = Player(source, terminal, how, _say, on_skip)
            player.run()
    finally:
        source.close()
    if not player.has_played:
        _say("nothing is stored of what this recording showed")
    if isinstance(source, FileMessages) and source.others and not options["match"]:
        _say(f"played {source.rec}; the file holds others too: choose with -m REC")
    if terminal.signalled:
        ctx.exit(128 + terminal.signalled)


def _check_usage(rec: str | None, options: dict[str, Any]) -> None:
    if (rec is None) == (options["path"] is None):
        raise click.UsageError("expected either REC or -i FILE")
    if options["match"] and not options["path"]:
        raise click.UsageError("-m chooses a recording of a file: it needs -i FILE")
    if options["paused"] and not (os.isatty(0) and os.isatty(1)):
        raise click.UsageError("--paused needs a terminal: a key goes on")


def _journal(text: str, where: Where, *, follow: bool, on_skip: OnSkip | None) -> Source:
    rec = resolve(where.place, text, where.recorder)
    source = JournalMessages(where.place, rec, where.recorder, follow=follow, on_skip=on_skip)
    if not source.verified:
        who = "an unknown user" if source.writer is None else f"uid {source.writer}"
        _say(f"warning: not verified: {who} wrote this recording, not the recorder")
    return source


def _terminal_is_utf8() -> bool:
    try:
        locale.setlocale(locale.LC_CTYPE, "")
    except locale.Error:
        return True  # a locale that is not installed says nothing about the terminal
    return locale.nl_langinfo(locale.CODESET).upper() in _UTF8


def _say(text: str) -> None:
    # The terminal may be raw: then the line needs its carriage return.
    end = "\r\n" if os.isatty(2) else "\n"
    click.echo(f"sessionwrap: {visible(text)}{end}", err=True, nl=False)
