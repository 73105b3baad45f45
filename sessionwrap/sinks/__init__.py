"""Sinks: where messages go. One file each, and one line in ``WRITERS``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from sessionwrap.model import Head
from sessionwrap.settings import Settings
from sessionwrap.sinks.file import FileSink
from sessionwrap.sinks.journal import JournalSink


class Sink(Protocol):
    """What the worker asks of a sink."""

    def write(self, message: bytes, number: int) -> bool:
        """Take the message with id ``number``, one line of JSON without its line break.

        False: busy, come again when ``fileno`` is writable. SinkError: gone, full or broken;
        the message was not taken and the same call may be made again later.
        """

    def fileno(self) -> int:
        """Give the descriptor that becomes writable when a busy sink is ready; -1 for none."""

    def close(self) -> None:
        """Let go of what the sink holds."""


WRITERS: Final[dict[str, Callable[[Head, Settings], Sink]]] = {
    "journal": JournalSink,
    "file": FileSink,
}


def open_sink(head: Head, settings: Settings) -> Sink:
    """Make the sink that the settings name, for the recording of ``head``."""
    return WRITERS[settings.text("writer")](head, settings)
