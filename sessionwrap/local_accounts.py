"""The files behind NSS: passwd(5), group(5), and the order of sources in nsswitch.conf(5).

Text in, values out; lines are read as glibc does (nss_files). Names that begin with + or - are NIS
entries (`compat`): no users.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

BLANKS: Final = " \t\r\v\f"


class Account(NamedTuple):
    """An entry of passwd(5), without the password."""

    user: str
    uid: int
    gid: int
    gecos: str
    home: str
    shell: str


class Group(NamedTuple):
    """An entry of group(5), without the password."""

    name: str
    gid: int
    members: tuple[str, ...]


def parse_passwd(text: str) -> dict[str, Account]:
    """Read a passwd file; lines that are none are left out, and of two of a name the first holds,
    as for getpwnam(3). Fields that are missing at the end are empty.
    """
    accounts: dict[str, Account] = {}
    for fields in _lines(text, 7):
        uid, gid = _number(fields[2]), _number(fields[3])
        if uid is not None and gid is not None:
            account = Account(fields[0], uid, gid, fields[4], fields[5], fields[6])
            accounts.setdefault(fields[0], account)
    return accounts


def parse_group(text: str) -> list[Group]:
    """Read a group file; lines that are none are left out."""
    groups = []
    for fields in _lines(text, 4):
        gid = _number(fields[2])
        if gid is not None:
            names = [name.lstrip(BLANKS) for name in fields[3].split(",")]
            members = tuple([name for name in names if name])
            groups.append(Group(fields[0], gid, members))
    return groups


def parse_sources(text: str, database: str) -> tuple[str, ...]:
    """Give the sources that nsswitch.conf names for a database, without actions in brackets.

    Of two lines for one the last counts.
    """
    for line in reversed(text.split("\n")):
        name, colon, rest = line.partition("#")[0].partition(":")
        if colon and name.strip() == database:
            words = rest.replace("[", " [").replace("]", "] ").split()
            inside, sources = False, []
            for word in words:
                inside = inside or word.startswith("[")
                if not inside and "]" not in word:
                    sources.append(word)
                inside = inside and not word.endswith("]")
            return tuple(sources)
    return ("files",)


def _lines(text: str, count: int) -> Iterator[list[str]]:
    """Give ``count`` fields of each line; the last one is the rest of it."""
    empty = [""] * count
    for line in text.split("\n"):
        fields = line.split(":", count - 1)
        fields[0] = fields[0].lstrip(BLANKS)
        if fields[0] and fields[0][0] not in "+-#":
            yield fields + empty[len(fields) :]


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    number = int(text)
    return number if number < 2**32 - 1 else None
