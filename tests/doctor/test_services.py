"""What is said of units, sockets, permissions and the configuration."""

from __future__ import annotations

import stat

import pytest

from sessionwrap import paths, scope
from sessionwrap.doctor import services as checks
from sessionwrap.doctor.finding import BAD, FINE, LOOK, Finding
from sessionwrap.errors import ConfigError
from sessionwrap.setup.steps import UNITS

SHOWN = "\n\n".join(
    f"Result=success\nId={unit}\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled"
    for unit in UNITS
)
SOCKET = checks.Seen(stat.S_IFSOCK, 0o666, 0)


def severities(findings: list[Finding]) -> list[str]:
    return [finding.severity for finding in findings]


def units(unit: str, before: str, after: str) -> list[Finding]:
    """Judge the units with one property of one of them changed."""
    blocks = [
        block.replace(before, after) if f"Id={unit}\n" in block else block
        for block in SHOWN.split("\n\n")
    ]
    return checks.judge_units(checks.parse_units("\n\n".join(blocks)))


def test_units_that_run_and_are_enabled_are_fine() -> None:
    assert severities(checks.judge_units(checks.parse_units(SHOWN))) == [FINE]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("ActiveState=active", "ActiveState=inactive"),
        ("ActiveState=active", "ActiveState=failed"),
        ("UnitFileState=enabled", "UnitFileState=disabled"),
        ("LoadState=loaded", "LoadState=masked"),
        ("LoadState=loaded", "LoadState=not-found"),
    ],
)
def test_a_unit_that_does_not_run_or_will_not_is_bad(unit: str, before: str, after: str) -> None:
    [finding] = units(unit, before, after)
    assert finding.severity == BAD
    assert unit in finding.what
    assert finding.mend


def test_units_that_systemctl_does_not_show_are_bad() -> None:
    assert severities(checks.judge_units({})) == [BAD] * len(UNITS)


@pytest.mark.parametrize("path", checks.SOCKETS)
def test_a_socket_that_users_cannot_reach_is_bad(path: str) -> None:
    assert checks.judge_socket(path, SOCKET) == []
    assert severities(checks.judge_socket(path, SOCKET._replace(mode=0o600))) == [BAD]
    assert severities(checks.judge_socket(path, SOCKET._replace(kind=stat.S_IFREG))) == [BAD]
    assert severities(checks.judge_socket(path, None)) == [BAD]


@pytest.mark.parametrize("place", checks.PLACES)
def test_a_directory_that_others_can_write_or_nobody_reads_is_bad(place: checks.Place) -> None:
    seen = checks.Seen(stat.S_IFDIR, place.mode, 7)
    assert checks.judge_place(place, seen, 7) == []
    for wrong in (
        seen._replace(mode=place.mode | 0o002),
        seen._replace(mode=place.mode | 0o020),
        seen._replace(mode=0o500),
        seen._replace(uid=1000),
        seen._replace(kind=stat.S_IFREG),
        None,
    ):
        [finding] = checks.judge_place(place, wrong, 7)
        assert finding.severity == BAD
        assert "{" not in finding.mend


@pytest.mark.parametrize("user", [paths.RECORDER_USER, paths.OVERLAY_USER])
def test_a_user_of_the_services_that_is_missing_is_bad(user: str) -> None:
    users = {"root", paths.RECORDER_USER, paths.OVERLAY_USER}
    assert checks.judge_users(users) == []
    [finding] = checks.judge_users(users - {user})
    assert (finding.severity, finding.what) == (BAD, f"there is no user {user}")
    assert finding.mend == "sessionwrap setup"


@pytest.mark.parametrize("path", checks.PROGRAMS)
def test_a_program_that_is_gone_or_others_can_write_or_nobody_runs_is_bad(path: str) -> None:
    seen = checks.Seen(stat.S_IFREG, 0o755, 0)
    assert checks.judge_program(path, seen) == []
    for wrong in (
        None,
        seen._replace(kind=stat.S_IFDIR),
        seen._replace(mode=0o775),
        seen._replace(mode=0o700),
        seen._replace(uid=1000),
    ):
        [finding] = checks.judge_program(path, wrong)
        assert finding.severity == BAD
        assert path in finding.what
        assert finding.mend


def rules(text: str) -> scope.Rules:
    return scope.parse([("/etc/sessionwrap/conf.d/a.conf", text)])


def test_rules_that_record_somebody_are_fine() -> None:
    found = rules("[session_recording]\nscope = all\n")
    [finding] = checks.judge_configuration([], {}, found)
    assert finding.severity == FINE
    assert "/etc/sessionwrap/conf.d/a.conf:2" in finding.what


def test_rules_that_record_nobody_are_to_look_at() -> None:
    assert severities(checks.judge_configuration([], {}, rules(""))) == [LOOK]


def test_every_mistake_is_bad_and_says_where() -> None:
    error = ConfigError(paths.SCOPE_FILE, 3, "scope", "'sum', expected none, some or all")
    [finding] = checks.judge_configuration([error], {}, rules(""))
    assert (finding.severity, finding.what) == (BAD, str(error))
    assert finding.mend == f"${{EDITOR:-vi}} +3 {paths.SCOPE_FILE}"


def test_a_file_that_others_can_write_is_told_once() -> None:
    error = ConfigError(paths.SCOPE_FILE, 0, "", "has mode 0666, expected no write")
    seen = checks.Seen(stat.S_IFREG, 0o666, 0)
    [finding] = checks.judge_configuration([error], {paths.SCOPE_FILE: seen}, rules(""))
    assert finding.mend == f"chown root:root {paths.SCOPE_FILE} && chmod go-w {paths.SCOPE_FILE}"


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (paths.SETTINGS_FILE, "the recorder does not start with it"),
        (paths.SCOPE_FILE, "everybody is recorded but root"),
        # Its name ends as that of the settings does, and it has rules.
        (f"{paths.SCOPE_DROPINS}/my-rec-session.conf", "everybody is recorded but root"),
    ],
)
@pytest.mark.parametrize("is_open", [False, True])
def test_what_a_mistake_leads_to_is_that_of_its_file(path: str, says: str, is_open: bool) -> None:
    error = ConfigError(path, 3, "", "a mistake")
    wrong = {path: checks.Seen(stat.S_IFREG, 0o666, 0)} if is_open else {}
    [finding] = checks.judge_configuration([error], wrong, None)
    assert says in finding.why
