from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap import tickets
from sessionwrap.errors import TicketError


def make(**changes: str | int) -> tickets.Ticket:
    values: dict[str, str | int] = {
        "record": 1,
        "rule": "groups = wheel",
        "user": "alice",
        "uid": os.getuid(),
        "shell": "/bin/bash",
        "service": "sshd",
        "rhost": "192.0.2.1",
        "tty": "ssh",
        "policy": "strict",
        "session": 7,
        "pid": os.getpid(),
        "start": tickets.parent_and_start(os.getpid())[1],
        "time": 1,
    }
    return tickets.Ticket(**(values | changes))


def unset(**changes: str | int) -> tickets.Ticket:
    return make(session=tickets.UNSET_SESSION, **changes)


@given(st.text(), st.text(), st.integers(0, 2**32 - 1))
def test_a_ticket_is_read_as_it_was_written(rhost: str, rule: str, session: int) -> None:
    ticket = make(rhost=rhost, rule=rule, session=session)
    assert tickets.parse(tickets.serialize(ticket)) == ticket


@given(st.binary(max_size=9000))
def test_any_bytes_are_a_ticket_or_one_named_error(data: bytes) -> None:
    try:
        tickets.parse(data)
    except TicketError as error:
        assert str(error)


def test_no_value_can_add_a_line_to_a_ticket() -> None:
    assert make(rhost="x\nrecord=0").rhost == "x?record=0"


@pytest.mark.parametrize(
    "change", [b"record=0\n", b"surprise=1\n", b"no equals sign\n", b"uid=-1\n", b"time=\xb2\n"]
)
def test_a_ticket_with_one_line_too_many_is_refused(change: bytes) -> None:
    with pytest.raises(TicketError):
        tickets.parse(tickets.serialize(make()) + change)


def test_a_ticket_without_all_its_lines_is_refused() -> None:
    text = tickets.serialize(make())
    with pytest.raises(TicketError):
        tickets.parse(text[: text.index(b"uid=")])


def test_a_login_without_an_audit_session_is_found_by_its_ancestors(tmp_path: Path) -> None:
    # The process that the ticket names is an ancestor of the one that asks.
    parent, start = os.getppid(), tickets.parent_and_start(os.getppid())[1]
    ticket = unset(pid=parent, start=start)
    tickets.write(ticket, str(tmp_path))
    if tickets.session_of(os.getpid()) == tickets.UNSET_SESSION:
        assert tickets.find(os.getpid(), os.getuid(), str(tmp_path)) == ticket
    name = f"{tickets.UNSET_SESSION}-{os.getuid()}-{parent}-{start}"
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o644


def test_a_process_that_took_over_the_pid_has_no_ticket(tmp_path: Path) -> None:
    tickets.write(unset(start=1), str(tmp_path))
    assert tickets.find(os.getpid(), os.getuid(), str(tmp_path)) is None


def test_another_users_ticket_is_not_found(tmp_path: Path) -> None:
    tickets.write(unset(uid=os.getuid() + 1), str(tmp_path))
    assert tickets.find(os.getpid(), os.getuid(), str(tmp_path)) is None


def test_a_ticket_that_root_did_not_write_is_refused(tmp_path: Path) -> None:
    ticket = unset()
    tickets.write(ticket, str(tmp_path))
    path = next(tmp_path.iterdir())
    os.chown(path, 12345, -1)
    with pytest.raises(TicketError, match="root"):
        tickets.find(os.getpid(), os.getuid(), str(tmp_path))


def test_a_link_in_the_place_of_a_ticket_is_refused(tmp_path: Path) -> None:
    tickets.write(unset(), str(tmp_path))
    path = next(tmp_path.iterdir())
    target = path.rename(tmp_path / "elsewhere")
    path.symlink_to(target)
    with pytest.raises(TicketError):
        tickets.find(os.getpid(), os.getuid(), str(tmp_path))


def test_sweeping_removes_the_tickets_of_logins_that_are_over_and_no_others(
    tmp_path: Path,
) -> None:
    tickets.write(make(session=1, start=1), str(tmp_path))  # another process has the pid now
    tickets.write(make(session=2, pid=1 << 22), str(tmp_path))
    tickets.write(make(session=3), str(tmp_path))
    (tmp_path / ".1234").write_bytes(b"being written")
    tickets.sweep(str(tmp_path))
    names = {path.name.split("-")[0] for path in tmp_path.iterdir()}
    assert names == {"3", ".1234"}


def test_one_sweep_looks_at_a_few_and_many_see_all(tmp_path: Path) -> None:
    for session in range(100):
        tickets.write(make(session=session, start=1), str(tmp_path))
    tickets.sweep(str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 100 - tickets.MAX_SWEPT
    for _ in range(3):
        tickets.sweep(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_has_gone_has_no_ticket(tmp_path: Path) -> None:
    tickets.write(unset(pid=1 << 22, start=1), str(tmp_path))
    assert tickets.find((1 << 22) + 1, os.getuid(), str(tmp_path)) is None
