"""The player on a real terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.readers.messages import message, spoken

PLAY = [sys.executable, "-c", "from sessionwrap.commands import main; main()", "play"]
TIMEOUT = 10
_MODES = slice(0, 4)
"""Of termios.tcgetattr: input, output, control and local modes."""


class Screen:
    """A terminal with a shell's modes, in which ``sessionwrap play`` runs."""

    def __init__(self, *arguments: str) -> None:
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        # The shell stays: it holds the terminal, so that its modes can be looked at afterwards.
        script = 'stty sane -echo; "$@"; echo "status=$?"; read never'
        self.child: pexpect.spawn[bytes] = pexpect.spawn(
            "/bin/sh",
            ["-c", script, "sh", *PLAY, *arguments],
            env=environment,
            timeout=TIMEOUT,
            dimensions=(24, 80),
            echo=False,
        )
        self.child.delaybeforesend = None

    def expect(self, pattern: str) -> bytes:
        """Wait for this on the screen; gives what came before it."""
        self.child.expect(pattern.encode())
        before = self.child.before
        assert isinstance(before, bytes)
        return before

    def type(self, keys: str) -> None:
        """Type keys."""
        self.child.send(keys)

    def modes(self) -> Any:
        """The modes of the terminal now."""
        return termios.tcgetattr(self.child.child_fd)[_MODES]

    def expect_end(self, status: int = 0) -> bytes:
        """Wait for the end of the player; gives what came before."""
        return self.expect(f"status={status}\r\n")

    def player(self) -> int:
        """The process id of the player."""
        children = Path(f"/proc/{self.child.pid}/task/{self.child.pid}/children")
        return int(children.read_text().split()[-1])


@pytest.fixture
def screens() -> Iterator[list[Screen]]:
    """Screens to close at the end."""
    opened: list[Screen] = []
    yield opened
    for screen in opened:
        screen.child.close(force=True)


@pytest.fixture
def slow(tmp_path: Path) -> str:
    """A recording of twenty words, a second apart."""
    path = tmp_path / "slow"
    path.write_bytes(b"".join(spoken(*[f"word{n}." for n in range(20)], delay=1000)))
    return str(path)


def play(screens: list[Screen], *arguments: str) -> Screen:
    """Start the player in a terminal."""
    screens.append(Screen(*arguments))
    return screens[-1]


def cpu_seconds(pid: int) -> float:
    """The processor time that a process has used (proc(5), utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_bytes_arrive_on_the_terminal_as_they_were_recorded(
    screens: list[Screen], tmp_path: Path
) -> None:
    shown = "one\ntwo\r\n\x1b[1;31mred\x1b[0m\tGrüße 日本語\x1b[?1049h\x1b[H\x1b[?1049l\x1b[5;5H"
    path = tmp_path / "recording"
    path.write_bytes(b"".join(spoken(*shown)))
    screen = play(screens, "-i", str(path))
    assert screen.expect_end().startswith(shown.encode())


def test_quitting_works_at_every_moment_and_restores_the_terminal(
    screens: list[Screen], slow: str
) -> None:
    for key in ("q", "\x03"):
        for arguments, keys, seen in (
            ([], "", "word0"),
            (["--paused"], ".", "word0"),
            (["--follow", "--goto", "end"], "", "word19"),
            (["--paused", "--goto", "end"], "", "word19"),
        ):
            screen = play(screens, "-i", slow, *arguments)
            screen.type(keys)
            screen.expect(seen)
            raw = screen.modes()
            screen.type(key)
            screen.expect_end()
            assert not raw[3] & (termios.ECHO | termios.ICANON)
            assert screen.modes()[3] & termios.ICANON


def test_a_signal_ends_the_player_with_the_terminal_restored(
    screens: list[Screen], slow: str
) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        screen = play(screens, "-i", slow)
        screen.expect("word0")
        assert not screen.modes()[1] & termios.OPOST
        os.kill(screen.player(), number)
        screen.expect_end(128 + number)
        assert screen.modes()[1] & termios.OPOST
        assert screen.modes()[3] & termios.ICANON


def test_a_terminal_that_goes_away_ends_the_player(screens: list[Screen], slow: str) -> None:
    screen = play(screens, "-i", slow, "--follow", "--goto", "end")
    screen.expect("word19")
    player = screen.player()
    screen.child.close(force=True)
    deadline = time.monotonic() + TIMEOUT
    while Path(f"/proc/{player}/stat").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)  # it is not our child, so that nothing tells us of its end


def test_an_error_restores_the_terminal_before_it_is_told(
    screens: list[Screen], tmp_path: Path
) -> None:
    path = tmp_path / "broken"
    path.write_bytes(spoken("word0")[0] + b"garbage\n")
    screen = play(screens, "-i", str(path))
    screen.expect("word0")
    assert b"broken:2: Message is not valid JSON" in screen.expect_end(3)
    assert screen.modes()[1] & termios.OPOST


def test_a_lax_player_names_garbage_and_goes_on(screens: list[Screen], tmp_path: Path) -> None:
    first, second = spoken("word1", "word2")
    path = tmp_path / "broken"
    path.write_bytes(first + b"garbage\n" + second)
    screen = play(screens, "-i", str(path), "--lax")
    screen.expect("word1")
    screen.expect("broken:2: Message is not valid JSON[^\r]*\r\n")
    screen.expect("word2")
    screen.expect_end()


def test_pause_step_and_go_on(screens: list[Screen], slow: str) -> None:
    screen = play(screens, "-i", slow, "--paused")
    screen.type("..")
    screen.expect(r"word0\.word1\.")
    with pytest.raises(pexpect.TIMEOUT):
        screen.child.expect(b"word2", timeout=1.5)
    screen.type("}}}} ")
    screen.expect(r"word2\.")
    screen.expect_end()


def test_speed_is_kept(screens: list[Screen], slow: str) -> None:
    begun = time.monotonic()
    screen = play(screens, "-i", slow, "--speed", "16")
    screen.expect(r"word0\.")
    begun = time.monotonic()
    screen.expect(r"word19\.")
    assert 19 / 16 * 0.9 < time.monotonic() - begun < 19 / 16 + 1
    screen.expect_end()


def test_long_pauses_are_cut_down(screens: list[Screen], tmp_path: Path) -> None:
    path = tmp_path / "idle"
    path.write_bytes(message(1, 0, ">3+3600000>3", "onetwo"))
    screen = play(screens, "-i", str(path), "--max-idle", "0.2")
    screen.expect("one")
    screen.expect("two")
    screen.expect_end()


def test_the_first_event_comes_at_once(screens: list[Screen], tmp_path: Path) -> None:
    path = tmp_path / "late"
    path.write_bytes(message(1, 3_600_000, ">3+50>3", "onetwo"))
    assert play(screens, "-i", str(path)).expect_end() == b"onetwo"


def test_going_to_a_time_works_in_both_directions(screens: list[Screen], slow: str) -> None:
    screen = play(screens, "-i", slow, "--paused", "--goto", "5")
    screen.expect(r"word0\.word1\.word2\.word3\.word4\.word5\.")
    screen.type("0:10G")
    screen.expect(r"word6\.word7\.word8\.word9\.word10\.")
    screen.type("2G")
    assert b"word11" not in screen.expect(r"\x1b\[H\x1b\[2Jword0\.word1\.word2\.")
    screen.type(".")
    screen.expect(r"word3\.")
    screen.type("99G")
    screen.expect(r"word19\.")
    screen.type("1G")
    screen.expect(r"\x1b\[H\x1b\[2Jword0\.word1\.")
    screen.type("q")
    assert b"word2" not in screen.expect_end()


def test_what_is_typed_is_not_shown_and_does_not_reach_the_shell(
    screens: list[Screen], slow: str
) -> None:
    screen = play(screens, "-i", slow, "--paused", "--goto", "1")
    screen.expect(r"word0\.word1\.")
    screen.type("hello\r\x1b[A\x1b[<0;1;1Mrm -rf\r")
    screen.type("q")
    assert screen.expect_end() == b""


def test_a_dangerous_sequence_does_not_reach_the_terminal_unless_asked_for(
    screens: list[Screen], tmp_path: Path
) -> None:
    path = tmp_path / "dangerous"
    path.write_bytes(b"".join(spoken("a\x1b[", "6nb\x1b]52;c;?\x07c")))
    assert play(screens, "-i", str(path)).expect_end() == b"abc"
    shown = play(screens, "-i", str(path), "--raw").expect_end()
    assert shown.startswith(b"a\x1b[6nb\x1b]52;c;?\x07c")


def test_modes_that_the_recording_left_are_set_back(screens: list[Screen], tmp_path: Path) -> None:
    path = tmp_path / "modes"
    path.write_bytes(b"".join(spoken("\x1b[?1049h\x1b[?25l\x1b[?1003h\x1b[7mtext")))
    reset = play(screens, "-i", str(path)).expect_end().partition(b"text")[2]
    for expected in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1003l", b"\x1b[0m"):
        assert expected in reset


def test_a_recording_of_a_larger_window_is_announced_once(
    screens: list[Screen], tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(message(1, 0, "=200x50>3=200x60>3", "onetwo"))
    shown = play(screens, "-i", str(path)).expect_end()
    assert shown.count(b"200x50, this terminal is 80x24") == 1
    assert shown.endswith(b"onetwo")


def test_a_followed_file_is_shown_as_it_grows_and_waiting_costs_nothing(
    screens: list[Screen], tmp_path: Path
) -> None:
    path = tmp_path / "growing"
    lines = spoken("word0", "word1", delay=50)
    path.write_bytes(lines[0])
    screen = play(screens, "-i", str(path), "--follow")
    screen.expect("word0")
    before = cpu_seconds(screen.player())
    time.sleep(1)  # what is measured is that nothing happens in that time
    assert cpu_seconds(screen.player()) - before <= 0.02
    with path.open("ab") as file:
        file.write(lines[1])
    screen.expect("word1")
    screen.type("q")
    screen.expect_end()


def test_a_pause_costs_nothing(screens: list[Screen], slow: str) -> None:
    screen = play(screens, "-i", slow, "--paused", "--goto", "end")
    screen.expect("word19")
    before = cpu_seconds(screen.player())
    time.sleep(1)  # what is measured is that nothing happens in that time
    assert cpu_seconds(screen.player()) - before <= 0.02
    screen.type("q")
    screen.expect_end()


def test_a_terminal_that_takes_nothing_can_still_be_quit(
    screens: list[Screen], tmp_path: Path
) -> None:
    path = tmp_path / "much"
    path.write_bytes(b"".join(spoken(*["x" * 5000] * 200)))
    screen = play(screens, "-i", str(path))
    time.sleep(1)  # the terminal's buffer is full by then, and nobody reads
    screen.type("q")
    shown = screen.expect_end()
    assert len(shown) < 500_000


def test_without_a_terminal_the_bytes_come_as_they_are(tmp_path: Path) -> None:
    shown = "a\x1b[6n\x1b]0;t\x07\nb"
    path = tmp_path / "recording"
    path.write_bytes(spoken(shown)[0] + message(2, 0, "]0/2", "", out_bin=[0xFF, 0x9B]))
    for extra in ([], ["--goto", "end"]):
        done = subprocess.run(
            [*PLAY, "-i", str(path), *extra],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=True,
        )
        assert done.stdout == shown.encode() + b"\xff\x9b"
        assert done.stderr == b""


def test_a_full_disk_is_an_error_that_says_so(slow: str) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*PLAY, "-i", slow, "--goto", "end"],
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT,
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        1,
        b"sessionwrap: cannot write: No space left on device\n",
    )


def test_a_reader_that_goes_away_ends_the_player_without_a_traceback(slow: str) -> None:
    with subprocess.Popen(
        [*PLAY, "-i", slow, "--speed", "16"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as player:
        assert player.stdout is not None
        assert player.stderr is not None
        player.stdout.read(1)
        player.stdout.close()
        assert player.wait(TIMEOUT) == 141
        assert player.stderr.read() == b""


def test_a_closed_standard_input_does_not_make_it_spin(slow: str) -> None:
    with subprocess.Popen(
        [*PLAY, "-i", slow, "--follow"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as player:
        assert player.stdout is not None
        player.stdout.read(1)
        before = cpu_seconds(player.pid)
        time.sleep(1)  # what is measured is that little happens in that time
        assert cpu_seconds(player.pid) - before <= 0.02
        player.terminate()
        assert player.wait(TIMEOUT) == 128 + signal.SIGTERM
