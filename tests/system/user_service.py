#!/usr/bin/python3
"""Runs in the host: a service of systemd's user database that has one user.

user_service.py RECORD: the user's record in JSON (systemd.io/USER_RECORD).
"""

import json
import os
import socket
import sys
import threading

from systemd import daemon

NAME = "io.test.Users"
NO_RECORD = {"error": "io.systemd.UserDatabase.NoRecordFound", "parameters": {}}


def serve(connection: socket.socket, user: dict[str, object]) -> None:
    data = b""
    with connection:
        while part := connection.recv(4096):
            data += part
            while b"\0" in data:
                call, _, data = data.partition(b"\0")
                asked = json.loads(call)
                is_user = asked["method"].endswith(".GetUserRecord") and (
                    user["userName"] == asked["parameters"].get("userName")
                    or user["uid"] == asked["parameters"].get("uid")
                )
                found = {"parameters": {"record": user, "incomplete": False}}
                connection.sendall(json.dumps(found if is_user else NO_RECORD).encode() + b"\0")


def main() -> None:
    user = json.loads(sys.argv[1])
    user["service"] = NAME
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"/run/systemd/userdb/{NAME}")
    os.chmod(f"/run/systemd/userdb/{NAME}", 0o666)  # noqa: S103 # as systemd's own sockets are
    listener.listen(100)
    daemon.notify("READY=1")
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, user), daemon=True).start()


if __name__ == "__main__":
    main()
