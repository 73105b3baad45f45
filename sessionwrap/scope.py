"""The rules: who is recorded, and what happens where that cannot be. Text in, decisions out; no
files, no NSS.

Who is recorded is SSSD's session recording (sssd-session-recording(5)): the section, its keys
and what they mean, so that a file of SSSD works unchanged. What SSSD would pass over in silence
is an error here: a mistake must never come to mean "record nobody". The other sections are ours.

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
STRICT = "strict"
"""Who must be recorded and cannot be is not let in."""
BEST_EFFORT = "best_effort"
"""Who must be recorded and cannot be gets in all the same, with an alert."""
BREAK_GLASS = "break_glass"
"""As ``BEST_EFFORT``, for who must get in come what may. Not a value of `policy`."""
POLICIES = (STRICT, BEST_EFFORT)
CHOICES = {"scope": SCOPES, "policy": POLICIES}
"""The keys with one value of a few; all others are lists of names."""
SECTIONS = {
    SECTION: ("scope", *LISTS),
    "failure_policy": (
        "policy",
        "strict_users",
        "strict_groups",
        "best_effort_users",
        "best_effort_groups",
        "break_glass_users",
        "break_glass_groups",
    ),
    "pam_services": ("exclude_services",),
}
"""Every section with its keys. No key is in two of them."""
FIRST_UID = 1000
"""Below are root and system accounts (UID_MIN of login.defs(5)): recorded by name only."""
NOBODY = 65534

MAX_FILE = 1 << 20
"""The largest configuration file, in characters."""
MAX_NAMES = 10_000
"""The longest list."""
MAX_NAME = 256
"""The longest name, in characters (LOGIN_NAME_MAX of limits.h)."""


class Rules:
    """What the files say together: a value for each key, and where it was set.

    ``scope`` and ``policy`` are words, ``names(key)`` gives a list. ``where`` maps a key that was
    set to its (path, line).
    """

    __slots__ = ("_lists", "policy", "scope", "where")

    def __init__(
        self,
        choices: dict[str, str],
        lists: dict[str, frozenset[str]],
        where: dict[str, tuple[str, int]],
    ) -> None:
        self.scope = choices.get("scope", "none")
        self.policy = choices.get("policy", STRICT)
        self._lists = lists
        self.where = where

    def names(self, key: str) -> frozenset[str]:
        """Give the names of a list; empty where it was not set."""
        return self._lists.get(key, frozenset())


class Subject:
    """Who logs in: the user and all their groups, as NSS gives the names, and the PAM service.

    ``groups`` is None where the directory did not say in time, and holds "" for a group of which
    it does not know the name: then nobody knows.
    """

    __slots__ = ("groups", "service", "uid", "user")

    def __init__(
        self, user: str, uid: int, groups: Sequence[str] | None, service: str = ""
    ) -> None:
        self.user = user
        self.uid = uid
        self.groups = None if groups is None else tuple(groups)
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
    return Rules(reader.choices, reader.lists, reader.where), reader.errors


def decide(rules: Rules, subject: Subject) -> Decision:
    """Say whether ``subject`` is recorded; users are looked at before groups.

    Root and system accounts are recorded only where `users` names them, with any scope but
    `none`: a host needs somebody who can mend it. Whose groups are not known is recorded: in
    doubt, a recording too many.
    """
    if rules.scope == "none":
        return _decision(rules, False, "scope", "none")
    some = rules.scope == "some"
    users, groups = ("users", "groups") if some else ("exclude_users", "exclude_groups")
    if is_system_account(subject.uid):
        named = subject.user in rules.names("users")
        return _decision(rules, True, "users", subject.user) if named else _UNNAMED
    if subject.user in rules.names(users):
        return _decision(rules, some, users, subject.user)
    matched = matching_groups(rules, subject)
    if matched:
        return _decision(rules, some, groups, matched[0])
    if rules.names(groups) and _has_unknown_groups(subject):
        return _decision(rules, True, groups, "(the directory does not say)")
    return _decision(rules, not some, "scope", rules.scope)


def is_system_account(uid: int) -> bool:
    """Tell root and system accounts from people."""
    return uid < FIRST_UID or uid == NOBODY


def wants_groups(rules: Rules, user: str, uid: int) -> bool:
    """Tell whether ``decide`` depends on the groups of a user: they can be slow to get."""
    if rules.scope == "none" or is_system_account(uid):
        return False
    some = rules.scope == "some"
    if user in rules.names("users" if some else "exclude_users"):
        return False
    return bool(rules.names("groups" if some else "exclude_groups"))


def matching_groups(rules: Rules, subject: Subject) -> tuple[str, ...]:
    """Give the subject's groups that the list in force names, in the subject's order."""
    if rules.scope == "none":
        return ()
    listed = rules.names("groups" if rules.scope == "some" else "exclude_groups")
    return tuple(group for group in subject.groups or () if group in listed)


def policy_for(rules: Rules, subject: Subject) -> str:
    """Say what happens where ``subject`` must be recorded and cannot be: STRICT, BEST_EFFORT or
    BREAK_GLASS.

    Break-glass first; of what else names the user or one of the groups the most strict, and
    where nothing does, `policy`. Root always gets in. Whose groups are not known may be in one of
    `strict_groups`.
    """
    if subject.uid == 0 or _names_subject(rules, BREAK_GLASS, subject):
        return BREAK_GLASS
    if rules.names("strict_groups") and _has_unknown_groups(subject):
        return STRICT
    for policy in POLICIES:
        if _names_subject(rules, policy, subject):
            return policy
    return rules.policy


def _has_unknown_groups(subject: Subject) -> bool:
    return subject.groups is None or "" in subject.groups


def _names_subject(rules: Rules, policy: str, subject: Subject) -> bool:
    groups = rules.names(policy + "_groups")
    return subject.user in rules.names(policy + "_users") or any(
        group in groups for group in subject.groups or ()
    )


_SECTION_NAMES = " or ".join(f"[{name}]" for name in SECTIONS)


def _decision(rules: Rules, record: bool, key: str, value: str) -> Decision:
    path, line = rules.where.get(key, ("", 0))
    return Decision(record, f"{key} = {value}", path, line)


_UNNAMED = Decision(False, "a system account that `users` does not name", "", 0)


class _Reader:
    """Takes in file after file, line after line; later wins."""

    __slots__ = ("choices", "errors", "lists", "section", "where")

    def __init__(self) -> None:
        self.choices: dict[str, str] = {}
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
            problem = f"no section yet, expected {_SECTION_NAMES} before it"
            raise ConfigError(path, number, _cut(key), problem)
        if self.section in SECTIONS:
            self._set(path, number, key, value.strip(" \t"))

    def _begin_section(self, path: str, number: int, text: str) -> None:
        # Set first: the keys of a section that is none of ours are not told one by one.
        self.section = text[1:-1].strip(" \t") if text[-1] == "]" else text
        if self.section not in SECTIONS:
            problem = f"{_short(text)}, expected {_SECTION_NAMES}"
            self.section = self.section or text
            raise ConfigError(path, number, "", problem)

    def _set(self, path: str, number: int, key: str, value: str) -> None:
        keys = SECTIONS[self.section]
        if key not in keys:
            problem = f"no such key, expected one of {', '.join(keys)} in [{self.section}]"
            raise ConfigError(path, number, _cut(key), problem)
        if key in CHOICES:
            self.choices[key] = _choice(path, number, key, value)
        else:
            self.lists[key] = _names(path, number, key, value)
        self.where[key] = (path, number)


def _check_characters(path: str, number: int, text: str) -> None:
    """Refuse what nobody sees: it would make a name match nobody. Comments are freer."""
    comment = text[:1] in ("#", ";")
    for character in text:
        control = (character < " " and character != "\t") or character == "\x7f"
        if control or not (comment or character == "\t" or character.isprintable()):
            problem = f"an invisible character ({character!a}), expected plain text"
            raise ConfigError(path, number, "", problem)


def _choice(path: str, number: int, key: str, value: str) -> str:
    word, words = value.lower(), CHOICES[key]
    if word not in words:
        problem = f"{_short(value)}, expected {', '.join(words[:-1])} or {words[-1]}"
        raise ConfigError(path, number, key, problem)
    return word


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
