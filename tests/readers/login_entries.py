"""Entries about logins for tests: as the hook, the recorder and others write them."""

from __future__ import annotations

from sessionwrap import login_entry, message_ids
from sessionwrap.tickets import Ticket
from tests.readers.journals import EPOCH, RECORDER_UID, USER_UID, stamped

ROOT = 0
RULE = "groups = wheel (/etc/sessionwrap/conf.d/wheel.conf:3)"


def ticket(number: int, **changes: str | int) -> Ticket:
    """The ticket of a login of alice; each number is another one."""
    values: dict[str, str | int] = {
        "record": 1,
        "rule": RULE,
        "user": "alice",
        "uid": USER_UID,
        "shell": "/bin/bash",
        "service": "sshd",
        "rhost": "192.0.2.7",
        "tty": "ssh",
        "policy": "strict",
        "session": number,
        "pid": number + 100,
        "start": number * 7,
        "time": 0,
    }
    return Ticket(**{**values, **changes})


def name(number: int) -> str:
    """What the login of that number is called."""
    return ticket(number).name


def at(number: int) -> int:
    """The time (µs) of its entry: a millisecond before the recording of that number begins."""
    return EPOCH + number * 1_000_000 - 1000


def login(
    number: int,
    outcome: str = login_entry.RECORDED,
    why: str = "",
    *,
    writer: int = ROOT,
    **changes: str | int,
) -> dict[str, str | bytes]:
    """The hook's entry of a login."""
    fields = login_entry.fields(ticket(number, **changes), outcome, why)
    return stamped(fields, at(number), writer)


def ending(
    number: int, *, unseen: bool, why: str = "no shell was seen", writer: int = RECORDER_UID
) -> dict[str, str | bytes]:
    """The entry of a login that has ended unrecorded, half a second after it began."""
    fields = {
        "MESSAGE": f"A login of alice by sshd has ended: {why}",
        "MESSAGE_ID": message_ids.ALERT_UNSEEN if unseen else message_ids.NO_SHELL,
        "PRIORITY": "2" if unseen else "5",
        "SYSLOG_IDENTIFIER": "sessionwrap",
        "SESSIONWRAP_LOGIN": name(number),
        "SESSIONWRAP_USER": "alice",
        "SESSIONWRAP_UID": str(USER_UID),
        "SESSIONWRAP_SERVICE": "sshd",
        "SESSIONWRAP_WHY": why,
    }
    return stamped(fields, at(number) + 500_000, writer)


def alert(
    number: int,
    message: str = "/etc/sessionwrap/sessionwrap.conf:1: is no section",
    message_id: str = message_ids.ALERT_CONFIG,
    *,
    writer: int = ROOT,
    **fields: str,
) -> dict[str, str | bytes]:
    """An alert."""
    stored = {
        "MESSAGE": message,
        "MESSAGE_ID": message_id,
        "PRIORITY": "2",
        "SYSLOG_IDENTIFIER": "sessionwrap",
        **fields,
    }
    return stamped(stored, at(number), writer)
