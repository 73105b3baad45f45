"""What is stored is tlog's format: tlog plays ours, we play tlog's, whatever the bytes."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pexpect
from host import TIMEOUT, Host

from tests.system.helpers import (
    PROMPT,
    command,
    login,
    logout,
    messages,
    played,
    recordings,
    ssh,
    sync_journal,
    wait_for_end,
)

STRINGS = 100_000


def random_strings() -> bytes:
    """Give 100 000 random byte strings: of any bytes, of text, of broken text."""
    chance = random.Random(20)  # noqa: S311 # the same bytes each time, and no secret
    euro = "\N{EURO SIGN}\N{GRINNING FACE}é\r\n\x1b[31m\x7f\x00".encode()
    parts = []
    for number in range(STRINGS):
        length = chance.randrange(0, 24)
        if number % 3 == 0:
            parts.append(chance.randbytes(length))
        else:
            start = chance.randrange(len(euro))
            parts.append((euro * 4)[start : start + length])
    return b"".join(parts)


def test_100_000_random_byte_strings_through_the_terminal_are_recorded_as_received(
    host: Host, tmp_path: Path
) -> None:
    sent = random_strings()
    path = tmp_path / "strings"
    path.write_bytes(sent)
    host.copy_in(path, "/srv/strings")
    done = ssh(host, "alice", "-tt", "stty raw -echo; cat /srv/strings", timeout=120)
    assert done.stdout.endswith(sent)
    (recording,) = wait_for_end(host)
    assert recording["complete"]
    ids = [message["id"] for message in messages(host, recording["rec"])]
    assert ids == list(range(1, recording["messages"] + 1))
    assert played(host, recording["rec"], "--raw") == done.stdout


def test_tlog_play_plays_a_recording_of_ours_from_the_journal_and_from_a_file(
    tlog_host: Host,
) -> None:
    host = tlog_host
    words = r"printf '\033[31mred\033[0m \342\202\254 \377 end\n'; seq 1 2000"
    done = ssh(host, "alice", "-tt", words)
    (recording,) = wait_for_end(host)
    rec = recording["rec"]
    lines = host.run(["journalctl", "-o", "cat", "--all", f"TLOG_REC={rec}"]).stdout
    host.write("/srv/recording", lines)
    match = f"TLOG_REC={rec}"
    for reader in (["-r", "journal", "-M", match], ["-r", "file", "-i", "/srv/recording"]):
        assert done.stdout in _on_a_terminal(host, ["tlog-play", "-g", "end", *reader]), reader


def _on_a_terminal(host: Host, words: list[str]) -> bytes:
    """Run a program on a terminal until it ends; give what it wrote there."""
    first, *rest = host.command(words, env={"TERM": "xterm"})
    with pexpect.spawn(first, rest, timeout=TIMEOUT, echo=False) as terminal:
        shown = terminal.read()
    assert isinstance(shown, bytes)
    return shown


def test_we_play_a_recording_of_tlog_with_the_bytes_that_its_terminal_got(
    tlog_host: Host,
) -> None:
    host = tlog_host
    words = r"printf '\033[31mred\033[0m \342\202\254 \377 end\n'; seq 1 2000"
    host.run(["mkdir", "-p", "/run/tlog"])
    host.run(["sh", "-c", "test -e /run/utmp || install -m 664 -g utmp /dev/null /run/utmp"])
    for number, options in enumerate((["-w", "journal"], ["-w", "file", "-o", "/srv/of-tlog"])):
        got = _on_a_terminal(host, ["tlog-rec", *options, "sh", "-c", words])
        if number == 0:
            sync_journal(host)
            (rec,) = host.run(["journalctl", "-q", "-F", "TLOG_REC"]).stdout.split()
            shown = played(host, "--raw", rec)
        else:
            shown = played(host, "--raw", "-i", "/srv/of-tlog")
        assert b"\xff end\r\n1\r\n2\r\n" in shown
        assert shown in got
    assert recordings(host) == []


def test_settings_of_tlog_for_what_is_logged_do_what_they_say(host: Host) -> None:
    host.write(
        "/etc/sessionwrap/rec-session.conf",
        '{"latency": 1, "payload": 100, "notice": "", "log": {"input": true, "output": false,'
        ' "window": false}, "journal": {"priority": "debug", "augment": true}}',
    )
    host.run(["systemctl", "reload", "sessionwrapd.service"])
    with login(host, "alice") as terminal:
        assert command(terminal, "echo typed") == "typed\r\n"
        # What is waited for stands in no command line: the echo of that comes too early.
        line = "read -s -p Pass''word: word; stty -echo; echo $((6 * 7)); read line; stty echo"
        terminal.sendline(line)
        terminal.expect_exact("Password:")
        terminal.sendline("hidden by read")
        terminal.expect_exact("42\r\n")
        terminal.sendline("hunter2")
        terminal.expect_exact(PROMPT)
        logout(terminal)
    (recording,) = wait_for_end(host)
    found = messages(host, recording["rec"])
    typed = "".join(message["in_txt"] for message in found)
    assert "echo typed\n" in typed
    assert "hidden by read" not in typed
    assert "hunter2" not in typed
    assert "*******\n" in typed
    assert "".join(message["out_txt"] for message in found) == ""
    assert "=" not in "".join(message["timing"] for message in found)
    assert all(len(message["timing"]) + len(message["in_txt"]) <= 100 for message in found)
    words = ["journalctl", "-q", "-p", "debug..debug", f"TLOG_REC={recording['rec']}", "-o", "cat"]
    assert len(host.run(words).stdout.splitlines()) == len(found)


def test_arbitrary_bytes_as_a_recording_file_are_played_or_one_named_error(
    host: Host, tmp_path: Path
) -> None:
    ssh(host, "alice", "-tt", "seq 1 50; printf '\\377\\n'")
    (recording,) = wait_for_end(host)
    good = host.run(["journalctl", "-o", "cat", "--all", f"TLOG_REC={recording['rec']}"]).stdout
    chance = random.Random(7)  # noqa: S311 # the same bytes each time, and no secret
    files = [b"", b"\n\n", b"\x00" * 5000, chance.randbytes(5000), b"{" * 100_000, b"[]\nnull\n1"]
    for _ in range(40):
        damaged = bytearray(good.encode())
        for _ in range(chance.randrange(1, 6)):
            at = chance.randrange(len(damaged))
            damaged[at : at + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
        files.append(bytes(damaged[: chance.choice([len(damaged), chance.randrange(9999)])]))
    for number, content in enumerate(files):
        path = tmp_path / str(number)
        path.write_bytes(content)
        host.copy_in(path, "/srv/file")
        for options in ((), ("--lax",)):
            words = ["sessionwrap", "play", "--goto=end", *options, "-i", "/srv/file"]
            done = subprocess.run(host.command(words), capture_output=True, timeout=60, check=False)
            said = done.stderr.decode()
            assert done.returncode in (0, 3, 4), (content[:200], said)
            assert "Traceback" not in said
            assert done.returncode == 0 or said.startswith("sessionwrap: "), said
