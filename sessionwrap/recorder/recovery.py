"""Recovery: what a dead worker left in its spool is stored, and its recording ends as abnormal."""

from __future__ import annotations

import select
import time
from collections.abc import Mapping
from typing import Any

from sessionwrap import entries, journal_protocol
from sessionwrap.codec.encoder import encode
from sessionwrap.errors import SinkError, SpoolError
from sessionwrap.model import Event, Head, Recording
from sessionwrap.recorder import running
from sessionwrap.recorder.confirm import can_confirm, confirm
from sessionwrap.recorder.spool import Spool
from sessionwrap.settings import Settings
from sessionwrap.sinks import open_sink

RETRY_SECONDS = 1.0
IMPATIENT_SECONDS = 5.0


def describe(head: Head, recording: Recording, settings: Settings) -> dict[str, Any]:
    """Give the metadata of a spool: all that another process needs to finish the recording."""
    return {
        "head": head._asdict(),
        "recording": recording._asdict(),
        "settings": settings.as_json(),
    }


def understand(meta: Mapping[str, Any]) -> tuple[Head, Recording, Settings]:
    """Read what ``describe`` gave; SpoolError where it is something else."""
    try:
        return (
            Head(**meta["head"]),
            Recording(**meta["recording"]),
            Settings.from_json(meta["settings"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SpoolError(f"the metadata of a spool is broken: {error}") from error


def unsent_messages(spool: Spool, head: Head, payload: int) -> list[tuple[int, bytes]]:
    """Give (id, message) of all that no sink is known to have taken.

    The encoding is done again as the worker did it: what it had sent comes out alike and is left
    out, so that no id is missing and none has two meanings.
    """
    whole, part = spool.events(0, spool.limit), spool.events(spool.limit, spool.fill)
    winsize, number, messages = spool.winsize, spool.next_id, []
    rest: list[Event] = []
    if whole:
        encoded = encode(head, whole, next_id=number, winsize=winsize, payload=payload, flush=True)
        messages, rest, winsize = encoded.messages, encoded.rest, encoded.winsize
    encoded = encode(
        head,
        [*rest, *part],
        next_id=number + len(messages),
        winsize=winsize,
        payload=payload,
        flush=True,
        final=True,
    )
    numbered = list(enumerate([*messages, *encoded.messages], start=number))
    return numbered[spool.sent :]


def recover(path: str) -> None:
    """Store what is left in a spool, log its end as abnormal, and remove it.

    Waits for as long as the sink is away. Raises SpoolError where nothing can be made of it.
    """
    spool = Spool.open(path)
    head, recording, settings = understand(spool.meta)
    sink = open_sink(head, settings)
    last = spool.next_id + spool.sent - 1
    for number, message in unsent_messages(spool, head, settings.number("payload")):
        while True:
            try:
                if sink.write(message, number):
                    break
                _wait(sink.fileno())
            except SinkError:
                _wait(-1)
        last = number
        spool.set_sent(number - spool.next_id + 1)
    ended = recording._replace(end=time.time_ns() // 1000, messages=last, reason=entries.ABNORMAL)

    def say_end() -> None:
        log_entry(entries.end_fields(ended), patient=True)
        log_entry(entries.abnormal_fields(ended), patient=True)

    say_end()
    running.unlink_pty(recording.tty, recording.rec)
    spool.remove()
    if can_confirm(settings):
        confirm(ended, last, say_end)


def log_entry(fields: Mapping[str, str], *, patient: bool = False) -> None:
    """Log a start or end entry; SinkError when the journal does not take it in time.

    A ``patient`` caller has nobody waiting and stays until the journal is back.
    """
    datagram = journal_protocol.pack(fields)
    deadline = time.monotonic() + IMPATIENT_SECONDS
    while True:
        try:
            sock = journal_protocol.connect()
            try:
                while not journal_protocol.send(sock, datagram):
                    if not patient and time.monotonic() > deadline:
                        raise SinkError("the journal does not read")
                    _wait(sock.fileno())
                return
            finally:
                sock.close()
        except SinkError:
            if not patient:
                raise
            _wait(-1)


def _wait(fd: int) -> None:
    poll = select.poll()
    if fd >= 0:
        poll.register(fd, select.POLLOUT)
    poll.poll(RETRY_SECONDS * 1000)
