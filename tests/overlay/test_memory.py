"""What the hook relies on: nobody is called sure who may have been told that we have no record."""

from __future__ import annotations

import time

from sessionwrap.overlay.memory import MAX_NAMES, Memory


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def test_a_login_program_from_before_the_service_is_not_sure() -> None:
    before = now()
    memory = Memory()
    assert not memory.is_sure("alice", before)
    assert memory.is_sure("alice", now())


def test_who_was_told_nothing_is_not_sure_until_a_login_program_begins_later() -> None:
    memory = Memory()
    began = now()
    memory.said_nothing("alice")
    assert not memory.is_sure("alice", began)
    assert memory.is_sure("bob", began)
    assert memory.is_sure("alice", now())


def test_after_forget_nobody_from_before_is_sure() -> None:
    memory = Memory()
    began = now()
    memory.forget()
    assert not memory.is_sure("alice", began)
    assert memory.is_sure("alice", now())


def test_what_does_not_fit_in_counts_as_said_to_everybody() -> None:
    memory = Memory()
    began = now()
    memory.said_nothing("alice")
    later = now()
    for number in range(MAX_NAMES):
        memory.said_nothing(f"user{number}")
    assert not memory.is_sure("alice", began)
    assert not memory.is_sure("bob", began)
    assert memory.is_sure("bob", later)
