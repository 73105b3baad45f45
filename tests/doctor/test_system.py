"""What is said of readers of the journal, the clock and the kernel."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sessionwrap.doctor import system as checks
from sessionwrap.doctor.finding import BAD, FINE, LOOK, Finding

MOUNTS = "proc /proc proc rw,nosuid,nodev,noexec,relatime{} 0 0\ntmpfs /run tmpfs rw 0 0\n"


def severities(findings: list[Finding]) -> list[str]:
    return [finding.severity for finding in findings]


def test_a_recorded_user_who_reads_the_journal_is_to_look_at() -> None:
    assert severities(checks.judge_readers({}, {})) == [FINE]
    members = {"adm": ["alice"], "systemd-journal": ["bob", "alice"]}
    [finding] = checks.judge_readers({"alice": ["systemd-journal", "adm"]}, members)
    assert finding.severity == LOOK
    assert finding.mend == "gpasswd -d alice systemd-journal && gpasswd -d alice adm"


def test_no_command_takes_a_reader_out_of_a_primary_group_or_one_of_a_directory() -> None:
    [finding] = checks.judge_readers({"alice": ["systemd-journal", "adm"]}, {"adm": ["alice"]})
    assert finding.mend == "gpasswd -d alice adm"
    assert finding.what.endswith("in systemd-journal, adm (systemd-journal: not by /etc/group)")
    [finding] = checks.judge_readers({"alice": ["adm"]}, {"adm": []})
    assert finding.mend == ""


def test_a_clock_that_is_off_is_told() -> None:
    now = 1_795_000_000.0
    assert severities(checks.judge_clock(True, now, now - 1)) == [FINE]
    assert severities(checks.judge_clock(False, now, now - 1)) == [LOOK]
    assert severities(checks.judge_clock(False, 0, now)) == [BAD]


@pytest.mark.parametrize("now", [0, 1_795_000_000])
def test_where_nothing_can_set_the_clock_something_is_to_be_installed_first(now: int) -> None:
    [finding] = checks.judge_clock(False, now, 1_795_000_000)
    assert finding.mend == "timedatectl set-ntp true"
    [finding] = checks.judge_clock(False, now, 1_795_000_000, can_be=False)
    assert " install " in finding.mend
    assert finding.mend.endswith(" && timedatectl set-ntp true")


@pytest.mark.parametrize(("scope", "says"), [(None, LOOK), ("0", LOOK), ("1", FINE), ("3", FINE)])
def test_processes_that_may_trace_each_other_are_to_look_at(scope: str | None, says: str) -> None:
    assert severities(checks.judge_ptrace(scope)) == [says]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("", []),
        (",hidepid=0", []),
        (",hidepid=2", [FINE]),
        (",hidepid=invisible,gid=4", [FINE]),
        (",hidepid=ptraceable", [BAD]),
    ],
)
def test_a_proc_that_hides_all_processes_is_bad(options: str, says: list[str]) -> None:
    assert severities(checks.judge_hidepid(MOUNTS.format(options), "")) == says


def test_a_proc_that_fstab_hides_is_mended_there_too(tmp_path: Path) -> None:
    fstab = tmp_path / "fstab"
    comment = "# proc /proc proc hidepid=4 0 0\n"
    fstab.write_text(f"{comment}proc\t/proc proc defaults,hidepid=ptraceable,gid=4 0 0\n")
    mounts = MOUNTS.format(",hidepid=ptraceable")
    [finding] = checks.judge_hidepid(mounts, fstab.read_text())
    edit, _, remount = finding.mend.replace(checks.FSTAB, str(fstab)).partition(" && ")
    assert remount == "mount -o remount,hidepid=2 /proc"
    subprocess.run(["sh", "-ec", edit], check=True)
    assert fstab.read_text() == f"{comment}proc\t/proc proc defaults,hidepid=2,gid=4 0 0\n"
    [finding] = checks.judge_hidepid(mounts, comment)
    assert finding.mend == remount
    assert "not by /etc/fstab" in finding.what
