"""Logins are held against recordings: each is in one category, and nothing is lost."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap import entries, login_entry, message_ids
from sessionwrap.logins import OUTCOMES, Alert, Ending, Key, Login, merge
from sessionwrap.model import Recording
from sessionwrap.reporting import (
    CATEGORIES,
    COMPLETE,
    INCOMPLETE,
    NO_SHELL,
    OPEN,
    OUT_OF_SCOPE,
    PASSED,
    REFUSED,
    RUNNING,
    TO_LOOK_AT,
    UNSEEN,
    Facts,
    Period,
    Present,
    Report,
    Row,
    report,
)
from tests.readers.journals import BOOT, EPOCH, RECORDER_UID, USER_UID, recording

ALWAYS = Period(0, 1 << 62)
KEY = Key(BOOT, "1-1000-101-7")
UNENDED: dict[str, Any] = {"end": None, "messages": 0, "reason": "", "complete": False}


def present(*, running: bool = False, is_open: bool = False) -> Present:
    """A machine on which every process is there, or none."""

    def state(boot: str, one: Recording) -> str:
        assert boot
        if one.reason == entries.LOGGED:
            return "logged"
        if one.end is None:
            return "running" if running else "no end"
        return "complete" if one.complete else "abnormal"

    return Present(state, lambda _: is_open)


def login(outcome: str = login_entry.RECORDED, why: str = "", key: Key = KEY) -> Login:
    return Login(
        key=key,
        time=EPOCH,
        user="alice",
        uid=USER_UID,
        service="sshd",
        rhost="192.0.2.7",
        tty="ssh",
        session=1,
        rule="scope = all",
        policy="strict",
        outcome=outcome,
        why=why,
    )


def ending(*, unseen: bool, key: Key = KEY) -> Ending:
    return Ending(key, EPOCH + 1, "alice", USER_UID, "sshd", unseen, "as the recorder says")


def alert(message: str = "broken", *, verified: bool = True, **changes: object) -> Alert:
    uid = RECORDER_UID if verified else USER_UID
    one = Alert(
        verified, uid, message_ids.ALERT_CONFIG, message, Key(BOOT, ""), "", "", "", EPOCH, EPOCH
    )
    return one._replace(**changes)  # type: ignore[arg-type] # the tests name real fields


def reported(
    logins: list[Login],
    recordings: list[Recording] | None = None,
    endings: list[Ending] | None = None,
    alerts: list[Alert] | None = None,
    *,
    period: Period = ALWAYS,
    user: str | None = None,
    skipped: int = 0,
    now: Present | None = None,
) -> Report:
    facts = Facts(
        {one.key: one for one in logins},
        [(BOOT, one) for one in recordings or []],
        {one.key: one for one in endings or []},
        alerts or [],
        skipped,
    )
    return report(facts, period, now or present(), user)


def only(found: Report) -> Row:
    (row,) = found.rows
    return row


def ours(number: int = 1, **changes: object) -> Recording:
    return recording(number, login=KEY.name, **changes)


@pytest.mark.parametrize(
    ("recordings", "endings", "now", "category"),
    [
        ([ours()], [], present(), COMPLETE),
        ([ours(kind=entries.NESTED, **{**UNENDED, "reason": entries.LOGGED})], [], None, COMPLETE),
        ([ours(**UNENDED)], [], present(running=True), RUNNING),
        ([ours(), ours(2, **UNENDED)], [], present(running=True), RUNNING),
        ([ours(**UNENDED)], [], present(), INCOMPLETE),
        ([ours(), ours(2, reason=entries.ABNORMAL, complete=False)], [], None, INCOMPLETE),
        ([ours(lost=5, complete=False)], [], None, INCOMPLETE),
        ([ours(lost=5, complete=False)], [ending(unseen=True)], None, INCOMPLETE),
        ([ours()], [ending(unseen=True)], None, UNSEEN),
        ([], [ending(unseen=True)], None, UNSEEN),
        ([], [ending(unseen=False)], None, NO_SHELL),
        ([], [], present(is_open=True), OPEN),
        ([], [], present(), UNSEEN),
    ],
)
def test_a_login_to_be_recorded_is_what_its_recordings_and_its_end_say(
    recordings: list[Recording], endings: list[Ending], now: Present | None, category: str
) -> None:
    found = reported([login()], recordings, endings, now=now)
    assert only(found).category == category
    assert found.look == (category in TO_LOOK_AT)


@pytest.mark.parametrize("outcome", [login_entry.PASSED, login_entry.REFUSED])
def test_a_login_that_could_not_be_recorded_says_what_was_in_the_way(outcome: str) -> None:
    found = reported([login(outcome, "the disk is full")])
    assert (only(found).category, only(found).why) == (outcome, "the disk is full")
    assert found.look


def test_a_login_out_of_scope_says_by_which_rule_and_is_nothing_to_look_at() -> None:
    found = reported([login(login_entry.OUT_OF_SCOPE)])
    assert (only(found).category, only(found).why) == (OUT_OF_SCOPE, "scope = all")
    assert not found.look


def test_a_recording_of_a_login_out_of_scope_that_is_incomplete_is_not_hidden_by_that() -> None:
    broken = ours(reason=entries.ABNORMAL, complete=False)
    assert only(reported([login(login_entry.OUT_OF_SCOPE)], [broken])).category == INCOMPLETE


def test_all_that_is_wrong_with_the_recordings_of_a_login_is_said_once() -> None:
    broken = [
        ours(1, reason=entries.INTRUDED, complete=False, lost=7),
        ours(2, reason=entries.ABNORMAL, complete=False),
        ours(3, reason=entries.ABNORMAL, complete=False),
        ours(4, **UNENDED),
    ]
    assert only(reported([login()], broken, [ending(unseen=True)])).why == (
        "another process read what was typed, and the session was ended for it, "
        "7 bytes passed unrecorded; the recording process died; "
        "no end is stored, and nobody records any more; as the recorder says"
    )


def test_a_recording_without_a_login_stands_alone_and_is_fine_if_complete() -> None:
    found = reported([login()], [ours(), recording(2), recording(3)])
    assert [row.key.name for row in found.rows] == [KEY.name, "", ""]
    assert [len(row.recordings) for row in found.rows] == [1, 1, 1]
    assert found.counts()["without_login"] == 2
    assert not found.look


def test_the_same_name_in_another_boot_is_another_login() -> None:
    other = KEY._replace(boot="f" * 32)
    found = reported([login(), login(key=other)], [ours()])
    assert Counter(row.category for row in found.rows) == {COMPLETE: 1, UNSEEN: 1}


def test_a_login_that_began_before_the_period_is_there_when_it_ends_in_it() -> None:
    period = Period(EPOCH + 1_200_000, EPOCH + 9_000_000)
    row = only(reported([], [ours()], period=period))  # begins at 1.0 s, ends at 1.5 s
    assert (row.key, row.user, row.outcome, row.category) == (KEY, "alice", "", COMPLETE)
    row = only(reported([], [], [ending(unseen=True)], period=Period(EPOCH, EPOCH + 2)))
    assert (row.user, row.service, row.rhost, row.session) == ("alice", "sshd", "", None)


def test_a_login_that_began_in_the_period_is_known_by_what_came_later() -> None:
    period = Period(EPOCH, EPOCH + 1)
    row = only(reported([login()], [ours()], period=period))
    assert row.category == COMPLETE
    assert not reported([login()], [ours()], period=Period(0, EPOCH)).rows
    assert not reported([login()], [ours()], period=Period(EPOCH + 9_000_000, 1 << 62)).rows


def test_an_alert_is_told_with_the_login_that_it_names_if_that_is_looked_at() -> None:
    broken = ours(reason=entries.ABNORMAL, complete=False)
    by_login, by_rec = alert("a", key=KEY), alert("b", rec=broken.rec)
    found = reported([login()], [broken], alerts=[by_login, by_rec, alert("c")])
    assert only(found).alerts == (by_login, by_rec)
    assert found.alerts == [alert("c")]
    assert found.counts()["alerts"] == 3
    found = reported([login()], [ours()], alerts=[by_login])
    assert (only(found).alerts, found.alerts) == ((), [by_login])
    assert found.look


def test_an_alert_that_is_not_verified_is_no_fact_about_the_login_that_it_names() -> None:
    forged = alert(verified=False, key=KEY, message_id=message_ids.ALERT_UNSEEN)
    found = reported([login()], [ours()], alerts=[forged])
    assert (only(found).category, only(found).alerts) == (COMPLETE, ())
    assert found.alerts == [forged]
    assert (found.counts()["alerts"], found.counts()["unverified"]) == (0, 1)
    assert found.look


def test_entries_that_cannot_be_read_are_something_to_look_at() -> None:
    assert not reported([]).look
    assert reported([], skipped=1).look


def test_a_report_about_a_user_has_their_logins_and_alerts_that_name_nobody_else() -> None:
    bob = login(login_entry.REFUSED, key=Key(BOOT, "2"))._replace(user="bob")
    about_bob = alert("at the login of bob", key=bob.key)
    alerts = [about_bob, alert("all"), alert("to alice", user="alice"), alert("x", user="bob")]
    found = reported([login(), bob], [ours()], alerts=alerts, user="alice")
    assert [row.user for row in found.rows] == ["alice"]
    assert [one.message for one in found.alerts] == ["all", "to alice"]


def test_that_a_process_has_gone_is_unsure_until_an_entry_says_so() -> None:
    broken = ours(reason=entries.ABNORMAL, complete=False)
    assert only(reported([login()])).unsure
    assert only(reported([login()], [ours(**UNENDED)])).unsure
    assert not only(reported([login()], [broken, ours(2, **UNENDED)])).unsure
    assert not only(reported([login()], [ours(**UNENDED)], [ending(unseen=True)])).unsure
    assert not only(reported([login()], [], [ending(unseen=False)])).unsure
    assert not only(reported([login()], now=present(is_open=True))).unsure


def test_two_entries_of_one_login_are_one_with_the_worse_outcome() -> None:
    for i, better in enumerate(OUTCOMES):
        for worse in OUTCOMES[i:]:
            early, late = login(better), login(worse)._replace(time=EPOCH + 5)
            assert merge(early, late) == merge(late, early) == late._replace(time=EPOCH)


KEYS = st.builds(Key, st.sampled_from([BOOT, "f" * 32]), st.sampled_from(["1", "2", "3"]))
LOGINS = st.builds(lambda outcome, key: login(outcome, "why", key), st.sampled_from(OUTCOMES), KEYS)
ENDINGS = st.builds(lambda unseen, key: ending(unseen=unseen, key=key), st.booleans(), KEYS)
RECORDINGS = st.builds(
    lambda number, name, changes: recording(number, login=name, **changes),
    st.integers(0, 9),
    st.sampled_from(["", "1", "2", "4"]),
    st.sampled_from(
        [{}, UNENDED, {"lost": 1, "complete": False}, {"reason": "abnormal", "complete": False}]
    ),
)
ALERTS = st.builds(
    lambda text, verified, key, number: alert(
        text, verified=verified, key=key, rec=recording(number).rec
    ),
    st.text(max_size=3),
    st.booleans(),
    KEYS,
    st.integers(0, 9),
)


@given(
    st.lists(LOGINS, unique_by=lambda one: one.key),
    st.lists(
        st.tuples(st.sampled_from([BOOT, "f" * 32]), RECORDINGS), unique_by=lambda one: one[1].rec
    ),
    st.lists(ENDINGS, unique_by=lambda one: one.key),
    st.lists(ALERTS),
    st.booleans(),
)
def test_every_login_is_in_exactly_one_category_and_nothing_is_lost(
    logins: list[Login],
    recordings: list[tuple[str, Recording]],
    endings: list[Ending],
    alerts: list[Alert],
    there: bool,
) -> None:
    facts = Facts(
        {one.key: one for one in logins}, recordings, {one.key: one for one in endings}, alerts
    )
    found = report(facts, ALWAYS, present(running=there, is_open=there))
    named = [row.key for row in found.rows if row.key.name]
    assert len(named) == len(set(named))
    assert set(named) == {
        *(one.key for one in logins),
        *(one.key for one in endings),
        *(Key(boot, one.login) for boot, one in recordings if one.login),
    }
    told = [one for row in found.rows for one in row.recordings]
    assert sorted(told) == sorted(one for _, one in recordings)
    assert all(len(row.states) == len(row.recordings) for row in found.rows)
    assert all(row.key.name == one.login for row in found.rows for one in row.recordings)
    all_alerts = [*found.alerts, *(one for row in found.rows for one in row.alerts)]
    assert Counter(all_alerts) == Counter(alerts)
    counts = found.counts()
    assert sum(counts[category] for category in CATEGORIES) == len(found.rows) == counts["logins"]
    bad = {one.key for one in logins if one.outcome in (PASSED, REFUSED)}
    bad |= {one.key for one in endings if one.unseen}
    bad |= {
        Key(boot, one.login)
        for boot, one in recordings
        if not one.complete and not (one.end is None and there)
    }
    assert bad <= {row.key for row in found.rows if row.look}
    assert found.look == (bool(alerts) or any(row.look for row in found.rows))
