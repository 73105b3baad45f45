"""What the journal tells of logins: the entries of the hook, of their ends, and alerts. Pure.

Whoever wrote an entry is not known here: a reader passes on what it may trust.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from sessionwrap import login_entry, message_ids
from sessionwrap.entries import PREFIX

OUTCOMES: Final = (
    login_entry.OUT_OF_SCOPE,
    login_entry.RECORDED,
    login_entry.PASSED,
    login_entry.REFUSED,
)
"""What can become of a login; of several entries of one login the last of these counts."""

DESKTOPS: Final = frozenset(
    (
        *("gdm-autologin", "gdm-fingerprint", "gdm-password", "gdm-smartcard", "greetd", "kde"),
        *("lightdm", "lightdm-autologin", "lxdm", "sddm", "sddm-autologin", "wdm", "xdm"),
        "xrdp-sesman",
    )
)
"""PAM services of display managers: a login of theirs has no terminal until a window opens one."""
ENDINGS: Final = (message_ids.NO_SHELL, message_ids.ALERT_UNSEEN)


class Key(NamedTuple):
    """What a login is found by: its name comes again in another boot, or on another host."""

    boot: str
    name: str


class Login(NamedTuple):
    """A login as the hook saw it; ``time`` is in microseconds since the epoch.

    ``outcome`` is one of OUTCOMES, ``rule`` says by which rule, ``why`` what was in the way.
    """

    key: Key
    time: int
    user: str
    uid: int
    service: str
    rhost: str
    tty: str
    session: int
    rule: str
    policy: str
    outcome: str
    why: str


class Ending(NamedTuple):
    """A login has ended that was to be recorded and was not.

    ``unseen`` is false where it had no shell; ``why`` is for a person.
    """

    key: Key
    time: int
    user: str
    uid: int
    service: str
    unseen: bool
    why: str


class Alert(NamedTuple):
    """Alerts that say the same: ``number`` of them, from ``first`` to ``last`` (µs).

    ``uid`` is the writer's as the kernel gave it; None where it did not, or there are too many
    writers to tell them apart. Where that is neither root nor the recorder, ``verified`` is false
    and the texts may be anything; ``message`` is empty for entries of a writer who wrote more
    different ones than are kept.
    """

    verified: bool
    uid: int | None
    message_id: str
    message: str
    key: Key
    rec: str
    user: str
    service: str
    first: int
    last: int
    number: int = 1

    def and_at(self, time: int) -> Alert:
        """Give these and one more."""
        return self._replace(
            first=min(self.first, time), last=max(self.last, time), number=self.number + 1
        )


def parse_login(fields: Mapping[str, str], boot: str, time: int) -> Login:
    """Read the entry that the hook writes of a login; ValueError where it is not one."""
    outcome = _text(fields, "OUTCOME")
    if outcome not in OUTCOMES:
        raise ValueError(f"{PREFIX}OUTCOME is {outcome[:40]!r}, expected one of {OUTCOMES}")
    return Login(
        key=_key(fields, boot),
        time=time,
        user=_text(fields, "USER"),
        uid=_number(fields, "UID"),
        service=_text(fields, "SERVICE"),
        rhost=_text(fields, "RHOST"),
        tty=_text(fields, "TTY"),
        session=_number(fields, "SESSION"),
        rule=_text(fields, "RULE"),
        policy=_text(fields, "POLICY"),
        outcome=outcome,
        why=_text(fields, "WHY"),
    )


def merge(one: Login, other: Login) -> Login:
    """Make one login of two entries of it: the worse outcome, the earlier time.

    A PAM application that opens a session again has one ticket, and an entry may be stored twice.
    """
    worse = max(one, other, key=lambda login: OUTCOMES.index(login.outcome))
    return worse._replace(time=min(one.time, other.time))


def parse_ending(fields: Mapping[str, str], boot: str, time: int) -> Ending:
    """Read an entry of ENDINGS; ValueError where it is not one."""
    return Ending(
        key=_key(fields, boot),
        time=time,
        user=_text(fields, "USER"),
        uid=_number(fields, "UID"),
        service=_text(fields, "SERVICE"),
        unseen=fields.get("MESSAGE_ID") == message_ids.ALERT_UNSEEN,
        why=_text(fields, "WHY") or fields.get("MESSAGE", ""),
    )


def parse_alert(
    fields: Mapping[str, str], boot: str, time: int, *, uid: int | None, verified: bool
) -> Alert:
    """Read an alert. There is no wrong one: what a field would say is empty without it."""

    def get(name: str) -> str:
        return fields.get(PREFIX + name, "")

    return Alert(
        verified=verified,
        uid=uid,
        message_id=fields.get("MESSAGE_ID", ""),
        message=fields.get("MESSAGE", "") or "(no text)",
        key=Key(boot, get("LOGIN")),
        rec=get("REC"),
        user=get("USER"),
        service=get("SERVICE"),
        first=time,
        last=time,
    )


def _key(fields: Mapping[str, str], boot: str) -> Key:
    name = _text(fields, "LOGIN")
    if not name:
        raise ValueError(f"{PREFIX}LOGIN is empty")
    return Key(boot, name)


def _text(fields: Mapping[str, str], name: str) -> str:
    value = fields.get(PREFIX + name)
    if value is None:
        raise ValueError(f"{PREFIX}{name} is missing")
    return value


def _number(fields: Mapping[str, str], name: str) -> int:
    value = _text(fields, name)
    if not (value.isascii() and value.isdigit() and len(value) < 20):
        raise ValueError(f"{PREFIX}{name} is {value[:40]!r}, expected a number")
    return int(value)
