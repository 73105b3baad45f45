"""Events to messages of tlog's format 2.3. Stateless: what is not yet a message is given back.

Events are packed greedily, character by character as it were: a message is full when the next
unit (a character, an invalid sequence, a window size) does not fit. Where messages begin so
depends on nothing but the events before, however they were handed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

from sessionwrap.codec import timing, utf8
from sessionwrap.codec.jsontext import Cut, Escapes, escape, escapes_in, fit
from sessionwrap.codec.message import prefix, serialize
from sessionwrap.codec.utf8 import Run
from sessionwrap.model import (
    INPUT,
    OUTPUT,
    WINDOW,
    Event,
    Head,
    Winsize,
    pack_winsize,
    unpack_winsize,
)

MIN_PAYLOAD: Final = 32
"""The smallest payload, as with tlog: any unit fits into an empty message, its size included."""

_REPLACEMENT = "\ufffd".encode()
_TEXT_MARK = (b"", timing.TEXT_INPUT.encode(), timing.TEXT_OUTPUT.encode())
_BINARY_MARK = (b"", timing.BINARY_INPUT.encode(), timing.BINARY_OUTPUT.encode())
_NUMBERS = [b"%d" % byte for byte in range(256)]
_BLOCK = 64
"""How many runs are placed at once."""
_TIME_AND_KIND = itemgetter(0, 1)
_DATA = itemgetter(2)


class Encoded(NamedTuple):
    """Complete messages (JSON in UTF-8, no newline), and what goes into the next call.

    ``winsize`` is the window size known before ``rest``.
    """

    messages: list[bytes]
    rest: list[Event]
    winsize: Winsize | None


def encode(
    head: Head,
    events: Sequence[Event],
    *,
    next_id: int,
    winsize: Winsize | None,
    payload: int,
    flush: bool,
    final: bool = False,
) -> Encoded:
    """Pack ``events``, whose times never go back, into messages ``next_id``, ``next_id`` + 1, …

    ``winsize`` is the size known before the events. ``payload`` is the most bytes that timing,
    text and binary take together in the JSON of one message. Without ``flush`` only full
    messages are given, and ``rest`` is the events of the unfinished one; with it, everything
    but incomplete UTF-8 sequences at the end of input and output; with ``final``, these too, as
    binary. Encoding ``rest`` and further events goes on as one call would have done.

    Raises ValueError for a payload below MIN_PAYLOAD and for a window size beyond 65535.
    """
    if payload < MIN_PAYLOAD:
        raise ValueError(f"a payload of {payload} bytes, expected {MIN_PAYLOAD} or more")
    packer = _Packer(head, next_id, winsize, payload, escapes_in(b"".join(map(_DATA, events))))
    held: _Held = {}
    rest = _pack(packer, events, held)
    if flush or final:
        late = sorted(_not_before(packer.last, event) for event in held.values())
        if final:
            for event in late:
                packer.binary(*event)
        packer.close()
        rest = [] if final else late
    return Encoded(packer.messages, rest, packer.winsize_before)


_Held = dict[int, Event]
"""The incomplete sequences that input and output end with so far."""


def _pack(packer: _Packer, events: Sequence[Event], held: _Held) -> list[Event]:
    """Add the events; give those that are not in a full message."""
    unfinished: list[Event] = []
    index = unfinished_index = 0
    for (time, kind), group in groupby(events, _TIME_AND_KIND):
        alike = list(group)
        index += len(alike)
        packer.units = []
        full = len(packer.messages)
        if kind == WINDOW:
            for event in alike:
                packer.window(time, unpack_winsize(event.data))
        else:
            _pack_data(packer, held, Event(time, kind, b"".join(map(_DATA, alike))))
        if len(packer.messages) > full:
            others = [event for other, event in held.items() if other != kind]
            unfinished = [_not_before(packer.last_written, event) for event in others]
            unfinished += packer.units
            unfinished += [held[kind]] if kind in held else []
            unfinished_index = index
    return [*unfinished, *events[unfinished_index:]]


def _pack_data(packer: _Packer, held: _Held, event: Event) -> None:
    time, kind, data = event
    before = held.pop(kind, None) if data else None
    if before is not None:
        if utf8.continues(before.data, data):
            data = before.data + data
        else:
            packer.binary(*before)
    runs, incomplete = utf8.split(data)
    packer.runs(time, kind, runs)
    if incomplete:
        held[kind] = Event(time, kind, incomplete)


def _not_before(time: int, event: Event) -> Event:
    # While it was held, others passed it and are written: it can be no older than they are.
    return event._replace(time=max(event.time, time))


class _Place(NamedTuple):
    """Where a unit would go: ``lead`` is the timing before its run, ``size`` the message's with
    it but without the run's record, ``chars`` and ``bytes`` what the run has already."""

    lead: bytes
    size: int
    chars: int
    bytes: int


class _Packer:
    """The message being filled, and those that are full.

    ``units`` collects what is added to the message; the caller may empty it at any time.
    """

    def __init__(
        self,
        head: Head,
        next_id: int,
        winsize: Winsize | None,
        payload: int,
        escapes: Escapes,
    ) -> None:
        self.messages: list[bytes] = []
        self.last = self.last_written = 0
        self._prefix = prefix(head)
        self._start = head.start
        self._next_id = next_id
        self._payload = payload
        self._escapes = escapes
        self._winsize = winsize
        self._begin()

    def _begin(self) -> None:
        self.units: list[Event] = []
        self._pos: int | None = None
        self.winsize_before = self._winsize
        self._timing: list[bytes] = []
        self._text: tuple[list[bytes], ...] = ([], [], [])
        self._binary: tuple[list[bytes], ...] = ([], [], [])
        # Of the message so far with and without the record of the run that may still grow.
        self._size = self._closed_size = 0
        self._mark = b""
        self._run = b""
        self._chars = 0
        self._bytes = 0

    def window(self, time: int, size: Winsize) -> None:
        """Add a window size, unless it is the one already known."""
        if size == self._winsize:
            return
        time = max(time, self.last)
        record = timing.winsize(*size)
        place = self._window_place(time)
        if place.size + len(record) > self._payload:
            self.close()
            place = self._window_place(time)
        self._put(place, Event(time, WINDOW, pack_winsize(size)), b"", record, 0)
        self._winsize = size

    def runs(self, time: int, kind: int, runs: list[Run]) -> None:
        """Add runs, valid and invalid in turn."""
        for run in runs[:1]:
            self._add(time, kind, run)
        # Of a binary file there are thousands: placing them one by one is slow.
        for start in range(1, len(runs), _BLOCK):
            self._add_block(time, kind, runs[start : start + _BLOCK])

    def text(self, time: int, kind: int, data: bytes, chars: int) -> None:
        """Add valid UTF-8, over as many messages as it takes."""
        time = max(time, self.last)
        mark = _TEXT_MARK[kind]
        escaped = escape(data, self._escapes)
        while data:
            place = self._place(time, mark)
            cut = Cut(chars, len(data), len(escaped))
            full = place.size + 1 + _digits(place.chars + chars) + len(escaped) > self._payload
            if full:
                cut = self._fit(place, data, chars, escaped)
            if cut.chars:
                record = mark + b"%d" % (place.chars + cut.chars)
                self._text[kind].append(escaped[: cut.escaped])
                self._put(place, Event(time, kind, data[: cut.raw]), mark, record, cut.escaped)
                self._chars = place.chars + cut.chars
            if full:
                self.close()
            data, escaped, chars = data[cut.raw :], escaped[cut.escaped :], chars - cut.chars

    def binary(self, time: int, kind: int, data: bytes) -> None:
        """Add an invalid run, over as many messages as it takes."""
        time = max(time, self.last)
        mark = _BINARY_MARK[kind]
        left = utf8.sequences(data)
        while left:
            place = self._place(time, mark)
            taken = self._fit_binary(place, kind, left)
            if taken:
                raw = b"".join(left[:taken])
                numbers = _numbers(raw)
                comma = 1 if self._binary[kind] else 0
                record = mark + b"%d/%d" % (place.chars + taken, place.bytes + len(raw))
                self._text[kind].append(_REPLACEMENT * taken)
                self._binary[kind].append(numbers)
                cost = taken * len(_REPLACEMENT) + len(numbers) + comma
                self._put(place, Event(time, kind, raw), mark, record, cost)
                self._chars = place.chars + taken
                self._bytes = place.bytes + len(raw)
            if taken < len(left):
                self.close()
            left = left[taken:]

    def close(self) -> None:
        """Make a message of what is there, if anything is."""
        if self._pos is None:
            return
        self.messages.append(
            serialize(
                self._prefix,
                number=self._next_id,
                pos=self._pos,
                time=self._start + self._pos,
                timing=b"".join((*self._timing, self._run)),
                in_txt=b"".join(self._text[INPUT]),
                in_bin=b",".join(self._binary[INPUT]),
                out_txt=b"".join(self._text[OUTPUT]),
                out_bin=b",".join(self._binary[OUTPUT]),
            )
        )
        self._next_id += 1
        self.last_written = self.last
        self._begin()

    def _add(self, time: int, kind: int, run: Run) -> None:
        if run.valid:
            self.text(time, kind, run.data, run.chars)
        else:
            self.binary(time, kind, run.data)

    def _add_block(self, time: int, kind: int, runs: list[Run]) -> None:
        """Add runs after one that they do not continue: all at once if they fit, or by halves."""
        if len(runs) == 1:
            self._add(time, kind, runs[0])
            return
        marks = (_BINARY_MARK[kind], _TEXT_MARK[kind])
        records = [
            b"%b%d" % (marks[1], run.chars)
            if run.valid
            else b"%b%d/%d" % (marks[0], run.chars, len(run.data))
            for run in runs
        ]
        text = b"".join([run.data if run.valid else _REPLACEMENT * run.chars for run in runs])
        escaped = escape(text, self._escapes)
        binary = b"".join([run.data for run in runs if not run.valid])
        numbers = _numbers(binary)
        comma = 1 if self._binary[kind] else 0
        time = max(time, self.last)
        before = sum(map(len, records[:-1]))
        cost = len(escaped) + len(numbers) + comma
        if self._size + before + cost + len(records[-1]) > self._payload:
            middle = len(runs) // 2
            self._add_block(time, kind, runs[:middle])
            self._add_block(time, kind, runs[middle:])
            return
        self._text[kind].append(escaped)
        self._binary[kind].append(numbers)
        self._timing += self._run, *records[:-2]
        self._run = records[-2]
        place = _Place(b"", self._size + before, 0, 0)
        data = b"".join([run.data for run in runs])
        self._put(place, Event(time, kind, data), marks[runs[-1].valid], records[-1], cost)
        self._chars = runs[-1].chars
        self._bytes = len(runs[-1].data)

    def _place(self, time: int, mark: bytes) -> _Place:
        if self._pos is None:
            lead = timing.winsize(*self._winsize) if self._winsize is not None else b""
            return _Place(lead, len(lead), 0, 0)
        if time > self.last:
            lead = timing.delay(time - self.last)
            return _Place(lead, self._size + len(lead), 0, 0)
        if mark == self._mark:
            return _Place(b"", self._closed_size, self._chars, self._bytes)
        return _Place(b"", self._size, 0, 0)

    def _window_place(self, time: int) -> _Place:
        # A message that begins with a window event has its size from that.
        return _Place(b"", 0, 0, 0) if self._pos is None else self._place(time, b"=")

    def _put(self, place: _Place, event: Event, mark: bytes, record: bytes, cost: int) -> None:
        """Account for a unit whose text is stored: ``record`` is its run's, ``cost`` its bytes."""
        if not place.chars:
            self._timing += self._run, place.lead
            self._bytes = 0
        if self._pos is None:
            self._pos = event.time
        self._closed_size = place.size + cost
        self._size = self._closed_size + len(record)
        self._mark = mark
        self._run = record
        self.last = event.time
        self.units.append(event)

    def _fit(self, place: _Place, data: bytes, chars: int, escaped: bytes) -> Cut:
        """Find how much of a text still fits; its count has fewer digits when less does."""
        digits = _digits(place.chars + chars)
        room = self._payload - place.size - 1
        best = fit(data, escaped, room - digits)
        while _digits(place.chars + best.chars) < digits:
            digits -= 1
            wider = fit(data, escaped, room - digits)
            if _digits(place.chars + wider.chars) > digits:
                break
            best = wider
        return best

    def _fit_binary(self, place: _Place, kind: int, sequences: list[bytes]) -> int:
        chars, count = place.chars, place.bytes
        # The first number of a list has no comma before it.
        size = place.size + 2 - (0 if self._binary[kind] else 1)
        for taken, sequence in enumerate(sequences):
            chars += 1
            count += len(sequence)
            size += len(_REPLACEMENT) + sum([len(_NUMBERS[byte]) + 1 for byte in sequence])
            if size + _digits(chars) + _digits(count) > self._payload:
                return taken
        return len(sequences)


def _numbers(data: bytes) -> bytes:
    return b",".join([_NUMBERS[byte] for byte in data])


def _digits(number: int) -> int:
    return len(str(number))
