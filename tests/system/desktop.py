"""A display manager, as far as PAM sees one: runs programs of a user's in a session on a display.

Arguments: the PAM service, what it says the terminal is, the user, the display, the command line.
Runs in the host as root; ends with the command, as its session does.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys

PAM_TTY = 3
CONVERSATION = ctypes.CFUNCTYPE(ctypes.c_int)


class Conversation(ctypes.Structure):
    """struct pam_conv: who is asked. Nobody is."""

    _fields_ = (("ask", CONVERSATION), ("data", ctypes.c_void_p))


service, tty, user, display, *command = sys.argv[1:]
pam = ctypes.CDLL("libpam.so.0")
handle = ctypes.c_void_p()
nobody = Conversation(CONVERSATION(lambda: 19), None)
account = pwd.getpwnam(user)
for done in (
    pam.pam_start(service.encode(), user.encode(), ctypes.byref(nobody), ctypes.byref(handle)),
    pam.pam_set_item(handle, PAM_TTY, ctypes.c_char_p(tty.encode())),
    pam.pam_open_session(handle, 0),
):
    if done != 0:
        sys.exit(f"PAM says {done}")
child = os.fork()
if child == 0:
    os.setsid()
    os.initgroups(user, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.chdir(account.pw_dir)
    names = {"HOME": account.pw_dir, "USER": user, "LOGNAME": user, "SHELL": account.pw_shell}
    os.execvpe(command[0], command, {**names, "DISPLAY": display, "PATH": "/usr/bin:/bin"})
os.waitpid(child, 0)
pam.pam_close_session(handle, 0)
pam.pam_end(handle, 0)
