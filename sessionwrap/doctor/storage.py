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

from sessionwrap import paths, settings
from sessionwrap.doctor.finding import Finding, bad, fine, look
from sessionwrap.errors import ConfigError, SessionwrapError
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
FILE: Final = "file.path"
BAD_FREE: Final = {PERSISTENT: 100 * MB, FILE: 100 * MB, "/run": 16 * MB}
LOOK_FREE: Final = {PERSISTENT: 1000 * MB, FILE: 1000 * MB, "/run": 100 * MB}
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
                # journald would make it so that the recorder cannot read it.
                f"mkdir -p {PERSISTENT} && systemd-tmpfiles --create --prefix {PERSISTENT} && "
                + _set("Storage", "persistent"),
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
                _put(
                    "/etc/systemd/system/sessionwrapd.service.d",
                    "zz-rate-limit",
                    "[Service]\\nLogRateLimitIntervalSec=0\\n",
                )
                + " && systemctl daemon-reload && systemctl restart sessionwrapd.service",
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
    """Judge the bytes that are free where the journal (PERSISTENT), the file of the writer `file`
    (FILE) or spools (/run) are.
    """
    what = f"{free // MB} MB are free in {path}"
    shown = "The command shows what is large"
    if name == PERSISTENT:
        why = "journald forgets its oldest entries, then keeps nothing; nobody can be recorded. "
        why += f"{shown}; journalctl --vacuum-size= makes room, but deletes the oldest recordings"
    elif name == FILE:
        why = "recordings wait in /run until it has room; when that is full their sessions stand "
        why += f"still, or go on unrecorded, as the failure policy says. {shown}"
    else:
        why = "without room tickets cannot be written, and recordings cannot be kept when the "
        why += f"journal is away. {shown}"
    mend = what_is_large(path)
    if free < BAD_FREE[name]:
        return [bad(what, why, mend)]
    return [look(what, why, mend)] if free < LOOK_FREE[name] else []


def what_is_large(path: str) -> str:
    """Give the command that shows what is large on the disk that a directory is on."""
    return f'du -axh "$(stat -c %m {path})" | sort -h | tail'


def judge_forwarding(active: list[str]) -> list[Finding]:
    """Say whether the journal leaves the host."""
    if active:
        return [fine(f"the journal is passed on by {', '.join(active)}")]
    return [
        look(
            "the journal stays on this host",
            "root can delete it there. If that must not be, send it to another host "
            "(systemd-journal-upload(8))",
        )
    ]


def _set(key: str, value: str) -> str:
    put = _put("/etc/systemd/journald.conf.d", f"zz-{key}", f"[Journal]\\n{key}={value}\\n")
    return f"{put} && systemctl restart systemd-journald"


def _put(directory: str, name: str, text: str) -> str:
    """Give the command that writes a drop-in; a line break of ``text`` is as in printf(1)."""
    return f"mkdir -p {directory} && printf '{text}' > {directory}/{name}.conf"


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
    places = {PERSISTENT: place_of_journal(), FILE: _place_of_file(), "/run": "/run"}
    for name, path in places.items():
        if path and not os.path.isdir(path):
            why = "the recorder cannot write the file there; recordings wait in /run"
            mend = f"install -d -m 750 -o {paths.RECORDER_USER} -g {paths.RECORDER_USER} {path}"
            findings.append(bad(f"{path}, where file.path is, is not there", why, mend))
        elif path:
            findings += judge_free(name, path, shutil.disk_usage(path).free)
    running = programs.call("systemctl", "is-active", *FORWARDERS).stdout.split()
    active = [unit for unit, state in zip(FORWARDERS, running, strict=False) if state == "active"]
    return findings + judge_forwarding(active)


def place_of_journal() -> str:
    """Give the directory whose disk the journal is on."""
    return PERSISTENT if os.path.isdir(PERSISTENT) else "/run"


def _place_of_file() -> str:
    """Give the directory that recordings are written to; "" where they go to the journal."""
    try:
        found = settings.load()
    except ConfigError:  # the configuration's check tells it; the recorder does not start
        return ""
    return os.path.dirname(found.text("file.path")) if found.text("writer") == "file" else ""


def _groups_of_recorder() -> set[str]:
    """Give the groups of the recorder's unit; none where it is not there, or has no user: both are
    told already.
    """
    try:
        gid = pwd.getpwnam(paths.RECORDER_USER).pw_gid
    except KeyError:
        return set()
    if _show("LoadState") != "loaded":
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
