"""Configuration files from the disk: bounded, UTF-8, and nobody's but root's to write.

Standard library only: every login waits for this.
"""

from __future__ import annotations

import os
import stat

from sessionwrap import paths
from sessionwrap.errors import ConfigError

MAX_BYTES = 1 << 20
"""The largest file, in bytes."""
MAX_FILES = 1000
"""The most files in ``conf.d``."""


def read_scope_files(directory: str = paths.CONFIG_DIR) -> list[tuple[str, str]]:
    """Read ``sessionwrap.conf``, then ``conf.d/*.conf`` by name, as (path, text).

    Names with a leading dot are left out. A missing ``sessionwrap.conf`` or ``conf.d`` is no
    mistake, a missing directory is. ConfigError for the first file that cannot be read.
    """
    files, errors = read_all_scope_files(directory)
    if errors:
        raise errors[0]
    return files


def read_all_scope_files(
    directory: str = paths.CONFIG_DIR,
) -> tuple[list[tuple[str, str]], list[ConfigError]]:
    """Read what ``read_scope_files`` does; give what can be read and every mistake."""
    files: list[tuple[str, str]] = []
    errors: list[ConfigError] = []
    try:
        _check_directory(directory)
        names = ["sessionwrap.conf", *_dropins(directory)]
    except ConfigError as error:
        return files, [error]
    for name in names:
        path = f"{directory}/{name}"
        try:
            text = read_text(path) if name != "sessionwrap.conf" else read_text_if_there(path)
        except ConfigError as error:
            errors.append(error)
            continue
        if text is not None:
            files.append((path, text))
    return files, errors


def read_text_if_there(path: str, *, limit: int = MAX_BYTES) -> str | None:
    """Read a file like ``read_text``; None where there is nothing of that name.

    A symbolic link to nothing is a mistake, not a missing file.
    """
    return read_text(path, limit=limit) if os.path.lexists(path) else None


def read_text(path: str, *, limit: int = MAX_BYTES) -> str:
    """Read a UTF-8 file of at most ``limit`` bytes; ConfigError where that cannot be.

    Links are followed; the file itself must be a regular one that belongs to root (or to the
    caller) and that group and others cannot write.
    """
    try:
        # O_NONBLOCK: opening a FIFO must not hang a login.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise ConfigError(path, 0, "", f"cannot be opened: {_reason(error)}") from error
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(path, 0, "", "is not a regular file, expected one")
        _check_owner(path, found)
        data = _read(fd, limit)
    except OSError as error:
        raise ConfigError(path, 0, "", f"cannot be read: {_reason(error)}") from error
    finally:
        os.close(fd)
    if len(data) > limit:
        raise ConfigError(path, 0, "", f"is too large, expected at most {limit} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(path, line, "", "is not UTF-8, expected UTF-8 text") from error


def _read(fd: int, limit: int) -> bytes:
    data = b""
    while len(data) <= limit and (part := os.read(fd, limit + 1 - len(data))):
        data += part
    return data


def _dropins(directory: str) -> list[str]:
    dropins = f"{directory}/conf.d"
    if not os.path.lexists(dropins):
        return []
    _check_directory(dropins)
    try:
        names = [
            name
            for name in os.listdir(dropins)
            if name.endswith(".conf") and not name.startswith(".")
        ]
    except OSError as error:
        raise ConfigError(dropins, 0, "", f"cannot be listed: {_reason(error)}") from error
    if len(names) > MAX_FILES:
        raise ConfigError(dropins, 0, "", f"{len(names)} files, expected at most {MAX_FILES}")
    for name in names:
        if not name.isprintable():
            problem = f"the name of the file {name!a} cannot be shown, expected plain text"
            raise ConfigError(dropins, 0, "", problem)
    return ["conf.d/" + name for name in sorted(names)]


def _check_directory(path: str) -> None:
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise ConfigError(path, 0, "", f"cannot be opened: {_reason(error)}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise ConfigError(path, 0, "", "is not a directory, expected one")
    _check_owner(path, found)


def _check_owner(path: str, found: os.stat_result) -> None:
    if found.st_uid not in (0, os.geteuid()):
        raise ConfigError(path, 0, "", f"belongs to uid {found.st_uid}, expected root (uid 0)")
    if found.st_mode & 0o022:
        problem = f"has mode {found.st_mode & 0o7777:04o}, expected no write for group and others"
        raise ConfigError(path, 0, "", problem)


def _reason(error: OSError | ValueError) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
