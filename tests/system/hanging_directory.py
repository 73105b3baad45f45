#!/usr/bin/python3
"""Runs in the host: a service of systemd's user database that is late with the groups of users.

hanging_directory.py SECONDS: it says at once that it has no users and no groups, and after so
many seconds that it knows no memberships.
"""

import json
import os
import socket
import sys
import threading
import time

NAME = "io.test.Directory"
PATH = f"/run/systemd/userdb/{NAME}"
NO_RECORD = b'{"error": "io.systemd.UserDatabase.NoRecordFound", "parameters": {}}\0'


def serve(connection: socket.socket, seconds: float) -> None:
    data = b""
    with connection:
        while part := connection.recv(4096):
            data += part
            while b"\0" in data:
                call, _, data = data.partition(b"\0")
                if json.loads(call)["method"].endswith(".GetMemberships"):
                    time.sleep(seconds)
                try:
                    connection.sendall(NO_RECORD)
                except OSError:
                    return  # who asked has given up


def main() -> None:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(PATH + ".new")
    os.chmod(PATH + ".new", 0o666)  # noqa: S103 # as systemd's own sockets are
    listener.listen(100)
    os.rename(PATH + ".new", PATH)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, float(sys.argv[1])), daemon=True).start()


if __name__ == "__main__":
    main()
