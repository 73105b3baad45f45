"""Holds logins against recordings: each login in one category, and what is to be looked at.

Pure: entries in, a report out. ``Facts`` holds what root and the recorder wrote, and nothing
else; what others wrote is in ``Facts.alerts`` alone, as not verified.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from sessionwrap import entries, login_entry
from sessionwrap.logins import Alert, Ending, Key, Login
from sessionwrap.model import Recording

COMPLETE: Final = "complete"
"""Recorded, all of it. A command without a terminal is, when its one entry is there."""
RUNNING: Final = "running"
"""A recording of it goes on."""
OPEN: Final = "open"
"""To be recorded, still there, and nothing of it has asked for a recording yet."""
NO_SHELL: Final = "no_shell"
"""To be recorded, and over without a shell that could be."""
OUT_OF_SCOPE: Final = login_entry.OUT_OF_SCOPE
INCOMPLETE: Final = "incomplete"
"""Recorded, but not all of it."""
UNSEEN: Final = "unseen"
"""To be recorded, over, and not recorded."""
PASSED: Final = login_entry.PASSED
REFUSED: Final = login_entry.REFUSED

CATEGORIES: Final = (
    *(COMPLETE, RUNNING, OPEN, NO_SHELL, OUT_OF_SCOPE),
    *(INCOMPLETE, UNSEEN, PASSED, REFUSED),
)
TO_LOOK_AT: Final = frozenset({INCOMPLETE, UNSEEN, PASSED, REFUSED})

AND: Final = "; "
"""Between the reasons of one login."""
_REASONS = {
    entries.ABNORMAL: "the recording process died",
    entries.INTRUDED: "another process read what was typed, and the session was ended for it",
    entries.UNSTORED: "the journal kept nothing of it, and the session was ended for it",
}


class Period(NamedTuple):
    """From ``since`` to before ``until``, in microseconds since the epoch."""

    since: int
    until: int

    def __contains__(self, time: object) -> bool:
        return isinstance(time, int) and self.since <= time < self.until


class Facts(NamedTuple):
    """What was read of a journal, from the start of a period to the journal's end.

    ``recordings`` holds (boot, recording); ``skipped`` counts entries and files that could
    not be read.
    """

    logins: Mapping[Key, Login]
    recordings: Iterable[tuple[str, Recording]]
    endings: Mapping[Key, Ending]
    alerts: Sequence[Alert]
    skipped: int = 0


class Present(NamedTuple):
    """How to ask what is so now: the state of a recording of a boot (as ``list`` names it), and
    whether a login's process is there.
    """

    state: Callable[[str, Recording], str]
    is_open: Callable[[Key], bool]


class Row(NamedTuple):
    """A login, with all that is known of it.

    ``key.name`` is empty for a recording of no login: no hook saw that. ``outcome``, ``rule`` and
    ``policy`` are empty too where the login began before the period. ``why`` is for a person.
    ``states`` are those of ``recordings``. ``unsure``: only that a process is not there says so,
    and its last entry may be on its way. ``alerts`` are those that name it, if it is to be looked
    at.
    """

    key: Key
    time: int
    user: str
    uid: int
    service: str
    rhost: str
    tty: str
    session: int | None
    outcome: str
    rule: str
    policy: str
    category: str
    why: str
    recordings: tuple[Recording, ...]
    states: tuple[str, ...]
    unsure: bool = False
    alerts: tuple[Alert, ...] = ()

    @property
    def look(self) -> bool:
        """Whether it is to be looked at."""
        return self.category in TO_LOOK_AT


class Report(NamedTuple):
    """The logins of a period, the oldest first.

    ``alerts`` are those that no row has, verified ones and others.
    """

    period: Period
    rows: list[Row]
    alerts: list[Alert]
    skipped: int

    @property
    def look(self) -> bool:
        """Whether there is something to look at."""
        return bool(self.alerts or self.skipped or any(row.look for row in self.rows))

    def counts(self) -> dict[str, int]:
        """Give how many logins each category has, and how much of the rest there is."""
        found = Counter(row.category for row in self.rows)
        told = [*self.alerts, *(alert for row in self.rows for alert in row.alerts)]
        return {
            "logins": len(self.rows),
            **{category: found[category] for category in CATEGORIES},
            "without_login": sum(not row.key.name for row in self.rows),
            "alerts": sum(alert.number for alert in told if alert.verified),
            "unverified": sum(alert.number for alert in told if not alert.verified),
            "skipped": self.skipped,
        }


class _Group:
    """What belongs to one login."""

    __slots__ = ("ending", "key", "login", "recordings")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.login: Login | None = None
        self.ending: Ending | None = None
        self.recordings: list[Recording] = []

    def times(self) -> list[int]:
        """Give every time at which something of it was written down."""
        found = [one.time for one in (self.login, self.ending) if one]
        found += [one.start for one in self.recordings]
        return found + [one.end for one in self.recordings if one.end is not None]


def report(facts: Facts, period: Period, present: Present, user: str | None = None) -> Report:
    """Pair and classify; ``user``: only what is about that user, or about nobody by name.

    A login is in the period if it, or a recording of it, began or ended in it. What is known of
    later times decides on its category all the same.
    """
    groups = [group for group in _groups(facts) if any(time in period for time in group.times())]
    rows = sorted((_row(group, present) for group in groups), key=lambda row: row.time)
    rows, alerts = _attach(rows, facts.alerts)
    return Report(
        period,
        [row for row in rows if user in (None, row.user)],
        [alert for alert in alerts if user is None or alert.user in ("", user)],
        facts.skipped,
    )


def _groups(facts: Facts) -> Iterable[_Group]:
    found: dict[tuple[Key, str], _Group] = {}

    def group(key: Key, rec: str = "") -> _Group:
        return found.setdefault((key, rec), _Group(key))

    for key, login in facts.logins.items():
        group(key).login = login
    for key, ending in facts.endings.items():
        group(key).ending = ending
    for boot, recording in facts.recordings:
        # One that no login is known of stands alone.
        alone = "" if recording.login else recording.rec
        group(Key(boot, recording.login), alone).recordings.append(recording)
    return found.values()


def _row(group: _Group, present: Present) -> Row:
    group.recordings.sort(key=lambda recording: recording.start)
    states = tuple(present.state(group.key.boot, recording) for recording in group.recordings)
    category, why, unsure = _classify(group, states, present)
    row = _who(group)._replace(category=category, why=why, unsure=unsure)
    return row._replace(recordings=tuple(group.recordings), states=states)


def _who(group: _Group) -> Row:
    """Say who logged in, as the best of what is there has it; a part of a row."""
    login, ending = group.login, group.ending
    first = group.recordings[0] if group.recordings else None
    who = login or first or ending
    assert who is not None, "a group has at least one of the three"
    at = login or first  # what an ending does not say
    time = login.time if login else min(group.times())
    return Row(
        key=group.key,
        time=time,
        user=who.user,
        uid=who.uid,
        service=who.service,
        rhost=at.rhost if at else "",
        tty=at.tty if at else "",
        session=at.session if at else None,
        outcome=login.outcome if login else "",
        rule=login.rule if login else "",
        policy=login.policy if login else "",
        category="",
        why="",
        recordings=(),
        states=(),
    )


def _classify(group: _Group, states: tuple[str, ...], present: Present) -> tuple[str, str, bool]:
    """Give the category of a login, why, and whether that is unsure. The worst that holds."""
    login, ending = group.login, group.ending
    unseen = [ending.why] if ending and ending.unseen else []
    bad = [
        (state, one)
        for state, one in zip(states, group.recordings, strict=True)
        if state in ("no end", "abnormal")
    ]
    if login and login.outcome in (PASSED, REFUSED):
        found = login.outcome, login.why, False
    elif bad:
        whys = dict.fromkeys([*(_why_incomplete(*one) for one in bad), *unseen])
        found = (
            INCOMPLETE,
            AND.join(whys),
            not unseen and {state for state, _ in bad} == {"no end"},
        )
    elif unseen:
        found = UNSEEN, unseen[0], False
    elif states:
        found = RUNNING if "running" in states else COMPLETE, "", False
    else:
        found = _without_recording(group, present)
    return found


def _without_recording(group: _Group, present: Present) -> tuple[str, str, bool]:
    if group.login and group.login.outcome == OUT_OF_SCOPE:
        return OUT_OF_SCOPE, group.login.rule, False
    if group.ending:
        return NO_SHELL, group.ending.why, False
    if present.is_open(group.key):
        return OPEN, "", False
    return UNSEEN, "it is over, and no entry says what became of it", True


def _why_incomplete(state: str, recording: Recording) -> str:
    if state == "no end":
        return "no end is stored, and nobody records any more"
    whys = [_REASONS[recording.reason]] if recording.reason in _REASONS else []
    if recording.lost:
        whys.append(f"{recording.lost} bytes passed unrecorded")
    return ", ".join(whys)


def _attach(rows: list[Row], alerts: Sequence[Alert]) -> tuple[list[Row], list[Alert]]:
    """Give alerts to the rows to be looked at that they name; the others are left over."""
    by_key = {row.key: i for i, row in enumerate(rows) if row.look and row.key.name}
    by_rec = {one.rec: i for i, row in enumerate(rows) if row.look for one in row.recordings}
    taken: dict[int, list[Alert]] = {}
    left = []
    for alert in alerts:
        number = by_key.get(alert.key, by_rec.get(alert.rec)) if alert.verified else None
        if number is None:
            left.append(alert)
        else:
            taken.setdefault(number, []).append(alert)
    whole = [
        row._replace(alerts=tuple(taken[i])) if i in taken else row for i, row in enumerate(rows)
    ]
    return whole, sorted(left, key=lambda alert: alert.first)
