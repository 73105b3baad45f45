"""The events of a source, one after the other."""

from __future__ import annotations

from collections import deque

from sessionwrap.codec.decoder import Decoder
from sessionwrap.model import Event
from sessionwrap.readers.source import OnSkip, Source


class Events:
    """Decodes the messages of a source as they are needed.

    Garbage is a MessageError; with ``on_skip`` it is told to that, and left out.
    """

    def __init__(self, source: Source, on_skip: OnSkip | None) -> None:
        self._source = source
        self._on_skip = on_skip
        self.restart()

    def restart(self) -> None:
        """Begin anew: the source was rewound."""
        self._decoder = Decoder(lax=self._on_skip is not None)
        self._decoded: deque[Event] = deque()

    @property
    def has_decoded(self) -> bool:
        """Whether ``peek`` gives an event without reading from the source."""
        return bool(self._decoded)

    def peek(self) -> Event | None:
        """Give the next event without taking it; None where there is none now."""
        while not self._decoded:
            message = self._source.read()
            if message is None:
                return None
            self._decoded.extend(self._decoder.decode(message))
            self._report()
        return self._decoded[0]

    def take(self) -> None:
        """Take the event that ``peek`` gave."""
        self._decoded.popleft()

    def _report(self) -> None:
        if self._on_skip is not None:
            for warning in self._decoder.warnings:
                self._on_skip(warning)
        self._decoder.warnings.clear()
