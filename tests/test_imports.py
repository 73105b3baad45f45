"""Imports point one way, and the login path imports next to nothing."""

from __future__ import annotations

import ast
import graphlib
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

CHECKOUT = pathlib.Path(__file__).parents[1]
OURS = ("sessionwrap", "pam_module")

LOGIN_PATH = (
    "pam_module.call",
    "pam_module.hook",
    "sessionwrap.login",
    "sessionwrap.handover",
    "sessionwrap.recording_pty",
    "sessionwrap.scope",
    "sessionwrap.config_files",
    "sessionwrap.decisions",
    "sessionwrap.accounts",
    "sessionwrap.overlay_question",
    "sessionwrap.shells",
    "sessionwrap.tickets",
    "sessionwrap.handshake",
    "sessionwrap.login_entry",
    "sessionwrap.unheard",
    "sessionwrap.errors",
    "sessionwrap.paths",
    "sessionwrap.message_ids",
    "sessionwrap.journal_protocol",
)
"""What a login waits for. The packages' own __init__ files are empty of code."""

SLOW = {
    "dataclasses",
    "typing",
    "enum",
    "re",
    "json",
    "collections",
    "pathlib",
    "subprocess",
    "inspect",
}
"""Each of these costs a login milliseconds."""

BASE = ("errors", "model", "paths", "message_ids")
LAYERS = {
    "sinks": 2,
    "readers": 2,
    "recorder": 3,
    "overlay": 3,
    "setup": 3,
    "player": 3,
    "exporters": 3,
    "login": 3,
    "doctor": 4,
    "commands": 5,
}
"""The layer of a part of sessionwrap; what is not named here or in BASE is in layer 1."""


def modules() -> dict[str, pathlib.Path]:
    found = {}
    for package in OURS:
        for path in sorted((CHECKOUT / package).rglob("*.py")):
            parts = path.relative_to(CHECKOUT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(path: pathlib.Path) -> Iterator[str]:
    """Give every module that the file imports, in functions too, but for type checking."""
    todo: list[ast.AST] = [ast.parse(path.read_text())]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module
        todo += ast.iter_child_nodes(node)


def is_ours(name: str) -> bool:
    return name.partition(".")[0] in OURS


def part(name: str) -> str:
    """Give what a layer is given to: `readers` for sessionwrap.readers.journal."""
    package, _, rest = name.partition(".")
    return package if package == "pam_module" else rest.partition(".")[0]


def layer(name: str) -> int:
    if part(name) in ("", *BASE):
        return 0
    return 3 if part(name) == "pam_module" else LAYERS.get(part(name), 1)


@pytest.mark.parametrize("name", MODULES)
def test_imports_point_one_way(name: str) -> None:
    for imported in filter(is_ours, imports(MODULES[name])):
        lower = layer(imported) < layer(name)
        beside = layer(imported) == layer(name) and (
            layer(name) == 1 or part(imported) == part(name)
        )
        assert lower or beside, f"{name} must not import {imported}"


def test_no_two_modules_import_each_other() -> None:
    graph = {name: set(filter(is_ours, imports(path))) - {name} for name, path in MODULES.items()}
    graphlib.TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("name", [*LOGIN_PATH, "pam_module", "sessionwrap"])
def test_the_login_path_imports_the_standard_library_and_itself(name: str) -> None:
    for imported in imports(MODULES[name]):
        top = imported.partition(".")[0]
        if is_ours(imported):
            assert imported in (*LOGIN_PATH, "sessionwrap"), f"{name} must not import {imported}"
        else:
            assert top in sys.stdlib_module_names, f"{name} must not import {imported}"
            assert top not in SLOW, f"{name} must not import {imported}: it is slow"


@pytest.mark.parametrize("name", LOGIN_PATH)
def test_the_login_path_loads_nothing_slow_by_a_detour(name: str) -> None:
    assert not SLOW & loaded(name)


def loaded(name: str) -> set[str]:
    """Import a module in a fresh interpreter; give all modules that it has then."""
    code = f"import sys; sys.path.insert(0, {str(CHECKOUT)!r}); import {name}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-IS", "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        cwd="/",
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("name", ["login", "handover", "recording_pty"])
def test_the_login_shell_does_without_the_module_os(name: str) -> None:
    modules = loaded(f"sessionwrap.{name}")
    assert "posix" in modules
    assert "os" not in modules


def test_every_module_of_the_hook_is_in_the_login_path() -> None:
    hook = {name for name in MODULES if name.startswith("pam_module.")}
    assert hook <= set(LOGIN_PATH)
