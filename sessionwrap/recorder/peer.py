"""Who asks for a recording: what the kernel says of the process at the other end.

Nothing here comes from the caller: SO_PEERCRED (unix(7)), a pidfd that keeps the pid from being
given to somebody else, and /proc of that pid while it is held.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from typing import NamedTuple

from sessionwrap import accounts, decisions, paths, shells, tickets
from sessionwrap.errors import HandshakeError

_UCRED = struct.Struct("iII")
MAX_COMMAND = 4096
"""Bytes of a command line that a start entry keeps."""


class Peer(NamedTuple):
    """The login shell that called: a process that is known to be alive while ``pidfd`` says so."""

    pid: int
    uid: int
    pidfd: int


def identify(connection: socket.socket) -> Peer:
    """Say who is at the other end; HandshakeError when that process has gone."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(raw)
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        raise HandshakeError(f"the caller has gone: {error}") from error
    return Peer(pid, uid, pidfd)


def is_alive(peer: Peer) -> bool:
    """Tell whether what was read from /proc/PID was the caller's: ask after reading."""
    poll = select.poll()
    poll.register(peer.pidfd, select.POLLIN)
    return not poll.poll(0)


def decide(peer: Peer) -> tickets.Ticket:
    """Give the hook's ticket for the caller's login, or a fresh decision where there is none:
    that has no ``start``.

    Raises TicketError, and HandshakeError where NSS hangs or nobody has the uid.
    """
    ticket = tickets.find(peer.pid, peer.uid)
    if ticket is not None:
        return ticket
    try:
        account = accounts.look_up(peer.uid)
    except OSError as error:
        raise HandshakeError(str(error)) from error
    if account is None:
        raise HandshakeError(f"no user has the uid {peer.uid}")
    decision, policy = decisions.Rules().decide(account)
    return tickets.Ticket(
        record=decision.record,
        rule=decision.rule,
        user=account.name,
        uid=peer.uid,
        shell=shells.real_shell(account.name, account.base_shell),
        service="",
        rhost="",
        tty="",
        policy=policy,
        session=tickets.session_of(peer.pid),
        pid=peer.pid,
        start=0,
        time=0,
    )


def command_of(peer: Peer) -> str:
    """Give the command line that the caller was asked to run; "" for a plain login.

    The caller is a script: what it was given stands after its own name in the command line.
    """
    with open(f"/proc/{peer.pid}/cmdline", "rb") as file:
        words = file.read(MAX_COMMAND).rstrip(b"\0").split(b"\0")
    ours = tuple(name[name.rindex("/") :].encode() for name in paths.LOGIN_SHELLS)
    names = [place for place, word in enumerate(words) if word.endswith(ours)]
    given = words[names[0] + 1 :] if names else words
    if given[:1] == [b"-c"]:
        given = given[1:]
    return b" ".join(given).decode("utf-8", "replace")


def ticks_of(pid: int) -> int:
    """Give the start time of a process in clock ticks after boot."""
    return tickets.parent_and_start(pid)[1]
