"""The recordings of a journal: real journal files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessionwrap import entries
from sessionwrap.errors import NotFoundError, SessionwrapError
from sessionwrap.model import Recording
from sessionwrap.readers.journal import Place
from sessionwrap.readers.recordings import Query, Recordings
from tests.readers.journals import (
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


def listed(directory: Path, **query: object) -> list[Recording]:
    """All recordings of a journal, the newest first."""
    wanted = Query(**query)  # type: ignore[arg-type] # the tests name real fields
    return list(Recordings(Place(str(directory)), RECORDER_UID, wanted))


def test_start_and_end_are_one_recording_and_the_newest_comes_first(tmp_path: Path) -> None:
    first, second = recording(1), recording(2)
    stored = [entry for one in (first, second) for entry in (start_entry(one), end_entry(one))]
    assert listed(write_journal(tmp_path, stored)) == [second, first]


def test_a_recording_without_an_end_is_listed_as_not_complete(tmp_path: Path) -> None:
    running = recording(1, **UNENDED)
    assert listed(write_journal(tmp_path, [start_entry(running)])) == [running]


def test_an_end_entry_alone_tells_all(tmp_path: Path) -> None:
    assert listed(write_journal(tmp_path, [end_entry(recording(1))])) == [recording(1)]


def test_entries_that_are_stored_twice_are_one_recording(tmp_path: Path) -> None:
    one = recording(1)
    stored = [start_entry(one), start_entry(one), end_entry(one), end_entry(one)]
    assert listed(write_journal(tmp_path, stored)) == [one]


def test_an_abnormal_end_is_not_complete(tmp_path: Path) -> None:
    broken = recording(1, reason=entries.ABNORMAL, complete=False)
    assert listed(write_journal(tmp_path, [start_entry(broken), end_entry(broken)])) == [broken]


def test_a_command_without_a_terminal_is_one_entry(tmp_path: Path) -> None:
    command = recording(
        1, kind=entries.COMMAND, command="scp -t /tmp", **{**UNENDED, "reason": entries.LOGGED}
    )._replace(complete=True)
    assert listed(write_journal(tmp_path, [start_entry(command)])) == [command]


def test_a_forged_entry_is_a_line_of_its_own_and_not_verified(tmp_path: Path) -> None:
    real = recording(1)
    forged = real._replace(user="mallory", end=EPOCH + 9_000_000, messages=0)
    stored = [
        start_entry(forged, USER_UID),
        start_entry(real),
        end_entry(real),
        end_entry(forged, USER_UID),
    ]
    assert listed(write_journal(tmp_path, stored)) == [forged._replace(verified=False), real]


def test_a_forged_end_does_not_end_a_running_recording(tmp_path: Path) -> None:
    running = recording(1, **UNENDED)
    forged = end_entry(recording(1), USER_UID)
    found = listed(write_journal(tmp_path, [start_entry(running), forged]))
    assert found == [recording(1, verified=False), running]


def test_forged_entries_can_be_left_out_so_that_none_crowd_out_real_ones(tmp_path: Path) -> None:
    forged = [end_entry(recording(n), USER_UID) for n in range(2, 50)]
    write_journal(tmp_path, [end_entry(recording(1)), *forged])
    assert listed(tmp_path, verified=True) == [recording(1)]


def test_without_a_recorder_nothing_is_verified(tmp_path: Path) -> None:
    write_journal(tmp_path, [end_entry(recording(1))])
    found = list(Recordings(Place(str(tmp_path)), None, Query()))
    assert [one.verified for one in found] == [False]


def test_entries_of_another_form_are_counted_and_left_out(tmp_path: Path) -> None:
    good = end_entry(recording(1))
    stored = [
        good,
        {**good, entries.PREFIX + "START": "soon", entries.PREFIX + "REC": "a"},
        {**good, entries.PREFIX + "REC": "x" * 300},
        stamped({"MESSAGE_ID": good["MESSAGE_ID"], "MESSAGE": "hello"}, EPOCH),
        {**good, entries.PREFIX + "USER": b"\xff\x00\x1b", entries.PREFIX + "REC": "b"},
    ]
    found = Recordings(Place(str(write_journal(tmp_path, stored))), RECORDER_UID, Query())
    assert {one.rec for one in found} == {recording(1).rec, "b"}
    assert found.skipped == 3


def test_filters_choose(tmp_path: Path) -> None:
    rows = [
        recording(1, user="alice"),
        recording(2, user="bob"),
        recording(3, host="web2"),
        recording(4, end=EPOCH + 60_000_000),
    ]
    write_journal(tmp_path, [entry for row in rows for entry in (start_entry(row), end_entry(row))])
    assert listed(tmp_path, user="bob") == [rows[1]]
    assert listed(tmp_path, host="web2") == [rows[2]]
    assert listed(tmp_path, since=EPOCH + 3_000_000) == [rows[3], rows[2]]
    assert listed(tmp_path, until=EPOCH + 2_000_000) == [rows[1], rows[0]]
    assert listed(tmp_path, since=EPOCH + 4_000_000, until=EPOCH + 4_000_000) == [rows[3]]
    assert listed(tmp_path, user="nobody") == []


def test_a_directory_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="missing"):
        listed(tmp_path / "missing")


def test_damaged_journal_files_are_read_or_one_named_error(tmp_path: Path) -> None:
    rows = [recording(n) for n in range(20)]
    directory = write_journal(tmp_path, [e for r in rows for e in (start_entry(r), end_entry(r))])
    for _ in damage(directory):
        try:
            found = listed(directory, since=1)
        except SessionwrapError:
            continue
        assert len(found) <= 2 * len(rows)
