"""The handover: the user's terminal goes to the recorder, which sends the recording pty back.

The part of the login shell that only a recorded login needs. Runs with the user's rights; standard
library only.
"""

from __future__ import annotations

import _socket
import posix as os  # what the module `os` is made of, which takes most of a millisecond more
import sys

from sessionwrap import handshake, paths
from sessionwrap.errors import HandshakeError, LoginRefused

ANSWER_SECONDS = 15
"""How long the recorder may take; its own limit on a handshake is shorter and says more."""

Environment = dict[bytes, bytes]


def record(args: list[bytes], env: Environment) -> tuple[str, str]:
    """Have the recorder record what follows; gives the shells that it names (handshake.shells).

    Raises LoginRefused when the recorder cannot or is not there.
    """
    has_terminal = os.isatty(0)
    mode = _mode(args) if has_terminal else b""
    try:
        saved = _attributes() if mode == handshake.GUEST else None
        sock = handshake.connect(paths.RECORDER_SOCKET, ANSWER_SECONDS)
        _send_request(sock, env, mode)
        if has_terminal:
            from sessionwrap import recording_pty  # while the recorder makes one
        text, kind, slave = _receive(sock)
    except (OSError, HandshakeError) as error:
        raise LoginRefused(
            f"this login must be recorded, but the recorder does not answer ({error})."
        ) from error
    if kind == handshake.RECORDED:
        # What fails from here on ends the login: the terminal is changing hands.
        recording_pty.take(sock, slave, env, mode, saved)
    sock.close()
    return handshake.parse_shells(text)


def _send_request(sock: _socket.socket, env: Environment, mode: bytes) -> None:
    """Announce a command, or with a mode pass the terminal on fd 0."""
    if not mode:
        sock.send(handshake.COMMAND)
        return
    terminal = (0).to_bytes(4, sys.byteorder)
    request = handshake.terminal_request(mode, env.get(b"TERM", b""))
    sock.sendmsg([request], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, terminal)])


def _receive(sock: _socket.socket) -> tuple[str, bytes, int]:
    """Give the recorder's answer: (text, kind, descriptor or -1)."""
    frame, ancillary, _, _ = sock.recvmsg(
        handshake.MAX_FRAME, _socket.CMSG_SPACE(4), _socket.MSG_CMSG_CLOEXEC
    )
    received = [int.from_bytes(data[:4], sys.byteorder) for _, _, data in ancillary]
    kind, text = handshake.parse_reply(frame, len(received))
    if kind == handshake.REFUSED:
        raise LoginRefused(f"this login must be recorded, but {text}.")
    return text, kind, received[0] if received else -1


def _mode(args: list[bytes]) -> bytes:
    """Say how the terminal on fd 0 changes hands; see ``handshake``.

    Who leads the session becomes the shell in place. Not for a command: a program may print much
    and end at once, and sshd closes a terminal when its child has ended and nothing is there to
    be read at that moment, while the last of the output is still on its way through the recorder.
    A shell that somebody types `exit` into has printed long before.
    """
    if os.getsid(0) != os.getpid():
        return handshake.GUEST
    try:
        os.tcgetpgrp(0)
    except OSError:
        return handshake.GUEST  # a terminal, but not the one that controls this session
    return handshake.WAITS if b"-c" in args[:1] else handshake.LEADER


def _attributes() -> list[object]:
    """Give the attributes of the terminal on fd 0, as termios has them. OSError."""
    import termios  # only `su` and its like come here

    try:
        return termios.tcgetattr(0)
    except termios.error as error:
        raise OSError(*error.args) from error
