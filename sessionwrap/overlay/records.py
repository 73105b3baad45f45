"""Whether a user's record is answered, and what it says. Values in, values out."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Any, Final

from sessionwrap import paths, scope, shells
from sessionwrap.local_accounts import Account
from sessionwrap.overlay import varlink

PATH_MAX: Final = 4096
"""Bytes of a path, the NUL at its end included (limits.h)."""


def wants_launch_point(
    rules: scope.Rules | None, account: Account, groups: Sequence[str] | None
) -> bool:
    """Tell whether a user gets the login shell; ``rules`` are None while they have a mistake,
    ``groups`` where the directory does not say.

    In doubt yes: the login shell asks again, and is the user's own where it need not record.
    """
    if scope.is_system_account(account.uid) or shells.is_no_login(account.shell):
        return False
    if is_ours(account.shell):
        return False  # it is so already
    if rules is None:
        return True
    return scope.decide(rules, scope.Subject(account.user, account.uid, groups)).record


def is_ours(shell: str) -> bool:
    """Tell whether a shell field names our login shell; tlog may have one of the names."""
    return shell in paths.LOGIN_SHELLS and shells.is_login_shell(shell)


def record(account: Account) -> dict[str, Any]:
    """Give the user record (systemd.io/USER_RECORD) that says what the account does, but for the
    shell.

    nss-systemd takes only what it finds in order: what could not be said there is said in the
    nearest way that can, for a record that is thrown away is a login without a recording.
    """
    return {
        "userName": account.user,
        "uid": account.uid,
        "gid": account.gid,
        "realName": _text(account.gecos),
        "homeDirectory": _home(account.home),
        "shell": paths.LOGIN_SHELL,
        "disposition": "regular",
        "service": varlink.SERVICE,
    }


def _home(home: str) -> str:
    text = _text(home)  # first: what is left out may leave a path behind that is not in order
    if not text.startswith("/"):
        return "/"
    path = posixpath.normpath("/" + text.lstrip("/"))
    return path if len(path.encode()) < PATH_MAX else "/"


def _text(text: str) -> str:
    """Leave out what JSON and a passwd entry cannot carry: bytes that are not UTF-8, controls."""
    return "".join(
        c for c in text if c >= " " and c not in ":\x7f" and not "\ud800" <= c <= "\udfff"
    )
