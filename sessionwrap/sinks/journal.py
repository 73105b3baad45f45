"""The journal as a sink: one entry a message, with tlog's fields."""

from __future__ import annotations

import _socket

from sessionwrap import entries, journal_protocol
from sessionwrap.errors import SinkError
from sessionwrap.model import Head
from sessionwrap.settings import Settings

PRIORITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
"""By number, as syslog(3) has them."""


class JournalSink:
    """Sends messages by the native protocol and never waits."""

    def __init__(self, head: Head, settings: Settings) -> None:
        fields = {
            "PRIORITY": str(PRIORITIES.index(settings.text("journal.priority"))),
            "SYSLOG_IDENTIFIER": entries.IDENTIFIER,
        }
        self._augment = settings.flag("journal.augment")
        if self._augment:
            fields |= {
                "TLOG_USER": head.user,
                "TLOG_SESSION": str(head.session),
                "TLOG_REC": head.rec,
            }
        self._fixed = journal_protocol.pack(fields)
        self._socket: _socket.socket | None = None

    def write(self, message: bytes, number: int) -> bool:
        """Take one message; see ``sinks.Sink``."""
        if self._socket is None:
            self._socket = journal_protocol.connect()
        number_field = b"TLOG_ID=%d\n" % number if self._augment else b""
        # The message is one line of JSON: it needs no length before it.
        datagram = b"%s%sMESSAGE=%s\n" % (self._fixed, number_field, message)
        try:
            return journal_protocol.send(self._socket, datagram)
        except SinkError:
            self.close()  # a journal that comes back listens on a new socket
            raise

    def fileno(self) -> int:
        """Give the socket's descriptor; -1 while there is none."""
        return -1 if self._socket is None else self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
