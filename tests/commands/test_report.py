"""``sessionwrap report`` over real journal files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sessionwrap import entries, login_entry, message_ids
from sessionwrap.commands import cli
from sessionwrap.commands import report as command
from sessionwrap.errors import SessionwrapError
from sessionwrap.readers.journal import Place
from sessionwrap.readers.logins import Logins
from sessionwrap.reporting import CATEGORIES, Period
from sessionwrap.tickets import parent_and_start
from tests.commands.verbs import CONTROLS, UID, on_screen, processor_seconds, run, words
from tests.readers.journals import (
    BOOT,
    EPOCH,
    RECORDER_UID,
    UNENDED,
    USER_UID,
    end_entry,
    recording,
    stamped,
    start_entry,
    write_journal,
)
from tests.readers.login_entries import RULE, alert, at, ending, login, name

SINCE = ["--since", f"@{EPOCH // 1_000_000 - 10}"]


@pytest.fixture
def fine(tmp_path: Path) -> Path:
    """Logins with nothing to look at: recorded, without a shell, out of scope, without a login."""
    recorded, alone = recording(1, login=name(1)), recording(4, service="", rhost="")
    scp = recording(5, login=name(5), kind=entries.COMMAND, command="scp -t /tmp", **UNENDED)
    stored = [
        *(login(1), start_entry(recorded), end_entry(recorded)),
        *(login(2), ending(2, unseen=False)),
        login(3, login_entry.OUT_OF_SCOPE, user="bob"),
        *(start_entry(alone), end_entry(alone)),
        *(login(5), start_entry(scp)),
    ]
    return write_journal(tmp_path / "fine", stored)


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """One login of each kind that is to be looked at, alerts, a forged entry and a broken one."""
    died = recording(1, login=name(1), reason=entries.ABNORMAL, complete=False)
    cut = recording(2, login=name(2), **UNENDED)
    stored = [
        *(login(1), end_entry(died), stamped(entries.abnormal_fields(died), at(2))),
        *(login(2), start_entry(cut)),
        *(login(3), ending(3, unseen=True, why="its shell was not recorded")),
        login(4),
        login(5, login_entry.PASSED, "the disk is full", service="login", rhost="", tty="tty1"),
        login(6, login_entry.REFUSED, "no recorder", user="dave"),
        *(alert(7), alert(8)),
        alert(9, "x\x1b]0;x\x07\u202e", message_ids.ALERT_SHELL, writer=USER_UID),
        {**login(10), "SESSIONWRAP_OUTCOME": "maybe"},
    ]
    return write_journal(tmp_path / "bad", stored)


def told(journal: Path, *arguments: str) -> dict[str, Any]:
    """What --json says."""
    report: dict[str, Any] = json.loads(
        run("report", "-D", str(journal), *UID, *SINCE, "--json", *arguments).stdout
    )
    return report


def shown(journal: Path, width: int, **environment: str) -> str:
    """What the command writes to a terminal of this width, where there is something to look at."""
    return on_screen("report", journal, width, *SINCE, status=1, **environment)


def test_where_all_is_fine_only_the_counts_are_shown_and_the_exit_status_is_0(fine: Path) -> None:
    done = run("report", "-D", str(fine), *UID, *SINCE, "--until", f"@{EPOCH // 1_000_000 + 60}")
    assert (done.returncode, done.stderr) == (0, "")
    heading, *rest = done.stdout.splitlines()
    assert heading == "2026-09-21 14:13 to 2026-09-21 14:14: 5 logins. Nothing to look at."
    counts = {line[9:]: int(line[:9]) for line in rest if re.match(" +[0-9]+  ", line)}
    assert counts["recorded"] == 3
    assert counts["to be recorded, had no shell"] == 1
    assert counts["out of scope"] == 1
    assert sum(counts.values()) == 5
    assert rest[-1] == "No hook saw the login of 1 of them."


def test_verbose_lists_what_is_fine_too(fine: Path) -> None:
    lines = run("report", "-D", str(fine), *UID, *SINCE, "--verbose").stdout.splitlines()
    assert "  2026-09-21 14:13  alice  sshd from 192.0.2.7: no shell was seen" in lines
    assert f"  2026-09-21 14:13  bob  sshd from 192.0.2.7: {RULE}" in lines
    assert "  2026-09-21 14:13  alice  no service on /dev/pts/3 (no hook saw the login)" in lines
    assert "    ran: scp -t /tmp" in lines
    played = [line.split()[-1] for line in lines if line.startswith("    sessionwrap play ")]
    assert played == [recording(1).rec, recording(4).rec]


def test_each_thing_to_look_at_says_who_when_where_why_and_what_shows_more(bad: Path) -> None:
    done = run("report", "-D", str(bad), *UID, *SINCE)
    assert done.returncode == 1
    parts = [section.partition("\n") for section in done.stdout.rstrip().split("\n\n")[2:]]
    sections = {title: text for title, _, text in parts}
    who = "  2026-09-21 14:13  alice  sshd from 192.0.2.7"
    play = f"    sessionwrap play -D {bad} --recorder-uid {RECORDER_UID}"
    look = f"    journalctl -D {bad}"
    rec = recording(1).rec
    assert sections == {
        "Recorded, but not all of it": (
            f"{who}: the recording process died\n"
            f"    2026-09-21 14:13  alert: The worker of recording {rec} of alice died: the "
            "session was ended with it. What it had is stored\n"
            f"{play} {rec}\n{look} SESSIONWRAP_LOGIN={name(1)}\n"
            f"{who}: no end is stored, and nobody records any more\n"
            f"{play} {recording(2).rec}\n{look} SESSIONWRAP_LOGIN={name(2)}"
        ),
        "To be recorded, but unseen": (
            f"{who}: its shell was not recorded\n{look} SESSIONWRAP_LOGIN={name(3)}\n"
            f"{who}: it is over, and no entry says what became of it\n"
            f"{look} SESSIONWRAP_LOGIN={name(4)}"
        ),
        "Let pass unrecorded": (
            "  2026-09-21 14:13  alice  login on tty1: the disk is full\n"
            f"{look} SESSIONWRAP_LOGIN={name(5)}"
        ),
        "Refused": (
            "  2026-09-21 14:13  dave  sshd from 192.0.2.7: no recorder\n"
            f"{look} SESSIONWRAP_LOGIN={name(6)}"
        ),
        "Alerts": (
            "  2026-09-21 14:13, 2 times until 2026-09-21 14:13  "
            "/etc/sessionwrap/sessionwrap.conf:1: is no section\n"
            f"{look} -x -t sessionwrap -p crit MESSAGE_ID={message_ids.ALERT_CONFIG}"
        ),
        "Not verified: users may have made these up": (
            f"  uid {USER_UID} wrote:\n    2026-09-21 14:13  x\\x1b]0;x\\x07\\u202e\n"
            f"{look} MESSAGE_ID={message_ids.ALERT_SHELL} _UID={USER_UID}"
        ),
    }


def test_every_reason_for_which_a_recording_is_not_complete_is_said(tmp_path: Path) -> None:
    reasons = [entries.ABNORMAL, *entries.ENDED_FOR_CAUSE]
    stored = [
        end_entry(recording(n, login=name(n), reason=reason)) for n, reason in enumerate(reasons)
    ]
    stored.append(end_entry(recording(9, login=name(9), lost=7)))
    rows = told(write_journal(tmp_path, stored))["logins"]
    assert {row["category"] for row in rows} == {"incomplete"}
    assert len({row["why"] for row in rows} - {""}) == len(stored)


def test_a_forged_alert_alone_is_something_to_look_at(tmp_path: Path) -> None:
    write_journal(tmp_path, [alert(1, writer=USER_UID)])
    done = run("report", "-D", str(tmp_path), *UID, *SINCE)
    assert (done.returncode, "!     1  entries that are not verified" in done.stdout) == (1, True)


def test_entries_that_cannot_be_read_alone_are_something_to_look_at(tmp_path: Path) -> None:
    write_journal(tmp_path, [{**login(1), "SESSIONWRAP_UID": "x"}])
    done = run("report", "-D", str(tmp_path), *UID, *SINCE)
    assert (done.returncode, "!     1  entries or files not readable" in done.stdout) == (
        1,
        True,
    )


def test_who_fills_the_journal_fills_a_few_lines_of_the_report(tmp_path: Path) -> None:
    write_journal(tmp_path, [alert(n, f"forged {n}", writer=USER_UID) for n in range(500)])
    done = run("report", "-D", str(tmp_path), *UID, *SINCE)
    assert f"uid {USER_UID} wrote 500, beginning with:" in done.stdout
    assert done.stdout.count("forged ") == 5


def test_nothing_from_the_journal_reaches_the_terminal_as_a_control(bad: Path) -> None:
    for output in (
        run("report", "-D", str(bad), *UID, *SINCE).stdout,
        shown(bad, 200, NO_COLOR="1"),
    ):
        assert "\\x1b]0;x\\x07\\u202e" in output
        assert not CONTROLS.search(output)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_every_line_but_commands_to_copy_fits_the_terminal(bad: Path, width: int) -> None:
    lines = [re.sub(r"\x1b\[\d*m", "", line) for line in shown(bad, width).splitlines()]
    long = [line for line in lines if len(line) > width]
    assert all(line.startswith(("    sessionwrap play ", "    journalctl ")) for line in long)
    words = " ".join(" ".join(lines).split())
    assert "no end is stored, and nobody records any more" in words
    assert "alice login on tty1: the disk is full" in words


def test_colours_are_for_terminals_and_can_be_switched_off(bad: Path) -> None:
    assert "\x1b[31m!     1  refused" in shown(bad, 80)
    assert "\x1b" not in shown(bad, 80, NO_COLOR="1")
    assert "\x1b" not in run("report", "-D", str(bad), *UID, *SINCE).stdout


def test_json_has_every_login_with_its_category_and_why(bad: Path, fine: Path) -> None:
    report = told(bad)
    assert report["since_us"] == EPOCH - 10_000_000
    assert report["since"] == "2026-09-21T14:13:10+00:00"
    assert report["journal_begins_us"] == at(1)
    assert report["look"]
    assert report["counts"] == {
        "logins": 6,
        **dict.fromkeys(CATEGORIES, 0),
        "incomplete": 2,
        "unseen": 2,
        "passed": 1,
        "refused": 1,
        "without_login": 0,
        "alerts": 4,
        "unverified": 1,
        "skipped": 1,
    }
    first = report["logins"][0]
    (recorded,), (died,) = first.pop("recordings"), first.pop("alerts")
    assert first == {
        "login": name(1),
        "boot": BOOT,
        "time": "2026-09-21T14:13:20.999000+00:00",
        "time_us": at(1),
        "user": "alice",
        "uid": USER_UID,
        "service": "sshd",
        "rhost": "192.0.2.7",
        "tty": "ssh",
        "session": 1,
        "outcome": "recorded",
        "rule": RULE,
        "policy": "strict",
        "category": "incomplete",
        "look": True,
        "why": "the recording process died",
    }
    assert recorded == {
        "rec": recording(1).rec,
        "kind": "terminal",
        "command": "",
        "parent": "",
        "start": "2026-09-21T14:13:21+00:00",
        "start_us": EPOCH + 1_000_000,
        "end": "2026-09-21T14:13:21.500000+00:00",
        "end_us": EPOCH + 1_500_000,
        "reason": "abnormal",
        "state": "abnormal",
        "complete": False,
        "lost": 0,
    }
    assert died["message"].startswith(f"The worker of recording {recording(1).rec} of alice died")
    assert (died["message_id"], died["count"]) == (message_ids.ALERT_ABNORMAL, 1)
    assert [(one["verified"], one["count"]) for one in report["alerts"]] == [(True, 2), (False, 1)]
    assert report["alerts"][1]["writer_uid"] == USER_UID
    report = told(fine)
    assert (report["look"], report["counts"]["complete"]) == (False, 3)
    categories = ["complete", "no_shell", "out_of_scope", "complete", "complete"]
    assert [row["category"] for row in report["logins"]] == categories
    assert [row["login"] for row in report["logins"]][3] == ""


def test_a_period_and_a_user_can_be_chosen(bad: Path) -> None:
    begins, ends = EPOCH // 1_000_000 + 2, EPOCH // 1_000_000 + 5
    report = told(bad, "--since", f"@{begins}", "--until", f"@{ends}")
    # The second began just before, but its recording began in the period.
    assert [row["login"] for row in report["logins"]] == [name(2), name(3), name(4), name(5)]
    assert [row["outcome"] for row in report["logins"]] == ["", "recorded", "recorded", "passed"]
    report = told(bad, "--user", "dave")
    assert [row["user"] for row in report["logins"]] == ["dave"]
    assert report["counts"]["refused"] == 1


def test_by_default_it_is_about_the_last_24_hours(fine: Path) -> None:
    report = json.loads(run("report", "-D", str(fine), *UID, "--json").stdout)
    assert report["until_us"] - report["since_us"] == 24 * 3600 * 1_000_000
    assert report["counts"]["logins"] == 0


def test_a_journal_that_begins_later_is_said_to(fine: Path, tmp_path: Path) -> None:
    done = run("report", "-D", str(fine), *UID, "--since", "@1000000000")
    assert "The journal begins at 2026-09-21 14:13: what was before is not known." in done.stdout
    (tmp_path / "empty").mkdir()
    done = run("report", "-D", str(tmp_path / "empty"), *UID)
    assert "The journal is empty" in done.stdout
    assert done.returncode == 0


def test_without_a_recorder_it_says_that_nothing_can_be_verified(tmp_path: Path) -> None:
    write_journal(tmp_path, [login(1), end_entry(recording(1, login=name(1)))])
    done = run("report", "-D", str(tmp_path), *SINCE)
    assert done.stderr.startswith("sessionwrap: no recorder on this machine")
    assert done.returncode == 1


def test_errors_have_other_exit_statuses_than_something_to_look_at(
    tmp_path: Path, bad: Path
) -> None:
    done = run("report", "--since", "soon")
    assert (done.returncode, done.stdout) == (2, "")
    done = run("report", "-D", str(bad), "--since", "@200", "--until", "@100")
    assert (done.returncode, "to be before --until" in done.stderr) == (2, True)
    done = run("report", "-D", str(bad), "-N", "x")
    assert (done.returncode, done.stdout) == (2, "")
    done = run("report", "-D", str(tmp_path / "missing"))
    assert (done.returncode, done.stdout) == (4, "")
    assert "missing" in done.stderr


def test_a_journal_that_cannot_be_read_on_is_another_exit_status(
    bad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No damage that we could make does that: sd-journal leaves damaged files out."""

    def fail(_: Logins) -> None:
        raise SessionwrapError("the journal cannot be read: Input/output error")

    monkeypatch.setattr(Logins, "read", fail)
    done = CliRunner().invoke(cli, ["report", "-D", str(bad)])
    assert done.exit_code == 3
    assert "Input/output error" in done.output


def test_a_journal_file_that_is_cut_off_is_something_to_look_at(fine: Path) -> None:
    (file,) = fine.iterdir()
    file.write_bytes(file.read_bytes()[:5000])
    done = run("report", "-D", str(fine), *UID, *SINCE)
    assert (done.returncode, "0 logins. Something to look at." in done.stdout) == (1, True)
    assert "!     1  entries or files not readable" in done.stdout


def test_a_caller_who_may_not_read_the_journal_gets_no_report(bad: Path) -> None:
    bad.chmod(0o755)
    (file,) = bad.iterdir()
    file.chmod(0o600)
    for directory in (bad, *bad.parents):
        if directory.stat().st_uid == os.geteuid() and directory != Path("/"):
            directory.chmod(directory.stat().st_mode | 0o111)
    done = subprocess.run(
        [
            "setpriv",
            "--reuid=65534",
            "--clear-groups",
            "--",
            *words("report", "-D", str(bad), *UID),
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (5, "")
    assert "may not be read" in done.stderr


def test_what_has_a_process_goes_on_if_it_is_of_this_boot(tmp_path: Path) -> None:
    pid, (_, start) = os.getpid(), parent_and_start(os.getpid())
    here = command._this_boot()
    name_here = f"9-{USER_UID}-{pid}-{start}"
    going_on = recording(1, rec=f"{here}-{pid:x}-{start:x}", **UNENDED)
    stored = [start_entry(going_on), {**login(2), "SESSIONWRAP_LOGIN": name_here}, login(3)]
    of_this_boot = [{**entry, "_BOOT_ID": here} for entry in stored]

    def categories(directory: Path, boot: str) -> list[str]:
        place = Place(str(directory))
        logins = Logins(place, RECORDER_UID, Period(0, 1 << 62))
        return [row.category for row in command._settled(logins, None, place, boot).rows]

    now = write_journal(tmp_path / "now", of_this_boot)
    assert categories(now, here) == ["running", "open", "unseen"]
    assert categories(now, "") == ["incomplete", "unseen", "unseen"]
    before = write_journal(tmp_path / "before", stored)
    assert categories(before, here) == ["incomplete", "unseen", "unseen"]


def test_an_entry_that_arrives_while_it_reads_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process of a login has gone, and the entry that says how it ended is on its way."""
    write_journal(tmp_path, [login(1)])
    monkeypatch.setattr(command, "_this_boot", lambda: BOOT)
    place = Place(str(tmp_path))
    logins = Logins(place, RECORDER_UID, Period(0, 1 << 62))
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import pathlib, sys\n"
            "from tests.readers import journals, login_entries\n"
            "late = login_entries.ending(2, unseen=False)\n"
            "late['SESSIONWRAP_LOGIN'] = login_entries.name(1)\n"
            "journals.write_journal(pathlib.Path(sys.argv[1]), [late])",
            str(tmp_path),
        ]
    )
    monkeypatch.setattr(command, "SETTLE_SECONDS", 60.0)
    found = command._settled(logins, None, place, BOOT)
    assert writer.wait() == 0
    (row,) = found.rows
    assert row.category == "no_shell"


def test_ten_thousand_logins_are_reported_in_three_seconds(tmp_path: Path) -> None:
    numbers = range(10_000)
    rows = (recording(n, login=name(n), user=f"user{n % 99}") for n in numbers)
    stored = [e for row in rows for e in (start_entry(row), end_entry(row))]
    write_journal(tmp_path, [*stored, *(login(n) for n in numbers)])
    taken = []
    for arguments in ([], ["--json"], ["--verbose"]):
        begun = processor_seconds()
        done = run("report", "-D", str(tmp_path), *UID, *SINCE, *arguments)
        taken.append(processor_seconds() - begun)
        assert (done.returncode, "10000" in done.stdout) == (0, True)
    assert max(taken) < 3.0
