"""The service as its clients see it: see ``running``."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

from sessionwrap import paths
from sessionwrap.overlay import varlink
from sessionwrap.overlay.clients import BACKLOG, MAX_CONNECTIONS, MAX_CONNECTIONS_OF_USER
from sessionwrap.overlay.service import MAX_QUESTIONS_OF_USER
from tests.overlay.running import (
    DIRECTORY,
    GROUP,
    LOCAL,
    PASSWD,
    SCOPE,
    SECONDS,
    Overlay,
    now,
)


@pytest.mark.parametrize("nsswitch", [LOCAL, DIRECTORY])
def test_users_in_scope_get_the_login_shell_and_all_others_no_record(
    tmp_path: Path, nsswitch: str
) -> None:
    overlay = Overlay(tmp_path, nsswitch)
    try:
        answer = overlay.ask(userName="alice")
        assert answer["parameters"]["record"]["shell"] == paths.LOGIN_SHELL
        assert answer["parameters"]["record"]["homeDirectory"] == "/home/alice"
        assert overlay.ask(uid=20001) == answer
        for nobody in ("bob", "root", "daemon", "no-such-user"):
            assert overlay.shell(nobody) is None
        for number in (0, 1, 20002, 4242):
            assert "error" in overlay.ask(uid=number)
        assert "error" in overlay.ask()  # all users
    finally:
        overlay.close()


@pytest.mark.parametrize("nsswitch", [LOCAL, DIRECTORY])
def test_a_change_of_rules_or_files_holds_at_once(tmp_path: Path, nsswitch: str) -> None:
    overlay = Overlay(tmp_path, nsswitch)
    try:
        assert overlay.shell("bob") is None
        (tmp_path / "group").write_text(GROUP.replace("wheel:x:20010:", "wheel:x:20010:bob,"))
        assert overlay.shell("bob") == paths.LOGIN_SHELL
        overlay.write_rules(SCOPE.replace("wheel", "ops"))
        assert overlay.shell("bob") is None
        assert overlay.shell("alice") is None
        overlay.write_rules("[session_recording]\nscope = sum\n")  # a mistake
        assert overlay.shell("alice") == overlay.shell("bob") == paths.LOGIN_SHELL
        assert overlay.shell("root") is None
        overlay.write_rules("[session_recording]\nscope = none\n")
        assert overlay.shell("alice") is None
        overlay.write_rules(SCOPE)
        (tmp_path / "passwd").write_text(PASSWD + "alan:x:20003:20010::/:/bin/sh\n")
        assert overlay.shell("alan") == paths.LOGIN_SHELL  # by the primary group
    finally:
        overlay.close()


@pytest.mark.parametrize(
    "data",
    [b"garbage\0", b"\0", b'{"method": 1}\0', b"[" * 5000 + b"\0", b"\xff" * 20000],
    ids=["words", "nothing", "no name", "deep", "endless"],
)
def test_who_sends_what_is_no_call_is_dropped_and_nobody_else(
    overlay: Overlay, data: bytes
) -> None:
    with overlay.connect() as good, overlay.connect() as bad:
        bad.socket.sendall(data)
        assert bad.is_dropped()
        good.call(userName="alice")
        assert "parameters" in good.answer()


@pytest.mark.parametrize(
    ("method", "parameters", "error"),
    [
        (varlink.GET_USER, {"uid": -1}, "org.varlink.service.InvalidParameter"),
        (varlink.GET_USER, {"service": "other"}, "org.varlink.service.InvalidParameter"),
        (varlink.NOTHING_HERE[0], {}, "io.systemd.UserDatabase.NoRecordFound"),
        (varlink.NOTHING_HERE[1], {}, "io.systemd.UserDatabase.NoRecordFound"),
        ("org.varlink.service.GetInfo", {}, "org.varlink.service.MethodNotFound"),
    ],
)
def test_what_cannot_be_answered_gets_a_named_error(
    overlay: Overlay, method: str, parameters: dict[str, Any], error: str
) -> None:
    with overlay.connect() as client:
        client.call(method, **parameters)
        assert client.answer()["error"] == error


def test_a_connection_has_one_call_and_is_closed_when_it_is_answered(overlay: Overlay) -> None:
    with overlay.connect() as client:
        client.call(userName="alice")
        assert "parameters" in client.answer()
        assert client.is_dropped()


def test_a_call_that_wants_no_answer_gets_none(overlay: Overlay) -> None:
    with overlay.connect() as client:
        client.call(oneway=True, userName="alice")
        assert client.is_dropped()


def test_a_call_that_comes_in_pieces_is_answered(overlay: Overlay) -> None:
    with overlay.connect() as client:
        call = {"method": varlink.GET_USER}
        data = json.dumps({**call, "parameters": {"service": varlink.SERVICE, "uid": 20001}})
        for character in data:
            client.socket.sendall(character.encode())
        overlay.wait_for_beat()
        assert client.is_waiting()
        client.socket.sendall(b"\0")
        assert "parameters" in client.answer()


def test_only_root_may_ask_whether_a_login_is_sure(overlay: Overlay) -> None:
    with overlay.connect(20001) as client:
        client.call(varlink.IS_SURE, userName="alice", since=now())
        assert client.answer()["error"] == "org.varlink.service.MethodNotFound"
    assert overlay.is_sure("alice", now())


def test_a_login_program_that_was_told_nothing_is_not_sure(overlay: Overlay) -> None:
    began = now()
    assert overlay.shell("bob", by=0) is None
    assert not overlay.is_sure("bob", began)
    assert overlay.is_sure("alice", began)
    assert overlay.is_sure("bob", now())


def test_whether_a_login_program_was_given_our_record_is_known_by_its_pid(overlay: Overlay) -> None:
    began = now()
    pid = os.getpid()
    assert overlay.shell("alice", by=20002) == paths.LOGIN_SHELL
    assert not overlay.is_sure("alice", began, pid), "what users ask does not count"
    assert overlay.shell("alice", by=0) == paths.LOGIN_SHELL
    assert overlay.is_sure("alice", began, pid)
    assert not overlay.is_sure("alice", began, pid + 1)
    overlay.connect(0).socket.close()
    overlay.wait_for_beat()
    assert not overlay.is_sure("alice", began, pid), "one look-up of it failed"


def test_a_login_program_that_closes_before_it_has_read_was_not_given_our_record(
    overlay: Overlay,
) -> None:
    """The kernel tells: its caller has stopped it until it waited no longer, say."""
    began = now()
    with overlay.connect(0) as client:
        client.call(userName="alice")
        assert select.select([client.socket], [], [], 10)[0]
        assert not overlay.is_sure("alice", began, os.getpid()), "it has not read yet"
        assert len(client.socket.recv(10)) == 10
    assert not overlay.is_sure("alice", began, os.getpid())
    assert overlay.shell("alice", by=0) == paths.LOGIN_SHELL
    assert not overlay.is_sure("alice", began, os.getpid()), "one look-up of it failed"
    assert overlay.is_sure("alice", began), "others are not concerned"


def test_a_login_program_that_reads_an_answer_that_came_late_was_given_our_record(
    over_directory: Overlay,
) -> None:
    child = over_directory.hang_directory()
    began = now()
    with over_directory.connect(0) as client:
        client.call(userName="alice")
        os.kill(child, signal.SIGCONT)
        assert client.answer()["parameters"]["record"]["shell"] == paths.LOGIN_SHELL
        assert client.is_waiting(), "it is the one that closes"
    assert over_directory.is_sure("alice", began, os.getpid())


def test_login_programs_that_do_not_close_take_no_place_of_others(overlay: Overlay) -> None:
    began = now()
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS + 1):
            client = stack.enter_context(overlay.connect(0))
            client.call(userName="alice")
            client.answer()
        assert overlay.shell("alice") == paths.LOGIN_SHELL
        assert overlay.is_sure("alice", began), "nobody else has lost an answer"
        assert not overlay.is_sure("alice", began, os.getpid())


def test_what_users_are_told_makes_no_login_unsure(overlay: Overlay) -> None:
    began = now()
    assert overlay.shell("bob", by=20002) is None
    assert overlay.is_sure("bob", began)


def test_who_logged_in_while_the_scope_was_none_is_not_sure(overlay: Overlay) -> None:
    overlay.write_rules("[session_recording]\nscope = none\n")
    began = now()
    assert overlay.shell("alice", by=0) is None
    overlay.write_rules(SCOPE)
    assert overlay.shell("alice") == paths.LOGIN_SHELL
    assert not overlay.is_sure("alice", began)


def test_after_more_connections_than_can_wait_nobody_from_before_is_sure(
    overlay: Overlay,
) -> None:
    began = now()
    overlay.process.send_signal(signal.SIGSTOP)
    refused = False
    for _ in range(BACKLOG + 2):
        with socket.socket(socket.AF_UNIX) as one:
            one.setblocking(False)
            try:
                one.connect(f"\0{overlay.directory}")
            except BlockingIOError:
                refused = True
    overlay.process.send_signal(signal.SIGCONT)
    assert refused
    sure = None
    while sure is None:  # until it has taken some of those that wait; the time limit ends this
        with contextlib.suppress(BlockingIOError):
            sure = overlay.is_sure("alice", began)
    assert not sure
    overlay.wait_for_beat()
    assert overlay.is_sure("alice", now())
    said = "More connections came than can wait, most of them of uid 0"
    assert (overlay.directory / "stderr").read_text().count(said) == 1


def test_a_user_has_a_bounded_number_of_connections_and_root_is_not_bounded(
    overlay: Overlay,
) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_CONNECTIONS_OF_USER):
            stack.enter_context(overlay.connect(20001))
        assert stack.enter_context(overlay.connect(20001)).is_dropped()
        assert overlay.shell("alice", by=20002) == paths.LOGIN_SHELL
        for _ in range(MAX_CONNECTIONS_OF_USER + 2):
            client = stack.enter_context(overlay.connect(0))
        client.call(userName="alice")
        assert "parameters" in client.answer()
    overlay.wait_for_beat()
    assert overlay.shell("alice", by=20001) == paths.LOGIN_SHELL  # they are gone


def test_who_sends_and_does_not_read_is_dropped_and_takes_no_memory(overlay: Overlay) -> None:
    overlay.shell("alice")
    before = overlay.resident()
    calls = b'{"method":"x"}\0' * 10_000
    with overlay.connect() as client, contextlib.suppress(ConnectionError):
        while True:
            client.socket.sendall(calls)
    assert overlay.shell("alice") == paths.LOGIN_SHELL
    assert overlay.resident() - before < 4 << 20


def test_who_sends_without_end_takes_no_more_than_their_turn(overlay: Overlay) -> None:
    calls = b'{"method":"x"}\0' * 10_000
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            client = stack.enter_context(overlay.connect(20001))
            client.socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.socket.send(calls)
        for _ in range(20):
            began = time.monotonic()
            assert overlay.shell("alice") == paths.LOGIN_SHELL
            assert time.monotonic() - began < 0.5


def test_users_of_a_hanging_directory_wait_and_nobody_else(over_directory: Overlay) -> None:
    overlay = over_directory
    child = overlay.hang_directory()
    with overlay.connect(0) as waiting:
        waiting.call(userName="bob")
        assert overlay.shell("alice") == paths.LOGIN_SHELL  # by another process
        assert waiting.is_waiting()
        os.kill(child, signal.SIGCONT)
        assert "error" in waiting.answer()


def test_a_hanging_directory_is_not_waited_for_longer_than_the_limit(
    over_directory: Overlay,
) -> None:
    overlay = over_directory
    overlay.hang_directory()
    began = now()
    assert overlay.shell("alice", by=0) is None
    assert 3.5 < now() - began < 6
    assert not overlay.is_sure("alice", began)


def test_a_lookup_by_uid_that_the_directory_did_not_answer_leaves_nobody_sure(
    over_directory: Overlay,
) -> None:
    overlay = over_directory
    child = overlay.hang_directory()
    began = now()
    with overlay.connect(0) as client:
        client.call(uid=20001)
        overlay.wait_for_beat()
        os.kill(child, signal.SIGKILL)
        assert "error" in client.answer()
    assert not overlay.is_sure("alice", began)


def test_a_local_user_is_recorded_in_doubt_when_the_directory_is_late(tmp_path: Path) -> None:
    overlay = Overlay(tmp_path, "passwd: systemd files nosuch\ngroup: files nosuch\n")
    try:
        overlay.hang_directory()
        began = now()
        assert overlay.shell("bob") == paths.LOGIN_SHELL
        assert 0.8 < now() - began < 3
        began = now()
        assert overlay.shell("bob") == paths.LOGIN_SHELL  # late for one: nobody waits
        assert now() - began < 0.5
    finally:
        overlay.close()


def test_a_user_cannot_keep_all_processes_busy(over_directory: Overlay) -> None:
    overlay = over_directory
    with contextlib.ExitStack() as stack:
        for number in range(MAX_QUESTIONS_OF_USER):
            stopped = overlay.children()
            client = stack.enter_context(overlay.connect(20001))
            client.call(userName=f"starts-{number}")
            client.answer()
            for child in set(overlay.children()) - set(stopped):
                os.kill(child, signal.SIGSTOP)
            stack.enter_context(overlay.connect(20001)).call(userName=f"hangs-{number}")
            overlay.wait_for_beat()
        began = now()
        assert overlay.shell("alice", by=20001) is None  # no question left to ask
        assert now() - began < 0.5
        assert overlay.shell("alice", by=0) == paths.LOGIN_SHELL


def test_many_questions_that_wait_for_one_answer_take_no_memory(over_directory: Overlay) -> None:
    overlay = over_directory
    child = overlay.hang_directory()
    before = overlay.resident()
    question = {"method": varlink.GET_USER}
    data = json.dumps({**question, "parameters": {"service": varlink.SERVICE, "uid": 20001}})
    with overlay.connect() as client:
        client.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                client.socket.send(data.encode() + b"\0")
        overlay.wait_for_beat()
        assert overlay.resident() - before < 2 << 20
        os.kill(child, signal.SIGCONT)
        client.socket.settimeout(SECONDS)
        assert "parameters" in client.answer()
