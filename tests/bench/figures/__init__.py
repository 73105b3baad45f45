"""The figures: one file each, and one line in ``FIGURES``, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.bench.figures import (
    bulk,
    echo,
    getpwnam,
    hook,
    listing,
    many,
    memory,
    space,
    start,
    unrecorded,
    ways_in,
)
from tests.bench.results import Result, Sizes

FIGURES: Final[dict[str, Callable[[Sizes], list[Result]]]] = {
    "bulk": bulk.measure,
    "echo": echo.measure,
    "start": start.measure,
    "memory": memory.measure,
    "unrecorded": unrecorded.measure,
    "hook": hook.measure,
    "ways_in": ways_in.measure,
    "space": space.measure,
    "many": many.measure,
    "list": listing.measure,
    "getpwnam": getpwnam.measure,  # last: it restarts what a hook would look at
}
