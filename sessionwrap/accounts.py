"""Users and groups as NSS gives them: local, LDAP, IPA, whatever nsswitch.conf(5) names.

Standard library only: every login waits for this.
"""

from __future__ import annotations

import grp
import os
import pwd

from sessionwrap.errors import NotFoundError


def find_user(user: str) -> pwd.struct_passwd:
    """Give the passwd entry of a user; NotFoundError where NSS has none of that name."""
    try:
        return pwd.getpwnam(user)
    except (KeyError, ValueError) as error:  # ValueError: a NUL or a lone surrogate in the name
        raise NotFoundError(f"no such user: {user!a}") from error


def groups_of(user: str, gid: int) -> tuple[str, ...]:
    """Give the names of all groups of a user, the primary one (``gid``) first.

    A group id without a name is left out: no rule can name it.
    """
    names = []
    for number in os.getgrouplist(user, gid):
        try:
            names.append(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return tuple(names)
