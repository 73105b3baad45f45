"""Options that several verbs have: which journal is read, and whom it is believed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Final, NamedTuple

import click

from sessionwrap.commands import output
from sessionwrap.readers import journal
from sessionwrap.readers.journal import Place

TIMES: Final = """\
\b
Times are as journalctl takes them: "2026-11-23 10:00:00", "10:00", yesterday, -1h,
"2 hours ago", @1395716396.
"""
"""Of the help of a verb with --since and --until."""


class Where(NamedTuple):
    """The journal that the options name, and the uid of the recorder that wrote it.

    ``recorder`` is None where this machine has none, ``given`` what --recorder-uid says of it.
    """

    place: Place
    recorder: int | None
    given: int | None


def reads_journal(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb -D, -N and --recorder-uid; it gets them as ``where``."""

    @click.option(
        "-D", "--directory", metavar="DIR", help="Read the journal files of this directory."
    )
    @click.option("-N", "--namespace", metavar="NAME", help="Read this journal namespace.")
    @click.option(
        "--recorder-uid",
        type=click.IntRange(min=0),
        metavar="UID",
        help="The recorder's uid on the host that the journal comes from.",
    )
    @functools.wraps(function)
    def verb(
        *arguments: object,
        directory: str | None,
        namespace: str | None,
        recorder_uid: int | None,
        **others: object,
    ) -> None:
        if directory and namespace:
            raise click.UsageError("expected --directory or --namespace, not both")
        recorder = journal.recorder_uid() if recorder_uid is None else recorder_uid
        where = Where(Place(directory, namespace), recorder, recorder_uid)
        function(*arguments, where=where, **others)

    return verb


def say_if_unverified(where: Where) -> None:
    """Say that nobody is believed where nobody knows the recorder."""
    if where.recorder is None:
        output.say("no recorder on this machine: nothing can be verified (see --recorder-uid)")
