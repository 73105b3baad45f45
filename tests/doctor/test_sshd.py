"""What is said of sshd's settings, as `sshd -T` of Debian 12 prints them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sessionwrap.doctor import sshd as checks
from sessionwrap.doctor.finding import BAD, FINE, LOOK, Finding

SHOWN = """\
port 22
x11forwarding no
permituserrc no
allowtcpforwarding no
disableforwarding no
allowstreamlocalforwarding no
acceptenv LANG
acceptenv LC_*
setenv LD_PRELOAD=
setenv LD_AUDIT=
setenv LD_LIBRARY_PATH=
setenv GCONV_PATH=
setenv LOCPATH=
subsystem sftp /usr/lib/openssh/sftp-server
permituserenvironment no
"""


def judge(before: str = "", after: str = "") -> list[Finding]:
    assert before in SHOWN
    return checks.judge(checks.parse(SHOWN.replace(before, after)), "ssh")


def test_the_settings_of_the_package_are_fine() -> None:
    assert [finding.severity for finding in judge()] == [FINE]


@pytest.mark.parametrize(
    ("before", "after", "says", "line"),
    [
        ("setenv LD_AUDIT=\n", "", BAD, checks.SET_ENV),
        ("permituserrc no", "permituserrc yes", BAD, "PermitUserRC no"),
        ("permituserrc no\n", "", BAD, "PermitUserRC no"),
        (
            "permituserenvironment no",
            "permituserenvironment LD_*",
            BAD,
            "PermitUserEnvironment no",
        ),
    ],
)
def test_what_runs_code_of_the_users_is_bad(before: str, after: str, says: str, line: str) -> None:
    [finding] = judge(before, after)
    assert finding.severity == says
    assert f"echo '{line}' >> {checks.OURS}" in finding.mend


@pytest.mark.parametrize("pattern", ["LD_*", "*", "LD_PRELOA?"])
def test_variables_that_clients_set_are_bad(pattern: str) -> None:
    [finding] = judge("acceptenv LANG", f"acceptenv {pattern}")
    assert finding.severity == BAD
    assert pattern in finding.what


def test_variables_that_clients_set_are_taken_out_and_others_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sshd_config"
    path.write_text("AcceptEnv LANG LC_* LD_* LD_PRELOA?\n  acceptenv LD_* LD_PRELOA?\nPort 22\n")
    monkeypatch.setattr(checks, "FILES", str(path))
    [finding] = judge("acceptenv LANG", "acceptenv LD_*\nacceptenv LD_PRELOA?")
    edit, _, rest = finding.mend.partition(" && ")
    assert rest == "sshd -t && systemctl reload ssh"
    subprocess.run(["sh", "-c", edit], check=True)
    assert path.read_text() == "AcceptEnv LANG LC_*\nPort 22\n"


def test_sftp_within_sshd_is_to_look_at() -> None:
    [finding] = judge("/usr/lib/openssh/sftp-server", "internal-sftp -l INFO")
    assert finding.severity == LOOK


def test_forwarding_is_to_look_at_unless_all_of_it_is_off() -> None:
    found = judge("allowtcpforwarding no", "allowtcpforwarding yes")
    assert [finding.severity for finding in found] == [FINE, LOOK]
    text = SHOWN.replace("x11forwarding no", "x11forwarding yes")
    text = text.replace("disableforwarding no", "disableforwarding yes")
    assert [finding.severity for finding in checks.judge(checks.parse(text), "ssh")] == [FINE]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("# x\nInclude /etc/ssh/sshd_config.d/*.conf\nPort 22\n", []),
        ("Port 22\n include sshd_config.d/*\n", []),
        ("Port 22\n", [BAD]),
        ("#Include /etc/ssh/sshd_config.d/*.conf\n", [BAD]),
        ("Include /etc/ssh/other/*.conf\n", [BAD]),
        ("Match User bob\nInclude /etc/ssh/sshd_config.d/*.conf\n", [BAD]),
        ("", [BAD]),
    ],
)
def test_sshd_config_must_include_our_settings(text: str, says: list[str]) -> None:
    assert [finding.severity for finding in checks.judge_includes(text, "ssh")] == says


@pytest.mark.parametrize(
    ("said", "mend"),
    [
        (
            "/etc/ssh/sshd_config: line 3: Bad configuration option: Foo\r\n"
            "/etc/ssh/sshd_config: terminating, 1 bad configuration options\r\n",
            "${EDITOR:-vi} +3 /etc/ssh/sshd_config",
        ),
        (
            "/etc/ssh/sshd_config.d/a.conf line 1: missing argument.\n",
            "${EDITOR:-vi} +1 /etc/ssh/sshd_config.d/a.conf",
        ),
        ("sshd: no hostkeys available -- exiting.\n", ""),
    ],
)
def test_broken_settings_are_opened_at_their_line(said: str, mend: str) -> None:
    finding = checks.judge_broken(said, "ssh")
    assert (finding.severity, finding.mend) == (BAD, mend)
    assert said.splitlines()[0] in finding.what
