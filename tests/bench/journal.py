"""The host's journal: emptied, waited for, and measured."""

from __future__ import annotations

import glob
import os
import shutil
import struct
import subprocess

STORED = "/root/recordings.journal"
"""A journal with many recordings, put here by who runs the host."""

# Header of a journal file and of an object, systemd.io/JOURNAL_FILE_FORMAT: header_size at 88,
# sizes of the hash tables at 112 and 128, tail_object_offset at 136; an object's size at 8.
_HEADER = struct.Struct("<88xQ16xQ8xQQ")
_OBJECT = struct.Struct("<8xQ")


def sync() -> None:
    """Wait until journald has stored what was sent."""
    _journalctl("--sync")


def empty() -> None:
    """Begin new files and remove the old ones."""
    _journalctl("--sync")
    _journalctl("--rotate", "--vacuum-files=1")


def used() -> int:
    """Give the bytes of all entries and indexes in the journal's files, without what is
    allocated ahead and without the hash tables that each file begins with."""
    return sum(map(_used, glob.glob("/var/log/journal/*/*.journal")))


def _used(path: str) -> int:
    with open(path, "rb") as file:
        header, data_table, field_table, tail = _HEADER.unpack(file.read(_HEADER.size))
        file.seek(tail)
        (size,) = _OBJECT.unpack(file.read(_OBJECT.size))
    return int(tail + size - header - data_table - field_table)


def add_stored() -> None:
    """Put the prepared journal beside the host's own."""
    (directory,) = glob.glob("/var/log/journal/*/")
    shutil.copy(STORED, os.path.join(directory, "recordings.journal"))


def _journalctl(*options: str) -> None:
    subprocess.run(["journalctl", "--quiet", *options], check=True, timeout=120)
