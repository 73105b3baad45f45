"""Where recordings are kept: the journal, its limits, the disk, and the memory of /run."""

from __future__ import annotations

import glob
import grp
import os
import pwd
import re
import shutil
import stat
from typing import Final, NamedTuple

from sessionwrap import paths
from sessionwrap.doctor.finding import Finding, bad, fine, look
from sessionwrap.errors import SessionwrapError
from sessionwrap.setup import programs

PERSISTENT: Final = "/var/log/journal"
READERS: Final = "systemd-journal"
FORWARDERS: Final = ("systemd-journal-upload.service", "rsyslog.service", "syslog-ng.service")

DEFAULT_BURST: Final = 10_000
DEFAULT_INTERVAL: Final = 30.0
LEAST_BURST: Final = 1000
"""Entries per interval below which an ordinary day's logins and alerts can be dropped."""
LEAST_USE: Final = 500 << 20
"""Bytes of SystemMaxUse= below which recordings are soon forgotten."""
MB: Final = 1 << 20
BAD_FREE: Final = {PERSISTENT: 100 * MB, "/run": 16 * MB}
LOOK_FREE: Final = {PERSISTENT: 1000 * MB, "/run": 100 * MB}
"""Bytes free: below the first nothing can be kept soon; below the second somebody should know."""

_UNITS: Final = {
    "us": 1e-6, "ms": 1e-3, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400
}  # fmt: skip
_TIME = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.IGNORECASE)
_SIZE: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


class Journal(NamedTuple):
    """journald's settings as far as they matter here.

    ``storage`` in small letters; ``burst`` entries in ``interval`` seconds (0: no limit);
    ``max_use`` bytes, None where not set.
    """

    storage: str
    burst: int
    interval: float
    max_use: int | None


def parse_journald(text: str) -> Journal:
    """Read what ``systemd-analyze cat-config systemd/journald.conf`` prints: later lines win."""
    values = {}
    for line in text.split("\n"):
        key, equals, value = line.partition("=")
        if equals and not line.lstrip().startswith(("#", ";")):
            values[key.strip()] = value.strip()
    burst = values.get("RateLimitBurst", "")
    interval = values.get("RateLimitIntervalSec") or values.get("RateLimitInterval", "")
    return Journal(
        (values.get("Storage") or "auto").lower(),
        int(burst) if burst.isdigit() else DEFAULT_BURST,
        DEFAULT_INTERVAL if not interval else seconds(interval),
        size(values.get("SystemMaxUse", "")),
    )


def seconds(text: str) -> float:
    """Read a time span of systemd.time(7); a number alone is in seconds."""
    return sum(float(number) * _UNITS.get(unit or "s", 1) for number, unit in _TIME.findall(text))


def size(text: str) -> int | None:
    """Read a size of journald.conf(5); None where it is none."""
    match = re.fullmatch(r"(\d+)\s*([KMGT]?)", text.strip().upper())
    return int(match[1]) * _SIZE[match[2]] if match else None


def judge_journal(journal: Journal, is_persistent: bool, recorder_interval: str) -> list[Finding]:
    """Judge the settings. ``is_persistent``: /var/log/journal is there. ``recorder_interval`` is
    LogRateLimitIntervalUSec of the recorder's unit: "0" means that no limit holds for it.
    """
    findings = []
    if journal.storage == "none":
        why = "every recorded login is refused, or lost"
        findings.append(
            bad("the journal keeps nothing (Storage=none)", why, _set("Storage", "persistent"))
        )
    elif journal.storage == "volatile" or (journal.storage == "auto" and not is_persistent):
        findings.append(
            look(
                "the journal is in memory only",
                "recordings are gone after a reboot",
                _set("Storage", "persistent"),
            )
        )
    limited = journal.interval > 0 and journal.burst > 0
    if limited and journal.burst < LEAST_BURST:
        findings.append(
            bad(
                f"journald drops entries above {journal.burst} in {journal.interval:g} s",
                "it drops them silently: the entries of logins and alerts, when there are many",
                _set("RateLimitBurst", str(DEFAULT_BURST)),
            )
        )
    if limited and recorder_interval not in ("0", ""):
        findings.append(
            bad(
                f"journald's rate limit holds for the recorder ({journal.burst} entries in "
                f"{recorder_interval})",
                "it drops messages silently: recordings with holes",
                "systemctl revert sessionwrapd.service && systemctl restart sessionwrapd.service",
            )
        )
    if journal.max_use is not None and journal.max_use < LEAST_USE:
        findings.append(
            look(
                f"the journal keeps {journal.max_use // MB} MB (SystemMaxUse=)",
                "it forgets its oldest entries then, recordings too, whoever filled it",
                _set("SystemMaxUse", "4G"),
            )
        )
    return findings or [fine("the journal is persistent, with room, and drops nothing of ours")]


def judge_readable(directory: str, group: str, mode: int, groups: set[str]) -> list[Finding]:
    """Judge whether the recorder, in ``groups``, can see that what it sent is stored."""
    if group in groups and mode & 0o050 == 0o050:
        return []
    return [
        bad(
            f"the recorder cannot read {directory} (group {group}, mode {mode:04o})",
            "it cannot see whether what it sends is stored, and takes it for lost",
            f"systemd-tmpfiles --create --prefix {PERSISTENT}; "
            "systemctl restart sessionwrapd.service",
        )
    ]


def judge_free(name: str, path: str, free: int) -> list[Finding]:
    """Judge the bytes that are free where the journal (PERSISTENT) or spools (/run) are."""
    what = f"{free // MB} MB are free in {path}"
    if name == PERSISTENT:
        why = "journald forgets its oldest entries, then keeps nothing; nobody can be recorded"
        mend = "journalctl --rotate && journalctl --vacuum-size=500M && df -h " + path
    else:
        why = "without room tickets cannot be written, and recordings cannot be kept when the "
        why += "journal is away"
        mend = f"du -xh {path} | sort -h | tail"
    if free < BAD_FREE[name]:
        return [bad(what, why, mend)]
    return [look(what, why, mend)] if free < LOOK_FREE[name] else []


def judge_forwarding(active: list[str]) -> list[Finding]:
    """Say whether the journal leaves the host."""
    if active:
        return [fine(f"the journal is passed on by {', '.join(active)}")]
    return [
        look(
            "the journal stays on this host",
            "root can delete it; who must be safe from root sends it to another host "
            "(systemd-journal-upload(8))",
        )
    ]


def _set(key: str, value: str) -> str:
    directory = "/etc/systemd/journald.conf.d"
    return (
        f"mkdir -p {directory} && printf '[Journal]\\n{key}={value}\\n' > "
        f"{directory}/zz-{key}.conf && systemctl restart systemd-journald"
    )


# The host


def look_at() -> list[Finding]:
    """Look at journald's settings, its files, and what is free."""
    done = programs.call("systemd-analyze", "cat-config", "systemd/journald.conf")
    if done.returncode:
        raise SessionwrapError(f"systemd-analyze: {done.stderr.strip()}")
    findings = judge_journal(
        parse_journald(done.stdout), os.path.isdir(PERSISTENT), _show("LogRateLimitIntervalUSec")
    )
    groups = _groups_of_recorder()
    directories = glob.glob(f"{PERSISTENT}/*/") or glob.glob("/run/log/journal/*/")
    for directory in directories if groups else []:
        found = os.stat(directory)
        findings += judge_readable(
            directory.rstrip("/"), _group(found.st_gid), stat.S_IMODE(found.st_mode), groups
        )
    disk = PERSISTENT if os.path.isdir(PERSISTENT) else "/run"
    for name, path in ((PERSISTENT, disk), ("/run", "/run")):
        findings += judge_free(name, path, shutil.disk_usage(path).free)
    running = programs.call("systemctl", "is-active", *FORWARDERS).stdout.split()
    active = [unit for unit, state in zip(FORWARDERS, running, strict=False) if state == "active"]
    return findings + judge_forwarding(active)


def _groups_of_recorder() -> set[str]:
    """Give the groups of the recorder's unit; none where it has no user, which is told already."""
    try:
        gid = pwd.getpwnam(paths.RECORDER_USER).pw_gid
    except KeyError:
        return set()
    return {_group(gid), *_show("SupplementaryGroups").split()}


def _show(name: str) -> str:
    done = programs.call("systemctl", "show", "-p", name, "--value", "sessionwrapd.service")
    return done.stdout.strip()


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
