"""Children of the service: they work for a user, or do what is not to stay in its memory."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Collection
from typing import Any, Final

SIGNALS: Final = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
"""What the service handles, and its children do not."""


def fork(work: Callable[[], None], keep: Collection[int] = ()) -> int:
    """Run ``work`` in a child that has no descriptor of ours but ``keep``; gives its pid."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        first = 3
        for fd in sorted({*keep, os.sysconf("SC_OPEN_MAX")}):
            if fd >= first:
                os.closerange(first, fd)
                first = fd + 1
        work()
        status = 0
    except Exception as error:
        print(f"sessionwrapd: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def answer_of(work: Callable[[], object]) -> Any:
    """Run ``work`` in a child and wait for the JSON value that it returns; None where it fails."""
    from_child, to_parent = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.set_wakeup_fd(-1)
            with os.fdopen(to_parent, "w", encoding="utf-8") as pipe:
                json.dump(work(), pipe)
        finally:
            os._exit(0)  # whatever happens: two of us must not go on
    os.close(to_parent)
    with os.fdopen(from_child, encoding="utf-8") as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(text) if text else None
