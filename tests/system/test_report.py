"""``sessionwrap report`` on a booted host: what real recordings and real alerts look like in it."""

from __future__ import annotations

import json
from typing import Any

from host import Host

from sessionwrap import message_ids
from tests.system.helpers import login, logout, ssh, wait_for_end, workers


def report(host: Host, *options: str) -> tuple[int, dict[str, Any]]:
    """Give the exit status of the report, and what it says."""
    done = host.run(["sessionwrap", "report", "--json", *options], check=False)
    return done.returncode, json.loads(done.stdout)


def test_complete_recordings_and_commands_are_nothing_to_look_at(host: Host) -> None:
    with login(host, "alice") as terminal:
        _, says = report(host)
        assert [row["category"] for row in says["logins"]] == ["running"]
        assert logout(terminal) == 0
    wait_for_end(host)
    assert ssh(host, "alice", "true").returncode == 0
    status, says = report(host)
    assert (status, says["look"]) == (0, False), says
    rows = [row for row in says["logins"] if row["recordings"]]
    assert [row["category"] for row in rows] == ["complete", "complete"]
    assert [row["recordings"][0]["kind"] for row in rows] == ["terminal", "command"]
    assert {(row["user"], row["service"], row["rhost"]) for row in rows} == {
        ("alice", "sshd", "127.0.0.1")
    }


def test_a_worker_that_was_killed_is_something_to_look_at(host: Host) -> None:
    with login(host, "alice"):
        (worker,) = workers(host)
        host.run(["kill", "-KILL", str(worker)])
        wait_for_end(host)
    host.wait_for_entries(f"MESSAGE_ID={message_ids.ALERT_ABNORMAL}")
    host.wait_for_entries(f"MESSAGE_ID={message_ids.ALERT_UNSEEN}")
    status, says = report(host)
    assert status == 1
    (row,) = (row for row in says["logins"] if row["recordings"])
    assert (row["user"], row["category"], row["look"]) == ("alice", "incomplete", True)
    rec = row["recordings"][0]["rec"]
    assert row["why"] == f"the recording process died; incomplete: {rec}"
    assert {one["message_id"] for one in row["alerts"]} == {
        message_ids.ALERT_ABNORMAL,
        message_ids.ALERT_UNSEEN,
    }


def test_a_login_that_was_refused_is_an_alert(host: Host) -> None:
    host.run(["systemctl", "stop", "sessionwrapd.socket", "sessionwrapd.service"])
    assert ssh(host, "alice", "-tt", "true").returncode != 0
    host.wait_for_entries(f"MESSAGE_ID={message_ids.ALERT_NOT_RECORDED}")
    status, says = report(host)
    assert (status, says["counts"]["unverified"]) == (1, 0)
    assert says["counts"]["alerts"] == 1


def test_what_a_user_writes_is_shown_and_says_nothing_of_others(host: Host) -> None:
    entry = (
        f"MESSAGE_ID={message_ids.LOGIN}\nMESSAGE=forged\nSESSIONWRAP_USER=carol\n"
        "SESSIONWRAP_OUTCOME=refused\nSYSLOG_IDENTIFIER=sessionwrap\n"
    )
    host.run(["logger", "--journald"], user="bob", input=entry)
    host.run(["logger", "-t", "sessionwrap", "-p", "user.crit", "an alert of bob's"], user="bob")
    host.wait_for_entries("SYSLOG_IDENTIFIER=sessionwrap", count=2)
    status, says = report(host)
    assert status == 1
    assert (says["counts"]["logins"], says["counts"]["alerts"]) == (0, 0)
    assert {(one["verified"], one["message"]) for one in says["alerts"]} == {
        (False, "forged"),
        (False, "an alert of bob's"),
    }


def test_who_may_not_read_the_journal_gets_no_report(host: Host) -> None:
    done = host.run(["sessionwrap", "report"], user="bob", check=False)
    assert (done.returncode, done.stdout) == (5, "")
