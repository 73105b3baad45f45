"""sshd and its environment, which it has from systemd when it is started."""

from __future__ import annotations

import os
import sys
from typing import Final

from sessionwrap import paths
from sessionwrap.setup import programs

UNITS: Final = ("ssh.service", "sshd.service")
"""What Debian calls it, and what others do; one may be another name of the other."""
PENDING: Final = paths.RUN_DIR + "/restart-sshd"
"""There while sshd has to be restarted: a run that was killed, or could not, is made good."""


def is_pending() -> bool:
    """Tell whether an earlier run has left sshd as it was."""
    return os.path.exists(PENDING)


def will_restart() -> None:
    """Note that sshd has to be restarted, before its environment is changed."""
    if programs.is_booted():
        programs.replace(PENDING, "")


def restart() -> None:
    """Restart the sshd that runs; connections stay. SessionwrapError: it does not run afterwards.

    Where its settings are broken it would not come up again: then it is left running, a line on
    stderr says so, and the next run tries again.
    """
    if not programs.is_booted():
        return
    programs.run("systemctl", "daemon-reload")
    unit = next(filter(_is_active, UNITS), "") if programs.is_there("sshd") else ""
    if unit and (broken := programs.call("sshd", "-t")).returncode:
        said = broken.stderr.strip()[-500:]
        print(f"sessionwrap: sshd has to be restarted and cannot be: {said}", file=sys.stderr)
        return
    if unit:
        _restart(unit)
    if is_pending():
        os.unlink(PENDING)


def _restart(unit: str) -> None:
    # systemd starts nothing more than five times in ten seconds, and stops it all the same.
    programs.call("systemctl", "reset-failed", unit)
    programs.call("systemctl", "try-restart", unit)
    if not _is_active(unit):
        programs.run("systemctl", "start", unit)


def _is_active(unit: str) -> bool:
    return programs.call("systemctl", "--quiet", "is-active", unit).returncode == 0
