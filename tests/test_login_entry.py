from __future__ import annotations

import pytest

from sessionwrap import login_entry, message_ids
from sessionwrap.tickets import Ticket

TICKET = Ticket(  # noqa: S604 # no shell is started
    record=1,
    rule="groups = wheel",
    user="alice",
    uid=1000,
    shell="/bin/bash",
    service="sshd",
    rhost="192.0.2.1",
    tty="ssh",
    policy="strict",
    session=7,
    pid=42,
    start=4711,
    time=1,
)
OUTCOMES = (
    login_entry.RECORDED,
    login_entry.OUT_OF_SCOPE,
    login_entry.PASSED,
    login_entry.REFUSED,
)


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_the_entry_says_who_how_by_which_rule_and_what_became_of_it(outcome: str) -> None:
    fields = login_entry.fields(TICKET, outcome)
    assert fields["MESSAGE_ID"] == message_ids.LOGIN
    assert fields["SESSIONWRAP_LOGIN"] == TICKET.name
    assert fields["SESSIONWRAP_USER"] == "alice"
    assert fields["SESSIONWRAP_UID"] == "1000"
    assert fields["SESSIONWRAP_SERVICE"] == "sshd"
    assert fields["SESSIONWRAP_RHOST"] == "192.0.2.1"
    assert fields["SESSIONWRAP_SESSION"] == "7"
    assert fields["SESSIONWRAP_RULE"] == "groups = wheel"
    assert fields["SESSIONWRAP_POLICY"] == "strict"
    assert fields["SESSIONWRAP_OUTCOME"] == outcome
    assert fields["SESSIONWRAP_WHY"] == ""
    assert "A login of alice by sshd" in fields["MESSAGE"]
    assert fields["MESSAGE"].endswith("(groups = wheel)")


def test_each_outcome_reads_differently() -> None:
    assert len({login_entry.fields(TICKET, outcome)["MESSAGE"] for outcome in OUTCOMES}) == 4


def test_what_stood_in_the_way_is_said() -> None:
    fields = login_entry.fields(TICKET, login_entry.REFUSED, "the recorder is away")
    assert fields["MESSAGE"].endswith(": the recorder is away")
    assert fields["SESSIONWRAP_WHY"] == "the recorder is away"
