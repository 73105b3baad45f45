"""What is said of a login that was tried, against what the rules say."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from typing import Any

import pytest

from sessionwrap import login_entry, paths
from sessionwrap.doctor import login
from sessionwrap.doctor.finding import BAD, FINE, LOOK
from sessionwrap.scope import Decision
from sessionwrap.tickets import Ticket

RECORD = Decision(True, "groups = wheel", "/etc/sessionwrap/conf.d/a.conf", 3)
LEAVE = Decision(False, "scope = some", "/etc/sessionwrap/conf.d/a.conf", 2)


def ticket(record: bool) -> Ticket:
    texts = dict.fromkeys(("rule", "user", "shell", "service", "rhost", "tty", "policy"), "x")
    numbers = dict.fromkeys(("uid", "session", "pid", "start", "time"), 1)
    return Ticket(record=record, **texts, **numbers)


RECORDED = login.Seen(
    service="sshd",
    session=login.Session(0, "Success", ()),
    ticket=ticket(True),
    outcome=login_entry.RECORDED,
    why="",
    login_shell=paths.LOGIN_SHELL,
    recorder="",
)
LEFT = RECORDED._replace(
    ticket=ticket(False), outcome=login_entry.OUT_OF_SCOPE, login_shell="/bin/bash"
)


@pytest.mark.parametrize(("expected", "seen"), [(RECORD, RECORDED), (LEAVE, LEFT)])
def test_a_login_of_which_becomes_what_the_rules_say_is_fine(
    expected: Decision, seen: login.Seen
) -> None:
    [finding] = login.judge("alice", expected, seen)
    assert finding.severity == FINE
    assert expected.rule in finding.what


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ticket": None, "outcome": None}, "wrote no ticket"),
        ({"ticket": ticket(False)}, "decided otherwise"),
        ({"outcome": None}, "the journal has no entry"),
        ({"outcome": login_entry.PASSED, "why": "it is down"}, "goes on unrecorded: it is down"),
        ({"login_shell": "/bin/bash"}, "has the shell /bin/bash"),
        ({"recorder": "it is full"}, "no recording can be made: it is full"),
        (
            {
                "session": login.Session(
                    14, "Cannot make", ("Linux host\n", "sessionwrap: must be recorded")
                )
            },
            "is refused: must be recorded",
        ),
        ({"session": login.Session(14, "Cannot make", ())}, "is refused: Cannot make"),
    ],
)
def test_anything_else_is_bad(change: dict[str, Any], says: str) -> None:
    [finding] = login.judge("alice", RECORD, RECORDED._replace(**change))
    assert finding.severity == BAD
    assert says in finding.what


@pytest.mark.parametrize(
    ("expected", "seen", "says"),
    [(RECORD, RECORDED, "would be recorded"), (LEAVE, LEFT, "would not be recorded")],
)
def test_an_account_that_may_not_log_in_is_to_look_at_beside_what_would_become_of_it(
    expected: Decision, seen: login.Seen, says: str
) -> None:
    session = login.Session(0, "Success", (), "User account has expired")
    denied, would = login.judge("alice", expected, seen._replace(session=session))
    assert denied.severity == LOOK
    assert denied.what.endswith("by sshd: User account has expired")
    assert would.severity == FINE
    assert f"a login of alice by sshd {says}: {expected.rule}" == would.what


def test_a_user_who_never_gets_a_shell_is_to_look_at() -> None:
    [finding] = login.judge("alice", RECORD, RECORDED._replace(login_shell="/usr/sbin/nologin"))
    assert finding.severity == LOOK


def test_a_missing_python_pam_is_said_with_the_command_that_installs_it() -> None:
    finding = login._not_tried("Traceback …\nModuleNotFoundError: No module named 'pam'\n")
    assert finding.severity == BAD
    assert "python-pam is not installed" in finding.what
    assert finding.mend == "apt-get install python3-pampy python3-six"


def test_what_pam_has_started_and_does_not_end_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(login, "SECONDS", 0.2)
    ends, goes_on = os.pipe()
    with tempfile.TemporaryFile("w+") as said, os.fdopen(goes_on, "wb"):
        child = subprocess.Popen(
            # Its child holds all its descriptors.
            ["bash", "-c", f"cat <&{ends} & printf 'no line'; wait"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            pass_fds=[ends],
        )
        os.close(ends)
        assert login._told(child) is None
        login._end(child)
        assert child.returncode == -signal.SIGKILL
