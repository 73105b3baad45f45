"""Which modes of the terminal a recording has left changed, and how to set them back. Pure."""

from __future__ import annotations

import re

_PRIVATE = re.compile(rb"\x1b\[\?([0-9;]{1,64})([hl])")
_CUT = re.compile(rb"\x1b(?:\[(?:\?[0-9;]{0,64})?)?\Z")
_SHOWN_BY_DEFAULT = {7, 25}
"""Set in a terminal as it is switched on: autowrap, the cursor."""
_RESET = {1, 5, 6, 9, 45, 47, 66, 69, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 1047, 1049}
_RESET |= {2004, 2026} | _SHOWN_BY_DEFAULT
_PLAIN = (
    b"\x1b7\x1b[r\x1b8"  # the whole screen scrolls; that moves the cursor, so back with it
    b"\x1b[0m\x1b(B\x0f"  # no attributes, ASCII
    b"\x1b[4l\x1b[20l\x1b>"  # replace, not insert; Enter is CR; keypad sends digits
)


class ModeTracker:
    """Watches the output of a recording for the modes that it changes."""

    def __init__(self) -> None:
        self._changed: set[int] = set()
        self._tail = b""
        self._escapes = False

    def feed(self, output: bytes) -> None:
        """Watch the next bytes."""
        if b"\x1b" not in output and not self._tail:
            return
        self._escapes = True
        output = self._tail + output
        for numbers, action in _PRIVATE.findall(output):
            for number in numbers.split(b";"):
                self._set(int(number or b"0"), is_set=action == b"h")
        cut = _CUT.search(output)
        self._tail = cut[0] if cut else b""

    def _set(self, mode: int, *, is_set: bool) -> None:
        if is_set == (mode in _SHOWN_BY_DEFAULT):
            self._changed.discard(mode)
        elif mode in _RESET:
            self._changed.add(mode)

    def reset(self) -> bytes:
        """Give the bytes that set back what was changed; none where nothing was."""
        if not self._escapes:
            return b""
        # The alternate screen last: leaving it restores the cursor as it was before.
        modes = sorted(self._changed)
        changed = b"".join(
            b"\x1b[?%d%c" % (mode, b"h" if mode in _SHOWN_BY_DEFAULT else b"l") for mode in modes
        )
        return _PLAIN + changed
