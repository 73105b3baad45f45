"""The spool: what a worker has recorded and no sink has taken yet.

A file on tmpfs, mapped by the worker: what is in it outlives the worker, whatever kills it. It has
a header and two banks. Events are appended to one bank; when a sink has taken them, what remains
is copied to the other bank and one 8-byte store makes that one current. So at any moment the file
tells exactly what is stored, what may be, and what is not:

    header   magic, the word (id of the bank's first message, current bank), a header per bank,
             the recording's metadata as JSON
    bank     events: milliseconds, length, kind, bytes
    per bank fill    bytes of events in it
             sent    messages of it that a sink has taken
             limit   events up to here were encoded as a whole ("flush"), 0: as far as they
                     filled messages; with `limit` the encoding can be done again, byte for byte
             size    the window's size before its first event
"""

from __future__ import annotations

import json
import mmap
import os
import struct
from collections.abc import Mapping
from typing import Any, Final

from sessionwrap import paths
from sessionwrap.errors import SpoolError
from sessionwrap.model import INPUT, WINDOW, Event, Winsize

MAGIC: Final = b"SWSPOOL1"
SUFFIX: Final = ".spool"
HEADER_BYTES: Final = 1 << 18
MIN_BANK_BYTES: Final = 65536
MAX_BANK_BYTES: Final = 1 << 30
EVENT: Final = struct.Struct("<QIB")
_WORD: Final = struct.Struct("<Q")
_BANK: Final = struct.Struct("<QQQHHB")
_META_LENGTH: Final = struct.Struct("<I")
_WORD_AT: Final = 8
_BANK_AT: Final = (64, 128)
_META_AT: Final = 256
_RELEASE_BYTES: Final = 1 << 20


def spools(directory: str = paths.SPOOL_DIR) -> list[str]:
    """Give the paths of all spools, in order."""
    names = sorted(os.listdir(directory))
    return [f"{directory}/{name}" for name in names if name.endswith(SUFFIX)]


class Spool:
    """One spool file, mapped. ``meta`` is what its maker gave; the attributes are read-only."""

    def __init__(self, path: str, fd: int, meta: Mapping[str, Any]) -> None:
        self.path = path
        self.meta = meta
        size = os.fstat(fd).st_size
        self._bank_bytes = (size - HEADER_BYTES) // 2
        self._map = mmap.mmap(fd, size)
        self._memory = memoryview(self._map)
        self.fill = self.sent = self.limit = self.rest = 0
        self._load()

    @classmethod
    def create(cls, directory: str, name: str, bank_bytes: int, meta: Mapping[str, Any]) -> Spool:
        """Make the file ``directory/name.spool``; SpoolError where that fails, and no file then."""
        text = json.dumps(meta).encode()
        if len(text) > HEADER_BYTES - _META_AT:
            raise SpoolError(f"metadata of {len(text)} bytes")
        path = f"{directory}/{name}{SUFFIX}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            fd = os.open(path, flags, 0o600)
        except OSError as error:
            raise SpoolError(f"{path}: {error.strerror}") from error
        try:
            os.ftruncate(fd, HEADER_BYTES + 2 * bank_bytes)
            os.pwrite(fd, text, _META_AT)
            os.pwrite(fd, _META_LENGTH.pack(len(text)), _META_AT - _META_LENGTH.size)
            os.pwrite(fd, _WORD.pack(1 << 1), _WORD_AT)
            os.pwrite(fd, MAGIC, 0)
            return cls(path, fd, meta)
        except OSError as error:  # the disk is full, mostly
            os.unlink(path)
            raise SpoolError(f"{path}: {error.strerror}") from error
        finally:
            os.close(fd)

    @classmethod
    def open(cls, path: str) -> Spool:
        """Map what a worker left; SpoolError where it is not a whole spool."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise SpoolError(f"{path}: {error.strerror}") from error
        try:
            size = os.fstat(fd).st_size
            if not MIN_BANK_BYTES * 2 <= size - HEADER_BYTES <= MAX_BANK_BYTES * 2:
                raise SpoolError(f"{path} has {size} bytes")
            header = os.pread(fd, HEADER_BYTES, 0)
            if header[: len(MAGIC)] != MAGIC:
                raise SpoolError(f"{path} has no header")
            (length,) = _META_LENGTH.unpack_from(header, _META_AT - _META_LENGTH.size)
            meta = json.loads(header[_META_AT : _META_AT + length])
            if not isinstance(meta, dict):
                raise SpoolError(f"{path} has no metadata")
            return cls(path, fd, meta)
        except (ValueError, RecursionError) as error:
            raise SpoolError(f"{path} has broken metadata: {error}") from error
        finally:
            os.close(fd)

    def close(self) -> None:
        """Unmap the file."""
        self._memory.release()
        self._map.close()

    def remove(self) -> None:
        """Unmap and delete it: everything in it is stored."""
        self.close()
        os.unlink(self.path)

    def room(self, count: int) -> memoryview | None:
        """Give the place for the bytes of the next event; None when the bank is full.

        Read into it, then ``commit`` what was read. At most ``count`` bytes.
        """
        start = self._base + self.fill + EVENT.size
        if self.fill + EVENT.size + count > self._bank_bytes:
            return None
        return self._memory[start : start + count]

    def commit(self, time: int, kind: int, length: int) -> None:
        """Make an event of the first ``length`` bytes of the last ``room``."""
        fill = self.fill
        EVENT.pack_into(self._map, self._base + fill, time, length, kind)
        self.fill = fill = fill + EVENT.size + length
        _WORD.pack_into(self._map, self._header, fill)

    def put(self, time: int, kind: int, data: bytes) -> bool:
        """Append an event; False when the bank is full."""
        place = self.room(len(data))
        if place is None:
            return False
        place[:] = data
        self.commit(time, kind, len(data))
        return True

    def events(self, start: int, end: int) -> list[Event]:
        """Give the events between two fills of the current bank; SpoolError on nonsense."""
        found = []
        at, stop = self._base + start, self._base + end
        memory = self._memory
        while at < stop:
            time, length, kind = EVENT.unpack_from(memory, at)
            at += EVENT.size
            if at + length > stop or not INPUT <= kind <= WINDOW:
                raise SpoolError(f"{self.path}: an event of kind {kind} with {length} bytes")
            found.append(Event(time, kind, bytes(memory[at : at + length])))
            at += length
        return found

    def first_time(self) -> int:
        """Give the time of the oldest event; there must be one."""
        time, _, _ = EVENT.unpack_from(self._memory, self._base)
        return int(time)

    def set_limit(self, limit: int) -> None:
        """Note that the events up to ``limit`` are about to be sent as a whole."""
        self.limit = limit
        _WORD.pack_into(self._map, self._header + 16, limit)

    def set_sent(self, sent: int) -> None:
        """Note how many messages of this bank a sink has taken."""
        self.sent = sent
        _WORD.pack_into(self._map, self._header + 8, sent)

    def advance(self, next_id: int, winsize: Winsize | None, rest: list[Event], end: int) -> None:
        """Forget the events up to ``end`` but for ``rest``; the next message has ``next_id``."""
        bank = 1 - self._bank
        base = HEADER_BYTES + bank * self._bank_bytes
        at = base
        memory = self._memory
        for event in rest:
            EVENT.pack_into(memory, at, event.time, len(event.data), event.kind)
            at += EVENT.size
            memory[at : at + len(event.data)] = event.data
            at += len(event.data)
        rest_fill = at - base
        kept = self.fill - end
        memory[at : at + kept] = memory[self._base + end : self._base + self.fill]
        known = winsize is not None
        width, height = winsize or (0, 0)
        _BANK.pack_into(memory, _BANK_AT[bank], at + kept - base, 0, 0, width, height, known)
        old_base, old_fill = self._base, self.fill
        _WORD.pack_into(memory, _WORD_AT, next_id << 1 | bank)
        if old_fill > _RELEASE_BYTES:
            # A backlog is over: its memory goes back (madvise(2), whole pages).
            start = -(-old_base // mmap.PAGESIZE) * mmap.PAGESIZE
            length = (old_base + old_fill - start) // mmap.PAGESIZE * mmap.PAGESIZE
            self._map.madvise(mmap.MADV_REMOVE, start, length)
        self._load()
        self.rest = rest_fill

    def _load(self) -> None:
        (word,) = _WORD.unpack_from(self._map, _WORD_AT)
        self._bank = word & 1
        self.next_id: int = word >> 1
        self._base = HEADER_BYTES + self._bank * self._bank_bytes
        self._header = _BANK_AT[self._bank]
        fill, sent, limit, width, height, known = _BANK.unpack_from(self._map, self._header)
        if fill > self._bank_bytes or limit > fill:
            raise SpoolError(f"{self.path} says it holds {fill} bytes")
        self.fill, self.sent, self.limit, self.rest = fill, sent, limit, 0
        self.winsize = Winsize(width, height) if known else None
