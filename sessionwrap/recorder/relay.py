"""The relay: bytes between outer terminal and recording pty, each recorded before it goes on.

One loop, one thread, nothing in it waits but poll(2). Back-pressure works both ways: who does not
read is not written to, and what cannot be recorded is not read.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import termios
import time
from collections.abc import Callable
from typing import Final

from sessionwrap import entries, handshake
from sessionwrap.model import INPUT, OUTPUT, WINDOW, pack_winsize
from sessionwrap.recorder import notices, running, terminal
from sessionwrap.recorder.outbox import Outbox
from sessionwrap.recorder.spool import Spool

CHUNK: Final = 4096
"""Bytes of one read. A pty gives at most 4095."""
BURST: Final = 16
"""Reads of output in a row before input is looked at again."""
LAST_BYTES: Final = 1 << 20
"""More than a pty holds (TTYB_DEFAULT_MEM_LIMIT, 640 KiB, of the kernel's tty_buffer.c): a job that
was left in the background, and prints on, is not waited for."""
MANY: Final = 1024
"""Bytes: a read of as many as that is likely to be followed by another."""
ROBBED: Final = 3
"""How many times in a row what was there to be read is gone before it is an intruder."""
_IN: Final = select.POLLIN
_OUT: Final = select.POLLOUT
_GONE: Final = select.POLLHUP | select.POLLERR | select.POLLNVAL


class Signals:
    """Signals as bytes of a pipe, so that poll(2) sees them.

    SIGUSR1: the recorder has found out that the journal keeps nothing of what it is sent.
    """

    def __init__(self) -> None:
        self.fd, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in (signal.SIGWINCH, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, lambda _number, _frame: None)

    def take(self) -> bytes:
        """Give the numbers of the signals that came, a byte each."""
        try:
            return os.read(self.fd, 512)
        except BlockingIOError:
            return b""


class Relay:
    """Relays until one side ends; ``run`` gives the reason, a word of ``entries``.

    ``outer`` and ``master`` do not block. ``connection`` is that of a login shell that waits for
    its child, or -1: it says when the window changes and must be there as long as we are.
    ``listener`` is where other workers ask about this recording (``running.answer``).
    ``start`` is CLOCK_MONOTONIC at the first event, in nanoseconds. ``may_lose``: while the sink
    is stuck, what cannot be recorded passes all the same; ``lost`` counts its bytes.
    """

    def __init__(
        self,
        *,
        outer: int,
        master: int,
        connection: int,
        listener: socket.socket,
        spool: Spool,
        outbox: Outbox,
        sink_fileno: Callable[[], int],
        signals: Signals,
        start: int,
        log_input: bool,
        log_output: bool,
        log_window: bool,
        has_it_alone: bool,
        may_lose: bool,
    ) -> None:
        self._outer = outer
        self._master = master
        self._connection = connection
        self._spool = spool
        self._outbox = outbox
        self._sink_fileno = sink_fileno
        self._signals = signals
        self._start = start
        self._log_input = log_input
        self._log_output = log_output
        self._log_window = log_window
        self._has_it_alone = has_it_alone
        self._may_lose = may_lose
        self.lost = self._gap = self._robbed = 0
        self._to_outer = b""
        self._to_master = b""
        self._master_open = True
        self._ended = self._stalled = self._said_stalled = False
        self._reason: str | None = None
        self._polled: dict[int, int] = {}
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[int], None]] = {
            outer: self._on_outer,
            master: self._on_master,
            signals.fd: self._on_signals,
            connection: self._on_connection,
            listener.fileno(): lambda _: running.answer(listener, master, may_lose=may_lose),
        }
        for fd in (signals.fd, listener.fileno(), connection):
            if fd >= 0:
                self._set_polled(fd, _IN)
        self._watch()

    def now(self) -> int:
        """Give the time in milliseconds from the first event."""
        return (time.monotonic_ns() - self._start) // 1_000_000

    def run(self) -> str:
        """Relay until the session ends. Raises SpoolError and OSError on faults of our own."""
        poll, handlers, outbox = self._poll.poll, self._handlers, self._outbox
        while self._reason is None:
            due = outbox.due
            at_end = self._ended and not self._to_outer and not self._stalled
            wait = None if due is None else max(0, due - self.now())
            found = poll(0 if at_end else wait)
            if at_end and not found:
                self._reason = entries.EXITED  # all that was printed has been read
            for fd, happened in found:
                handlers[fd](happened)
            due = outbox.due
            if due is not None and (now := self.now()) >= due:
                outbox.flush(now, everything=True)
                self._say_stalled()
                self._watch()
        return self._reason

    def show(self, data: bytes) -> None:
        """Record and write something to the user's terminal as if a program had."""
        if self._log_output:
            self._record(OUTPUT, data)
        self._write_outer(data)

    def drain_output(self, reason: str) -> str:
        """Record what the session printed after ``run`` had ended for ``reason``; give the reason.

        On a busy machine sshd may close its terminal before we have seen that the shell has ended.
        """
        left = LAST_BYTES
        while left > 0 and (self._spool.room(CHUNK) is not None or self._passes()):
            try:
                data = os.read(self._master, CHUNK)
            except BlockingIOError:
                break
            except OSError:  # EIO: no process is left that could print
                return entries.EXITED if reason == entries.HUNG_UP else reason
            if not data:
                break
            left -= len(data)
            if self._log_output:
                self._record(OUTPUT, data)
        return reason

    def _on_master(self, happened: int) -> None:
        if happened & _OUT:
            self._drain_to_master()
        if not happened & ~_OUT:
            return
        spool, outbox, master = self._spool, self._outbox, self._master
        for _ in range(BURST):
            place = spool.room(CHUNK)
            if place is None:
                self._pass_output_unrecorded() if self._passes() else self._stall()
                return
            try:
                count = os.readv(master, [place])
            except BlockingIOError:
                break
            except OSError:
                count = 0  # EIO: the last process has closed the slave
            if not count:
                self._master_open = False
                self._watch()
                break
            if self._log_output:
                now = self.now()
                spool.commit(now, OUTPUT, count)
                if outbox.idle:
                    outbox.saw(now)
            if not self._write_outer(place[:count]) or count < MANY:
                break
        if spool.fill >= outbox.full_at and not outbox.busy and not outbox.is_away:
            outbox.flush(self.now(), everything=False)
            if outbox.busy:
                self._watch()

    def _on_outer(self, happened: int) -> None:
        if happened & _OUT:
            self._drain_to_outer()
        if not happened & ~_OUT:
            return
        if self._log_input and self._spool.room(CHUNK) is None and not self._passes():
            self._stall()
            return
        try:
            data = os.read(self._outer, CHUNK)
        except BlockingIOError:
            self._was_robbed()
            return
        except OSError:
            data = b""  # EIO: hung up
        self._robbed = 0
        if not data:
            self._reason = entries.HUNG_UP
            return
        if self._log_input:
            self._record(INPUT, self._masked(data))
        self._write_master(data)

    def _was_robbed(self) -> None:
        """Somebody else reads what the user types: an unrecorded line, which is cut.

        poll(2) said that there is something, and there is nothing: a process that had opened the
        terminal before it was closed to all reads there, or holds its lock while it waits to
        (n_tty_read). In a terminal of another session that may be in order.
        """
        self._robbed += 1
        if self._has_it_alone and self._robbed >= ROBBED:
            self._reason = entries.INTRUDED

    def _on_signals(self, _happened: int) -> None:
        came = self._signals.take()
        if signal.SIGWINCH in came:
            self._resize()
        if signal.SIGUSR1 in came:
            self._write_outer(notices.LOSING if self._may_lose else notices.NOT_KEPT)
        if signal.SIGUSR1 in came and not self._may_lose:
            self._reason = entries.UNSTORED
        elif signal.SIGHUP in came:
            self._reason = entries.HUNG_UP
        elif signal.SIGTERM in came:
            self._reason = entries.TERMINATED

    def _on_connection(self, _happened: int) -> None:
        # The login shell at its other end can say two things, and must not go away before us.
        said = os.read(self._connection, handshake.MAX_FRAME)
        if said == handshake.WINCH:
            self._resize()
        elif said == handshake.ENDED:
            self._ended = True
        else:
            self._reason = entries.HUNG_UP

    def _on_sink(self, _happened: int) -> None:
        self._outbox.resume(self.now())
        self._watch()

    def _watch(self) -> None:
        """Poll for what the present state can use, and for no more."""
        self.mark_gap()
        has_room = self._stalled and self._spool.room(2 * CHUNK) is not None
        if has_room or (self._stalled and self._passes()):
            self._stalled = self._said_stalled = False
        if has_room:
            self._resize()  # a change of the window meanwhile found no room
        if not self._master_open and not self._to_outer and self._reason is None:
            self._reason = entries.EXITED
        reads_outer = not self._to_master and not self._stalled
        # Its hang-up is wanted always, so the outer terminal stays in even for nothing else.
        outer = (_IN if reads_outer else 0) | (_OUT if self._to_outer else 0)
        self._set_polled(self._outer, outer, keep=True)
        reads_master = self._master_open and not self._to_outer and not self._stalled
        master = (_IN if reads_master else 0) | (_OUT if self._to_master else 0)
        self._set_polled(self._master, master if self._master_open else 0)
        sink = self._sink_fileno()
        for fd in [fd for fd in self._polled if self._handlers[fd] == self._on_sink]:
            if fd != sink or not self._outbox.busy:
                self._set_polled(fd, 0)
        if self._outbox.busy and sink >= 0:
            self._handlers[sink] = self._on_sink
            self._set_polled(sink, _OUT)

    def _set_polled(self, fd: int, wanted: int, *, keep: bool = False) -> None:
        # A descriptor that hung up and is polled for nothing would wake us without end.
        if wanted or keep:
            if self._polled.get(fd) != wanted:
                self._poll.register(fd, wanted)
                self._polled[fd] = wanted
        elif fd in self._polled:
            self._poll.unregister(fd)
            del self._polled[fd]

    def _stall(self) -> None:
        """The spool is full: nothing is read until a sink has taken some of it."""
        if not self._stalled:
            self._stalled = True
            self._say_stalled()
            self._watch()

    def _say_stalled(self) -> None:
        waits = self._stalled and not self._may_lose
        if waits and not self._said_stalled and self._outbox.is_stuck(self.now()):
            self._said_stalled = True
            self._write_outer(notices.STALLED)

    def _passes(self) -> bool:
        """Tell whether what finds no room passes unrecorded. Not where the sink is only slow."""
        return self._may_lose and self._outbox.is_stuck(self.now())

    def _pass_output_unrecorded(self) -> None:
        try:
            data = os.read(self._master, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._master_open = False
            self._watch()
            return
        if self._log_output:
            self._lose(len(data))
        self._write_outer(data)

    def _lose(self, count: int) -> None:
        """The spool is full, and the policy says to go on: count what passes unrecorded."""
        if not self._gap:
            self._write_outer(notices.LOSING)
        self._gap += count
        self.lost += count

    def mark_gap(self) -> bool:
        """Say in the recording how much is missing here, if there is room; tells whether it did."""
        if not self._gap or self._spool.room(2 * CHUNK) is None:
            return False
        gap, self._gap = self._gap, 0
        self._record(OUTPUT, notices.LOST % gap)
        self._resize()  # a change of the window meanwhile is missing too
        return True

    def _record(self, kind: int, data: bytes) -> None:
        now = self.now()
        if not self._spool.put(now, kind, data):
            if self._passes():
                self._lose(len(data))
            else:
                self._stall()
        elif self._outbox.idle:
            self._outbox.saw(now)

    def _resize(self) -> None:
        try:
            size = terminal.copy_winsize(self._outer, self._master)
        except OSError:
            return  # hung up: poll is about to say so
        if self._log_window:
            self._record(WINDOW, pack_winsize(size))

    def _masked(self, data: bytes) -> bytes:
        try:
            hidden = terminal.hides_typing(self._master)
        except (OSError, termios.error):
            hidden = True
        return bytes(byte if byte < 0x20 else 0x2A for byte in data) if hidden else data

    def _write_outer(self, data: bytes | memoryview) -> bool:
        """Write to the user's terminal; false: it is full, and no more output is read."""
        try:
            count = 0 if self._to_outer else os.write(self._outer, data)
        except BlockingIOError:
            count = 0
        except OSError:
            self._reason = entries.HUNG_UP
            return False
        if count == len(data):
            return True
        self._to_outer += data[count:]
        self._watch()
        return False

    def _drain_to_outer(self) -> None:
        """Write what was left when the user's terminal was full."""
        pending, self._to_outer = self._to_outer, b""
        if self._write_outer(pending):
            self._watch()

    def _write_master(self, data: bytes) -> None:
        """Write to the recording pty; what does not fit stops the reading of input."""
        try:
            count = os.write(self._master, data)
        except BlockingIOError:
            count = 0
        except OSError:
            return  # nobody is left to read it; the output's end says so
        if count < len(data):
            self._to_master = data[count:]
            self._watch()

    def _drain_to_master(self) -> None:
        """Write what was left when the recording pty was full."""
        pending, self._to_master = self._to_master, b""
        self._write_master(pending)
        if not self._to_master:
            self._watch()
