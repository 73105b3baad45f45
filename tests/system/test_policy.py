"""Each part taken away in turn: who gets in, who is refused, and who is told of it.

alice is under `strict`, carol under `best_effort`, dave is to break the glass: all three are in
wheel and must be recorded. bob is out of scope.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from host import Host

from sessionwrap import message_ids
from tests.system.helpers import (
    JOURNALD,
    messages,
    pass_a_tick,
    recordings,
    ssh,
    sync_journal,
)

POLICY = "[failure_policy]\npolicy = strict\nbest_effort_users = carol\nbreak_glass_users = dave\n"
PAM = "/etc/pam.d/common-session"
RECORDER = ("sessionwrapd.socket", "sessionwrapd.service")
OVERLAY = ("sessionwrap-userdb.socket", "sessionwrap-userdb.service")
REFUSED, RECORDED, UNRECORDED = "refused", "recorded", "unrecorded"
GOT_IN = "got in"
_numbers = itertools.count(1)


class Attempt(NamedTuple):
    """A login that was tried: the word that its command was to print, and what the client saw."""

    user: str
    word: str
    output: str

    @property
    def ran(self) -> bool:
        """Whether the command ran and its output reached the client."""
        return self.word in self.output


def attempt(host: Host, user: str, *options: str) -> Attempt:
    """Log in and run a command; by default on a terminal."""
    number = next(_numbers)
    # The word stands nowhere but in the output of what really ran.
    words = (*(options or ("-tt",)), f"echo word $((1000000 + {number})) end")
    done = ssh(host, user, *words, timeout=180)
    return Attempt(user, f"word {1000000 + number} end", (done.stdout + done.stderr).decode())


def attempts_at_once(host: Host, *users: str) -> dict[str, Attempt]:
    with ThreadPoolExecutor() as pool:
        return dict(zip(users, pool.map(lambda user: attempt(host, user), users), strict=True))


def is_recorded(host: Host, tried: Attempt) -> bool:
    """Tell whether the journal has, of the recorder's own, what the command printed."""
    output = "".join(
        message["out_txt"]
        for recording in recordings(host)
        if recording["user"] == tried.user and recording["verified"]
        for message in messages(host, recording["rec"])
    )
    return tried.word in output


def what_became(host: Host, tried: Attempt) -> str:
    """Tell by what really ran, and by what the journal has of it."""
    if not tried.ran:
        return REFUSED
    return RECORDED if is_recorded(host, tried) else UNRECORDED


def alerted(host: Host, user: str, message_id: str = message_ids.ALERT_NOT_RECORDED) -> list[str]:
    """Give the texts of the critical entries that name a user."""
    sync_journal(host)
    matches = ["PRIORITY=2", f"MESSAGE_ID={message_id}", f"SESSIONWRAP_USER={user}"]
    return host.run(["journalctl", "--output=cat", *matches]).stdout.splitlines()


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


@pytest.fixture
def policies(host: Host) -> Host:
    """Give a host on which alice, carol and dave must be recorded, under three policies."""
    host.add_user("dave", groups=["wheel"])
    host.write("/etc/sessionwrap/conf.d/policy.conf", POLICY)
    return host


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


DIRECTORY = "/run/systemd/userdb/io.test.Directory"


def late_groups(host: Host, seconds: int, *unanswered: str) -> None:
    """Add a directory to the host that is so late with every question for a user's groups, and
    never answers some programs (hanging_directory.py).
    """
    host.copy_in(Path(__file__).with_name("hanging_directory.py"), "/usr/local/bin/directory")
    host.run(["sed", "-i", "s/^group:.*/group: files systemd/", "/etc/nsswitch.conf"])
    unit = ["--unit=directory", "--property=Type=exec"]
    words = ["python3", "/usr/local/bin/directory", str(seconds), *unanswered]
    host.run(["systemd-run", *unit, *words])
    host.wait_until(lambda: host.run(["test", "-S", DIRECTORY], check=False).returncode == 0)


def mend_groups(host: Host) -> None:
    host.run(["systemctl", "stop", "directory"])
    host.run(["rm", DIRECTORY])


def test_while_the_groups_are_slow_everybody_gets_in_and_who_is_out_of_scope_is_not_recorded(
    policies: Host,
) -> None:
    host = policies
    late_groups(host, 4)
    tried = attempts_at_once(host, "alice", "carol", "bob", "root")
    mend_groups(host)
    assert {user: what_became(host, each) for user, each in tried.items()} == {
        "alice": RECORDED,
        "carol": RECORDED,
        "bob": UNRECORDED,
        "root": UNRECORDED,
    }
    assert alerted(host, "alice") == alerted(host, "bob") == []


def test_while_the_groups_hang_nobody_waits_for_ever_and_nobody_in_doubt_is_unrecorded(
    policies: Host,
) -> None:
    """Longer than the hook waits. Without us a login over SSH waits seven times for the groups."""
    host = policies
    late_groups(host, 14)
    tried = attempts_at_once(host, "alice", "carol", "bob", "root")
    mend_groups(host)
    said = {user: each.output for user, each in tried.items()}
    assert {user: what_became(host, each) for user, each in tried.items()} == {
        "alice": RECORDED,
        "carol": RECORDED,
        "bob": RECORDED,  # perhaps in wheel
        "root": UNRECORDED,
    }, said
    matches = (f"MESSAGE_ID={message_ids.LOGIN}", "SESSIONWRAP_USER=bob")
    (entry,) = host.wait_for_entries(*matches)
    assert entry["SESSIONWRAP_RULE"] == "groups = (the directory does not say)"
    assert alerted(host, "alice") == alerted(host, "bob") == []
    # What the overlay was told is good for five seconds.
    host.wait_until(lambda: what_became(host, attempt(host, "bob")) == UNRECORDED, timeout=20)


NEVER_ANSWERED = ("python3", "sessionwrap")
"""All that is ours. sshd is answered: without us it waits 45 s for each of its seven questions."""


class InDoubt(NamedTuple):
    """Where the accounts are, by which rules they are in doubt, and what becomes of whom, within
    how many seconds.
    """

    passwd: str
    rules: str
    became: dict[str, str]
    afterwards: dict[str, str]
    seconds: float


NEVER = {
    "local users": InDoubt(
        "systemd files",
        "scope = some\ngroups = wheel",
        {"alice": RECORDED, "carol": RECORDED, "dave": RECORDED, "bob": RECORDED},
        {"alice": RECORDED, "carol": RECORDED, "dave": RECORDED, "bob": UNRECORDED},
        20,  # the hook waits 12
    ),
    # To the overlay all sources but `files` are directories: it cannot answer for their users.
    "users of a directory": InDoubt(
        "systemd compat",
        "scope = all\nexclude_users = bob\nexclude_groups = robots",
        {"alice": RECORDED, "carol": RECORDED, "dave": RECORDED, "bob": UNRECORDED},
        {"alice": RECORDED, "carol": RECORDED, "dave": RECORDED, "bob": UNRECORDED},
        20,
    ),
}


@pytest.mark.parametrize("name", NEVER)
def test_while_the_groups_never_come_who_is_in_doubt_is_recorded_or_the_policy_holds(
    policies: Host, name: str
) -> None:
    host, case = policies, NEVER[name]
    host.run(["sed", "-i", f"s/^passwd:.*/passwd: {case.passwd}/", "/etc/nsswitch.conf"])
    host.write("/etc/sessionwrap/conf.d/tests.conf", f"[session_recording]\n{case.rules}\n")
    host.run(["sed", "-i", "/pam_systemd.so/d", PAM])  # logind would ask for all of them in turn
    late_groups(host, 0, *NEVER_ANSWERED)

    def timed(user: str) -> tuple[Attempt, float]:
        began = time.monotonic()
        return attempt(host, user), time.monotonic() - began

    users = (*case.became, "root")
    with ThreadPoolExecutor() as pool:
        tried = dict(zip(users, pool.map(timed, users), strict=True))
    mend_groups(host)
    became = {user: what_became(host, each) for user, (each, _) in tried.items()}
    said = {user: each.output for user, (each, _) in tried.items()}
    assert became == {**case.became, "root": UNRECORDED}, said
    assert max(seconds for _, seconds in tried.values()) < case.seconds
    assert tried["root"][1] < 10
    assert [alerted(host, user) for user in case.became] == [[], [], [], []]
    # What the overlay was told is good for five seconds, and what is late for ten.
    host.wait_until(lambda: what_became(host, attempt(host, "alice")) == RECORDED, timeout=20)
    after = {user: what_became(host, attempt(host, user)) for user in users}
    assert after == {**case.afterwards, "root": UNRECORDED}
