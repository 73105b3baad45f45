"""What sshd lets users do before, or beside, the recording: docs/threat-model.md."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Sequence
from typing import Final

from sessionwrap.doctor.finding import Finding, bad, fine, for_sed, look
from sessionwrap.setup import programs

CONFIG: Final = "/etc/ssh/sshd_config"
OURS: Final = "/etc/ssh/sshd_config.d/00-sessionwrap.conf"
"""sshd heeds the first value of each keyword, and reads this file first of those beside it."""
FILES: Final = f"{CONFIG} {os.path.dirname(OURS)}/*.conf"
SFTP_SERVERS: Final = ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server")
"""Debian's and Fedora's."""
LOADER: Final = ("LD_PRELOAD", "LD_AUDIT", "LD_LIBRARY_PATH", "GCONV_PATH", "LOCPATH")
"""As in packaging/sshd/sessionwrap.conf."""
SET_ENV: Final = "SetEnv " + " ".join(f"{name}=" for name in LOADER)


MAX_FILE: Final = 1 << 20


def parse(text: str) -> dict[str, list[str]]:
    """Read what ``sshd -T`` prints: values by keyword in small letters, in their order."""
    values: dict[str, list[str]] = {}
    for line in text.split("\n"):
        keyword, _, value = line.partition(" ")
        if keyword:
            values.setdefault(keyword.lower(), []).append(value.strip())
    return values


def judge_includes(text: str, unit: str) -> list[Finding]:
    """Judge sshd_config: it must take in the directory that our settings are in, for all users."""
    for line in text.split("\n"):
        keyword, *values = line.replace("=", " ").split() or [""]
        if keyword.lower() == "match":
            break
        patterns = [os.path.join(os.path.dirname(CONFIG), value) for value in values]
        if keyword.lower() == "include" and any(fnmatch.fnmatch(OURS, one) for one in patterns):
            return []
    directory = os.path.dirname(OURS)
    return [
        bad(
            f"{CONFIG} does not include {directory}/*.conf",
            "sshd does not read the settings that the package has there",
            f"sed -i '1i Include {directory}/*.conf' {CONFIG} && sshd -t && "
            f"systemctl reload {unit}",
        )
    ]


def judge_broken(said: str, unit: str) -> Finding:
    """Judge what ``sshd -T`` says when it does not take its settings, or does not look at them."""
    said = said.strip()
    if said.startswith("Missing privilege separation directory"):  # made when it is started
        why = "only then it tells its settings: nobody knows whether they let users by"
        return look("sshd is not running", why, f"systemctl start {unit}")
    found = re.match(r"(/\S+?):? line (\d+)", said)
    mend = f"${{EDITOR:-vi}} +{found[2]} {found[1]}" if found else ""
    what = f"sshd's settings are broken: {said.partition(chr(10))[0]}"
    return bad(what, "sshd does not start again", mend)


def judge(values: dict[str, list[str]], unit: str) -> list[Finding]:
    """Judge sshd's settings; ``unit`` is reloaded to mend them."""
    findings = []
    cleared = {value.partition("=")[0] for value in values.get("setenv", [])}
    missing = [name for name in LOADER if name not in cleared]
    if missing:
        findings.append(
            bad(
                f"SetEnv does not clear {', '.join(missing)}",
                "where ~/.pam_environment is read, as by Debian 12's sshd, these run code of the "
                "user's in the login shell before the recording begins. sshd heeds the first "
                f"SetEnv only: add variables of your own to {OURS}",
                _put(SET_ENV, unit),
            )
        )
    findings += _judge_word(
        values, "PermitUserRC", "no", "~/.ssh/rc runs before the login shell", unit
    )
    findings += _judge_word(
        values,
        "PermitUserEnvironment",
        "no",
        "~/.ssh/environment can set LD_PRELOAD for the login shell",
        unit,
    )
    accepted = _accepted(values.get("acceptenv", []))
    if accepted:
        findings.append(
            bad(
                f"AcceptEnv {' '.join(accepted)} lets clients set {accepted[0]}-like variables",
                "they run code of the user's in the login shell before the recording begins",
                _take_out(accepted, unit),
            )
        )
    subsystems = [value.split() for value in values.get("subsystem", [])]
    if any(words[:2] == ["sftp", "internal-sftp"] for words in subsystems):
        findings.append(
            look(
                "Subsystem sftp is internal-sftp",
                "it starts no shell: nothing says that somebody copied files",
                rf"sed -Ei 's|^\s*Subsystem\s+sftp\s+internal-sftp.*|Subsystem sftp {_server()}|I' "
                + _reload(unit, FILES),
            )
        )
    if not findings:
        findings.append(fine("sshd lets nobody run anything before the recording begins"))
    return findings + _judge_forwarding(values, unit)


def _judge_word(
    values: dict[str, list[str]], keyword: str, word: str, why: str, unit: str
) -> list[Finding]:
    found = values.get(keyword.lower(), ["(not known)"])[0]
    if found == word:
        return []
    return [bad(f"{keyword} is {found}", why, _put(f"{keyword} {word}", unit))]


def _judge_forwarding(values: dict[str, list[str]], unit: str) -> list[Finding]:
    def says(keyword: str, word: str) -> bool:
        return values.get(keyword, [""])[0] == word

    if says("disableforwarding", "yes"):
        return []
    names = {
        "allowtcpforwarding": "AllowTcpForwarding",
        "allowstreamlocalforwarding": "AllowStreamLocalForwarding",
        "x11forwarding": "X11Forwarding",
    }
    on = [name for keyword, name in names.items() if not says(keyword, "no")]
    if not on:
        return []
    return [
        look(
            f"sshd forwards: {', '.join(on)}",
            "`ssh -N -L` and programs with windows of their own are not recorded",
            _put("DisableForwarding yes", unit),
        )
    ]


def _accepted(patterns: Sequence[str]) -> list[str]:
    words = [word for value in patterns for word in value.split()]
    return [word for word in words if any(fnmatch.fnmatchcase(name, word) for name in LOADER)]


def _put(line: str, unit: str) -> str:
    return f"echo '{line}' >> {_reload(unit, OURS)}"


def _take_out(words: Sequence[str], unit: str) -> str:
    """Give the command that takes words out of all AcceptEnv lines: these add up."""
    edits = [rf"-e '/^\s*AcceptEnv\s/Is/\s+{for_sed(word)}(\s|$)/\1/g'" for word in words]
    return f"sed -Ei {' '.join(edits)} -e '/^\\s*AcceptEnv\\s*$/Id' {_reload(unit, FILES)}"


def _reload(unit: str, files: str) -> str:
    return f"{files} && sshd -t && systemctl reload {unit}"


def _server() -> str:
    return next(filter(os.path.exists, SFTP_SERVERS), SFTP_SERVERS[0])


# The host


def look_at(user: str) -> list[Finding]:
    """Look at what holds for all and for ``user``, "" for nobody in particular."""
    if not programs.is_there("sshd"):
        return [fine("sshd is not installed")]
    unit = "ssh" if programs.call("systemctl", "cat", "ssh.service").returncode == 0 else "sshd"
    with open(CONFIG, encoding="utf-8", errors="surrogateescape") as file:
        included = judge_includes(file.read(MAX_FILE), unit)
    done = programs.call("sshd", "-T")
    if done.returncode:
        return [judge_broken(done.stderr, unit)]
    findings = judge(parse(done.stdout), unit)
    if user:
        done = programs.call("sshd", "-T", "-C", f"user={user},host=localhost,addr=127.0.0.1")
        if done.returncode:
            return [judge_broken(done.stderr, unit)]
        own = judge(parse(done.stdout), unit)
        findings = [one if one in findings else _matched(one, user) for one in own]
    # The others may be for want of that, and what mends them would not be read.
    return included if included and any(one.mend for one in findings) else findings


def _matched(finding: Finding, user: str) -> Finding:
    """Give a finding that is true of a user only: no line for all mends that."""
    if not finding.mend:
        return finding
    what = f"{finding.what}, for {user}, as a Match block says"
    return finding._replace(what=what, mend=f"${{EDITOR:-vi}} {CONFIG}")
