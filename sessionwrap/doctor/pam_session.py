"""A PAM session through the host's real stack, without a login: a program of its own.

    python3 -I -m sessionwrap.doctor.pam_session SERVICE USER

PAM's modules change the process that calls them (audit session, limits, keyrings), so this is none
that goes on. It asks whether the account may log in, opens the session all the same, and prints one
line of JSON: ``code``, ``reason`` and ``messages`` of the session, and ``denied``, why the account
may not log in, "" where it may. It closes the session when its standard input ends, and prints
another line. With python-pam: the import fails where that is missing.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import sys
from typing import Any, Final

TTY: Final = b"ssh"
"""As sshd says it. It stands in the ticket; no terminal is opened."""
SUCCESS: Final = 0
NEW_PASSWORD_REQUIRED: Final = 12
"""PAM_NEW_AUTHTOK_REQD: the account may log in, and must change its password."""


def main() -> None:
    """Open the session of the command line's service and user, and close it again."""
    service, user = sys.argv[1:]
    pam: Any = importlib.import_module("pam")
    caller = pam.PamAuthenticator()
    ask_account = caller.pam_acct_mgmt

    def hold_session(handle: Any, _flags: int) -> int:
        tty = ctypes.create_string_buffer(TTY)
        caller.pam_set_item(handle, pam.PAM_TTY, ctypes.cast(tty, ctypes.c_void_p))
        account = ask_account(handle, 0)
        may = account in (SUCCESS, NEW_PASSWORD_REQUIRED)
        denied = "" if may else caller.pam_strerror(handle, account).decode("utf-8", "replace")
        opened = caller.open_session()
        _tell(opened, caller, denied)
        sys.stdin.read()
        if opened == SUCCESS:
            caller.close_session()
        _tell(caller.code, caller, denied)
        return SUCCESS

    # python-pam opens sessions only of who has authenticated, and its conversation with PAM, which
    # is how the hook speaks to the user, is gone when authenticate() has returned. So the session
    # is held in the place where that asks for a password; nobody's password is asked or counted.
    caller.pam_authenticate = hold_session
    caller.pam_acct_mgmt = lambda _handle, _flags: SUCCESS
    if not caller.authenticate(user, "", service, resetcreds=False):
        raise SystemExit(f"PAM could not be started: {caller.reason}")


def _tell(code: int, caller: Any, denied: str) -> None:
    told = {
        "code": code,
        "reason": str(caller.reason),
        "messages": list(caller.messages),
        "denied": denied,
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
