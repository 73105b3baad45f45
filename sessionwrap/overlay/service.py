"""sessionwrap-userdb: gives users in scope our login shell, in front of every other source of NSS.

systemd's NSS module asks it for every account, so it answers from memory where it can, waits for
nothing in its one loop, and what may hang is done elsewhere (``directory``). What it does not
know in time it says in doubt: the login shell and the PAM hook look again.
"""

from __future__ import annotations

import gc
import math
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple, NoReturn

from systemd import daemon

from sessionwrap import local_accounts, paths, scope
from sessionwrap.errors import VarlinkError
from sessionwrap.local_accounts import Account
from sessionwrap.overlay import records, varlink
from sessionwrap.overlay.clients import Client, Clients, Poller
from sessionwrap.overlay.directory import Directory, Key
from sessionwrap.overlay.local import FILES, MAX_FILE, PASSWD, USERDB_SERVICES, LocalAccounts
from sessionwrap.overlay.memory import Memory
from sessionwrap.overlay.rules import CurrentRules
from sessionwrap.overlay.watch import Watch

KEEP_SECONDS: Final = 5.0
"""How long an answer of the directory is good, "no such user" too."""
PATIENCE_SECONDS: Final = 1.0
"""How long a user waits for the groups. While the directory is late, no local user waits."""
LIMIT_SECONDS: Final = 4.0
"""How long a user of the directory waits for it to say that there is such a user."""
MAX_ANSWERS: Final = 10_000
MAX_PREPARED: Final = 1000
"""With more local users each is answered when first asked for, or a change would take long."""
MAX_QUESTIONS_OF_USERS: Final = 24
"""Questions to the directory at once that are not root's: login programs always have some left."""
MAX_QUESTIONS_OF_USER: Final = 8
WORD_SECONDS: Final = 60.0
"""How often it is said who floods us."""
BEAT_SECONDS: Final = 1.0
"""How often the watchdog is told that the loop turns."""


class Answer(NamedTuple):
    """What was found, and the frame that says so; good until then (monotonic, seconds)."""

    until: float
    account: Account | None
    frame: bytes


class Waiting(NamedTuple):
    """Clients that wait for one answer, until when (monotonic, seconds), what is known of the user
    before the groups, whose question it was (uid), and what the count of changes was then."""

    clients: list[Client]
    deadline: float
    account: Account | None
    uid: int
    changes: int


class Service:
    """The overlay's one loop."""

    def __init__(self, listener: socket.socket, config_dir: str = paths.CONFIG_DIR) -> None:
        self._poller = Poller()
        self._memory = Memory()
        memory = self._memory
        self._clients = Clients(
            listener,
            self._poller,
            self._answer,
            lost=self._lose,
            left=memory.left,
            took=memory.took_ours,
        )
        self._rules = CurrentRules(config_dir)
        self._local = LocalAccounts()
        self._directory = Directory(self._on_process, self._poller.unwatch)
        self._waiting: dict[Key, Waiting] = {}
        self._answers: dict[Key, Answer] = {}
        self._changes = 0
        self._watch = Watch()
        self._next_word = 0.0

    def run(self, beat: Callable[[], object]) -> NoReturn:
        """Serve until the process ends; ``beat`` is called each second."""
        self._take_in()
        gc.freeze()
        next_beat = 0.0
        while True:
            now = time.monotonic()
            if now >= next_beat:
                beat()
                next_beat = now + BEAT_SECONDS
                self._take_in()
                for key in self._directory.end_hanging():
                    self._settle(key, None)
            first = self._expire(now, next_beat)
            self._poller.turn(max(0.0, first - now) + 0.001)

    def _on_process(self, fd: int) -> None:
        self._poller.watch(fd, self._on_found)

    def _lose(self, uid: int | None) -> None:
        """Forget; where too many connections came, say once a minute of whom most of them were."""
        self._memory.forget()
        now = time.monotonic()
        if uid is not None and now >= self._next_word:
            self._next_word = now + WORD_SECONDS
            print(
                f"<4>More connections came than can wait, most of them of uid {uid}: while this "
                "lasts, logins that must be recorded are refused",
                file=sys.stderr,
                flush=True,
            )

    def _refresh(self) -> None:
        """Take in what has changed, if anything has: a look-up waits for this."""
        if self._watch.may_have_changed():
            self._take_in()

    def _take_in(self) -> None:
        """Take in what has changed of the rules and of the local accounts."""
        # First: what changes from here on is seen.
        self._watch.add([*FILES, USERDB_SERVICES, *self._rules.paths])
        changed = self._local.refresh()
        changed = self._rules.refresh() or changed
        if changed:
            self._answers.clear()
            self._changes += 1
            if self._local.alone and len(self._local.by_name) <= MAX_PREPARED:
                self._prepare()

    def _prepare(self) -> None:
        """Have the answers of all local users ready: the first question takes no longer then."""
        for user, account in self._local.by_name.items():
            self._keep(user, account, self._local.groups_of(account), math.inf)
        for uid, account in self._local.by_uid.items():
            self._answers[uid] = self._answers[account.user]

    def _answer(self, client: Client, call: varlink.Call) -> None:
        if call.method == varlink.GET_USER:
            try:
                name, uid = varlink.wanted(call.parameters)
            except VarlinkError:
                self._clients.send(client, varlink.BAD_PARAMETER)
                return
            self._look_up(client, name, uid)
        elif call.method in varlink.NOTHING_HERE:
            self._clients.send(client, varlink.NO_RECORD)
        elif call.method == varlink.IS_SURE and client.uid == 0:
            self._clients.send(client, self._is_sure(call.parameters))
        else:
            self._clients.send(client, varlink.NO_METHOD)

    def _is_sure(self, parameters: dict[str, Any]) -> bytes:
        user, since, pid = (parameters.get(name) for name in ("userName", "since", "pid"))
        if not isinstance(user, str) or not isinstance(since, int | float):
            return varlink.BAD_PARAMETER
        if not isinstance(pid, int | None):
            return varlink.BAD_PARAMETER
        return varlink.SURE if self._memory.is_sure(user, since, pid) else varlink.UNSURE

    def _look_up(self, client: Client, name: str | None, uid: int | None) -> None:
        """Answer at once, or when the directory has."""
        key: Key | None = name if name is not None else uid
        self._refresh()
        rules = self._rules.rules
        if rules is not None and rules.scope == "none" and client.uid == 0:
            self._memory.forget()  # not by name: this is the state of most hosts, and is quick
        if key is None or key in ("root", 0) or (rules is not None and rules.scope == "none"):
            self._clients.send(client, varlink.NO_RECORD)  # all users: there is no list of ours
            return
        known = self._answers.get(key)
        if known and known.until > time.monotonic():
            self._say(client, key, known)
            return
        local = self._find_local(key)
        if local is not None:
            groups = self._local.groups_of(local)
            if self._local.alone or not self._may_change(local, groups):
                self._say(client, key, self._keep(key, local, groups, math.inf))
                return
        self._ask(client, key, local)

    def _keep(
        self, key: Key, account: Account | None, groups: tuple[str, ...], until: float
    ) -> Answer:
        if len(self._answers) >= MAX_ANSWERS:
            self._answers.pop(next(iter(self._answers)))
        answer = self._answers[key] = Answer(until, account, self._frame(account, groups))
        return answer

    def _find_local(self, key: Key) -> Account | None:
        if isinstance(key, str):
            return self._local.by_name.get(key)
        return self._local.by_uid.get(key)

    def _may_change(self, account: Account, groups: tuple[str, ...]) -> bool:
        """Tell whether more groups, of a directory, could change the answer."""
        rules = self._rules.rules
        if rules is None or not scope.wants_groups(rules, account.user, account.uid):
            return False
        return not scope.matching_groups(rules, scope.Subject(account.user, account.uid, groups))

    def _frame(self, account: Account | None, groups: tuple[str, ...] | None) -> bytes:
        if account and records.wants_launch_point(self._rules.rules, account, groups):
            return varlink.reply({"record": records.record(account), "incomplete": False})
        return varlink.NO_RECORD

    def _say(self, client: Client, key: Key, answer: Answer) -> None:
        account = answer.account
        told = ""
        if client.uid == 0:
            if account and answer.frame is not varlink.NO_RECORD:
                told = account.user
            elif account and not records.is_ours(account.shell):
                self._memory.said_nothing(account.user)
            elif account is None and isinstance(key, str):
                self._memory.said_nothing(key)
        self._clients.send(client, answer.frame, told)

    def _ask(self, client: Client, key: Key, local: Account | None) -> None:
        now = time.monotonic()
        waiting = self._waiting.get(key)
        if waiting is None:
            if not self._may_ask(client.uid) or not self._directory.ask(key):
                self._say_in_doubt(client, key, local)
                return
            seconds = LIMIT_SECONDS if local is None else PATIENCE_SECONDS
            waiting = Waiting([], now + seconds, local, client.uid, self._changes)
            self._waiting[key] = waiting
        oldest = self._directory.oldest
        is_late = oldest is not None and now - oldest > PATIENCE_SECONDS
        if waiting.deadline <= now or (local is not None and is_late):
            self._say_in_doubt(client, key, local or waiting.account)
        else:
            self._clients.wait(client)
            waiting.clients.append(client)

    def _may_ask(self, uid: int) -> bool:
        """Tell whether a user has questions left to ask."""
        users = [waiting.uid for waiting in self._waiting.values() if waiting.uid]
        return uid == 0 or (
            len(users) < MAX_QUESTIONS_OF_USERS and users.count(uid) < MAX_QUESTIONS_OF_USER
        )

    def _say_in_doubt(self, client: Client, key: Key, account: Account | None) -> None:
        """Answer without the directory's groups: who is known may be in scope by them, so is."""
        if account is None and client.uid == 0 and not isinstance(key, str):
            self._memory.forget()  # whose uid that is, the directory does not say
        self._say(client, key, Answer(0.0, account, self._frame(account, None)))

    def _expire(self, now: float, first: float) -> float:
        """Answer whose time is over; give when to look again, ``first`` at the latest."""
        for key, waiting in self._waiting.items():
            if waiting.clients and waiting.deadline <= now:
                clients = waiting.clients[:]
                waiting.clients.clear()
                for client in clients:
                    self._say_in_doubt(client, key, waiting.account)
            elif waiting.clients:
                first = min(first, waiting.deadline)
        return first

    def _on_found(self, fd: int) -> None:
        received = self._directory.receive(fd)
        if received is None:
            return
        key, found = received
        if found is None:
            self._settle(key, None)
            return
        if found.account and found.groups is None:
            self._wait_for_groups(key, found.account)
            return
        self._refresh()
        until = time.monotonic() + KEEP_SECONDS
        answer = self._keep(key, found.account, found.groups or (), until)
        if self._waiting[key].changes != self._changes:
            del self._answers[key]  # it was asked before the change
        self._settle(key, answer)

    def _wait_for_groups(self, key: Key, account: Account) -> None:
        """Wait no longer for a user of the directory than for a local one, from here on."""
        patience = PATIENCE_SECONDS if self._may_change(account, ()) else 0.0
        waiting = self._waiting[key]
        deadline = min(waiting.deadline, time.monotonic() + patience)
        self._waiting[key] = waiting._replace(account=account, deadline=deadline)

    def _settle(self, key: Key, answer: Answer | None) -> None:
        """Answer those who wait for a key; None: the process that was asked has ended."""
        waiting = self._waiting.pop(key, None)
        for client in waiting.clients if waiting else []:
            if answer is None:
                self._say_in_doubt(client, key, waiting.account if waiting else None)
            else:
                self._say(client, key, answer)


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
    # Not config_files: a byte of Latin-1 in somebody's full name must not keep us from starting.
    with open(PASSWD, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        account = local_accounts.parse_passwd(file.read(MAX_FILE))[user]
    os.setgroups([])
    os.setresgid(account.gid, account.gid, account.gid)
    os.setresuid(account.uid, account.uid, account.uid)
    os.chdir("/")
