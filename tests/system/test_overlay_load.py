"""The user database under load: who hammers it, or waits for a directory, slows nobody else."""

from __future__ import annotations

import json
import subprocess

from host import Host

from sessionwrap import paths
from tests.system import directory
from tests.system.helpers import as_user

OURS = paths.LOGIN_SHELL
LOOKUPS = 200
HANGING = 40

# As many connections as there may be, one call each that never ends, and garbage without a pause.
_HAMMER = f"""
import socket
def connect():
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(5)
    sock.connect({paths.OVERLAY_SOCKET!r})
    return sock
idle = [connect() for _ in range(200)]
for sock in idle[::2]:
    try:
        sock.send(b'{{"method"')
    except OSError:
        pass  # one too many
print("hammering", flush=True)
garbage = (b"garbage" * 100 + b"\\0", b'{{"method": "x"}}\\0' * 1000, b"[" * 20000, b"\\xff\\0")
while True:
    for data in garbage:
        try:
            with connect() as sock:
                sock.sendall(data)
                sock.recv(100)
        except OSError:
            pass
"""

# Each look-up's time in ms, and what shells came.
_LOOK_UP = """
import json, pwd, sys, time
user, count = sys.argv[1], int(sys.argv[2])
taken, shells = [], set()
for _ in range(count):
    before = time.monotonic()
    shells.add(pwd.getpwnam(user).pw_shell)
    taken.append((time.monotonic() - before) * 1000)
print(json.dumps([sorted(taken), sorted(shells)]))
"""


def lookups(host: Host, user: str, count: int = LOOKUPS) -> tuple[list[float], list[str]]:
    """Look a user up again and again; give the times in ms, sorted, and the shells."""
    done = host.run(["python3", "-c", _LOOK_UP, user, str(count)])
    taken, shells = json.loads(done.stdout)
    return taken, shells


def test_a_user_who_hammers_the_socket_does_not_keep_others_from_right_answers(
    host: Host,
) -> None:
    before = main_pid(host)
    hammer = host.command(["python3", "-c", _HAMMER], user="bob")
    with subprocess.Popen(hammer, stdout=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout
            assert program.stdout.readline() == "hammering\n"
            for user, shell in (("alice", OURS), ("bob", "/bin/bash")):
                taken, shells = lookups(host, user)
                assert shells == [shell]
                assert taken[len(taken) // 2] < 20
                assert taken[-1] < 1000
            assert program.poll() is None
        finally:
            program.kill()
    assert main_pid(host) == before  # it neither hung nor failed


def test_hanging_lookups_of_a_directory_do_not_slow_local_users(directory_host: Host) -> None:
    host = directory_host
    host.add_user("carol", groups=["wheel"])
    directory.configure(host)
    directory.expire(host)
    directory.freeze(host)
    waiting = [
        subprocess.Popen(host.command(["getent", "passwd", f"nobody{number}"]))
        for number in range(HANGING)
    ]
    try:
        host.wait_until(lambda: questions(host) >= 32)
        taken, shells = lookups(host, "carol")
        assert shells == [OURS]
        assert taken[-1] < 1000
        assert taken[len(taken) // 2] < 20
        # Whether bob is in a group of the directory nobody knows now: in doubt he is recorded.
        taken, shells = lookups(host, "bob")
        assert shells == [OURS]
        assert taken[-1] < 1500
        assert taken[len(taken) // 2] < 20
    finally:
        for program in waiting:
            program.kill()
            program.wait()
        directory.thaw(host)


def test_the_service_is_exposed_to_little(host: Host) -> None:
    words = ["systemd-analyze", "security", "--no-pager", "--threshold=25"]
    done = host.run([*words, "sessionwrap-userdb.service"], check=False)
    assert done.returncode == 0, done.stdout[-200:]
    (uid,) = host.run(["ps", "-o", "user:30=", "-p", main_pid(host)]).stdout.split()
    assert uid == paths.OVERLAY_USER
    status = host.run(["cat", f"/proc/{main_pid(host)}/status"]).stdout
    assert "CapPrm:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert as_user(host, "bob", "kill", "-0", main_pid(host)).returncode != 0


def main_pid(host: Host) -> str:
    """Give the pid of the service."""
    words = ["systemctl", "show", "-p", "MainPID", "--value", "sessionwrap-userdb.service"]
    return host.run(words).stdout.strip()


def questions(host: Host) -> int:
    """Count the processes that ask the directory."""
    return len(host.run(["pgrep", "-P", main_pid(host)], check=False).stdout.split())
