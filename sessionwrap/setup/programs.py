"""The programs of the system that setup calls, and files that it replaces."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from typing import Final

from sessionwrap.errors import SessionwrapError

SECONDS: Final = 120
PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
NEW: Final = ".sessionwrap-new"
"""The end of the name of a file that is to replace another."""


def run(*words: str) -> str:
    """Run a program to its end and give its output; SessionwrapError when its status is not 0."""
    return output(call(*words))


def output(done: subprocess.CompletedProcess[str]) -> str:
    """Give the output of a program; SessionwrapError with what it said when it failed."""
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-500:]
        command = " ".join(done.args)
        raise SessionwrapError(f"`{command}` ended with status {done.returncode}: {said}")
    return done.stdout


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

    A link is followed. Mode, owner and extended attributes (ACLs, SELinux's context) stay; a file
    that was not there has mode 0644, and its directory is made where it is missing. It is on the
    disk afterwards. SessionwrapError where the disk says no.
    """
    path = os.path.realpath(path)
    directory, new = os.path.dirname(path), path + NEW
    try:
        os.makedirs(directory, mode=0o755, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            file.write(text)
            file.flush()
            _be_like(path, new)
            os.fsync(fd)
        os.rename(new, path)
        _sync(directory)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise SessionwrapError(f"{path}: cannot be written: {error.strerror}") from error


def _be_like(path: str, new: str) -> None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        os.chmod(new, 0o644)
        return
    os.chown(new, found.st_uid, found.st_gid)
    shutil.copystat(path, new)
    os.utime(new)  # it has changed


def _sync(directory: str) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
