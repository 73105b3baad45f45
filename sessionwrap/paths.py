"""Where things are on an installed system. No variable of the environment moves any of them."""

from __future__ import annotations

CONFIG_DIR = "/etc/sessionwrap"
SCOPE_FILE = CONFIG_DIR + "/sessionwrap.conf"
SCOPE_DROPINS = CONFIG_DIR + "/conf.d"
SETTINGS_FILE = CONFIG_DIR + "/rec-session.conf"

RUN_DIR = "/run/sessionwrap"
RECORDER_SOCKET = RUN_DIR + "/recorder.sock"
OVERLAY_SOCKET = "/run/systemd/userdb/io.sessionwrap.Overlay"
TICKETS_DIR = RUN_DIR + "/tickets"
SPOOL_DIR = RUN_DIR + "/spool"
UNHEARD_DIR = RUN_DIR + "/unheard"

STATE_DIR = "/var/lib/sessionwrap"
SHELLS_FILE = STATE_DIR + "/shells"

DATA_DIR = "/usr/share/sessionwrap"
SETTINGS_SCHEMA = DATA_DIR + "/rec-session.schema.json"

LOGIN_SHELL = "/usr/bin/sessionwrap-shell"
SSSD_LOGIN_SHELL = "/usr/bin/tlog-rec-session"
"""The one that SSSD's session recording starts (sssd-session-recording(5)): a link to ours, from
a package of its own. Without that package it may be tlog's program: see shells.is_login_shell."""
LOGIN_SHELLS = (LOGIN_SHELL, SSSD_LOGIN_SHELL)
JOURNAL_SOCKET = "/run/systemd/journal/socket"

RECORDER_USER = "sessionwrap"
OVERLAY_USER = "sessionwrap-userdb"
