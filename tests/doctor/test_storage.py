"""What is said of journald's settings and of the room that is left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap.doctor import storage as checks
from sessionwrap.doctor.finding import BAD, FINE, LOOK, Finding

DEFAULTS = """\
# /etc/systemd/journald.conf
[Journal]
#Storage=auto
#RateLimitIntervalSec=30s
#RateLimitBurst=10000
#SystemMaxUse=
"""


def severities(findings: list[Finding]) -> list[str]:
    return [finding.severity for finding in findings]


def judge(lines: str = "", is_persistent: bool = True, recorder: str = "0") -> list[str]:
    journal = checks.parse_journald(DEFAULTS + "\n# /etc/systemd/journald.conf.d/a.conf\n" + lines)
    return severities(checks.judge_journal(journal, is_persistent, recorder))


def test_a_persistent_journal_with_the_defaults_is_fine() -> None:
    assert checks.parse_journald(DEFAULTS) == ("auto", 10000, 30, None)
    assert judge() == [FINE]


@pytest.mark.parametrize(
    ("lines", "is_persistent", "says"),
    [
        ("Storage=none", True, BAD),
        ("Storage=volatile", True, LOOK),
        ("Storage=persistent", False, FINE),
        ("Storage=auto", False, LOOK),
        ("RateLimitBurst=50", True, BAD),
        ("RateLimitBurst=50\nRateLimitBurst=5000", True, FINE),
        ("RateLimitBurst=0", True, FINE),
        ("RateLimitBurst=50\nRateLimitIntervalSec=0", True, FINE),
        ("SystemMaxUse=50M", True, LOOK),
        ("SystemMaxUse=8G", True, FINE),
    ],
)
def test_settings_that_lose_recordings_are_told(lines: str, is_persistent: bool, says: str) -> None:
    assert judge(lines, is_persistent) == [says]


def test_a_rate_limit_that_holds_for_the_recorder_is_bad() -> None:
    assert judge(recorder="30s") == [BAD]


@pytest.mark.parametrize(
    ("text", "value"),
    [("30s", 30), ("5", 5), ("1min 30s", 90), ("500ms", 0.5), ("2h", 7200), ("", 0)],
)
def test_time_spans_are_read(text: str, value: float) -> None:
    assert checks.seconds(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("50M", 50 << 20), ("1g", 1 << 30), ("4096", 4096), ("", None), ("much", None)],
)
def test_sizes_are_read(text: str, value: int | None) -> None:
    assert checks.size(text) == value


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    checks.parse_journald(text)


def test_a_journal_that_the_recorder_cannot_read_is_bad() -> None:
    groups = {"sessionwrap", "systemd-journal"}
    assert checks.judge_readable("/var/log/journal/x", "systemd-journal", 0o2755, groups) == []
    for group, mode in (("root", 0o2755), ("systemd-journal", 0o2700)):
        found = checks.judge_readable("/var/log/journal/x", group, mode, groups)
        assert severities(found) == [BAD]


@pytest.mark.parametrize("name", checks.BAD_FREE)
def test_little_room_is_told(name: str) -> None:
    assert severities(checks.judge_free(name, name, checks.BAD_FREE[name] - 1)) == [BAD]
    assert severities(checks.judge_free(name, name, checks.LOOK_FREE[name] - 1)) == [LOOK]
    assert checks.judge_free(name, name, checks.LOOK_FREE[name]) == []


def test_a_journal_that_stays_on_the_host_is_to_look_at() -> None:
    assert severities(checks.judge_forwarding([])) == [LOOK]
    assert severities(checks.judge_forwarding(["rsyslog.service"])) == [FINE]
