"""What else of the host matters: who may read the journal, the clock, the kernel."""

from __future__ import annotations

import grp
import os
import pwd
import re
import time
from typing import Final

from sessionwrap import accounts, decisions, local_accounts, paths
from sessionwrap.doctor.finding import Finding, bad, fine, look
from sessionwrap.setup import programs

READERS: Final = ("systemd-journal", "adm")
"""Groups whose members can read all of the journal."""
PTRACE_SCOPE: Final = "/proc/sys/kernel/yama/ptrace_scope"
FSTAB: Final = "/etc/fstab"
MAX_FILE: Final = 1 << 20
MAX_LEAP: Final = 86400
"""Seconds that the clock may be behind files that are here already."""

_FSTAB_HIDEPID: Final = r"^([^# \t]\S*\s+/proc\s+.*)hidepid=(4|ptraceable)\b"
"""Of `sed -E` and of Python."""
_INSTALL: Final = (
    "apt-get install systemd-timesyncd" if programs.is_there("apt-get") else "dnf install chrony"
)


def judge_readers(recorded: dict[str, list[str]], members: dict[str, list[str]]) -> list[Finding]:
    """Judge recorded users with the groups by which they can read the journal.

    ``members`` are those of /etc/group: nobody else can be taken out of a group by a command. Who
    has it as the primary group, or from a directory, is moved by a person.
    """
    findings = []
    for user, groups in sorted(recorded.items()):
        local = [group for group in groups if user in members.get(group, ())]
        mend = " && ".join(f"gpasswd -d {user} {group}" for group in local)
        others = [group for group in groups if group not in local]
        rest = f" ({', '.join(others)}: not by /etc/group)" if others else ""
        what = f"{user} is recorded, and in {', '.join(groups)}{rest}"
        why = "members read all recordings, with what others' terminals showed"
        findings.append(look(what, why, mend))
    return findings or [fine("no recorded user can read the journal")]


def judge_clock(
    is_synchronized: bool, now: float, newest: float, *, can_be: bool = True
) -> list[Finding]:
    """Judge the clock; ``newest`` is when a file of this host was made, both since the epoch.

    ``can_be``: a program that synchronizes it is installed, whether it runs or not.
    """
    mend = "timedatectl set-ntp true" if can_be else f"{_INSTALL} && timedatectl set-ntp true"
    if now < newest - MAX_LEAP:
        days = (newest - now) / 86400
        return [
            bad(
                f"the clock is late, by {days:.1f} days or more",
                "recordings have wrong times, and `list --since` does not find them",
                mend,
            )
        ]
    if not is_synchronized:
        return [
            look(
                "the clock is not synchronized",
                "recordings of several hosts cannot be compared by time",
                mend,
            )
        ]
    return [fine("the clock is synchronized")]


def judge_ptrace(scope: str | None) -> list[Finding]:
    """Judge kernel.yama.ptrace_scope; None: the kernel does not have it."""
    why = "a process that a user left running can trace their next login before it is recorded"
    if scope is None:
        return [look("the kernel has no Yama: processes of one user may trace each other", why)]
    if scope == "0":
        line = "kernel.yama.ptrace_scope = 1"
        file = "/etc/sysctl.d/60-sessionwrap.conf"
        mend = f"echo '{line}' > {file} && sysctl -p {file}"
        return [look("kernel.yama.ptrace_scope is 0", why, mend)]
    return [fine(f"kernel.yama.ptrace_scope is {scope}")]


def judge_hidepid(mounts: str, fstab: str) -> list[Finding]:
    """Judge how /proc is mounted, from /proc/mounts; ``fstab`` is /etc/fstab, "" for none."""
    for line in mounts.split("\n"):
        words = line.split()
        if words[1:3] != ["/proc", "proc"]:
            continue
        options = dict(word.partition("=")[::2] for word in words[3].split(","))
        hide = options.get("hidepid", "0")
        if hide in ("4", "ptraceable"):
            what = f"/proc is mounted with hidepid={hide}"
            why = "the recorder cannot see who asks for a recording, and refuses"
            mend = "mount -o remount,hidepid=2 /proc"
            if re.search(_FSTAB_HIDEPID, fstab, re.MULTILINE):
                mend = rf"sed -Ei 's,{_FSTAB_HIDEPID},\1hidepid=2,' {FSTAB} && {mend}"
            else:
                what += f", not by {FSTAB}: what does it must be mended too"
            return [bad(what, why, mend)]
        if hide not in ("0", "off"):
            return [fine(f"/proc is mounted with hidepid={hide}: recording works with it")]
    return []


# The host


def look_at() -> list[Finding]:
    """Look at who reads the journal, at the clock and the kernel."""
    shown = programs.call("timedatectl", "show").stdout.split("\n")
    newest = os.stat(paths.SETTINGS_SCHEMA).st_mtime
    try:
        with open(PTRACE_SCOPE) as file:
            scope = file.read().strip()
    except FileNotFoundError:
        scope = None
    with open("/proc/mounts") as file:
        mounts = file.read()
    with open("/etc/group", encoding="utf-8", errors="surrogateescape") as file:
        groups = local_accounts.parse_group(file.read(MAX_FILE))
    return [
        *judge_readers(_recorded_readers(), {group.name: list(group.members) for group in groups}),
        *judge_clock(
            "NTPSynchronized=yes" in shown, time.time(), newest, can_be="CanNTP=no" not in shown
        ),
        *judge_ptrace(scope),
        *judge_hidepid(mounts, _fstab()),
    ]


def _fstab() -> str:
    try:
        with open(FSTAB, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(MAX_FILE)
    except FileNotFoundError:
        return ""


def _recorded_readers() -> dict[str, list[str]]:
    rules = decisions.Rules()
    found: dict[str, list[str]] = {}
    for name in READERS:
        try:
            group = grp.getgrnam(name)
        except KeyError:
            continue
        users = {entry.pw_name for entry in pwd.getpwall() if entry.pw_gid == group.gr_gid}
        for user in {*users, *group.gr_mem}:
            account = accounts.look_up(user)
            if account and rules.decide(account)[0].record:
                found.setdefault(user, []).append(name)
    return found
