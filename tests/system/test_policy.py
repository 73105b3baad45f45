"""Each part taken away in turn: who gets in, who is refused, and who is told of it.

alice is under `strict`, carol under `best_effort`, dave is to break the glass: all three are in
wheel and must be recorded. bob is out of scope.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from host import Host

from sessionwrap import message_ids
from tests.system.helpers import (
    JOURNALD,
    pass_a_tick,
)
from tests.system.policy import (
    GOT_IN,
    PAM,
    RECORDED,
    REFUSED,
    UNRECORDED,
    alerted,
    attempt,
    what_became,
)

RECORDER = ("sessionwrapd.socket", "sessionwrapd.service")
OVERLAY = ("sessionwrap-userdb.socket", "sessionwrap-userdb.service")


def sh(*commands: str) -> Callable[[Host], None]:
    def run(host: Host) -> None:
        for line in commands:
            host.run(["sh", "-ec", line])

    return run


class Part(NamedTuple):
    """A part, how to take it away and how an administrator mends it, and what holds meanwhile."""

    away: Callable[[Host], None]
    mend: Callable[[Host], None]
    strict: str
    best_effort: str
    others: str
    says: str
    """What the refused user reads, or the alert about the ones who got in."""


FILL = "cat /dev/zero > /var/log/journal/filler || true"
FULL_JOURNAL = sh(
    "mount -t tmpfs -o size=24m tmpfs /var/log/journal",
    "chgrp systemd-journal /var/log/journal; chmod 2755 /var/log/journal",
    "systemctl restart systemd-journald; journalctl --flush",
    FILL,
)
BROKEN = "printf '[session_recording]\\nscope = sme\\n' > /etc/sessionwrap/conf.d/zz.conf"

PARTS = {
    "overlay stopped": Part(
        sh(f"systemctl stop {' '.join(OVERLAY)}"),
        sh(f"systemctl start {OVERLAY[1]}"),
        *(REFUSED, UNRECORDED, UNRECORDED, "not /usr/bin/sessionwrap-shell"),
    ),
    "socket of the overlay removed": Part(
        sh("rm /run/systemd/userdb/io.sessionwrap.Overlay"),
        sh(f"systemctl restart {' '.join(OVERLAY)}"),
        *(REFUSED, UNRECORDED, UNRECORDED, "not /usr/bin/sessionwrap-shell"),
    ),
    "overlay not in nsswitch.conf": Part(
        sh("cp /etc/nsswitch.conf /root; sed -i '/^passwd:/s/systemd//' /etc/nsswitch.conf"),
        sh("cp /root/nsswitch.conf /etc"),
        *(REFUSED, UNRECORDED, UNRECORDED, "sessionwrap doctor"),
    ),
    "recorder stopped": Part(
        sh(f"systemctl stop {' '.join(RECORDER)}"),
        sh(f"systemctl start {RECORDER[0]}"),
        *(REFUSED, UNRECORDED, UNRECORDED, "the recorder does not answer"),
    ),
    "socket of the recorder removed": Part(
        sh("rm /run/sessionwrap/recorder.sock"),
        sh(f"systemctl restart {RECORDER[0]}"),
        *(REFUSED, UNRECORDED, UNRECORDED, "the recorder does not answer"),
    ),
    "recorder hung": Part(
        sh("kill -STOP $(systemctl show -p MainPID --value sessionwrapd)"),
        sh("kill -CONT $(systemctl show -p MainPID --value sessionwrapd)"),
        *(REFUSED, UNRECORDED, UNRECORDED, "the recorder does not answer"),
    ),
    "settings broken": Part(
        sh(
            "echo '{ nonsense' > /etc/sessionwrap/rec-session.conf",
            "systemctl restart sessionwrapd.service || true",
        ),
        sh("echo '{}' > /etc/sessionwrap/rec-session.conf; systemctl restart sessionwrapd.socket"),
        *(REFUSED, UNRECORDED, UNRECORDED, "the recorder does not answer"),
    ),
    "journald stopped": Part(
        sh(f"systemctl stop {' '.join(JOURNALD)}"),
        sh(f"systemctl start {' '.join(JOURNALD)}"),
        *(REFUSED, UNRECORDED, UNRECORDED, "the journal does not answer"),
    ),
    "disk of the journal full": Part(
        FULL_JOURNAL,
        sh("rm /var/log/journal/filler"),
        # journald may have reserved room for a little more: who gets in may be recorded or not.
        *(REFUSED, GOT_IN, UNRECORDED, "the disk that the journal is on is full"),
    ),
    # Without a ticket the recorder decides itself.
    "tickets cannot be written": Part(
        sh("mount -t tmpfs -o ro tmpfs /run/sessionwrap/tickets"),
        sh("umount /run/sessionwrap/tickets"),
        *(REFUSED, RECORDED, UNRECORDED, "cannot be written down"),
    ),
    # The overlay and the login shell do without the hook.
    "PAM line removed": Part(
        sh(f"cp {PAM} /root; sed -i '/pam-hook/d' {PAM}"),
        sh(f"cp /root/common-session {PAM}"),
        *(RECORDED, RECORDED, UNRECORDED, ""),
    ),
    # Nobody knows who is to be recorded: all are.
    "configuration broken": Part(
        sh(BROKEN),
        sh("rm /etc/sessionwrap/conf.d/zz.conf"),
        *(RECORDED, RECORDED, RECORDED, ""),
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_with_a_part_away_the_policy_says_who_gets_in_and_all_is_well_when_it_is_mended(
    policies: Host, name: str
) -> None:
    host, part = policies, PARTS[name]
    part.away(host)
    tried = {user: attempt(host, user) for user in ("alice", "carol", "dave", "bob", "root")}
    part.mend(host)
    pass_a_tick(host)
    after = {user: attempt(host, user) for user in ("alice", "carol", "dave", "bob", "root")}
    # What was left in a spool meanwhile is stored now, and what the hook could not say is said.
    host.wait_until(lambda: host.run(["ls", "/run/sessionwrap/spool"]).stdout == "", timeout=30)
    became = {user: what_became(host, each) for user, each in tried.items()}
    if part.best_effort == GOT_IN:
        assert REFUSED not in (became.pop("carol"), became.pop("dave"))
    else:
        assert (became.pop("carol"), became.pop("dave")) == (part.best_effort, part.best_effort)
    assert became == {"alice": part.strict, "bob": part.others, "root": UNRECORDED}
    assert {user: what_became(host, each) for user, each in after.items()} == {
        "alice": RECORDED,
        "carol": RECORDED,
        "dave": RECORDED,
        "bob": UNRECORDED,
        "root": UNRECORDED,
    }
    if part.strict == REFUSED:
        said = tried["alice"].output
        assert "sessionwrap: this login must be recorded, but" in said
        assert part.says in said
        assert "Please tell an administrator" in said
        assert any(
            "A login of alice by sshd was refused" in text for text in alerted(host, "alice")
        )
        for user in ("carol", "dave"):
            (text, *_) = alerted(host, user)
            assert f"A login of {user} by sshd goes on unrecorded, as the failure" in text
            assert part.says in text
    else:
        assert [alerted(host, user) for user in ("alice", "carol", "dave")] == [[], [], []]
    assert alerted(host, "bob") == []


@pytest.mark.parametrize("name", ["overlay stopped", "recorder stopped"])
def test_without_a_terminal_the_policy_holds_too(policies: Host, name: str) -> None:
    host, part = policies, PARTS[name]
    part.away(host)
    users = ("alice", "carol", "dave", "bob", "root")
    ran = {user: attempt(host, user, "-T").ran for user in users}
    assert ran == {"alice": False, "carol": True, "dave": True, "bob": True, "root": True}
    assert alerted(host, "carol")
    assert alerted(host, "dave")


def test_without_hook_and_recorder_the_login_shell_itself_holds_to_the_policy(
    policies: Host,
) -> None:
    host = policies
    PARTS["PAM line removed"].away(host)
    PARTS["recorder stopped"].away(host)
    for options in (("-tt",), ("-T",)):
        tried = {user: attempt(host, user, *options) for user in ("alice", "carol", "dave", "bob")}
        assert {user: each.ran for user, each in tried.items()} == {
            "alice": False,
            "carol": True,
            "dave": True,
            "bob": True,
        }
        assert "this login must be recorded, but the recorder does not answer" in (
            tried["alice"].output
        )
        assert "this session is not recorded, though it should be" in tried["carol"].output
        assert "sessionwrap:" not in tried["bob"].output
    # The login shell has the user's rights, so has what it logs: two alerts, one a login.
    assert [len(alerted(host, user)) for user in ("alice", "carol", "dave", "bob")] == [2, 2, 2, 0]


def test_with_a_broken_configuration_nobody_who_cannot_be_recorded_gets_in_but_root(
    policies: Host,
) -> None:
    host = policies
    PARTS["configuration broken"].away(host)
    PARTS["recorder stopped"].away(host)
    users = ("alice", "carol", "dave", "bob", "root")
    ran = {user: attempt(host, user).ran for user in users}
    assert ran == {"alice": False, "carol": False, "dave": False, "bob": False, "root": True}
    for user in users:
        (text,) = alerted(host, user, message_ids.ALERT_CONFIG)
        assert "/etc/sessionwrap/conf.d/zz.conf:2: scope" in text
        assert f"This was the login of {user}" in text


def test_of_the_policies_of_a_user_and_the_groups_the_most_strict_holds(host: Host) -> None:
    for group in ("ops", "dba", "fire"):
        host.run(["groupadd", group])
    for user, groups in (
        ("ops", ["ops"]),
        ("both", ["ops", "dba"]),
        ("named", ["dba"]),
        ("fireman", ["ops", "dba", "fire"]),
    ):
        host.add_user(f"u{user}", groups=["wheel", *groups])
    host.write(
        "/etc/sessionwrap/conf.d/policy.conf",
        "[failure_policy]\npolicy = strict\nbest_effort_groups = ops\nstrict_groups = dba\n"
        "best_effort_users = unamed\nbreak_glass_groups = fire\n",
    )
    PARTS["recorder stopped"].away(host)
    users = ("alice", "uops", "uboth", "unamed", "ufireman")
    assert {user: attempt(host, user).ran for user in users} == {
        "alice": False,
        "uops": True,
        "uboth": False,
        "unamed": False,
        "ufireman": True,
    }
    # A change holds from the next login on, and no service has to know.
    host.write("/etc/sessionwrap/conf.d/zz.conf", "[failure_policy]\nstrict_groups =\n")
    assert attempt(host, "uboth").ran
    assert attempt(host, "unamed").ran
    assert not attempt(host, "alice").ran


def test_a_service_left_out_is_not_decided_on_by_the_hook_and_its_login_shell_asks_the_recorder(
    policies: Host,
) -> None:
    host = policies
    host.write("/etc/sessionwrap/conf.d/zz.conf", "[pam_services]\nexclude_services = sshd, su\n")
    tried = attempt(host, "alice")
    assert what_became(host, tried) == RECORDED
    assert what_became(host, attempt(host, "bob")) == UNRECORDED
    assert host.run(["ls", "/run/sessionwrap/tickets"]).stdout == ""
    assert host.run(["journalctl", "-q", f"MESSAGE_ID={message_ids.LOGIN}"]).stdout == ""
    # The hook refuses nothing, the login shell does.
    PARTS["recorder stopped"].away(host)
    assert "the recorder does not answer" in attempt(host, "alice").output
    assert alerted(host, "alice") == [
        text for text in alerted(host, "alice") if "A shell of alice was refused" in text
    ]
    PARTS["overlay stopped"].away(host)
    assert what_became(host, attempt(host, "alice")) == UNRECORDED  # what leaving out means
