"""Programs that speak over ssh without a terminal get their bytes unchanged, and are logged."""

from __future__ import annotations

import os
import subprocess

import pytest
from host import TIMEOUT, Host

from tests.system.helpers import alerts, recordings, ssh


def test_a_command_is_logged_and_runs_with_nothing_in_the_way(host: Host) -> None:
    done = ssh(host, "alice", "echo out; echo err >&2; cat; exit 3", stdin=b"in\x00\xff\n")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\nin\x00\xff\n", b"err\n")
    (entry,) = recordings(host)
    assert entry["kind"] == "command"
    assert entry["command"] == "echo out; echo err >&2; cat; exit 3"
    assert (entry["user"], entry["service"], entry["rhost"]) == ("alice", "sshd", "127.0.0.1")
    assert entry["verified"]


def test_a_command_runs_in_the_real_shell_without_an_ancestor_of_ours(host: Host) -> None:
    done = ssh(host, "alice", "echo $0 $SHELL; cat /proc/$PPID/comm; ps -u alice -o comm=")
    lines = done.stdout.decode().split()
    # Since OpenSSH 9.8 the process of a session is called sshd-session.
    assert lines[:2] == ["bash", "/bin/bash"]
    assert lines[2].removesuffix("-session") == "sshd"
    assert not [name for name in lines if "sessionwrap" in name or "python" in name]


def test_streams_stay_three_and_end_of_file_passes(host: Host) -> None:
    data = os.urandom(3_000_000)
    done = ssh(host, "alice", "tee /dev/stderr", stdin=data)
    assert done.stdout == data
    assert done.stderr == data


def test_a_command_with_stdin_from_dev_null_runs(host: Host) -> None:
    assert ssh(host, "alice", "-n", "echo ran").stdout == b"ran\n"


def test_a_shell_fed_from_a_pipe_runs_what_it_is_fed(host: Host) -> None:
    done = ssh(host, "alice", "-T", stdin=b"echo fed; exit 6\n")
    assert done.returncode == 6
    assert done.stdout.endswith(b"fed\n")


def test_a_signal_that_ends_the_command_is_what_ssh_reports(host: Host) -> None:
    bob = ssh(host, "bob", "kill -TERM $$")
    alice = ssh(host, "alice", "kill -TERM $$")
    assert alice.returncode == bob.returncode != 0


def test_scp_sftp_rsync_and_git_work(host: Host) -> None:
    script = r"""
    set -eu
    cd /root
    head -c 1000000 /dev/urandom > sent
    options='-o LogLevel=ERROR -o BatchMode=yes'
    scp -q $options sent alice@127.0.0.1:by-scp
    scp -q -O $options sent alice@127.0.0.1:by-old-scp
    echo 'put sent by-sftp' | sftp -q $options alice@127.0.0.1 >/dev/null
    rsync -e "ssh $options" sent alice@127.0.0.1:by-rsync
    for way in scp old-scp sftp rsync; do cmp sent /home/alice/by-$way; done
    ssh $options alice@127.0.0.1 'git init -q --bare repo.git'
    git init -q work
    cd work
    git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first
    GIT_SSH_COMMAND="ssh $options" git push -q alice@127.0.0.1:repo.git HEAD:main
    GIT_SSH_COMMAND="ssh $options" git ls-remote alice@127.0.0.1:repo.git main
    """
    done = host.run(["bash", "-c", script])
    assert "refs/heads/main" in done.stdout
    commands = [entry["command"] for entry in recordings(host)]
    assert any(command.startswith("scp -t") for command in commands)
    assert any(command.startswith("rsync --server") for command in commands)
    assert any(command.startswith("git-receive-pack") for command in commands)


def test_a_user_out_of_scope_leaves_no_trace_but_the_hooks_ticket_and_entry(host: Host) -> None:
    script = "cat /run/sessionwrap/tickets/*; echo processes: $(ps -e -o comm= | grep sessionwrap)"
    for options in (("-tt",), ("-T",)):
        done = ssh(host, "bob", *options, script)
        assert done.returncode == 0
        output = done.stdout.decode()
        assert "record=0" in output
        processes = output.rpartition("processes:")[2].split()
        assert sorted(processes) == ["sessionwrap-use", "sessionwrapd"], "more than the services"
        assert "being recorded" not in output
    assert recordings(host) == []
    assert alerts(host) == []
    entries = host.wait_for_entries("SYSLOG_IDENTIFIER=sessionwrap", count=2)
    assert [entry["SESSIONWRAP_OUTCOME"] for entry in entries] == ["out_of_scope"] * 2
    logged = host.run(["journalctl", "-q", "-o", "cat", "SYSLOG_IDENTIFIER=sessionwrap"]).stdout
    assert len(logged.splitlines()) == 2
    assert host.run(["ls", "/run/sessionwrap/spool"]).stdout == ""


def test_an_enrolled_user_who_left_the_scope_gets_the_real_shell_and_no_recording(
    host: Host,
) -> None:
    host.run(["sessionwrap", "enroll", "alice"])
    host.run(["gpasswd", "--delete", "alice", "wheel"])
    done = ssh(host, "alice", "-tt", "echo $0 $SHELL; ps -u alice -o comm=")
    assert b"bash /bin/bash\r\n" in done.stdout
    assert b"sessionwrap" not in done.stdout
    assert recordings(host) == []


def test_a_user_out_of_scope_gets_in_while_the_recorder_is_dead_even_when_enrolled(
    host: Host,
) -> None:
    host.run(["sessionwrap", "enroll", "alice"])
    host.run(["gpasswd", "--delete", "alice", "wheel"])
    host.run(["systemctl", "stop", "sessionwrapd.socket", "sessionwrapd.service"])
    assert ssh(host, "alice", "-tt", "echo got in").stdout == b"got in\r\n"


def test_a_refused_command_does_not_run_and_its_caller_reads_why(host: Host) -> None:
    host.run(["systemctl", "stop", "sessionwrapd.socket", "sessionwrapd.service"])
    done = ssh(host, "alice", "cat", stdin=b"payload")
    assert done.returncode != 0
    # On stdout: there sshd shows what PAM says when it opens no session.
    assert b"must be recorded" in done.stdout
    assert b"payload" not in done.stdout


@pytest.mark.parametrize("locale", ["C", "POSIX", "de_DE.ISO-8859-1", "xx_YY.nonsense"])
def test_no_locale_stops_a_login_or_changes_its_bytes(host: Host, locale: str) -> None:
    command_line = host.ssh_command("alice", options=["-o", f"SetEnv=LC_ALL={locale}"])
    script = (
        rb"echo $LC_ALL; printf '\344\366\374' | od -An -tx1; printf '%s' '"
        + b"\xe4\xff"
        + rb"' | od -An -tx1"
    )
    done = subprocess.run(
        [*(os.fsencode(word) for word in command_line), script],
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.stdout.split() == [locale.encode(), b"e4", b"f6", b"fc", b"e4", b"ff"], done.stderr
