"""Scope rules: who is recorded. Text in, rules and decisions out; no files, no NSS.

The rules are SSSD's session recording (sssd-session-recording(5)): the section, its keys and
what they mean, so that a file of SSSD works unchanged. What SSSD would pass over in silence is
an error here: a mistake must never come to mean "record nobody".

Standard library only, and no imports at all but our own errors: every login waits for this.
"""

from __future__ import annotations

from sessionwrap.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SECTION = "session_recording"
SCOPES = ("none", "some", "all")
LISTS = ("users", "groups", "exclude_users", "exclude_groups")
KEYS = ("scope", *LISTS)

MAX_FILE = 1 << 20
"""The largest configuration file, in characters."""
MAX_NAMES = 10_000
"""The longest list."""
MAX_NAME = 256
"""The longest name, in characters (LOGIN_NAME_MAX of limits.h)."""


class Rules:
    """What the files say together: a scope, four lists of names, and where each was set.

    ``where`` maps a key that was set to its (path, line).
    """

    __slots__ = ("exclude_groups", "exclude_users", "groups", "scope", "users", "where")

    def __init__(
        self, scope: str, lists: dict[str, frozenset[str]], where: dict[str, tuple[str, int]]
    ) -> None:
        self.scope = scope
        self.users = lists.get("users", frozenset())
        self.groups = lists.get("groups", frozenset())
        self.exclude_users = lists.get("exclude_users", frozenset())
        self.exclude_groups = lists.get("exclude_groups", frozenset())
        self.where = where


class Subject:
    """Who logs in: the user and all their groups, as NSS gives the names, and the PAM service."""

    __slots__ = ("groups", "service", "user")

    def __init__(self, user: str, groups: Sequence[str], service: str = "") -> None:
        self.user = user
        self.groups = tuple(groups)
        self.service = service


class Decision:
    """Record or not, and why.

    ``rule`` reads like ``groups = wheel``, ``exclude_users = bob`` or ``scope = none``; ``path``
    and ``line`` say where it was set ("" and 0 where no file sets a scope).
    """

    __slots__ = ("line", "path", "record", "rule")

    def __init__(self, record: bool, rule: str, path: str, line: int) -> None:
        self.record = record
        self.rule = rule
        self.path = path
        self.line = line


def parse(files: Sequence[tuple[str, str]]) -> Rules:
    """Read the files, as (path, text) in their order; ConfigError for the first mistake."""
    rules, errors = parse_all(files)
    if errors:
        raise errors[0]
    return rules


def parse_all(files: Sequence[tuple[str, str]]) -> tuple[Rules, list[ConfigError]]:
    """Read the files and give every mistake; the rules hold only where there is none.

    A key that is set again wins over what was set before, in the same file or an earlier one.
    """
    reader = _Reader()
    for path, text in files:
        reader.read(path, text)
    return Rules(reader.scope, reader.lists, reader.where), reader.errors


def decide(rules: Rules, subject: Subject) -> Decision:
    """Say whether ``subject`` is recorded; users are looked at before groups."""
    if rules.scope == "none":
        return _decision(rules, False, "scope", "none")
    some = rules.scope == "some"
    users, groups = ("users", "groups") if some else ("exclude_users", "exclude_groups")
    if subject.user in getattr(rules, users):
        return _decision(rules, some, users, subject.user)
    matched = matching_groups(rules, subject)
    if matched:
        return _decision(rules, some, groups, matched[0])
    return _decision(rules, not some, "scope", rules.scope)


def matching_groups(rules: Rules, subject: Subject) -> tuple[str, ...]:
    """Give the subject's groups that the list in force names, in the subject's order."""
    if rules.scope == "none":
        return ()
    listed = rules.groups if rules.scope == "some" else rules.exclude_groups
    return tuple(group for group in subject.groups if group in listed)


def _decision(rules: Rules, record: bool, key: str, value: str) -> Decision:
    path, line = rules.where.get(key, ("", 0))
    return Decision(record, f"{key} = {value}", path, line)


class _Reader:
    """Takes in file after file, line after line; later wins."""

    __slots__ = ("errors", "lists", "scope", "section", "where")

    def __init__(self) -> None:
        self.scope = "none"
        self.lists: dict[str, frozenset[str]] = {}
        self.where: dict[str, tuple[str, int]] = {}
        self.errors: list[ConfigError] = []
        self.section = ""

    def read(self, path: str, text: str) -> None:
        if len(text) > MAX_FILE:
            problem = f"the file has {len(text)} characters, expected at most {MAX_FILE}"
            self.errors.append(ConfigError(path, 0, "", problem))
            return
        self.section = ""
        for number, line in enumerate(text.split("\n"), 1):
            try:
                self._line(path, number, line)
            except ConfigError as error:
                self.errors.append(error)

    def _line(self, path: str, number: int, line: str) -> None:
        text = line.strip(" \t")
        _check_characters(path, number, text)
        if not text or text[0] in "#;":
            return
        if text[0] == "[":
            self._begin_section(path, number, text)
            return
        key, equals, value = text.partition("=")
        key = key.rstrip(" \t")
        if line[0] in " \t":
            problem = "the line starts with a space, expected `key = value` on one line of its own"
            raise ConfigError(path, number, "", problem)
        if not equals or not key:
            raise ConfigError(path, number, "", f"{_short(text)}, expected `key = value`")
        if not self.section:
            problem = f"no section yet, expected [{SECTION}] before it"
            raise ConfigError(path, number, _cut(key), problem)
        if self.section == SECTION:
            self._set(path, number, key, value.strip(" \t"))

    def _begin_section(self, path: str, number: int, text: str) -> None:
        # Set first: the keys of a section that is none of ours are not told one by one.
        self.section = text[1:-1].strip(" \t") if text[-1] == "]" else text
        if self.section != SECTION:
            problem = f"{_short(text)}, expected [{SECTION}]"
            self.section = self.section or text
            raise ConfigError(path, number, "", problem)

    def _set(self, path: str, number: int, key: str, value: str) -> None:
        if key == "scope":
            self.scope = _scope(path, number, value)
        elif key in LISTS:
            self.lists[key] = _names(path, number, key, value)
        else:
            problem = f"no such key, expected one of {', '.join(KEYS)}"
            raise ConfigError(path, number, _cut(key), problem)
        self.where[key] = (path, number)


def _check_characters(path: str, number: int, text: str) -> None:
    """Refuse what nobody sees: it would make a name match nobody. Comments are freer."""
    comment = text[:1] in ("#", ";")
    for character in text:
        control = (character < " " and character != "\t") or character == "\x7f"
        if control or not (comment or character == "\t" or character.isprintable()):
            problem = f"an invisible character ({character!a}), expected plain text"
            raise ConfigError(path, number, "", problem)


def _scope(path: str, number: int, value: str) -> str:
    scope = value.lower()
    if scope not in SCOPES:
        problem = f"{_short(value)}, expected {', '.join(SCOPES[:-1])} or {SCOPES[-1]}"
        raise ConfigError(path, number, "scope", problem)
    return scope


def _names(path: str, number: int, key: str, value: str) -> frozenset[str]:
    names = [name for item in value.split(",") if (name := item.strip(" \t"))]
    if len(names) > MAX_NAMES:
        problem = f"{len(names)} names, expected at most {MAX_NAMES}"
        raise ConfigError(path, number, key, problem)
    for name in names:
        problem = _name_problem(name)
        if problem:
            raise ConfigError(path, number, key, f"{_short(name)}{problem}")
    return frozenset(names)


def _name_problem(name: str) -> str:
    """Say what is wrong with a name that no user or group can have; "" where nothing is."""
    if len(name) > MAX_NAME:
        return f" is too long, expected a name of at most {MAX_NAME} characters"
    if '"' in name or ":" in name:
        return " is no name, expected names without quotes and colons, separated by commas"
    if name[0] in "#;" or " #" in name or " ;" in name:
        return " has a comment in it, expected comments on lines of their own"
    return ""


def _cut(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"


def _short(text: str) -> str:
    return repr(_cut(text))
