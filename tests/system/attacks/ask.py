"""Speak to the recorder as a login shell would not. Arguments: what to do (see below)."""

from __future__ import annotations

import os
import pty
import socket
import sys
import time

PATH = "/run/sessionwrap/recorder.sock"


def connect() -> socket.socket:
    """Open a connection."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(15)
    sock.connect(PATH)
    return sock


def ask(frame: bytes, descriptors: list[int]) -> bytes:
    """Send a first frame and give the answer; b"" when it hung up."""
    with connect() as sock:
        socket.send_fds(sock, [frame], descriptors)
        try:
            answer, received, _, _ = socket.recv_fds(sock, 1024, 4)
        except OSError:
            return b""
        for fd in received:
            os.close(fd)
        return answer


def nonsense() -> None:
    """Frames that are none, descriptors that are no terminals or too many."""
    pipe, other = os.pipe()
    regular = os.open("/etc/passwd", os.O_RDONLY)
    path_only = os.open("/dev/null", os.O_PATH)
    master, slave = pty.openpty()
    null = os.open("/dev/null", os.O_RDWR)
    for frame in (b"", b"x", b"\0" * 1024, b"T", b"TX", b"P" * 5000, os.urandom(900), b"W", b"D"):
        print(ask(frame, [])[:1])
    for fd in (pipe, other, regular, path_only, null):
        print(ask(b"TGxterm", [fd])[:1])
    for count in (2, 5, 100, 250):
        print(ask(b"TGxterm", [slave] * count)[:1])
    for frame in (b"P", b"C", b"x"):
        print(ask(frame, [slave, master])[:1])


def idle(count: int, seconds: float) -> None:
    """Connect often and say nothing."""
    held = []
    for _ in range(count):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.connect(PATH)
        held.append(sock)
    print("idle", flush=True)
    time.sleep(seconds)


def storm(seconds: float) -> None:
    """Connect and go away, as fast as it can be done, from several processes."""
    for _ in range(3):
        if os.fork() == 0:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                sock.setblocking(False)
                sock.connect_ex(PATH)
                sock.close()
            os._exit(0)
    print("storm", flush=True)
    for _ in range(3):
        os.wait()


def leave() -> None:
    """Leave at every step of the handshake, and say TAKEN without taking."""
    for mode in (b"L", b"W", b"G"):
        master, slave = pty.openpty()
        read_only = os.open(os.ttyname(slave), os.O_RDONLY | os.O_NOCTTY)
        connect().close()
        sock = connect()
        socket.send_fds(sock, [b"T" + mode + b"xterm"], [slave])
        sock.close()
        sock = connect()
        socket.send_fds(sock, [b"T" + mode + b"xterm"], [slave])
        sock.recv(1024)
        sock.close()
        for last in (b"D", b"x"):
            sock = connect()
            socket.send_fds(sock, [b"T" + mode + b"xterm"], [slave])
            _, received, _, _ = socket.recv_fds(sock, 1024, 4)
            sock.send(last)
            for fd in received:
                os.close(fd)
            sock.close()
        # A master as the terminal, one that is open for reading only, the wrong end of it all.
        for fd in (master, read_only, 0):
            ask(b"T" + mode + b"xterm", [fd])
        for fd in (master, slave, read_only):
            os.close(fd)
    print("left")


def main() -> None:
    """Do what the command line says."""
    what, *numbers = sys.argv[1:]
    if what == "nonsense":
        nonsense()
    elif what == "idle":
        idle(int(numbers[0]), float(numbers[1]))
    elif what == "storm":
        storm(float(numbers[0]))
    elif what == "leave":
        leave()


main()
