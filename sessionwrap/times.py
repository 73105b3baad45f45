"""Times as journalctl accepts them for --since and --until (systemd.time(7)).

``systemd-analyze timestamp`` reads them: the very parser of journalctl on this machine. It
takes some milliseconds, and is asked only where a time was given.
"""

from __future__ import annotations

import os
import re
import subprocess

import click

_MAX_LENGTH = 100
_SECONDS = 10
_UNIX = re.compile(r"UNIX seconds: @(\d{1,12})(?:\.(\d{1,6}))?\s")
_EXPECTED = (
    'expected a time as journalctl takes it: "2026-11-23 10:00:00", "10:00", "yesterday", '
    '"-1h", "2 hours ago", "@1395716396"'
)


def parse_time(text: str) -> int:
    """Give the microseconds since the epoch that ``text`` means now, in the local time zone.

    ValueError says what was expected; RuntimeError where systemd-analyze cannot be run.
    """
    if len(text) > _MAX_LENGTH or not text.isprintable():
        raise ValueError(_EXPECTED)
    try:
        done = subprocess.run(
            ["systemd-analyze", "timestamp", "--", text],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env={**os.environ, "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"},
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"systemd-analyze, which reads times, did not run: {error}") from error
    found = _UNIX.search(done.stdout) if done.returncode == 0 else None
    if found is None:
        raise ValueError(_EXPECTED)
    seconds, fraction = found.groups(default="")
    return int(seconds) * 1_000_000 + int(fraction.ljust(6, "0"))


class TimeType(click.ParamType):
    """The type of an option that takes a time; gives microseconds since the epoch."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Read the option's value; a usage error where it is not a time."""
        if isinstance(value, int):
            return value
        try:
            return parse_time(str(value))
        except ValueError as error:
            self.fail(f"{str(value)[:_MAX_LENGTH]!r}: {error}", param, ctx)
        except RuntimeError as error:
            self.fail(str(error), param, ctx)
