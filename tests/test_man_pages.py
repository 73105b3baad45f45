"""Every command, file, option, setting and exit status has its place in a man page that renders."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from sessionwrap import commands, errors, message_ids, scope, settings

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs/man"
RENDER = PAGES / "render"
SHARED = {"unenroll": "sessionwrap-enroll.1.md", "unsetup": "sessionwrap-setup.1.md"}
"""Verbs that share the page of another."""
INSTALLED = {
    "sessionwrap-shell": "sessionwrap-shell.8.md",
    "sessionwrapd": "sessionwrapd.8.md",
    "sessionwrap-userdb": "sessionwrap-userdb.8.md",
    "pam-hook": "sessionwrap-pam-hook.8.md",
    "pam-hook-decide": "sessionwrap-pam-hook.8.md",
    "sessionwrap.conf": "sessionwrap.conf.5.md",
    "rec-session.conf": "sessionwrap-rec-session.conf.5.md",
}
"""What the package installs besides the command, and its page."""
SECTIONS = {"NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"}


def text(name: str) -> str:
    return (PAGES / name).read_text(encoding="utf-8")


def section(name: str, title: str) -> str:
    found = re.search(rf"^# {title}$(.*?)(?=^# |\Z)", text(name), re.MULTILINE | re.DOTALL)
    assert found, f"{name} has no section {title}"
    return found[1]


def page_of(verb: str) -> str:
    return SHARED.get(verb, f"sessionwrap-{verb}.1.md")


def all_pages() -> list[str]:
    return sorted(page.name for page in PAGES.glob("*.md"))


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not installed: apt-get install pandoc groff-base")
    return found


def rendered(name: str) -> str:
    tool("pandoc")
    done = subprocess.run(
        [str(RENDER), str(PAGES / name)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def shown(name: str) -> str:
    """Give the page as a reader sees it, each run of white space as one space."""
    groff = [tool("groff"), "-man", "-Tutf8", "-k", "-ww", "-rHY=0"]
    # Grey is how grotty marks bold and underlined words; here they are in the way.
    env = {**os.environ, "GROFF_NO_SGR": "1"}
    done = subprocess.run(
        groff, input=rendered(name), capture_output=True, text=True, env=env, check=False
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return " ".join(re.sub(".\b", "", done.stdout).split())


@pytest.mark.parametrize("verb", commands.VERBS)
def test_every_verb_has_a_page_and_a_place_in_the_overview(verb: str) -> None:
    assert (PAGES / page_of(verb)).is_file()
    assert f"**{verb}**" in section("sessionwrap.1.md", "COMMANDS")
    assert f"**sessionwrap {verb}**" in section(page_of(verb), "SYNOPSIS")


def test_every_installed_program_and_file_has_a_page() -> None:
    programs = {program.name for program in (ROOT / "packaging/bin").iterdir()}
    files = {file.name for file in (ROOT / "config").glob("*.conf")}
    assert programs | files == set(INSTALLED)
    assert set(INSTALLED.values()) <= set(all_pages())


def test_every_page_is_of_a_program_or_file_that_exists() -> None:
    pages = {"sessionwrap.1.md", *INSTALLED.values(), *map(page_of, commands.VERBS)}
    assert all_pages() == sorted(pages)


def options_of(command: click.Command) -> list[str]:
    context = click.Context(command, help_option_names=["-h", "--help"])
    parameters = command.get_params(context)
    return [
        name for option in parameters if isinstance(option, click.Option) for name in option.opts
    ]


@pytest.mark.parametrize("verb", commands.VERBS)
def test_every_option_of_a_verb_is_in_its_page(verb: str) -> None:
    module = importlib.import_module(f"sessionwrap.commands.{commands.VERBS[verb][0]}")
    written = section(page_of(verb), "OPTIONS").replace("\\", "")
    missing = [name for name in options_of(module.command) if f"**{name}**" not in written]
    assert missing == []


@pytest.mark.parametrize("verb", commands.VERBS)
def test_a_page_names_no_option_that_its_verb_does_not_have(verb: str) -> None:
    module = importlib.import_module(f"sessionwrap.commands.{commands.VERBS[verb][0]}")
    written = section(page_of(verb), "OPTIONS").replace("\\", "")
    named = re.findall(r"\*\*(-{1,2}[a-z][a-z-]*)\*\*", written, re.IGNORECASE)
    assert set(named) <= set(options_of(module.command))


def test_every_option_of_the_command_itself_is_in_its_page() -> None:
    written = section("sessionwrap.1.md", "OPTIONS").replace("\\", "")
    assert [name for name in options_of(commands.cli) if f"**{name}**" not in written] == []


def test_every_exit_status_is_in_the_overview() -> None:
    raised = {
        error.exit_code
        for _, error in inspect.getmembers(errors, inspect.isclass)
        if issubclass(error, errors.SessionwrapError)
    }
    statuses = re.findall(r"^(\d+)$", section("sessionwrap.1.md", "EXIT STATUS"), re.MULTILINE)
    assert {0, *raised, 130, 141} == set(map(int, statuses))


def test_every_field_of_the_json_of_list_is_in_the_overview() -> None:
    listing = importlib.import_module("sessionwrap.commands.list_recordings")
    fields = re.findall(r'^        "(\w+)":', inspect.getsource(listing._as_json), re.MULTILINE)
    written = section("sessionwrap.1.md", "JSON OF LIST")
    assert "rec" in fields
    assert [name for name in fields if f"**{name}**" not in written] == []


def test_every_setting_its_type_and_its_default_are_in_the_rendered_page() -> None:
    page = shown("sessionwrap-rec-session.conf.5.md")
    missing = [
        row.key
        for row in settings.rows(settings.load_schema())
        if f" {row.key} {row.description} " not in page
        or (" ".join(f"Default: {row.default}.".split()) not in page and row.default)
    ]
    assert missing == []


def test_every_setting_that_is_refused_is_said_to_be() -> None:
    def refused(above: str, schema: settings.Json) -> list[str]:
        found = []
        for name, leaf in schema.get("properties", {}).items():
            key = f"{above}{name}"
            if "x-unsupported" in leaf or "x-unsupported" in leaf.get("then", {}):
                found.append(key)
            found += refused(f"{key}.", leaf)
        return found

    written = section("sessionwrap-rec-session.conf.5.md", "NOT SUPPORTED YET")
    keys = refused("", settings.load_schema())
    assert keys
    assert [key for key in keys if key not in written] == []


def test_every_key_of_the_scope_rules_is_in_its_page() -> None:
    written = section("sessionwrap.conf.5.md", "KEYS")
    keys = [key for section_keys in scope.SECTIONS.values() for key in section_keys]
    assert [key for key in keys if f"**{key}**" not in written] == []


def test_every_message_id_is_in_a_page() -> None:
    written = text("sessionwrap.1.md") + text("sessionwrapd.8.md")
    ids = [value for name, value in vars(message_ids).items() if name.isupper()]
    assert ids
    assert [value for value in ids if value not in written] == []


@pytest.mark.parametrize("name", all_pages())
def test_a_page_renders_without_a_warning(name: str) -> None:
    page = shown(name)
    title, number, _ = name.rsplit(".", 2)
    assert page.startswith(f"{title.upper()}({number})")
    assert "@SETTINGS@" not in page
    assert set(re.findall(r"^# (.+)$", text(name), re.MULTILINE)) >= SECTIONS


@pytest.mark.parametrize("name", all_pages())
def test_a_page_refers_only_to_pages_that_exist(name: str) -> None:
    references = re.findall(r"\*\*(sessionwrap[\w.-]*)\*\*\((\d)\)", text(name))
    assert [page for page in map(".".join, references) if f"{page}.md" not in all_pages()] == []


@pytest.mark.parametrize("name", all_pages())
def test_the_lines_of_a_page_are_not_longer_than_those_of_the_code(name: str) -> None:
    assert [line for line in text(name).splitlines() if len(line) > 102] == []
