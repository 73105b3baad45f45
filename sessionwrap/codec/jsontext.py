"""Text as it stands in a message's JSON: escaped by tlog's rules, and cut where it is full.

tlog writes ``\\" \\\\ \\b \\f \\n \\r \\t``, other control characters and DEL as ``\\u00XX`` and
all else as raw UTF-8. Works on bytes: replacing each character that needs it is several times
faster than the json module's encoder, since most are absent and a search for one costs little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_SHORT = {b"\b": b"\\b", b"\f": b"\\f", b"\n": b"\\n", b"\r": b"\\r", b"\t": b"\\t"}
_CONTROLS = [bytes([code]) for code in (*range(0x20), 0x7F)]
Escapes = Sequence[tuple[bytes, bytes]]
# The backslash comes first: the others bring new ones.
ESCAPES: Escapes = (
    (b"\\", b"\\\\"),
    (b'"', b'\\"'),
    *((raw, _SHORT.get(raw, b"\\u%04x" % ord(raw))) for raw in _CONTROLS),
)
_BY_CODE = [(ord(pair[0]), pair) for pair in ESCAPES]
_BACKSLASH = ord("\\")
_LONGEST = 6
"""Bytes of the longest escape, ``\\u00XX``."""


class Cut(NamedTuple):
    """How much of a text fits: in characters, in bytes, and in bytes when escaped."""

    chars: int
    raw: int
    escaped: int


def escapes_in(data: bytes) -> Escapes:
    """Pick the escapes that ``data`` needs: asked once for much, each ``escape`` is cheaper."""
    return [pair for code, pair in _BY_CODE if code in data]


def escape(data: bytes, escapes: Escapes = ESCAPES) -> bytes:
    """Give valid UTF-8 as it stands between the quotes of a JSON string."""
    for raw, escaped in escapes:
        data = data.replace(raw, escaped)
    return data


def fit(data: bytes, escaped: bytes, room: int) -> Cut:
    """Find the longest beginning of ``data`` whose escaped form takes at most ``room`` bytes.

    ``data`` is valid UTF-8, ``escaped`` what ``escape`` gives for it. Never cuts a character
    or an escape in two.
    """
    end = len(escaped) if room >= len(escaped) else _boundary(escaped, max(room, 0))
    raw = end - _growth_before(data, escaped, end)
    chars = raw if data.isascii() else len(data[:raw].decode())
    return Cut(chars, raw, end)


def _boundary(escaped: bytes, end: int) -> int:
    start = escaped.rfind(b"\\", max(0, end - _LONGEST + 1), end)
    if start >= 0:
        first = start
        while first and escaped[first - 1] == _BACKSLASH:
            first -= 1
        length = _LONGEST if escaped.startswith(b"u", start + 1) else 2
        # Of an even number of backslashes the last one ends an escaped backslash.
        if (start - first) % 2 == 0 and start + length > end:
            return start
    while end and escaped[end] & 0xC0 == 0x80:
        end -= 1
    return end


def _growth_before(data: bytes, escaped: bytes, end: int) -> int:
    if end <= len(escaped) // 2:
        return _growth(escaped[:end])
    return len(escaped) - len(data) - _growth(escaped[end:])


def _growth(escaped: bytes) -> int:
    # Each escape stands for one byte: \\ and \n add one, \u00XX adds five.
    unpaired = escaped.replace(b"\\\\", b".")
    pairs = len(escaped) - len(unpaired)
    return pairs + unpaired.count(b"\\") + 4 * unpaired.count(b"\\u")
