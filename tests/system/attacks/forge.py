"""Write entries to the journal that look like the recorder's. Arguments: recording ids."""

from __future__ import annotations

import json
import socket
import sys
import time

START = "5f5af55ba1264d5eb9a3dd9b95a28f8b"
END = "94438289d00f41bebf832bb5477ceb11"


def send(fields: dict[str, str]) -> None:
    """Log one entry by the native protocol."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect("/run/systemd/journal/socket")
        sock.send("".join(f"{name}={value}\n" for name, value in fields.items()).encode())


def forge(rec: str) -> None:
    """Forge start, messages and end of a recording."""
    now = str(time.time_ns() // 1000)
    common = {"PRIORITY": "6", "SYSLOG_IDENTIFIER": "sessionwrap", "_UID": "999"}
    about = {"REC": rec, "HOST": "host", "USER": "carol", "UID": "1001", "SERVICE": "sshd"}
    about |= {"RHOST": "\x1b[31mred", "TTY": "/dev/pts/0", "KIND": "terminal", "COMMAND": "forged"}
    about |= {"SESSION": "1", "START": now, "END": now, "MESSAGES": "1", "REASON": "exited"}
    fields = {f"SESSIONWRAP_{name}": value for name, value in about.items()}
    send({**common, "MESSAGE": "begun", "MESSAGE_ID": START, **fields})
    for number in (1, 2):
        message = {"ver": "2.3", "host": "host", "rec": rec, "user": "carol", "term": "xterm"}
        numbers = {"session": 1, "id": number, "pos": 0, "time": 1.0, "timing": ">14"}
        texts = {"in_txt": "", "in_bin": [], "out_txt": "FORGED CONTENT", "out_bin": []}
        text = json.dumps({**message, **numbers, **texts})
        tlog = {"TLOG_USER": "carol", "TLOG_REC": rec, "TLOG_ID": str(number)}
        send({**common, **tlog, "MESSAGE": text})
    send({**common, "MESSAGE": "ended", "MESSAGE_ID": END, **fields})


for argument in sys.argv[1:]:
    forge(argument)
print("forged")
