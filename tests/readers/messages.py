"""Messages for tests, written out by hand as tlog's format has them (docs/format)."""

from __future__ import annotations

import json

REC = "0123456789abcdef0123456789abcdef-1f3a-2c81d"


def message(number: int, pos: int, timing: str, text: str = "", **changes: object) -> bytes:
    """One message, with its line end; ``text`` is the output."""
    values: dict[str, object] = {
        "ver": "2.3",
        "host": "web1",
        "rec": REC,
        "user": "alice",
        "term": "xterm",
        "session": 7,
        "id": number,
        "pos": pos,
        "time": 1_790_000_000 + pos / 1000,
        "timing": timing,
        "in_txt": "",
        "in_bin": [],
        "out_txt": text,
        "out_bin": [],
    }
    return json.dumps({**values, **changes}, ensure_ascii=False).encode() + b"\n"


def spoken(*words: str, delay: int = 0, rec: str = REC) -> list[bytes]:
    """A recording in which each word is a message, ``delay`` milliseconds apart."""
    return [
        message(number, (number - 1) * delay, f"=80x24>{len(word)}", word, rec=rec)
        for number, word in enumerate(words, 1)
    ]
