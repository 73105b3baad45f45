"""From the spool to the sink: when to encode, what is on its way, what to do when nobody takes it.

Never waits: the relay asks when to call again.
"""

from __future__ import annotations

from typing import Final

from sessionwrap import journal_protocol, message_ids
from sessionwrap.codec.encoder import Encoded, encode
from sessionwrap.errors import SinkError
from sessionwrap.model import Event, Head
from sessionwrap.recorder.spool import Spool
from sessionwrap.sinks import Sink

RETRY_MS: Final = 1000
"""How long a sink that is away is left alone before the next try."""
STUCK_MS: Final = 5000
"""How long a sink may be busy with nothing taken before it counts as stuck."""


class Outbox:
    """Sends what the spool holds.

    ``payload`` is the bound of a message in bytes, ``latency`` the longest time in milliseconds
    that an event may wait. All times here are milliseconds from the first event, as in events.
    ``busy`` is true while the sink should be polled for POLLOUT; ``full_at`` is the fill of the
    spool from which ``flush`` is worth a call. ``due`` is the time of the next call of ``flush``,
    None: not before something happens; who appends an event while ``idle`` calls ``saw``.
    """

    def __init__(self, spool: Spool, head: Head, sink: Sink, *, payload: int, latency: int) -> None:
        self._spool = spool
        self._head = head
        self._sink = sink
        self._payload = payload
        self._latency = latency
        self._encoded: Encoded | None = None
        self._end = 0
        self._retry_at: int | None = None
        self._away_since: int | None = None
        self._busy_since: int | None = None
        self._everything = False
        self._oldest: int | None = None
        self.idle = True
        self.due: int | None = None
        self.busy = False
        self.full_at = payload

    @property
    def is_away(self) -> bool:
        """Whether the sink did not take what it was last offered."""
        return self._away_since is not None

    def is_stuck(self, now: int) -> bool:
        """Whether the sink is away, or takes nothing any more: not only slow."""
        since = self._busy_since
        return self.is_away or (since is not None and now - since >= STUCK_MS)

    @property
    def messages(self) -> int:
        """How many messages the sink has taken."""
        return self._spool.next_id - 1 + self._spool.sent

    def saw(self, time: int) -> None:
        """Note the first event that waits for its latency."""
        self._oldest = time
        self._set_due(time)

    def _set_due(self, now: int) -> None:
        self.idle = self._oldest is None
        if self._busy_since is not None:
            # The sink will say when, but who must not wait for ever wants to know.
            self.due = now + STUCK_MS
        elif self._retry_at is not None:
            self.due = self._retry_at
        else:
            self.due = None if self._oldest is None else self._oldest + self._latency

    def flush(self, now: int, *, everything: bool, final: bool = False) -> bool:
        """Send what fills messages, or everything; true when nothing of it is left to send.

        With ``final`` bytes that never became a whole character go too.
        """
        if not self.resume(now):
            return False
        self._encode(everything=everything, final=final)
        return self.resume(now)

    def _encode(self, *, everything: bool, final: bool) -> None:
        spool = self._spool
        end = spool.fill
        events: list[Event] = spool.events(0, end)
        self._encoded = encode(
            self._head,
            events,
            next_id=spool.next_id,
            winsize=spool.winsize,
            payload=self._payload,
            flush=everything,
            final=final,
        )
        self._end = end
        self._everything = everything
        if everything:
            spool.set_limit(end)

    def resume(self, now: int) -> bool:
        """Go on sending what is on its way; true when the sink has taken all of it."""
        sent = self._send(now)
        self._set_due(now)
        return sent

    def _send(self, now: int) -> bool:
        encoded, spool = self._encoded, self._spool
        if encoded is None:
            return True
        self.busy = False
        while spool.sent < len(encoded.messages):
            number = spool.sent
            try:
                taken = self._sink.write(encoded.messages[number], spool.next_id + number)
            except SinkError as error:
                self._went_away(now, error)
                return False
            if not taken:
                self.busy = True
                self._busy_since = now if self._busy_since is None else self._busy_since
                return False
            self._busy_since = None
            spool.set_sent(number + 1)
        self._came_back(now)
        self._encoded = None
        if encoded.messages or spool.limit:
            spool.advance(
                spool.next_id + len(encoded.messages), encoded.winsize, encoded.rest, self._end
            )
        # After a flush of everything the rest waits for its last byte, not for a time.
        waiting = spool.fill > 0 and not (self._everything and spool.fill == spool.rest)
        self._oldest = spool.first_time() if waiting else None
        self.full_at = max(self._payload, spool.fill + self._payload // 2)
        return True

    def _went_away(self, now: int, error: SinkError) -> None:
        self._retry_at = now + RETRY_MS
        self._busy_since = None
        if self._away_since is None:
            self._away_since = now
            self._alert(
                f"Recording {self._head.rec} of {self._head.user} cannot be stored: {error}"
            )

    def _came_back(self, now: int) -> None:
        self._retry_at = None
        if self._away_since is not None:
            seconds = (now - self._away_since) / 1000
            self._away_since = None
            self._alert(
                f"Recording {self._head.rec} of {self._head.user} could not be stored for "
                f"{seconds:.0f} s and was held back; now it is stored again"
            )

    def _alert(self, text: str) -> None:
        journal_protocol.alert(
            message_ids.ALERT_STORAGE,
            text,
            {"SESSIONWRAP_REC": self._head.rec, "SESSIONWRAP_USER": self._head.user},
        )
