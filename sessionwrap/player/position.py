"""Places in a recording as a person writes them: ``start``, ``end``, ``[[H:]M:]S[.frac]``."""

from __future__ import annotations

import re
from typing import Final

END: Final = 1 << 62
"""The end of the recording, in milliseconds: later than everything."""
_TIME = re.compile(r"(?:(?:(\d{1,6}):)?(\d{1,6}):)?(\d{1,9})(?:\.(\d{0,9}))?", re.ASCII)


def parse_position(text: str) -> int:
    """Give the milliseconds from the first event of the recording; ValueError says what to write.

    As in tlog-play, minutes and seconds may be 60 and more.
    """
    if text == "start":
        return 0
    if text == "end":
        return END
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text[:40]!r}: expected start, end or [[H:]M:]S[.frac]")
    hours, minutes, seconds, fraction = found.groups(default="0")
    whole = (int(hours) * 60 + int(minutes)) * 60 + int(seconds)
    return whole * 1000 + int(fraction[:3].ljust(3, "0"))
