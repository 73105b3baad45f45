"""sessionwrapd: takes requests, has a worker for each recording, finishes what dead ones left.

Resident and small: it never waits for a client, a directory service or a sink. Workers do, each
for its own recording. What it holds of its children is a pidfd each; workers that an earlier
instance left running are found by their spools and watched the same way.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, NamedTuple, NoReturn

from systemd import daemon

from sessionwrap import handshake, journal_protocol, message_ids, paths
from sessionwrap.errors import ConfigError, HandshakeError, SessionwrapError, SinkError, SpoolError
from sessionwrap.recorder import child, confirm, recovery, running, spool, worker
from sessionwrap.recorder import peer as peers
from sessionwrap.recorder.logins import Logins
from sessionwrap.recorder.spare import Spare
from sessionwrap.settings import Settings

MAX_PENDING: Final = 128
"""Connections that have not said what they want."""
MAX_PENDING_OF_USER: Final = 16
FRAME_SECONDS: Final = 5.0
"""How long a connection may keep silent."""
CHECK_SECONDS: Final = 60.0
"""How often the journal is checked for what the running recordings sent."""
CHECK_SOON_SECONDS: Final = 5.0
"""How long after a login, at the latest: what is kept now shows when the disk is full."""
CHECK_AGAIN_SECONDS: Final = 15.0


class Pending(NamedTuple):
    """A connection whose first frame has not come."""

    connection: socket.socket
    peer: peers.Peer
    deadline: float


class Child(NamedTuple):
    """A process that works for a user: its pid, the user's uid, the recording's spool."""

    pid: int
    uid: int
    spool: str


class Service:
    """The recorder's one loop."""

    def __init__(self, listener: socket.socket, settings: Settings) -> None:
        self._listener = listener
        self._settings = settings
        self._pending: dict[int, Pending] = {}
        self._children: dict[int, Child] = {}
        self._spare: Spare | None = None
        self._wants_spare = True
        self._stopping = False
        self._journal_keeps = True
        self._checker = 0
        self._check_at = 0.0
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._signals, self._wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._logins = Logins(self._watch, self._unwatch, child.fork)
        listener.setblocking(False)
        self._watch(listener.fileno(), self._on_listener)
        self._watch(self._signals, self._on_signals)

    def run(self) -> None:
        """Serve until SIGTERM."""
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        for number in child.SIGNALS:
            signal.signal(number, lambda _number, _frame: None)
        for path in spool.spools():
            self._adopt(path)
        self._logins.adopt()
        self._check_at = time.monotonic() + CHECK_SECONDS
        # Workers share this image as long as nothing in it is written to: no collector runs.
        gc.collect()
        gc.freeze()
        gc.disable()
        daemon.notify("READY=1")
        while not self._stopping:
            ready = self._poll.poll(0 if self._wants_spare else self._timeout())
            for fd, _ in ready:
                if fd in self._handlers:
                    self._handlers[fd](fd)
            self._expire()
            if self._wants_spare and not ready:  # nobody is waiting
                self._make_spare()
        daemon.notify("STOPPING=1")

    def _watch(self, fd: int, handler: Callable[[int], None]) -> None:
        self._handlers[fd] = handler
        self._poll.register(fd, select.POLLIN)

    def _unwatch(self, fd: int) -> None:
        del self._handlers[fd]
        self._poll.unregister(fd)

    def _timeout(self) -> float | None:
        deadlines = [pending.deadline for pending in self._pending.values()]
        if self._wants_check():
            deadlines.append(self._check_at)
        if self._logins.due is not None:
            deadlines.append(self._logins.due)
        if not deadlines:
            return None
        return max(0.0, min(deadlines) - time.monotonic()) * 1000 + 1

    def _expire(self) -> None:
        now = time.monotonic()
        self._logins.look(now)
        if self._wants_check() and now >= self._check_at:
            self._check()
        for fd in [fd for fd, pending in self._pending.items() if pending.deadline <= now]:
            self._drop(fd)

    def _drop(self, fd: int) -> None:
        pending = self._pending.pop(fd)
        self._unwatch(fd)
        os.close(pending.peer.pidfd)
        pending.connection.close()

    def _wants_check(self) -> bool:
        if self._checker or not confirm.can_confirm(self._settings):
            return False
        return bool(self._children) or not self._journal_keeps

    def _check(self) -> None:
        """Have a child see whether the journal keeps what it is sent; its status says."""
        kept = self._journal_keeps

        def check() -> None:
            if not (
                confirm.latest_are_stored() if kept else confirm.alert_is_stored(handshake.NOT_KEPT)
            ):
                raise SinkError(handshake.NOT_KEPT)

        self._checker = child.fork(check)

    def _on_checked(self, status: int) -> None:
        self._checker = 0
        if self._journal_keeps and status != 0:
            self._tell_workers()
        self._journal_keeps = status == 0
        wait = CHECK_SECONDS if self._journal_keeps else CHECK_AGAIN_SECONDS
        self._check_at = time.monotonic() + wait

    def _tell_workers(self) -> None:
        """Let those that record know that the journal keeps nothing: the policy says what then."""
        for pidfd, process in self._children.items():
            if os.path.exists(process.spool):
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGUSR1)

    def _on_listener(self, _fd: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # gone again, or no descriptor left: poll says when to try next
        try:
            peer = peers.identify(connection)
        except HandshakeError:
            connection.close()
            return
        uids = Counter(pending.peer.uid for pending in self._pending.values())
        if len(self._pending) >= MAX_PENDING or uids[peer.uid] >= MAX_PENDING_OF_USER:
            worker.refuse(connection, "too many logins are waiting for the recorder")
            os.close(peer.pidfd)
            connection.close()
            return
        connection.setblocking(False)
        fd = connection.fileno()
        self._pending[fd] = Pending(connection, peer, time.monotonic() + FRAME_SECONDS)
        self._watch(fd, self._on_frame)
        self._on_frame(fd)  # mostly it is there already

    def _on_frame(self, fd: int) -> None:
        connection, peer, _ = self._pending[fd]
        try:
            # Only looked at, and without what is passed beside it: that is the worker's to take.
            frame = connection.recv(handshake.MAX_FRAME, socket.MSG_PEEK)
            if handshake.is_question(frame):
                self._answer(connection, peer, handshake.parse_login(frame))
            else:
                self._start(connection, peer, has_terminal=frame[:1] == handshake.TERMINAL)
        except BlockingIOError:
            return
        except (OSError, SessionwrapError) as error:
            _take_frame(connection)
            worker.refuse(connection, str(error))
        self._drop(fd)

    def _answer(self, connection: socket.socket, peer: peers.Peer, login: str) -> None:
        """Say whether recordings can be made; root, which is the hook, may name a login with it."""
        journal_protocol.connect().close()  # without it there is no start entry
        if not self._journal_keeps:
            raise SinkError(handshake.NOT_KEPT)
        if confirm.can_confirm(self._settings) and not journal_protocol.has_room():
            raise SinkError(handshake.NO_ROOM)
        if login:
            if peer.uid != 0:
                raise HandshakeError("only root tells of logins")
            self._logins.add(login)
        _take_frame(connection)
        connection.send(handshake.reply(handshake.OK))

    def _start(self, connection: socket.socket, peer: peers.Peer, *, has_terminal: bool) -> None:
        running = sum(process.uid == peer.uid for process in self._children.values())
        limit = self._settings.number("recorder.max_recordings_per_user")
        if running >= limit:
            raise HandshakeError(f"{limit} recordings of this user are running, which is the limit")
        self._logins.asked(peer.pid, peer.uid, has_terminal=has_terminal)
        soon = time.monotonic() + CHECK_SOON_SECONDS
        # Without a recording none was due, and the time for one may be long past.
        self._check_at = min(self._check_at, soon) if self._wants_check() else soon
        pid = self._hand_over(connection, peer)
        self._watch_child(Child(pid, peer.uid, _spool_path(pid)))

    def _hand_over(self, connection: socket.socket, peer: peers.Peer) -> int:
        """Give a request to the spare; its pid. OSError where no process can be started."""
        spare, self._spare = self._spare, None
        self._wants_spare = True
        if spare is not None:
            with contextlib.suppress(OSError):  # it has been killed
                spare.hand(connection, peer)
                return spare.pid
        spare = Spare(self._settings)
        spare.hand(connection, peer)
        return spare.pid

    def _make_spare(self) -> None:
        self._wants_spare = False
        with contextlib.suppress(OSError):  # then the next request tries again
            self._spare = Spare(self._settings)

    def _watch_child(self, process: Child) -> None:
        pidfd = os.pidfd_open(process.pid)
        self._children[pidfd] = process
        self._watch(pidfd, self._on_child_end)

    def _on_child_end(self, pidfd: int) -> None:
        process = self._children.pop(pidfd)
        self._unwatch(pidfd)
        os.close(pidfd)
        if os.path.exists(process.spool):
            self._recover(process.spool, process.uid)

    def _adopt(self, path: str) -> None:
        """Watch the worker of a spool that an earlier instance left, or finish its work."""
        try:
            left = spool.Spool.open(path)
        except SpoolError as error:
            _set_aside(path, error)
            return
        try:
            _, recording, _ = recovery.understand(left.meta)
        except SpoolError as error:
            _set_aside(path, error)
            return
        finally:
            left.close()
        pid = running.pid_of(recording.rec)
        try:
            if pid is not None:
                self._watch_child(Child(pid, recording.uid, path))
                return
        except ProcessLookupError:
            pid = None  # it ended this moment
        if os.path.exists(path):
            self._recover(path, recording.uid)

    def _recover(self, path: str, uid: int) -> None:
        def recover() -> None:
            try:
                recovery.recover(path)
            except SessionwrapError as error:
                _set_aside(path, error)

        pid = child.fork(recover)
        self._watch_child(Child(pid, uid, path + ".recovered"))

    def _on_signals(self, _fd: int) -> None:
        came = os.read(self._signals, 512)
        if signal.SIGCHLD in came:
            self._reap()
        if signal.SIGHUP in came:
            self._reload()
        if signal.SIGTERM in came or signal.SIGINT in came:
            self._stopping = True

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if pid == self._checker:
                self._on_checked(status)

    def _reload(self) -> None:
        daemon.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            self._settings = load_settings()
        except ConfigError as error:
            journal_protocol.alert(
                message_ids.ALERT_CONFIG, f"{error}. The recorder goes on as it was set before", {}
            )
        if self._spare is not None:
            self._spare.end()  # it has the settings of before
        self._spare, self._wants_spare = None, True
        daemon.notify("READY=1")


def main() -> NoReturn:
    """Run the recorder on the socket that systemd passes."""
    try:
        descriptors = daemon.listen_fds()
        if len(descriptors) != 1:
            raise HandshakeError("sessionwrapd is started by systemd, which passes its socket")
        settings = load_settings()
        listener = socket.socket(fileno=descriptors[0])
        listener.set_inheritable(False)
        Service(listener, settings).run()
    except SessionwrapError as error:
        message_id = message_ids.ALERT_STORAGE
        if isinstance(error, ConfigError):
            message_id = message_ids.ALERT_CONFIG
        journal_protocol.alert(message_id, f"{error}. The recorder does not run", {})
        print(f"sessionwrapd: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    sys.exit(0)


def load_settings(path: str = paths.SETTINGS_FILE) -> Settings:
    """Read the settings in a child, which takes the validator's memory with it.

    Raises ConfigError as ``settings.load`` does.
    """
    answer: dict[str, Any] | None = child.answer_of(lambda: _loaded(path))
    if answer is None:
        raise ConfigError(path, 0, "", "could not be read: the reader failed")
    if "error" in answer:
        raise ConfigError(*answer["error"])
    return Settings.from_json(answer["settings"])


def _loaded(path: str) -> dict[str, object]:
    from sessionwrap import settings

    try:
        return {"settings": settings.load(path).as_json()}
    except ConfigError as error:
        return {"error": [error.path, error.line, error.key, error.problem]}


def _take_frame(connection: socket.socket) -> None:
    """Take the frame off the queue, for what is left there makes an error of our answer.

    Descriptors beside it are never installed here: the kernel drops them.
    """
    with contextlib.suppress(OSError):
        connection.recv(handshake.MAX_FRAME)


def _spool_path(pid: int) -> str:
    return f"{paths.SPOOL_DIR}/{running.recording_id(pid)}{spool.SUFFIX}"


def _set_aside(path: str, error: SessionwrapError) -> None:
    """Keep a spool that nothing can be made of, for who wants to look; say so."""
    os.rename(path, path + ".broken")
    journal_protocol.alert(message_ids.ALERT_STORAGE, f"{error}. It was kept as {path}.broken", {})
