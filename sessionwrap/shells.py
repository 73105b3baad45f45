"""The map of real shells: what an enrolled user's passwd entry said before.

One ``user:/path/to/shell`` a line, as in passwd(5): names have no colon, and an empty shell
means /bin/sh. Standard library only: every login waits for this.
"""

from __future__ import annotations

import os
import stat

from sessionwrap import config_files, paths
from sessionwrap.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_BYTES = 4 << 20
"""The largest map, in bytes."""
MAX_LINE = 4096
"""The longest line, in characters (PATH_MAX of limits.h)."""
NO_LOGIN = ("nologin", "false", "true", "sync", "halt", "shutdown")
"""Names of programs that stand for "no login here" in the shell field of system accounts."""
SYSTEM_DIRECTORIES = ("/bin", "/sbin", "/usr/bin", "/usr/sbin")
DEFAULT_SHELL = "/bin/sh"
"""What an empty shell field means (passwd(5))."""


def parse(text: str, path: str = paths.SHELLS_FILE) -> dict[str, str]:
    """Read the map: user to the shell field as it was, "" included; ConfigError for a mistake."""
    entries: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line:
            continue
        user, colon, shell = line.partition(":")
        problem = _problem(user, colon, shell, line)
        if not problem and user in entries:
            problem = "a second line for this user, expected one"
        if problem:
            raise ConfigError(path, number, user if user.isprintable() else "", problem)
        entries[user] = shell
    return entries


def load(path: str = paths.SHELLS_FILE) -> dict[str, str]:
    """Read the map from the disk; empty where there is none. ConfigError for a mistake."""
    return parse(config_files.read_text_if_there(path, limit=MAX_BYTES) or "", path)


def lookup(user: str, path: str = paths.SHELLS_FILE) -> str | None:
    """Give the real shell of a user, None where the map does not know them.

    An empty field gives /bin/sh. ConfigError where the map is broken or cannot be read.
    """
    shell = load(path).get(user)
    return DEFAULT_SHELL if shell == "" else shell


def real_shell(user: str, base_shell: str) -> str:
    """Give the shell that a user would have without us; "" where none works that is known.

    ``base_shell`` is what NSS says without the overlay: it is ours for who is enrolled. The login
    shell then looks again, falls back to /bin/sh, and says so.
    """
    if not is_login_shell(base_shell):
        return base_shell or DEFAULT_SHELL
    try:
        shell = lookup(user) or ""
    except ConfigError:
        return ""
    return shell if usable(shell) else ""


def write(entries: Mapping[str, str], path: str = paths.SHELLS_FILE) -> None:
    """Replace the map (mode 0644) so that a crash leaves the old or the new one, whole.

    The caller holds the lock. ConfigError for an entry that could not be read back, OSError
    where the disk says no.
    """
    text = "".join(f"{user}:{shell}\n" for user, shell in sorted(entries.items()))
    if parse(text, path) != dict(entries):
        raise ConfigError(path, 0, "", "an entry holds a line break, expected none")
    new = path + ".new"
    if os.path.lexists(new):
        os.unlink(new)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fchmod(fd, 0o644)
            os.fsync(fd)
        os.rename(new, path)
    except BaseException:
        os.unlink(new)
        raise
    _sync_directory(os.path.dirname(path))


def usable(shell: str, login_shell: str = paths.LOGIN_SHELL) -> bool:
    """Say whether the caller can start ``shell`` as a real shell: an absolute path of an
    executable regular file that is not our own login shell (which would start itself for ever).
    """
    if not shell.startswith("/"):
        return False
    try:
        found = os.stat(shell)
    except (OSError, ValueError):
        return False
    return (
        stat.S_ISREG(found.st_mode)
        and os.access(shell, os.X_OK)
        and not is_login_shell(shell, login_shell)
    )


def is_login_shell(shell: str, login_shell: str = paths.LOGIN_SHELL) -> bool:
    """Say whether ``shell`` is our login shell, under whatever name or link."""
    if shell == login_shell:
        return True
    try:
        if os.path.realpath(shell) == os.path.realpath(login_shell):
            return True
        return os.path.samestat(os.stat(shell), os.stat(login_shell))
    except (OSError, ValueError):
        return False


def is_no_login(shell: str) -> bool:
    """Say whether a shell field means that nobody logs in here.

    A directory may let users set their own shell: a program elsewhere is no such thing, whatever
    its name.
    """
    directory, _, name = shell.rpartition("/")
    return directory in SYSTEM_DIRECTORIES and name in NO_LOGIN


def _problem(user: str, colon: str, shell: str, line: str) -> str:
    if len(line) > MAX_LINE:
        return f"a line of {len(line)} characters, expected at most {MAX_LINE}"
    if not (user and colon):
        return "expected `user:/path/to/shell`"
    if not line.isprintable():
        return "a control character, expected text"
    if ":" in shell or (shell and not shell.startswith("/")):
        return f"{shell[:40]!r}, expected the absolute path of a shell, or nothing"
    return ""


def _sync_directory(path: str) -> None:
    fd = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
