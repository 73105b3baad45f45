"""The table of ``sessionwrap list``. Pure: recordings in, lines out.

Its texts come from the journal, and anybody may have written them: each is made visible.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from sessionwrap.entries import COMMAND, LOGGED
from sessionwrap.model import Recording
from sessionwrap.player.safety import visible

_GAP = "  "
_LONGEST = 40
"""Cells of a text in a terminal; a longer one is cut."""
_BOLD, _RED, _YELLOW, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[33m", "\x1b[0m"
_STATE_COLOURS = {"no end": _YELLOW, "abnormal": _RED}
_VERIFIED_COLOURS = {"NO": _RED}


class Column(NamedTuple):
    """One column; ``rank`` says when it is dropped in a narrow terminal: the highest first."""

    title: str
    text: Callable[[Recording], str]
    rank: int = 0
    is_number: bool = False
    is_whole: bool = False
    colours: Mapping[str, str] = MappingProxyType({})


IsRunning = Callable[[str], bool]
"""Whether the process that makes the recording of an id is there."""


def state(row: Recording, is_running: IsRunning) -> str:
    """Say how the recording stands; ``is_running`` tells of a recording without an end."""
    if row.reason == LOGGED:
        return "logged"
    if row.end is None:
        return "running" if is_running(row.rec) else "no end"
    return "complete" if row.complete else "abnormal"


def lines(
    rows: list[Recording], is_running: IsRunning, *, width: int | None, colour: bool
) -> Iterator[str]:
    """Give the heading and one line per recording, without line ends.

    ``width`` is that of the terminal in cells: columns are dropped, and texts and times cut, to
    fit. None is any width, and nothing is left out.
    """
    columns = _columns(rows, is_running, full=width is None)
    cells = [
        [_cell(column.text(row), cut=width is not None and not column.is_whole) for row in rows]
        for column in columns
    ]
    widths = [
        max(map(cell_count, [column.title, *texts]))
        for column, texts in zip(columns, cells, strict=True)
    ]
    kept = _fit(columns, widths, width)
    heading = _GAP.join(_pad(columns[i], columns[i].title, widths[i]) for i in kept).rstrip()
    yield f"{_BOLD}{heading}{_PLAIN}" if colour else heading
    for number in range(len(rows)):
        yield _GAP.join(
            _paint(columns[i], cells[i][number], widths[i], colour=colour) for i in kept
        ).rstrip()


def _columns(rows: list[Recording], is_running: IsRunning, *, full: bool) -> list[Column]:
    precision = "seconds" if full else "minutes"
    names = Counter(_short(row.rec) for row in rows)

    def rec(row: Recording) -> str:
        short = _short(row.rec)
        return row.rec if full or names[short] > 1 else short

    return [
        Column("START", lambda row: local_time(row.start, precision)),
        Column("END", lambda row: _end(row, precision), rank=4),
        Column("DURATION", _duration, is_number=True),
        Column("USER", lambda row: row.user),
        Column("HOST", lambda row: row.host, rank=2),
        Column("SERVICE", lambda row: row.service, rank=3),
        Column("FROM", lambda row: row.rhost or "-", rank=1),
        Column("ON", lambda row: row.command if row.kind == COMMAND else row.tty, rank=6),
        Column("MESSAGES", lambda row: str(row.messages), rank=5, is_number=True),
        Column("STATE", lambda row: state(row, is_running), colours=_STATE_COLOURS),
        Column("VERIFIED", lambda row: "yes" if row.verified else "NO", colours=_VERIFIED_COLOURS),
        Column("REC", rec, is_whole=True),
    ]


def _short(rec: str) -> str:
    """Give the id without the boot id, which is the same for all of one boot."""
    boot, _, rest = rec.partition("-")
    return rest if len(boot) == 32 and rest else rec


def _end(row: Recording, precision: str) -> str:
    return "-" if row.end is None else local_time(row.end, precision)


def local_time(microseconds: int, precision: str) -> str:
    """Give a time in the local zone; ``precision`` is datetime.isoformat's timespec."""
    try:
        moment = datetime.fromtimestamp(microseconds // 1_000_000)  # the local time zone
    except (OverflowError, ValueError, OSError):
        return "?"
    return moment.isoformat(" ", precision)


def _duration(row: Recording) -> str:
    if row.end is None:
        return "-"
    seconds, _ = divmod(max(0, row.end - row.start), 1_000_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _cell(text: str, *, cut: bool) -> str:
    text = visible(text)
    return text[: _LONGEST - 1] + "…" if cut and len(text) > _LONGEST else text


def cell_count(text: str) -> int:
    """Give how many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
        for char in text
    )


def _pad(column: Column, text: str, width: int) -> str:
    space = " " * (width - cell_count(text))
    return space + text if column.is_number else text + space


def _paint(column: Column, text: str, width: int, *, colour: bool) -> str:
    code = column.colours.get(text) if colour else None
    padded = _pad(column, text, width)
    return f"{code}{padded}{_PLAIN}" if code else padded


def _fit(columns: list[Column], widths: list[int], width: int | None) -> list[int]:
    """Give the numbers of the columns that fit, dropping the least telling first."""
    kept = list(range(len(columns)))
    while width is not None and sum(widths[i] for i in kept) + len(_GAP) * (len(kept) - 1) > width:
        worst = max(kept, key=lambda i: columns[i].rank)
        if not columns[worst].rank:
            break
        kept.remove(worst)
    return kept
