"""Who is connected, and what they ask.

Any local user may connect. Each user has a bounded number of connections, and each connection one
call a turn of the loop, and none while an answer is due: nobody can take the others' time.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Final

from sessionwrap.errors import VarlinkError
from sessionwrap.overlay import varlink

MAX_CONNECTIONS: Final = 2048
MAX_CONNECTIONS_OF_USER: Final = 128
"""Root's are not bounded by this: login programs are root's."""
MAX_EVENTS: Final = 64
"""Descriptors that are looked at in a turn; the kernel gives the others in the next."""
MAX_ACCEPTS: Final = 64
"""Connections taken in a turn."""
BACKLOG: Final = 1024
"""Connections that wait to be taken, see listen(2). Who comes when there are more is refused."""
SOMAXCONN: Final = "/proc/sys/net/core/somaxconn"
LEAST_BACKLOG: Final = 128
_UCRED: Final = struct.Struct("iII")


class Client:
    """A connection: what it has sent so far, who it is, and whether it waits for an answer."""

    __slots__ = ("buffer", "socket", "uid", "waits")

    def __init__(self, connection: socket.socket, uid: int) -> None:
        self.socket = connection
        self.uid = uid
        self.buffer = bytearray()
        self.waits = False


class Poller:
    """epoll(7) with a handler for each descriptor."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}

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
        for fd, _ in self._epoll.poll(seconds, MAX_EVENTS):
            handler = self._handlers.get(fd)
            if handler:  # not unwatched meanwhile
                handler(fd)


class Clients:
    """The connections. ``answer`` is called with each call that wants an answer; it calls
    ``send``, or ``wait`` and later ``send``.

    ``lost`` is called where a login program may have got no answer from us and believes that we
    have no record.
    """

    def __init__(
        self,
        listener: socket.socket,
        poller: Poller,
        answer: Callable[[Client, varlink.Call], None],
        lost: Callable[[], None],
    ) -> None:
        listener.setblocking(False)
        listener.listen(BACKLOG)
        self._listener = listener
        self._poller = poller
        self._answer = answer
        self._lost = lost
        self._clients: dict[int, Client] = {}
        self._of_user: dict[int, int] = {}
        self._more: dict[Client, None] = {}
        self._backlog = _backlog()
        self._without_pause = 0
        poller.watch(listener.fileno(), self._on_listener)

    def serve_more(self) -> bool:
        """Take the next call of those who have sent several; tells whether any are left."""
        more, self._more = self._more, {}
        for client in more:
            if not client.waits:
                self._serve(client)
        return bool(self._more)

    def wait(self, client: Client) -> None:
        """Do not listen to a client until it was sent an answer."""
        client.waits = True
        self._poller.unwatch(client.socket.fileno())

    def send(self, client: Client, frame: bytes) -> None:
        """Send an answer; who does not read it is not waited for."""
        fd = client.socket.fileno()
        if fd < 0:
            return  # dropped
        try:
            if client.socket.send(frame) != len(frame):
                self._drop(client)
                return
        except OSError as error:
            self._drop(client, gone=not isinstance(error, BlockingIOError))
            return
        if client.waits:
            client.waits = False
            self._poller.watch(fd, self._on_client)
            self._look_for_more(client)

    def _on_listener(self, _fd: int) -> None:
        for connection in self._accepted():
            _, uid, _ = _UCRED.unpack(
                connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
            )
            number = self._of_user.get(uid, 0)
            if uid and number >= MAX_CONNECTIONS_OF_USER:
                connection.close()
                continue
            if len(self._clients) >= MAX_CONNECTIONS:
                self._make_room()
            connection.setblocking(False)
            client = Client(connection, uid)
            fd = connection.fileno()
            self._clients[fd] = client
            self._of_user[uid] = number + 1
            self._serve(client)  # mostly the call is there already
            if fd in self._clients and not client.waits:
                self._poller.watch(fd, self._on_client)

    def _accepted(self) -> Iterator[socket.socket]:
        """Take waiting connections.

        Without a pause between them more may have come than can wait. Those were refused, and
        nobody tells us.
        """
        for _ in range(MAX_ACCEPTS):
            try:
                connection, _ = self._listener.accept()
            except BlockingIOError:
                if self._without_pause > self._backlog:
                    self._lost()
                self._without_pause = 0
                return
            except OSError:
                return  # gone again
            self._without_pause += 1
            if self._without_pause > self._backlog:
                self._lost()
            yield connection

    def _make_room(self) -> None:
        """Drop who has been there longest, a login program last."""
        clients = self._clients.values()
        client = next((client for client in clients if client.uid), None)
        client = client or next(iter(clients), None)
        if client:
            self._drop(client)

    def _drop(self, client: Client, *, gone: bool = False) -> None:
        """Close a connection; ``gone``: it was closed by the other side."""
        fd = client.socket.fileno()
        self._poller.unwatch(fd)
        client.socket.close()
        del self._clients[fd]
        self._more.pop(client, None)
        self._of_user[client.uid] -= 1
        if not self._of_user[client.uid]:
            del self._of_user[client.uid]
        if client.uid == 0 and not gone:
            self._lost()

    def _on_client(self, fd: int) -> None:
        self._serve(self._clients[fd])

    def _serve(self, client: Client) -> None:
        """Take one call, and read only where there is none yet."""
        try:
            call = varlink.take_call(client.buffer)
            if call is None:
                data = client.socket.recv(varlink.MAX_CALL)
                if not data:
                    self._drop(client, gone=True)
                    return
                client.buffer += data
                call = varlink.take_call(client.buffer)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client, gone=True)
            return
        except VarlinkError:
            self._drop(client)
            return
        if call is not None:
            self._look_for_more(client)
            if not call.oneway:
                self._answer(client, call)

    def _look_for_more(self, client: Client) -> None:
        if client.buffer:
            self._more[client] = None


def _backlog() -> int:
    """Give how many connections can wait: the kernel allows no more than its own limit."""
    with contextlib.suppress(OSError, ValueError), open(SOMAXCONN, encoding="ascii") as file:
        return min(BACKLOG, int(file.read()))
    return LEAST_BACKLOG
