"""Start and end entries: the fields of the journal that ``list`` reads and the recorder writes.

An end entry repeats what its start entry says, so that a complete recording is known from one
entry. Neither carries TLOG_REC: readers of tlog's format expect JSON under it.
"""

from __future__ import annotations

from collections.abc import Mapping

from sessionwrap import message_ids
from sessionwrap.model import Recording

IDENTIFIER = "sessionwrap"
PREFIX = "SESSIONWRAP_"
TERMINAL = "terminal"
COMMAND = "command"

EXITED = "exited"
"""End reason: every process of the session has let go of the terminal."""
HUNG_UP = "hangup"
"""End reason: the client went away."""
TERMINATED = "terminated"
"""End reason: the recorder was told to end it."""
INTRUDED = "intruded"
"""End reason: another process read what the user typed; the session was ended for it."""
UNSTORED = "unstored"
"""End reason: the journal keeps nothing, and the failure policy wants the session ended then."""
ENDED_FOR_CAUSE = (INTRUDED, UNSTORED)
"""Reasons for which the recorder ends a session, with an alert."""
ABNORMAL = "abnormal"
"""End reason: the worker died; the recorder wrote out what it had left behind."""
NESTED = "nested"
"""Kind of a login within a terminal that is being recorded: its screen is in that recording."""
LOGGED = "logged"
"""A command without a terminal: there is a start entry and no more.
A nested login too."""


def start_fields(recording: Recording) -> dict[str, str]:
    """Give the fields of a start entry, MESSAGE and MESSAGE_ID among them."""
    return {
        "MESSAGE": _begun(recording),
        "MESSAGE_ID": message_ids.START,
        **_common(recording),
    }


def _begun(recording: Recording) -> str:
    if recording.kind == NESTED:
        return f"{recording.user} has logged in within recording {recording.parent}"
    what = f"`{recording.command}`" if recording.kind == COMMAND else recording.tty
    return f"Recording {recording.rec} of {recording.user} on {what} has begun"


def end_fields(recording: Recording) -> dict[str, str]:
    """Give the fields of an end entry; ``recording.end`` must be set."""
    if recording.end is None:
        raise ValueError("an end entry needs the time of the end")
    seconds = (recording.end - recording.start) / 1e6
    return {
        "MESSAGE": f"Recording {recording.rec} of {recording.user} on {recording.tty} has ended "
        f"({recording.reason}, {seconds:.1f} s, {recording.messages} messages)",
        "MESSAGE_ID": message_ids.END,
        **_common(recording),
        PREFIX + "END": str(recording.end),
        PREFIX + "MESSAGES": str(recording.messages),
        PREFIX + "REASON": recording.reason,
        PREFIX + "LOST": str(recording.lost),
    }


def abnormal_fields(recording: Recording) -> dict[str, str]:
    """Give the fields of the alert about an end that is none in order."""
    what = f"recording {recording.rec} of {recording.user}"
    if recording.reason == INTRUDED:
        text = f"Another process read what was typed, past {what}: the session was ended"
    elif recording.reason == UNSTORED:
        text = f"The journal keeps nothing of {what}: the session was ended, as the policy says"
    elif recording.lost:
        text = f"{recording.lost} bytes passed unrecorded in {what}, as the policy says"
    else:
        text = f"The worker of {what} died: the session was ended with it. What it had is stored"
    return {
        **_common(recording),
        "MESSAGE": text,
        "MESSAGE_ID": message_ids.ALERT_ABNORMAL,
        "PRIORITY": "2",
    }


def parse(fields: Mapping[str, str], *, verified: bool) -> Recording:
    """Read a start or end entry; ValueError names the field that is missing or wrong.

    ``fields`` are the entry's, as text. Anybody can write such an entry: ``verified`` says
    whether the recorder's uid did, and the rest is only as good as that.
    """
    get = _Getter(fields)
    ended = fields.get("MESSAGE_ID") == message_ids.END
    kind = get.text("KIND")
    reason = get.text("REASON") if ended else ("" if kind == TERMINAL else LOGGED)
    lost = get.number("LOST") if ended and PREFIX + "LOST" in fields else 0
    return Recording(
        rec=get.text("REC"),
        host=get.text("HOST"),
        user=get.text("USER"),
        uid=get.number("UID"),
        service=get.text("SERVICE"),
        rhost=get.text("RHOST"),
        tty=get.text("TTY"),
        kind=kind,
        command=get.text("COMMAND"),
        session=get.number("SESSION"),
        start=get.number("START"),
        end=get.number("END") if ended else None,
        messages=get.number("MESSAGES") if ended else 0,
        reason=reason,
        complete=reason not in ("", ABNORMAL, *ENDED_FOR_CAUSE) and not lost,
        verified=verified,
        login=fields.get(PREFIX + "LOGIN", ""),
        parent=fields.get(PREFIX + "PARENT", ""),
        lost=lost,
    )


def _common(recording: Recording) -> dict[str, str]:
    return {
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        PREFIX + "REC": recording.rec,
        PREFIX + "HOST": recording.host,
        PREFIX + "USER": recording.user,
        PREFIX + "UID": str(recording.uid),
        PREFIX + "SERVICE": recording.service,
        PREFIX + "RHOST": recording.rhost,
        PREFIX + "TTY": recording.tty,
        PREFIX + "KIND": recording.kind,
        PREFIX + "COMMAND": recording.command,
        PREFIX + "SESSION": str(recording.session),
        PREFIX + "START": str(recording.start),
        PREFIX + "LOGIN": recording.login,
        PREFIX + "PARENT": recording.parent,
    }


class _Getter:
    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def text(self, name: str) -> str:
        value = self._fields.get(PREFIX + name)
        if not isinstance(value, str):
            raise ValueError(f"{PREFIX}{name} is missing")
        return value

    def number(self, name: str) -> int:
        value = self.text(name)
        if not (value.isascii() and value.isdigit() and len(value) < 20):
            raise ValueError(f"{PREFIX}{name} is {value[:40]!r}, expected a number")
        return int(value)
