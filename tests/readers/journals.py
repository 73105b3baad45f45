"""Journal files for tests: real ones, written by systemd-journal-remote from the export format."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

from sessionwrap import entries
from sessionwrap.model import Recording

RECORDER_UID = 987
USER_UID = 1000
BOOT = "0123456789abcdef0123456789abcdef"
EPOCH = 1_790_000_000_000_000
"""Microseconds: the time that the first entry of every journal here is stamped with."""

UNENDED: dict[str, Any] = {"end": None, "messages": 0, "reason": "", "complete": False}
"""What is otherwise of a recording that has no end (``recording``)."""

Fields = Mapping[str, str | bytes]


def recording(number: int, **changes: object) -> Recording:
    """A complete recording, ``number`` seconds after EPOCH, half a second long."""
    start = EPOCH + number * 1_000_000
    ended = Recording(
        rec=f"{BOOT}-{number:x}-{number * 7:x}",
        host="web1",
        user="alice",
        uid=USER_UID,
        service="sshd",
        rhost="192.0.2.7",
        tty="/dev/pts/3",
        kind=entries.TERMINAL,
        command="",
        session=number,
        start=start,
        end=start + 500_000,
        messages=3,
        reason=entries.EXITED,
        complete=True,
        verified=True,
    )
    return ended._replace(**changes)  # type: ignore[arg-type] # the tests name real fields


def stamped(fields: Fields, time: int, uid: int = RECORDER_UID) -> dict[str, str | bytes]:
    """An entry as journald stores it: with the time (µs) and the writer's uid."""
    return {
        **fields,
        "_UID": str(uid),
        "_BOOT_ID": BOOT,
        "_HOSTNAME": "web1",
        "_TRANSPORT": "journal",
        "_COMM": "sessionwrapd",
        "_SYSTEMD_UNIT": "sessionwrapd.service",
        "__REALTIME_TIMESTAMP": str(time),
    }


def start_entry(what: Recording, uid: int = RECORDER_UID) -> dict[str, str | bytes]:
    """The start entry of a recording, stamped with the time of the start."""
    return stamped(entries.start_fields(what), what.start, uid)


def end_entry(what: Recording, uid: int = RECORDER_UID) -> dict[str, str | bytes]:
    """The end entry of a recording, stamped with the time of the end."""
    return stamped(entries.end_fields(what), what.end or what.start, uid)


def write_journal(directory: Path, stored: Iterable[Fields]) -> Path:
    """Make a journal of the entries, in the order of their times; the directory is given back."""
    directory.mkdir(parents=True, exist_ok=True)
    ordered = sorted(stored, key=lambda entry: int(entry["__REALTIME_TIMESTAMP"]))
    export = b"".join(map(_export, ordered, range(1, len(ordered) + 1)))
    subprocess.run(
        [_remote(), f"--output={directory / 'system.journal'}", "-"],
        input=export,
        check=True,
        capture_output=True,
        timeout=120,
    )
    return directory


def damage(directory: Path) -> Iterator[None]:
    """Damage the one file of a journal in 200 ways, the same at each run."""
    (file,) = directory.iterdir()
    whole = file.read_bytes()
    used = len(whole.rstrip(b"\0"))
    random = Random(7)  # noqa: S311 # nothing secret
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(20):
            damaged[random.randrange(0x110, used)] = random.randrange(256)
        file.write_bytes(damaged)
        yield


def _remote() -> str:
    program = shutil.which("systemd-journal-remote", path="/lib/systemd:/usr/lib/systemd")
    if program is None:
        raise RuntimeError("systemd-journal-remote is missing: install systemd-journal-remote")
    return program


def _export(fields: Fields, number: int) -> bytes:
    """One entry in the export format (systemd.io/JOURNAL_EXPORT_FORMATS)."""
    time = int(fields["__REALTIME_TIMESTAMP"])
    lines = [
        f"__CURSOR=s=0;i={number:x}\n__REALTIME_TIMESTAMP={time}\n".encode(),
        f"__MONOTONIC_TIMESTAMP={time - EPOCH + 1_000_000}\n".encode(),
    ]
    for name, value in fields.items():
        if name == "__REALTIME_TIMESTAMP":
            continue
        data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        if data.isascii() and data.decode().isprintable():
            lines.append(name.encode() + b"=" + data + b"\n")
        else:
            lines.append(name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n")
    return b"".join(lines) + b"\n"
