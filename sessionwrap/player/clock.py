"""Where in the recording the playback is. Pure: the time now is always passed in."""

from __future__ import annotations

SLOWEST = 1 / 16
FASTEST = 16.0


class Clock:
    """Maps the monotonic clock (seconds) to the recording's time (milliseconds).

    ``speed`` is how much faster than recorded, SLOWEST to FASTEST.
    """

    def __init__(self, now: float, *, speed: float, paused: bool) -> None:
        self._position = 0.0
        self._since = now
        self.speed = speed
        self.paused = paused

    def position(self, now: float) -> float:
        """Give where the playback is, in milliseconds from the start of the recording."""
        if self.paused:
            return self._position
        return self._position + (now - self._since) * 1000 * self.speed

    def move(self, now: float, position: float) -> None:
        """Go to a position."""
        self._position = position
        self._since = now

    def set_paused(self, now: float, *, paused: bool) -> None:
        """Stop or go on."""
        self.move(now, self.position(now))
        self.paused = paused

    def set_speed(self, now: float, speed: float) -> None:
        """Change the speed from here on; beyond the limits it is the limit."""
        self.move(now, self.position(now))
        self.speed = min(max(speed, SLOWEST), FASTEST)

    def wait(self, now: float, time: float) -> float:
        """Give the seconds until the playback gets to ``time``; 0 when it is there."""
        return max(0.0, (time - self.position(now)) / 1000 / self.speed)
