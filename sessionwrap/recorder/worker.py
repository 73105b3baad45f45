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

from sessionwrap import entries, handshake, paths
from sessionwrap.errors import HandshakeError, SessionwrapError, SinkError
from sessionwrap.model import WINDOW, Head, Recording, pack_winsize
from sessionwrap.recorder import confirm, privileges, recovery, terminal, utmp
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
        fallback = settings.text("shell")
        if not ticket.record:
            connection.send(handshake.reply(handshake.UNRECORDED, fallback))
        elif request.kind == handshake.COMMAND:
            _log_command(peer, ticket)
            connection.send(handshake.reply(handshake.OK, fallback))
        else:
            _Session(connection, peer, request, settings, ticket).record()
    except SessionwrapError as error:
        refuse(connection, str(error))


def _receive(connection: socket.socket) -> Request:
    frame, descriptors, _, _ = socket.recv_fds(connection, handshake.MAX_FRAME, 4)
    kind, mode, term = handshake.parse_request(frame, len(descriptors))
    return Request(kind, mode, term, descriptors[0] if descriptors else -1)


def refuse(connection: socket.socket, reason: str) -> None:
    """Tell the caller why not; it may have gone."""
    with contextlib.suppress(OSError):
        connection.send(handshake.reply(handshake.REFUSED, reason))


def recording_id(pid: int) -> str:
    """Give the id of the recording that process ``pid`` makes (tlog's form, unique on the host)."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot = file.read(64).strip().replace("-", "")
    return f"{boot}-{pid:x}-{peers.ticks_of(pid):x}"


def pid_of(rec: str) -> int | None:
    """Give the pid of the worker that makes a recording; None when it has gone."""
    try:
        pid = int(rec.split("-")[1], 16)
        return pid if recording_id(pid) == rec else None
    except (OSError, ValueError, IndexError):
        return None


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
        rec = recording_id(os.getpid())
        head, recording = self._describe(rec, os.ttyname(slave), started)
        spool = self._make_spool(head, recording)
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
            spool=spool,
            outbox=outbox,
            sink_fileno=sink.fileno,
            signals=Signals(),
            start=clock,
            log_input=self._settings.flag("log.input"),
            log_output=self._settings.flag("log.output"),
            log_window=self._settings.flag("log.window"),
            has_it_alone=not is_guest,
        )
        notice = self._settings.text("notice")
        if notice:
            relay.show(notice.replace("\n", "\r\n").encode())
        reason = relay.run()
        relay.drain_output()
        stored = outbox.flush(relay.now(), everything=True, final=True)
        if stored:
            _log_end(recording, outbox.messages, reason)
        utmp.move_line(recording.tty, outer_name)
        # Only now: the login program takes the closing of this terminal for the end.
        os.close(master)
        outer.give_back()
        os.close(outer.fd)
        self._connection.close()
        if not stored:
            _wait_for_sink(outbox, sink, relay)
            _log_end(recording, outbox.messages, reason)
        spool.remove()
        if confirm.can_confirm(self._settings):
            confirm.confirm(recording, outbox.messages)

    def _describe(self, rec: str, tty: str, started: int) -> tuple[Head, Recording]:
        ticket, host = self._ticket, os.uname().nodename
        command = peers.command_of(self._peer)
        if not peers.is_alive(self._peer):
            raise HandshakeError("the caller has gone")
        head = Head(
            host, rec, ticket.user, self._request.term, ticket.session, started // 1_000_000
        )
        recording = Recording(
            rec=rec,
            host=host,
            user=ticket.user,
            uid=self._peer.uid,
            service=ticket.service,
            rhost=ticket.rhost,
            tty=tty,
            kind=entries.TERMINAL,
            command=command,
            session=ticket.session,
            start=started // 1000,
            end=None,
            messages=0,
            reason="",
            complete=False,
            verified=True,
        )
        return head, recording

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
            recovery.log_entry(entries.start_fields(recording))
        except SinkError:
            spool.remove()
            raise
        try:
            outer.take()
            answer = handshake.reply(handshake.RECORDED, self._settings.text("shell"))
            socket.send_fds(self._connection, [answer], [slave])
            if self._connection.recv(handshake.MAX_FRAME) != handshake.TAKEN:
                raise HandshakeError("the caller did not take the recording pty")
            os.close(slave)
            if self._request.mode != handshake.GUEST:
                outer.control()
            privileges.drop_all()
        except (OSError, SessionwrapError) as error:
            outer.give_back()
            _log_end(recording, 0, entries.ABNORMAL)
            spool.remove()
            raise HandshakeError(f"the terminal could not be handed over: {error}") from error
        if self._request.mode == handshake.LEADER:
            self._connection.close()
        else:
            self._connection.setblocking(False)


def _log_command(peer: peers.Peer, ticket: Ticket) -> None:
    recording = Recording(
        # Not the caller's pid: one process can ask for one command after another.
        rec=recording_id(os.getpid()),
        host=os.uname().nodename,
        user=ticket.user,
        uid=peer.uid,
        service=ticket.service,
        rhost=ticket.rhost,
        tty="",
        kind=entries.COMMAND,
        command=peers.command_of(peer),
        session=ticket.session,
        start=time.time_ns() // 1000,
        end=None,
        messages=0,
        reason="",
        complete=False,
        verified=True,
    )
    if not peers.is_alive(peer):
        raise HandshakeError("the caller has gone")
    recovery.log_entry(entries.start_fields(recording))


def _log_end(recording: Recording, messages: int, reason: str) -> None:
    ended = recording._replace(end=time.time_ns() // 1000, messages=messages, reason=reason)
    recovery.log_entry(entries.end_fields(ended), patient=True)
    if reason == entries.INTRUDED:
        recovery.log_entry(entries.abnormal_fields(ended), patient=True)


def _wait_for_sink(outbox: Outbox, sink: Sink, relay: Relay) -> None:
    """Stay until the sink has taken everything, however long it is away."""
    while not outbox.flush(relay.now(), everything=True, final=True):
        poll = select.poll()
        if outbox.busy:
            poll.register(sink.fileno(), select.POLLOUT)
        poll.poll(RETRY_SECONDS * 1000)
