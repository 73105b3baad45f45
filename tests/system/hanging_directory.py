#!/usr/bin/python3
"""Runs in the host: a service of systemd's user database that is late with the groups of users.

hanging_directory.py SECONDS [NAME...]: it says at once that it has no users and no groups, and
after so many seconds that it knows no memberships. Programs whose names begin with NAME never get
an answer to that.
"""

import json
import os
import socket
import struct
import sys
import threading
import time

NAME = "io.test.Directory"
PATH = f"/run/systemd/userdb/{NAME}"
NO_RECORD = b'{"error": "io.systemd.UserDatabase.NoRecordFound", "parameters": {}}\0'


def program(connection: socket.socket) -> str:
    """Give the name of the program at the other end."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid, _, _ = struct.unpack("iII", credentials)
    with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
        return file.read()


def serve(connection: socket.socket, seconds: float, unanswered: tuple[str, ...]) -> None:
    data = b""
    with connection:
        while part := connection.recv(4096):
            data += part
            while b"\0" in data:
                call, _, data = data.partition(b"\0")
                if json.loads(call)["method"].endswith(".GetMemberships"):
                    if program(connection).startswith(unanswered):
                        continue
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
    how = (float(sys.argv[1]), tuple(sys.argv[2:]))
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection, *how), daemon=True).start()


if __name__ == "__main__":
    main()
