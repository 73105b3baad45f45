"""What the auditor types while a recording is played: tlog-play's keys. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from sessionwrap.player.position import parse_position

QUIT: Final = "quit"
PAUSE: Final = "pause"
FASTER: Final = "faster"
SLOWER: Final = "slower"
NORMAL_SPEED: Final = "normal speed"
NEXT_EVENT: Final = "next event"
GO_TO: Final = "go to"


class Command(NamedTuple):
    """One command; ``position`` (ms from the start) is that of GO_TO."""

    name: str
    position: int = 0


_KEYS = {
    ord("q"): QUIT,
    0x03: QUIT,
    ord(" "): PAUSE,
    ord("p"): PAUSE,
    ord("}"): FASTER,
    ord("{"): SLOWER,
    0x7F: NORMAL_SPEED,
    0x08: NORMAL_SPEED,
    ord("."): NEXT_EVENT,
}
_ESC = 0x1B
_PASTE_END = b"\x1b[201~"
_MAX_POSITION = 32
_MAX_SEQUENCE = 64
_ESCAPE = re.compile(rb"\x1b(?:\[[ -?]*[@-~]|O[ -~])")
_MOUSE = b"\x1b[M"
_MOUSE_LENGTH = 6


class KeyParser:
    """Reads commands out of what a terminal sends.

    Arrow and function keys, the mouse and pasted text are passed over as a whole: the recording
    may have switched on that the terminal sends them, and no part of one is a key.
    """

    def __init__(self) -> None:
        self._held = b""
        self._position = b""
        self._pasting = False

    def feed(self, data: bytes) -> Iterator[Command]:
        """Give the commands that are complete with the next bytes. Ctrl-C always is one."""
        data = self._held + data
        self._held = b""
        while data:
            if self._pasting:
                data = self._skip_paste(data)
            elif data[0] == _ESC:
                data = self._skip_escape(data)
            else:
                yield from self._key(data[0])
                data = data[1:]

    def _skip_paste(self, data: bytes) -> bytes:
        _, found, rest = data.partition(_PASTE_END)
        if found:
            self._pasting = False
            return rest
        self._held = data[-(len(_PASTE_END) - 1) :]
        return b""

    def _skip_escape(self, data: bytes) -> bytes:
        self._position = b""
        if data.startswith(_MOUSE):
            if len(data) >= _MOUSE_LENGTH:
                return data[_MOUSE_LENGTH:]
            self._held = data
            return b""
        found = _ESCAPE.match(data)
        if found:
            self._pasting = found[0] == b"\x1b[200~"
            return data[found.end() :]
        # A lone Escape, or the beginning of a sequence that is still to come.
        if re.fullmatch(rb"\x1b(?:\[[ -?]*|O)?", data) and len(data) < _MAX_SEQUENCE:
            self._held = data
            return b""
        return data[1:]

    def _key(self, key: int) -> Iterator[Command]:
        if key in b"0123456789:" or (key == ord(".") and self._position):
            self._position = (self._position + bytes((key,)))[:_MAX_POSITION]
            return
        typed, self._position = self._position.decode(), b""
        if key == ord("G"):
            try:
                yield Command(GO_TO, parse_position(typed))
            except ValueError:
                return  # not a time: as if nothing was typed
        elif key in _KEYS:
            yield Command(_KEYS[key])
