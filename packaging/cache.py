"""What is made once and kept in /var/cache/sessionwrap (root only): images and packages.

Each entry is a directory that never changes after it was made, named by what went into it.
Several programs may ask for the same entry at once: one makes it, the others wait.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

CACHE = Path("/var/cache/sessionwrap")
KEEP = 86400
"""Seconds after which an entry that nobody uses is removed, when another one is made."""


def entry(name: str, make: Callable[[Path], None]) -> Path:
    """Give the directory of an entry; ``make`` fills it when it is not there yet."""
    directory = CACHE / name
    if directory.is_dir():
        os.utime(_lock_path(directory))
        return directory
    CACHE.mkdir(mode=0o700, exist_ok=True)
    CACHE.chmod(0o700)
    lock = _lock(directory, fcntl.LOCK_EX)
    try:
        if not directory.is_dir():
            _remove_old()
            _make(directory, make)
    finally:
        os.close(lock)
    return directory


def hold(directory: Path) -> int:
    """Keep an entry from being removed until the descriptor that is given is closed."""
    lock = _lock(directory, fcntl.LOCK_SH)
    os.utime(lock)
    return lock


def _make(directory: Path, make: Callable[[Path], None]) -> None:
    new = directory.with_suffix(".new")
    for left in CACHE.glob(f"{new.name}*"):  # by a program that was killed
        shutil.rmtree(left)
    new.mkdir(mode=0o755)
    try:
        make(new)
    except BaseException:
        shutil.rmtree(new)
        raise
    new.rename(directory)


def _lock_path(directory: Path) -> Path:
    return directory.with_suffix(".lock")


def _lock(directory: Path, operation: int) -> int:
    while True:
        path = _lock_path(directory)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, operation)
            with suppress(FileNotFoundError):
                if os.path.samestat(path.stat(), os.fstat(fd)):
                    return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # the entry was removed while we waited


def _remove_old() -> None:
    for path in CACHE.glob("*.lock"):
        if time.time() - path.stat().st_mtime < KEEP:
            continue
        with suppress(BlockingIOError):  # somebody uses it
            lock = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                if path.with_suffix("").is_dir():
                    shutil.rmtree(path.with_suffix(""))
                path.unlink()
            finally:
                os.close(lock)
