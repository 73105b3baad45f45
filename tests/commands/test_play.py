"""``sessionwrap play`` on journals and files; the playing itself is tests/player/test_player.py."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sessionwrap import entries
from sessionwrap.readers.journal import JournalReader, Place
from tests.readers.journals import (
    EPOCH,
    RECORDER_UID,
    USER_UID,
    recording,
    stamped,
    start_entry,
    write_journal,
)
from tests.readers.messages import REC, spoken

PLAY = [sys.executable, "-c", "from sessionwrap.commands import main; main()", "play"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with no terminal."""
    return subprocess.run(
        [*PLAY, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=False,
    )


def stored(directory: Path, uid: int) -> Path:
    """A journal with one recording that this uid has written."""
    lines = spoken("one ", "two ", "three")
    return write_journal(
        directory,
        [
            stamped({"MESSAGE": line.rstrip(), "TLOG_REC": REC}, EPOCH + number, uid)
            for number, line in enumerate(lines)
        ],
    )


def test_a_recording_is_played_from_the_journal(tmp_path: Path) -> None:
    place = str(stored(tmp_path, RECORDER_UID))
    for rec in (REC, REC[:10], "1f3a-2c81d"):
        done = run("-D", place, "--recorder-uid", str(RECORDER_UID), rec)
        assert (done.returncode, done.stdout, done.stderr) == (0, "one two three", "")


def test_a_recording_that_the_recorder_did_not_write_is_played_with_a_warning(
    tmp_path: Path,
) -> None:
    done = run("-D", str(stored(tmp_path, USER_UID)), "--recorder-uid", str(RECORDER_UID), REC)
    assert done.stdout == "one two three"
    assert f"not verified: uid {USER_UID} wrote this recording" in done.stderr


def test_a_file_of_several_recordings_plays_the_first_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(spoken("mine")[0] + spoken("other", rec="other-1-2")[0])
    done = run("-i", str(path))
    assert done.stdout == "mine"
    assert "the file holds others too" in done.stderr
    done = run("-i", str(path), "-m", "other-1-2")
    assert (done.stdout, done.stderr) == ("other", "")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "expected either REC or -i FILE"),
        (["rec", "-i", "file"], 2, "expected either REC or -i FILE"),
        (["rec", "-m", "rec"], 2, "-m chooses a recording of a file"),
        (["rec", "--speed", "17"], 2, "17"),
        (["rec", "--goto", "later"], 2, "expected start, end or"),
        (["rec", "--paused"], 2, "needs a terminal"),
        (["rec", "-D", "dir", "-N", "name"], 2, "not both"),
        (["-i", "/nonexistent"], 4, "/nonexistent: No such file"),
        (["rec", "-D", "/nonexistent"], 4, "/nonexistent"),
    ],
)
def test_mistakes_are_named(arguments: list[str], status: int, words: str) -> None:
    done = run(*arguments)
    assert done.returncode == status
    assert words in done.stderr


def test_a_recording_without_content_says_that_there_is_none(tmp_path: Path) -> None:
    command = recording(1, kind=entries.COMMAND, command="true", end=None)
    place = str(write_journal(tmp_path, [start_entry(command)]))
    done = run("-D", place, "--recorder-uid", str(RECORDER_UID), command.rec)
    assert (done.returncode, done.stdout) == (0, "")
    assert "nothing is stored of what this recording showed" in done.stderr


def test_errors_have_the_words_that_scripts_look_for(tmp_path: Path) -> None:
    first, _, third = spoken("one", "two", "three")
    path = tmp_path / "file"
    path.write_bytes(first + third)
    done = run("-i", str(path))
    assert done.returncode == 3
    assert "ID is out of order" in done.stderr
    assert done.stdout == "one"
    done = run("-i", str(path), "--lax")
    assert done.returncode == 0
    assert "ID is out of order" in done.stderr
    assert done.stdout == "onethree"
    path.write_bytes(spoken("one")[0].replace(b"=80x24", b"=80y24"))
    done = run("-i", str(path))
    assert done.returncode == 3
    assert 'invalid "timing"' in done.stderr


@pytest.fixture
def namespace() -> Iterator[str]:
    """A journald of its own (systemd-journald.service(8)); gives the name of its namespace."""
    daemon = shutil.which("systemd-journald", path="/lib/systemd:/usr/lib/systemd")
    assert daemon is not None, "systemd-journald is missing: install systemd"
    name = f"test{uuid.uuid4().hex[:8]}"
    with ExitStack() as undo:
        for directory in (f"/run/systemd/journal.{name}", f"/run/log/journal.{name}"):
            undo.callback(shutil.rmtree, directory, ignore_errors=True)
        machine = Path("/etc/machine-id").read_text(encoding="ascii").strip()
        for kind in ("run", "var"):
            undo.callback(
                shutil.rmtree, f"/{kind}/log/journal/{machine}.{name}", ignore_errors=True
            )
        started = subprocess.Popen([daemon, name], stderr=subprocess.DEVNULL)
        undo.callback(started.wait, 10)
        undo.callback(started.terminate)
        deadline = time.monotonic() + 10
        while not Path(f"/run/systemd/journal.{name}/socket").exists():
            assert time.monotonic() < deadline, "systemd-journald did not start"
            time.sleep(0.01)  # a socket that appears is no event that inotify tells in time
        yield name


def send(name: str, fields: dict[str, str]) -> None:
    """Write one entry to the journald of this namespace (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""
    datagram = "".join(f"{key}={value}\n" for key, value in fields.items()).encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(datagram, f"/run/systemd/journal.{name}/socket")


def wait_for(name: str, match: str) -> None:
    """Wait until an entry is stored."""
    deadline = time.monotonic() + 10
    with JournalReader(Place(namespace=name)) as reader:
        while not reader.has(match):
            assert time.monotonic() < deadline, f"{match} is not stored"
            reader.wait(0.2)


def test_a_followed_recording_is_shown_as_it_is_written_and_ends_with_its_end_entry(
    namespace: str,
) -> None:
    first, second = (line.decode().rstrip() for line in spoken("one ", "two", delay=100))
    send(namespace, {"MESSAGE": first, "TLOG_REC": REC})
    wait_for(namespace, f"TLOG_REC={REC}")
    own = ["--recorder-uid", str(os.getuid())]
    with subprocess.Popen(
        [*PLAY, "-N", namespace, *own, "--follow", REC],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as player:
        assert player.stdout is not None
        assert player.stdout.read(4) == b"one "
        send(namespace, {"MESSAGE": second, "TLOG_REC": REC})
        assert player.stdout.read(3) == b"two"
        assert player.poll() is None
        send(namespace, entries.end_fields(recording(1, rec=REC)))
        assert player.wait(10) == 0
    done = subprocess.run(
        [*PLAY[:-1], "list", "-N", namespace, *own, "--json"],
        capture_output=True,
        encoding="utf-8",
        timeout=30,
        check=True,
    )
    assert f'"rec": "{REC}"' in done.stdout
