"""sessionwrap-userdb: gives users in scope our login shell, in front of every other source of NSS.

systemd's NSS module asks it for every account, so it answers from memory where it can, waits for
nothing in its one loop, and what may hang is done elsewhere (``directory``). What it does not
know in time it says in doubt: the login shell and the PAM hook look again.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple, NoReturn

from systemd import daemon

from sessionwrap import config_files, local_accounts, paths, scope
from sessionwrap.errors import ConfigError, SessionwrapError, VarlinkError
from sessionwrap.local_accounts import Account
from sessionwrap.overlay import records, varlink
from sessionwrap.overlay.directory import Directory, Key
from sessionwrap.overlay.local import MAX_FILE, LocalAccounts

KEEP_SECONDS: Final = 5.0
"""How long an answer of the directory is good, "no such user" too."""
PATIENCE_SECONDS: Final = 1.0
"""How long a local user waits for the directory. While it is late for one, nobody waits."""
LIMIT_SECONDS: Final = 4.0
"""How long a user of the directory waits for it, here."""
MAX_ANSWERS: Final = 10_000
MAX_CONNECTIONS: Final = 1024
MAX_CONNECTIONS_OF_USER: Final = 128
BEAT_SECONDS: Final = 1.0
"""How often the watchdog is told that the loop turns."""
_UCRED: Final = struct.Struct("iII")


class Client:
    """A connection: what it has sent so far, and who it is."""

    __slots__ = ("buffer", "socket", "uid")

    def __init__(self, connection: socket.socket, uid: int) -> None:
        self.socket = connection
        self.uid = uid
        self.buffer = bytearray()


class Waiting(NamedTuple):
    """Clients that wait for one answer, and until when (monotonic, seconds)."""

    clients: list[Client]
    deadline: float
    local: Account | None


class Memory:
    """Who was told lately that we have no record of them: the hook asks, see ``is_sure``.

    Times are seconds after boot, as in /proc/PID/stat.
    """

    def __init__(self) -> None:
        self._said: dict[str, float] = {}
        self._forgotten = time.clock_gettime(time.CLOCK_BOOTTIME)

    def said_nothing(self, user: str) -> None:
        """Note that somebody was told that there is no record of ``user``."""
        self._said.pop(user, None)  # the newest stand last
        self._said[user] = time.clock_gettime(time.CLOCK_BOOTTIME)
        if len(self._said) > MAX_ANSWERS:
            oldest = next(iter(self._said))
            self._forgotten = max(self._forgotten, self._said.pop(oldest))

    def said_nothing_of_anybody(self) -> None:
        """Note that somebody, whoever it was, was told that there is no record."""
        self._forgotten = time.clock_gettime(time.CLOCK_BOOTTIME)

    def is_sure(self, user: str, since: float) -> bool:
        """Tell whether a process that began at ``since`` can only have seen our record."""
        return since > self._forgotten and since > self._said.get(user, 0.0)


class Service:
    """The overlay's one loop."""

    def __init__(self, listener: socket.socket, config_dir: str = paths.CONFIG_DIR) -> None:
        self._listener = listener
        self._config_dir = config_dir
        self._config_stamp = _ConfigStamp(config_dir)
        self._config: tuple[object, ...] = ()
        self._rules: scope.Rules | None = None
        self._local = LocalAccounts()
        self._directory = Directory(self._on_process, self._off_process)
        self._clients: dict[int, Client] = {}
        self._of_user: dict[int, int] = {}
        self._waiting: dict[Key, Waiting] = {}
        self._answers: dict[Key, tuple[float, Account | None, bytes]] = {}
        self._memory = Memory()
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        listener.setblocking(False)
        self._watch(listener.fileno(), self._on_listener)

    def run(self, beat: Callable[[], object]) -> NoReturn:
        """Serve until the process ends; ``beat`` is called each second."""
        self._refresh()
        gc.freeze()
        next_beat = 0.0
        while True:
            now = time.monotonic()
            if now >= next_beat:
                beat()
                next_beat = now + BEAT_SECONDS
                for key in self._directory.end_hanging():
                    self._settle(key, None)
            self._expire(now)
            for fd, _ in self._poll.poll(self._timeout(now, next_beat)):
                if fd in self._handlers:
                    self._handlers[fd](fd)

    def _watch(self, fd: int, handler: Callable[[int], None]) -> None:
        self._handlers[fd] = handler
        self._poll.register(fd, select.POLLIN)

    def _unwatch(self, fd: int) -> None:
        del self._handlers[fd]
        self._poll.unregister(fd)

    def _on_process(self, fd: int) -> None:
        self._watch(fd, self._on_found)

    def _off_process(self, fd: int) -> None:
        self._unwatch(fd)

    def _timeout(self, now: float, next_beat: float) -> float:
        first = min((waiting.deadline for waiting in self._waiting.values()), default=next_beat)
        return max(0.0, min(first, next_beat) - now) * 1000 + 1

    def _refresh(self) -> None:
        """Take in what has changed of the rules and of the local accounts."""
        changed = self._local.refresh()
        found = self._config_stamp.get()
        if found != self._config:
            changed = True
            self._config = found
            try:
                self._rules = scope.parse(config_files.read_scope_files(self._config_dir))
            except ConfigError as error:
                self._rules = None
                print(f"{error}. Everybody gets the login shell", file=sys.stderr, flush=True)
        if changed:
            self._answers.clear()

    def _on_listener(self, _fd: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # gone again, or no descriptor left: poll says when to try next
        connection.setblocking(False)
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        _, uid, _ = _UCRED.unpack(raw)
        if uid and self._of_user.get(uid, 0) >= MAX_CONNECTIONS_OF_USER:
            connection.close()
            return
        if len(self._clients) >= MAX_CONNECTIONS:
            self._drop(next(iter(self._clients.values())))  # who has been there longest
        client = Client(connection, uid)
        fd = connection.fileno()
        self._clients[fd] = client
        self._of_user[uid] = self._of_user.get(uid, 0) + 1
        self._watch(fd, self._on_client)
        self._on_client(fd)  # mostly the call is there already

    def _drop(self, client: Client) -> None:
        fd = client.socket.fileno()
        if self._clients.pop(fd, None) is None:
            return
        self._unwatch(fd)
        self._of_user[client.uid] -= 1
        if not self._of_user[client.uid]:
            del self._of_user[client.uid]
        client.socket.close()

    def _on_client(self, fd: int) -> None:
        client = self._clients[fd]
        try:
            data = client.socket.recv(varlink.MAX_CALL)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(client)
            return
        client.buffer += data
        try:
            while call := varlink.take_call(client.buffer):
                self._answer(client, call)
        except SessionwrapError:
            self._drop(client)

    def _answer(self, client: Client, call: varlink.Call) -> None:
        if call.method == varlink.GET_USER:
            try:
                name, uid = varlink.wanted(call.parameters)
            except VarlinkError:
                self._send(client, varlink.BAD_PARAMETER)
                return
            self._look_up(client, name, uid)
        elif call.method in varlink.NOTHING_HERE:
            self._send(client, varlink.NO_RECORD)
        elif call.method == varlink.IS_SURE and client.uid == 0:
            self._send(client, self._is_sure(call.parameters))
        else:
            self._send(client, varlink.NO_METHOD)

    def _is_sure(self, parameters: dict[str, Any]) -> bytes:
        user, since = parameters.get("userName"), parameters.get("since")
        if not isinstance(user, str) or not isinstance(since, int | float):
            return varlink.BAD_PARAMETER
        return varlink.SURE if self._memory.is_sure(user, since) else varlink.UNSURE

    def _send(self, client: Client, frame: bytes) -> None:
        """Send an answer; who does not read it is not waited for."""
        try:
            sent = client.socket.send(frame)
        except OSError:
            sent = 0
        if sent != len(frame):
            self._drop(client)

    def _look_up(self, client: Client, name: str | None, uid: int | None) -> None:
        """Answer at once, or when the directory has."""
        key: Key | None = name if name is not None else uid
        self._refresh()
        if key is None:
            self._send(client, varlink.NO_RECORD)  # all users: there is no list of ours
            return
        if self._rules is not None and self._rules.scope == "none":
            self._memory.said_nothing_of_anybody()
            self._send(client, varlink.NO_RECORD)
            return
        if key in ("root", 0):
            self._send(client, varlink.NO_RECORD)
            return
        local = self._find_local(key)
        if local is not None:
            groups = self._local.groups_of(local)
            if self._local.alone or not self._may_change(local, groups):
                self._say(client, local, self._frame(local, groups))
                return
        known = self._answers.get(key)
        if known and known[0] > time.monotonic():
            self._say(client, known[1], known[2])
            return
        self._ask(client, key, local)

    def _find_local(self, key: Key) -> Account | None:
        if isinstance(key, str):
            return self._local.by_name.get(key)
        return self._local.by_uid.get(key)

    def _may_change(self, account: Account, groups: tuple[str, ...]) -> bool:
        """Tell whether more groups, of a directory, could change the answer."""
        if self._rules is None or not scope.wants_groups(self._rules, account.user, account.uid):
            return False
        return not scope.matching_groups(
            self._rules, scope.Subject(account.user, account.uid, groups)
        )

    def _frame(self, account: Account | None, groups: tuple[str, ...] | None) -> bytes:
        if account and records.wants_launch_point(self._rules, account, groups):
            return varlink.reply({"record": records.record(account), "incomplete": False})
        return varlink.NO_RECORD

    def _say(self, client: Client, account: Account | None, frame: bytes) -> None:
        if frame is varlink.NO_RECORD and account and not records.is_ours(account.shell):
            self._memory.said_nothing(account.user)
        self._send(client, frame)

    def _ask(self, client: Client, key: Key, local: Account | None) -> None:
        now = time.monotonic()
        waiting = self._waiting.get(key)
        if waiting is None:
            if not self._directory.ask(key):
                self._say_in_doubt(client, key, local)
                return
            seconds = LIMIT_SECONDS if local is None else PATIENCE_SECONDS
            waiting = self._waiting[key] = Waiting([], now + seconds, local)
        oldest = self._directory.oldest
        is_late = oldest is not None and now - oldest > PATIENCE_SECONDS
        if waiting.deadline <= now or (local is not None and is_late):
            self._say_in_doubt(client, key, local)
        else:
            waiting.clients.append(client)

    def _say_in_doubt(self, client: Client, key: Key, local: Account | None) -> None:
        """Answer without the directory: a local user may be in scope by it, so is."""
        if local is None and isinstance(key, str):
            self._memory.said_nothing(key)
        self._say(client, local, self._frame(local, None))

    def _expire(self, now: float) -> None:
        for key, waiting in self._waiting.items():
            if waiting.deadline <= now:
                clients = waiting.clients[:]
                waiting.clients.clear()
                for client in clients:
                    self._say_in_doubt(client, key, waiting.local)

    def _on_found(self, fd: int) -> None:
        received = self._directory.receive(fd)
        if received is None:
            return
        key, found = received
        if found is None:
            self._settle(key, None)
            return
        frame = self._frame(found.account, found.groups)
        if len(self._answers) >= MAX_ANSWERS:
            self._answers.pop(next(iter(self._answers)))
        self._answers[key] = (time.monotonic() + KEEP_SECONDS, found.account, frame)
        self._settle(key, (found.account, frame))

    def _settle(self, key: Key, answer: tuple[Account | None, bytes] | None) -> None:
        """Answer those who wait for a key; None: the process that was asked has ended."""
        waiting = self._waiting.pop(key, None)
        for client in waiting.clients if waiting else []:
            if answer is None:
                self._say_in_doubt(client, key, waiting.local if waiting else None)
            else:
                self._say(client, *answer)


class _ConfigStamp:
    """What changes whenever a configuration file does; the directories are listed when they do."""

    def __init__(self, directory: str) -> None:
        self._directories = (directory, f"{directory}/conf.d")
        self._seen: tuple[object, ...] = ()
        self._files: list[str] = []

    def get(self) -> tuple[object, ...]:
        seen = tuple(_stamp(path) for path in self._directories)
        if seen != self._seen:
            self._seen = seen
            top, dropins = self._directories
            self._files = [f"{top}/sessionwrap.conf"]
            with contextlib.suppress(OSError):
                self._files += [f"{dropins}/{name}" for name in sorted(os.listdir(dropins))]
        return (*seen, *(_stamp(path) for path in self._files))


def _stamp(path: str) -> object:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size, found.st_mode, found.st_uid


def main() -> NoReturn:
    """Serve on the socket that systemd passes."""
    descriptors = daemon.listen_fds()
    if len(descriptors) != 1:
        sys.exit("sessionwrap-userdb is started by systemd, which passes its socket")
    # Whatever asks NSS here or in a child of ours must not come back to us.
    os.environ["SYSTEMD_BYPASS_USERDB"] = varlink.SERVICE
    _become(paths.OVERLAY_USER)
    listener = socket.socket(fileno=descriptors[0])
    listener.set_inheritable(False)
    service = Service(listener)
    daemon.notify("READY=1")
    service.run(lambda: daemon.notify("WATCHDOG=1"))


def _become(user: str) -> None:
    """Give up root for good.

    Not by User= of the unit: systemd would look the name up before it starts us, and NSS would
    wait for us to answer.
    """
    account = local_accounts.parse_passwd(config_files.read_text("/etc/passwd", limit=MAX_FILE))[
        user
    ]
    os.setgroups([])
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    os.chdir("/")
