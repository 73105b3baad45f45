"""What a player reads from: the messages of one recording, wherever they are stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sessionwrap.model import Message

OnSkip = Callable[[str], None]
"""Is told of each piece of garbage that is left out, in words for a person."""


class Source(Protocol):
    """The messages of one recording in their order. Never blocks; the player waits for it."""

    def read(self) -> Message | None:
        """Give the next message, None where there is none now. MessageError on garbage."""

    @property
    def ended(self) -> bool:
        """Whether there will be no more messages. Only right after ``read`` gave None."""

    def rewind(self) -> bool:
        """Go back to the first message; False where that is not possible (a pipe)."""

    def fileno(self) -> int:
        """Give the descriptor that is readable when there may be more; -1 where none is."""

    def timeout(self) -> float | None:
        """Give the seconds to wait at most before reading again, None for as long as it takes."""

    def acknowledge(self) -> None:
        """Take the wake-up, before the messages that it announced are read."""

    def close(self) -> None:
        """Give back the descriptors."""
