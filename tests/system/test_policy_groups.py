"""While the groups of users are slow, or never come: who is recorded, and who waits for how long.

alice, carol and dave are under the failure policies of policy.py; bob is out of scope.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from host import Host

from sessionwrap import message_ids
from tests.system.policy import (
    PAM,
    RECORDED,
    UNRECORDED,
    Attempt,
    alerted,
    attempt,
    attempts_at_once,
    what_became,
)

DIRECTORY = "/run/systemd/userdb/io.test.Directory"


def late_groups(host: Host, seconds: int, *unanswered: str) -> None:
    """Add a directory to the host that is so late with every question for a user's groups, and
    never answers some programs (hanging_directory.py).
    """
    host.copy_in(Path(__file__).with_name("hanging_directory.py"), "/usr/local/bin/directory")
    host.run(["sed", "-i", "s/^group:.*/group: files systemd/", "/etc/nsswitch.conf"])
    unit = ["--unit=directory", "--property=Type=exec"]
    words = ["python3", "/usr/local/bin/directory", str(seconds), *unanswered]
    host.run(["systemd-run", *unit, *words])
    host.wait_until(lambda: host.run(["test", "-S", DIRECTORY], check=False).returncode == 0)


def mend_groups(host: Host) -> None:
    host.run(["systemctl", "stop", "directory"])
    host.run(["rm", DIRECTORY])


def test_while_the_groups_are_slow_everybody_gets_in_and_who_is_out_of_scope_is_not_recorded(
    policies: Host,
) -> None:
    host = policies
    late_groups(host, 4)
    tried = attempts_at_once(host, "alice", "carol", "bob", "root")
    mend_groups(host)
    assert {user: what_became(host, each) for user, each in tried.items()} == {
        "alice": RECORDED,
        "carol": RECORDED,
        "bob": UNRECORDED,
        "root": UNRECORDED,
    }
    assert alerted(host, "alice") == alerted(host, "bob") == []


def test_while_the_groups_hang_nobody_waits_for_ever_and_nobody_in_doubt_is_unrecorded(
    policies: Host,
) -> None:
    """Longer than the hook waits. Without us a login over SSH waits seven times for the groups."""
    host = policies
    late_groups(host, 14)
    tried = attempts_at_once(host, "alice", "carol", "bob", "root")
    mend_groups(host)
    said = {user: each.output for user, each in tried.items()}
    assert {user: what_became(host, each) for user, each in tried.items()} == {
        "alice": RECORDED,
        "carol": RECORDED,
        "bob": RECORDED,  # perhaps in wheel
        "root": UNRECORDED,
    }, said
    matches = (f"MESSAGE_ID={message_ids.LOGIN}", "SESSIONWRAP_USER=bob")
    (entry,) = host.wait_for_entries(*matches)
    assert entry["SESSIONWRAP_RULE"] == "groups = (the directory does not say)"
    assert alerted(host, "alice") == alerted(host, "bob") == []
    # What the overlay was told is good for five seconds.
    host.wait_until(lambda: what_became(host, attempt(host, "bob")) == UNRECORDED, timeout=20)


NEVER_ANSWERED = ("python3", "sessionwrap")
"""All that is ours. sshd is answered: without us it waits 45 s for each of its seven questions."""


class InDoubt(NamedTuple):
    """Where the accounts are, by which rules they are in doubt, and what becomes of whom, within
    how many seconds.
    """

    passwd: str
    rules: str
    became: dict[str, str]
    afterwards: dict[str, str]
    seconds: float


NEVER = {
    "local users": InDoubt(
        "systemd files",
        "scope = some\ngroups = wheel",
        {"alice": RECORDED, "carol": RECORDED, "dave": RECORDED, "bob": RECORDED},
        {"alice": RECORDED, "carol": RECORDED, "dave": RECORDED, "bob": UNRECORDED},
        20,  # the hook waits 12
    ),
    # To the overlay all sources but `files` are directories: it cannot answer for their users.
    "users of a directory": InDoubt(
        "systemd compat",
        "scope = all\nexclude_users = bob\nexclude_groups = robots",
        {"alice": RECORDED, "carol": RECORDED, "dave": RECORDED, "bob": UNRECORDED},
        {"alice": RECORDED, "carol": RECORDED, "dave": RECORDED, "bob": UNRECORDED},
        20,
    ),
}


@pytest.mark.parametrize("name", NEVER)
def test_while_the_groups_never_come_who_is_in_doubt_is_recorded_or_the_policy_holds(
    policies: Host, name: str
) -> None:
    host, case = policies, NEVER[name]
    host.run(["sed", "-i", f"s/^passwd:.*/passwd: {case.passwd}/", "/etc/nsswitch.conf"])
    host.write("/etc/sessionwrap/conf.d/tests.conf", f"[session_recording]\n{case.rules}\n")
    host.run(["sed", "-i", "/pam_systemd.so/d", PAM])  # logind would ask for all of them in turn
    late_groups(host, 0, *NEVER_ANSWERED)

    def timed(user: str) -> tuple[Attempt, float]:
        began = time.monotonic()
        return attempt(host, user), time.monotonic() - began

    users = (*case.became, "root")
    with ThreadPoolExecutor() as pool:
        tried = dict(zip(users, pool.map(timed, users), strict=True))
    mend_groups(host)
    became = {user: what_became(host, each) for user, (each, _) in tried.items()}
    said = {user: each.output for user, (each, _) in tried.items()}
    assert became == {**case.became, "root": UNRECORDED}, said
    assert max(seconds for _, seconds in tried.values()) < case.seconds
    assert tried["root"][1] < 10
    assert [alerted(host, user) for user in case.became] == [[], [], [], []]
    # What the overlay was told is good for five seconds, and what is late for ten.
    host.wait_until(lambda: what_became(host, attempt(host, "alice")) == RECORDED, timeout=20)
    after = {user: what_became(host, attempt(host, user)) for user in users}
    assert after == {**case.afterwards, "root": UNRECORDED}
