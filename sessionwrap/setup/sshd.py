"""sshd and its environment, which it has from systemd when it is started."""

from __future__ import annotations

from typing import Final

from sessionwrap.setup import programs

UNITS: Final = ("ssh.service", "sshd.service")
"""What Debian calls it, and what others do; one may be another name of the other."""
MAX_ENVIRONMENT: Final = 1 << 20


def has(variable: str) -> bool | None:
    """Tell whether the sshd that runs has ``NAME=value`` in its environment; None: none runs."""
    for unit in UNITS:
        pid = programs.call("systemctl", "show", "-p", "MainPID", "--value", unit).stdout.strip()
        if not pid.isdigit() or pid == "0":
            continue
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                return variable.encode() in file.read(MAX_ENVIRONMENT).split(b"\0")
        except FileNotFoundError:
            continue
    return None


def restart() -> None:
    """Restart the sshd that runs; connections stay. SessionwrapError: it does not run afterwards.

    Nothing happens where its settings are broken: it would not come up again.
    """
    if not programs.is_booted():
        return
    programs.run("systemctl", "daemon-reload")
    if not programs.is_there("sshd") or programs.call("sshd", "-t").returncode:
        return
    for unit in UNITS:
        if not _is_active(unit):
            continue
        # systemd starts nothing more than five times in ten seconds, and stops it all the same.
        programs.call("systemctl", "reset-failed", unit)
        programs.call("systemctl", "try-restart", unit)
        if not _is_active(unit):
            programs.run("systemctl", "start", unit)
        return


def _is_active(unit: str) -> bool:
    return programs.call("systemctl", "--quiet", "is-active", unit).returncode == 0
