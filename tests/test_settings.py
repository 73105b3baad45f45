from __future__ import annotations

import json
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as limits
from hypothesis import strategies as st

from sessionwrap import settings
from sessionwrap.errors import ConfigError

CHECKOUT = pathlib.Path(__file__).parents[1]
SHIPPED = CHECKOUT / "config" / "rec-session.conf"

Write = Any


@pytest.fixture
def write(tmp_path: pathlib.Path) -> Write:
    def write_file(text: str) -> str:
        path = tmp_path / "rec-session.conf"
        path.write_text(text)
        path.chmod(0o644)
        return str(path)

    return write_file


def errors(path: str) -> list[str]:
    return [str(error).removeprefix(path) for error in settings.load_all_errors(path)]


def leaves() -> list[tuple[str, dict[str, Any]]]:
    found = []
    for name, value in settings.load_schema()["properties"].items():
        if value["type"] == "object":
            found += [(f"{name}.{inner}", leaf) for inner, leaf in value["properties"].items()]
        else:
            found.append((name, value))
    return found


def test_without_a_file_everything_has_its_default() -> None:
    found = settings.load("/nonexistent/rec-session.conf")
    assert found.number("payload") == 60000
    assert found.number("latency") == 2
    assert found.flag("log.input") is False
    assert found.flag("log.output") is True
    assert found.flag("log.window") is True
    assert found.text("writer") == "journal"
    assert found.text("file.path") == ""
    assert found.text("journal.priority") == "info"
    assert found.flag("journal.augment") is True
    assert found.text("shell") == "/bin/bash"
    assert found.text("notice") == "\nATTENTION! Your session is being recorded!\n\n"
    assert found.text("limit.action") == "pass"
    assert found.number("recorder.max_recordings_per_user") == 200
    assert found.number("recorder.spool_size") == 8388608


def test_what_the_file_says_wins_over_the_default(write: Write) -> None:
    path = write('{"latency": 7, "log": {"input": true}, "notice": ""}')
    found = settings.load(path)
    assert (found.number("latency"), found.flag("log.input"), found.text("notice")) == (7, True, "")
    assert found.flag("log.output") is True


def test_settings_travel_as_json(write: Write) -> None:
    found = settings.load(write('{"writer": "file", "file": {"path": "/tmp/x"}}'))
    back = settings.Settings.from_json(json.loads(json.dumps(found.as_json())))
    assert back.as_json() == found.as_json()
    assert back.text("file.path") == "/tmp/x"  # noqa: S108 # a value, no file


def test_a_getter_refuses_another_type() -> None:
    found = settings.load("/nonexistent")
    for wrong in (
        lambda: found.text("latency"),
        lambda: found.number("writer"),
        lambda: found.number("log.input"),
        lambda: found.flag("latency"),
    ):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(KeyError):
        found.text("nonsense")


def test_comments_and_last_commas_are_taken(write: Write) -> None:
    path = write(
        """// first
        { /* a
             b */ "latency": 3, // "latency": 4
          "notice": "http://x /* y */ \\"// ,}",
          "log": {"input": true, /* last */ },
        }"""
    )
    found = settings.load(path)
    assert found.number("latency") == 3
    assert found.text("notice") == 'http://x /* y */ "// ,}'
    assert found.flag("log.input")


@given(st.text(st.sampled_from('"\\/*,{}[]: \n\ta1'), max_size=60))
def test_plain_json_keeps_lines_columns_and_what_is_json_already(text: str) -> None:
    plain = settings.plain_json(text)
    assert len(plain) == len(text)
    assert [i for i, c in enumerate(plain) if c == "\n"] == [
        i for i, c in enumerate(text) if c == "\n"
    ]
    try:
        value = json.loads(text)
    except ValueError:
        return
    assert json.loads(plain) == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["latency", "log", "input", "writer", "file", "path", "limit", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@limits(deadline=None)  # the first example imports jsonschema
@given(JSON)
def test_any_json_is_settings_or_named_errors(
    tmp_path_factory: pytest.TempPathFactory, value: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.conf"
    path.write_text(json.dumps(value, indent=1))
    path.chmod(0o644)
    found = settings.load_all_errors(str(path))
    for error in found:
        assert error.problem
        assert error.line >= 1 or not error.key
    if not found:
        settings.load(str(path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"latency": 0}', ":1: latency: 0, expected a whole number from 1 to 3600"),
        ('{"latency": true}', ":1: latency: true, expected a whole number from 1 to 3600"),
        ('{\n"payload": 31}', ":2: payload: 31, expected a whole number from 32 to 131072"),
        ('{"log":\n{"input": 1}}', ":2: log.input: 1, expected true or false"),
        ('{"log": []}', ":1: log: [], expected an object { … }"),
        ('{"writer": "es"}', ':1: writer: "es", expected "journal", "file" or "syslog"'),
        ('{"notice": "\\ud800"}', ":1: notice: half of a surrogate pair, expected characters"),
        ('{"shell": "sh"}', ':1: shell: "sh", expected an absolute path of at most 4095'),
        ('{\n"latency": 2,\n"latency": 3}', ":3: latency: set twice, expected once"),
        (
            '{"log": {"inputs": true}}',
            ":1: log.inputs: no such key, expected one of input, output, window",
        ),
        (
            '{"recorder": {"spool_size": 65536}}',
            ":1: recorder.spool_size: 65536, expected a whole number from 1048576 to 1073741824",
        ),
        (
            '{"\\nlatency": 3}',
            ":1: '\\nlatency': no such key, expected one of shell, notice, latency",
        ),
        ("[]", ": is not a JSON object, expected { … }"),
        ("{", ":1: Expecting property name"),
        ('{"latency": 2 "payload": 3}', ":1: Expecting ',' delimiter (column 15), expected JSON"),
        ('{"latency": NaN}', ": cannot be read (NaN is no JSON), expected JSON"),
        ('{"latency": 1e999}', ":1: latency: Infinity, expected a whole number"),
        ('{"latency": ' + "9" * 5000 + "}", ": cannot be read (Exceeds the limit"),
        ("/* no end", ":1: Expecting value"),
        ('{"a":' * 20000 + "1" + "}" * 20000, ": is nested too deeply"),
        ('{"notice": "' + "x" * 300000 + '"}', ": is too large"),
    ],
)
def test_a_mistake_is_named_by_line_key_and_what_was_expected(
    write: Write, text: str, expected: str
) -> None:
    path = write(text)
    assert errors(path)[0].startswith(expected)
    with pytest.raises(ConfigError):
        settings.load(path)


def test_what_is_not_supported_yet_is_refused_not_ignored(write: Write) -> None:
    path = write(
        """{
        "limit": {"rate": 100, "burst": 100,
            "action": "drop"},
        "syslog": {"facility": "user", "priority": "info"},
        "writer": "syslog"
        }"""
    )
    assert errors(path) == [
        ":2: limit.burst: a limit is not supported yet; expected no limit.burst",
        ":2: limit.rate: a limit is not supported yet; expected no limit.rate",
        ':3: limit.action: a limit is not supported yet; expected "pass"',
        ":4: syslog.facility: syslog is not supported yet; expected no syslog.facility",
        ":4: syslog.priority: syslog is not supported yet; expected no syslog.priority",
        ':5: writer: "syslog" is not supported yet; expected "journal" or "file"',
    ]


def test_the_limit_action_pass_means_no_limit_and_is_fine(write: Write) -> None:
    assert errors(write('{"limit": {"action": "pass"}, "syslog": {}}')) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{\n"writer": "file"}', ":2: file.path: missing"),
        ('{"writer": "file",\n"file": {}}', ":2: file.path: missing"),
        ('{"writer": "file", "file": {"path": "log"}}', ':1: file.path: "log", expected an abs'),
        ('{"file": {"path": "a\\u0000"}}', ":1: file.path: "),
    ],
)
def test_the_file_writer_needs_an_absolute_path(write: Write, text: str, expected: str) -> None:
    found = errors(write(text))
    assert len(found) == 1
    assert found[0].startswith(expected)


def test_a_whole_number_may_be_written_with_a_point(write: Write) -> None:
    assert repr(settings.load(write('{"latency": 3.0}')).number("latency")) == "3"


def test_every_key_of_tlog_is_known() -> None:
    tlog = """latency payload log.input log.output log.window limit.rate limit.burst limit.action
        file.path syslog.facility syslog.priority journal.priority journal.augment writer shell
        notice"""
    assert set(tlog.split()) <= {key for key, _ in leaves()}


def test_the_schema_says_everything_of_every_key() -> None:
    from jsonschema import Draft202012Validator

    Draft202012Validator.check_schema(settings.load_schema())
    for key, leaf in leaves():
        assert leaf["description"].endswith("."), key
        assert "default" in leaf or key == "file.path"
        if leaf["type"] == "integer":
            assert leaf["minimum"] <= leaf["default"], key


def test_rows_tell_every_key_for_help_and_man_pages() -> None:
    rows = list(settings.rows(settings.load_schema()))
    assert [row.key for row in rows] == [key for key, _ in leaves()]
    assert (
        settings.Row(
            "log.input",
            "true or false",
            "false",
            "Record what the user types. Passwords are typed too.",
        )
        in rows
    )


def test_the_shipped_file_shows_every_key_with_its_default(write: Write) -> None:
    text = SHIPPED.read_text()
    assert errors(write(text)) == []
    unsupported = [key.rpartition(".")[2] for key, leaf in leaves() if "x-unsupported" in leaf]
    kept: list[str] = []
    for line in text.split("\n"):
        match = re.match(r'\s*// ("(\w+)": .*,)$', line)
        kept.append(match[1] if match and "Not supported" not in kept[-1] else line)
    path = write("\n".join(kept))
    assert errors(path) == []
    given = settings.load(path).as_json()
    expected = settings.load("/nonexistent").as_json()
    assert given["file"].pop("path").startswith("/")
    expected["file"].pop("path")
    assert given == expected
    for key, _ in leaves():
        assert f'// "{key.rpartition(".")[2]}": ' in text
    assert text.count("// Not supported yet.") == len(unsupported)


def test_what_the_recorder_keeps_does_not_import_jsonschema() -> None:
    code = (
        "import sys; from sessionwrap import settings\n"
        "found = settings.load('/nonexistent')\n"
        "settings.Settings.from_json(found.as_json())\n"
        "sys.exit('jsonschema' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, timeout=30, check=False)
    assert done.returncode == 0
