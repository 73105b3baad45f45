"""The order of sources in nsswitch.conf(5): text in, text out.

systemd's module stands first in `passwd`, so that our service is asked before all others. In
`shadow` it stands before any directory: it answers for users whom the overlay gives, and without
that pam_unix takes those of a directory for expired.
"""

from __future__ import annotations

import re
from typing import Final

SOURCE: Final = "systemd"
DATABASES: Final = ("passwd", "shadow")
_WORD: Final = re.compile(r"[^\s\[]+(?:\s*\[[^]]*\])?")
"""A source with the action in brackets that may follow it."""


def line_of(text: str, database: str) -> str | None:
    """Give the line of a database, of several the last one: glibc heeds that (nss_database.c).

    None where there is none.
    """
    for line in reversed(text.split("\n")):
        if _name(line) == database:
            return line
    return None


def has_overlay(text: str, database: str) -> bool:
    """Tell whether a database's line is as it must be."""
    line = line_of(text, database)
    return line is not None and _ordered(line, database) == line


def with_overlay(text: str) -> str:
    """Give the file with the sources in the order that the overlay needs."""
    for database in DATABASES:
        line = line_of(text, database)
        if line is None:
            line = _ordered(f"{database}: files", database)
            # A file whose last line has no line break is given back without one.
            text += f"{line}\n" if text.endswith("\n") or not text else f"\n{line}"
        else:
            text = _replace(text, line, _ordered(line, database))
    return text


def changes(text: str) -> tuple[dict[str, str | None], dict[str, str]]:
    """Give what ``with_overlay`` replaces, by database: the lines before (None: none) and after."""
    new = with_overlay(text)
    changed = [database for database in DATABASES if not has_overlay(text, database)]
    before = {database: line_of(text, database) for database in changed}
    return before, {database: line_of(new, database) or "" for database in changed}


def without_overlay(text: str, before: dict[str, str | None], after: dict[str, str]) -> str:
    """Give the file as it would be without us.

    ``before`` and ``after`` are the lines that ``with_overlay`` has replaced (None: there was
    none) and what by. A line that somebody changed since keeps the change.
    """
    for database, ours in after.items():
        line, former = line_of(text, database), before.get(database)
        if line is None or line == former or SOURCE not in _sources(line):
            continue  # taken back already, or by somebody else
        if line == ours:
            text = _replace(text, line, former)
        else:
            had = former is not None and SOURCE in _sources(former)
            text = _replace(text, line, _without(line, at_end=had))
    return text


def _name(line: str) -> str:
    return line.partition("#")[0].partition(":")[0].strip() if ":" in line else ""


def _split(line: str) -> tuple[str, list[str], str]:
    """Give the line in three: up to the sources, the sources with their actions, the comment."""
    code, hash_sign, comment = line.partition("#")
    name, _, rest = code.partition(":")
    space = rest[: len(rest) - len(rest.lstrip())] or " "
    return f"{name}:{space}", _WORD.findall(rest), f" {hash_sign}{comment}" if hash_sign else ""


def _sources(line: str) -> list[str]:
    return [word.partition("[")[0].strip() for word in _split(line)[1]]


def _ordered(line: str, database: str) -> str:
    head, words, comment = _split(line)
    others = [word for word in words if word.partition("[")[0].strip() != SOURCE] or ["files"]
    place = 0
    if database == "shadow" and others and others[0].startswith("files"):
        place = 1
    ordered = [*others[:place], SOURCE, *others[place:]]
    return line if ordered == words else head + " ".join(ordered) + comment


def _without(line: str, *, at_end: bool) -> str:
    head, words, comment = _split(line)
    others = [word for word in words if word.partition("[")[0].strip() != SOURCE]
    return head + " ".join([*others, SOURCE] if at_end else others) + comment


def _replace(text: str, line: str, new: str | None) -> str:
    lines = text.split("\n")
    place = len(lines) - 1 - lines[::-1].index(line)
    lines[place : place + 1] = [] if new is None else [new]
    return "\n".join(lines)
