"""The PAM stacks (pam.d(5)): every service that can give a terminal runs the hook, at its place."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from sessionwrap.doctor.finding import Finding, bad, fine, for_sed, look
from sessionwrap.logins import DESKTOPS
from sessionwrap.setup.authselect import HOOK, HOOK_LINE

DIRECTORIES: Final = ("/etc/pam.d", "/usr/lib/pam.d")
"""Where stacks are; of two of a name the first holds (pam.d(5))."""

ALWAYS: Final = ("login", "sshd", "su", "su-l")
"""Looked at on every host that has them, and missed nowhere."""
TERMINALS: Final = frozenset(
    (
        *ALWAYS,
        *DESKTOPS,
        *("cockpit", "other", "remote", "sudo-i"),
    )
)
"""Services whose sessions have a terminal, or a desktop that opens terminals."""
NO_TERMINALS: Final = frozenset(
    (
        *("atd", "chfn", "chpasswd", "chsh", "cron", "crond", "cups", "dovecot", "groupadd"),
        *("newusers", "passwd", "polkit-1", "ppp", "proftpd", "runuser", "runuser-l", "samba"),
        *("gdm-launch-environment", "lightdm-greeter", "sddm-greeter", "smtp", "sudo"),
        *("systemd-run0", "systemd-user", "useradd", "usermod", "vlock", "vsftpd"),
    )
)
"""Services of which nothing is recorded: see README, "Limits". sudo and runuser without a login
shell stay in the recording of the terminal that they were called in."""
FRAGMENT: Final = re.compile(
    r"common-|.*-auth(-ac)?$|postlogin|system-(local-|remote-|login|services|session)|config-util"
)
"""Names of files that are there for others to include."""

MAX_DEPTH: Final = 16
MAX_FILE: Final = 1 << 20

_RULE = re.compile(r"-?session\s+(\[[^]]*\]|\S+)\s+(\S+)(.*)", re.IGNORECASE)
_JUMP = re.compile(r"=\s*(\d+)")
_ANY_HOOK: Final = rf"\|^\s*session\s.*{HOOK}|"
"""Address of its line for sed."""
_HOOK_OPTIONS: Final = {
    "type=open_session": "at the close of a session pam_exec passes variables of the user's, and "
    "their code runs as root",
    "seteuid": "under su and sudo it runs with the rights of the caller, and cannot write",
}


class Rule(NamedTuple):
    """A session line: where it stands, and what it says.

    ``text`` is the line as it is in the file, "" where that is continued on another line.
    ``within`` are the substacks around it, the outermost first.
    """

    file: str
    line: int
    text: str
    control: str
    module: str
    arguments: tuple[str, ...]
    within: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The module without directory and ending: pam_env."""
        return os.path.basename(self.module).removesuffix(".so")

    @property
    def place(self) -> str:
        """Where it stands, for a person."""
        return f"{self.file}:{self.line}"


Read = Callable[[str], tuple[str, str] | None]
"""Gives the path and the text of a stack by its name; None where there is none."""


def session_rules(service: str, read: Read) -> list[Rule]:
    """Give the session lines of a service in their order, those of included files too."""
    return list(_rules(service, read, (), 0))


def _rules(service: str, read: Read, within: tuple[int, ...], depth: int) -> Iterator[Rule]:
    found = read(service)
    if found is None or depth > MAX_DEPTH:
        return
    path, text = found
    for number, line, raw in _lines(text):
        words = line.split()
        if words[0] == "@include" and len(words) > 1:
            yield from _rules(words[1], read, within, depth + 1)
            continue
        match = _RULE.fullmatch(line)
        if not match:
            continue
        control, module, rest = match.groups()
        if control == "include":
            yield from _rules(module, read, within, depth + 1)
        elif control == "substack":
            # Its name and place make it this substack and no other.
            inner = hash((path, number, depth))
            yield from _rules(module, read, (*within, inner), depth + 1)
        else:
            yield Rule(path, number, raw, control, module, tuple(rest.split()), within)


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    """Give each line that says something: its number, what it says, and itself as in Rule.text.

    A backslash joins lines.
    """
    joined, first = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        first = first if joined else number
        code = line.partition("#")[0].rstrip()
        joined += code.removesuffix("\\").strip() + " "
        if code.endswith("\\"):
            continue
        if joined.strip():
            yield first, joined.strip(), line if first == number else ""
        joined = ""
    if joined.strip():
        yield first, joined.strip(), ""


def is_hook(rule: Rule) -> bool:
    """Tell whether a line runs our hook."""
    return rule.name == "pam_exec" and HOOK in rule.arguments


def reads_users_files(rule: Rule) -> bool:
    """Tell whether a line takes variables from a file of the user's."""
    return rule.name == "pam_env" and "user_readenv=1" in rule.arguments


def judge(service: str, rules: Sequence[Rule], path: str) -> list[Finding]:
    """Judge the session lines of a service that gives terminals; ``path`` is its own file."""
    place = next((n for n, rule in enumerate(rules) if is_hook(rule)), None)
    if place is None:
        return [_missing(service, rules, path)]
    hook = rules[place]
    before, after = rules[:place], rules[place + 1 :]
    passing = _passing_over(rules, place)
    programs = [rule for rule in before if rule.name in ("pam_exec", "pam_script", "pam_python")]
    # One place for the hook, before all of them: what mends one must not undo what mends another.
    first = next((rule for rule in before if rule in (*passing, *programs)), hook)
    findings = [
        *_hook_itself(hook),
        *(
            bad(
                f"{service}: `{rule.control} {rule.name}` ({rule.place}) passes the hook over",
                "where that module says so the hook does not run, and nothing is recorded",
                _hook_before(first, hook),
            )
            for rule in passing
        ),
    ]
    findings += [
        bad(
            f"{service}: pam_env reads a file of the user's ({rule.place}) before the hook runs",
            "what ~/.pam_environment sets is the environment of the hook: LD_PRELOAD there is the "
            "user's code, run by root",
            _switch_off(rule),
        )
        for rule in before
        if reads_users_files(rule)
    ]
    findings += [
        look(
            f"{service}: {rule.name} ({rule.place}) runs before the hook",
            "a program that runs there for a user runs before it is decided what is recorded",
            _hook_before(first, hook) if first.file == hook.file else "",
        )
        for rule in programs
    ]
    if service != "sshd":  # sshd's SetEnv takes the variables away: the check of sshd looks
        findings += [
            bad(
                f"{service}: pam_env reads a file of the user's ({rule.place})",
                "what ~/.pam_environment sets, LD_PRELOAD too, runs code of the user's in the "
                "login shell, before the recording begins",
                _switch_off(rule),
            )
            for rule in after
            if reads_users_files(rule)
        ]
    findings += [
        look(
            f"{service}: pam_loginuid ({rule.place}) runs after the hook",
            "the login's ticket and its entry lack the audit session; panes of tmux that outlive "
            "the login are then told apart by the rules alone",
            _hook_behind(rule, hook),
        )
        for rule in after
        if rule.name == "pam_loginuid"
    ]
    return findings or [fine(f"{service}: the hook runs ({hook.place})")]


def _missing(service: str, rules: Sequence[Rule], path: str) -> Finding:
    why = "nobody decides on these logins, and nobody notices when they are not recorded"
    shared = next((rule for rule in rules if os.path.basename(rule.file) == "common-session"), None)
    if shared:
        # setup calls pam-auth-update, which leaves a file alone that was changed by hand.
        mend = f"sessionwrap setup || sed -i '{shared.line}i {HOOK_LINE}' {shared.file}"
        return bad(f"{service}: the hook is not in the session stack", why, mend)
    own = [rule for rule in rules if rule.file == path]
    after = [rule.line + 1 for rule in own if rule.name == "pam_loginuid"]
    if own:
        mend = f"sed -i '{max([own[0].line, *after])}i {HOOK_LINE}' {path}"
    else:
        mend = f"sed -i '1i {HOOK_LINE}' {path}"
    return bad(f"{service}: the hook is not in the session stack", why, mend)


def _hook_itself(hook: Rule) -> Iterator[Finding]:
    again = _edit([hook], f"{_ANY_HOOK}c {HOOK_LINE}")
    if hook.control not in ("required", "requisite"):
        why = "a login that must be recorded and cannot be is let in all the same"
        yield bad(f"the hook is `{hook.control}`, not `required` ({hook.place})", why, again)
    for option, why in _HOOK_OPTIONS.items():
        if option not in hook.arguments:
            yield bad(f"the hook's line lacks `{option}` ({hook.place})", why, again)


def _passing_over(rules: Sequence[Rule], place: int) -> list[Rule]:
    """Give the lines before the hook that can end the stack, or jump over the hook."""
    hook = rules[place]
    found = []
    for number, rule in enumerate(rules[:place]):
        if rule.within != hook.within[: len(rule.within)]:
            continue  # it ends its own substack, which the hook is not in
        control = rule.control.lower()
        ends = control == "sufficient" or "=done" in control.replace(" ", "")
        jumps = [int(jump) for jump in _JUMP.findall(control)]
        if ends or any(number + jump >= place for jump in jumps):
            found.append(rule)
    return found


def _hook_behind(rule: Rule, hook: Rule) -> str:
    """Move the hook behind a line, where both are in one file."""
    if rule.file != hook.file:
        return ""
    return _edit([rule, hook], f"{_ANY_HOOK}d", f"{_address(rule)}a {HOOK_LINE}")


def _hook_before(rule: Rule, hook: Rule) -> str:
    return _edit([rule, hook], f"{_ANY_HOOK}d", f"{_address(rule)}i {HOOK_LINE}")


def _switch_off(rule: Rule) -> str:
    return _edit([rule], f"{_address(rule)}s/user_readenv=1/user_readenv=0/")


def _edit(rules: Sequence[Rule], *scripts: str) -> str:
    """Give the command that edits the file of ``rules``, of which ``scripts`` have the addresses.

    It may be run twice. A continued line is for a person to edit.
    """
    if not all(rule.text for rule in rules):
        return f"${{EDITOR:-vi}} +{rules[0].line} {rules[0].file}"
    edits = " ".join(f"-e {shlex.quote(script)}" for script in scripts)
    return f"sed -Ei {edits} {rules[0].file}"


def _address(rule: Rule) -> str:
    """Give the address of a line for sed: by its text, for numbers are others after an edit."""
    return r"/^\s*" + r"\s+".join(map(for_sed, rule.text.split())) + r"\s*$/"


# The host


def look_at(excluded: frozenset[str]) -> list[Finding]:
    """Look at every service of this host; ``excluded`` is `exclude_services` of the rules."""
    findings: list[Finding] = []
    good = []
    for service in _services():
        rules = session_rules(service, read_stack)
        path = (read_stack(service) or ("", ""))[0]
        if service in excluded:
            findings.append(fine(f"{service}: left out, as exclude_services says"))
            continue
        found = judge(service, rules, path)
        if service not in TERMINALS and rules:
            found = [_unknown(service, finding) for finding in found]
        if any(finding.mend or finding.why for finding in found):
            findings += found
        else:
            good.append(service)
    if good:
        findings.append(fine(f"the hook runs in {', '.join(good)}"))
    return merged(findings)


def merged(findings: Sequence[Finding]) -> list[Finding]:
    """Make one of findings of several services that say the same ("sshd: …", "su: …")."""
    services: dict[tuple[str, ...], list[str]] = {}
    for finding in findings:
        service, _, what = finding.what.rpartition(": ")
        services.setdefault((finding.severity, what, finding.why, finding.mend), []).append(service)
    return [
        Finding(
            severity, ": ".join(filter(None, [", ".join(filter(None, names)), what])), why, mend
        )
        for (severity, what, why, mend), names in services.items()
    ]


def _unknown(service: str, finding: Finding) -> Finding:
    if not finding.why:
        return finding
    why = f"if {service} gives users a terminal or a desktop: {finding.why}"
    return look(finding.what, why, finding.mend)


def _services() -> list[str]:
    names = {
        name
        for directory in DIRECTORIES
        if os.path.isdir(directory)
        for name in os.listdir(directory)
        if re.fullmatch(r"[\w@+-][\w.@+-]*", name)
        and not name.endswith(("~", ".bak", ".orig", ".rpmnew", ".rpmsave"))
        and ".dpkg-" not in name
    }
    names = {name for name in names if not FRAGMENT.match(name) and name not in NO_TERMINALS}
    return sorted(name for name in names if name in TERMINALS or session_rules(name, read_stack))


def read_stack(name: str) -> tuple[str, str] | None:
    """Read a stack of this host; names may be paths (`include /etc/pam.d/x`)."""
    for directory in DIRECTORIES:
        path = os.path.join(directory, name)
        try:
            with open(path, encoding="utf-8", errors="backslashreplace") as file:
                return path, file.read(MAX_FILE)
        except (FileNotFoundError, IsADirectoryError):
            continue
    return None
