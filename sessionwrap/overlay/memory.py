"""Who was told lately that we have no record of them: the hook asks, see ``is_sure``."""

from __future__ import annotations

import time
from typing import Final

MAX_NAMES: Final = 10_000


class Memory:
    """What login programs were told, which are root's: nobody else's questions are noted, so that
    nobody else can fill this. Times are seconds after boot, as in /proc/PID/stat.
    """

    def __init__(self) -> None:
        self._said: dict[str, float] = {}
        self.forget()

    def forget(self) -> None:
        """Note that anybody may have been told anything until now."""
        self._said.clear()
        self._forgotten = _now()

    def said_nothing(self, user: str) -> None:
        """Note that a login program was told that there is no record of ``user``."""
        self._said.pop(user, None)  # the newest stand last
        self._said[user] = _now()
        if len(self._said) > MAX_NAMES:
            self._forgotten = self._said.pop(next(iter(self._said)))

    def is_sure(self, user: str, since: float) -> bool:
        """Tell whether a process that began at ``since`` can only have seen our record."""
        return since > self._forgotten and since > self._said.get(user, 0.0)


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
