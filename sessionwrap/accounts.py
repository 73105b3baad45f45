"""Users and groups as NSS gives them: local, LDAP, IPA, whatever nsswitch.conf(5) names.

Standard library only: every login waits for this.
"""

from __future__ import annotations

import grp
import marshal
import os
import pwd
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NO_SYNTHETIC = "SYSTEMD_NSS_BYPASS_SYNTHETIC"
"""Variable by which systemd's NSS module does not answer for root itself (its nss-systemd.c)."""
OVERLAY = "io.sessionwrap.Overlay"
"""Our own service of systemd's user database, which answers the login shell."""
ACCOUNT_SECONDS = 8.0
"""How long an account may take: the overlay's watchdog, then a slow directory."""
GROUP_SECONDS = 3.0
"""How long its groups may take on top of that."""
NSCD = "/run/nscd/socket"
NSCD_SECONDS = 2
_KILL = 9


class Account:
    """What NSS says of a user.

    ``name`` as NSS has it; ``shell`` is what login programs start, ``base_shell`` what they would
    without the overlay. ``groups`` are the names of all groups, the primary one first; None where
    they were not asked for or did not come in time.
    """

    __slots__ = ("base_shell", "gid", "groups", "name", "shell", "uid")

    def __init__(
        self, entry: tuple[str, int, int, str, str], groups: tuple[str, ...] | None
    ) -> None:
        self.name, self.uid, self.gid, self.shell, self.base_shell = entry
        self.groups = groups


def find_user(user: str) -> pwd.struct_passwd:
    """Give the passwd entry of a user; NotFoundError where NSS has none of that name."""
    from sessionwrap.errors import NotFoundError

    try:
        return pwd.getpwnam(user)
    except (KeyError, ValueError) as error:  # ValueError: a NUL or a lone surrogate in the name
        raise NotFoundError(f"no such user: {user!a}") from error


def bypass_overlay() -> None:
    """Let NSS in this process answer as if there were no overlay (nss-systemd(8))."""
    os.environ["SYSTEMD_BYPASS_USERDB"] = OVERLAY


def groups_of(user: str, gid: int) -> tuple[str, ...]:
    """Give the names of all groups of a user, the primary one (``gid``) first.

    A group id without a name stands as "": a directory that is down may know a user, and nothing
    of the groups (scope.decide).
    """
    return tuple(_group_name(number) for number in os.getgrouplist(user, gid))


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""


def has_cache(path: str = NSCD) -> bool:
    """Tell whether nscd(8) answers for users, from what it was told up to minutes ago.

    glibc asks it before all that nsswitch.conf names, and no bypass of the overlay reaches it. This
    is a GETPWBYNAME of glibc's nscd-client.h; the reply is (version, found, …), and found is -1
    where nscd does not have that database. In doubt yes.
    """
    if not os.path.exists(path):
        return False
    from sessionwrap import handshake  # a host without nscd does not pay for it

    try:
        sock = handshake.connect(path, NSCD_SECONDS, handshake.STREAM)
    except OSError:
        return False  # a socket that was left over
    try:
        sock.send(b"".join(number.to_bytes(4, sys.byteorder) for number in (2, 0, 5)) + b"root\0")
        reply = sock.recv(8)
    except OSError:
        return True
    finally:
        sock.close()
    return reply[4:] != b"\xff\xff\xff\xff"


def look_up(key: str | int, group_seconds: float = GROUP_SECONDS) -> Account | None:
    """Ask NSS for a user by name or uid, and for the groups; see ``LookUp.answer``."""
    return LookUp(key).answer(group_seconds)


class LookUp:
    """Asks NSS in a child, from now on: a directory may hang, and there is other work meanwhile."""

    def __init__(self, key: str | int) -> None:
        self._pipe, to_parent = os.pipe()
        try:
            self._child = os.fork()
        except OSError:
            os.close(self._pipe)
            os.close(to_parent)
            raise
        if self._child == 0:
            try:
                os.close(self._pipe)
                null = os.open("/dev/null", os.O_RDWR)
                for fd in (0, 1, 2):  # who waits for our caller's last word waits for no directory
                    os.dup2(null, fd)
                _tell(key, to_parent)
            finally:
                os._exit(0)  # whatever happens: two of us must not go on
        os.close(to_parent)

    def answer(self, group_seconds: float = GROUP_SECONDS) -> Account | None:
        """Give the user, None where there is none; OSError where the account does not come in time.

        Root and system accounts never wait longer than GROUP_SECONDS for their groups.
        """
        try:
            return _hear(self._pipe, group_seconds)
        finally:
            self.end()

    def end(self) -> None:
        """End the child; nothing where that was done."""
        if self._child:
            os.close(self._pipe)
            os.kill(self._child, _KILL)
            os.waitpid(self._child, 0)
            self._child = 0


def _tell(key: str | int, pipe: int) -> None:
    """Write what NSS says: the account and its base shell, then the groups."""
    found = _entry(key)
    if found is None:
        _send(pipe, None)
        return
    bypass_overlay()
    base = _entry(found.pw_name) or found
    _send(pipe, (found.pw_name, found.pw_uid, found.pw_gid, found.pw_shell, base.pw_shell))
    _send(pipe, groups_of(found.pw_name, found.pw_gid))


def _entry(key: str | int) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(key) if isinstance(key, str) else pwd.getpwuid(key)
    except (KeyError, ValueError):
        return None


def _hear(pipe: int, group_seconds: float = GROUP_SECONDS) -> Account | None:
    try:
        values = _receive(pipe, ACCOUNT_SECONDS)
    except TimeoutError:
        raise OSError("the account could not be looked up: NSS does not answer") from None
    if values is None:
        return None
    try:
        from sessionwrap import scope  # not before the child is at it: NSS is what takes time

        is_system = scope.is_system_account(values[1])
        groups = _receive(pipe, GROUP_SECONDS if is_system else group_seconds)
    except TimeoutError:
        groups = None
    return Account(values, groups)


def _send(pipe: int, value: tuple[str | int, ...] | None) -> None:
    data = marshal.dumps(value)
    data = len(data).to_bytes(4, "little") + data
    while data:
        data = data[os.write(pipe, data) :]


def _receive(pipe: int, seconds: float) -> Any:
    """Read what ``_send`` wrote; TimeoutError where it is not there in time, or never will be."""
    deadline = time.monotonic() + seconds
    length = int.from_bytes(_read(pipe, 4, deadline), "little")
    return marshal.loads(_read(pipe, length, deadline))  # noqa: S302 # of our own child


def _read(pipe: int, count: int, deadline: float) -> bytes:
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    data = b""
    while len(data) < count:
        left = deadline - time.monotonic()
        part = os.read(pipe, count - len(data)) if left > 0 and poll.poll(left * 1000) else b""
        if not part:
            raise TimeoutError
        data += part
    return data
