"""What several verbs print alike."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from sessionwrap.tickets import parent_and_start


def say(text: str) -> None:
    """Print a remark of ours to stderr."""
    click.echo(f"sessionwrap: {text}", err=True)


def iso(microseconds: int) -> str | None:
    """Give a time (microseconds since the epoch) in ISO 8601, UTC; None where no calendar has it:
    anybody can write an entry that says such a time.
    """
    try:
        moment = datetime.fromtimestamp(microseconds // 1_000_000, UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return moment.replace(microsecond=microseconds % 1_000_000).isoformat()


def is_running(rec: str) -> bool:
    """Tell whether the process that the id of a recording names (pid, start time) is there."""
    try:
        _, pid, start = rec.split("-")
        return parent_and_start(int(pid, 16))[1] == int(start, 16)
    except (OSError, ValueError):
        return False
