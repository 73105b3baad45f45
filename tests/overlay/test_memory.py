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


def test_of_a_process_that_asked_itself_it_is_known_whether_it_was_given_ours() -> None:
    memory = Memory()
    began = now()
    assert memory.is_sure("alice", began)
    assert not memory.is_sure("alice", began, 100)
    memory.took_ours(100, "alice")
    assert memory.is_sure("alice", began, 100)
    assert not memory.is_sure("alice", began, 101)
    assert not memory.is_sure("bob", began, 100)
    assert not memory.is_sure("alice", now(), 100), "an earlier process of that number"


def test_a_process_that_left_without_a_question_was_not_given_ours_each_time() -> None:
    memory = Memory()
    began = now()
    memory.left(100)
    memory.took_ours(100, "alice")
    assert not memory.is_sure("alice", began, 100)
    later = now()
    memory.took_ours(100, "alice")
    assert memory.is_sure("alice", later, 100)


def test_who_left_and_does_not_fit_in_makes_nobody_sure() -> None:
    memory = Memory()
    began = now()
    memory.left(100)
    for number in range(MAX_NAMES):
        memory.left(1000 + number)
    memory.took_ours(100, "alice")
    assert not memory.is_sure("alice", began, 100)


def test_what_was_forgotten_of_one_kind_stays_so_when_an_older_entry_of_another_goes() -> None:
    memory = Memory()
    memory.left(100)
    began = now()
    memory.said_nothing("alice")
    for number in range(MAX_NAMES):
        memory.said_nothing(f"user{number}")  # alice does not fit in any more
    assert not memory.is_sure("alice", began)
    for number in range(MAX_NAMES):
        memory.left(1000 + number)  # nor does process 100, from before
    assert not memory.is_sure("alice", began)
