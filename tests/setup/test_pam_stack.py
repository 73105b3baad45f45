"""The lines of the hook are found and taken out of a PAM stack, and no others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionwrap.setup import pam_stack
from sessionwrap.setup.authselect import HOOK, HOOK_LINE

REST = "auth required pam_unix.so\nsession required pam_unix.so\n"


@pytest.mark.parametrize(
    "hook",
    [
        HOOK_LINE,
        # As an administrator breaks a long line: what is left of it would take the next line in.
        f"session required pam_exec.so type=open_session seteuid quiet stdout \\\n    {HOOK}",
        f"session \\\n required pam_exec.so \\ \t\n {HOOK} \\\n log=/var/log/hook",
    ],
)
def test_a_line_of_the_hook_is_taken_out_whole(hook: str) -> None:
    for text in (f"{hook}\n{REST}", f"# first\n{hook}\n{REST}", f"{REST}{hook}\n"):
        assert pam_stack.runs_hook(text)
        assert pam_stack.without_hook(text) == text.replace(f"{hook}\n", "")


@pytest.mark.parametrize(
    "text", [f"# {HOOK_LINE}\n", "session required pam_exec.so /usr/bin/other\n", f"# \\\n#{HOOK}"]
)
def test_a_stack_without_the_hook_stays_as_it_is(text: str) -> None:
    assert not pam_stack.runs_hook(text)
    assert pam_stack.without_hook(text) == text


@given(st.text(st.sampled_from("s#\\ \n"), max_size=40))
def test_other_lines_are_never_changed(text: str) -> None:
    assert pam_stack.without_hook(text) == text


def test_a_comment_ends_a_line_whatever_it_ends_with() -> None:
    text = f"session required pam_unix.so # \\\n{HOOK_LINE}\n{REST}"
    assert pam_stack.without_hook(text) == f"session required pam_unix.so # \\\n{REST}"
