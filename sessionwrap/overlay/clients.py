"""Who is connected, and what they ask.

A connection has one call, as systemd's user database makes them, and is closed when it is answered;
with a login program it is seen whether that has read the answer. Any local user may connect. Each
user has a bounded number of connections that are not answered yet: nobody can take the others'
place.
"""

from __future__ import annotations

import _socket
import contextlib
import select
import struct
from collections.abc import Callable
from typing import Final

from sessionwrap.errors import VarlinkError
from sessionwrap.overlay import varlink

MAX_CONNECTIONS: Final = 2048
MAX_CONNECTIONS_OF_USER: Final = 128
"""Root's are not bounded by this: login programs are root's."""
MAX_EVENTS: Final = 64
"""Descriptors that are looked at in a turn; the kernel gives the others in the next."""
MAX_ACCEPTS: Final = 64
"""Connections taken in a turn once so many have come without a pause; one before that, for it costs
a call that fails to see that there is no other."""
BACKLOG: Final = 1024
"""Connections that wait to be taken, see listen(2). Who comes when there are more is refused."""
SOMAXCONN: Final = "/proc/sys/net/core/somaxconn"
LEAST_BACKLOG: Final = 128
_UCRED: Final = struct.Struct("iII")


class Client:
    """A connection: what it has sent so far, who it is, whether it waits for its answer, and of
    which user it was ``told`` that they are ours, "" before that.
    """

    __slots__ = ("buffer", "pid", "socket", "told", "uid", "waits")

    def __init__(self, connection: _socket.socket, pid: int, uid: int) -> None:
        self.socket = connection
        self.pid = pid
        self.uid = uid
        self.buffer = b""
        self.waits = False
        self.told = ""


class Poller:
    """epoll(7) with a handler for each descriptor. ``turns`` counts the turns in which all that
    could be read was looked at.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self.turns = 0

    def watch(self, fd: int, handler: Callable[[int], None]) -> None:
        """Have ``handler`` called whenever ``fd`` can be read."""
        self._epoll.register(fd, select.EPOLLIN)
        self._handlers[fd] = handler

    def unwatch(self, fd: int) -> None:
        """Undo ``watch``, where it was called."""
        if self._handlers.pop(fd, None):
            self._epoll.unregister(fd)

    def turn(self, seconds: float) -> None:
        """Call the handlers of what can be read, after at most ``seconds``."""
        events = self._epoll.poll(seconds, MAX_EVENTS)
        if len(events) < MAX_EVENTS:
            self.turns += 1
        for fd, _ in events:
            handler = self._handlers.get(fd)
            if handler:  # not unwatched meanwhile
                handler(fd)


class Clients:
    """The connections. ``answer`` is called with each call that wants an answer; it calls
    ``send``, or ``wait`` and later ``send``.

    ``lost`` is called where a login program may have got no answer from us and believes that we
    have no record; ``left`` with the pid of one that has gone without a call, or without reading
    the answer; ``took`` with the pid of one that has read it, and the user whom it was told of.
    """

    def __init__(
        self,
        listener: _socket.socket,
        poller: Poller,
        answer: Callable[[Client, varlink.Call], None],
        *,
        lost: Callable[[int | None], None],
        left: Callable[[int], None],
        took: Callable[[int, str], None],
    ) -> None:
        listener.setblocking(False)
        listener.listen(BACKLOG)
        self._listener = listener
        self._poller = poller
        self._answer = answer
        self._lost = lost
        self._left = left
        self._took = took
        self._kept: dict[int, Client] = {}
        self._kept_of_user: dict[int, int] = {}
        self._backlog = _backlog()
        self._without_pause = 0
        self._last_turn = 0
        self._of_whom: dict[int, int] = {}
        poller.watch(listener.fileno(), self._on_listener)

    def wait(self, client: Client) -> None:
        """Do not listen to a client any more: the answer comes later."""
        client.waits = True
        self._poller.unwatch(client.socket.fileno())

    def send(self, client: Client, frame: bytes, told: str = "") -> None:
        """Send the answer and close; who does not read it is not waited for.

        Where a login program is ``told`` of a user, it is the one that closes, and ``took`` or
        ``left`` is called then: who calls su can stop it until it waits no longer.
        """
        if client.socket.fileno() < 0:
            return  # dropped
        is_there = True
        try:
            taken = client.socket.send(frame, _socket.MSG_DONTWAIT) == len(frame)
        except BlockingIOError:
            taken = False
        except OSError:
            taken = is_there = False
        if taken and told:
            client.told = told
            if client.waits:
                self._poller.watch(client.socket.fileno(), self._on_client)
            return
        self._close(client, is_lost=is_there and not taken)
        if told:
            self._left(client.pid)

    def _on_listener(self, _fd: int) -> None:
        """Take what waits.

        Without a pause, in which no connection waited, more may have come than can wait. Those
        were refused, and nobody tells us.
        """
        if self._poller.turns > self._last_turn + 1:
            self._pause()
        self._last_turn = self._poller.turns
        for _ in range(MAX_ACCEPTS if self._without_pause >= MAX_ACCEPTS else 1):
            try:
                # Not accept(): it makes enums of what we know, a third of the time this takes.
                fd, _address = self._listener._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                self._pause()
                return
            except OSError:
                return  # gone again
            self._without_pause += 1
            if self._without_pause > self._backlog:
                self._lose()
            self._take(_socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fd), fd)

    def _pause(self) -> None:
        self._without_pause = 0
        self._of_whom.clear()

    def _lose(self) -> None:
        self._lost(max(self._of_whom, key=self._of_whom.__getitem__))

    def _take(self, connection: _socket.socket, fd: int) -> None:
        pid, uid, _ = _UCRED.unpack(
            connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _UCRED.size)
        )
        self._of_whom[uid] = self._of_whom.get(uid, 0) + 1
        self._keep(Client(connection, pid, uid), fd)

    def _keep(self, client: Client, fd: int) -> None:
        """Have a client that is not answered yet, as long as there is room."""
        number = self._kept_of_user.get(client.uid, 0)
        if client.uid and number >= MAX_CONNECTIONS_OF_USER:
            self._close(client)
            return
        if len(self._kept) >= MAX_CONNECTIONS:
            self._make_room()
        self._kept[fd] = client
        self._kept_of_user[client.uid] = number + 1
        self._poller.watch(fd, self._on_client)

    def _make_room(self) -> None:
        """Drop who has been there longest, a login program without an answer last."""
        clients = self._kept.values()
        client = next((client for client in clients if client.uid or client.told), None)
        client = client or next(iter(clients))
        self._close(client, is_lost=not client.told)
        if client.told:
            self._left(client.pid)

    def _close(self, client: Client, *, is_lost: bool = False) -> None:
        """Close a connection; ``is_lost``: the other side is there, and has no answer."""
        fd = client.socket.fileno()
        if self._kept.pop(fd, None):
            self._poller.unwatch(fd)
            self._kept_of_user[client.uid] -= 1
            if not self._kept_of_user[client.uid]:
                del self._kept_of_user[client.uid]
        client.socket.close()
        if is_lost and client.uid == 0:
            self._lost(None)

    def _on_client(self, fd: int) -> None:
        client = self._kept[fd]
        if client.told:
            self._see_end(client)
        else:
            self._serve(client)

    def _see_end(self, client: Client) -> None:
        """See whether the answer was read: the kernel resets a connection that is closed before."""
        try:
            was_read = not client.socket.recv(1, _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            was_read = False
        self._close(client)
        if was_read:
            self._took(client.pid, client.told)
        else:
            self._left(client.pid)

    def _serve(self, client: Client) -> None:
        """Read, and have the call answered when it is whole."""
        try:
            data = client.socket.recv(varlink.MAX_CALL, _socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(client)
            if client.uid == 0:
                self._left(client.pid)
            return
        client.buffer += data
        try:
            call = varlink.parse_call(client.buffer)
        except VarlinkError:
            self._close(client, is_lost=True)
            return
        if call is None:
            return
        if call.oneway:
            self._close(client)
        else:
            self._answer(client, call)


def _backlog() -> int:
    """Give how many connections can wait: the kernel allows no more than its own limit."""
    with contextlib.suppress(OSError, ValueError), open(SOMAXCONN, encoding="ascii") as file:
        return min(BACKLOG, int(file.read()))
    return LEAST_BACKLOG
