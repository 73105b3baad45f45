"""Pass the recorder a file of a file system of our own that never answers when it is closed."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import struct
import sys

NEW_USER_AND_MOUNT_NAMESPACE = 0x10020000
LOOKUP, GETATTR, OPEN, INIT, OPENDIR = 1, 3, 14, 26, 27
FLUSH, FORGET, INTERRUPT = 25, 2, 36
_HEADER = struct.Struct("<IIQQIIII")
_ATTRIBUTES = struct.Struct("<6Q10I")
HOUR = 3600


def attributes(inode: int, mode: int) -> bytes:
    """Give a struct fuse_attr."""
    return _ATTRIBUTES.pack(inode, 0, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def serve(device: int, flush_error: int) -> None:
    """Answer everything; FLUSH with an error, or never where that is 0.

    The end of this process ends the file system, and with it whatever waits for an answer.
    """
    while True:
        request = os.read(device, 1 << 17)
        _, operation, unique, node, *_ = _HEADER.unpack_from(request)
        error, data = 0, b""
        if operation == INIT:
            data = struct.pack("<IIIIHHIIHHI", 7, 31, 65536, 0, 12, 12, 65536, 1, 0, 0, 0)
            data += bytes(28)
        elif operation == LOOKUP:
            data = struct.pack("<QQQQII", 2, 0, HOUR, HOUR, 0, 0) + attributes(2, 0o100666)
        elif operation == GETATTR:
            mode = 0o40755 if node == 1 else 0o100666
            data = struct.pack("<QII", HOUR, 0, 0) + attributes(node, mode)
        elif operation in (OPEN, OPENDIR):
            data = struct.pack("<QII", 1, 0, 0)
        elif operation == FLUSH and flush_error:
            error = flush_error
        elif operation in (FLUSH, FORGET, INTERRUPT):
            continue
        else:
            error = errno.ENOSYS
        os.write(device, struct.pack("<IiQ", 16 + len(data), -error, unique) + data)


def mount(place: str) -> int:
    """Mount it in a namespace of our own; give the device."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.getuid(), os.getgid()
    if libc.unshare(NEW_USER_AND_MOUNT_NAMESPACE) != 0:
        sys.exit("no user namespace")
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"0 {uid} 1"),
        ("gid_map", f"0 {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if libc.mount(b"none", place.encode(), b"fuse", 0, options) != 0:
        sys.exit(os.strerror(ctypes.get_errno()))
    return device


def main() -> None:
    """Arguments: an empty directory, and how its file closes: never or badly. Runs until killed."""
    place = sys.argv[1]
    device = mount(place)
    if os.fork() == 0:
        os.close(device)  # or the end of this process would wait for its own answer
        file = os.open(f"{place}/file", os.O_RDWR)
        for frame in (b"P", b"C", b"TGxterm", b"x"):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            sock.settimeout(1)
            try:
                sock.connect("/run/sessionwrap/recorder.sock")
                socket.send_fds(sock, [frame], [file])
                sock.recv(1024)
            except OSError:
                continue  # it hangs, or has gone
        print("sent", flush=True)
        signal.pause()
    serve(device, errno.EIO if sys.argv[2] == "badly" else 0)


main()
