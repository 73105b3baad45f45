from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap import scope
from sessionwrap.errors import ConfigError

NAMES = st.sampled_from(["alice", "bob", "eve", "wheel", "domain users", "käthe", "ops"])
LISTS = st.lists(NAMES, max_size=4)
PATH = "/etc/sessionwrap/sessionwrap.conf"


def conf(*lines: str) -> tuple[str, str]:
    return PATH, "\n".join(["[session_recording]", *lines, ""])


def decide(rules: scope.Rules, user: str, *groups: str) -> tuple[bool, str, int]:
    decision = scope.decide(rules, scope.Subject(user, 1000, groups, "sshd"))
    return decision.record, decision.rule, decision.line


def reference(settings: dict[str, object], user: str, groups: list[str]) -> bool:
    """sssd-session-recording(5), read once more and written in another way."""

    def listed(users: str, of_groups: str) -> bool:
        return user in settings[users] or not set(groups).isdisjoint(settings[of_groups])  # type: ignore[operator,arg-type] # lists

    match str(settings["scope"]).lower():
        case "none":
            return False
        case "some":
            return listed("users", "groups")
    return not listed("exclude_users", "exclude_groups")


@st.composite
def settings(draw: st.DrawFn) -> dict[str, object]:
    chosen: dict[str, object] = {key: draw(LISTS) for key in scope.LISTS}
    chosen["scope"] = draw(st.sampled_from(["none", "some", "all", "SOME", "All"]))
    return chosen


def written(chosen: dict[str, object], comma: str = ",") -> str:
    lines = [
        f"{key} = {comma.join(value) if isinstance(value, list) else value}"
        for key, value in chosen.items()
    ]
    return conf(*lines)[1]


@given(settings(), NAMES, st.lists(NAMES, max_size=3), st.sampled_from([",", ", ", "\t ,", ",,"]))
def test_the_decision_is_the_one_of_sssds_manual(
    chosen: dict[str, object], user: str, groups: list[str], comma: str
) -> None:
    rules = scope.parse([(PATH, written(chosen, comma))])
    assert decide(rules, user, *groups)[0] == reference(chosen, user, groups)


@given(settings(), settings(), NAMES, st.lists(NAMES, max_size=3))
def test_a_later_file_wins_key_by_key(
    first: dict[str, object], second: dict[str, object], user: str, groups: list[str]
) -> None:
    second = dict(list(second.items())[: len(user)])
    files = [("/a", written(first)), ("/b", written(second))]
    rules = scope.parse(files)
    assert decide(rules, user, *groups)[0] == reference({**first, **second}, user, groups)
    assert {key for key, (path, _) in rules.where.items() if path == "/b"} == set(second)


@given(settings(), NAMES, st.lists(NAMES, max_size=3))
def test_the_rule_named_is_one_that_holds(
    chosen: dict[str, object], user: str, groups: list[str]
) -> None:
    text = written(chosen)
    decision = scope.decide(scope.parse([(PATH, text)]), scope.Subject(user, 1000, groups))
    key, _, value = decision.rule.partition(" = ")
    line = text.split("\n")[decision.line - 1]
    assert decision.path == PATH
    assert line.startswith(f"{key} = ")
    assert value in line.lower()


@given(st.text(max_size=200))
def test_any_text_is_rules_or_one_named_error(text: str) -> None:
    for body in (text, conf(text)[1]):
        try:
            scope.parse([(PATH, body)])
        except ConfigError as error:
            assert error.path == PATH
            assert error.line >= 1
            assert "expected" in error.problem
            assert str(error).isprintable()


@pytest.mark.parametrize(
    ("lines", "user", "groups", "expected"),
    [
        (["scope = none", "users = bob"], "bob", [], (False, "scope = none", 2)),
        (["scope = some", "users = bob"], "bob", [], (True, "users = bob", 3)),
        (["scope = some", "groups = a, wheel"], "x", ["x", "wheel"], (True, "groups = wheel", 3)),
        (["scope = some", "users = bob"], "Bob", ["bob"], (False, "scope = some", 2)),
        (["scope = some", "users = b", "exclude_users = b"], "b", [], (True, "users = b", 3)),
        (["scope = all"], "bob", [], (True, "scope = all", 2)),
        (["scope=all", "exclude_users=bob"], "bob", [], (False, "exclude_users = bob", 3)),
        (["scope=all", "exclude_groups=ops"], "x", ["ops"], (False, "exclude_groups = ops", 3)),
        (["scope = all", "users = bob"], "eve", [], (True, "scope = all", 2)),
        (["scope = all", "", "# more", "scope = none"], "bob", [], (False, "scope = none", 5)),
        (["  ; a comment", "scope\t=\tSome", "users="], "bob", [], (False, "scope = some", 3)),
    ],
)
def test_decisions(
    lines: list[str], user: str, groups: list[str], expected: tuple[bool, str, int]
) -> None:
    assert decide(scope.parse([conf(*lines)]), user, *groups) == expected


@pytest.mark.parametrize("files", [[], [(PATH, "")], [(PATH, "[session_recording]\nusers = bob")]])
def test_without_a_scope_nobody_is_recorded(files: list[tuple[str, str]]) -> None:
    decision = scope.decide(scope.parse(files), scope.Subject("bob", 1000, ["wheel"]))
    assert (decision.record, decision.rule, decision.path, decision.line) == (
        False,
        "scope = none",
        "",
        0,
    )


def test_a_file_of_sssd_works_unchanged() -> None:
    text = "[session_recording]\nscope=some\nusers=\ngroups=wheel\n"
    assert decide(scope.parse([("/x", text)]), "alice", "alice", "wheel")[0]


@pytest.mark.parametrize(
    ("line", "key", "problem"),
    [
        ("scope = sum", "scope", "'sum', expected none, some or all"),
        ("scope =", "scope", "expected none, some or all"),
        ("scope = some # who", "scope", "expected none, some or all"),
        ("scop = some", "scop", "expected one of scope, users"),
        ("Scope = some", "Scope", "expected one of scope"),
        ("groups", "", "'groups', expected `key = value`"),
        ("= wheel", "", "expected `key = value`"),
        (" groups = wheel", "", "starts with a space"),
        ("groups = wheel # admins", "groups", "comment"),
        ("groups = wheel, ;admins", "groups", "comment"),
        ('groups = "wheel"', "groups", "without quotes"),
        ("groups = a:b", "groups", "without quotes and colons"),
        ("groups = wh\0eel", "", "'\\x00'"),
        ("# a comment\x1b[2J", "", "'\\x1b'"),
        ("scope = some\r", "", "'\\r'"),
        ("groups = wheel\u200b", "", "invisible character"),
        ("groups =\u00a0wheel", "", "invisible character"),
        ("groups = " + "x" * 257, "groups", "at most 256 characters"),
        ("users = " + ",".join(f"u{number}" for number in range(10_001)), "users", "at most 10000"),
        ("[sssd]", "", "expected [session_recording]"),
        ("[session_recording", "", "expected [session_recording]"),
        ("[]", "", "expected [session_recording]"),
        ("x" * 100 + " = 1", "x" * 40 + "…", "no such key"),
    ],
)
def test_a_mistake_is_named_by_file_line_and_key(line: str, key: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        scope.parse([("/first", ""), conf("", line)])
    error = caught.value
    assert (error.path, error.line, error.key) == (PATH, 3, key)
    assert problem in error.problem
    assert "expected" in error.problem


def test_a_key_before_the_section_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r":1: scope: no section yet"):
        scope.parse([(PATH, "scope = all\n[session_recording]\n")])


def test_the_section_ends_with_the_file() -> None:
    with pytest.raises(ConfigError, match=r"/b:1: scope: no section yet"):
        scope.parse([conf("scope = all"), ("/b", "scope = none")])


def test_a_file_that_is_too_large_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="at most 1048576"):
        scope.parse([(PATH, "#" * (scope.MAX_FILE + 1))])


def test_every_mistake_is_given_and_the_keys_of_a_foreign_section_are_not_told_one_by_one() -> None:
    _, errors = scope.parse_all(
        [
            conf("scope = sum", "users = bob", "[nss]", "shell = x", "[session_recording]", "x"),
            ("/b", "[pam]\ny = 1"),
        ]
    )
    assert [(error.path, error.line) for error in errors] == [
        (PATH, 2),
        (PATH, 4),
        (PATH, 7),
        ("/b", 1),
    ]


def test_comments_may_hold_any_text() -> None:
    assert not scope.parse_all([conf("# \u00a0 👩\u200d🚒 =[", "; x")])[1]


def test_matching_groups_are_those_of_the_list_in_force() -> None:
    subject = scope.Subject("bob", 1000, ["bob", "ops", "wheel"])
    lists = ["groups = wheel, ops", "exclude_groups = bob"]
    found = {
        name: scope.matching_groups(scope.parse([conf(f"scope = {name}", *lists)]), subject)
        for name in scope.SCOPES
    }
    assert found == {"none": (), "some": ("ops", "wheel"), "all": ("bob",)}


@pytest.mark.parametrize(("user", "uid"), [("root", 0), ("postgres", 105), ("nobody", 65534)])
def test_root_and_system_accounts_are_recorded_only_where_users_names_them(
    user: str, uid: int
) -> None:
    def recorded(*lines: str) -> bool:
        subject = scope.Subject(user, uid, ["wheel", user])
        return scope.decide(scope.parse([conf(*lines)]), subject).record

    assert not recorded("scope = all")
    assert not recorded("scope = some", f"groups = wheel, {user}")
    assert recorded("scope = some", f"users = {user}")
    assert recorded("scope = all", f"users = {user}")
    assert not recorded("scope = none", f"users = {user}")


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["scope = some", "groups = wheel"], True),
        (["scope = all", "exclude_groups = wheel"], True),
        (["scope = some", "users = bob"], True),
        (["scope = some", "users = eve"], False),
        (["scope = all", "exclude_users = bob", "exclude_groups = wheel"], False),
        (["scope = none", "groups = wheel"], False),
    ],
)
@pytest.mark.parametrize("groups", [None, [""], ["ops", ""]])
def test_who_has_unknown_groups_is_recorded_where_a_group_could_decide(
    lines: list[str], wanted: bool, groups: list[str] | None
) -> None:
    rules = scope.parse([conf(*lines)])
    assert scope.decide(rules, scope.Subject("bob", 1000, groups)).record == wanted


def test_a_group_that_is_known_decides_whatever_others_are_not() -> None:
    rules = scope.parse([conf("scope = all", "exclude_groups = robots")])
    assert not scope.decide(rules, scope.Subject("bob", 1000, ["robots", ""])).record


@given(settings(), NAMES, st.lists(NAMES, max_size=3), st.sampled_from([0, 100, 1000, 65534]))
def test_groups_are_wanted_wherever_the_decision_depends_on_them(
    chosen: dict[str, object], user: str, groups: list[str], uid: int
) -> None:
    rules = scope.parse([(PATH, written(chosen))])
    if not scope.wants_groups(rules, user, uid):
        without = scope.decide(rules, scope.Subject(user, uid, [])).record
        assert scope.decide(rules, scope.Subject(user, uid, groups)).record == without


POLICY = (
    "[failure_policy]\npolicy = best_effort\nstrict_users = bob\nstrict_groups = dba\n"
    "best_effort_users = bob, eve\nbest_effort_groups = ops\n"
    "break_glass_users = rescue\nbreak_glass_groups = fire"
)


@pytest.mark.parametrize(
    ("user", "uid", "groups", "policy"),
    [
        ("alice", 1000, ["alice"], scope.BEST_EFFORT),
        ("bob", 1000, ["ops"], scope.STRICT),
        ("eve", 1000, ["dba"], scope.STRICT),
        ("eve", 1000, ["ops"], scope.BEST_EFFORT),
        ("rescue", 1000, ["dba"], scope.BREAK_GLASS),
        ("bob", 1000, ["fire"], scope.BREAK_GLASS),
        ("root", 0, ["dba"], scope.BREAK_GLASS),
        ("alice", 1000, None, scope.STRICT),  # perhaps in dba
        ("eve", 1000, ["ops", ""], scope.STRICT),  # perhaps in dba, too
        ("bob", 1000, ["fire", ""], scope.BREAK_GLASS),
        ("rescue", 1000, None, scope.BREAK_GLASS),
        ("root", 0, None, scope.BREAK_GLASS),
    ],
)
def test_of_the_policies_that_name_somebody_the_most_strict_holds_but_for_break_glass(
    user: str, uid: int, groups: list[str] | None, policy: str
) -> None:
    rules = scope.parse([(PATH, POLICY)])
    assert scope.policy_for(rules, scope.Subject(user, uid, groups)) == policy


def test_unknown_groups_change_no_policy_where_no_group_is_strict() -> None:
    rules = scope.parse([(PATH, "[failure_policy]\npolicy = best_effort\nbreak_glass_groups = x")])
    assert scope.policy_for(rules, scope.Subject("alice", 1000, None)) == scope.BEST_EFFORT


def test_who_names_no_policy_gets_strict() -> None:
    rules = scope.parse([conf("scope = some", "users = bob")])
    assert scope.policy_for(rules, scope.Subject("bob", 1000, ["ops"])) == scope.STRICT


def test_a_key_stands_in_one_section_only() -> None:
    keys = [key for section in scope.SECTIONS.values() for key in section]
    assert len(keys) == len(set(keys))
    with pytest.raises(
        ConfigError, match=r"policy: no such key, expected .* in \[session_recording\]"
    ):
        scope.parse([conf("policy = strict")])
