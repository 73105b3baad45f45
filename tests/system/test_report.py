"""``sessionwrap report`` on a booted host: what real recordings and real alerts look like in it."""

from __future__ import annotations

import json
from typing import Any

from host import Host

from sessionwrap import message_ids
from tests.system.helpers import (
    command,
    login,
    logout,
    recording_pids,
    ssh,
    sync_journal,
    wait_for_end,
)


def report(host: Host, *options: str) -> tuple[int, dict[str, Any]]:
    """Give the exit status of the report, and what it says."""
    sync_journal(host)
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
        (worker,) = recording_pids(host)
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


FORGE = """
import json, sys
from systemd import journal
for fields in json.load(sys.stdin):
    journal.send(fields.pop("MESSAGE"), **fields)
"""
FORGED = {
    "SESSIONWRAP_OUTCOME": "out_of_scope",
    "SESSIONWRAP_REASON": "exited",
    "SESSIONWRAP_LOST": "0",
    "SESSIONWRAP_WHY": "",
    "PRIORITY": "2",
    "_UID": "0",
    "_BOOT_ID": "0" * 32,
}
"""What the user says instead of what root and the recorder have said; journald stamps the rest."""


def test_a_user_forges_no_login_no_outcome_no_alert_and_hides_none(host: Host) -> None:
    with login(host, "alice"):
        (worker,) = recording_pids(host)
        host.run(["kill", "-KILL", str(worker)])
        wait_for_end(host)
    host.wait_for_entries(f"MESSAGE_ID={message_ids.ALERT_UNSEEN}")
    host.run(["systemctl", "stop", "sessionwrapd.socket", "sessionwrapd.service"])
    assert ssh(host, "alice", "-tt", "true").returncode != 0
    host.wait_for_entries(f"MESSAGE_ID={message_ids.ALERT_NOT_RECORDED}")
    _, before = report(host)
    assert [row["category"] for row in before["logins"]] == ["incomplete", "refused"]
    # All that there is of these logins, once more, as alice would have it; and bob's.
    real = host.run(["journalctl", "-o", "json", "SYSLOG_IDENTIFIER=sessionwrap"]).stdout
    fields = [json.loads(line) for line in real.splitlines()]
    told = [
        {key: value for key, value in one.items() if key.startswith(("SESS", "MESS", "SYSLOG_I"))}
        for one in fields
        if "MESSAGE_ID" in one
    ]
    forged = [
        one | {key: FORGED[key] for key in FORGED if key in one or "SESS" not in key}
        for one in told
    ]
    forged += [one | {"MESSAGE_ID": message_ids.NO_SHELL} for one in forged]
    forged += [
        one
        | {"SESSIONWRAP_USER": "bob", "SESSIONWRAP_LOGIN": "1-1-1-1", "SESSIONWRAP_REC": "a-1-1"}
        for one in forged
    ]
    host.run(["python3", "-c", FORGE], user="alice", input=json.dumps(forged))
    uid = host.run(["id", "-u", "alice"]).stdout.strip()
    mine = ["SYSLOG_IDENTIFIER=sessionwrap", "PRIORITY=2", f"_UID={uid}"]
    host.wait_for_entries(*mine, count=len(forged))
    status, after = report(host)
    assert status == 1
    assert after["logins"] == before["logins"]
    assert [one for one in after["alerts"] if one["verified"]] == before["alerts"]
    assert after["counts"] == before["counts"] | {"unverified": len(forged)}
    assert {one["writer_uid"] for one in after["alerts"] if not one["verified"]} == {int(uid)}


def test_what_a_program_of_roots_logs_for_a_user_is_the_users(host: Host) -> None:
    # su logs under the name in argv[0], and PAM's modules in it at the priority of an alert.
    trick = "exec -a sessionwrap su -c true bob < /dev/null"
    host.run(["bash", "-c", trick], user="alice", check=False)
    host.wait_for_entries("SYSLOG_IDENTIFIER=sessionwrap", "PRIORITY=2")
    _, says = report(host)
    assert says["counts"]["alerts"] == 0
    [told] = says["alerts"]
    uid = int(host.run(["id", "-u", "alice"]).stdout)
    assert (told["verified"], told["writer_uid"]) == (False, uid)


FLOOD = """
import socket
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.connect("/run/systemd/journal/socket")
for priority in (6, 2):
    for _ in range(70_000):
        journal.send(b"PRIORITY=%d\\nMESSAGE=x\\n" % priority)
"""


def test_a_user_who_spends_the_rate_limit_of_their_session_hides_no_login(host: Host) -> None:
    host.write("/etc/sudoers.d/alice", "alice ALL=(ALL) NOPASSWD: ALL\n", 0o440)
    host.write("/etc/sessionwrap/conf.d/policy.conf", "[failure_policy]\npolicy = best_effort\n")
    host.write("/home/alice/flood.py", FLOOD)
    around = "SYSTEMD_BYPASS_USERDB=io.sessionwrap.Overlay"
    sudo = f"{around} sudo --preserve-env=SYSTEMD_BYPASS_USERDB -iu carol true"
    with login(host, "alice") as terminal:
        command(terminal, f"python3 /home/alice/flood.py; {sudo}")
        logout(terminal)
    wait_for_end(host)
    status, says = report(host)
    assert (status, says["counts"]["passed"], says["counts"]["alerts"]) == (1, 1, 1)


def test_who_may_not_read_the_journal_gets_no_report(host: Host) -> None:
    done = host.run(["sessionwrap", "report"], user="bob", check=False)
    assert (done.returncode, done.stdout) == (5, "")
