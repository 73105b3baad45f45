"""Terminal bytes as runs of valid and of invalid UTF-8.

Valid is what table 3-7 of the Unicode Standard lists. An invalid sequence is a maximal subpart
(section 3.9 there: the longest beginning of a valid sequence, or else a single byte); each is
one replacement character in a message. Python's decoder goes by the same
rules, but its incremental one does not: it takes ED A0 for incomplete.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_PIECES = re.compile("[\udc80-\udcff]+|[^\udc80-\udcff]+")
# The proper beginnings of table 3-7's sequences, each as long as can be.
_BEGINNING = (
    rb"[\xc2-\xdf]|\xe0[\xa0-\xbf]?|[\xe1-\xec\xee\xef][\x80-\xbf]?|\xed[\x80-\x9f]?"
    rb"|\xf0(?:[\x90-\xbf][\x80-\xbf]?)?|[\xf1-\xf3][\x80-\xbf]{0,2}|\xf4(?:[\x80-\x8f][\x80-\xbf]?)?"
)
_SEQUENCES = re.compile(_BEGINNING + rb"|[\x80-\xff]")
_INCOMPLETE = re.compile(rb"(?:" + _BEGINNING + rb")\Z")
_LONGEST_INCOMPLETE = 3


class Run(NamedTuple):
    """Bytes that are valid UTF-8 throughout, or of which none is.

    ``chars`` counts characters (code points), or invalid sequences.
    """

    data: bytes
    chars: int
    valid: bool


def split(data: bytes) -> tuple[list[Run], bytes]:
    """Split into runs, valid and invalid in turn, and an incomplete sequence at the end."""
    if data.isascii():
        return [Run(data, len(data), True)] if data else [], b""
    match = _INCOMPLETE.search(data[-_LONGEST_INCOMPLETE:])
    incomplete = match[0] if match else b""
    data = data[: len(data) - len(incomplete)]
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("utf-8", "surrogateescape")
        return [_run(piece) for piece in _PIECES.findall(text)], incomplete
    return [Run(data, len(text), True)] if data else [], incomplete


def continues(incomplete: bytes, data: bytes) -> bool:
    """Tell whether the first byte of ``data`` (not empty) goes on with an incomplete sequence."""
    longer = incomplete + data[:1]
    if _INCOMPLETE.fullmatch(longer):
        return True
    try:
        longer.decode()
    except UnicodeDecodeError:
        return False
    return True


def sequences(data: bytes) -> list[bytes]:
    """Split an invalid run into its sequences."""
    return _SEQUENCES.findall(data)


def _run(text: str) -> Run:
    data = text.encode("utf-8", "surrogateescape")
    if not "\udc80" <= text[0] <= "\udcff":
        return Run(data, len(text), True)
    return Run(data, 1 if len(data) == 1 else len(sequences(data)), False)
