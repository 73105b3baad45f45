"""Many at once: everybody gets in, everything is recorded."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from host import Host

from tests.system.helpers import messages, played, wait_for_end

LOGINS = 50
LOUD = 20


@contextmanager
def client(host: Host, user: str, script: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start an ssh client with a terminal; it is gone afterwards."""
    with subprocess.Popen(
        host.ssh_command(user, "-tt", script),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def test_fifty_logins_at_once_twenty_of_them_at_full_speed_are_all_recorded(host: Host) -> None:
    received = {}
    with ExitStack() as stack:
        clients = []
        for number in range(LOGINS):
            lines = 60000 if number < LOUD else 10
            script = f"echo login {number}; seq 1 {lines}; echo end of {number}"
            user = "alice" if number % 2 else "carol"
            clients.append(stack.enter_context(client(host, user, script)))
        for number, started in enumerate(clients):
            output, errors = started.communicate(timeout=180)
            assert started.returncode == 0, errors
            assert output.endswith(b"end of %d\r\n" % number), output[-200:]
            received[b"login %d\r\n" % number] = output
    found = wait_for_end(host, LOGINS)
    assert len(found) == LOGINS
    for recording in found:
        assert recording["complete"]
        ids = [message["id"] for message in messages(host, recording["rec"])]
        assert ids == list(range(1, recording["messages"] + 1))
        output = played(host, recording["rec"], "--raw")
        (first,) = [line for line in received if line in output]
        assert output == received.pop(first)
    assert not received
