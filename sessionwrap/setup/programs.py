"""The programs of the system that setup calls, and files that it replaces."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from typing import Final

from sessionwrap.errors import SessionwrapError

SECONDS: Final = 120
PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"


def run(*words: str) -> None:
    """Run a program to its end; SessionwrapError with what it said when its status is not 0."""
    done = call(*words)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-500:]
        raise SessionwrapError(f"`{' '.join(words)}` ended with status {done.returncode}: {said}")


def call(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, whatever its status; SessionwrapError where it cannot be run."""
    try:
        return subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=SECONDS,
            check=False,
            env={"PATH": PATH, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SessionwrapError(f"`{' '.join(words)}` could not be run: {error}") from error


def is_there(program: str) -> bool:
    """Tell whether a program is installed."""
    return shutil.which(program, path=PATH) is not None


def is_booted() -> bool:
    """Tell whether systemd runs here (sd_booted(3)); not so while an image is being made."""
    return os.path.isdir("/run/systemd/system")


def replace(path: str, text: str) -> None:
    """Replace a file so that a crash leaves the old or the new one, whole.

    A link is followed. The mode stays, and is 0644 for a file that was not there; the directory
    is made where it is missing. SessionwrapError where the disk says no.
    """
    path = os.path.realpath(path)
    new = f"{path}.sessionwrap-new"
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        if os.path.lexists(new):
            os.unlink(new)  # left by a run that was killed
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with open(fd, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            os.fchmod(fd, _mode(path))
            file.write(text)
            file.flush()
            os.fsync(fd)
        os.rename(new, path)
    except OSError as error:
        raise SessionwrapError(f"{path}: cannot be written: {error.strerror}") from error


def _mode(path: str) -> int:
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        return 0o644
