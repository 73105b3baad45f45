"""Recorder settings: ``rec-session.conf``, tlog's file (tlog-rec-session.conf(5)) with our keys.

JSON with ``//`` and ``/* */`` comments and, as json-c takes it, a comma after the last item. The
schema (config/rec-session.schema.json) is the only place where a key, its type, bounds, default
and description are written. jsonschema is imported only where there is a file to check: the
recorder does that in a child and takes the plain mapping back, so that its own image stays small.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from sessionwrap import config_files, paths
from sessionwrap.errors import ConfigError

if TYPE_CHECKING:
    from jsonschema import ValidationError

Json = dict[str, Any]

MAX_BYTES = 256 << 10
"""The largest settings file, in bytes."""

# An unclosed string or comment is taken to its end, so that the search never starts over.
_STRING = r'"(?:\\.|[^"\\\n])*"?'
_COMMENT = re.compile(_STRING + r"|//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_LAST_COMMA = re.compile(_STRING + r"|,(?=[ \t\r\n]*[}\]])", re.DOTALL)
_SPACE = re.compile(r"[ \t\n\r]*")


class Row(NamedTuple):
    """One key of the schema as help, man pages and pages show it; ``default`` is JSON or ""."""

    key: str
    type: str
    default: str
    description: str


class Settings:
    """Settings that are valid and complete: what the file does not say has its default."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str | int | bool]) -> None:
        self._values = dict(values)

    def text(self, key: str) -> str:
        """Give the text under a dotted key ("file.path"); "" where nothing sets it."""
        value = self._values[key]
        if not isinstance(value, str):
            raise TypeError(f"{key} is not a text")
        return value

    def number(self, key: str) -> int:
        """Give the whole number under a dotted key, in the unit that the schema names."""
        value = self._values[key]
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{key} is not a number")
        return value

    def flag(self, key: str) -> bool:
        """Give the switch under a dotted key."""
        value = self._values[key]
        if not isinstance(value, bool):
            raise TypeError(f"{key} is not a switch")
        return value

    def as_json(self) -> Json:
        """Give all settings as a nested mapping that JSON can carry."""
        nested: Json = {}
        for key, value in self._values.items():
            section, _, name = key.rpartition(".")
            (nested.setdefault(section, {}) if section else nested)[name] = value
        return nested

    @classmethod
    def from_json(cls, nested: Json) -> Settings:
        """Take back what ``as_json`` gave, without checking it again."""
        return cls(dict(_leaves(nested)))


def load(path: str = paths.SETTINGS_FILE) -> Settings:
    """Read the settings; all defaults where there is no file. ConfigError for the first mistake."""
    settings, errors = _load(path)
    if errors:
        raise errors[0]
    return settings


def load_all_errors(path: str = paths.SETTINGS_FILE) -> list[ConfigError]:
    """Give every mistake of the file, by line."""
    return _load(path)[1]


def load_schema() -> Json:
    """Read the schema: the checkout's where this file lies in one, else the installed one."""
    package = os.path.dirname(os.path.abspath(__file__))
    path = os.path.join(os.path.dirname(package), "config", "rec-session.schema.json")
    with open(path if os.path.exists(path) else paths.SETTINGS_SCHEMA, encoding="utf-8") as file:
        schema: Json = json.load(file)
    return schema


def rows(schema: Json) -> Iterator[Row]:
    """Give every key of the schema, in its order."""
    for key, leaf in _schema_leaves(schema):
        default = json.dumps(leaf["default"]) if "default" in leaf else ""
        yield Row(key, _expected(leaf), default, leaf["description"])


def plain_json(text: str) -> str:
    """Replace comments and last commas by spaces: every line and column stays where it is."""

    def blank(match: re.Match[str]) -> str:
        found = match.group()
        return found if found.startswith('"') else re.sub(r"[^\n]", " ", found)

    return _LAST_COMMA.sub(blank, _COMMENT.sub(blank, text))


def _load(path: str) -> tuple[Settings, list[ConfigError]]:
    schema = load_schema()
    try:
        text = config_files.read_text_if_there(path, limit=MAX_BYTES)
        if text is None:
            return _complete(schema, {}), []
        plain = plain_json(text)
        values = _parse(path, plain)
        errors = _errors(path, schema, values, plain)
    except ConfigError as error:
        errors = [error]
    except RecursionError:
        errors = [ConfigError(path, 0, "", "is nested too deeply, expected one level of objects")]
    return _complete(schema, {} if errors else values), errors


def _complete(schema: Json, values: Json) -> Settings:
    given = dict(_leaves(values))
    complete: dict[str, str | int | bool] = {}
    for key, leaf in _schema_leaves(schema):
        value: Any = given.get(key, leaf.get("default", ""))
        # JSON Schema takes 2.0 for an integer.
        complete[key] = int(value) if leaf["type"] == "integer" else value
    return Settings(complete)


def _parse(path: str, text: str) -> Json:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        values = json.loads(text, parse_constant=refuse)
    except json.JSONDecodeError as error:
        problem = f"{error.msg} (column {error.colno}), expected JSON"
        raise ConfigError(path, error.lineno, "", problem) from error
    except ValueError as error:
        problem = f"cannot be read ({str(error)[:80]}), expected JSON"
        raise ConfigError(path, 0, "", problem) from error
    if not isinstance(values, dict):
        raise ConfigError(path, 0, "", "is not a JSON object, expected { … }")
    return values


def _errors(path: str, schema: Json, values: Json, text: str) -> list[ConfigError]:
    from jsonschema import Draft202012Validator, ValidationError, validators

    def unsupported(_: Any, problem: str, *__: Any) -> Iterator[ValidationError]:
        yield ValidationError(problem)

    lines: dict[str, int] = {}
    found: list[tuple[str, str]] = []
    _find_lines(text, _skip(text, 0), "", lines, found)
    keywords = {"x-unsupported": unsupported}
    extended = validators.extend(Draft202012Validator, keywords)  # type: ignore[no-untyped-call] # the stubs leave its types out
    for error in extended(schema).iter_errors(values):
        found.extend(_explain(error))
    for key, value in _leaves(values):
        if isinstance(value, str) and any("\ud800" <= character <= "\udfff" for character in value):
            found.append((key, "half of a surrogate pair, expected characters"))
    errors = []
    for key, problem in dict.fromkeys(found):
        line = next((lines[name] for name in _upwards(key) if name in lines), 0)
        errors.append(ConfigError(path, line, _shown(key), problem))
    return sorted(errors, key=lambda error: (error.line, error.key))


def _explain(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Turn a complaint of jsonschema into (dotted key, problem)."""
    key = ".".join(str(part) for part in error.absolute_path)
    schema: Any = error.schema
    wanted: Any = error.validator_value
    instance: Any = error.instance
    match error.validator:
        case "additionalProperties":
            known = ", ".join(schema["properties"])
            for name in instance:
                if name not in schema["properties"]:
                    yield _join(key, name), f"no such key, expected one of {known}"
        case "required":
            for name in wanted:
                if name not in instance:
                    need = "file.path" if name == "file" else _join(key, name)
                    yield need, "missing, expected an absolute path: the file writer needs it"
        case "x-unsupported":
            yield key, error.message
        case _:
            found = json.dumps(instance)
            shown = found if len(found) <= 40 else found[:40] + "…"
            yield key, f"{shown}, expected {_expected(schema)}"


def _expected(leaf: Json) -> str:
    """Say in words what a value must be."""
    if "enum" in leaf:
        *most, last = (json.dumps(value) for value in leaf["enum"])
        return f"{', '.join(most)} or {last}"
    if leaf.get("type") == "boolean":
        return "true or false"
    if leaf.get("type") == "object":
        return "an object { … }"
    if leaf.get("type") == "string":
        kind = "an absolute path" if leaf.get("pattern") else "a text"
        limit = leaf.get("maxLength")
        return f"{kind} of at most {limit} characters" if limit else kind
    low, high = leaf.get("minimum"), leaf.get("maximum")
    if high is None:
        return f"a whole number of at least {low}"
    return f"a whole number from {low} to {high}"


def _schema_leaves(schema: Json, above: str = "") -> Iterator[tuple[str, Json]]:
    for name, leaf in schema["properties"].items():
        key = _join(above, name)
        if leaf["type"] == "object":
            yield from _schema_leaves(leaf, key)
        else:
            yield key, leaf


def _leaves(values: Json, above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        key = _join(above, name)
        if isinstance(value, dict):
            yield from _leaves(value, key)
        else:
            yield key, value


def _find_lines(
    text: str, start: int, above: str, lines: dict[str, int], found: list[tuple[str, str]]
) -> int:
    """Note the line of every key of the object at ``start``, and keys that come twice.

    ``text`` has passed ``json.loads``; gives the index after the object.
    """
    decoder = json.JSONDecoder()
    index = _skip(text, start + 1)
    while text[index] != "}":
        name, after = decoder.raw_decode(text, index)
        key = _join(above, name)
        if key in lines:
            found.append((key, "set twice, expected once"))
        lines[key] = text.count("\n", 0, index) + 1
        index = _skip(text, _skip(text, after) + 1)
        if text[index] == "{":
            index = _find_lines(text, index, key, lines, found)
        else:
            index = decoder.raw_decode(text, index)[1]
        index = _skip(text, index)
        if text[index] == ",":
            index = _skip(text, index + 1)
    return index + 1


def _skip(text: str, index: int) -> int:
    """Give the index of the next character of JSON that is not white space."""
    match = _SPACE.match(text, index)
    return match.end() if match else index


def _upwards(key: str) -> Iterator[str]:
    """Give the key, then what it lies in: the line of `file` serves for a missing file.path."""
    while key:
        yield key
        key = key.rpartition(".")[0]
    yield "writer"


def _join(above: str, name: str) -> str:
    return f"{above}.{name}" if above else name


def _shown(key: str) -> str:
    return key if key.isprintable() and len(key) <= 80 else ascii(key[:80])
