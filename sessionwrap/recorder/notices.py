"""What the recorder says in the user's own terminal while a session goes on."""

from __future__ import annotations

from typing import Final

NOT_KEPT: Final = (
    b"\r\nsessionwrap: the recording of this session cannot be stored. It ends here.\r\n"
)
LOSING: Final = (
    b"\r\nsessionwrap: this session is not recorded at the moment. An administrator is told.\r\n"
)
LOST: Final = b"\r\n[sessionwrap: %d bytes passed here that could not be recorded]\r\n"
STALLED: Final = (
    b"\r\nsessionwrap: this session cannot be recorded at the moment and waits until it can.\r\n"
)
