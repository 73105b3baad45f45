"""The relay on real ptys, with a spool that fills and a sink that is away."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sessionwrap.codec import message
from sessionwrap.codec.decoder import Decoder
from sessionwrap.errors import SinkError
from sessionwrap.model import OUTPUT, Head
from sessionwrap.recorder import notices
from sessionwrap.recorder.outbox import Outbox
from sessionwrap.recorder.relay import LAST_BYTES, Relay, Signals
from sessionwrap.recorder.spool import MIN_BANK_BYTES, Spool

HEAD = Head("host", "rec", "alice", "xterm", 1, 1_000_000)


class Sink:
    """A sink that is away, or busy, until it is told otherwise."""

    def __init__(self) -> None:
        self.state = "away"
        self.kept: list[bytes] = []
        self._fd = os.eventfd(0)

    def write(self, data: bytes, _number: int) -> bool:
        if self.state == "away":
            raise SinkError("the sink is away")
        if self.state == "takes":
            self.kept.append(data)
        return self.state == "takes"

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        os.close(self._fd)


class Session:
    """A relay between two ptys; ``program`` and ``client`` are their far ends."""

    def __init__(self, directory: Path, *, may_lose: bool) -> None:
        client, outer = os.openpty()
        master, program = os.openpty()
        for fd in (outer, program):
            tty.setraw(fd)
        os.set_blocking(outer, False)
        os.set_blocking(master, False)
        self.client, self.program, self.outer, self._master = client, program, outer, master
        self.sink = Sink()
        self.spool = Spool.create(str(directory), "rec", MIN_BANK_BYTES, {})
        self.outbox = Outbox(self.spool, HEAD, self.sink, payload=4096, latency=50)
        self.signals = Signals()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind("")  # a name of the kernel's choice
        self._listener.listen()
        self.relay = Relay(
            outer=outer,
            master=master,
            connection=-1,
            listener=self._listener,
            spool=self.spool,
            outbox=self.outbox,
            sink_fileno=self.sink.fileno,
            signals=self.signals,
            start=time.monotonic_ns(),
            log_input=False,
            log_output=True,
            log_window=False,
            has_it_alone=False,
            may_lose=may_lose,
        )
        self.shown = b""

    def print_all(self, data: bytes) -> None:
        """Print as a program does, then end it."""
        with os.fdopen(self.program, "wb") as file:
            file.write(data)

    def read_all(self) -> None:
        """Read as a client does, until the terminal is closed."""
        try:
            while data := os.read(self.client, 65536):
                self.shown += data
        except OSError:
            return

    def recorded(self) -> bytes:
        decoder, output = Decoder(), b""
        for line in self.sink.kept:
            events = decoder.decode(message.parse(line))
            output += b"".join(event.data for event in events if event.kind == OUTPUT)
        return output

    def close(self) -> None:
        for fd in (self._master, self.client, self.signals.fd):
            os.close(fd)
        self._listener.close()
        self.sink.close()
        self.spool.close()


@contextmanager
def session(directory: Path, data: bytes, *, may_lose: bool) -> Iterator[Session]:
    """Run a relay whose program prints ``data``; when the body is left, all has ended."""
    found = Session(directory, may_lose=may_lose)
    threads = [
        threading.Thread(target=found.print_all, args=(data,)),
        threading.Thread(target=found.read_all),
    ]
    for thread in threads:
        thread.start()
    yield found
    threads[0].join()
    os.close(found.outer)
    threads[1].join()
    found.close()


DATA = b"".join(b"%07d\n" % number for number in range(3 * MIN_BANK_BYTES // 8))
"""Three times what the spool holds."""


def test_who_may_lose_goes_on_and_the_recording_says_how_much_is_missing(tmp_path: Path) -> None:
    with session(tmp_path, DATA, may_lose=True) as found:
        assert found.relay.run() == "exited"
        found.sink.state = "takes"
        while found.outbox.flush(found.relay.now(), everything=True, final=True):
            if not found.relay.mark_gap():
                break
    assert found.shown.count(notices.LOSING) == 1
    assert found.shown.replace(notices.LOSING, b"") == DATA
    output = found.recorded()
    assert found.relay.lost > len(DATA) // 2
    mark = notices.LOST % found.relay.lost
    assert output == DATA[: len(DATA) - found.relay.lost] + mark


def test_who_may_not_lose_waits_and_everything_is_recorded(tmp_path: Path) -> None:
    with session(tmp_path, DATA, may_lose=False) as found:
        back = threading.Timer(0.5, lambda: setattr(found.sink, "state", "takes"))
        back.start()
        assert found.relay.run() == "exited"
        back.join()
        assert found.outbox.flush(found.relay.now(), everything=True, final=True)
    assert found.relay.lost == 0
    assert found.shown.count(notices.STALLED) == 1
    assert found.shown.replace(notices.STALLED, b"") == DATA
    assert found.recorded() == DATA


def test_a_sink_that_is_only_slow_loses_nothing_of_who_may_lose(tmp_path: Path) -> None:
    with session(tmp_path, DATA, may_lose=True) as found:
        found.sink.state = "busy"
        back = threading.Timer(0.5, lambda: setattr(found.sink, "state", "takes"))
        back.start()
        assert found.relay.run() == "exited"
        back.join()
        assert found.outbox.flush(found.relay.now(), everything=True, final=True)
    assert found.relay.lost == 0
    assert found.shown == DATA
    assert found.recorded() == DATA


def test_the_mark_of_a_gap_is_what_people_and_programs_can_find() -> None:
    assert re.search(rb"\[sessionwrap: 12 bytes passed here", notices.LOST % 12)


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """A relay takes signals over: they are the test process' own."""
    import signal

    numbers = (signal.SIGWINCH, signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    wakeup = signal.set_wakeup_fd(-1)
    yield
    ours = signal.set_wakeup_fd(wakeup)
    if ours >= 0:
        os.close(ours)
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize(("has_ended", "reason"), [(True, "exited"), (False, "hangup")])
def test_a_session_has_exited_if_it_ended_before_its_terminal_hung_up(
    tmp_path: Path, has_ended: bool, reason: str
) -> None:
    found = Session(tmp_path, may_lose=False)
    os.write(found.program, b"the last words")
    if has_ended:
        os.close(found.program)
    os.close(found.client)
    assert found.relay.drain_output(found.relay.run()) == reason
    found.sink.state = "takes"
    assert found.outbox.flush(found.relay.now(), everything=True, final=True)
    assert found.recorded() == b"the last words"
    if not has_ended:
        os.close(found.program)
    found.client = found.outer
    found.close()


def test_what_finds_no_room_at_the_end_of_who_may_lose_is_counted(tmp_path: Path) -> None:
    found = Session(tmp_path, may_lose=True)
    for count in (4096, 1):
        while found.spool.put(0, OUTPUT, b"x" * count):
            pass
    found.outbox.flush(0, everything=True)  # so that the sink is known to be away
    os.write(found.program, b"the last words")
    os.close(found.program)
    os.close(found.client)
    assert found.relay.drain_output("hangup") == "exited"
    assert found.relay.lost == len(b"the last words")
    found.client = found.outer
    found.close()


def test_a_job_that_prints_on_after_the_hangup_does_not_keep_a_session_that_may_lose(
    tmp_path: Path,
) -> None:
    found = Session(tmp_path, may_lose=True)
    for count in (4096, 1):
        while found.spool.put(0, OUTPUT, b"x" * count):
            pass
    found.outbox.flush(0, everything=True)  # so that the sink is known to be away
    endless = os.open("/dev/zero", os.O_RDONLY)  # a pty is empty for moments, whoever prints
    found.relay._master = endless
    reasons: list[str] = []
    drain = threading.Thread(
        target=lambda: reasons.append(found.relay.drain_output("hangup")), daemon=True
    )
    drain.start()
    drain.join(30)
    assert reasons == ["hangup"]
    assert found.relay.lost == LAST_BYTES
    for fd in (endless, found.program, found.outer):
        os.close(fd)
    found.close()
