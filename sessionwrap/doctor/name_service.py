"""What gives users the login shell: nsswitch.conf, /etc/passwd, /etc/shells, SSSD."""

from __future__ import annotations

import configparser
import glob
import os
import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from sessionwrap import accounts as nss
from sessionwrap import decisions, paths, scope, shells
from sessionwrap.doctor.finding import Finding, bad, fine, look
from sessionwrap.errors import ConfigError, SessionwrapError
from sessionwrap.local_accounts import Account, parse_passwd
from sessionwrap.setup import authselect, nsswitch, steps

NSSWITCH: Final = "/etc/nsswitch.conf"
PASSWD_FILE: Final = "/etc/passwd"  # noqa: S105 # a path
LISTED_SHELLS: Final = "/etc/shells"
NSCD_CONF: Final = "/etc/nscd.conf"
SSSD_FILES: Final = ("/etc/sssd/sssd.conf", "/etc/sssd/conf.d/*.conf")
DIRECTORY_SOURCES: Final = ("sss", "ldap", "winbind", "nis", "hesiod")
MAX_FILE: Final = 64 << 20
ROOT_SHELL: Final = "/bin/bash"
"""What systemd's NSS module answers for root (nss-systemd(8))."""


def judge_nsswitch(text: str) -> list[Finding]:
    """Judge the order of sources."""
    findings = []
    if not nsswitch.has_overlay(text, "passwd"):
        line = nsswitch.line_of(text, "passwd") or "passwd: (no line)"
        findings.append(
            bad(
                f"{NSSWITCH} does not ask systemd first: `{' '.join(line.split())}`",
                "sources before it answer with the user's own shell; who must be recorded is "
                "refused, or not recorded",
                "sessionwrap setup",
            )
        )
    if not nsswitch.has_overlay(text, "shadow"):
        passwd = nsswitch.line_of(text, "passwd") or ""
        directory = any(source in passwd.split() for source in DIRECTORY_SOURCES)
        report = bad if directory else look
        line = nsswitch.line_of(text, "shadow") or "shadow: (no line)"
        findings.append(
            report(
                f"{NSSWITCH} does not ask systemd after files: `{' '.join(line.split())}`",
                "pam_unix takes users of a directory who get the login shell for expired",
                "sessionwrap setup",
            )
        )
    return findings or [fine(f"{NSSWITCH} asks systemd first")]


def judge_nscd(has_cache: bool) -> list[Finding]:
    """Judge whether nscd(8) answers for users."""
    if not has_cache:
        return []
    return [
        bad(
            f"nscd answers for users ({NSCD_CONF}: enable-cache passwd)",
            "for minutes programs get what it has kept, not what our user database says now: who "
            "must be recorded is refused, and recorded users do not get their own shell",
            rf"sed -Ei '/^\s*enable-cache\s+passwd\s/d' {NSCD_CONF} && "
            f"echo 'enable-cache passwd no' >> {NSCD_CONF} && systemctl restart nscd",
        )
    ]


def judge_passwd(accounts: Mapping[str, Account], noted: Mapping[str, str]) -> list[Finding]:
    """Hold /etc/passwd against the map of enrolled users (shells.py)."""
    findings = []
    for user, account in accounts.items():
        if shells.is_login_shell(account.shell) and user not in noted:
            # usermod asks NSS, which may say of root that there is nothing to change.
            command = f"{steps.ROOT_VARIABLE} usermod" if user == "root" else "usermod"
            findings.append(
                bad(
                    f"{user} has the login shell in {PASSWD_FILE}, and no real shell is noted",
                    "nobody knows which shell this user had: /bin/sh is started",
                    f"{command} -s /bin/bash {user}",
                )
            )
    for user in noted:
        enrolled = user in accounts and shells.is_login_shell(accounts[user].shell)
        if not enrolled:
            findings.append(
                look(
                    f"{user} is noted as enrolled, but {PASSWD_FILE} does not name the login shell",
                    "somebody changed the shell, or removed the user",
                    f"sessionwrap unenroll {user}",
                )
            )
    root = accounts.get("root")
    if root and root.shell != ROOT_SHELL and not shells.is_login_shell(root.shell):
        findings.append(
            look(
                f"root's shell in {PASSWD_FILE} is {root.shell or '/bin/sh'}",
                f"systemd's NSS module answers {ROOT_SHELL} for root: `su -` and `sudo -i` start "
                "that one",
                # usermod asks NSS, and would find nothing to change.
                f"{steps.ROOT_VARIABLE} usermod -s {ROOT_SHELL} root",
            )
        )
    return findings or [fine(f"{PASSWD_FILE} and the noted shells fit")]


def judge_listed_shells(text: str) -> list[Finding]:
    """Judge /etc/shells: chsh lets users leave a shell that is listed there."""
    # Words that begin with "/", as getusershell(3) reads them: up to a space or a comment.
    listed = [re.split(r"[\s#]", line.strip())[0] for line in text.split("\n")]
    return [
        bad(
            f"{LISTED_SHELLS} lists {shell}",
            "users can leave it with chsh, and `su -s` starts another shell unrecorded",
            rf"sed -Ei '\,^\s*{shell}(\s|#|$),d' {LISTED_SHELLS}",
        )
        for shell in paths.LOGIN_SHELLS
        if shell in listed
    ] or [fine(f"{LISTED_SHELLS} does not list the login shell")]


class Sssd(NamedTuple):
    """What SSSD's files say: ``scope`` of its session recording ("" where not set), the domains'
    ``override_shell`` and the files that have any, and whether /usr/bin/tlog-rec-session is there
    and is ours.
    """

    scope: str
    override_shells: tuple[str, ...]
    override_files: tuple[str, ...]
    has_program: bool
    is_ours: bool


def judge_sssd(sssd: Sssd, our_scope: str) -> list[Finding]:
    """Say where SSSD starts a recorder of its own, or ours where that is gone."""
    findings = []
    records = sssd.scope not in ("", "none")
    # Without the recorder its parts fail until systemd starts them no more.
    restart = "systemctl reset-failed 'sssd*' && systemctl restart sssd && sss_cache -E"
    if records and not sssd.is_ours:
        what = f"SSSD's own session recording is on (scope = {sssd.scope})"
        off = (
            "printf '[session_recording]\\nscope = none\\n' > /etc/sssd/conf.d/zz-sessionwrap.conf"
        )
        mend = f"{off} && chmod 600 /etc/sssd/conf.d/zz-sessionwrap.conf && {restart}"
        if sssd.has_program:
            why = (
                "it gives users the shell /usr/bin/tlog-rec-session, which is tlog's: they are "
                "recorded by tlog, and twice where our rules name them"
            )
            findings.append((look if our_scope == "none" else bad)(what, why, mend))
        else:
            why = (
                "it gives users the shell /usr/bin/tlog-rec-session, which is not there: they "
                "cannot log in, and SSSD does not start again. The package "
                "sessionwrap-tlog-rec-session brings it, and makes it ours"
            )
            findings.append(bad(what, why, mend))
    for shell in sssd.override_shells:
        if not shells.is_login_shell(shell):
            continue
        gone = not os.path.exists(shell)
        findings.append(
            (bad if gone else look)(
                f"SSSD's override_shell is {shell}" + (", which is not there" if gone else ""),
                "every user of the domain starts it; take the line out before the package is "
                "removed, or they cannot log in. With the overlay it is not needed",
                rf"sed -Ei '\,^\s*override_shell\s*=\s*{shell}\s*$,d' "
                f"{' '.join(sssd.override_files)} && {restart}",
            )
        )
    return findings or [fine("SSSD starts no other recorder")]


def parse_sssd(files: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Read SSSD's files, text by name, in their order: the scope of its session recording, all
    override_shell. SessionwrapError with file and line where one cannot be read.
    """
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    for name, text in files.items():
        try:
            parser.read_string(text, name)
        except configparser.Error as error:
            raise SessionwrapError(" ".join(str(error).split())) from error
    shells_of = [
        parser.get(section, "override_shell")
        for section in parser.sections()
        if parser.has_option(section, "override_shell")
    ]
    found = parser.get("session_recording", "scope", fallback="")
    return found.strip().lower(), tuple(shell.strip() for shell in shells_of)


# The host


def look_at() -> list[Finding]:
    """Look at nsswitch.conf, nscd, /etc/passwd, the noted shells and /etc/shells."""
    local = parse_passwd(_text(PASSWD_FILE))
    findings = judge_nsswitch(_text(NSSWITCH)) + judge_nscd(nss.has_cache())
    try:
        findings += judge_passwd(local, shells.load())
    except ConfigError as error:
        why = "the real shells of enrolled users are not known: they get /bin/sh"
        findings.append(bad(str(error), why, f"${{EDITOR:-vi}} {paths.SHELLS_FILE}"))
    findings += judge_listed_shells(_text(LISTED_SHELLS))
    if authselect.is_there():
        findings += [
            bad(f"authselect: {sentence}", "it would take the way in back", "sessionwrap setup")
            for sentence in authselect.plan()
        ]
    return findings


def look_at_sssd() -> list[Finding]:
    """Look at SSSD's files."""
    names = [name for pattern in SSSD_FILES for name in sorted(glob.glob(pattern))]
    if not names:
        return [fine("SSSD is not set up here")]
    files = {name: _text(name) for name in names}
    found, overrides = parse_sssd(files)
    having = tuple(name for name, text in files.items() if "override_shell" in text)
    program = paths.SSSD_LOGIN_SHELL
    is_ours = shells.is_login_shell(program)
    sssd = Sssd(found, overrides, having, os.path.exists(program), is_ours)
    rules = decisions.Rules().rules
    return judge_sssd(sssd, rules.scope if rules else scope.SCOPES[-1])


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return file.read(MAX_FILE)
    except FileNotFoundError:
        return ""
