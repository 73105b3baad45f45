from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
from click.testing import CliRunner

from sessionwrap import commands

CHECKOUT = pathlib.Path(__file__).parents[2]
RUN = "from sessionwrap.commands import main; main()"


def sessionwrap(*args: str, code: str = RUN) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_names_every_verb_the_exit_statuses_and_examples() -> None:
    done = CliRunner().invoke(commands.cli, ["--help"])
    assert done.exit_code == 0
    for word in (*commands.VERBS, "Exit status", "Examples", "--completion"):
        assert word in done.output


@pytest.mark.parametrize("verb", commands.VERBS)
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    done = CliRunner().invoke(commands.cli, [verb, "--help"])
    assert done.exit_code == 0, done.output
    assert "Example" in done.output


def test_a_verb_imports_its_own_module_only() -> None:
    done = sessionwrap(
        "check",
        "--help",
        code="import sys, atexit; atexit.register(lambda: print(*sys.modules)); " + RUN,
    )
    loaded = [name for name in done.stdout.split() if name.startswith("sessionwrap.commands.")]
    assert loaded == ["sessionwrap.commands.check"]


def test_help_and_completion_of_verbs_import_no_verb() -> None:
    code = "import sys, atexit; atexit.register(lambda: print(*sys.modules)); " + RUN
    assert "sessionwrap.commands." not in sessionwrap("--help", code=code).stdout


def test_an_unknown_verb_is_wrong_usage() -> None:
    done = sessionwrap("nonsense")
    assert done.returncode == 2
    assert "No such command 'nonsense'" in done.stderr


def test_an_error_is_one_line_and_its_own_exit_status() -> None:
    done = sessionwrap("explain", "no-such-user-here")
    assert done.returncode == 4
    assert done.stderr == "sessionwrap: no such user: 'no-such-user-here'\n"
    assert done.stdout == ""


def test_an_interrupt_ends_with_130() -> None:
    code = (
        "from sessionwrap import accounts\n"
        "def interrupted(user): raise KeyboardInterrupt\n"
        "accounts.find_user = interrupted\n" + RUN
    )
    done = sessionwrap("explain", "root", code=code)
    assert (done.returncode, done.stderr) == (130, "")


def test_a_reader_that_went_away_ends_quietly(tmp_path: pathlib.Path) -> None:
    done = subprocess.run(
        [
            "bash",
            "-c",
            'exec 2>"$1/stderr"; "$2" -c "$3" check | true; echo "${PIPESTATUS[0]}"',
            "bash",
            str(tmp_path),
            sys.executable,
            # Begin when the other end of the pipe is gone: poll(2) tells with POLLERR.
            "import select; pipe = select.poll(); pipe.register(1, 0); pipe.poll(20000)\n" + RUN,
        ],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.stdout == "141\n"
    assert (tmp_path / "stderr").read_text() == ""


def test_the_version_is_told() -> None:
    done = CliRunner().invoke(commands.cli, ["--version"])
    assert done.exit_code == 0
    assert done.output.startswith("sessionwrap ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_can_be_printed(shell: str) -> None:
    done = CliRunner().invoke(commands.cli, ["--completion", shell])
    assert done.exit_code == 0
    assert "_SESSIONWRAP_COMPLETE" in done.output


def test_completion_offers_verbs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=CHECKOUT,
        env={
            **os.environ,
            "_SESSIONWRAP_COMPLETE": "bash_complete",
            "COMP_WORDS": "sessionwrap e",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["plain,explain", "plain,enroll"]
