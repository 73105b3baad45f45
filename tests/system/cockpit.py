"""A terminal of Cockpit's, as its page opens one, relayed to stdin and stdout.

Argument: the user, whose password is ways.PASSWORD. Runs in the host as root in the place of
cockpit-ws, which starts cockpit-session too: it logs the user in by PAM and starts cockpit-bridge.
Ends with the status of the user's shell. The protocol: cockpit's doc/protocol.md.
"""

from __future__ import annotations

import base64
import json
import os
import pwd
import select
import subprocess
import sys
import tty
from typing import Any

PASSWORD = "secret"  # noqa: S105 # of users of a throwaway host
CHANNEL = b"1"


def send(channel: bytes, payload: bytes) -> None:
    """Write a frame; the channel of control messages has no name."""
    frame = channel + b"\n" + payload
    bridge.write(b"%d\n%s" % (len(frame), frame))


def control(**message: Any) -> None:
    """Send a control message; cockpit-session knows none with blanks in it."""
    send(b"", json.dumps(message, separators=(",", ":")).encode())


def receive() -> tuple[bytes, bytes]:
    """Read a frame: (channel, payload)."""
    length = answers.readline()
    if not length:
        sys.exit("cockpit-session has ended")
    frame = b""
    while len(frame) < int(length):
        frame += answers.read(int(length) - len(frame))
    channel, _, payload = frame.partition(b"\n")
    return channel, payload


def answer(message: dict[str, Any], user: str) -> None:
    """Answer a control message that comes before the bridge is there."""
    if message["command"] == "authorize":
        words = base64.b64encode(f"{user}:{PASSWORD}".encode()).decode()
        control(command="authorize", cookie=message["cookie"], response=f"Basic {words}")


user = sys.argv[1]
session = subprocess.Popen(
    ["/usr/lib/cockpit/cockpit-session", "localhost"],
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    bufsize=0,  # or select(2) does not see what is here already
)
assert session.stdin
assert session.stdout
bridge, answers = session.stdin, session.stdout
while True:
    _, payload = receive()
    message = json.loads(payload)
    if message["command"] == "init":
        break
    answer(message, user)
control(command="init", version=1, host="localhost")
if "--no-terminal" in sys.argv:
    sys.stdin.read()
    bridge.close()
    sys.exit(session.wait())
control(
    command="open",
    channel=CHANNEL.decode(),
    payload="stream",
    spawn=[pwd.getpwnam(user).pw_shell],
    environ=["TERM=xterm-256color"],
    pty=True,
    binary="raw",
)
tty.setraw(0)
while True:
    ready = select.select([0, answers.fileno()], [], [])[0]
    if 0 in ready:
        typed = os.read(0, 4096)
        if not typed:
            break
        send(CHANNEL, typed)
    if answers.fileno() in ready:
        channel, payload = receive()
        if channel == CHANNEL:
            os.write(1, payload)
        elif (message := json.loads(payload))["command"] == "close":
            sys.exit(message.get("exit-status", 255))
