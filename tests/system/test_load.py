"""Many at once: everybody gets in, everything is recorded."""

from __future__ import annotations

import subprocess

from host import Host

from tests.system.helpers import messages, played, wait_for_end

LOGINS = 50
LOUD = 20


def test_fifty_logins_at_once_twenty_of_them_at_full_speed_are_all_recorded(host: Host) -> None:
    host.write("/etc/ssh/sshd_config.d/load.conf", "MaxStartups 200\nMaxSessions 100\n")
    # Not reload: that comes back before sshd listens again.
    host.run(["systemctl", "restart", "ssh"])
    clients = []
    for number in range(LOGINS):
        loud = number < LOUD
        script = f"echo login {number}; seq 1 {60000 if loud else 10}; echo end of {number}"
        clients.append(
            subprocess.Popen(
                host.ssh_command("alice" if number % 2 else "carol", "-tt", script),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
    received = {}
    for number, client in enumerate(clients):
        output, errors = client.communicate(timeout=120)
        assert client.returncode == 0, errors
        assert output.endswith(b"end of %d\r\n" % number), output[-200:]
        received[b"login %d\r\n" % number] = output
    found = wait_for_end(host, LOGINS, timeout=60)
    assert len(found) == LOGINS
    for recording in found:
        assert recording["complete"]
        ids = [message["id"] for message in messages(host, recording["rec"])]
        assert ids == list(range(1, recording["messages"] + 1))
        output = played(host, recording["rec"], "--raw")
        (first,) = [line for line in received if line in output]
        assert output == received.pop(first)
    assert not received
