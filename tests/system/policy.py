"""Who gets in, and is recorded: logins that are tried under the failure policies."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import pytest
from host import Host

from sessionwrap import message_ids
from tests.system.helpers import messages, recordings, ssh, sync_journal

POLICY = "[failure_policy]\npolicy = strict\nbest_effort_users = carol\nbreak_glass_users = dave\n"
PAM = "/etc/pam.d/common-session"
REFUSED, RECORDED, UNRECORDED = "refused", "recorded", "unrecorded"
GOT_IN = "got in"
_numbers = itertools.count(1)


class Attempt(NamedTuple):
    """A login that was tried: the word that its command was to print, and what the client saw."""

    user: str
    word: str
    output: str

    @property
    def ran(self) -> bool:
        """Whether the command ran and its output reached the client."""
        return self.word in self.output


def attempt(host: Host, user: str, *options: str) -> Attempt:
    """Log in and run a command; by default on a terminal."""
    number = next(_numbers)
    # The word stands nowhere but in the output of what really ran.
    words = (*(options or ("-tt",)), f"echo word $((1000000 + {number})) end")
    done = ssh(host, user, *words, timeout=180)
    return Attempt(user, f"word {1000000 + number} end", (done.stdout + done.stderr).decode())


def attempts_at_once(host: Host, *users: str) -> dict[str, Attempt]:
    with ThreadPoolExecutor() as pool:
        return dict(zip(users, pool.map(lambda user: attempt(host, user), users), strict=True))


def is_recorded(host: Host, tried: Attempt) -> bool:
    """Tell whether the journal has, of the recorder's own, what the command printed."""
    output = "".join(
        message["out_txt"]
        for recording in recordings(host)
        if recording["user"] == tried.user and recording["verified"]
        for message in messages(host, recording["rec"])
    )
    return tried.word in output


def what_became(host: Host, tried: Attempt) -> str:
    """Tell by what really ran, and by what the journal has of it."""
    if not tried.ran:
        return REFUSED
    return RECORDED if is_recorded(host, tried) else UNRECORDED


def alerted(host: Host, user: str, message_id: str = message_ids.ALERT_NOT_RECORDED) -> list[str]:
    """Give the texts of the critical entries that name a user."""
    sync_journal(host)
    matches = ["PRIORITY=2", f"MESSAGE_ID={message_id}", f"SESSIONWRAP_USER={user}"]
    return host.run(["journalctl", "--output=cat", *matches]).stdout.splitlines()


@pytest.fixture
def policies(host: Host) -> Host:
    """Give a host on which alice, carol and dave must be recorded, under three policies."""
    host.add_user("dave", groups=["wheel"])
    host.write("/etc/sessionwrap/conf.d/policy.conf", POLICY)
    return host
