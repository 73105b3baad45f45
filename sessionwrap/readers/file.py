"""Messages of a file: one JSON object on each line, of one or of several recordings."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque

from sessionwrap.codec.message import MAX_LINE, parse
from sessionwrap.errors import AccessError, MessageError, NotFoundError, SessionwrapError
from sessionwrap.model import Message
from sessionwrap.readers.inotify import FileWatch
from sessionwrap.readers.source import OnSkip

_READ_SIZE = 1 << 18
_POLL_SECONDS = 1.0
"""File systems of other machines tell inotify nothing; this often the file is looked at anyway."""


class FileMessages:
    """The messages of one recording in a file; a ``Source``.

    ``rec`` is its id once it is known, ``others`` counts the messages of others that were met.
    ``rec`` chooses the recording, None is the first one in the file. With ``follow`` the file
    is expected to grow. With ``on_skip`` garbage is reported to it and left out, without it
    garbage is a MessageError that names file and line.
    """

    def __init__(
        self, path: str, rec: str | None, *, follow: bool = False, on_skip: OnSkip | None = None
    ) -> None:
        self._path = path
        self.rec = rec
        self._follow = follow
        self._on_skip = on_skip
        self._fd = _open(path)
        self._watch: FileWatch | None = None
        if follow:
            try:
                self._watch = FileWatch(path)
            except OSError:
                self._watch = None  # timeout() alone wakes the reader then
        self.others = 0
        self._start()

    def _start(self) -> None:
        self._lines: deque[bytes] = deque()
        self._tail = b""
        self._number = 0
        self._at_end = False
        self.others = 0

    def read(self) -> Message | None:
        """Give the next message of the recording; see ``Source``."""
        while (line := self._next_line()) is not None:
            self._number += 1
            if not line.strip():
                continue
            try:
                message = self._parse(line)
            except MessageError as error:
                if self._on_skip is None:
                    raise
                self._on_skip(str(error))
                continue
            if self.rec is None:
                self.rec = message.rec
            if message.rec == self.rec:
                return message
            self.others += 1
        return None

    def _parse(self, line: bytes) -> Message:
        place = f"{self._path}:{self._number}"
        if len(line) > MAX_LINE:
            raise MessageError(f"{place}: the line is longer than {MAX_LINE} bytes")
        try:
            return parse(line)
        except MessageError as error:
            raise MessageError(f"{place}: {error}") from error

    def _next_line(self) -> bytes | None:
        while not self._lines:
            try:
                chunk = os.read(self._fd, _READ_SIZE)
            except OSError as error:
                raise SessionwrapError(f"{self._path}: {error.strerror}") from error
            if not chunk:
                self._at_end = True
                return None if self._follow else self._rest()
            self._split(chunk)
        return self._lines.popleft()

    def _split(self, chunk: bytes) -> None:
        *whole, tail = chunk.split(b"\n")
        if whole:
            self._lines.append(self._tail + whole[0])
            self._lines.extend(whole[1:])
            self._tail = b""
        # What is beyond the bound is not kept; what is kept says that there was too much.
        self._tail = (self._tail + tail)[: MAX_LINE + 1]

    def _rest(self) -> bytes | None:
        rest, self._tail = self._tail, b""
        return rest or None

    @property
    def ended(self) -> bool:
        """Whether the end of the file is reached and not followed; see ``Source``."""
        return self._at_end and not self._follow

    def rewind(self) -> bool:
        """Go back to the first line; see ``Source``."""
        try:
            os.lseek(self._fd, 0, os.SEEK_SET)
        except OSError:
            return False
        self._start()
        return True

    def fileno(self) -> int:
        """See ``Source``."""
        return -1 if self._watch is None else self._watch.fileno()

    def timeout(self) -> float | None:
        """See ``Source``."""
        return _POLL_SECONDS if self._follow else None

    def acknowledge(self) -> None:
        """See ``Source``."""
        if self._watch is not None:
            self._watch.acknowledge()

    def close(self) -> None:
        """See ``Source``."""
        os.close(self._fd)
        if self._watch is not None:
            self._watch.close()


def _open(path: str) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise AccessError(f"{path}: {error.strerror}") from error
        raise NotFoundError(f"{path}: {error.strerror}") from error
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotFoundError(f"{path}: {os.strerror(errno.EISDIR)}")
    return fd
