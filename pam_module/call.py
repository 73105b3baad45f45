"""What pam_exec calls the hook with; the user is looked up while the rest of the hook is imported.

Imported first and alone: NSS takes a child of ours as long as those imports take us.
"""

from __future__ import annotations

import os
import sys

from sessionwrap import accounts

WITHOUT_TERMINAL = ("atd", "cron", "crond", "polkit-1", "systemd-user")
"""PAM services that never have a terminal: nothing of theirs is recorded or refused."""
BECOMING = ("su", "su-l", "sudo", "sudo-i", "runuser", "runuser-l")
"""PAM services of programs that start /bin/bash for root, whatever /etc/passwd says: systemd's NSS
module answers them for root itself. `sessionwrap setup` sees to it that it does not elsewhere."""


class Items:
    """What pam_exec(8) passes in the environment, and the pid of the PAM application.

    ``becomes_root``: it starts root's shell by a way in BECOMING. ``look_up`` is under way; None
    where no process could be started.
    """

    __slots__ = ("application", "becomes_root", "look_up", "rhost", "service", "tty", "user")

    def __init__(self, environment: os._Environ[str] | dict[str, str], application: int) -> None:
        self.user = environment.get("PAM_USER", "")
        self.service = environment.get("PAM_SERVICE", "")
        self.rhost = environment.get("PAM_RHOST", "")
        self.tty = environment.get("PAM_TTY", "")
        self.application = application
        self.becomes_root = self.user == "root" and self.service in BECOMING
        self.look_up: accounts.LookUp | None = None


def take() -> Items:
    """Take the call, and start to look the user up; exits where the call is none of ours.

    The argument is the pid of the PAM application: packaging/bin/pam-hook is in between.
    """
    items = Items(os.environ, int(sys.argv[1]))
    if os.environ.get("PAM_TYPE") != "open_session" or items.service in WITHOUT_TERMINAL:
        sys.exit(0)
    if items.user == "root" and not items.becomes_root:
        os.environ[accounts.NO_SYNTHETIC] = "1"
    try:
        items.look_up = accounts.LookUp(items.user)
    except OSError:
        items.look_up = None  # tried again where it is needed, and said if it fails there too
    return items
