"""The local accounts and groups, read once per change of their files.

With ten thousand accounts, NSS reads a file of half a megabyte for each question.
"""

from __future__ import annotations

import os
from typing import Final

from sessionwrap.local_accounts import Account, parse_group, parse_passwd, parse_sources
from sessionwrap.overlay.stamps import Stamps, stamps

PASSWD: Final = "/etc/passwd"  # noqa: S105 # a path
GROUP: Final = "/etc/group"
NSSWITCH: Final = "/etc/nsswitch.conf"
FILES: Final = (PASSWD, GROUP, NSSWITCH)
USERDB: Final = (
    "/etc/userdb",
    "/run/userdb",
    "/run/host/userdb",
    "/usr/local/lib/userdb",
    "/usr/lib/userdb",
)
"""Where systemd's NSS module looks for records (its userdb-dropin.h)."""
USERDB_SERVICES: Final = "/run/systemd/userdb"
OWN_SOURCES: Final = frozenset({"files", "systemd", "myhostname"})
"""Sources of groups that are no directory, `systemd` as long as nobody has filled it."""
OUR_SERVICES: Final = frozenset(
    {
        "io.sessionwrap.Overlay",
        "io.systemd.DynamicUser",
        "io.systemd.Machine",
        "io.systemd.Multiplexer",
        "io.systemd.NameServiceSwitch",
        "io.systemd.DropIn",
    }
)
"""Services of systemd's user database that know no memberships of local users."""
MAX_FILE: Final = 64 << 20


class LocalAccounts:
    """What the files say now, after ``refresh``.

    ``by_name`` and ``by_uid`` are empty where a directory comes before the files. ``alone``: the
    groups of a local user are all in the files; otherwise a directory may add some.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, Account] = {}
        self.by_uid: dict[int, Account] = {}
        self.alone = False
        self._groups: dict[str, list[str]] = {}
        self._group_names: dict[int, str] = {}
        self._stamps: Stamps = []

    def refresh(self) -> bool:
        """Read what has changed; tells whether anything has."""
        found = stamps(FILES)
        changed = found != self._stamps
        if changed:
            self._stamps = found
            self._read()
        alone = OWN_SOURCES.issuperset(self._group_sources) and not has_userdb()
        changed = changed or alone != self.alone
        self.alone = alone
        return changed

    def _read(self) -> None:
        nsswitch = _text(NSSWITCH)
        sources = [name for name in parse_sources(nsswitch, "passwd") if name != "systemd"]
        self._group_sources = (
            *parse_sources(nsswitch, "group"),
            *parse_sources(nsswitch, "initgroups"),  # for the groups of a user it comes first
        )
        self.by_name = parse_passwd(_text(PASSWD)) if sources[:1] == ["files"] else {}
        self.by_uid = {}
        for account in self.by_name.values():
            self.by_uid.setdefault(account.uid, account)
        self._groups, self._group_names = {}, {}
        for group in parse_group(_text(GROUP)):
            name = self._group_names.setdefault(group.gid, group.name)
            for member in group.members:
                self._groups.setdefault(member, []).append(name)

    def groups_of(self, account: Account) -> tuple[str, ...]:
        """Give what ``accounts.groups_of`` does, as far as the files say."""
        primary = self._group_names.get(account.gid, "")
        return (primary, *self._groups.get(account.user, ()))


def has_userdb() -> bool:
    """Tell whether systemd's user database may know memberships of local users."""
    try:
        if not OUR_SERVICES.issuperset(os.listdir(USERDB_SERVICES)):
            return True
    except OSError:
        return True
    for directory in USERDB:
        try:
            if os.listdir(directory):
                return True
        except OSError:
            continue  # not there
    return False


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return file.read(MAX_FILE)
    except OSError:
        return ""
