"""A journal with many recordings, for the list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import steps

from tests.bench.figures.listing import RECORDINGS
from tests.readers.journals import Fields, end_entry, recording, stamped, start_entry, write_journal

MESSAGES = 3
_TEXT = "drwxr-xr-x 2 root root 4096 some-directory\\r\\n" * 40


def make(directory: Path, recorder: int) -> Path:
    """Make the journal that a recorder with the uid ``recorder`` has written; gives its file."""
    steps.install_packages("systemd-journal-remote")
    return write_journal(directory / "stored", _entries(recorder)) / "system.journal"


def _entries(recorder: int) -> Iterator[Fields]:
    for number in range(RECORDINGS):
        what = recording(number)
        yield start_entry(what, recorder)
        for count in range(1, MESSAGES + 1):
            message = f'{{"ver":"2.3","rec":"{what.rec}","id":{count},"out_txt":"{_TEXT}"}}'
            fields = {"MESSAGE": message, "TLOG_REC": what.rec, "TLOG_ID": str(count)}
            yield stamped(fields, what.start + count * 1000, recorder)
        yield end_entry(what, recorder)
