"""A running overlay for tests: on a real socket, over the real NSS, with files of its own.

The files stand in the place of the machine's for the service alone (mount namespace). Clients are
whoever they say: the kernel takes the peer's uid when they connect.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from sessionwrap.overlay import varlink

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 10
PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
alice:x:20001:20001:Alice:/home/alice:/bin/bash
bob:x:20002:20002:Bob:/home/bob:/bin/bash
"""  # noqa: S105 # no password
GROUP = "root:x:0:\nwheel:x:20010:alice\nalice:x:20001:\nbob:x:20002:\n"
LOCAL = "passwd: systemd files\ngroup: files\n"
DIRECTORY = "passwd: systemd nosuch files\ngroup: files\n"
"""For the service as if the files came after a directory: it asks NSS in a process of its own."""
SCOPE = "[session_recording]\nscope = some\ngroups = wheel\n"
MOUNT = """\
for name in passwd group nsswitch.conf; do mount --bind "$1/$name" "/etc/$name"; done
exec "$2" -c "$3" "$1"
"""
# Started by what the service's own main() does, but for systemd's socket and the change of user.
RUN = f"""
import os, socket, sys
sys.path[:0] = [{str(ROOT)!r}]
os.environ["SYSTEMD_BYPASS_USERDB"] = "io.sessionwrap.Overlay"
from sessionwrap.overlay import service
listener = socket.socket(socket.AF_UNIX)
listener.bind("\\0" + sys.argv[1])
listener.listen()
def beat():
    sys.stdout.write(".")
    sys.stdout.flush()
service.Service(listener, sys.argv[1] + "/config").run(beat)
"""


class Overlay:
    """The running service, and its files in ``directory``."""

    def __init__(self, directory: Path, nsswitch: str) -> None:
        self.directory = directory
        for name, text in (("passwd", PASSWD), ("group", GROUP), ("nsswitch.conf", nsswitch)):
            (directory / name).write_text(text)
        (directory / "config").mkdir()
        self.write_rules(SCOPE)
        argv = ["unshare", "--mount", "--propagation=private", "sh", "-ec", MOUNT, "sh"]
        with (directory / "stderr").open("wb") as stderr:
            self.process = subprocess.Popen(
                [*argv, str(directory), sys.executable, RUN], stdout=subprocess.PIPE, stderr=stderr
            )
        self.wait_for_beat()

    def write_rules(self, text: str) -> None:
        (self.directory / "config/sessionwrap.conf").write_text(text)

    def wait_for_beat(self) -> None:
        """Wait until the loop has turned for a second, or has begun."""
        assert self.process.stdout
        assert select.select([self.process.stdout], [], [], SECONDS)[0], "the service hangs"
        assert os.read(self.process.stdout.fileno(), 1000), "the service has ended"

    def connect(self, by: int = 20002) -> Client:
        return Client(str(self.directory), by)

    def ask(self, by: int = 20002, **parameters: Any) -> dict[str, Any]:
        """Ask for one record on a connection of its own; give the whole answer."""
        with self.connect(by) as client:
            client.call(**parameters)
            return client.answer()

    def shell(self, user: str, by: int = 20002) -> str | None:
        """Give the shell of a user's record; None where there is no record."""
        answer = self.ask(by, userName=user)
        if answer.get("error") == "io.systemd.UserDatabase.NoRecordFound":
            return None
        return str(answer["parameters"]["record"]["shell"])

    def is_sure(self, user: str, since: float, pid: int | None = None) -> bool:
        with self.connect(0) as client:
            client.call(varlink.IS_SURE, service=None, userName=user, since=since, pid=pid)
            return bool(client.answer()["parameters"]["sure"])

    def children(self) -> list[int]:
        pid = self.process.pid
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(child) for child in text.split()]

    def resident(self) -> int:
        """Give its memory in bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGESIZE")

    def hang_directory(self) -> int:
        """Have the one process that asks NSS stop; the next question waits for it."""
        self.ask(userName="nobody-yet")
        (child,) = self.children()
        os.kill(child, signal.SIGSTOP)
        return child

    def close(self) -> None:
        children = self.children()  # who was stopped would stay
        self.process.kill()
        self.process.wait()
        for child in children:
            with contextlib.suppress(ProcessLookupError):  # it ends with the service
                os.kill(child, signal.SIGKILL)
        assert self.process.stdout
        self.process.stdout.close()


class Client:
    """A connection of a user."""

    def __init__(self, name: str, uid: int) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        self._data = b""
        os.seteuid(uid)
        try:
            self.socket.connect("\0" + name)
        except OSError:
            self.socket.close()
            raise
        finally:
            os.seteuid(0)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def call(
        self, method: str = varlink.GET_USER, *, oneway: bool = False, **parameters: Any
    ) -> None:
        said = {"service": varlink.SERVICE} | parameters
        call = {"method": method, "parameters": said, "oneway": oneway}
        self.socket.sendall(json.dumps(call).encode() + b"\0")

    def answer(self) -> dict[str, Any]:
        while b"\0" not in self._data:
            part = self.socket.recv(65536)
            assert part, "dropped"
            self._data += part
        frame, _, self._data = self._data.partition(b"\0")
        answer = json.loads(frame)
        assert isinstance(answer, dict)
        return answer

    def is_dropped(self) -> bool:
        """Wait until the service closes the connection; False where an answer comes instead."""
        try:
            return not self.socket.recv(1)
        except ConnectionError:
            return True

    def is_waiting(self) -> bool:
        """Tell whether neither an answer nor the end has come."""
        return not select.select([self.socket], [], [], 0)[0]


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
