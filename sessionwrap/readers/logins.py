"""What a journal tells of logins: the hook's entries, recordings, how logins ended, alerts.

Read backwards from the end of the journal, twice: entries by their MESSAGE_ID, then alerts by
priority. One search for both would cost more, and could be made slow by whoever logs much at
that priority: at each step sd-journal looks anew for an entry that all matches hold for.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from systemd import journal

from sessionwrap import entries, logins, message_ids
from sessionwrap.errors import AccessError, SessionwrapError
from sessionwrap.logins import Alert, Ending, Key, Login
from sessionwrap.model import Recording
from sessionwrap.readers.journal import MAX_REC, JournalReader, Place
from sessionwrap.reporting import Facts, Period

MAX_FIELD: Final = 8192
"""Bytes that are read of a field; the rest of a longer one is left out."""
MAX_DIFFERENT: Final = 20
"""Entries that say something else are kept of one writer who is not to be trusted."""
MAX_WRITERS: Final = 20
"""Such writers are told apart; more are one. A user can have thousands of uids (subuid(5))."""
MAX_ALERTS: Final = 10_000
"""And of root and the recorder, each."""

_ROOT = b"0"
_START, _END = message_ids.START.encode(), message_ids.END.encode()
_LOGIN, _NO_SHELL = message_ids.LOGIN.encode(), message_ids.NO_SHELL.encode()
_REC = entries.PREFIX + "REC"
_PRIORITIES = (b"0", b"1", b"2")
_IDENTIFIER = entries.IDENTIFIER.encode()
_DIRECTORIES = ("/var/log/journal", "/run/log/journal")
_MACHINE = re.compile(r"[0-9a-f]{32}(\..+)?\Z")


class Logins:
    """Reads what the journal tells of the logins of a period, and later what is new.

    A fact is what its own writer wrote: root a login, the recorder a recording, either of them an
    ending or an alert. All else is an alert that is not verified. What is kept grows with the
    logins of the period, and not with what others write. AccessError as ``count_unusable``.
    """

    def __init__(self, place: Place, recorder: int | None, period: Period) -> None:
        self._place = place
        self._recorder = None if recorder is None else str(recorder).encode()
        self.period = period
        self._entries_from = self._alerts_from = period.since
        self._logins: dict[Key, Login] = {}
        self._recordings: dict[bytes, tuple[str, Recording]] = {}
        self._endings: dict[Key, Ending] = {}
        self._alerts: dict[tuple[object, ...], Alert] = {}
        self._kinds: Counter[tuple[bool, bytes | None]] = Counter()
        self._skipped = count_unusable(place)

    def read(self) -> None:
        """Read what is there and was not at the last time; errors as JournalReader raises them."""
        ids = (message_ids.LOGIN, message_ids.START, message_ids.END, message_ids.NO_SHELL)
        self._entries_from = self._scan(
            [f"MESSAGE_ID={one}" for one in ids], self._entries_from, self._entry
        )
        priorities = [f"PRIORITY={one.decode()}" for one in _PRIORITIES]
        matches = [f"SYSLOG_IDENTIFIER={entries.IDENTIFIER}", *priorities]
        self._alerts_from = self._scan(matches, self._alerts_from, self._alert)

    def facts(self) -> Facts:
        """Give what was read so far."""
        return Facts(
            self._logins,
            list(self._recordings.values()),
            self._endings,
            list(self._alerts.values()),
            self._skipped,
        )

    def begins(self) -> int | None:
        """Give the time (µs) of the oldest entry of the journal, None where it is empty."""
        with JournalReader(self._place) as reader:
            reader.seek_head()
            return reader.realtime() if reader.step() else None

    def _scan(
        self, matches: list[str], since: int, take: Callable[[JournalReader, int], None]
    ) -> int:
        """Take every entry from ``since`` on, the newest first; give the time after the newest."""
        after = since
        with JournalReader(self._place) as reader:
            reader.data_threshold = MAX_FIELD
            for match in matches:
                reader.add_match(match)
            usage = reader.get_usage()
            reader.seek_tail()
            while reader.step(-1) and (time := reader.realtime()) >= since:
                after = max(after, time + 1)
                try:
                    take(reader, time)
                except (SessionwrapError, ValueError):
                    self._skipped += 1  # a damaged entry hides itself, not the others
            # sd-journal says nothing when it gives up on a file that is damaged.
            self._skipped += reader.get_usage() < usage
        return after

    def _entry(self, reader: JournalReader, time: int) -> None:
        """Take an entry of ours; ValueError where it is not of its form."""
        uid, message_id = reader.field("_UID"), reader.field("MESSAGE_ID")
        if message_id in (_START, _END) and self._is_recorder(uid):
            self._recording(reader)
        elif message_id == _LOGIN and uid == _ROOT:
            login = logins.parse_login(*_fields(reader), time)
            known = self._logins.get(login.key)
            self._logins[login.key] = logins.merge(known, login) if known else login
        elif message_id == _NO_SHELL and self._is_trusted(uid):
            self._ending(logins.parse_ending(*_fields(reader), time))
        elif not _is_alert(reader):  # else it is met as one
            self._tell(reader, time, uid)

    def _recording(self, reader: JournalReader) -> None:
        rec = reader.field(_REC) or b""
        known = self._recordings.get(rec)
        if known and (known[1].end is not None or reader.field("MESSAGE_ID") == _START):
            return
        if not 0 < len(rec) <= MAX_REC:
            raise ValueError("not the id of a recording")
        fields, boot = _fields(reader)
        self._recordings[rec] = (boot, entries.parse(fields, verified=True))

    def _ending(self, ending: Ending) -> None:
        known = self._endings.get(ending.key)
        if known is None or (ending.unseen and not known.unseen):
            self._endings[ending.key] = ending

    def _alert(self, reader: JournalReader, time: int) -> None:
        """Take an alert; ValueError where it is one of a login and not of its form."""
        uid = reader.field("_UID")
        self._tell(reader, time, uid)
        if self._is_trusted(uid):
            fields, boot = _fields(reader)
            if fields.get("MESSAGE_ID") == message_ids.ALERT_UNSEEN:
                self._ending(logins.parse_ending(fields, boot, time))

    def _tell(self, reader: JournalReader, time: int, uid: bytes | None) -> None:
        """Keep an alert, or an entry that may be made up; those that say the same once."""
        if time not in self.period:
            return
        verified = self._is_trusted(uid) and _is_alert(reader)
        if not verified and (False, uid) not in self._kinds and len(self._kinds) >= MAX_WRITERS:
            uid = None
        number = int(uid) if uid is not None and uid.isdigit() else None
        if self._kinds[verified, uid] < (MAX_ALERTS if verified else MAX_DIFFERENT):
            fields, boot = _fields(reader)
            alert = logins.parse_alert(fields, boot, time, uid=number, verified=verified)
        else:
            nothing = Key("", "")
            alert = Alert(verified, number, "", "", nothing, "", "", "", time, time)
        same = (verified, uid, *alert[2:8])
        known = self._alerts.get(same)
        if known:
            self._alerts[same] = known.and_at(time)
        else:
            self._alerts[same] = alert
            self._kinds[verified, uid] += 1

    def _is_recorder(self, uid: bytes | None) -> bool:
        return uid is not None and uid == self._recorder

    def _is_trusted(self, uid: bytes | None) -> bool:
        return uid == _ROOT or self._is_recorder(uid)


def _is_alert(reader: JournalReader) -> bool:
    return (
        reader.field("PRIORITY") in _PRIORITIES and reader.field("SYSLOG_IDENTIFIER") == _IDENTIFIER
    )


def _fields(reader: JournalReader) -> tuple[dict[str, str], str]:
    """Give our fields of an entry as text, and the boot that it is of."""
    stored = reader.fields()
    fields = {
        name: data[:MAX_FIELD].decode("utf-8", "replace")
        for name, data in stored.items()
        if name.startswith(entries.PREFIX) or name in ("MESSAGE_ID", "MESSAGE")
    }
    return fields, _boot(stored.get("_BOOT_ID"))


def _boot(data: object) -> str:
    return data.decode("ascii", "replace") if isinstance(data, bytes) else ""


def count_unusable(place: Place) -> int:
    """Count the journal files that cannot be opened; AccessError where one may not be read.

    sd-journal leaves such files out without a word, and a report that saw nothing would say that
    there is nothing to look at.
    """
    unusable = 0
    for path in _files(place):
        try:
            journal.Reader(files=[path]).close()
        except PermissionError as error:
            raise AccessError(
                f"{path} may not be read: a report is for root and members of systemd-journal"
            ) from error
        except FileNotFoundError:
            continue  # rotated away meanwhile
        except OSError:
            unusable += 1
    return unusable


def _files(place: Place) -> Iterator[str]:
    if place.directory:
        yield from _walk(place.directory, _MACHINE)
        return
    with open("/etc/machine-id", encoding="ascii") as file:
        name = file.read().strip() + (f".{place.namespace}" if place.namespace else "")
    for directory in _DIRECTORIES:
        yield from _walk(f"{directory}/{name}", None)


def _walk(directory: str, inner: re.Pattern[str] | None) -> Iterator[str]:
    """Give the journal files of a directory and of those in it whose names ``inner`` matches."""
    try:
        with os.scandir(directory) as found:
            for entry in found:
                if entry.is_file():
                    # journald is just making one that is empty.
                    if entry.name.endswith((".journal", ".journal~")) and entry.stat().st_size:
                        yield entry.path
                elif inner and inner.match(entry.name):
                    yield from _walk(entry.path, None)
    except PermissionError as error:
        raise AccessError(f"{error.filename}: {error.strerror}") from error
    except (FileNotFoundError, NotADirectoryError):
        return  # opening the journal says what is missing
