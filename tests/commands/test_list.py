"""``sessionwrap list`` over real journal files."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from sessionwrap import entries
from tests.commands.verbs import CONTROLS, UID, on_screen, processor_seconds, run, words
from tests.readers.journals import (
    EPOCH,
    USER_UID,
    end_entry,
    recording,
    stamped,
    start_entry,
    write_journal,
)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Three recordings, a forged one among them."""
    rows = [recording(1), recording(2, user="bob", end=None)]
    forged = recording(3, user="mallory", rhost="\x1b]0;x\x07\u202e")
    return write_journal(
        tmp_path / "journal",
        [
            start_entry(rows[0]),
            end_entry(rows[0]),
            start_entry(rows[1]),
            end_entry(forged, USER_UID),
        ],
    )


def test_without_a_terminal_all_columns_and_whole_ids_are_printed(journal: Path) -> None:
    done = run("list", "-D", str(journal), *UID)
    assert done.returncode == 0
    heading, *lines = done.stdout.splitlines()
    titles = "START END DURATION USER HOST SERVICE FROM ON MESSAGES STATE VERIFIED REC"
    assert re.sub(" +", " ", heading) == titles
    assert lines[0].split() == (
        "2026-09-21 14:13:21 2026-09-21 14:13:21 0:00:00 alice web1 sshd 192.0.2.7 /dev/pts/3 3 "
        f"complete yes {recording(1).rec}".split()
    )
    assert re.search(r" - .* bob .* no end +yes ", lines[1])
    assert re.search(r" mallory .* complete +NO ", lines[2])


def test_nothing_from_the_journal_reaches_the_terminal_as_a_control(journal: Path) -> None:
    for output in (
        run("list", "-D", str(journal), *UID).stdout,
        on_screen("list", journal, 200, NO_COLOR="1"),
    ):
        assert "\\x1b]0;x\\x07\\u202e" in output
        assert not CONTROLS.search(output)


@pytest.mark.parametrize("width", [80, 120])
def test_every_line_fits_the_terminal_and_ids_are_such_as_play_takes(
    tmp_path: Path, width: int
) -> None:
    rows = [recording(n, rec=f"{'a' * 32}-1f3a-{0x2C81D + n:x}") for n in range(3)]
    output = on_screen("list", write_journal(tmp_path, map(end_entry, rows)), width)
    lines = output.splitlines()
    assert all(len(re.sub(r"\x1b\[\d*m", "", line)) <= width for line in lines)
    assert lines[1].endswith(" 1f3a-2c81d")
    assert "alice" in lines[1]
    assert "192.0.2.7" in lines[1]


def test_an_ending_that_two_recordings_share_is_not_shown_alone(tmp_path: Path) -> None:
    rows = [recording(n, rec=f"{boot * 32}-1f3a-2c81d") for n, boot in enumerate("ab")]
    output = on_screen("list", write_journal(tmp_path, map(end_entry, rows)), 80)
    assert all(row.rec in output for row in rows)


def test_colours_are_for_terminals_and_can_be_switched_off(journal: Path) -> None:
    assert "\x1b[31mNO" in on_screen("list", journal, 120)
    assert "\x1b" not in on_screen("list", journal, 120, NO_COLOR="1")
    assert "\x1b" not in run("list", "-D", str(journal), *UID).stdout


def test_json_is_one_object_per_line_with_times_twice(journal: Path) -> None:
    rows = [
        json.loads(line)
        for line in run("list", "-D", str(journal), *UID, "--json").stdout.splitlines()
    ]
    assert [row["user"] for row in rows] == ["alice", "bob", "mallory"]
    assert [row["verified"] for row in rows] == [True, True, False]
    assert rows[0] == {
        "rec": recording(1).rec,
        "host": "web1",
        "user": "alice",
        "uid": USER_UID,
        "service": "sshd",
        "rhost": "192.0.2.7",
        "tty": "/dev/pts/3",
        "kind": entries.TERMINAL,
        "command": "",
        "session": 1,
        "start": "2026-09-21T14:13:21+00:00",
        "start_us": EPOCH + 1_000_000,
        "end": "2026-09-21T14:13:21.500000+00:00",
        "end_us": EPOCH + 1_500_000,
        "duration": 0.5,
        "messages": 3,
        "reason": entries.EXITED,
        "state": "complete",
        "complete": True,
        "verified": True,
        "login": "",
        "parent": "",
        "lost": 0,
    }
    assert (rows[1]["end"], rows[1]["duration"], rows[1]["state"]) == (None, None, "no end")


def test_the_newest_ones_and_the_order_can_be_chosen(journal: Path) -> None:
    def users(*arguments: str) -> list[str]:
        output = run("list", "-D", str(journal), *UID, "--json", *arguments).stdout
        return [json.loads(line)["user"] for line in output.splitlines()]

    assert users("-n", "2") == ["bob", "mallory"]
    assert users("-n", "2", "--reverse") == ["mallory", "bob"]
    assert users("--user", "bob") == ["bob"]
    assert users("--verified", "-n", "2") == ["alice", "bob"]
    assert users("--since", f"@{EPOCH // 1_000_000 + 2}") == ["bob", "mallory"]
    assert users("--until", "2026-09-21 14:13:22 UTC") == ["alice", "bob"]
    assert users("--host", "web2") == []


def test_a_time_that_no_calendar_has_is_shown_as_unknown(tmp_path: Path) -> None:
    strange = recording(1, start=EPOCH, end=10**18)
    write_journal(tmp_path, [{**end_entry(strange), "__REALTIME_TIMESTAMP": str(EPOCH)}])
    assert re.search(r" \? ", run("list", "-D", str(tmp_path), *UID).stdout)
    assert json.loads(run("list", "-D", str(tmp_path), *UID, "--json").stdout)["end"] is None


def test_an_empty_list_gives_a_hint_and_is_no_failure(tmp_path: Path) -> None:
    tmp_path.joinpath("empty").mkdir()
    done = run("list", "-D", str(tmp_path / "empty"), *UID)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.startswith("sessionwrap: no recordings")


def test_what_was_left_out_is_counted(tmp_path: Path) -> None:
    good = end_entry(recording(1))
    bad = stamped({"MESSAGE_ID": good["MESSAGE_ID"], "MESSAGE": "forged"}, EPOCH, USER_UID)
    done = run("list", "-D", str(write_journal(tmp_path, [good, bad])), *UID)
    assert "left out 1 entries" in done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_mistakes_are_named(tmp_path: Path) -> None:
    done = run("list", "--since", "soon")
    assert done.returncode == 2
    assert "expected a time as journalctl takes it" in done.stderr
    done = run("list", "-D", str(tmp_path / "missing"))
    assert done.returncode == 4
    assert "missing" in done.stderr


def test_ten_thousand_recordings_are_listed_in_two_seconds_and_the_newest_at_once(
    tmp_path: Path,
) -> None:
    rows = (recording(n, user=f"user{n % 99}") for n in range(10_000))
    write_journal(tmp_path, (e for row in rows for e in (start_entry(row), end_entry(row))))
    cases: list[tuple[list[str], int, float]] = [([], 10_000, 2.0), (["-n", "50"], 50, 0.3)]
    for arguments, count, seconds in cases:
        taken = []
        for _ in range(3):
            begun = processor_seconds()
            done = subprocess.run(
                words("list", "-D", str(tmp_path), *UID, *arguments),
                capture_output=True,
                check=True,
                timeout=60,
            )
            taken.append(processor_seconds() - begun)
            assert done.stdout.count(b"\n") == count + 1
        assert min(taken) < seconds
