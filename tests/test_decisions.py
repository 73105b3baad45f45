from __future__ import annotations

from pathlib import Path

import pytest

from sessionwrap import decisions, scope
from sessionwrap.accounts import Account

RULES = (
    "[session_recording]\nscope = some\ngroups = wheel\nusers = games\n"
    "[failure_policy]\npolicy = best_effort\nstrict_users = bob\n"
    "[pam_services]\nexclude_services = vsftpd, xdm\n"
)


def rules(directory: Path, text: str) -> decisions.Rules:
    (directory / "sessionwrap.conf").write_text(text)
    return decisions.Rules(str(directory))


def account(name: str, uid: int, groups: tuple[str, ...] | None) -> Account:
    return Account((name, uid, uid, "/bin/bash", "/bin/bash"), groups)


@pytest.mark.parametrize(
    ("user", "record", "policy"),
    [
        (("alice", 1000, ("alice", "wheel")), True, scope.BEST_EFFORT),
        (("bob", 1001, ("bob", "wheel")), True, scope.STRICT),
        (("carol", 1002, ("carol",)), False, scope.BEST_EFFORT),
        (("carol", 1002, None), True, scope.BEST_EFFORT),
        (("games", 5, ("games",)), True, scope.BEST_EFFORT),
        (("root", 0, ("root", "wheel")), False, scope.BREAK_GLASS),
    ],
)
def test_rules_decide_on_recording_and_policy_together(
    tmp_path: Path, user: tuple[str, int, tuple[str, ...] | None], record: bool, policy: str
) -> None:
    found = rules(tmp_path, RULES)
    assert found.mistake is None
    decision, chosen = found.decide(account(*user))
    assert (decision.record, chosen) == (record, policy)


@pytest.mark.parametrize(
    ("user", "uid", "record", "policy"),
    [
        ("alice", 1000, True, scope.STRICT),
        ("carol", 1002, True, scope.STRICT),
        ("games", 5, False, scope.STRICT),
        ("nobody", 65534, False, scope.STRICT),
        ("root", 0, False, scope.BREAK_GLASS),
    ],
)
def test_with_a_mistake_in_the_rules_everybody_is_recorded_but_root_and_system_accounts(
    tmp_path: Path, user: str, uid: int, record: bool, policy: str
) -> None:
    found = rules(tmp_path, RULES + "[elsewhere]\n")
    assert "sessionwrap.conf:10" in str(found.mistake)
    decision, chosen = found.decide(account(user, uid, ("wheel",)))
    assert (decision.record, chosen) == (record, policy)
    assert "sessionwrap.conf:10" in decision.rule


def test_a_directory_of_rules_that_is_missing_is_a_mistake(tmp_path: Path) -> None:
    found = decisions.Rules(str(tmp_path / "nowhere"))
    assert found.rules is None
    assert found.decide(account("alice", 1000, ()))[0].record


def test_services_are_left_out_by_name_and_none_while_the_rules_have_a_mistake(
    tmp_path: Path,
) -> None:
    found = rules(tmp_path, RULES)
    assert [found.leaves_out(name) for name in ("vsftpd", "xdm", "sshd", "")] == [
        *(True, True, False, False)
    ]
    assert not rules(tmp_path, RULES + "nonsense").leaves_out("xdm")


@pytest.mark.parametrize(
    ("text", "user", "record"),
    [
        ("[session_recording]\nscope = none", "alice", False),
        ("[session_recording]\nscope = some\nusers = bob", "alice", False),
        ("[session_recording]\nscope = some\nusers = bob", "bob", True),
        ("[session_recording]\nscope = some\ngroups = wheel", "alice", True),
        ("[session_recording]\nscope = all\nexclude_users = alice", "alice", False),
        ("[session_recording]\nscope = all", "alice", True),
        ("[session_recording]\nscope = all", "root", False),
        ("nonsense", "alice", True),
        ("nonsense", "root", False),
    ],
)
def test_of_an_unknown_user_only_the_name_decides_and_doubt_means_a_recording(
    tmp_path: Path, text: str, user: str, record: bool
) -> None:
    assert rules(tmp_path, text).decide_unknown(user)[0].record == record
