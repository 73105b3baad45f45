"""A worker: one process, one recording, from the handshake to the end entry.

It is forked from the recorder for a request and is never seen by the caller but through the
terminal. What it raises ends this recording only.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from typing import NamedTuple

from sessionwrap import entries, handshake, paths, scope
from sessionwrap.errors import HandshakeError, SessionwrapError, SinkError
from sessionwrap.model import WINDOW, Head, Recording, pack_winsize
from sessionwrap.recorder import confirm, privileges, recovery, running, terminal, utmp
from sessionwrap.recorder import peer as peers
from sessionwrap.recorder.outbox import Outbox
from sessionwrap.recorder.relay import Relay, Signals
from sessionwrap.recorder.spool import Spool
from sessionwrap.settings import Settings
from sessionwrap.sinks import Sink, open_sink
from sessionwrap.tickets import Ticket

HANDSHAKE_SECONDS = 10
"""The whole handshake takes no longer: then SIGALRM ends the worker and the login is refused."""
RETRY_SECONDS = 1.0


class Request(NamedTuple):
    """A first frame, taken apart, and the terminal that came with it (-1 for a command)."""

    kind: bytes
    mode: bytes
    term: str
    terminal: int


def serve(connection: socket.socket, peer: peers.Peer, settings: Settings) -> None:
    """Answer one request and, if it is to be recorded, record it until it ends.

    A descriptor of the user's may be anything: a file whose close(2) never returns, for one.
    Here is the first place where one is received, and here it harms its own recording only.
    """
    signal.alarm(HANDSHAKE_SECONDS)
    connection.settimeout(HANDSHAKE_SECONDS)
    try:
        request = _receive(connection)
        ticket = peers.decide(peer)
        if not ticket.record:
            connection.send(_answer(handshake.UNRECORDED, ticket, settings))
        elif request.kind == handshake.COMMAND:
            _log_start(_describe(peer, ticket, entries.COMMAND))
            connection.send(_answer(handshake.OK, ticket, settings))
        elif inside := running.recording_that_shows(request.terminal, peer.pid, ticket):
            tty = terminal.name_of(request.terminal)
            _log_start(_describe(peer, ticket, entries.NESTED, tty=tty, parent=inside))
            connection.send(_answer(handshake.UNRECORDED, ticket, settings))
        else:
            _Session(connection, peer, request, settings, ticket).record()
    except SessionwrapError as error:
        refuse(connection, str(error))


def _receive(connection: socket.socket) -> Request:
    frame, descriptors, _, _ = socket.recv_fds(connection, handshake.MAX_FRAME, 4)
    kind, mode, term = handshake.parse_request(frame, len(descriptors))
    return Request(kind, mode, term, descriptors[0] if descriptors else -1)


def _answer(kind: bytes, ticket: Ticket, settings: Settings) -> bytes:
    """Give an answer that names the shells."""
    return handshake.reply(kind, handshake.shells(ticket.shell, settings.text("shell")))


def refuse(connection: socket.socket, reason: str) -> None:
    """Tell the caller why not; it may have gone."""
    with contextlib.suppress(OSError):
        connection.send(handshake.reply(handshake.REFUSED, reason))


class _Session:
    """The recording of one terminal."""

    def __init__(
        self,
        connection: socket.socket,
        peer: peers.Peer,
        request: Request,
        settings: Settings,
        ticket: Ticket,
    ) -> None:
        self._connection = connection
        self._peer = peer
        self._request = request
        self._settings = settings
        self._ticket = ticket

    def record(self) -> None:
        """Hand the recording pty over, relay, store, end."""
        if not os.isatty(self._request.terminal):
            raise HandshakeError("what came with the request is not a terminal")
        is_guest = self._request.mode == handshake.GUEST
        outer = terminal.OuterTerminal(self._request.terminal, outlives_us=is_guest)
        outer_name = terminal.name_of(outer.fd)
        os.setsid()
        master, slave = terminal.open_recording_pty(outer.fd, outer.attributes, self._peer.uid)
        started, clock = time.time_ns(), time.monotonic_ns()
        recording = _describe(
            self._peer,
            self._ticket,
            entries.TERMINAL,
            tty=os.ttyname(slave),
            parent=running.parent_of(self._peer.pid),
            started=started,
        )
        head = Head(
            recording.host,
            recording.rec,
            recording.user,
            self._request.term,
            recording.session,
            started // 1_000_000,
        )
        spool = self._make_spool(head, recording)
        running.link_pty(slave, recording.rec)
        listener = running.listen(recording.rec)
        if self._settings.flag("log.window"):
            spool.put(0, WINDOW, pack_winsize(terminal.get_winsize(outer.fd)))
        self._hand_over(slave, outer, spool, recording)
        signal.alarm(0)
        utmp.move_line(outer_name, recording.tty)
        sink = open_sink(head, self._settings)
        outbox = Outbox(
            spool,
            head,
            sink,
            payload=self._settings.number("payload"),
            latency=self._settings.number("latency") * 1000,
        )
        relay = Relay(
            outer=outer.fd,
            master=master,
            connection=self._connection.fileno(),
            listener=listener,
            spool=spool,
            outbox=outbox,
            sink_fileno=sink.fileno,
            signals=Signals(),
            start=clock,
            log_input=self._settings.flag("log.input"),
            log_output=self._settings.flag("log.output"),
            log_window=self._settings.flag("log.window"),
            has_it_alone=not is_guest,
            may_lose=self._ticket.policy != scope.STRICT,
        )
        notice = self._settings.text("notice")
        if notice:
            relay.show(notice.replace("\n", "\r\n").encode())
        reason = relay.run()
        listener.close()
        reason = relay.drain_output(reason)
        stored = _send_everything(outbox, relay)
        ended = time.time_ns() // 1000
        recording = recording._replace(end=ended, reason=reason, lost=relay.lost)
        if stored:
            _log_end(recording, outbox.messages)
        utmp.move_line(recording.tty, outer_name)
        running.unlink_pty(recording.tty, recording.rec)
        # Only now: the login program takes the closing of this terminal for the end.
        os.close(master)
        outer.give_back()
        os.close(outer.fd)
        self._connection.close()
        if not stored:
            _wait_for_sink(outbox, sink, relay)
            _log_end(recording, outbox.messages)
        spool.remove()
        if confirm.can_confirm(self._settings):
            confirm.confirm(
                recording, outbox.messages, lambda: _log_end(recording, outbox.messages)
            )

    def _make_spool(self, head: Head, recording: Recording) -> Spool:
        size = self._settings.number("recorder.spool_size")
        meta = recovery.describe(head, recording, self._settings)
        return Spool.create(paths.SPOOL_DIR, head.rec, size, meta)

    def _hand_over(
        self, slave: int, outer: terminal.OuterTerminal, spool: Spool, recording: Recording
    ) -> None:
        """Log the start, then send the recording pty and wait until it is taken.

        HandshakeError or SinkError where that fails: all is as it was, and the log says so.
        """
        try:
            _log_start(recording)
        except SinkError:
            running.unlink_pty(recording.tty, recording.rec)
            spool.remove()
            raise
        try:
            outer.take()
            answer = _answer(handshake.RECORDED, self._ticket, self._settings)
            socket.send_fds(self._connection, [answer], [slave])
            if self._connection.recv(handshake.MAX_FRAME) != handshake.TAKEN:
                raise HandshakeError("the caller did not take the recording pty")
            os.close(slave)
            if self._request.mode != handshake.GUEST:
                outer.control()
            privileges.drop_all()
        except (OSError, SessionwrapError) as error:
            outer.give_back()
            _log_end(recording._replace(reason=entries.ABNORMAL), 0)
            running.unlink_pty(recording.tty, recording.rec)
            spool.remove()
            raise HandshakeError(f"the terminal could not be handed over: {error}") from error
        if self._request.mode == handshake.LEADER:
            self._connection.close()
        else:
            self._connection.setblocking(False)


def _describe(
    peer: peers.Peer,
    ticket: Ticket,
    kind: str,
    *,
    tty: str = "",
    parent: str = "",
    started: int | None = None,
) -> Recording:
    """Give what the start entry says; ``started`` in nanoseconds, now where it is not given.

    HandshakeError when the caller has gone: then what was read of it may be another's.
    """
    recording = Recording(
        # Not the caller's pid: one process can ask for one command after another.
        rec=running.recording_id(os.getpid()),
        host=os.uname().nodename,
        user=ticket.user,
        uid=peer.uid,
        service=ticket.service,
        rhost=ticket.rhost,
        tty=tty,
        kind=kind,
        command=peers.command_of(peer),
        session=ticket.session,
        start=(time.time_ns() if started is None else started) // 1000,
        end=None,
        messages=0,
        reason="",
        complete=False,
        verified=True,
        login=ticket.name if ticket.start else "",
        parent=parent,
    )
    if not peers.is_alive(peer):
        raise HandshakeError("the caller has gone")
    return recording


def _log_start(recording: Recording) -> None:
    recovery.log_entry(entries.start_fields(recording))


def _log_end(recording: Recording, messages: int) -> None:
    end = time.time_ns() // 1000 if recording.end is None else recording.end
    ended = recording._replace(end=end, messages=messages)
    recovery.log_entry(entries.end_fields(ended), patient=True)
    if recording.reason in entries.ENDED_FOR_CAUSE or recording.lost:
        recovery.log_entry(entries.abnormal_fields(ended), patient=True)


def _send_everything(outbox: Outbox, relay: Relay) -> bool:
    """Send what is left, and that something is missing, if it is; false: not all was taken."""
    while outbox.flush(relay.now(), everything=True, final=True):
        if not relay.mark_gap():
            return True
    return False


def _wait_for_sink(outbox: Outbox, sink: Sink, relay: Relay) -> None:
    """Stay until the sink has taken everything, however long it is away."""
    while not _send_everything(outbox, relay):
        poll = select.poll()
        if outbox.busy:
            poll.register(sink.fileno(), select.POLLOUT)
        poll.poll(RETRY_SECONDS * 1000)
