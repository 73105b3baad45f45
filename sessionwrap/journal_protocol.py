"""The journal's native protocol: one datagram of fields (systemd.io/JOURNAL_NATIVE_PROTOCOL).

Used instead of sd_journal_sendv, which answers success when the journal's socket is missing and
blocks without limit when the journal does not read: a recorder has to know both. Standard
library only; the hook and the login shell raise their alerts through this.
"""

from __future__ import annotations

import os

from sessionwrap import message_ids, paths
from sessionwrap.errors import SinkError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    from collections.abc import Mapping, Sequence

    Socket = _socket.socket

JOURNALS = ("/run/log/journal", "/var/log/journal")
LEAST_ROOM = 1 << 20
"""Bytes. What journald has reserved already may take a little more; nobody can tell how much."""
SOL_SOCKET = 1
SCM_CREDENTIALS = 2
INIT = (1).to_bytes(4, "little") + bytes(8)
"""A struct ucred (unix(7)) of process 1, of root."""
EAGAIN = 11
EINTR = 4
ENOBUFS = 105


def pack(fields: Mapping[str, str]) -> bytes:
    """Give the wire form of fields; appending packs gives an entry of all their fields."""
    return b"".join(
        pack_field(name, value.encode("utf-8", "surrogateescape")) for name, value in fields.items()
    )


def pack_field(name: str, value: bytes) -> bytes:
    """Give the wire form of one field; a value with a line break travels with its length."""
    if b"\n" in value:
        return b"%s\n%s%s\n" % (name.encode(), len(value).to_bytes(8, "little"), value)
    return b"%s=%s\n" % (name.encode(), value)


def connect(path: str = paths.JOURNAL_SOCKET) -> _socket.socket:
    """Open a socket to the journal; SinkError where nobody listens."""
    import _socket  # a login that raises no alert does not pay for it

    sock = _socket.socket(
        _socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    )
    try:
        sock.connect(path)
    except OSError as error:
        sock.close()
        raise SinkError(f"the journal does not answer at {path}: {error.strerror}") from error
    return sock


def has_room(directories: tuple[str, ...] = JOURNALS) -> bool:
    """Tell whether the disk of the journal has room: journald takes entries, and drops them, when
    it has none. True where it is not known which disk that is.
    """
    for directory in directories:  # journald leaves the first when it begins with the second
        try:
            if os.listdir(directory):
                found = os.statvfs(directory)
                return found.f_bfree * found.f_frsize >= LEAST_ROOM
        except OSError:
            continue  # not there
    return True


def send(
    sock: _socket.socket, datagram: bytes, ancillary: Sequence[tuple[int, int, bytes]] = ()
) -> bool:
    """Hand one entry over. False: the journal's queue is full, wait until it is writable.

    Raises SinkError when the journal has gone or refuses the entry.
    """
    try:
        sock.sendmsg([datagram], ancillary)
    except OSError as error:
        if error.errno in (EAGAIN, ENOBUFS, EINTR):
            return False
        raise SinkError(f"the journal does not take an entry: {error.strerror}") from error
    return True


def send_as_init(sock: _socket.socket, datagram: bytes) -> bool:
    """Hand one entry over like ``send``; that of root as one of process 1.

    journald bounds the entries of each unit (RateLimitBurst=) and drops what is more. The hook of
    su and sudo runs in the session of a user, who could use that bound up before.
    """
    try:
        return send(sock, datagram, [(SOL_SOCKET, SCM_CREDENTIALS, INIT)])
    except SinkError:  # not root, or root without CAP_SYS_ADMIN
        return send(sock, datagram)


def log(fields: Mapping[str, str], path: str = paths.JOURNAL_SOCKET) -> bool:
    """Log an entry at once or not at all; tells whether it was taken."""
    try:
        sock = connect(path)
    except SinkError:
        return False
    try:
        return send_as_init(sock, pack(fields))
    except SinkError:
        return False
    finally:
        sock.close()


def alert(
    message_id: str, message: str, fields: Mapping[str, str], path: str = paths.JOURNAL_SOCKET
) -> bool:
    """Log what an administrator must see, as ``log`` does."""
    return log(alert_fields(message_id, message, fields), path)


def alert_fields(message_id: str, message: str, fields: Mapping[str, str]) -> dict[str, str]:
    """Give the fields of an alert."""
    return {
        "MESSAGE": message,
        "MESSAGE_ID": message_id,
        "PRIORITY": "2",
        "SYSLOG_IDENTIFIER": "sessionwrap",
        **fields,
    }


def not_recorded_fields(message: str, user: str, service: str, login: str = "") -> dict[str, str]:
    """Give the fields of the alert that a login of ``user`` that should be recorded is not.

    ``login`` is its name, "" where it has none.
    """
    return alert_fields(
        message_ids.ALERT_NOT_RECORDED,
        message,
        {"SESSIONWRAP_USER": user, "SESSIONWRAP_SERVICE": service, "SESSIONWRAP_LOGIN": login},
    )
