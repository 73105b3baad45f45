"""What the recorded user does not manage: to keep the recorder from its work for others."""

from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack

import pytest
from host import Host

from tests.system.adversary import (
    attack,
    attacking,
    copy_attacks,
    descriptors,
    ended,
    holding,
)
from tests.system.helpers import gets_in, recorder, recording_pids, recordings, ssh


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


def sockets(host: Host) -> list[str]:
    """Give the sockets that the recorder has open."""
    return [name for name in descriptors(host) if name.startswith("socket:")]


def test_many_idle_connections_do_not_keep_others_out(attacked: Host) -> None:
    before = sockets(attacked)
    with attacking(attacked, "alice", "ask", "idle", 300, 600):
        began = time.monotonic()
        assert gets_in(attacked, "carol")
        assert time.monotonic() - began < 5
        attacked.wait_until(lambda: sockets(attacked) == before)


def test_a_storm_of_connections_does_not_keep_others_out(attacked: Host) -> None:
    with attacking(attacked, "bob", "ask", "storm", 600):
        assert [gets_in(attacked, "carol") for _ in range(5)] == [True] * 5


@pytest.mark.parametrize("how", ["never", "badly"])
def test_a_file_that_never_or_badly_closes_does_not_stop_the_recorder(host: Host, how: str) -> None:
    copy_attacks(host)
    host.run(["sh", "-c", "[ -e /dev/fuse ] || mknod -m 666 /dev/fuse c 10 229"])
    host.run(["install", "-d", "-o", "bob", "/home/bob/mnt"])
    pid = recorder(host)
    # The file system ends with its server, and with it whatever waits for an answer.
    with attacking(host, "bob", "hold_close", "mnt", how):
        assert gets_in(host, "carol")
        assert recorder(host) == pid


def test_who_has_too_many_recordings_is_refused_and_others_are_not(attacked: Host) -> None:
    settings = '{"recorder": {"max_recordings_per_user": 3}}'
    attacked.write("/etc/sessionwrap/rec-session.conf", settings)
    attacked.run(["systemctl", "reload", "sessionwrapd.service"])
    try:
        with ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(holding(attacked, "alice", "-tt", "echo; cat"))
            assert len(recording_pids(attacked)) == 3
            refused = ssh(attacked, "alice", "-tt", "echo got in")
            assert b"3 recordings of this user are running, which is the limit" in refused.stdout
            assert b"got in" not in refused.stdout
            assert gets_in(attacked, "carol")
    finally:
        attacked.write("/etc/sessionwrap/rec-session.conf", "{}")
        attacked.run(["systemctl", "reload", "sessionwrapd.service"])


def test_ten_sessions_at_full_speed_do_not_keep_others_out(attacked: Host) -> None:
    loud = attacked.ssh_command("alice", "-tt", "yes")
    with ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(
                subprocess.Popen(loud, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            )
            stack.callback(client.kill)
        attacked.wait_until(lambda: len(recording_pids(attacked)) == 10)
        began = time.monotonic()
        assert gets_in(attacked, "carol")
        assert time.monotonic() - began < 10
    assert all(entry["state"] != "abnormal" for entry in ended(attacked)[-12:])
