"""The values that travel between the parts. Imports nothing of ours.

Not imported by the login path (the hook and the login shell): typing alone costs them
milliseconds. Their values are plain classes in ``scope`` and ``tickets``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

INPUT: Final = 1
"""What the user typed."""
OUTPUT: Final = 2
"""What the terminal showed."""
WINDOW: Final = 3
"""The window has a new size; ``data`` is what ``pack_winsize`` gives."""


class Event(NamedTuple):
    """One thing that happened at a recorded terminal.

    ``time`` is in whole milliseconds from the first event of the recording, ``kind`` one of
    INPUT, OUTPUT, WINDOW, ``data`` the raw bytes (for WINDOW: b"WIDTHxHEIGHT" in cells).
    """

    time: int
    kind: int
    data: bytes


class Winsize(NamedTuple):
    """The size of a terminal in character cells (struct winsize of tty_ioctl(4))."""

    width: int
    height: int


def pack_winsize(size: Winsize) -> bytes:
    """Give the data of a WINDOW event: b"80x24"."""
    return b"%dx%d" % size


def unpack_winsize(data: bytes) -> Winsize:
    """Read the data of a WINDOW event; ValueError where it is not one."""
    width, height = data.split(b"x")
    return Winsize(int(width), int(height))


class Head(NamedTuple):
    """What every message of one recording says alike (tlog's format 2.3).

    ``session`` is the kernel's audit session id (4294967295 when unset), ``start`` the wall
    clock at the first event in milliseconds since the epoch.
    """

    host: str
    rec: str
    user: str
    term: str
    session: int
    start: int


class Message(NamedTuple):
    """One stored message of tlog's format 2.x, as parsed.

    ``pos`` is in milliseconds from the first event of the recording, ``time`` the wall clock in
    milliseconds since the epoch (three decimals of seconds in the JSON).
    """

    ver: str
    host: str
    rec: str
    user: str
    term: str
    session: int
    id: int
    pos: int
    time: int
    timing: str
    in_txt: str
    in_bin: tuple[int, ...]
    out_txt: str
    out_bin: tuple[int, ...]


class Recording(NamedTuple):
    """One recording as its start and end entries tell it; what ``list`` shows.

    Times are microseconds since the epoch; ``end`` is None while it runs or where no end was
    written. ``complete`` is true when an orderly end was written and nothing was ``lost`` (bytes
    that passed unrecorded, as the failure policy allowed). ``login`` names the ticket of the login
    ("" without one), ``parent`` the recording in whose terminal this one runs. ``verified`` is
    true when the recorder's own uid wrote the entries (journald stamps ``_UID`` from the kernel).
    """

    rec: str
    host: str
    user: str
    uid: int
    service: str
    rhost: str
    tty: str
    kind: str
    command: str
    session: int
    start: int
    end: int | None
    messages: int
    reason: str
    complete: bool
    verified: bool
    login: str = ""
    parent: str = ""
    lost: int = 0
