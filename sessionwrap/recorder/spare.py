"""A spare: a worker that was forked before anybody asked for it.

To fork the recorder takes more than a millisecond, and no login waits for it so. A spare is handed
one request, and is its worker then.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from typing import Final

from sessionwrap.recorder import child, peer, worker
from sessionwrap.settings import Settings

NAME: Final = b"spare-recorder"
"""What ps(1) calls it while it waits."""
_WORKER: Final = b"sessionwrapd"
_PR_SET_NAME: Final = 15
_PEER: Final = struct.Struct("=iI")
_libc: Final = ctypes.CDLL(None)


class Spare:
    """A child that waits to be handed a request; it ends when this object does. OSError where no
    child can be forked. ``pid`` is its own.
    """

    def __init__(self, settings: Settings) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                self.pid = child.fork(lambda: _wait(theirs, settings), [theirs.fileno()])
            except OSError:
                self.end()
                raise

    def hand(self, connection: socket.socket, caller: peer.Peer) -> None:
        """Give it the request on ``connection`` to serve; OSError where it has been killed."""
        with self._socket:
            socket.send_fds(
                self._socket,
                [_PEER.pack(caller.pid, caller.uid)],
                [connection.fileno(), caller.pidfd],
            )

    def end(self) -> None:
        """Let it go: it ends."""
        self._socket.close()


def _wait(sock: socket.socket, settings: Settings) -> None:
    _libc.prctl(_PR_SET_NAME, NAME, 0, 0, 0)
    frame, descriptors, _, _ = socket.recv_fds(sock, _PEER.size, 2)
    if len(descriptors) != 2:
        return  # the service has ended, or has other settings now
    sock.close()
    _libc.prctl(_PR_SET_NAME, _WORKER, 0, 0, 0)
    connection, pidfd = descriptors
    pid, uid = _PEER.unpack(frame)
    worker.serve(socket.socket(fileno=connection), peer.Peer(pid, uid, pidfd), settings)
