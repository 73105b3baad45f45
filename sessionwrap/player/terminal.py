"""The auditor's terminal: set up for a while, and always given back as it was."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import termios
import tty
from types import FrameType, TracebackType
from typing import Any

from sessionwrap.model import Winsize

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_WRITE_SIZE = 4096
"""Bytes written at once. A pipe takes so many without blocking when poll says it takes any."""


class Terminal:
    """Standard input and output for the time of a playback; a context manager.

    A terminal is raw: keys arrive as they are typed and unseen, and output bytes arrive as they
    are. Where standard output is none, there are no keys, and nothing is set up. Signals that
    end a program are noticed as ``signalled`` and do not end it before the terminal is restored;
    stopping (Ctrl-Z) is off.
    """

    def __init__(self, stdin: int = 0, stdout: int = 1) -> None:
        self._stdin = stdin
        self._stdout = stdout
        self.is_screen = os.isatty(stdout)
        # Where the output goes elsewhere, the terminal belongs to what reads it (less).
        self.has_keys = self.is_screen and os.isatty(stdin)
        self.signalled = 0
        self._undo = contextlib.ExitStack()
        self._out = stdout
        self._poll = select.poll()

    def __enter__(self) -> Terminal:
        """Set the terminal up."""
        with contextlib.ExitStack() as undo:
            wake, self._wake = _pipe(undo)
            self._woken = wake
            before = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
            undo.callback(signal.set_wakeup_fd, before)
            for number in _SIGNALS:
                undo.callback(signal.signal, number, signal.signal(number, self._on_signal))
            undo.callback(
                signal.signal, signal.SIGTSTP, signal.signal(signal.SIGTSTP, signal.SIG_IGN)
            )
            for fd, is_ours in ((self._stdin, self.has_keys), (self._stdout, self.is_screen)):
                if is_ours:
                    attributes = termios.tcgetattr(fd)
                    undo.callback(_restore, fd, attributes)
                    tty.setraw(fd, termios.TCSANOW)
            if self.is_screen:
                self._out = _open_again(self._stdout, undo)
            self._undo = undo.pop_all()
        self._poll.register(self._woken, select.POLLIN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Restore the terminal and the signal handlers."""
        self._undo.close()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.signalled = number

    def size(self) -> Winsize | None:
        """Give the size of the screen; None where there is none or it has no size."""
        try:
            packed = fcntl.ioctl(self._stdout, termios.TIOCGWINSZ, bytes(8))
        except OSError:
            return None
        height, width, _, _ = struct.unpack("4H", packed)
        return Winsize(width, height) if width and height else None

    def wait(self, timeout: float | None, *, source: int = -1, output: bool = False) -> set[str]:
        """Wait for keys, for ``source`` to be readable, for room to write, or ``timeout`` seconds.

        Gives which of "keys", "source", "output" are ready; none where time is up or a signal
        came.
        """
        names = {}
        if self.has_keys:
            names[self._stdin] = "keys"
        if source >= 0:
            names[source] = "source"
        if output:
            names[self._out] = "output"
        for fd, name in names.items():
            self._poll.register(fd, select.POLLOUT if name == "output" else select.POLLIN)
        try:
            # Rounded up: to wake a little early and find nothing due would be to spin.
            ready = self._poll.poll(None if timeout is None else int(timeout * 1000 + 0.999))
        finally:
            for fd in names:
                self._poll.unregister(fd)
        for fd, _ in ready:
            if fd == self._woken:
                os.read(self._woken, 512)
        return {names[fd] for fd, _ in ready if fd in names}

    def read_keys(self) -> bytes:
        """Give what was typed; b"" when the terminal is gone, and it is not asked again."""
        try:
            data = os.read(self._stdin, 1024)
        except OSError:
            data = b""
        if not data:
            self.has_keys = False
        return data

    def write(self, data: memoryview) -> int:
        """Write some of the bytes; gives how many. Does not block after "output" was ready.

        OSError where nobody reads any more.
        """
        try:
            return os.write(self._out, data[:_WRITE_SIZE])
        except BlockingIOError:
            return 0


def _pipe(undo: contextlib.ExitStack) -> tuple[int, int]:
    read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    undo.callback(os.close, read_end)
    undo.callback(os.close, write_end)
    return read_end, write_end


def _restore(fd: int, attributes: list[Any]) -> None:
    with contextlib.suppress(termios.error):  # the terminal is gone: there is nothing to restore
        # What was typed too late for the player must not reach the shell. TCSAFLUSH would do
        # that too, but waits for output as well, for ever where the terminal is stopped.
        termios.tcflush(fd, termios.TCIFLUSH)
        termios.tcsetattr(fd, termios.TCSANOW, attributes)


def _open_again(fd: int, undo: contextlib.ExitStack) -> int:
    """Open the terminal once more for writes that do not block; ``fd`` itself if that fails.

    O_NONBLOCK belongs to the open file, and that of ``fd`` is the shell's as well.
    """
    try:
        again = os.open(os.ttyname(fd), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return fd
    undo.callback(os.close, again)
    return again
