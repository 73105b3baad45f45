"""Which PAM stacks run the hook where it must; files as Debian 12 and Fedora have them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from sessionwrap.doctor import pam
from sessionwrap.doctor.finding import BAD, FINE, LOOK, Finding
from sessionwrap.setup.authselect import HOOK_LINE

COMMON_SESSION = f"""\
# here are the per-package modules (the "Primary" block)
session	[default=1]			pam_permit.so
# here's the fallback if no module succeeds
session	requisite			pam_deny.so
session	required			pam_permit.so
{HOOK_LINE}
session	required	pam_unix.so
session	optional	pam_systemd.so
"""
SSHD = """\
@include common-auth
account    required     pam_nologin.so
session [success=ok ignore=ignore module_unknown=ignore default=bad]        pam_selinux.so close
session    required     pam_loginuid.so
session    optional     pam_keyinit.so force revoke
@include common-session
session    required     pam_limits.so
session    required     pam_env.so # [1]
session    required     pam_env.so user_readenv=1 envfile=/etc/default/locale
"""
SU = """\
auth       sufficient pam_rootok.so
session       required   pam_env.so readenv=1
session    required   pam_limits.so
@include common-session
"""
SU_L = """\
auth		include		su
session		optional	pam_keyinit.so force revoke
session		include		su
"""
FEDORA_SSHD = """\
session    required     pam_selinux.so close
session    required     pam_loginuid.so
session    include      password-auth
session    include      postlogin
"""
PASSWORD_AUTH = f"""\
auth        sufficient                                   pam_unix.so
{HOOK_LINE}
session     optional                                     pam_keyinit.so revoke
session     [success=1 default=ignore]                   pam_succeed_if.so service in crond quiet
session     required                                     pam_unix.so
"""


class Files:
    """A directory of stacks, on the disk: the commands that mend are run on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.directory / name.replace("_", "-")).write_text(text)

    def read(self, name: str) -> tuple[str, str] | None:
        path = self.directory / name
        return (str(path), path.read_text()) if path.exists() else None

    def judge(self, service: str) -> list[Finding]:
        rules = pam.session_rules(service, self.read)
        return pam.judge(service, rules, str(self.directory / service))

    def mend(self, finding: Finding) -> None:
        assert finding.mend
        subprocess.run(["sh", "-ec", finding.mend], check=True)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    found = Files(tmp_path)
    found.write(common_session=COMMON_SESSION, sshd=SSHD, su=SU, su_l=SU_L)
    return found


def severities(findings: list[Finding]) -> list[str]:
    return [finding.severity for finding in findings]


@pytest.mark.parametrize("service", ["sshd", "su", "su-l"])
def test_the_stacks_of_debian_are_fine(files: Files, service: str) -> None:
    assert severities(files.judge(service)) == [FINE]


def test_the_stack_of_fedora_is_fine(files: Files) -> None:
    files.write(sshd=FEDORA_SSHD, password_auth=PASSWORD_AUTH)
    assert severities(files.judge("sshd")) == [FINE]


def test_a_line_may_be_continued_and_a_comment_says_nothing(files: Files) -> None:
    words = HOOK_LINE.split()
    files.write(sshd=f"# {HOOK_LINE}\nsession \\\n  {' '.join(words[1:])}\n")
    rules = pam.session_rules("sshd", files.read)
    assert [(rule.line, pam.is_hook(rule)) for rule in rules] == [(2, True)]


def test_files_that_include_each_other_end(files: Files) -> None:
    files.write(sshd="@include su\n", su="@include sshd\nsession required pam_unix.so\n")
    assert pam.session_rules("sshd", files.read)


def test_a_service_without_the_hook_is_bad_and_is_mended(files: Files) -> None:
    files.write(login="session required pam_loginuid.so\nsession required pam_env.so\n")
    [finding] = files.judge("login")
    assert (finding.severity, finding.what) == (
        BAD,
        "login: the hook is not in the session stack",
    )
    files.mend(finding)
    assert severities(files.judge("login")) == [FINE]
    modules = [rule.name for rule in pam.session_rules("login", files.read)]
    assert modules == ["pam_loginuid", "pam_exec", "pam_env"]


def test_a_service_without_session_lines_of_its_own_is_mended_too(files: Files) -> None:
    files.write(login="auth required pam_unix.so\n@include other-session\n")
    files.write(other_session="session required pam_unix.so\n")
    [finding] = files.judge("login")
    files.mend(finding)
    assert severities(files.judge("login")) == [FINE]


def test_a_line_taken_from_common_session_is_for_setup_to_mend(files: Files) -> None:
    files.write(common_session=COMMON_SESSION.replace(HOOK_LINE, ""))
    [finding] = files.judge("su-l")
    assert finding.severity == BAD
    assert finding.mend.startswith("sessionwrap setup || ")
    files.mend(finding)  # there is no such command here
    assert severities(files.judge("su-l")) == [FINE]


def test_variables_of_the_users_before_the_hook_are_bad_and_are_mended(files: Files) -> None:
    env = "session required pam_env.so user_readenv=1 envfile=/etc/default/locale\n"
    files.write(sshd=env + SSHD.replace(env, ""))
    [finding] = files.judge("sshd")
    assert finding.severity == BAD
    assert "before the hook runs" in finding.what
    files.mend(finding)
    assert severities(files.judge("sshd")) == [FINE]


def test_variables_of_the_users_after_the_hook_are_bad_but_for_sshd(files: Files) -> None:
    files.write(su=SU + "session required pam_env.so user_readenv=1\n")
    [finding] = files.judge("su")
    assert finding.severity == BAD
    files.mend(finding)
    assert severities(files.judge("su")) == [FINE]


@pytest.mark.parametrize(
    "control",
    ["sufficient", "[success=done default=ignore]", "[success=1 default=ignore]"],
)
def test_a_line_that_passes_the_hook_over_is_bad_and_is_mended(files: Files, control: str) -> None:
    over = f"session {control} pam_succeed_if.so quiet user ingroup wheel\n{HOOK_LINE}"
    files.write(common_session=COMMON_SESSION.replace(HOOK_LINE, over))
    [finding] = files.judge("su")
    assert finding.severity == BAD
    assert "passes the hook over" in finding.what
    files.mend(finding)
    assert severities(files.judge("su")) == [FINE]


def test_a_jump_that_ends_before_the_hook_is_fine(files: Files) -> None:
    assert "[default=1]" in COMMON_SESSION
    assert severities(files.judge("su")) == [FINE]


def test_what_ends_a_substack_does_not_pass_over_the_hook_behind_it(files: Files) -> None:
    files.write(su=f"session substack inner\n{HOOK_LINE}\n")
    files.write(inner="session sufficient pam_unix.so\n")
    assert severities(files.judge("su")) == [FINE]
    files.write(inner=f"session sufficient pam_unix.so\n{HOOK_LINE}\n", su="session substack inner")
    assert severities(files.judge("su")) == [BAD]


@pytest.mark.parametrize(
    ("changed", "by"),
    [("required", "optional"), (" seteuid", ""), (" type=open_session", "")],
)
def test_a_changed_line_of_the_hook_is_bad_and_is_mended(
    files: Files, changed: str, by: str
) -> None:
    line = HOOK_LINE.replace(changed, by, 1)
    files.write(common_session=COMMON_SESSION.replace(HOOK_LINE, line))
    [finding] = files.judge("su")
    assert finding.severity == BAD
    files.mend(finding)
    assert severities(files.judge("su")) == [FINE]


def test_a_program_of_somebody_elses_before_the_hook_is_to_look_at(files: Files) -> None:
    other = f"session optional pam_exec.so /usr/local/bin/notify\n{HOOK_LINE}"
    files.write(common_session=COMMON_SESSION.replace(HOOK_LINE, other))
    [finding] = files.judge("su")
    assert finding.severity == LOOK
    files.mend(finding)
    assert severities(files.judge("su")) == [FINE]


def test_pam_loginuid_after_the_hook_is_to_look_at(files: Files) -> None:
    files.write(login=f"{HOOK_LINE}\nsession required pam_loginuid.so\n")
    [finding] = files.judge("login")
    assert finding.severity == LOOK
    files.mend(finding)
    assert severities(files.judge("login")) == [FINE]


def test_what_mends_several_things_of_one_file_does_so_in_its_order(files: Files) -> None:
    env = "session required pam_env.so user_readenv=1"
    before = [f"{env} envfile=/etc/x", "session\trequired pam_exec.so it's [1] {a} $b", env, env]
    over = "session [success=done new_authtok_reqd=done default=ignore] pam_x.so a/b.c*"
    optional = HOOK_LINE.replace("required", "optional").replace(" seteuid", "")
    lines = [over, *before, optional, "session required y.so"]
    files.write(sshd="\n".join(lines) + "\n")
    findings = files.judge("sshd")
    assert severities(findings).count(BAD) == 6
    for finding in [*findings, *findings, *files.judge("sshd")]:
        files.mend(finding)
    assert severities(files.judge("sshd")) == [FINE]
    after = (files.directory / "sshd").read_text().splitlines()
    assert after.count(HOOK_LINE) == 1
    rest = [line for line in after if line != HOOK_LINE]
    mended = [line.replace("readenv=1", "readenv=0") for line in lines if line != optional]
    assert rest == mended


def test_a_line_that_is_continued_is_for_a_person_to_mend(files: Files) -> None:
    words = HOOK_LINE.replace("required", "optional").split()
    files.write(login=f"session required x.so\n{words[0]} \\\n  {' '.join(words[1:])}\n")
    [finding] = files.judge("login")
    assert finding.mend == f"${{EDITOR:-vi}} +2 {files.directory}/login"


def test_users_variables_in_a_file_that_the_hook_is_not_in_are_switched_off(files: Files) -> None:
    files.write(login="session include inner\n@include common-session\n")
    files.write(inner="session required pam_env.so user_readenv=1\n")
    [finding] = files.judge("login")
    files.mend(finding)
    assert severities(files.judge("login")) == [FINE]


def test_what_several_services_have_in_common_is_told_once(files: Files) -> None:
    files.write(common_session=COMMON_SESSION.replace(HOOK_LINE, ""))
    findings = [found for service in ("sshd", "su", "su-l") for found in files.judge(service)]
    [finding] = pam.merged(findings)
    assert finding.what == "sshd, su, su-l: the hook is not in the session stack"
