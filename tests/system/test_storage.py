"""While it runs: what happens to a session whose recording cannot be stored, as the policy says.

alice is under `strict`, carol under `best_effort`.
"""

from __future__ import annotations

import re
from typing import Any

import pexpect
import pytest
from host import Host

from sessionwrap import message_ids
from tests.system.helpers import (
    JOURNALD,
    PROMPT,
    alerts,
    command,
    gets_in,
    login,
    logout,
    messages,
    played,
    recordings,
    ssh,
    wait_for_end,
)

SPOOL = '"recorder": {"spool_size": 1048576}'
TO_FILE = '"writer": "file", "file": {"path": "/var/log/sessionwrap/log"}'
UNRECORDED = "sessionwrap: this session is not recorded at the moment. An administrator is told."


def settings(host: Host, *parts: str) -> None:
    host.write("/etc/sessionwrap/rec-session.conf", f"{{{', '.join(parts)}}}")
    host.run(["systemctl", "restart", "sessionwrapd.service"])


@pytest.fixture
def lenient(host: Host) -> Host:
    """Give a host with carol under best_effort."""
    host.write("/etc/sessionwrap/conf.d/p.conf", "[failure_policy]\nbest_effort_users = carol\n")
    return host


def end_of(host: Host, rec: str) -> dict[str, str]:
    """Give the end entry of a recording."""
    matches = (f"MESSAGE_ID={message_ids.END}", f"SESSIONWRAP_REC={rec}")
    (entry,) = host.wait_for_entries(*matches)
    return entry


def gaps(output: str) -> list[int]:
    found = re.findall(
        r"\[sessionwrap: (\d+) bytes passed here that could not be recorded\]", output
    )
    return [int(number) for number in found]


def check_loss(host: Host, recording: dict[str, Any], output: str) -> None:
    """See that a recording says how much it lacks, where, and that an administrator is told."""
    lost = int(end_of(host, recording["rec"])["SESSIONWRAP_LOST"])
    assert lost > 0
    assert sum(gaps(output)) == lost
    assert recording["reason"] == "exited"
    assert not recording["complete"]
    said = f"{lost} bytes passed unrecorded in recording {recording['rec']} of carol"
    assert any(said in line for line in alerts(host))


@pytest.mark.parametrize("mended", ["while it runs", "afterwards"])
def test_under_best_effort_a_full_disk_stops_nobody_and_the_gap_is_marked(
    lenient: Host, mended: str
) -> None:
    host = lenient
    host.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=777", "tmpfs", "/var/log/sessionwrap"])
    settings(host, TO_FILE, SPOOL)
    enlarge = ["mount", "-o", "remount,size=64m", "/var/log/sessionwrap"]
    with login(host, "carol") as terminal:
        terminal.sendline("seq 1 500000; echo all of it")
        terminal.expect_exact(UNRECORDED)
        terminal.expect_exact("\nall of it\r\n")
        terminal.expect_exact(PROMPT)
        if mended == "while it runs":
            host.run(enlarge)
            log = ["cat", "/var/log/sessionwrap/log"]
            host.wait_until(lambda: "bytes passed here" in host.run(log).stdout)
            assert command(terminal, "echo on record again") == "on record again\r\n"
        logout(terminal)
    host.run(enlarge)
    (recording,) = wait_for_end(host)
    words = ["sessionwrap", "play", "--goto=end", "-i", "/var/log/sessionwrap/log"]
    output = host.run([*words, "-m", recording["rec"]]).stdout
    check_loss(host, recording, output)
    assert ("on record again\r\n" in output) == (mended == "while it runs")
    assert any("no space" in line.lower() and "of carol" in line for line in alerts(host))


def test_under_best_effort_a_journal_that_is_away_stops_nobody_and_the_gap_is_marked(
    lenient: Host,
) -> None:
    host = lenient
    settings(host, SPOOL)
    with login(host, "carol") as terminal:
        command(terminal, "echo before")
        host.run(["systemctl", "stop", *JOURNALD])
        terminal.sendline("seq 1 500000; echo all of it")
        terminal.expect_exact(UNRECORDED)
        terminal.expect_exact("\nall of it\r\n")
        host.run(["systemctl", "start", *JOURNALD])
        terminal.expect_exact(PROMPT)
        logout(terminal)
    (recording,) = wait_for_end(host)
    check_loss(host, recording, played(host, recording["rec"]).decode())
    assert any("of carol could not be stored for" in line for line in alerts(host))


def test_under_strict_a_journal_that_is_away_holds_the_terminal_back_and_nothing_is_lost(
    host: Host,
) -> None:
    settings(host, SPOOL)
    with login(host, "alice") as terminal:
        host.run(["systemctl", "stop", *JOURNALD])
        terminal.sendline("seq 1 500000; echo all of it")
        terminal.expect_exact("cannot be recorded at the moment and waits until it can")
        host.run(["systemctl", "start", *JOURNALD])
        terminal.expect_exact("\nall of it\r\n")
        terminal.expect_exact(PROMPT)
        logout(terminal)
    (recording,) = wait_for_end(host)
    assert recording["complete"]
    assert end_of(host, recording["rec"])["SESSIONWRAP_LOST"] == "0"
    output = played(host, recording["rec"]).replace(b"\r\n", b"\n")
    assert "\n".join(map(str, range(1, 500001))).encode() in output


def test_a_journal_that_is_only_slower_than_the_output_loses_nothing_under_best_effort(
    lenient: Host,
) -> None:
    host = lenient
    settings(host, SPOOL)
    with login(host, "carol") as terminal:
        host.run(["pkill", "-STOP", "-x", "systemd-journal"])
        terminal.sendline("seq 1 500000; echo all of it")
        # The spool is full after a moment. Then nothing more comes, and nothing is lost.
        assert terminal.expect_exact(["\nall of it\r\n", pexpect.TIMEOUT], timeout=2.5) == 1
        host.run(["pkill", "-CONT", "-x", "systemd-journal"])
        terminal.expect_exact("\nall of it\r\n")
        terminal.expect_exact(PROMPT)
        logout(terminal)
    (recording,) = wait_for_end(host)
    assert recording["complete"]
    assert end_of(host, recording["rec"])["SESSIONWRAP_LOST"] == "0"
    output = played(host, recording["rec"]).replace(b"\r\n", b"\n")
    assert "\n".join(map(str, range(1, 500001))).encode() in output


def keep_nothing(host: Host) -> None:
    """Let journald take what it is sent and keep none of it, as with a full disk."""
    host.write("/etc/systemd/journald.conf.d/zz.conf", "[Journal]\nStorage=none\n")
    host.run(["systemctl", "restart", "systemd-journald.service"])


def keep_again(host: Host) -> None:
    host.run(["rm", "/etc/systemd/journald.conf.d/zz.conf"])
    host.run(["systemctl", "restart", "systemd-journald.service"])


def test_where_the_journal_takes_but_does_not_keep_strict_sessions_end_and_others_go_on(
    lenient: Host,
) -> None:
    host = lenient
    with login(host, "alice") as strict, login(host, "carol") as other:
        command(strict, "echo kept")
        (begun,) = [each for each in recordings(host) if each["user"] == "alice"]
        host.wait_until(lambda: "kept" in str(messages(host, begun["rec"])))
        keep_nothing(host)
        assert command(strict, "echo lost") == "lost\r\n"
        assert command(other, "echo lost") == "lost\r\n"
        # The recorder looks soon after a login, and each minute.
        strict.expect_exact(
            "sessionwrap: the recording of this session cannot be stored. It ends here.", timeout=90
        )
        strict.expect(pexpect.EOF)
        other.expect_exact(UNRECORDED)
        assert command(other, "echo goes on").endswith("goes on\r\n")
        done = ssh(host, "alice", "-tt")
        assert b"but the journal does not keep what it is sent. Please tell" in done.stdout
        assert done.returncode != 0
        assert gets_in(host, "carol")
        assert gets_in(host, "bob")
        keep_again(host)
        # The recorder finds out itself.
        host.wait_until(lambda: gets_in(host, "alice"))
        logout(other)
    # Its end is said once more, when the journal keeps something again.
    host.wait_for_entries(f"MESSAGE_ID={message_ids.END}", "SESSIONWRAP_REASON=unstored")
    (ended,) = [each for each in recordings(host) if each["reason"] == "unstored"]
    assert ended["user"] == "alice"
    assert not ended["complete"]
    assert "kept" in "".join(each["out_txt"] for each in messages(host, ended["rec"]))
    found = alerts(host)
    assert any(
        f"The journal keeps nothing of recording {ended['rec']} of alice" in text for text in found
    )
    assert any(
        "A login of alice by sshd was refused" in text and "said late" in text for text in found
    )
    assert any("A login of carol by sshd goes on" in text and "said late" in text for text in found)
