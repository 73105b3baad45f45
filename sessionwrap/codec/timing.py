"""The timing string of tlog's message format: records of a mark and one or two numbers.

``+N`` waits N ms; ``<N`` and ``>N`` take N characters of the input's and output's text;
``[C/B`` and ``]C/B`` skip C replacement characters there and take B bytes of the binary;
``=WxH`` is a window size in cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from sessionwrap.errors import MessageError

DELAY = "+"
WINDOW = "="
TEXT_INPUT = "<"
TEXT_OUTPUT = ">"
BINARY_INPUT = "["
BINARY_OUTPUT = "]"

MAX_WINSIZE = 65535
"""The largest width and height: unsigned short of struct winsize, ioctl_tty(2)."""
MAX_MS = 10**14
"""The longest delay and the latest position, in milliseconds: some 3000 years."""

# At most 15 digits: no number is long to convert, none overflows anything.
_RECORD = re.compile(
    r"(?P<single>[+<>])([0-9]{1,15})|(?P<binary>[\[\]])([0-9]{1,15})/([0-9]{1,15})"
    r"|(?P<window>=)([0-9]{1,5})x([0-9]{1,5})"
)


class Record(NamedTuple):
    """One record; ``second`` is 0 where the mark takes one number."""

    mark: str
    first: int
    second: int


def parse(timing: str) -> Iterator[Record]:
    """Read the records of a timing string; MessageError at the first that is wrong."""
    position = 0
    while position < len(timing):
        match = _RECORD.match(timing, position)
        if match is None:
            raise invalid(f"{timing[position : position + 20]!r} at {position} is not a record")
        yield _record(match)
        position = match.end()


def delay(milliseconds: int) -> bytes:
    """Write a delay record."""
    return b"+%d" % milliseconds


def winsize(width: int, height: int) -> bytes:
    """Write a window record; ValueError where no terminal can have that size."""
    if not (0 <= width <= MAX_WINSIZE and 0 <= height <= MAX_WINSIZE):
        raise ValueError(f"a window of {width}x{height} cells")
    return b"=%dx%d" % (width, height)


def invalid(problem: str) -> MessageError:
    """Give the error for a timing string; scripts look for its words."""
    return MessageError(f'Message has invalid "timing" field value: {problem}')


def _record(match: re.Match[str]) -> Record:
    if match["single"]:
        record = Record(match["single"], int(match[2]), 0)
        if record.mark == DELAY and record.first > MAX_MS:
            raise invalid(f"{match[0]!r} is too long a delay")
        return record
    if match["binary"]:
        return Record(match["binary"], int(match[4]), int(match[5]))
    record = Record(WINDOW, int(match[7]), int(match[8]))
    if max(record.first, record.second) > MAX_WINSIZE:
        raise invalid(f"{match[0]!r} is not a window size")
    return record
