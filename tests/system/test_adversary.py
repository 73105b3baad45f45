"""What the recorded user does not manage, with everything that their uid can do.

What is tried runs in the host, from tests/system/attacks. alice is the adversary.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from host import Host
from images import Image

from tests.player.test_safety import ACTS, DRAWS
from tests.system.helpers import (
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
    workers,
)

ATTACKS = "/usr/local/share/attacks"
PYTHON = "/usr/bin/python3"
PASSWORD = "secret"  # noqa: S105 # of users of a throwaway host


@pytest.fixture(scope="module")
def shared(installed_image: Image) -> Iterator[Host]:
    """Boot one host for all that leaves nothing behind."""
    with Host(installed_image) as host:
        for script in (Path(__file__).parent / "attacks").glob("*.py"):
            host.copy_in(script, f"{ATTACKS}/{script.name}")
        host.run(["sh", "-c", f"for u in alice bob carol; do echo $u:{PASSWORD}; done | chpasswd"])
        host.write("/etc/sudoers.d/alice", "alice ALL=(carol) NOPASSWD: ALL\n", 0o440)
        yield host


@pytest.fixture
def attacked(shared: Host) -> Iterator[Host]:
    """Give the shared host; afterwards the recorder is as before and others can log in."""
    before = descriptors(shared)
    pid = recorder(shared)
    yield shared
    shared.wait_until(lambda: workers(shared) == [], timeout=25)
    assert recorder(shared) == pid, "the recorder has died"
    shared.wait_until(lambda: descriptors(shared) == before)
    assert shared.run(["ls", "/run/sessionwrap/spool"]).stdout == ""
    assert gets_in(shared, "carol")
    shared.wait_until(lambda: workers(shared) == [])


def recorder(host: Host) -> int:
    shown = host.run(["systemctl", "show", "-p", "MainPID", "--value", "sessionwrapd"])
    return int(shown.stdout)


def descriptors(host: Host) -> list[str]:
    """Give what the recorder has open."""
    listed = host.run(
        ["sh", "-c", f"for f in /proc/{recorder(host)}/fd/*; do readlink $f || :; done"]
    )
    return sorted(listed.stdout.splitlines())


def attack(script: str, *words: object) -> str:
    return " ".join([PYTHON, f"{ATTACKS}/{script}.py", *map(str, words)])


def ended(host: Host) -> list[dict[str, Any]]:
    """Give all recordings once no worker is left."""
    host.wait_until(lambda: workers(host) == [], timeout=25)
    return recordings(host)


def become(terminal: pexpect.spawn[str], line: str) -> None:
    """Type an su command and its password."""
    terminal.sendline(line)
    terminal.expect_exact("Password: ")
    terminal.sendline(PASSWORD)
    terminal.expect_exact(PROMPT)


def outer_terminal(terminal: pexpect.spawn[str]) -> str:
    """Give the terminal of sshd in a recorded login."""
    line = 'for t in /dev/pts/[0-9]*; do [ -O $t ] && [ $t != "$(tty)" ] && echo $t; done'
    return command(terminal, line).strip()


def start(host: Host, user: str, *args: str) -> subprocess.Popen[bytes]:
    """Start ssh and wait for its first line."""
    client = subprocess.Popen(
        host.ssh_command(user, *args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert client.stdout
    client.stdout.readline()
    return client


def stop(*clients: subprocess.Popen[bytes]) -> None:
    for client in clients:
        client.kill()
        client.communicate()


def test_recorder_and_workers_cannot_be_signalled_traced_or_read(attacked: Host) -> None:
    pids = [recorder(attacked)]
    with login(attacked, "alice") as terminal:
        pids += workers(attacked)
        assert len(pids) == 2
        line = attack("reach_recorder", "--signals", *pids)
        assert command(terminal, line) == "tried\r\n"
        assert "strace" in command(terminal, "command -v strace")
        traced = command(terminal, f"strace -p {pids[1]}; kill -9 {pids[1]}")
        assert traced.count("Operation not permitted") == 2
        logout(terminal)
    assert ended(attacked)[-1]["complete"]


def test_the_outer_terminal_is_reached_neither_by_name_nor_through_a_process(
    attacked: Host,
) -> None:
    with login(attacked, "alice") as terminal:
        line = attack("reach_terminal")
        assert command(terminal, line) == "found 1\r\ntried\r\n"
        logout(terminal)


def test_the_parent_that_waits_for_a_command_holds_nothing_of_the_outer_terminal(
    attacked: Host,
) -> None:
    script = f"cat /proc/$PPID/comm; ls /proc/$PPID/fd >/dev/null && {attack('reach_terminal')}"
    done = ssh(attacked, "alice", "-tt", script)
    assert done.stdout.split(b"\r\n")[-4:] == [b"sessionwrap-she", b"found 1", b"tried", b""]


def test_the_parent_that_waits_for_su_is_closed_to_its_own_user(attacked: Host) -> None:
    with login(attacked, "bob") as terminal:
        become(terminal, "su - carol")
        assert command(terminal, "cat /proc/$PPID/comm") == "sessionwrap-she\r\n"
        assert command(terminal, attack("reach_recorder", "$PPID")) == "tried\r\n"
        terminal.sendline("exit")
        terminal.expect_exact(PROMPT)
        logout(terminal)


def test_a_shell_that_lets_go_of_its_terminal_does_not_get_the_outer_one(
    attacked: Host,
) -> None:
    for _ in range(4):
        with login(attacked, "alice") as terminal:
            outer = outer_terminal(terminal)
            terminal.sendline("exec " + attack("take_over", outer))
            terminal.expect(pexpect.EOF)
            assert "UNRECORDED" not in (terminal.before or "")


@pytest.mark.parametrize("redirection", ["2>/dev/tty", ">/dev/tty 2>&1", "3<>/dev/tty 2>&3"])
def test_su_with_streams_moved_still_shows_nothing_unrecorded(
    attacked: Host, redirection: str
) -> None:
    with login(attacked, "bob") as terminal:
        become(terminal, f"su - carol {redirection}")
        shown = command(terminal, "echo to the second >&2; echo to the third >&3")
        assert "to the second" in shown
        terminal.sendline("exit")
        terminal.expect_exact(PROMPT)
        logout(terminal)
    last = ended(attacked)[-1]
    assert last["user"] == "carol"
    assert b"echo to the second" in played(attacked, last["rec"]), "what was typed is missing"
    assert shown.encode() in played(attacked, last["rec"])


def test_who_reads_what_is_typed_past_the_recording_ends_the_session(attacked: Host) -> None:
    before = len(alerts(attacked))
    with login(attacked, "alice") as terminal:
        command(terminal, f"setsid {attack('lurk', 'typed')} </dev/null >lurk 2>&1 &")
        command(terminal, "until grep -q lurking lurk; do sleep .01; done")
        logout(terminal)
    attacked.wait_until(lambda: workers(attacked) == [])
    with attacked.spawn_ssh("alice") as terminal:
        terminal.expect(["being recorded", PROMPT])
        for _ in range(20):
            try:
                terminal.send("secret words\r")
            except OSError:
                break  # the session was ended
        terminal.expect(pexpect.EOF)
    attacked.run(["pkill", "-f", "lurk.py"], check=False)
    last = ended(attacked)[-1]
    assert last["reason"] == "intruded"
    assert not last["complete"]
    assert any("Another process" in line for line in alerts(attacked)[before:])


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
    (before,) = [entry for entry in ended(attacked) if entry == recordings(attacked)[-1]]
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


def test_no_shell_is_left_when_the_worker_was_killed(attacked: Host) -> None:
    survivor = (
        "nohup sh -c 'exec 3>/dev/tty; while (: >/dev/tty); do sleep .1; done; "
        "echo survived >&3 || echo no terminal; exec sleep 300' >survivor 2>/dev/null </dev/null "
        "& disown"
    )
    with login(attacked, "alice") as terminal:
        command(terminal, survivor)
        shown = command(terminal, "sleep 1; echo one second earlier")
        terminal.sendline("sh -c 'echo $((6 * 7)); exec sleep 1000'")
        terminal.expect_exact("42\r\n")
        (worker,) = workers(attacked)
        attacked.run(["kill", "-KILL", str(worker)])
        terminal.expect(pexpect.EOF)
        assert terminal.before is not None
        assert "survived" not in terminal.before
    attacked.wait_until(
        lambda: attacked.run(["pgrep", "-u", "alice", "-x", "bash"], check=False).stdout == ""
    )
    running = attacked.run(["pgrep", "-a", "-u", "alice", "sleep"], check=False).stdout
    assert "1000" not in running
    attacked.wait_until(
        lambda: "no terminal" in attacked.run(["cat", "/home/alice/survivor"]).stdout
    )
    last = ended(attacked)[-1]
    assert (last["state"], last["complete"]) == ("abnormal", False)
    assert shown.encode() in played(attacked, last["rec"])
    attacked.run(["pkill", "-u", "alice", "-x", "sleep"])


def test_nonsense_on_the_recorders_socket_is_refused(attacked: Host) -> None:
    before = len(recordings(attacked))
    answers = ssh(attacked, "alice", attack("ask", "nonsense")).stdout.split()
    assert len(answers) == 21
    # A question is answered; what was passed beside it is dropped.
    assert answers.count(b"b'K'") == 1
    assert set(answers) <= {b"b'E'", b"b''", b"b'K'"}
    assert len(ended(attacked)) == before + 1, "more than the command itself was recorded"


def test_a_handshake_may_be_left_at_every_step(attacked: Host) -> None:
    done = ssh(attacked, "alice", "-tt", attack("ask", "leave"), timeout=120)
    assert b"left" in done.stdout
    found = ended(attacked)
    assert [entry for entry in found if entry["state"] in ("running", "no end")] == []


def test_many_idle_connections_do_not_keep_others_out(attacked: Host) -> None:
    client = start(attacked, "alice", attack("ask", "idle", 300, 60))
    try:
        began = time.monotonic()
        assert gets_in(attacked, "carol")
        assert time.monotonic() - began < 5
        attacked.wait_until(lambda: not any("socket" in name for name in descriptors(attacked)[9:]))
    finally:
        stop(client)
    attacked.run(["pkill", "-u", "alice", "-x", "python3"], check=False)


def test_a_storm_of_connections_does_not_keep_others_out(attacked: Host) -> None:
    client = start(attacked, "bob", attack("ask", "storm", 6))
    try:
        assert [gets_in(attacked, "carol") for _ in range(5)] == [True] * 5
    finally:
        client.communicate()


@pytest.mark.parametrize("how", ["never", "badly"])
def test_a_file_that_never_or_badly_closes_does_not_stop_the_recorder(host: Host, how: str) -> None:
    host.copy_in(Path(__file__).parent / "attacks/hold_close.py", f"{ATTACKS}/hold_close.py")
    host.run(["sh", "-c", "[ -e /dev/fuse ] || mknod -m 666 /dev/fuse c 10 229"])
    host.run(["install", "-d", "-o", "bob", "/home/bob/mnt"])
    pid = recorder(host)
    client = start(host, "bob", attack("hold_close", "mnt", how))
    try:
        assert gets_in(host, "carol")
        assert recorder(host) == pid
    finally:
        # The file system ends with its server, and with it whatever waits for an answer.
        host.run(["pkill", "-KILL", "-u", "bob", "-x", "python3"])
        stop(client)


def test_who_has_too_many_recordings_is_refused_and_others_are_not(attacked: Host) -> None:
    settings = '{"recorder": {"max_recordings_per_user": 3}}'
    attacked.write("/etc/sessionwrap/rec-session.conf", settings)
    attacked.run(["systemctl", "reload", "sessionwrapd.service"])
    clients = [start(attacked, "alice", "-tt", "echo; cat") for _ in range(3)]
    try:
        attacked.wait_until(lambda: len(workers(attacked)) == 3)
        refused = ssh(attacked, "alice", "-tt", "echo got in")
        assert b"3 recordings of this user are running, which is the limit" in refused.stdout
        assert b"got in" not in refused.stdout
        assert gets_in(attacked, "carol")
    finally:
        stop(*clients)
        attacked.write("/etc/sessionwrap/rec-session.conf", "{}")
        attacked.run(["systemctl", "reload", "sessionwrapd.service"])


def test_variables_of_the_user_do_not_reach_the_login_shell_or_root(attacked: Host) -> None:
    preload = "LD_PRELOAD{0}/home/alice/none.so\nLD_DEBUG{0}files\nLD_DEBUG_OUTPUT{0}/var/tmp/ld\n"
    own = "-u", "alice", "--", "sh", "-c"
    for path, equals in ((".pam_environment", " DEFAULT="), (".ssh/environment", "=")):
        attacked.run(
            ["runuser", *own, f"mkdir -p ~alice/.ssh; cat > ~alice/{path}"],
            input=preload.format(equals),
        )
    attacked.run(["runuser", *own, "echo 'echo ran > ~/rc-ran' > ~alice/.ssh/rc"])
    try:
        sent = ("PYTHONPATH=/home/alice", "PYTHONINSPECT=1", "LD_PRELOAD=/x.so", "LC_ALL=\x1b[c")
        options = [f"-oSetEnv={item}" for item in sent]
        done = subprocess.run(
            attacked.ssh_command("alice", "env; ls -l /proc/$$/fd", options=["-tt", *options]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        for word in (b"LD_PRELOAD", b"preload", b"PYTHON"):
            assert word not in done.stdout + done.stderr
        assert b"SHELL=/bin/bash\r\n" in done.stdout
        by_root = attacked.run(["sh", "-c", "find /var/tmp -user root -name 'ld.*'"]).stdout
        assert by_root == "", "root ran with the variables of a user"
        assert attacked.run(["ls", "/home/alice/rc-ran"], check=False).returncode != 0
    finally:
        attacked.run(["sh", "-c", "rm -rf ~alice/.pam_environment ~alice/.ssh /var/tmp/ld.*"])
    assert ended(attacked)[-1]["command"].startswith("env; ls -l")


@pytest.mark.parametrize(
    "line", ["su -s /bin/bash alice", "su -s /bin/bash - alice", "su -P alice"]
)
def test_su_with_another_shell_is_recorded_all_the_same(attacked: Host, line: str) -> None:
    with login(attacked, "bob") as terminal:
        become(terminal, line)
        assert command(terminal, "echo in $(id -un)") == "in alice\r\n"
        terminal.sendline("exit")
        terminal.expect_exact(PROMPT)
        logout(terminal)
    last = ended(attacked)[-1]
    assert (last["user"], last["complete"]) == ("alice", True)
    assert b"in alice\r\n" in played(attacked, last["rec"])


def test_another_shell_is_started_within_the_recording_only(attacked: Host) -> None:
    with login(attacked, "alice") as terminal:
        for line in (
            "sessionwrap-shell -c 'echo $((40 + 2))'",
            "bash -c 'exec -a -bash sessionwrap-shell -c \"echo \\$((40 + 2))\"'",
            "HOME=/nonexistent SHELL=/bin/dash USER=root sessionwrap-shell -c 'echo $((40 + 2))'",
            "newgrp wheel <<<'echo $((40 + 2))'",
            "setsid -w sessionwrap-shell -c 'echo $((40 + 2))' </dev/null",
        ):
            assert "42" in command(terminal, line), line
        refused = command(terminal, "chsh -s /bin/sh </dev/null; getent passwd alice")
        assert "may not change the shell" in refused
        assert refused.endswith(":/usr/bin/sessionwrap-shell\r\n")
        logout(terminal)
    found = ended(attacked)
    (login_,) = [entry for entry in found[-6:] if entry["messages"] and not entry["command"]][-1:]
    assert played(attacked, login_["rec"]).count(b"42") >= 4
    done = ssh(attacked, "alice", "-tt", "/bin/bash --norc -c 'echo another'")
    assert b"another\r\n" in done.stdout
    assert b"another\r\n" in played(attacked, ended(attacked)[-1]["rec"])


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
            timeout=30,
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
        timeout=30,
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


def test_ten_sessions_at_full_speed_do_not_keep_others_out(attacked: Host) -> None:
    clients = [
        subprocess.Popen(
            attacked.ssh_command("alice", "-tt", "yes"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        for _ in range(10)
    ]
    try:
        attacked.wait_until(lambda: len(workers(attacked)) == 10, timeout=30)
        began = time.monotonic()
        assert gets_in(attacked, "carol")
        assert time.monotonic() - began < 10
    finally:
        stop(*clients)
    assert all(entry["state"] != "abnormal" for entry in ended(attacked)[-12:])


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
        # tmux has a terminal of its own to answer with: nobody needs to be attached.
        attacked.run(["tmux", "-f", "/root/tmux.conf", "new-session", "-d", *watch])
        attacked.run(["sh", "-c", f"until [ -e {answer} ]; do sleep .05; done"])
        answers[option] = attacked.run(["cat", answer]).stdout.split()
    assert len(answers["--raw"]) == 2, "tmux answers nothing at all: this test shows nothing"
    assert answers["--goto=end"] == ["0"]
