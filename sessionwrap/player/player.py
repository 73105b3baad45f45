"""Plays a recording: one loop that waits for the time, the keys, the source and the screen."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import NamedTuple

from sessionwrap.errors import SessionwrapError
from sessionwrap.model import OUTPUT, WINDOW, Event, unpack_winsize
from sessionwrap.player import keys
from sessionwrap.player.clock import Clock
from sessionwrap.player.events import Events
from sessionwrap.player.modes import ModeTracker
from sessionwrap.player.position import END
from sessionwrap.player.safety import Filter
from sessionwrap.player.terminal import Terminal
from sessionwrap.readers.source import OnSkip, Source

_ENOUGH = 1 << 16
"""Bytes that are waiting to be written before more events are taken."""
_LONGEST_WAIT = 3600.0
_LAST_WRITE_SECONDS = 1.0
_CANCEL = b"\x18"
"""CAN ends an escape sequence that was written in part (ECMA-48)."""
_CLEAR = b"\x1b[H\x1b[2J"


class Options(NamedTuple):
    """How to play. ``goto`` and ``max_idle`` are milliseconds of the recording."""

    speed: float = 1.0
    goto: int = 0
    max_idle: int | None = None
    paused: bool = False
    raw: bool = False
    utf8: bool = True


class Player:
    """Plays the messages of ``source`` on ``terminal``, which is set up.

    Garbage is a MessageError, or with ``on_skip`` is told to it and left out. ``say`` shows a
    line to the auditor. ``has_played`` tells whether there was any event to play.
    """

    def __init__(
        self,
        source: Source,
        terminal: Terminal,
        options: Options,
        say: Callable[[str], None],
        on_skip: OnSkip | None = None,
    ) -> None:
        self._events = Events(source, on_skip)
        self._source = source
        self._terminal = terminal
        self.has_played = False
        self._options = options
        self._say = say
        self._keys = keys.KeyParser()
        self._clock = Clock(time.monotonic(), speed=options.speed, paused=options.paused)
        self._skip_to: int | None = options.goto or None
        self._steps = 0
        self._starved = False
        self._ended = False
        self._quit = False
        self._size_told = False
        self._out = bytearray()
        self._fresh_screen()

    def _fresh_screen(self) -> None:
        self._filter = Filter(utf8=self._options.utf8)
        self._modes = ModeTracker()

    def run(self) -> None:
        """Play until the end or until the auditor quits; the modes of the screen are set back."""
        try:
            while not self._quit and not self._terminal.signalled:
                self._take_due_events()
                if self._ended and not self._out and not self._clock.paused:
                    break
                self._wait()
        finally:
            self._set_back()

    def _take_due_events(self) -> None:
        while len(self._out) < _ENOUGH:
            if self._out and not self._events.has_decoded:
                return  # what comes next may be garbage: all before that is shown first
            event = self._events.peek()
            if event is None:
                self._run_dry()
                return
            if self._starved or not self.has_played:
                # The first event comes at once. So does, live, what has just been stored: it is
                # shown from here on, however late it came.
                self._starved = False
                self._move(event.time)
            if not self._is_due(event):
                return
            self._events.take()
            self._show(event)

    def _run_dry(self) -> None:
        ended = self._source.ended
        if ended and not self._ended:
            self._out += self._pass(b"", last=True)
        self._ended = ended
        self._starved = not ended
        if ended or self._skip_to == END:
            self._skip_to = None

    def _is_due(self, event: Event) -> bool:
        if self._skip_to is not None:
            if event.time <= self._skip_to:
                self._move(event.time)
                return True
            self._move(self._skip_to)
            self._skip_to = None
        if self._steps:
            self._move(event.time)
            self._steps -= event.kind == OUTPUT  # only what shows something is a step
            return True
        if self._clock.paused:
            return False
        longest = self._options.max_idle
        if longest is not None and event.time - self._position() > longest:
            self._move(event.time - longest)
        return event.time <= self._position()

    def _show(self, event: Event) -> None:
        self.has_played = True
        if event.kind == OUTPUT:
            self._out += self._pass(event.data)
        elif event.kind == WINDOW and not self._size_told:
            self._size_told = True
            self._compare_size(event.data)

    def _pass(self, data: bytes, *, last: bool = False) -> bytes:
        if not self._terminal.is_screen:
            return data
        if not self._options.raw:
            data = self._filter.feed(data) + (self._filter.flush() if last else b"")
        self._modes.feed(data)
        return data

    def _compare_size(self, data: bytes) -> None:
        recorded, here = unpack_winsize(data), self._terminal.size()
        if here and (recorded.width > here.width or recorded.height > here.height):
            self._say(
                f"the recording is {recorded.width}x{recorded.height}, "
                f"this terminal is {here.width}x{here.height}: it will look broken"
            )

    def _wait(self) -> None:
        """Sleep until something can be done, and do it."""
        timeout: float | None = None
        waits_for_source = False
        if not self._out and not self._clock.paused:
            event = self._events.peek()
            if event is not None:
                timeout = self._clock.wait(time.monotonic(), event.time)
        if not self._out and self._starved:
            waits_for_source = True
            timeout = self._source.timeout()
        ready = self._terminal.wait(
            None if timeout is None else min(timeout, _LONGEST_WAIT),
            source=self._source.fileno() if waits_for_source else -1,
            output=bool(self._out),
        )
        if waits_for_source:
            self._source.acknowledge()
        if "keys" in ready:
            self._obey(self._terminal.read_keys())
        if "output" in ready and self._out:
            self._write()

    def _write(self) -> None:
        with memoryview(self._out) as view:
            written = self._write_some(view)
        del self._out[:written]

    def _write_some(self, data: memoryview) -> int:
        try:
            return self._terminal.write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            if error.errno != errno.EIO:
                raise SessionwrapError(f"cannot write: {error.strerror}") from error
            self._quit = True  # the auditor's terminal is gone, and its modes with it
            return len(data)

    def _obey(self, typed: bytes) -> None:
        if not typed:
            self._quit = True  # the auditor's terminal is gone
        for command in self._keys.feed(typed):
            now = time.monotonic()
            if command.name == keys.QUIT:
                self._quit = True
            elif command.name == keys.PAUSE:
                self._clock.set_paused(now, paused=not self._clock.paused)
            elif command.name == keys.FASTER:
                self._clock.set_speed(now, self._clock.speed * 2)
            elif command.name == keys.SLOWER:
                self._clock.set_speed(now, self._clock.speed / 2)
            elif command.name == keys.NORMAL_SPEED:
                self._clock.set_speed(now, 1.0)
            elif command.name == keys.NEXT_EVENT:
                self._steps += 1
            elif command.name == keys.GO_TO:
                self._go_to(command.position)

    def _go_to(self, position: int) -> None:
        is_back = position < self._position() or self._ended
        if is_back:
            if not self._source.rewind():
                self._say("going back is not possible in a pipe")
                return
            self._events.restart()
            self._ended = self._starved = False
            if self._terminal.is_screen:
                self._out[:] = self._cut_short() + self._modes.reset() + _CLEAR
            self._fresh_screen()
        self._steps = 0
        self._skip_to = position
        self._move(0 if is_back else self._position())

    def _cut_short(self) -> bytes:
        return _CANCEL if self._out else b""

    def _set_back(self) -> None:
        """Set the modes of the screen back; what was not written yet is not written any more."""
        if not self._terminal.is_screen:
            return
        self._out[:] = self._cut_short() + self._modes.reset()
        until = time.monotonic() + _LAST_WRITE_SECONDS
        while self._out and (left := until - time.monotonic()) > 0:
            if "output" in self._terminal.wait(left, output=True):
                self._write()

    def _position(self) -> float:
        return self._clock.position(time.monotonic())

    def _move(self, position: float) -> None:
        self._clock.move(time.monotonic(), position)
