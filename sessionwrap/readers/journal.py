"""Opening the journal, and the messages of one recording in it.

python-systemd's ``Reader.get_next`` converts every field of an entry, which costs three times
the reading; its ``_next``, ``_get`` and ``_get_all`` are what that itself is made of.
"""

from __future__ import annotations

import pwd
from typing import NamedTuple

from systemd import journal

from sessionwrap import message_ids, paths
from sessionwrap.codec.message import MAX_LINE, parse
from sessionwrap.entries import PREFIX
from sessionwrap.errors import AccessError, MessageError, NotFoundError, SessionwrapError
from sessionwrap.model import Message
from sessionwrap.readers.source import OnSkip

MAX_REC = 256
"""Bytes of a recording's id. Ours and tlog's have about 50."""
_MAX_NAMED = 5


class Place(NamedTuple):
    """Which journal: a directory of journal files, a namespace, or the machine's own."""

    directory: str | None = None
    namespace: str | None = None


def recorder_uid() -> int | None:
    """Give the uid whose entries are trusted; None where the machine has no recorder."""
    try:
        return pwd.getpwnam(paths.RECORDER_USER).pw_uid
    except KeyError:
        return None


class JournalReader(journal.Reader):  # type: ignore[misc] # systemd-python ships no types
    """A Reader of one place that gives fields as they are stored.

    NotFoundError and AccessError where there is no such journal or it may not be read.
    """

    def __init__(self, place: Place) -> None:
        what = place.directory or place.namespace or "the journal"
        try:
            super().__init__(path=place.directory, namespace=place.namespace)
        except PermissionError as error:
            raise AccessError(f"{what}: {error.strerror}") from error
        except (OSError, ValueError) as error:
            raise NotFoundError(f"{what}: {getattr(error, 'strerror', error)}") from error

    def step(self, skip: int = 1) -> bool:
        """Go ``skip`` entries on, back where it is negative; False where there is none.

        SessionwrapError where the journal's files are damaged.
        """
        try:
            return bool(self._next(skip))
        except OSError as error:
            raise _unreadable(error) from error

    def fields(self) -> dict[str, bytes]:
        """Give the fields of this entry that have one value; SessionwrapError as ``step``."""
        try:
            stored = self._get_all()
        except (OSError, ValueError) as error:  # ValueError: a damaged name of a field
            raise _unreadable(error) from error
        return {name: data for name, data in stored.items() if isinstance(data, bytes)}

    def field(self, name: str) -> bytes | None:
        """Give one field of this entry, None where it has none; SessionwrapError as ``step``."""
        try:
            data = self._get(name)
        except KeyError:
            return None
        except OSError as error:
            raise _unreadable(error) from error
        return data if isinstance(data, bytes) else None

    def realtime(self) -> int:
        """Give the time (µs since the epoch) of this entry; SessionwrapError as ``step``."""
        try:
            return int(self._get_realtime())
        except OSError as error:
            raise _unreadable(error) from error

    def has(self, *matches: str) -> bool:
        """Whether there is an entry that all ``matches`` ("FIELD=value") hold for."""
        self.flush_matches()
        for match in matches:
            self.add_match(match)
        self.seek_head()
        found = self.step()
        self.flush_matches()
        return found


def _unreadable(error: Exception) -> SessionwrapError:
    return SessionwrapError(f"the journal cannot be read: {getattr(error, 'strerror', error)}")


def resolve(place: Place, text: str, recorder: int | None) -> str:
    """Give the id of the one recording that is meant by ``text``: its id, beginning or ending.

    The ending is what follows a dash: ids of one boot begin alike. What the recorder wrote is
    meant before anything else: whoever logs messages under the short form of a real id does not
    take its place. NotFoundError where it is none or not one.
    """
    if not text or len(text) > MAX_REC or not text.isprintable():
        raise NotFoundError("no such recording: an id has 1 to 256 printable characters")
    with JournalReader(place) as reader:
        fitting = {
            rec
            for field in ("TLOG_REC", f"{PREFIX}REC")
            for rec in _unique(reader, field)
            if rec == text or rec.startswith(text) or rec.endswith("-" + text)
        }
        found = {rec for rec in fitting if recorder is not None and _wrote(reader, recorder, rec)}
        found = found or fitting
    if text in found:
        return text
    if not found:
        raise NotFoundError(f"no recording {text!r} in the journal")
    if len(found) > 1:
        named = ", ".join(sorted(found)[:_MAX_NAMED])
        more = ", …" if len(found) > _MAX_NAMED else ""
        raise NotFoundError(f"{text!r} fits {len(found)} recordings: {named}{more}")
    return found.pop()


def _wrote(reader: JournalReader, uid: int, rec: str) -> bool:
    """Tell whether ``uid`` wrote anything of a recording."""
    fields = (f"TLOG_REC={rec}", f"{PREFIX}REC={rec}")
    return any(reader.has(field, f"_UID={uid}") for field in fields)


def _unique(reader: JournalReader, field: str) -> list[str]:
    """Give the printable values of a field: nothing else is the id of a recording."""
    values = [data.decode("utf-8", "replace") for data in _values(reader, field)]
    return [value for value in values if len(value) <= MAX_REC and value.isprintable()]


def _values(reader: JournalReader, field: str) -> set[bytes]:
    return set(super(journal.Reader, reader).query_unique(field))


class JournalMessages:
    """The messages of one recording, of one writer only; a ``Source``.

    The writer is the recorder if it wrote anything of this recording; otherwise whoever wrote
    the first message, and ``verified`` is false: tlog's recordings, or a forged one. ``writer``
    is that uid, None where journald did not stamp one. With ``follow`` the source waits for
    more until the recording's end entry. NotFoundError where nothing is stored of ``rec``.
    """

    def __init__(
        self,
        place: Place,
        rec: str,
        recorder: int | None,
        *,
        follow: bool = False,
        on_skip: OnSkip | None = None,
    ) -> None:
        self._rec = rec
        self._follow = follow
        self._on_skip = on_skip
        self._end_seen = False
        self._at_end = False
        self._reader = JournalReader(place)
        self._reader.data_threshold = MAX_LINE
        self.verified = recorder is not None and _wrote(self._reader, recorder, rec)
        self.writer = recorder if self.verified else self._first_writer()
        self._fd = self._reader.fileno() if follow else -1
        self._match()
        self._reader.seek_head()

    def _first_writer(self) -> int | None:
        self._reader.add_match(f"TLOG_REC={self._rec}")
        self._reader.seek_head()
        if not self._reader.step():
            self.close()
            raise NotFoundError(f"no messages of {self._rec!r} in the journal")
        stamped = self._reader.field("_UID")
        self._reader.flush_matches()
        return int(stamped) if stamped is not None else None

    def _match(self) -> None:
        by_writer = [] if self.writer is None else [f"_UID={self.writer}"]
        self._reader.add_match(f"TLOG_REC={self._rec}", *by_writer)
        self._reader.add_disjunction()
        end = (f"MESSAGE_ID={message_ids.END}", f"{PREFIX}REC={self._rec}")
        self._reader.add_match(*end, *by_writer)

    def read(self) -> Message | None:
        """Give the next message; see ``Source``."""
        while self._reader.step():
            if self._reader.field("TLOG_REC") is None:
                self._end_seen = True
                continue
            try:
                return self._parse()
            except MessageError as error:
                if self._on_skip is None:
                    raise
                self._on_skip(str(error))
        self._at_end = True
        return None

    def _parse(self) -> Message:
        try:
            message = parse(self._reader.field("MESSAGE") or b"")
        except MessageError as error:
            raise MessageError(f"{self._place()}: {error}") from error
        if message.rec not in (self._rec, ""):
            raise MessageError(f"{self._place()}: the message is of another recording")
        return message

    def _place(self) -> str:
        return f"journal entry {self._reader._get_cursor()}"

    @property
    def ended(self) -> bool:
        """Whether all is read, and with ``follow`` the end entry too; see ``Source``."""
        return self._at_end and (self._end_seen or not self._follow)

    def rewind(self) -> bool:
        """Go back to the first message; see ``Source``."""
        self._end_seen = self._at_end = False
        self._reader.seek_head()
        return True

    def fileno(self) -> int:
        """See ``Source``."""
        return self._fd

    def timeout(self) -> float | None:
        """See ``Source``; the journal has one where inotify does not tell everything."""
        milliseconds = self._reader.get_timeout_ms() if self._follow else -1
        return None if milliseconds < 0 else milliseconds / 1000

    def acknowledge(self) -> None:
        """See ``Source``."""
        self._reader.process()

    def close(self) -> None:
        """See ``Source``."""
        self._reader.close()
