"""What is said of nsswitch.conf, /etc/passwd, /etc/shells and SSSD's files."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sessionwrap import paths
from sessionwrap.doctor import name_service as checks
from sessionwrap.doctor.finding import BAD, FINE, LOOK, Finding
from sessionwrap.errors import SessionwrapError
from sessionwrap.local_accounts import parse_passwd

NSSWITCH = """\
passwd:         systemd files sss
group:          files systemd sss
shadow:         files systemd sss
hosts:          files dns
"""
ROOT = "root:x:0:0:root:/root:/bin/bash\n"
ALICE = "alice:x:1000:1000::/home/alice:/usr/bin/sessionwrap-shell\n"


def severities(findings: list[Finding]) -> list[str]:
    return [finding.severity for finding in findings]


def test_systemd_first_is_fine() -> None:
    assert severities(checks.judge_nsswitch(NSSWITCH)) == [FINE]


@pytest.mark.parametrize("line", ["files systemd sss", "files sss", "sss systemd", ""])
def test_another_order_of_passwd_is_bad(line: str) -> None:
    text = NSSWITCH.replace("systemd files sss", line, 1)
    found = checks.judge_nsswitch(text)
    assert BAD in severities(found)
    assert found[0].mend == "sessionwrap setup"


def test_no_line_for_passwd_is_bad() -> None:
    assert severities(checks.judge_nsswitch("shadow: files systemd\n")) == [BAD]


def test_shadow_without_systemd_is_bad_where_there_is_a_directory_only() -> None:
    text = NSSWITCH.replace("files systemd sss\nhosts", "files sss\nhosts")
    assert severities(checks.judge_nsswitch(text)) == [BAD]
    assert severities(checks.judge_nsswitch(text.replace(" sss", ""))) == [LOOK]


NSCD_CONF = """\
# enable-cache passwd no
\tenable-cache\t\tpasswd\t\tyes
\tenable-cache\t\tgroup\t\tyes
"""


def test_nscd_that_answers_for_users_is_bad_and_is_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "nscd.conf"
    path.write_text(NSCD_CONF)
    monkeypatch.setattr(checks, "NSCD_CONF", str(path))
    assert checks.judge_nscd(False) == []
    [finding] = checks.judge_nscd(True)
    assert finding.severity == BAD
    subprocess.run(
        ["sh", "-c", finding.mend.removesuffix(" && systemctl restart nscd")], check=True
    )
    assert path.read_text().splitlines() == [
        "# enable-cache passwd no",
        "\tenable-cache\t\tgroup\t\tyes",
        "enable-cache passwd no",
    ]


def test_an_enrolled_user_whose_shell_is_noted_is_fine() -> None:
    accounts = parse_passwd(ROOT + ALICE)
    assert severities(checks.judge_passwd(accounts, {"alice": "/bin/zsh"})) == [FINE]


def test_a_login_shell_without_a_noted_shell_is_bad() -> None:
    [finding] = checks.judge_passwd(parse_passwd(ROOT + ALICE), {})
    assert (finding.severity, finding.mend) == (BAD, "usermod -s /bin/bash alice")


@pytest.mark.parametrize("passwd", [ROOT, ROOT + ALICE.replace(paths.LOGIN_SHELL, "/bin/sh")])
def test_a_noted_shell_that_no_entry_needs_is_to_look_at(passwd: str) -> None:
    [finding] = checks.judge_passwd(parse_passwd(passwd), {"alice": "/bin/zsh"})
    assert (finding.severity, finding.mend) == (LOOK, "sessionwrap unenroll alice")


@pytest.mark.parametrize(("shell", "says"), [("/bin/zsh", LOOK), (paths.LOGIN_SHELL, FINE)])
def test_a_shell_of_roots_that_nss_hides_is_to_look_at(shell: str, says: str) -> None:
    accounts = parse_passwd(ROOT.replace("/bin/bash", shell))
    noted = {"root": "/bin/bash"} if says == FINE else {}
    assert severities(checks.judge_passwd(accounts, noted)) == [says]


def test_roots_shell_is_mended_past_what_nss_says_of_root() -> None:
    [finding] = checks.judge_passwd(parse_passwd(ROOT.replace("/bin/bash", paths.LOGIN_SHELL)), {})
    assert finding.mend == "SYSTEMD_NSS_BYPASS_SYNTHETIC=1 usermod -s /bin/bash root"


@pytest.mark.parametrize(
    "line", [paths.LOGIN_SHELL, f"  {paths.LOGIN_SHELL} # for all", f"{paths.LOGIN_SHELL}#"]
)
def test_a_line_that_lists_the_login_shell_is_taken_out_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    path = tmp_path / "shells"
    others = f"# {paths.LOGIN_SHELL}\n/bin/sh\n{paths.LOGIN_SHELL}-of-another\n"
    path.write_text(f"{others}{line}\n")
    monkeypatch.setattr(checks, "LISTED_SHELLS", str(path))
    [finding] = checks.judge_listed_shells(path.read_text())
    subprocess.run(["sh", "-c", finding.mend], check=True)
    assert path.read_text() == others
    assert severities(checks.judge_listed_shells(others)) == [FINE]


def test_the_login_shell_in_etc_shells_is_bad() -> None:
    assert severities(checks.judge_listed_shells("# /etc/shells\n/bin/sh\n/bin/bash\n")) == [FINE]
    [finding] = checks.judge_listed_shells("/bin/sh\n/usr/bin/sessionwrap-shell\n")
    assert finding.severity == BAD


def sssd(
    scope: str = "", overrides: tuple[str, ...] = (), program: bool = False, ours: bool = False
) -> checks.Sssd:
    files = ("/etc/sssd/sssd.conf", "/etc/sssd/conf.d/a.conf") if overrides else ()
    return checks.Sssd(scope, overrides, files, has_program=program, is_ours=ours)


def test_sssd_that_records_nobody_is_fine() -> None:
    assert severities(checks.judge_sssd(sssd(), "some")) == [FINE]
    assert severities(checks.judge_sssd(sssd("none", program=True), "some")) == [FINE]


def test_sssd_that_starts_our_shell_is_fine() -> None:
    assert severities(checks.judge_sssd(sssd("some", program=True, ours=True), "some")) == [FINE]


def test_sssd_that_starts_tlog_while_we_record_is_bad() -> None:
    assert severities(checks.judge_sssd(sssd("some", program=True), "some")) == [BAD]
    assert severities(checks.judge_sssd(sssd("some", program=True), "none")) == [LOOK]


def test_sssd_that_starts_a_recorder_that_is_not_there_is_bad() -> None:
    [finding] = checks.judge_sssd(sssd("all"), "none")
    assert finding.severity == BAD
    assert "not there" in finding.why


def test_our_shell_in_override_shell_is_told() -> None:
    # Not installed where unit tests run: then it is bad, for nobody of the domain can log in.
    [finding] = checks.judge_sssd(sssd(overrides=(paths.LOGIN_SHELL,)), "some")
    assert finding.severity == BAD
    assert "override_shell" in finding.what


def test_sssds_files_are_read_in_their_order() -> None:
    first = "[sssd]\ndomains = example\n[domain/example]\noverride_shell = /bin/zsh\n"
    first += "[session_recording]\nscope = none\n"
    second = "[session_recording]\nscope = Some\ngroups = ops, 100%ops\n"
    assert checks.parse_sssd({"a": first}) == ("none", ("/bin/zsh",))
    assert checks.parse_sssd({"a": first, "b": second}) == ("some", ("/bin/zsh",))
    assert checks.parse_sssd({}) == ("", ())


def test_a_file_of_sssds_that_is_none_is_named_with_the_line() -> None:
    with pytest.raises(SessionwrapError, match=r"/etc/sssd/sssd\.conf.*line.*1"):
        checks.parse_sssd({"/etc/sssd/sssd.conf": "domains = example\n"})
