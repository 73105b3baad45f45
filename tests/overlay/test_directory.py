"""The processes that ask NSS: the real one, of this machine."""

from __future__ import annotations

import os
import pwd
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionwrap.overlay import directory
from sessionwrap.overlay.directory import MAX_PROCESSES, Directory, Found, Key

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 10


class Pool:
    """A Directory, and what it says of its processes."""

    def __init__(self) -> None:
        self.fds: list[int] = []
        self.directory = Directory(self.fds.append, self.fds.remove)

    def answers(self, count: int) -> dict[Key, Found | None]:
        """Wait until ``count`` questions are answered."""
        found: dict[Key, Found | None] = {}
        while len(found) < count:
            ready, _, _ = select.select(self.fds, [], [], SECONDS)
            assert ready, "no answer"
            for fd in ready:
                answer = self.directory.receive(fd)
                if answer and (answer[1] is None or answer[1].groups is not None):
                    found[answer[0]] = answer[1]
        return found

    def processes(self) -> list[int]:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]

    def close(self) -> None:
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        while self.fds:
            for fd in select.select(self.fds, [], [], SECONDS)[0]:
                self.directory.receive(fd)


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool()
    yield pool
    pool.close()


def test_a_user_is_found_with_all_groups_by_name_and_by_uid(pool: Pool) -> None:
    entry = pwd.getpwnam("daemon")
    for key in ("daemon", entry.pw_uid):
        assert pool.directory.ask(key)
        found = pool.answers(1)[key]
        assert found is not None
        assert found.account == ("daemon", *entry[2:])
        assert found.groups and "daemon" in found.groups
    assert len(pool.processes()) == 1


def test_an_account_comes_before_its_groups(pool: Pool) -> None:
    assert pool.directory.ask("daemon")
    answers: list[Found] = []
    while len(answers) < 2:
        (fd,), _, _ = select.select(pool.fds, [], [], SECONDS)
        received = pool.directory.receive(fd)
        assert received and received[1]
        answers.append(received[1])
    assert answers[0].account == answers[1].account == ("daemon", *pwd.getpwnam("daemon")[2:])
    assert answers[0].groups is None
    assert answers[1].groups and "daemon" in answers[1].groups


@pytest.mark.parametrize("key", ["no such user", "", "x" * 300, "a\0b", "\ud800", 4242424242])
def test_who_is_not_there_is_not_found(pool: Pool, key: Key) -> None:
    assert pool.directory.ask(key)
    assert pool.answers(1) == {key: Found(None, ())}


def test_many_questions_are_asked_at_once_and_no_more_than_there_are_processes(pool: Pool) -> None:
    keys = [f"nobody{number}" for number in range(MAX_PROCESSES)]
    assert all(pool.directory.ask(key) for key in keys)
    assert len(pool.processes()) == MAX_PROCESSES
    assert not pool.directory.ask("daemon")
    assert pool.answers(MAX_PROCESSES) == dict.fromkeys(keys, Found(None, ()))
    assert pool.directory.ask("daemon")
    assert pool.answers(1)["daemon"] is not None


def test_the_question_of_a_process_that_was_killed_is_given_back(pool: Pool) -> None:
    assert pool.directory.ask("daemon")
    pool.answers(1)
    (pid,) = pool.processes()
    os.kill(pid, signal.SIGSTOP)
    assert pool.directory.ask("daemon")
    os.kill(pid, signal.SIGKILL)
    assert pool.answers(1) == {"daemon": None}
    assert pool.processes() == []
    assert pool.directory.ask("daemon")
    assert pool.answers(1)["daemon"] is not None


def test_a_process_that_hangs_is_ended_and_its_question_given_back(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pool.directory.ask("daemon")
    pool.answers(1)
    (pid,) = pool.processes()
    os.kill(pid, signal.SIGSTOP)  # as a directory does that never answers
    assert pool.directory.ask("daemon")
    assert pool.directory.end_hanging() == []
    assert pool.directory.oldest is not None
    monkeypatch.setattr(directory, "GIVE_UP_SECONDS", 0.0)
    assert pool.directory.end_hanging() == ["daemon"]
    assert pool.directory.oldest is None
    assert pool.processes() == []
    assert pool.fds == []


# As an ordinary user, who may have no process more.
_WITHOUT_PROCESSES = f"""
import os, resource, sys
sys.path[:0] = [{str(ROOT)!r}]
from sessionwrap.overlay.directory import Directory
asked = Directory(lambda fd: None, lambda fd: None)
before = os.listdir("/proc/self/fd")
os.setresuid(65534, 65534, 65534)
resource.setrlimit(resource.RLIMIT_NPROC, (0, 100))
print(asked.ask("daemon"), os.listdir("/proc/self/fd") == before)
resource.setrlimit(resource.RLIMIT_NPROC, (100, 100))
print(asked.ask("daemon"))
"""


def test_where_no_process_can_be_started_the_question_is_not_taken_and_the_next_one_is() -> None:
    argv = [sys.executable, "-c", _WITHOUT_PROCESSES]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("False True\nTrue\n", "")


def test_nothing_of_the_service_is_open_in_such_a_process(pool: Pool) -> None:
    kept, other = os.pipe()
    try:
        assert pool.directory.ask("daemon")
        pool.answers(1)
        (pid,) = pool.processes()
        links = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        assert os.readlink(f"/proc/self/fd/{kept}") not in links
        assert sum(link.startswith("socket:") for link in links) == 1
    finally:
        os.close(kept)
        os.close(other)
