"""Messages of a journal: real journal files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionwrap.errors import MessageError, NotFoundError
from sessionwrap.readers.journal import JournalMessages, Place, resolve
from tests.readers.journals import (
    BOOT,
    EPOCH,
    RECORDER_UID,
    USER_UID,
    end_entry,
    recording,
    stamped,
    start_entry,
    write_journal,
)
from tests.readers.messages import REC, message, spoken


def entries_of(lines: list[bytes], uid: int, rec: str = REC) -> Iterator[dict[str, str | bytes]]:
    """The entries of messages, a millisecond apart."""
    for number, line in enumerate(lines, 1):
        fields: dict[str, str | bytes] = {
            "MESSAGE": line.rstrip(),
            "TLOG_REC": rec,
            "TLOG_ID": str(number),
        }
        yield stamped(fields, EPOCH + number * 1000, uid)


def texts(source: JournalMessages) -> list[str]:
    """The output of all messages that can be read now."""
    found = []
    while (read := source.read()) is not None:
        found.append(read.out_txt)
    return found


def opened(directory: Path, rec: str = REC) -> JournalMessages:
    """The messages of a recording."""
    return JournalMessages(Place(str(directory)), rec, RECORDER_UID)


def test_the_messages_of_one_recording_come_in_order(tmp_path: Path) -> None:
    write_journal(
        tmp_path,
        [
            *entries_of(spoken("a", "b", "c"), RECORDER_UID),
            *entries_of(spoken("x", "y", rec="other"), RECORDER_UID, "other"),
        ],
    )
    source = opened(tmp_path)
    assert (source.verified, source.writer) == (True, RECORDER_UID)
    assert texts(source) == ["a", "b", "c"]
    assert source.ended
    assert source.rewind()
    assert texts(source) == ["a", "b", "c"]
    source.close()


def test_forged_messages_do_not_get_into_a_recording(tmp_path: Path) -> None:
    forged = entries_of(spoken("forged", "forged"), USER_UID)
    write_journal(tmp_path, [*forged, *entries_of(spoken("a", "b"), RECORDER_UID)])
    source = opened(tmp_path)
    assert source.verified
    assert texts(source) == ["a", "b"]
    source.close()


def test_a_recording_of_which_only_the_start_is_stored_is_the_recorders(tmp_path: Path) -> None:
    started = recording(1, rec=REC, end=None)
    write_journal(tmp_path, [start_entry(started), *entries_of(spoken("forged"), USER_UID)])
    source = opened(tmp_path)
    assert source.verified
    assert texts(source) == []
    source.close()


def test_a_recording_of_another_writer_plays_unverified_and_from_one_writer(tmp_path: Path) -> None:
    write_journal(
        tmp_path,
        [*entries_of(spoken("a", "b"), USER_UID), *entries_of(spoken("x", "y", "z"), 1001)],
    )
    source = opened(tmp_path)
    assert not source.verified
    assert (source.writer, texts(source)) in [(USER_UID, ["a", "b"]), (1001, ["x", "y", "z"])]
    source.close()


def test_a_message_of_many_bytes_is_whole(tmp_path: Path) -> None:
    long = "x" * 300_000
    write_journal(tmp_path, entries_of(spoken(long), RECORDER_UID))
    source = opened(tmp_path)
    assert texts(source) == [long]
    source.close()


def test_garbage_is_an_error_and_a_lax_reader_goes_on(tmp_path: Path) -> None:
    lines = [*spoken("a"), b"garbage", message(2, 0, ">1", "b", rec="another")]
    write_journal(tmp_path, entries_of(lines, RECORDER_UID))
    source = opened(tmp_path)
    with pytest.raises(MessageError, match=r"journal entry s=.*not valid JSON"):
        texts(source)
    source.close()
    told: list[str] = []
    lax = JournalMessages(Place(str(tmp_path)), REC, RECORDER_UID, on_skip=told.append)
    assert texts(lax) == ["a"]
    assert len(told) == 2
    lax.close()


def test_following_ends_with_the_end_entry_of_the_same_writer(tmp_path: Path) -> None:
    ended = recording(9, rec=REC)
    stored = [*entries_of(spoken("a"), RECORDER_UID), end_entry(ended, USER_UID)]
    for number, (more, is_ended) in enumerate([([], False), ([end_entry(ended)], True)]):
        place = Place(str(write_journal(tmp_path / str(number), [*stored, *more])))
        source = JournalMessages(place, REC, RECORDER_UID, follow=True)
        assert source.fileno() >= 0
        assert texts(source) == ["a"]
        assert source.ended is is_ended
        source.close()


def test_no_such_recording_is_an_error(tmp_path: Path) -> None:
    write_journal(tmp_path, entries_of(spoken("a"), RECORDER_UID))
    with pytest.raises(NotFoundError, match="no messages of 'nothing'"):
        opened(tmp_path, "nothing")


def test_an_id_is_known_by_its_beginning_or_ending(tmp_path: Path) -> None:
    ids = [f"{BOOT}-1-a", f"{BOOT}-2-b", "fedc-3-c"]
    write_journal(
        tmp_path,
        [
            *[entry for rec in ids[:2] for entry in entries_of(spoken("a", rec=rec), 987, rec)],
            end_entry(recording(5, rec=ids[2])),
        ],
    )
    place = Place(str(tmp_path))
    for text, rec in [(ids[0], ids[0]), ("1-a", ids[0]), (f"{BOOT}-2", ids[1]), ("fed", ids[2])]:
        assert resolve(place, text, RECORDER_UID) == rec
    with pytest.raises(NotFoundError, match=f"fits 2 recordings: {ids[0]}, {ids[1]}"):
        resolve(place, BOOT, RECORDER_UID)
    for text in ("", "nothing", "0", "\x1b[c", "x" * 1000):
        with pytest.raises(NotFoundError):
            resolve(place, text, RECORDER_UID)


def test_a_forged_id_does_not_make_a_real_one_ambiguous(tmp_path: Path) -> None:
    forged = f"{BOOT}-1-aa"
    write_journal(
        tmp_path,
        [
            *entries_of(spoken("a"), RECORDER_UID),
            *entries_of(spoken("b", rec=forged), USER_UID, forged),
        ],
    )
    assert resolve(Place(str(tmp_path)), BOOT, RECORDER_UID) == REC
