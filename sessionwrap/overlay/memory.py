"""What login programs were told lately: the hook asks, see ``is_sure``."""

from __future__ import annotations

import time
from typing import Final, TypeVar

MAX_NAMES: Final = 10_000


class Memory:
    """What login programs were told, which are root's: nobody else's questions are noted, so that
    nobody else can fill this. Times are seconds after boot, as in /proc/PID/stat.
    """

    def __init__(self) -> None:
        self._nothing: dict[str, float] = {}
        self._ours: dict[tuple[int, str], float] = {}
        self._left: dict[int, float] = {}
        self.forget()

    def forget(self) -> None:
        """Note that anybody may have been told anything until now."""
        self._nothing.clear()
        self._left.clear()
        self._forgotten = _now()

    def said_nothing(self, user: str) -> None:
        """Note that a login program was told that there is no record of ``user``."""
        self._forgotten = max(self._forgotten, _note(self._nothing, user))

    def took_ours(self, pid: int, user: str) -> None:
        """Note that the process ``pid`` has read our record of ``user``."""
        _note(self._ours, (pid, user))

    def left(self, pid: int) -> None:
        """Note that the process ``pid`` asked nothing or read no answer: NSS failed there."""
        self._forgotten = max(self._forgotten, _note(self._left, pid))

    def is_sure(self, user: str, since: float, pid: int | None = None) -> bool:
        """Tell whether a process that began at ``since`` can only have seen our record; with a
        ``pid``, whether that one has seen it, each time it has looked.
        """
        if pid is not None and not (
            self._ours.get((pid, user), 0.0) >= since > self._left.get(pid, 0.0)
        ):
            return False
        return since > self._forgotten and since > self._nothing.get(user, 0.0)


_Key = TypeVar("_Key")


def _note(times: dict[_Key, float], key: _Key) -> float:
    """Note that it was now; give the time of the oldest, where that went for it, or 0."""
    times.pop(key, None)  # the newest stand last
    times[key] = _now()
    return times.pop(next(iter(times))) if len(times) > MAX_NAMES else 0.0


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
