"""What breaks around sessionwrap: `doctor` finds it, what it tells mends it. One host for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from host import Host
from images import Image

from sessionwrap import paths
from sessionwrap.doctor.services import PROGRAMS
from sessionwrap.setup.steps import UNITS
from tests.system.helpers import bad, doctor, gets_in, recordings

NTP_CLIENT = f"""\
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=touch {paths.SETTINGS_SCHEMA}
[Install]
WantedBy=multi-user.target
"""


@pytest.fixture(scope="module")
def shared(installed_image: Image) -> Iterator[Host]:
    """Boot a host for the tests here: each leaves it as it was."""
    with Host(installed_image) as booted:
        yield booted


def sh(host: Host, script: str) -> str:
    """Run a script of root's in /root; give what it prints."""
    return host.run(["sh", "-ec", f"cd /root; {script}"], timeout=180).stdout


@contextmanager
def at_the_end(host: Host, script: str) -> Iterator[None]:
    """Run a script afterwards, also when the test fails: the next test has the same host."""
    try:
        yield
    finally:
        sh(host, script)


def what(findings: list[dict[str, str]]) -> list[str]:
    return [finding["what"] for finding in findings]


def said(host: Host, words: str, user: str = "alice") -> list[dict[str, str]]:
    """Give the findings that say so, bad or not."""
    return [entry for entry in doctor(host, user)["findings"] if words in entry["what"]]


def assert_recorded(host: Host) -> None:
    """Nothing is bad, and alice is recorded."""
    assert bad(doctor(host)) == []
    before = len(recordings(host))
    assert gets_in(host, "alice")
    assert len(recordings(host)) == before + 1


@pytest.mark.parametrize("reload", ["", "systemctl daemon-reload"])
def test_unit_files_that_are_gone_are_found_and_come_back_with_the_package(
    shared: Host, package: Path, reload: str
) -> None:
    # systemd runs on with what it has read of them, until it is told to read again.
    sh(shared, f"cd /usr/lib/systemd/system; rm {' '.join(UNITS)}; {reload}")
    found = bad(doctor(shared))
    assert what(found) == [f"{unit} is not installed" for unit in UNITS]
    [mend] = {finding["mend"] for finding in found}
    shared.copy_in(package, f"/root/{package.name}")
    sh(shared, mend)
    assert_recorded(shared)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_that_is_gone_is_found_and_comes_back_with_the_package(
    shared: Host, package: Path, program: str
) -> None:
    sh(shared, f"rm {program}")
    [finding] = [one for one in bad(doctor(shared)) if one["topic"] == "permissions"]
    assert finding["what"] == f"{program} is not there"
    shared.copy_in(package, f"/root/{package.name}")
    sh(shared, finding["mend"])
    assert_recorded(shared)


def test_a_full_disk_of_the_journal_is_found_and_what_fills_it_is_shown(shared: Host) -> None:
    disk = "/var/log/journal"
    sh(shared, f"mount -t tmpfs -o size=200M disk {disk}")
    with at_the_end(shared, f"umount --lazy {disk}; systemctl restart systemd-journald"):
        sh(shared, f"systemd-tmpfiles --create --prefix {disk}; systemctl restart systemd-journald")
        sh(shared, f"dd if=/dev/zero of={disk}/ballast bs=64k 2>&1 || true")
        found = bad(doctor(shared))
        assert what(found)[0] == f"0 MB are free in {disk}"
        assert "no recording can be made: the disk that the journal is on is full" in what(found)
        assert not gets_in(shared, "alice")
        # No command can say what may be deleted. None of those that are told deletes recordings.
        for mend in {finding["mend"] for finding in found}:
            assert f"\t{disk}/ballast\n" in sh(shared, mend)
        assert "deletes the oldest recordings" in found[0]["why"]
        sh(shared, f"rm {disk}/ballast")
        assert_recorded(shared)
        [finding] = said(shared, "MB are free")
        assert finding["severity"] == "look"
        sh(shared, f"mount -o remount,size=2G {disk}")
        assert said(shared, "MB are free") == []


def test_the_disk_and_the_directory_of_a_file_of_recordings_are_looked_at(shared: Host) -> None:
    log = "/var/log/sessionwrap"
    sh(shared, "cp /etc/sessionwrap/rec-session.conf /root")
    undo = f"umount --lazy {log}/disk; rm -r {log}/disk; cp rec-session.conf /etc/sessionwrap/"
    with at_the_end(shared, f"{undo}; systemctl reload sessionwrapd"):
        settings = f'{{"writer": "file", "file": {{"path": "{log}/disk/log"}}}}\n'
        shared.write("/etc/sessionwrap/rec-session.conf", settings)
        sh(shared, "systemctl reload sessionwrapd")
        [finding] = bad(doctor(shared))
        assert finding["what"] == f"{log}/disk, where file.path is, is not there"
        sh(shared, finding["mend"])
        assert_recorded(shared)
        shared.wait_until(lambda: sh(shared, f"cat {log}/disk/log 2>/dev/null || true"))
        sh(shared, f"mount -t tmpfs -o size=60M,uid=sessionwrap disk {log}/disk")
        sh(shared, f"dd if=/dev/zero of={log}/disk/ballast bs=64k 2>&1 || true")
        [finding] = bad(doctor(shared))
        assert finding["what"] == f"0 MB are free in {log}/disk"
        assert f"\t{log}/disk/ballast\n" in sh(shared, finding["mend"])
        sh(shared, f"mount -o remount,size=2G {log}/disk")
        assert said(shared, "MB are free") == []


def test_a_full_run_is_found_and_what_fills_it_is_shown(shared: Host) -> None:
    [size] = sh(shared, "findmnt --noheadings --bytes --output SIZE /run").split()
    sh(shared, "mount -o remount,size=120M /run")
    with at_the_end(shared, f"rm -f /run/ballast; mount -o remount,size={size} /run"):
        sh(shared, "dd if=/dev/zero of=/run/ballast bs=4k 2>&1 || true")
        found = bad(doctor(shared))
        assert what(found)[0] == "0 MB are free in /run"
        assert "no recording can be made: /run is full" in what(found)
        for finding in found:
            assert "\t/run/ballast\n" in sh(shared, finding["mend"])
        sh(shared, "rm /run/ballast")
        assert_recorded(shared)
        assert said(shared, "MB are free") == []


def test_a_late_clock_is_found_and_the_command_starts_what_sets_it(shared: Host) -> None:
    # The clock is the machine's. A file that is younger than now is what a late clock shows, and
    # the program that stands in for the NTP client mends that.
    sh(shared, f"touch -d '10 days' {paths.SETTINGS_SCHEMA}")
    with at_the_end(shared, f"touch {paths.SETTINGS_SCHEMA}"):
        assert_clock_is_mended(shared)


def assert_clock_is_mended(shared: Host) -> None:
    """The clock is told to be late, and nothing else; what mends it is told, and does."""
    [finding] = bad(doctor(shared))
    assert finding["what"] == "the clock is late, by 10.0 days or more"
    assert finding["mend"].startswith("apt-get install systemd-timesyncd && ")
    shared.write("/etc/systemd/system/clock.service", NTP_CLIENT)
    shared.write("/etc/systemd/ntp-units.d/00-clock.list", "clock.service\n")
    sh(shared, "systemctl daemon-reload; systemctl stop systemd-timedated")
    [finding] = bad(doctor(shared))
    assert finding["mend"] == "timedatectl set-ntp true"
    sh(shared, finding["mend"])
    shared.wait_until(lambda: bad(doctor(shared)) == [])


def test_a_user_of_a_service_that_still_runs_is_missed_and_comes_back(shared: Host) -> None:
    sh(shared, "userdel --force sessionwrap-userdb")
    [finding] = bad(doctor(shared))
    assert finding["what"] == "there is no user sessionwrap-userdb"
    sh(shared, finding["mend"])
    sh(shared, "systemctl restart sessionwrap-userdb.service")
    assert_recorded(shared)


def test_sshd_that_does_not_run_is_not_taken_for_broken(shared: Host) -> None:
    # /run/sshd is made when it is started; without it sshd says nothing of its settings.
    sh(shared, "systemctl stop ssh; rm -rf /run/sshd")
    [finding] = [entry for entry in doctor(shared)["findings"] if entry["topic"] == "sshd"]
    assert (finding["severity"], finding["what"]) == ("look", "sshd is not running")
    sh(shared, finding["mend"])
    assert said(shared, "sshd is not running") == []
    assert_recorded(shared)


def test_roots_own_shell_is_given_back_where_none_is_noted(shared: Host) -> None:
    sh(shared, "sed -i '/^root:/s|[^:]*$|/usr/bin/sessionwrap-shell|' /etc/passwd")
    [finding] = bad(doctor(shared, "root"))
    assert finding["what"].startswith("root has the login shell in /etc/passwd")
    sh(shared, finding["mend"])
    assert sh(shared, "grep ^root: /etc/passwd") == "root:x:0:0:root:/root:/bin/bash\n"
    assert bad(doctor(shared, "root")) == []


def test_a_directory_of_rules_that_is_gone_is_told_once_and_made_again(shared: Host) -> None:
    sh(shared, "mv /etc/sessionwrap /root/kept")
    with at_the_end(shared, "rm -rf /etc/sessionwrap; mv /root/kept /etc/sessionwrap"):
        [finding] = bad(doctor(shared))
        assert finding["what"] == "the directory /etc/sessionwrap is not there"
        sh(shared, finding["mend"])
        assert bad(doctor(shared)) == []
    assert_recorded(shared)


def test_a_rate_limit_is_taken_from_the_recorder_and_other_settings_of_it_stay(
    shared: Host,
) -> None:
    own = "[Service]\nLogRateLimitIntervalSec=30s\nEnvironment=OWN=1\n"
    shared.write("/etc/systemd/system/sessionwrapd.service.d/own.conf", own)
    sh(shared, "systemctl daemon-reload")
    [finding] = bad(doctor(shared))
    assert finding["what"].startswith("journald's rate limit holds for the recorder")
    sh(shared, finding["mend"])
    assert "OWN=1" in sh(shared, "systemctl show -p Environment sessionwrapd.service")
    assert_recorded(shared)
