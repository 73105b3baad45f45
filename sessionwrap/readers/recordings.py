"""The recordings of a journal, from their start and end entries alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sessionwrap import entries, message_ids
from sessionwrap.errors import SessionwrapError
from sessionwrap.model import Recording
from sessionwrap.readers.journal import MAX_REC, JournalReader, Place

_START = message_ids.START.encode()
_END = message_ids.END.encode()
_REC = entries.PREFIX + "REC"


class Query(NamedTuple):
    """Which recordings: of this user, on this host, begun at ``since`` to ``until``.

    Times are microseconds since the epoch; None is any. ``verified``: only what the recorder
    wrote.
    """

    user: str | None = None
    host: str | None = None
    since: int | None = None
    until: int | None = None
    verified: bool = False

    def matches(self, recording: Recording) -> bool:
        """Whether the recording is one of those."""
        return (
            (self.user is None or recording.user == self.user)
            and (recording.verified or not self.verified)
            and (self.host is None or recording.host == self.host)
            and (self.since is None or recording.start >= self.since)
            and (self.until is None or recording.start <= self.until)
        )


class Recordings:
    """Iterate over the recordings, each once, the newest entry first.

    Reading backwards meets the end entry first, and that says all: its start entry is passed
    over unread. Entries belong together by recording and writer, so what anybody else writes
    about a recording of the recorder's is a line of its own, not verified. ``skipped`` counts
    the entries that were not of the form of ``entries``.
    """

    def __init__(self, place: Place, recorder: int | None, query: Query) -> None:
        self._place = place
        self._recorder = None if recorder is None else str(recorder).encode()
        self._query = query
        self.skipped = 0

    def __iter__(self) -> Iterator[Recording]:
        """Read the journal from its end; errors as JournalReader raises them."""
        self.skipped = 0
        seen: set[tuple[bytes | None, bytes | None]] = set()
        with JournalReader(self._place) as reader:
            reader.add_match(f"MESSAGE_ID={message_ids.START}", f"MESSAGE_ID={message_ids.END}")
            reader.seek_tail()
            while reader.step(-1) and not self._before_all(reader):
                try:
                    key = (reader.field(_REC), reader.field("_UID"))
                    recording = None if key in seen else self._parse(reader.fields())
                except (SessionwrapError, ValueError):
                    self.skipped += 1  # a damaged entry hides itself, not the others
                    continue
                if recording is None:
                    continue
                seen.add(key)
                if self._query.matches(recording):
                    yield recording

    def _before_all(self, reader: JournalReader) -> bool:
        since = self._query.since
        return since is not None and reader.realtime() < since

    def _parse(self, stored: dict[str, bytes]) -> Recording:
        """Read the fields of an entry; ValueError where it is not of the form."""
        uid = stored.get("_UID")
        fields = {
            name: data.decode("utf-8", "replace")
            for name, data in stored.items()
            if name.startswith(entries.PREFIX) or name == "MESSAGE_ID"
        }
        if len(stored.get(_REC, b"")) > MAX_REC or "MESSAGE_ID" not in fields:
            raise ValueError("not a start or end entry")
        return entries.parse(fields, verified=uid is not None and uid == self._recorder)
