"""Does the journal keep what it takes? journald answers nothing: sent is not stored.

It drops entries without a word when its disk is full, and those over its rate limit. So what was
sent is looked for in the journal, by the worker at its end and by the service while it runs.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Any, Final

from systemd import _reader

from sessionwrap import entries, journal_protocol, message_ids
from sessionwrap.errors import SpoolError
from sessionwrap.model import Recording
from sessionwrap.recorder.spool import Spool, spools
from sessionwrap.settings import Settings

SECONDS: Final = 10.0
"""How long journald may take to write what it has received."""
REPEAT_SECONDS: Final = 30.0
"""How long after an alert that was not stored either the next one is tried."""


def reader_of(*matches: str) -> Any:
    """Give a reader of the entries of this host that we have written ourselves and that all
    ``matches`` (FIELD=value) hold for. Anybody can log the same fields: journald stamps who did.

    It is what systemd.journal.Reader extends, with ``_next`` and ``_get_all``. The imports of that
    module take 17 ms, those of this one 5: the service has it, so that no child imports it again.
    """
    reader = _reader._Reader(_reader.LOCAL_ONLY)
    for match in (*matches, f"_UID={os.geteuid()}"):
        reader.add_match(match)
    return reader


def is_stored(*matches: str, seconds: float = SECONDS) -> bool:
    """Wait until the journal has an entry that all ``matches`` (FIELD=value) hold for."""
    deadline = time.monotonic() + seconds
    with reader_of(*matches) as reader:
        poll = select.poll()
        poll.register(reader.fileno(), reader.get_events())
        while True:
            reader.seek_head()
            if reader._next():
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            poll.poll(left * 1000)
            reader.process()


def can_confirm(settings: Settings) -> bool:
    """Tell whether messages can be found again: they are in the journal, with their fields."""
    return settings.text("writer") == "journal" and settings.flag("journal.augment")


def is_readable() -> bool:
    """Tell whether we may read any of the journal: else nothing is found, and nothing missed."""
    with reader_of() as reader:
        return bool(reader.has_persistent_files() or reader.has_runtime_files())


def confirm(recording: Recording, messages: int, say_end: Callable[[], None]) -> None:
    """See that a recording that has ended is in the journal; say so if it is not, until heard.

    Returns when it is stored, or the alert is. ``say_end`` logs the end: again where the journal
    has not kept it, when it keeps something again.
    """
    rec = recording.rec
    if not is_readable():
        journal_protocol.alert(
            message_ids.ALERT_STORAGE,
            f"The recorder may not read the journal: it is not known whether recording {rec} is "
            "kept. Look at the group and mode of /var/log/journal (systemd-tmpfiles --create)",
            {f"{entries.PREFIX}REC": rec, f"{entries.PREFIX}USER": recording.user},
        )
        return
    ended = is_stored(f"MESSAGE_ID={message_ids.END}", f"{entries.PREFIX}REC={rec}")
    stored = _count_stored(rec)
    if ended and stored >= messages:
        return
    text = (
        f"The journal keeps {stored} of the {messages} messages of recording {rec} of "
        f"{recording.user}{'' if ended else ', and not its end'}: it dropped what it was sent"
    )
    while not alert_is_stored(text, rec):
        select.poll().poll(REPEAT_SECONDS * 1000)
    if not ended:
        say_end()


def latest_are_stored() -> bool:
    """See that the journal has what every running recording sent last, if that can be seen."""
    if not is_readable():
        return True
    for path in spools():
        try:
            left = Spool.open(path)
        except SpoolError:
            continue  # it ended this moment
        rec, last = left.meta["head"]["rec"], left.next_id - 1 + left.sent
        left.close()
        if last and not is_stored(f"TLOG_REC={rec}", f"TLOG_ID={last}"):
            return False
    return True


def alert_is_stored(text: str, rec: str = "") -> bool:
    """Raise an alert and tell whether the journal keeps it: then it keeps the rest too."""
    probe = f"{os.getpid()}-{time.monotonic_ns()}"
    journal_protocol.alert(
        message_ids.ALERT_STORAGE,
        text,
        {f"{entries.PREFIX}PROBE": probe, f"{entries.PREFIX}REC": rec},
    )
    return is_stored(f"{entries.PREFIX}PROBE={probe}")


def _count_stored(rec: str) -> int:
    """Give how many messages of a recording the journal has."""
    with reader_of(f"TLOG_REC={rec}") as reader:
        count = 0
        while reader._next():
            count += 1
        return count
