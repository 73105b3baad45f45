"""The frames between login shell and recorder: everything about that protocol is in this file.

A unix socket of type SOCK_SEQPACKET carries one frame a packet; file descriptors travel beside
the frame that names them (SCM_RIGHTS, unix(7)).

    login shell                             recorder
    PING                               ->
                                       <-   OK, or REFUSED with the reason
    TERMINAL mode, TERM   + terminal   ->
                                       <-   RECORDED shells  + recording pty
                                       <-   or UNRECORDED, or REFUSED with the reason
    TAKEN                              ->   relays from here on
    WINCH                              ->   (GUEST only: the kernel tells the others)
    ENDED                              ->   (WAITS, GUEST: the child has ended)
    COMMAND                            ->
                                       <-   OK, or UNRECORDED, or REFUSED
    hook, as root
    LOGIN name of the ticket           ->
                                       <-   OK, or REFUSED with the reason

No frame of a user's names a user, a path or a command: the recorder takes those from the kernel.
Standard library only and few imports: every login waits for this.
"""

from __future__ import annotations

import sys

from sessionwrap.errors import HandshakeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

_LONG_BYTES = 8 if sys.maxsize > 2**32 else 4

MAX_FRAME = 1024

PING = b"P"
TERMINAL = b"T"
COMMAND = b"C"
LOGIN = b"H"
TAKEN = b"D"
WINCH = b"W"
ENDED = b"X"

OK = b"K"
RECORDED = b"R"
UNRECORDED = b"N"
REFUSED = b"E"

LEADER = b"L"
"""Mode of TERMINAL: the caller gives its controlling terminal up and becomes the shell."""
WAITS = b"W"
"""Mode of TERMINAL: the caller gives its controlling terminal up and waits for its child."""
GUEST = b"G"
"""Mode of TERMINAL: the terminal is another session's and outlives the caller, who waits."""
MODES = (LEADER, WAITS, GUEST)

NOT_KEPT = "the journal does not keep what it is sent"
NO_ROOM = "the disk that the journal is on is full"
"""Two reasons of REFUSED that say what becomes of an entry that is logged now."""

MAX_TERM = 64
STREAM = 1
SEQPACKET = 5
"""Types of sockets (socket(2)); the module that names them is imported late."""


def connect(path: str, seconds: int, kind: int = SEQPACKET) -> socket:
    """Connect to a service; no call on the socket takes longer than ``seconds``. OSError.

    By socket options (socket(7)), not by a timeout of Python's: that makes the socket
    non-blocking, and then a queue that others have filled is an error and nothing to wait for.
    """
    import _socket  # a login that is not recorded does not pay for it

    sock = _socket.socket(_socket.AF_UNIX, kind | _socket.SOCK_CLOEXEC)
    try:
        limit_time(sock, seconds)
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def limit_time(sock: socket, seconds: int) -> None:
    """Let every call on a blocking socket fail with EAGAIN after ``seconds``."""
    import _socket

    timeval = seconds.to_bytes(_LONG_BYTES, sys.byteorder) + bytes(_LONG_BYTES)
    for option in (_socket.SO_SNDTIMEO, _socket.SO_RCVTIMEO):
        sock.setsockopt(_socket.SOL_SOCKET, option, timeval)


def is_question(frame: bytes) -> bool:
    """Tell a question from a request; HandshakeError for what cannot be a first frame."""
    if frame == PING or parse_login(frame):
        return True
    parse_request(frame, 1 if frame[:1] == TERMINAL else 0)
    return False


def login(name: str) -> bytes:
    """Give the frame that tells of a login by the name of its ticket."""
    return LOGIN + name.encode("ascii")


def parse_login(frame: bytes) -> str:
    """Read the frame of ``login``: the ticket's name, "" where it is another frame."""
    name = frame[1:].decode("ascii", "replace")
    if frame[:1] != LOGIN or not (0 < len(name) <= 80 and name.isascii()):
        return ""
    return name if name.replace("-", "").isdigit() else ""


def terminal_request(mode: bytes, term: bytes) -> bytes:
    """Give the frame that asks to record the terminal passed beside it."""
    return TERMINAL + mode + term[:MAX_TERM]


def parse_request(frame: bytes, descriptors: int) -> tuple[bytes, bytes, str]:
    """Read a first frame: (kind, mode, TERM); HandshakeError where it is none.

    ``descriptors`` is how many came beside it. TERM comes from the user: it is cut down to the
    characters that terminfo(5) names are made of.
    """
    kind, mode = frame[:1], frame[1:2]
    if kind in (PING, COMMAND) and len(frame) == 1 and descriptors == 0:
        return kind, b"", ""
    if kind == TERMINAL and mode in MODES and descriptors == 1:
        return kind, mode, clean_term(frame[2:])
    raise HandshakeError(f"a first frame of {len(frame)} bytes with {descriptors} descriptors")


def clean_term(term: bytes) -> str:
    """Keep of a TERM what a name in terminfo(5) may hold."""
    return "".join(
        c
        for c in term[:MAX_TERM].decode("ascii", "replace")
        if c.isascii() and (c.isalnum() or c in "+-._")
    )


def shells(own: str, fallback: str) -> str:
    """Give the text that names the user's own shell, "" where none is known, and that of the
    settings.
    """
    return f"{own}\n{fallback}"


def parse_shells(text: str) -> tuple[str, str]:
    """Read the text of ``shells``."""
    own, _, fallback = text.partition("\n")
    return own, fallback


def reply(kind: bytes, text: str = "") -> bytes:
    """Give the recorder's answer; ``text`` is a reason (REFUSED) or what ``shells`` gives."""
    return kind + text.encode("utf-8", "surrogateescape")[: MAX_FRAME - 1]


def parse_reply(frame: bytes, descriptors: int) -> tuple[bytes, str]:
    """Read the recorder's answer: (kind, text); HandshakeError where it is none."""
    kind, text = frame[:1], frame[1:].decode("utf-8", "surrogateescape")
    if not frame:
        raise HandshakeError("the recorder hung up")
    if descriptors == (kind == RECORDED) and kind in (OK, RECORDED, UNRECORDED, REFUSED):
        return kind, text
    raise HandshakeError(f"an answer of {len(frame)} bytes with {descriptors} descriptors")
