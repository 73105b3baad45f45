"""What becomes of authselect's templates, and of what authselect says.

The templates here have the form of the profiles sssd and local of authselect 1.0 to 1.5: the same
operators, maps and order of session lines. authselect itself is not run: Debian has none.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap.errors import SessionwrapError
from sessionwrap.setup import authselect
from sessionwrap.setup.authselect import HOOK, HOOK_LINE, Selection

ROOT = Path(__file__).parents[2]

SESSION = """\
session     optional                    pam_keyinit.so revoke
session     required                    pam_limits.so
session     optional                    pam_ecryptfs.so unwrap    {include if "with-ecryptfs"}
-session    optional                    pam_systemd.so
session     [success=1 default=ignore]  pam_succeed_if.so service in crond quiet use_uid
session     required                    pam_unix.so
session     optional                    pam_sss.so
"""
SYSTEM_AUTH = f"""\
{{imply "with-smartcard" if "with-smartcard-required"}}
auth        required                    pam_env.so
auth        sufficient                  pam_unix.so {{if not "without-nullok":nullok}}
auth        required                    pam_deny.so

# no session line: session required pam_deny.so
account     required                    pam_unix.so

password    sufficient                  pam_unix.so yescrypt shadow use_authtok
password    required                    pam_deny.so

{SESSION}"""
NSSWITCH = """\
# In order of likelihood of use to accelerate lookup.
passwd:     files {if "with-altfiles":altfiles }systemd
shadow:     files systemd
group:      files {if "with-altfiles":altfiles }systemd {exclude if "with-group-merging"}
group:      files [SUCCESS=merge] systemd [SUCCESS=merge] {include if "with-group-merging"}
hosts:      files myhostname resolve [!UNAVAIL=return] dns
"""
TEMPLATES = {
    "README": "Local users only\n================\n",
    "REQUIREMENTS": '- with-faillock needs nothing {include if "with-faillock"}\n',
    "fingerprint-auth": f'{{continue if "with-fingerprint"}}\n{SESSION}',
    "nsswitch.conf": NSSWITCH,
    "password-auth": SYSTEM_AUTH,
    "postlogin": "session     optional     pam_umask.so silent\n",
    "system-auth": SYSTEM_AUTH,
}


def session_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("session", "-session"))]


def overlay(line: str, user_nsswitch: str = "") -> list[str]:
    return authselect.with_overlay(line + "\n", user_nsswitch).splitlines()


def test_the_hook_is_the_first_session_line_so_that_no_jump_passes_over_it() -> None:
    lines = session_lines(authselect.with_hook(SYSTEM_AUTH))
    assert lines == [HOOK_LINE, *session_lines(SESSION)]


def test_the_hook_comes_after_pam_loginuid_where_the_template_has_it() -> None:
    first, *rest = SESSION.splitlines()
    loginuid = "session     required      pam_loginuid.so"
    changed = authselect.with_hook("\n".join([first, loginuid, *rest]) + "\n")
    assert session_lines(changed)[:3] == [first, loginuid, HOOK_LINE]


def test_the_hook_comes_after_the_operators_that_can_end_a_template() -> None:
    lines = authselect.with_hook(TEMPLATES["fingerprint-auth"]).splitlines()
    assert lines[:2] == ['{continue if "with-fingerprint"}', HOOK_LINE]


@given(st.text(st.sampled_from("-#session authpm_logind.\t\n{}"), max_size=80))
def test_a_stack_is_what_it_was_but_for_the_hook_and_gets_it_once(extra: str) -> None:
    before = f"{extra}\n{SESSION}"
    after = authselect.with_hook(before)
    lines = after.splitlines()
    assert lines.count(HOOK_LINE) == 1
    lines.remove(HOOK_LINE)
    assert lines == before.splitlines()
    assert authselect.with_hook(after) == after


def test_a_template_without_session_lines_is_left_alone() -> None:
    text = "auth required pam_deny.so\n# session\n"
    assert authselect.with_hook(text) == text


def test_the_line_of_the_hook_is_the_one_of_debian() -> None:
    debian = (ROOT / "packaging/pam/sessionwrap").read_text().split("Session:\n")[1]
    assert HOOK_LINE.split()[1:] == debian.split()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("passwd:     files systemd", "passwd:     systemd files"),
        ("passwd:    sss files", "passwd:    systemd sss files"),
        ("passwd: systemd files sss", "passwd: systemd files sss"),
        ("passwd: files systemd [NOTFOUND=return] sss", "passwd: systemd files sss"),
        (
            'passwd:     {if "with-files-domain":sss }files {if "with-altfiles":altfiles }systemd',
            'passwd:     systemd {if "with-files-domain":sss }files {if "with-altfiles":altfiles }',
        ),
        (
            'passwd:     sss files systemd   {exclude if "with-custom-passwd"}',
            'passwd:     systemd sss files {exclude if "with-custom-passwd"}',
        ),
        ('passwd: files {if "with-systemd":x}', 'passwd: systemd files {if "with-systemd":x}'),
        ("passwd: files # systemd later", "passwd: systemd files # systemd later"),
        ("shadow:     files", "shadow:     files systemd"),
        ("shadow:     files sss", "shadow:     files systemd sss"),
        ("shadow: sss files systemd", "shadow: sss files systemd"),
        ("shadow: sss", "shadow: systemd sss"),
        (
            'shadow: files {exclude if "with-custom-shadow"}',
            'shadow: files systemd {exclude if "with-custom-shadow"}',
        ),
    ],
)
def test_systemd_is_asked_first_for_passwd_and_after_files_for_shadow(
    before: str, after: str
) -> None:
    assert " ".join(overlay(before)[0].split()) == " ".join(after.split())


def test_other_maps_and_comments_are_left_alone() -> None:
    before = NSSWITCH.splitlines()
    after = authselect.with_overlay(NSSWITCH, "").splitlines()
    assert [line for line in after if line not in before] == [
        'passwd:     systemd files {if "with-altfiles":altfiles }'
    ]
    assert len(after) == len(before)


def test_a_map_that_the_profile_lacks_is_the_administrators() -> None:
    assert overlay("passwd: sss files", "shadow: files sss\nhosts: dns\n") == [
        "passwd: systemd sss files",
        "shadow: files systemd sss",
    ]


def test_a_map_that_nobody_has_is_that_of_glibc() -> None:
    assert overlay("group: files") == [
        "group: files",
        "passwd:     systemd files",
        "shadow:     files systemd",
    ]


def test_what_is_ordered_once_stays_as_it_is() -> None:
    once = authselect.with_overlay(NSSWITCH, "")
    assert authselect.with_overlay(once, "") == once


def test_our_profile_is_its_base_but_for_hook_order_and_name() -> None:
    ours = authselect.recorded_profile(TEMPLATES, "local", "")
    changed = {name for name, text in ours.items() if text != TEMPLATES[name]}
    assert changed == {
        "README",
        "fingerprint-auth",
        "nsswitch.conf",
        "password-auth",
        "system-auth",
    }
    assert ours["README"].startswith("local with terminal sessions recorded by sessionwrap\n")
    assert ours["README"].endswith(TEMPLATES["README"])


def test_our_profile_keeps_every_feature_that_may_be_on() -> None:
    ours = authselect.recorded_profile(TEMPLATES, "local", "")
    for name, text in TEMPLATES.items():
        for feature in text.split('"')[1::2]:
            assert f'"{feature}"' in ours[name]


@pytest.mark.parametrize("name", authselect.NEEDED)
def test_a_profile_that_has_no_place_for_the_hook_is_refused(name: str) -> None:
    for templates in (
        {**TEMPLATES, name: "auth required pam_deny.so\n"},
        {key: text for key, text in TEMPLATES.items() if key != name},
    ):
        with pytest.raises(SessionwrapError, match=f"custom/odd has no session lines in {name}"):
            authselect.recorded_profile(templates, "custom/odd", "")


def test_what_authselect_would_write_is_refused_when_logins_would_pass_by() -> None:
    good = dict.fromkeys(authselect.NEEDED, f"{HOOK_LINE}\n")
    good["nsswitch.conf"] = "File /etc/nsswitch.conf:\n\npasswd:     systemd files\n"
    authselect.check_generated(good)
    for name, text in (
        ("system-auth", "session required pam_unix.so\n"),
        ("password-auth", ""),
        ("nsswitch.conf", "passwd: files systemd\n"),
        ("nsswitch.conf", "shadow: files\n"),
    ):
        with pytest.raises(SessionwrapError, match=f"{name} would be generated without"):
            authselect.check_generated({**good, name: text})


def test_the_current_selection_is_read_as_authselect_prints_it() -> None:
    parse = authselect.parse_selection
    assert parse("sssd with-mkhomedir with-sudo\n") == Selection(
        "sssd", ("with-mkhomedir", "with-sudo")
    )
    assert parse("custom/ours\n") == Selection("custom/ours", ())
    assert parse("\n") is None


def test_a_profile_is_written_whole_over_what_a_crash_left(tmp_path: Path) -> None:
    directory = tmp_path / "sessionwrap"
    for left in ("sessionwrap", "sessionwrap.new", "sessionwrap.old"):
        (tmp_path / left).mkdir()
        (tmp_path / left / "stale").write_text("")
    authselect._write(TEMPLATES, str(directory))
    assert authselect._read(str(directory)) == TEMPLATES
    assert list(tmp_path.iterdir()) == [directory]


def test_the_hook_is_where_the_packages_put_it() -> None:
    assert Path(HOOK).parent == Path("/usr/libexec/sessionwrap")
    assert (ROOT / "packaging/bin" / Path(HOOK).name).is_file()


AUTHSELECT = """\
#!/bin/sh
case $1 in
current) echo local with-sudo ;;
check) ;;
*) echo "$1 fails" >&2; exit 1 ;;
esac
"""
"""A stand-in, for authselect(8) is not to be had here: it manages a profile, and takes no other."""


@pytest.mark.parametrize(
    ("fails", "was_there"), [("test fails", False), ("test fails", True), ("profile", False)]
)
def test_nothing_has_changed_where_our_profile_cannot_be_written_or_selected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str, was_there: bool
) -> None:
    program, directory = tmp_path / "authselect", tmp_path / "custom/sessionwrap"
    program.write_text(AUTHSELECT)
    program.chmod(0o755)
    monkeypatch.setattr(authselect, "PROGRAM", str(program))
    monkeypatch.setattr(authselect, "DEFAULT_PROFILES", str(tmp_path))
    monkeypatch.setattr(authselect, "STATE_FILE", str(tmp_path / "authselect.json"))
    monkeypatch.setattr(authselect, "DIRECTORY", str(directory))
    authselect._write(TEMPLATES, str(tmp_path / "local"))
    if fails != "profile":  # there is a directory for it
        directory.parent.mkdir()
    if was_there:
        authselect._write({"README": "an older one\n"}, str(directory))
    before = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(SessionwrapError, match=fails):
        authselect.enable()
    after = {str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before
