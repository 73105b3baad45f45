"""Messages of one recording, in their order, back to events."""

from __future__ import annotations

from sessionwrap.codec import timing
from sessionwrap.errors import MessageError
from sessionwrap.model import (
    INPUT,
    OUTPUT,
    WINDOW,
    Event,
    Message,
    Winsize,
    pack_winsize,
)

_KINDS = {
    timing.TEXT_INPUT: INPUT,
    timing.BINARY_INPUT: INPUT,
    timing.TEXT_OUTPUT: OUTPUT,
    timing.BINARY_OUTPUT: OUTPUT,
}
_BINARY = (timing.BINARY_INPUT, timing.BINARY_OUTPUT)


class Decoder:
    """Decodes the messages of one recording; hand them over in the order of their ids.

    ``lax`` goes on where a message is missing or wrong: what was found is added to
    ``warnings``, one sentence each, and what cannot be decoded is left out.
    """

    def __init__(self, *, lax: bool = False) -> None:
        self.warnings: list[str] = []
        self._lax = lax
        self._last: Message | None = None
        self._time = 0
        self._winsize: Winsize | None = None

    def decode(self, message: Message) -> list[Event]:
        """Give the events of the next message, their times never going back.

        A repetition of the message before gives none. MessageError where the id does not
        follow ("ID is out of order"; the first is 1) or where timing, text and binary do not
        fit together (`invalid "timing"`).
        """
        if message == self._last or not self._follows(message):
            return []
        self._last = message
        events: list[Event] = []
        try:
            self._decode(message, events)
        except MessageError as error:
            self._fault(f"message {message.id}: {error}")
        return events

    def _follows(self, message: Message) -> bool:
        expected = 1 if self._last is None else self._last.id + 1
        if message.id == expected:
            return True
        self._fault(f"Message ID is out of order: expected {expected}, got {message.id}")
        return message.id > expected

    def _fault(self, problem: str) -> None:
        if not self._lax:
            raise MessageError(problem)
        self.warnings.append(problem)

    def _decode(self, message: Message, events: list[Event]) -> None:
        streams = {
            INPUT: _Stream("in", message.in_txt, message.in_bin),
            OUTPUT: _Stream("out", message.out_txt, message.out_bin),
        }
        position = message.pos
        for record in timing.parse(message.timing):
            if record.mark == timing.DELAY:
                position += record.first
                continue
            self._time = max(self._time, position)
            if record.mark == timing.WINDOW:
                size = Winsize(record.first, record.second)
                if size != self._winsize:
                    self._winsize = size
                    events.append(Event(self._time, WINDOW, pack_winsize(size)))
                continue
            kind = _KINDS[record.mark]
            stream = streams[kind]
            if record.mark in _BINARY:
                data = stream.take_binary(record.first, record.second)
            else:
                data = stream.take_text(record.first)
            _append(events, Event(self._time, kind, data))
        for stream in streams.values():
            stream.check_taken()


class _Stream:
    """The text and binary of input or output, being taken from the beginning."""

    def __init__(self, name: str, text: str, binary: tuple[int, ...]) -> None:
        self._name = name
        self._text = text
        self._binary = binary
        self._chars = 0
        self._bytes = 0

    def take_text(self, count: int) -> bytes:
        return self._skip_text(count).encode()

    def take_binary(self, chars: int, count: int) -> bytes:
        self._skip_text(chars)
        taken = self._binary[self._bytes : self._bytes + count]
        if len(taken) < count:
            raise timing.invalid(f'it takes {count} bytes where "{self._name}_bin" ends')
        self._bytes += count
        return bytes(taken)

    def check_taken(self) -> None:
        if self._chars < len(self._text) or self._bytes < len(self._binary):
            raise timing.invalid(
                f'it leaves {len(self._text) - self._chars} characters of "{self._name}_txt" and '
                f'{len(self._binary) - self._bytes} bytes of "{self._name}_bin"'
            )

    def _skip_text(self, count: int) -> str:
        taken = self._text[self._chars : self._chars + count]
        if len(taken) < count:
            raise timing.invalid(f'it takes {count} characters where "{self._name}_txt" ends')
        self._chars += count
        return taken


def _append(events: list[Event], event: Event) -> None:
    if not event.data:
        return
    if events and events[-1][:2] == event[:2]:
        events[-1] = event._replace(data=events[-1].data + event.data)
    else:
        events.append(event)
