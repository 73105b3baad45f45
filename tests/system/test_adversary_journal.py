"""What the recorded user does not manage: to read, to forge or to hide what is stored."""

from __future__ import annotations

import os
import subprocess

import pytest
from host import TIMEOUT, Host

from tests.player.test_safety import ACTS, DRAWS
from tests.system.adversary import ATTACKS, PYTHON, attack, become, ended
from tests.system.helpers import (
    PROMPT,
    command,
    login,
    logout,
    messages,
    played,
    recordings,
    ssh,
)


def test_nothing_of_any_recording_is_readable_not_even_ones_own(attacked: Host) -> None:
    with login(attacked, "carol") as other:
        command(other, "echo confidential")
        logout(other)
    rec = ended(attacked)[-1]["rec"]
    with login(attacked, "alice") as terminal:
        shown = command(terminal, "journalctl -q --no-pager _UID=$(id -u sessionwrap) | wc -l")
        assert shown == "0\r\n"
        assert command(terminal, "journalctl -q -o json TLOG_USER=carol | wc -l") == "0\r\n"
        listed = command(terminal, "sessionwrap list --json 2>/dev/null | grep -c carol")
        assert listed == "0\r\n"
        for words in ("list", f"play {rec}", f"list -D /var/log/journal; sessionwrap play {rec}"):
            shown = command(terminal, f"sessionwrap {words} 2>&1")
            assert "Traceback" not in shown
            assert "confidential" not in shown
        for path in ("/run/sessionwrap/spool", "/var/log/sessionwrap"):
            assert "Permission denied" in command(terminal, f"ls {path}")
        tickets = command(terminal, "cat /run/sessionwrap/tickets/*")
        names = {line.partition("=")[0] for line in tickets.splitlines()}
        assert names <= {
            *("rule", "user", "shell", "service", "rhost", "tty", "policy"),
            *("record", "uid", "session", "pid", "start", "time"),
        }
        assert "denied" in command(terminal, "touch /run/sessionwrap/tickets/session-1-1000")
        logout(terminal)


def test_forged_entries_are_never_verified_and_change_no_recording(attacked: Host) -> None:
    with login(attacked, "alice") as terminal:
        command(terminal, "echo the truth")
        logout(terminal)
    before = ended(attacked)[-1]
    rec = before["rec"]
    output = played(attacked, rec)
    assert ssh(attacked, "alice", attack("forge", "madeup-1-2", rec)).stdout == b"forged\n"
    attacked.wait_for_entries("SESSIONWRAP_REC=madeup-1-2", count=2)
    after = [entry for entry in recordings(attacked) if entry["rec"] in (rec, "madeup-1-2")]
    assert [entry for entry in after if entry["verified"]] == [before]
    assert {entry["rec"] for entry in after if not entry["verified"]} == {rec, "madeup-1-2"}
    assert played(attacked, rec) == output
    words = ["sessionwrap", "play", "--goto=end", "madeup-1-2"]
    assert "warning: not verified" in attacked.run(words).stderr
    assert rec in attacked.run(["sessionwrap", "list", "--verified"]).stdout


def test_a_forged_recording_does_not_take_the_short_id_of_a_real_one(attacked: Host) -> None:
    with login(attacked, "alice") as terminal:
        command(terminal, "echo the truth")
        logout(terminal)
    rec = ended(attacked)[-1]["rec"]
    _, _, short = rec.partition("-")
    ssh(attacked, "alice", attack("forge", short))
    attacked.wait_for_entries(f"SESSIONWRAP_REC={short}", count=2)
    assert b"the truth\r\n" in played(attacked, short)
    assert b"FORGED" not in played(attacked, short)


def test_a_command_that_was_logged_cannot_be_replaced_by_another(attacked: Host) -> None:
    later = (
        '$0 = "uptime"; socket(S, 1, 5, 0); connect(S, pack("Sa*", 1, '
        '"/run/sessionwrap/recorder.sock")); send(S, "C", 0); recv(S, $_, 99, 0)'
    )
    ssh(attacked, "alice", f"echo what was really run; exec perl -e '{later}'")
    commands = [entry["command"] for entry in recordings(attacked) if entry["verified"]]
    assert any("what was really run" in line for line in commands)


def test_su_to_oneself_does_not_hide_where_the_next_terminal_comes_from(attacked: Host) -> None:
    control = ("-o", "ControlPath=/tmp/mux", "-o", "ControlPersist=no")
    with login(attacked, "alice", options=(*control, "-o", "ControlMaster=yes")) as first:
        become(first, "su - alice")
        with login(attacked, "alice", options=control) as second:
            logout(second)
        first.sendline("exit")
        first.expect_exact(PROMPT)
        logout(first)
    found = ended(attacked)[-3:]
    assert sorted((entry["service"], entry["rhost"]) for entry in found) == [
        ("sshd", "127.0.0.1"),
        ("sshd", "127.0.0.1"),
        ("su-l", ""),
    ]


@pytest.mark.parametrize(
    "argument",
    [
        pytest.param(b"a" * 100_000, id="100 KB"),
        pytest.param(b"a" * 1_000_000, id="1 MB"),
        pytest.param(b"first\nsecond\n\tthird", id="lines"),
        pytest.param(b"\xff\xfe\xc3(", id="invalid UTF-8"),
        pytest.param(b"\x1b[31m\x1b]0;title\x07\x9b6n", id="escape sequences"),
        pytest.param(b"\x01" * 4000, id="control characters"),
    ],
)
def test_no_argument_keeps_a_command_from_being_recorded(attacked: Host, argument: bytes) -> None:
    command_line = [os.fsencode(word) for word in attacked.ssh_command("alice", "-tt")]
    script = b"printf ran; : '" + argument + b"'"
    before = len(recordings(attacked))
    try:
        done = subprocess.run(
            [*command_line, script],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
        )
    except OSError as error:
        assert len(argument) > 100_000, error  # more than execve(2) takes as one argument
        return
    assert done.stdout.endswith(b"ran"), done.stdout[-200:]
    found = ended(attacked)
    assert len(found) == before + 1
    assert found[-1]["command"].startswith("printf ran; : '")
    assert found[-1]["complete"]


def test_what_the_user_names_is_shown_to_the_auditor_as_visible_text(attacked: Host) -> None:
    words = ["ssh", "-tt", "-oLogLevel=ERROR", "-oBatchMode=yes", "alice@127.0.0.1"]
    script = "printf ran # \x1b]0;title\x07\x1b[6n"
    environment = {"TERM": "xterm\x1b[6n\x9b\n;rm"}
    done = subprocess.run(
        attacked.command([*words, script], env=environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.stdout.endswith(b"ran")
    last = ended(attacked)[-1]
    terms = {message["term"] for message in messages(attacked, last["rec"])}
    assert all(term.isprintable() and "\x1b" not in term for term in terms)
    ssh(attacked, "alice", "-T", script)
    ssh(attacked, "alice", attack("forge", "'escape\x1b[6n-1-2'"))
    listed = attacked.run(["sessionwrap", "list"]).stdout
    assert "\\x1b]0;title" in listed
    assert all(line.isprintable() for line in listed.splitlines())
    assert "\x1b" not in attacked.run(["sessionwrap", "list", "--json"]).stdout


def test_a_recording_does_not_make_the_auditors_terminal_answer(attacked: Host) -> None:
    data = b"".join(DRAWS + ACTS)
    attacked.run(["runuser", "-u", "alice", "--", "sh", "-c", "cat > ~alice/acts"], input=data)
    assert data[:200] in ssh(attacked, "alice", "-tt", "stty -opost; cat acts").stdout
    rec = ended(attacked)[-1]["rec"]
    attacked.write("/root/tmux.conf", "set -g focus-events on\nset -g allow-passthrough on\n")
    answers = {}
    for option in ("--raw", "--goto=end"):
        answer = f"/root/answer{option}"
        # On a terminal between: at its end the player drops what its own terminal has answered.
        play = f"sessionwrap play --goto=end {option} {rec}"
        watch = [PYTHON, f"{ATTACKS}/watch.py", answer, "script", "-qec", play, "/dev/null"]
        # tmux has a terminal of its own to answer with: nobody needs to be attached. Each has its
        # own server: one that is just ending takes no new session.
        tmux = ["tmux", "-L", f"answer{option}", "-f", "/root/tmux.conf"]
        attacked.run([*tmux, "new-session", "-d", *watch])
        attacked.run(["sh", "-c", f"until [ -e {answer} ]; do sleep .05; done"])
        answers[option] = attacked.run(["cat", answer]).stdout.split()
    assert len(answers["--raw"]) == 2, "tmux answers nothing at all: this test shows nothing"
    assert answers["--goto=end"] == ["0"]
