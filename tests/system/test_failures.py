"""What fails is said: to the user in a sentence, to the admin as an alert, and nothing is lost."""

from __future__ import annotations

import re

import pexpect
import pytest
from host import Host

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
    recorder,
    recording_pids,
    recordings,
    spare,
    ssh,
    wait_for_end,
    workers,
)


def ids(host: Host, rec: str) -> list[int]:
    return [message["id"] for message in messages(host, rec)]


def stored(host: Host, rec: str) -> str:
    """Give the output that the journal has of a recording."""
    return "".join(message["out_txt"] for message in messages(host, rec))


def shells_of(host: Host, user: str) -> str:
    return host.run(["pgrep", "--uid", user, "-x", "bash"], check=False).stdout


def refused(host: Host, user: str) -> str:
    """Try to log in with a terminal; give what was shown instead of a prompt."""
    done = ssh(host, user, "-tt")
    output = done.stdout + done.stderr
    assert done.returncode != 0, output
    assert PROMPT.encode() not in output
    return output.decode()


def test_a_client_that_vanishes_leaves_a_complete_recording_and_no_shell(host: Host) -> None:
    with login(host, "alice") as terminal:
        command(terminal, "echo the last words")
        host.run(["pkill", "-KILL", "-x", "ssh"])
        terminal.expect(pexpect.EOF)
    (recording,) = wait_for_end(host)
    assert recording["complete"]
    assert recording["reason"] == "hangup"
    assert b"the last words\r\n" in played(host, recording["rec"])
    host.wait_until(lambda: shells_of(host, "alice") == "")


def test_a_killed_worker_ends_the_session_and_what_was_on_the_screen_is_recorded(
    host: Host,
) -> None:
    with login(host, "alice") as terminal:
        shown = command(terminal, "seq 1000 2000; sleep 1; echo one second earlier")
        assert shown.endswith("one second earlier\r\n")
        (worker,) = recording_pids(host)
        host.run(["kill", "-KILL", str(worker)])
        terminal.expect(pexpect.EOF)
    (recording,) = wait_for_end(host)
    assert not recording["complete"]
    assert recording["state"] == "abnormal"
    assert shown.encode() in played(host, recording["rec"])
    assert ids(host, recording["rec"]) == list(range(1, recording["messages"] + 1))
    host.wait_until(lambda: shells_of(host, "alice") == "")
    host.wait_until(lambda: host.run(["ls", "/run/sessionwrap/spool"]).stdout == "")


def test_the_worker_that_waits_makes_the_next_recording_and_another_waits_then(host: Host) -> None:
    waits = spare(host)
    with login(host, "alice") as terminal:
        assert recording_pids(host) == [waits]
        assert spare(host) != waits
        assert f"{waits} sessionwrapd" in host.run(["ps", "-e", "-o", "pid=,comm="]).stdout
        logout(terminal)
    (recording,) = wait_for_end(host)
    assert recording["complete"]


def test_a_killed_spare_worker_keeps_nobody_from_being_recorded(host: Host) -> None:
    killed = spare(host)
    host.run(["kill", "-KILL", str(killed)])
    with login(host, "alice") as terminal:
        command(terminal, "echo recorded")
        logout(terminal)
    (recording,) = wait_for_end(host)
    assert b"recorded\r\n" in played(host, recording["rec"])
    assert spare(host) != killed
    assert alerts(host) == []


def test_a_recorder_that_stops_leaves_no_spare_worker(host: Host) -> None:
    spare(host)
    host.run(["systemctl", "stop", "sessionwrapd.socket", "sessionwrapd.service"])
    host.wait_until(lambda: host.run(["pgrep", "-u", "sessionwrap"], check=False).stdout == "")


def test_a_recorder_that_restarts_leaves_running_recordings_alone(host: Host) -> None:
    with login(host, "alice") as terminal:
        command(terminal, "echo before")
        host.run(["systemctl", "restart", "sessionwrapd.service"])
        assert command(terminal, "echo after") == "after\r\n"
        with login(host, "carol") as other:
            logout(other)
        assert logout(terminal, 3) == 3
    found = wait_for_end(host, 2)
    assert [recording["complete"] for recording in found] == [True, True]


@pytest.mark.parametrize("during", ["before", "after"])
def test_a_worker_killed_around_a_restart_of_the_recorder_is_recovered(
    host: Host, during: str
) -> None:
    with login(host, "alice") as terminal:
        command(terminal, "echo precious")
        (worker,) = recording_pids(host)
        if during == "before":
            host.run(["systemctl", "stop", "sessionwrapd.socket", "sessionwrapd.service"])
            host.run(["kill", "-KILL", str(worker)])
            host.run(["systemctl", "start", "sessionwrapd.socket", "sessionwrapd.service"])
        else:
            host.run(["systemctl", "restart", "sessionwrapd.service"])
            host.run(["kill", "-KILL", str(worker)])
        terminal.expect(pexpect.EOF)
    (recording,) = wait_for_end(host)
    assert not recording["complete"]
    assert b"precious\r\n" in played(host, recording["rec"])


def test_a_reload_takes_new_settings_for_new_recordings_only(host: Host) -> None:
    with login(host, "alice") as terminal:
        before = recorder(host)
        host.write("/etc/sessionwrap/rec-session.conf", '{"notice": "You are watched.\\n"}')
        host.run(["systemctl", "reload", "sessionwrapd.service"])
        assert recorder(host) == before
        assert b"You are watched.\r\n" in ssh(host, "alice", "-tt", "true").stdout
        assert command(terminal, "echo still here") == "still here\r\n"
        logout(terminal)
    assert all(recording["complete"] for recording in wait_for_end(host, 2))


def test_with_broken_scope_rules_everybody_but_root_is_recorded_and_the_line_is_named(
    host: Host,
) -> None:
    host.write("/etc/sessionwrap/conf.d/zz.conf", "[session_recording]\nscope = sme\n")
    for user in ("alice", "bob", "root"):
        assert gets_in(host, user)
    assert {recording["user"] for recording in wait_for_end(host, 2)} == {"alice", "bob"}
    found = alerts(host)
    assert len(found) == 3
    for line, user in zip(found, ("alice", "bob", "root"), strict=True):
        assert "/etc/sessionwrap/conf.d/zz.conf:2: scope" in line
        assert "everybody is recorded but root and system accounts" in line
        assert f"This was the login of {user}" in line
    checked = host.run(["sessionwrap", "check"], check=False)
    assert checked.returncode == 2
    assert "/etc/sessionwrap/conf.d/zz.conf:2: scope" in checked.stdout + checked.stderr
    host.run(["rm", "/etc/sessionwrap/conf.d/zz.conf"])
    assert gets_in(host, "alice")
    assert gets_in(host, "bob")
    assert [each["user"] for each in wait_for_end(host, 3)].count("bob") == 1


@pytest.mark.parametrize(
    ("broken", "mended", "named"),
    [
        (
            ["chmod", "666", "/etc/sessionwrap/conf.d/tests.conf"],
            ["chmod", "644", "/etc/sessionwrap/conf.d/tests.conf"],
            "/etc/sessionwrap/conf.d/tests.conf: has mode 0666",
        ),
        (
            ["mv", "/etc/sessionwrap", "/etc/elsewhere"],
            ["mv", "/etc/elsewhere", "/etc/sessionwrap"],
            "/etc/sessionwrap: cannot be opened",
        ),
    ],
)
def test_unreadable_scope_rules_never_mean_that_nobody_is_recorded(
    host: Host, broken: list[str], mended: list[str], named: str
) -> None:
    host.run(broken)
    for user in ("alice", "bob", "root"):
        assert gets_in(host, user)
    assert {recording["user"] for recording in wait_for_end(host, 2)} == {"alice", "bob"}
    assert len(alerts(host)) == 3
    assert all(named in line for line in alerts(host))
    host.run(mended)
    assert gets_in(host, "alice")
    assert gets_in(host, "bob")
    assert [each["user"] for each in wait_for_end(host, 3)].count("bob") == 1


def test_broken_settings_are_named_and_the_recorder_goes_on_with_the_old_ones(host: Host) -> None:
    host.write("/etc/sessionwrap/rec-session.conf", '{\n"latency": "soon"\n}')
    host.run(["systemctl", "reload", "sessionwrapd.service"])
    host.wait_until(lambda: alerts(host))
    (alert,) = alerts(host)
    assert "/etc/sessionwrap/rec-session.conf:2: latency" in alert
    assert "goes on as it was set before" in alert
    assert gets_in(host, "alice")


def test_a_recorder_that_cannot_start_refuses_those_in_scope_and_nobody_else(host: Host) -> None:
    host.write("/etc/sessionwrap/rec-session.conf", "{ nonsense")
    host.run(["systemctl", "restart", "sessionwrapd.service"], check=False)
    assert "must be recorded" in refused(host, "alice")
    assert gets_in(host, "bob")
    assert gets_in(host, "root")
    assert any("rec-session.conf:1" in line for line in alerts(host))
    host.write("/etc/sessionwrap/rec-session.conf", "{}")
    host.run(["systemctl", "reset-failed", "sessionwrapd.service", "sessionwrapd.socket"])
    host.run(["systemctl", "restart", "sessionwrapd.socket", "sessionwrapd.service"])
    assert gets_in(host, "alice")


def test_a_dead_recorder_refuses_those_in_scope_and_nobody_else(host: Host) -> None:
    host.run(["systemctl", "stop", "sessionwrapd.socket", "sessionwrapd.service"])
    output = refused(host, "alice")
    assert "this login must be recorded, but the recorder does not answer" in output
    assert "Please tell an administrator" in output
    assert gets_in(host, "bob")
    assert gets_in(host, "root")
    assert any("A login of alice by sshd was refused" in line for line in alerts(host))
    host.run(["systemctl", "start", "sessionwrapd.socket", "sessionwrapd.service"])
    assert gets_in(host, "alice")


def test_a_recorder_that_hangs_refuses_those_in_scope_in_time(host: Host) -> None:
    host.run(["kill", "-STOP", str(recorder(host))])
    assert "must be recorded" in refused(host, "alice")
    assert gets_in(host, "bob")
    host.run(["kill", "-CONT", str(recorder(host))])
    assert gets_in(host, "alice")


def test_without_the_overlay_who_is_not_enrolled_is_refused_and_who_is_gets_in(host: Host) -> None:
    host.run(["sed", "-i", "/^passwd:/s/systemd//", "/etc/nsswitch.conf"])
    output = refused(host, "carol")
    assert "the login shell of carol is /bin/bash, not /usr/bin/sessionwrap-shell" in output
    assert any("sessionwrap doctor carol" in line for line in alerts(host))
    host.run(["sessionwrap", "enroll", "carol"])
    assert gets_in(host, "carol")
    assert [each["user"] for each in wait_for_end(host)] == ["carol"]
    host.run(["sessionwrap", "unenroll", "carol"])
    refused(host, "carol")


def set_real_shell(host: Host, user: str, shell: str, where: str) -> None:
    """Give a user a real shell: in the passwd entry, or in the map of the enrolled."""
    if where == "passwd":
        host.run(["usermod", "--shell", shell, user])
        return
    host.run(["sessionwrap", "enroll", user])
    host.run(["sed", "-i", f"s,^{user}:.*,{user}:{shell},", "/var/lib/sessionwrap/shells"])


@pytest.mark.parametrize("where", ["passwd", "enrolled"])
def test_a_real_shell_that_is_missing_becomes_bin_sh_with_an_alert(host: Host, where: str) -> None:
    set_real_shell(host, "alice", "/bin/nosuchshell", where)
    done = ssh(host, "alice", "-tt", "echo in $0; echo $SHELL")
    assert b"in sh\r\n/bin/sh\r\n" in done.stdout
    assert any("/bin/nosuchshell cannot be started" in line for line in alerts(host))
    assert [each["user"] for each in wait_for_end(host)] == ["alice"]


def test_a_login_shell_whose_real_shell_is_itself_does_not_start_itself_for_ever(
    host: Host,
) -> None:
    host.run(["ln", "-s", "/usr/bin/sessionwrap-shell", "/usr/local/bin/mysh"])
    set_real_shell(host, "alice", "/usr/local/bin/mysh", "enrolled")
    assert gets_in(host, "alice")
    assert any("sessionwrap-shell itself" in line for line in alerts(host))
    assert [each["user"] for each in wait_for_end(host)] == ["alice"]


def test_whose_passwd_entry_is_a_link_to_our_login_shell_gets_the_shell_of_the_settings(
    host: Host,
) -> None:
    host.run(["ln", "-s", "/usr/bin/sessionwrap-shell", "/usr/local/bin/mysh"])
    set_real_shell(host, "alice", "/usr/local/bin/mysh", "passwd")
    assert b"in bash\r\n" in ssh(host, "alice", "-tt", "echo in $0").stdout
    assert [each["user"] for each in wait_for_end(host)] == ["alice"]


def test_without_journald_running_sessions_go_on_and_nothing_of_them_is_lost(host: Host) -> None:
    with login(host, "alice") as terminal:
        command(terminal, "echo before")
        host.run(["systemctl", "stop", *JOURNALD])
        shown = command(terminal, "seq 1 5000; echo while it was away")
        assert "journal does not answer" in refused(host, "carol")
        assert gets_in(host, "bob")
        host.run(["systemctl", "start", *JOURNALD])
        assert command(terminal, "echo after") == "after\r\n"
        logout(terminal)
    (recording,) = wait_for_end(host)
    assert recording["complete"]
    assert ids(host, recording["rec"]) == list(range(1, recording["messages"] + 1))
    assert shown.encode() in played(host, recording["rec"])
    assert gets_in(host, "carol")


def test_who_logs_out_while_journald_is_away_is_recorded_when_it_is_back(host: Host) -> None:
    with login(host, "alice") as terminal:
        host.run(["systemctl", "stop", *JOURNALD])
        command(terminal, "echo unheard of")
        logout(terminal)
    host.run(["systemctl", "start", *JOURNALD])
    (recording,) = wait_for_end(host)
    assert recording["complete"]
    assert b"unheard of\r\n" in played(host, recording["rec"])
    assert any("could not be stored for" in line for line in alerts(host))


def small_journal(host: Host) -> None:
    """Give the journal a disk of its own of 24 MB."""
    host.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", "/var/log/journal"])
    # As tmpfiles.d has it: who is in the group may read, the recorder among them.
    host.run(["chgrp", "systemd-journal", "/var/log/journal"])
    host.run(["chmod", "2755", "/var/log/journal"])
    host.run(["systemctl", "restart", "systemd-journald.service"])
    host.run(["journalctl", "--flush"])


def test_with_a_full_journal_disk_every_message_is_there_or_its_loss_is_said(host: Host) -> None:
    small_journal(host)
    with login(host, "alice") as terminal:
        command(terminal, "echo before")
        host.run(["sh", "-c", "cat /dev/zero > /var/log/journal/filler"], check=False)
        command(terminal, "head -c 6000000 /dev/urandom | base64")
        logout(terminal)
    host.wait_until(lambda: workers(host) == [])
    complete = [each for each in recordings(host) if each["complete"]]
    kept = complete and ids(host, complete[0]["rec"]) == list(range(1, complete[0]["messages"] + 1))
    assert kept or any("messages of recording" in line for line in alerts(host))


def test_messages_that_the_journal_lost_are_an_alert_at_the_end(host: Host) -> None:
    with login(host, "alice") as terminal:
        command(terminal, "seq 1 30000")
        (rec,) = [each["rec"] for each in recordings(host)]
        # Of what was shown so far nothing is to be stored later.
        host.wait_until(lambda: stored(host, rec).endswith(f"\n30000\r\n{PROMPT}"))
        host.run(["journalctl", "--rotate", "--vacuum-files=1"])
        host.run(["journalctl", "--vacuum-size=1K"])
        assert host.run(["journalctl", "-q", "TLOG_USER=alice"]).stdout == ""
        logout(terminal)
    host.wait_until(lambda: alerts(host))
    (text,) = alerts(host)
    said = re.search(r"keeps (\d+) of the (\d+) messages of recording (\S+) of alice", text)
    assert said, text
    assert int(said[1]) < int(said[2])


def test_a_recorder_that_may_not_read_the_journal_says_so_and_locks_nobody_out(host: Host) -> None:
    small_journal(host)
    host.run(["chgrp", "-R", "root", "/var/log/journal"])
    assert gets_in(host, "alice")
    host.wait_until(lambda: alerts(host))
    assert "may not read the journal" in alerts(host)[0]
    assert gets_in(host, "alice")


def test_a_full_disk_holds_the_terminal_back_and_loses_nothing_of_a_file(host: Host) -> None:
    host.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=777", "tmpfs", "/var/log/sessionwrap"])
    host.write(
        "/etc/sessionwrap/rec-session.conf",
        '{"writer": "file", "file": {"path": "/var/log/sessionwrap/log"},'
        ' "recorder": {"spool_size": 1048576}}',
    )
    host.run(["systemctl", "restart", "sessionwrapd.service"])
    with login(host, "alice") as terminal:
        terminal.sendline("seq 1 300000 | md5sum; seq 1 300000")
        terminal.expect_exact("cannot be recorded at the moment and waits")
        host.wait_until(lambda: alerts(host))
        assert "no space" in alerts(host)[0].lower()
        host.run(["mount", "-o", "remount,size=64m", "/var/log/sessionwrap"])
        terminal.expect_exact("\n300000\r\n")
        terminal.expect_exact(PROMPT)
        logout(terminal)
    (recording,) = wait_for_end(host)
    assert recording["complete"]
    words = ["sessionwrap", "play", "--goto=end", "-i", "/var/log/sessionwrap/log"]
    output = host.run([*words, "-m", recording["rec"]]).stdout
    assert "\n".join(str(number) for number in range(1, 300001)) in output.replace("\r\n", "\n")
