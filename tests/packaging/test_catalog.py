"""The catalog explains every entry that has a MESSAGE_ID of ours."""

from __future__ import annotations

import re
from pathlib import Path

from sessionwrap import entries, journal_protocol, message_ids, tickets
from sessionwrap.model import Recording
from sessionwrap.recorder import logins

CATALOG = Path(__file__).parents[2] / "packaging/catalog/sessionwrap.catalog"
RECORDING = Recording(
    rec="1-2-3",
    host="host",
    user="alice",
    uid=1000,
    service="sshd",
    rhost="192.0.2.1",
    tty="/dev/pts/0",
    kind=entries.TERMINAL,
    command="",
    session=1,
    start=1,
    end=2,
    messages=1,
    reason=entries.EXITED,
    complete=True,
    verified=True,
)

TICKET = tickets.Ticket(
    **dict.fromkeys(("rule", "user", "shell", "service", "rhost", "tty", "policy"), "x"),
    **dict.fromkeys(("record", "uid", "session", "pid", "start", "time"), 1),
)


def catalog() -> dict[str, str]:
    parts = re.split(r"^-- ([0-9a-f]{32})$", CATALOG.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_message_id_has_an_entry_and_every_entry_a_message_id() -> None:
    ids = {value for name, value in vars(message_ids).items() if name.isupper()}
    assert set(catalog()) == ids


def test_each_entry_has_a_subject_and_says_what_to_do() -> None:
    for text in catalog().values():
        head, _, body = text.strip().partition("\n\n")
        assert re.match(r"Subject: .+\nDefined-By: sessionwrap\n", head)
        assert len(body.split("\n\n")) > 1


def test_the_fields_that_an_entry_shows_are_fields_of_its_journal_entry() -> None:
    fields = {
        message_ids.START: entries.start_fields(RECORDING),
        message_ids.END: entries.end_fields(RECORDING),
        message_ids.ALERT_ABNORMAL: entries.abnormal_fields(RECORDING),
        message_ids.ALERT_NOT_RECORDED: journal_protocol.not_recorded_fields("", "alice", "sshd"),
        message_ids.ALERT_UNSEEN: logins.fields_of(TICKET, ""),
    }
    for message_id, text in catalog().items():
        shown = set(re.findall(r"@(\w+)@", text))
        assert shown <= set(fields.get(message_id, {}))
