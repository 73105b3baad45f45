"""The logins of a journal, what was recorded of them, and alerts: real journal files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessionwrap import entries, login_entry, message_ids
from sessionwrap.errors import NotFoundError, SessionwrapError
from sessionwrap.logins import Key
from sessionwrap.readers import logins
from sessionwrap.readers.journal import Place
from sessionwrap.readers.logins import MAX_DIFFERENT, MAX_FIELD, MAX_WRITERS, Logins
from sessionwrap.reporting import Facts, Period
from tests.readers.journals import (
    BOOT,
    EPOCH,
    RECORDER_UID,
    UNENDED,
    USER_UID,
    damage,
    end_entry,
    recording,
    stamped,
    start_entry,
    write_journal,
)
from tests.readers.login_entries import RULE, alert, at, ending, login, name

ALWAYS = Period(0, 1 << 62)


def read(directory: Path, period: Period = ALWAYS, recorder: int | None = RECORDER_UID) -> Facts:
    found = Logins(Place(str(directory)), recorder, period)
    found.read()
    return found.facts()


def test_a_login_its_recording_and_how_it_ended_are_read(tmp_path: Path) -> None:
    one = recording(1, login=name(1))
    stored = [
        login(1, login_entry.PASSED, "the recorder does not answer", rhost="", tty="tty1"),
        start_entry(one),
        end_entry(one),
        ending(2, unseen=False),
        ending(3, unseen=True, why="nothing of it was recorded"),
    ]
    facts = read(write_journal(tmp_path, stored))
    (found,) = facts.logins.values()
    assert found.key == Key(BOOT, name(1))
    assert (found.time, found.user, found.uid, found.session) == (at(1), "alice", USER_UID, 1)
    assert (found.service, found.rhost, found.tty) == ("sshd", "", "tty1")
    assert (found.outcome, found.rule, found.policy) == (login_entry.PASSED, RULE, "strict")
    assert found.why == "the recorder does not answer"
    assert list(facts.recordings) == [(BOOT, one)]
    assert {key.name: (one.unseen, one.why) for key, one in facts.endings.items()} == {
        name(2): (False, "no shell was seen"),
        name(3): (True, "nothing of it was recorded"),
    }
    (told,) = facts.alerts
    assert (told.message_id, told.verified) == (message_ids.ALERT_UNSEEN, True)
    assert facts.skipped == 0


def test_what_is_stored_twice_is_one_and_an_end_wins_over_its_start(tmp_path: Path) -> None:
    done, running = recording(1), recording(2, **UNENDED)
    late_start = {**start_entry(done), "__REALTIME_TIMESTAMP": str(EPOCH + 5_000_000)}
    stored = [
        *(login(1), login(1)),
        *(start_entry(done), end_entry(done), end_entry(done), late_start),
        start_entry(running),
    ]
    facts = read(write_journal(tmp_path, stored))
    assert len(facts.logins) == 1
    assert {one for _, one in facts.recordings} == {done, running}


def test_a_login_that_was_refused_and_tried_again_is_refused(tmp_path: Path) -> None:
    again = {**login(1), "__REALTIME_TIMESTAMP": str(at(2))}
    stored = [login(1, login_entry.REFUSED, "no recorder"), again]
    (found,) = read(write_journal(tmp_path, stored)).logins.values()
    assert (found.outcome, found.time) == (login_entry.REFUSED, at(1))


@pytest.mark.parametrize("writer", [USER_UID, RECORDER_UID])
def test_only_root_says_that_there_was_a_login(tmp_path: Path, writer: int) -> None:
    facts = read(write_journal(tmp_path, [login(1, writer=writer)]))
    assert not facts.logins
    (told,) = facts.alerts
    assert (told.verified, told.uid, told.message_id) == (False, writer, message_ids.LOGIN)


@pytest.mark.parametrize("writer", [USER_UID, 0])
def test_only_the_recorder_says_what_was_recorded(tmp_path: Path, writer: int) -> None:
    one = recording(1, login=name(1))
    facts = read(write_journal(tmp_path, [start_entry(one), end_entry(one, writer)]))
    assert [recorded.end for _, recorded in facts.recordings] == [None]
    (told,) = facts.alerts
    assert (told.verified, told.uid, told.rec) == (False, writer, one.rec)


@pytest.mark.parametrize("unseen", [True, False])
def test_a_user_cannot_say_how_a_login_ended(tmp_path: Path, unseen: bool) -> None:
    facts = read(write_journal(tmp_path, [login(1), ending(1, unseen=unseen, writer=USER_UID)]))
    assert not facts.endings
    (told,) = facts.alerts
    assert (told.verified, told.uid, told.number) == (False, USER_UID, 1)


def test_alerts_of_root_and_the_recorder_are_verified_and_those_of_users_are_not(
    tmp_path: Path,
) -> None:
    stored = [
        alert(1, "a", SESSIONWRAP_USER="alice", SESSIONWRAP_LOGIN=name(1)),
        alert(2, "b", message_ids.ALERT_STORAGE, writer=RECORDER_UID, SESSIONWRAP_REC="r"),
        alert(3, "c", message_ids.ALERT_SHELL, writer=USER_UID),
        {**alert(4, "d"), "PRIORITY": "0"},
        {**alert(5, "not one"), "PRIORITY": "3"},
        {**alert(6, "not ours"), "SYSLOG_IDENTIFIER": "sshd"},
    ]
    told = sorted(read(write_journal(tmp_path, stored)).alerts, key=lambda one: one.first)
    assert [(one.message, one.verified, one.uid) for one in told] == [
        ("a", True, 0),
        ("b", True, RECORDER_UID),
        ("c", False, USER_UID),
        ("d", True, 0),
    ]
    assert (told[0].key, told[0].user) == (Key(BOOT, name(1)), "alice")
    assert (told[1].rec, told[1].message_id) == ("r", message_ids.ALERT_STORAGE)


def test_alerts_that_say_the_same_are_counted(tmp_path: Path) -> None:
    stored = [alert(number) for number in (3, 1, 2)]
    (told,) = read(write_journal(tmp_path, stored)).alerts
    assert (told.number, told.first, told.last) == (3, at(1), at(3))


def test_a_user_who_fills_the_journal_is_counted_and_takes_no_memory(tmp_path: Path) -> None:
    forged = [alert(n, f"{n} {'x' * 20_000}", writer=USER_UID) for n in range(100)]
    facts = read(write_journal(tmp_path, [*forged, alert(0, "real")]))
    made_up = [one for one in facts.alerts if not one.verified]
    assert len(made_up) == MAX_DIFFERENT + 1
    assert sum(one.number for one in made_up) == 100
    assert max(len(one.message) for one in made_up) == MAX_FIELD
    assert [one.message for one in facts.alerts if one.verified] == ["real"]


def test_a_user_with_many_uids_is_counted_and_takes_no_memory(tmp_path: Path) -> None:
    forged = [alert(n, f"{n}", writer=100_000 + n) for n in range(100)]
    facts = read(write_journal(tmp_path, [*forged, alert(0, "real")]))
    made_up = [one for one in facts.alerts if not one.verified]
    assert len({one.uid for one in made_up}) <= MAX_WRITERS + 1
    assert len(made_up) <= MAX_WRITERS + MAX_DIFFERENT + 1
    assert sum(one.number for one in made_up) == 100
    assert [one.message for one in facts.alerts if one.verified] == ["real"]


def test_without_a_recorder_root_alone_is_believed(tmp_path: Path) -> None:
    one = recording(1, login=name(1))
    facts = read(write_journal(tmp_path, [login(1), start_entry(one)]), recorder=None)
    assert len(facts.logins) == 1
    assert not list(facts.recordings)
    assert [told.verified for told in facts.alerts] == [False]


def test_entries_of_another_form_are_counted_and_hide_no_others(tmp_path: Path) -> None:
    stored = [
        login(1),
        {**login(2), "SESSIONWRAP_OUTCOME": "maybe"},
        {**login(3), "SESSIONWRAP_UID": "-1"},
        {**login(4), "SESSIONWRAP_LOGIN": ""},
        stamped({"MESSAGE_ID": message_ids.LOGIN, "MESSAGE": "hello"}, at(5), 0),
        {**end_entry(recording(6)), "SESSIONWRAP_START": "soon"},
        {**end_entry(recording(7)), "SESSIONWRAP_REC": "x" * 300},
        {key: value for key, value in ending(8, unseen=False).items() if "USER" not in key},
        {key: value for key, value in ending(9, unseen=True).items() if "WHY" not in key},
        {**login(10), "SESSIONWRAP_USER": b"\xff\x00\x1b"},
    ]
    facts = read(write_journal(tmp_path, stored))
    assert {key.name for key in facts.logins} == {name(1), name(10)}
    assert facts.skipped == 8
    # What cannot be read as an ending is an alert all the same.
    assert [one.message_id for one in facts.alerts] == [message_ids.ALERT_UNSEEN]


def test_entries_before_the_period_are_not_read_and_later_alerts_are_not_told(
    tmp_path: Path,
) -> None:
    one = recording(2, login=name(2), end=EPOCH + 9_000_000)
    stored = [
        *(login(1), alert(1, "before")),
        *(login(2), alert(2, "in it"), start_entry(one), end_entry(one)),
        *(alert(8, "after"), ending(8, unseen=True)),
    ]
    facts = read(write_journal(tmp_path, stored), Period(at(2), at(3)))
    assert [key.name for key in facts.logins] == [name(2)]
    assert list(facts.recordings) == [(BOOT, one)]
    assert [told.message for told in facts.alerts] == ["in it"]
    assert [key.name for key in facts.endings] == [name(8)]


def test_reading_again_adds_what_is_new_and_nothing_twice(tmp_path: Path) -> None:
    one = recording(1, login=name(1))
    directory = write_journal(tmp_path, [login(1), start_entry(one), alert(1)])
    found = Logins(Place(str(directory)), RECORDER_UID, ALWAYS)
    found.read()
    assert [recorded.end for _, recorded in found.facts().recordings] == [None]
    write_journal(directory, [end_entry(one), login(2), alert(2)])
    found.read()
    found.read()
    assert [recorded for _, recorded in found.facts().recordings] == [one]
    assert [key.name for key in found.facts().logins] == [name(1), name(2)]
    assert [told.number for told in found.facts().alerts] == [2]


def test_when_the_journal_begins_is_known(tmp_path: Path) -> None:
    write_journal(tmp_path / "some", [alert(2), alert(1)])
    assert Logins(Place(str(tmp_path / "some")), None, ALWAYS).begins() == at(1)
    (tmp_path / "none").mkdir()
    assert Logins(Place(str(tmp_path / "none")), None, ALWAYS).begins() is None


def test_a_journal_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="missing"):
        read(tmp_path / "missing")


def test_files_that_cannot_be_opened_or_read_to_the_end_are_counted(tmp_path: Path) -> None:
    # As on a machine: in a directory that is named for it.
    directory = write_journal(tmp_path / BOOT, [login(number) for number in range(50)])
    (file,) = directory.iterdir()
    (directory / "new.journal").touch()
    (directory / "notes").write_text("no journal")
    assert read(tmp_path).skipped == 0
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert (len(read(tmp_path).logins), read(tmp_path).skipped) == (0, 1)
    half = len(whole.rstrip(b"\0")) // 2
    file.write_bytes(whole[:half].ljust(len(whole), b"\xff"))
    facts = read(tmp_path)
    assert len(facts.logins) < 50
    assert facts.skipped


def test_damaged_journal_files_are_read_or_one_named_error(tmp_path: Path) -> None:
    rows = [recording(n, login=name(n)) for n in range(20)]
    stored = [e for n, r in enumerate(rows) for e in (login(n), start_entry(r), end_entry(r))]
    directory = write_journal(tmp_path, [*stored, *(alert(n, str(n)) for n in range(20))])
    for _ in damage(directory):
        try:
            facts = read(directory)
        except SessionwrapError:
            continue
        assert len(facts.logins) + len(list(facts.recordings)) <= 4 * len(rows)


def test_the_fields_of_every_entry_are_bounded(tmp_path: Path) -> None:
    long = recording(1, command="x" * 20_000, kind=entries.COMMAND)
    stored = [start_entry(long), login(2, login_entry.REFUSED, "y" * 20_000)]
    facts = read(write_journal(tmp_path, stored))
    assert [len(one.command) for _, one in facts.recordings] == [logins.MAX_FIELD]
    assert [len(one.why) for one in facts.logins.values()] == [logins.MAX_FIELD]
